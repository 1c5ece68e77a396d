"""Models by name: what an alias stands for, where its file is kept, and how it gets there."""

from .aliases import DEFAULT_MODEL, Alias, aliases
from .store import alias_named, location, pull, resolve

__all__ = ["DEFAULT_MODEL", "Alias", "alias_named", "aliases", "location", "pull", "resolve"]
