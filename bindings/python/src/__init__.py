"""The generated Python binding and its small runtime; `mullama` re-exports all of it."""

from . import _load as _load  # isort: split

from .generated import *
from .generated import __all__ as _generated
from .generated import errors as _errors  # isort: split

from ._answers import AnswerStream as AnswerStream
from ._tools import ToolRun as ToolRun

__all__ = [*_generated, "AnswerStream", "ToolRun"]

# An uncaught exception should read `mullama.FileError`, the name that users catch.
for _error in vars(_errors).values():
    if isinstance(_error, type) and issubclass(_error, Exception):
        _error.__module__ = __name__.removesuffix(".binding")
