"""llama.cpp as a library call: load a model, open a context, generate.

The names come from the binding, which is imported with the first one that is used: the build, which makes the library
that the binding needs, and `mullama --help` work without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mullama.binding import *

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module 'mullama' has no attribute {name!r}")
    binding = import_module("mullama.binding")
    if name == "__all__":
        return binding.__all__
    try:
        value = getattr(binding, name)
    except AttributeError:
        raise AttributeError(f"module 'mullama' has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("mullama.binding").__all__})
