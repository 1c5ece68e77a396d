"""What PHP's FFI reads of the C declarations: the flat ones of abi/include, without constants and with untyped arrays."""

from __future__ import annotations

import re
import textwrap

from ...api import Api
from ..c.lower import Lowering

WIDTH = 112  # so that it fits indented into a PHP file
# A handle is a number to PHP, the address that only C follows: FFI passes it 8 ns faster than a pointer object.
# FFI turns a `const char *` into a PHP string that ends at the first NUL, and refuses a PHP string (packed numbers) where
# an array of numbers is wanted. Behind `const void *` it gives a pointer, and takes both strings and C data. The arrays of
# numbers that PHP reads keep their type, by which it reads them.
GIVEN = re.compile(r"const (?:char|uint8_t|int32_t|float|\w+_str) \*(?!\*)")
READ = re.compile(r"const (?:char|uint8_t|\w+_str) \*")


def declarations(api: Api) -> str:
    """The text for `FFI::cdef`."""
    prefix = api.prefix
    lines = [
        f"typedef struct {prefix}_str {{ const void *data; size_t len; }} {prefix}_str;",
        f"typedef struct {prefix}_error {prefix}_error;",
        f"void {prefix}_free(const void *result);",
        f"int64_t {prefix}_live_objects(void);",
        f"const void *{prefix}_error_message(const {prefix}_error *err, size_t *out_len);",
        f"void {prefix}_error_free({prefix}_error *err);",
    ]
    for area in Lowering(api).areas():
        lines += ["", f"/* {area.name} */"]
        lines += [f"typedef {enum.type} {enum.name};" for enum in area.enums]
        lines += [READ.sub("const void *", f"typedef {callback.signature}") for callback in area.callbacks]
        for struct in area.structs:
            pattern = GIVEN if struct.is_options else READ
            members = [pattern.sub("const void *", line) for member in struct.members for line in member.declarations]
            lines += [f"typedef struct {struct.name} {{", "    uint32_t struct_size;"]
            lines += [*(f"    {member}" for member in members), f"}} {struct.name};"]
        lines += [
            READ.sub("const void *", GIVEN.sub("const void *", function.signature)) for function in area.functions
        ]
    text = "\n".join(lines)
    if api.handles:
        text = re.sub(rf"\b{prefix}_(?:{'|'.join(api.handles)}) \*", "size_t ", text)
    return "\n".join(part for line in text.split("\n") for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    if len(line) <= WIDTH:
        return [line]
    return textwrap.wrap(line, WIDTH, subsequent_indent="    ", break_long_words=False)
