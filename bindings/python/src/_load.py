"""Loads the native module so that a library of another version is refused by its version, not by a missing symbol."""

import os
import sys

if hasattr(sys, "setdlopenflags"):
    _flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY)  # a symbol that an older library lacks must not stop the version check
    try:
        from . import _native  # noqa: F401
    finally:
        sys.setdlopenflags(_flags)
