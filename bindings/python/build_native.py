"""Writes the C source of `_native`, the cffi module (API mode, limited Python API) that calls the library.

    python build_native.py OUT.c

What it declares comes from the generated flat declarations of the library and, for callbacks, of this binding. The
options serve other APIs than mullama's: the tests build the fixture with them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent


def builder(module: str, header: str, cdef: Path, trampolines: Path) -> FFI:
    """A cffi builder for `module`, which includes `header`."""
    ffi = FFI()
    ffi.cdef(cdef.read_text())
    ffi.cdef(trampolines.read_text())
    ffi.set_source(module, f'#include "{header}"', py_limited_api=True)
    return ffi


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the C file to write")
    parser.add_argument(
        "--module", default="mullama.binding._native", help="full name of the module (default: %(default)s)"
    )
    parser.add_argument("--header", default="libmullama.h", help="the library's header (default: %(default)s)")
    parser.add_argument(
        "--cdef", type=Path, default=HERE.parents[1] / "abi/include/libmullama.cdef.h", help="flat declarations"
    )
    parser.add_argument(
        "--trampolines", type=Path, default=HERE / "src/generated/trampolines.h", help="callback declarations"
    )
    options = parser.parse_args()
    builder(options.module, options.header, options.cdef, options.trampolines).emit_c_code(str(options.out))


if __name__ == "__main__":
    main()
