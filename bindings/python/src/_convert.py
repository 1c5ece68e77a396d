# mypy: disable-error-code=no-any-return
"""Python values to C and back: texts, buffers, numbers; wrong ones are refused with the parameter's name."""

from __future__ import annotations

import functools
import json as _json
import os
from collections.abc import Callable, Iterable
from operator import index
from typing import TYPE_CHECKING, Any

from ._native import ffi
from .generated._library import STRING_ARRAY, free
from .generated.errors import ArgumentError, ErrorCode

if TYPE_CHECKING:
    from typing import TypeAlias

    from _typeshed import ReadableBuffer
    from numpy import float32
    from numpy.typing import NDArray

    Buffer: TypeAlias = ReadableBuffer
    Bytes = Iterable[int] | Buffer
    FloatArray = NDArray[float32]
    Floats = Iterable[float] | Buffer
    Ints = Iterable[int] | Buffer
    StrPath = str | os.PathLike[str]
else:
    Buffer = Bytes = Floats = FloatArray = Ints = StrPath = object
Json = Any  # what json.loads gives; as a parameter also JSON text

NOTHING = (ffi.NULL, 0)
_LIMITS = {"i32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "i64": (-(2**63), 2**63 - 1), "u64": (0, 2**64 - 1)}


class Keep(list[Any]):
    """Holds the memory that an options struct points to; assigning a pointer to a field does not."""

    def __call__(self, data: Any, length: int) -> tuple[Any, int]:
        if isinstance(data, bytes):
            data = ffi.from_buffer("char[]", data)
        self.append(data)
        return data, length

    def pointer(self, data: Any) -> Any:
        self.append(data)
        return data


# Numbers


def wrong(value: object, name: str, wanted: str) -> TypeError:
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


def _integer(kind: str, value: Any, name: str) -> int:
    try:
        number = index(value)
    except TypeError:
        raise wrong(value, name, "an int") from None
    low, high = _LIMITS[kind]
    if not low <= number <= high:
        raise ArgumentError(f"{name} must be from {low} to {high}, not {number}", ErrorCode.INVALID_ARGUMENT)
    return number


def i32(value: Any, name: str) -> int:
    return _integer("i32", value, name)


def u32(value: Any, name: str) -> int:
    return _integer("u32", value, name)


def i64(value: Any, name: str) -> int:
    return _integer("i64", value, name)


def u64(value: Any, name: str) -> int:
    return _integer("u64", value, name)


size = u64


def f64(value: Any, name: str) -> float:
    if isinstance(value, str) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise wrong(value, name, "a float")
    return float(value)


f32 = f64


def boolean(value: Any, name: str) -> bool:
    if isinstance(value, int):
        return bool(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return bool(value)
    raise wrong(value, name, "a bool")


def enum(kind: Any, value: Any, name: str) -> int:
    """A member, its value, or its name in any case."""
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        raise wrong(value, name, f"a {kind.__name__}, an int or a str")
    try:
        return int(kind[value.upper()])
    except KeyError:
        names = ", ".join(member.lower() for member in kind.__members__)
        raise ArgumentError(f"{name} must be one of {names}, not {value!r}", ErrorCode.INVALID_ARGUMENT) from None


def handle(value: Any, kind: str, name: str) -> Any:
    if kind not in [base.__name__ for base in type(value).__mro__]:
        raise wrong(value, name, f"a {kind}")
    return value._handle


# Texts and arrays to C: each gives the pointer and the length


def utf8(value: Any, name: str) -> tuple[bytes, int]:
    if not isinstance(value, str):
        raise wrong(value, name, "a str")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"{name} is not valid Unicode: {error.reason}", ErrorCode.INVALID_UTF8) from None
    return data, len(data)


def path(value: Any, name: str) -> tuple[bytes, int]:
    if not isinstance(value, (str, os.PathLike)):
        raise wrong(value, name, "a str or a path")
    data = os.fspath(value)
    return utf8(data if isinstance(data, str) else os.fsdecode(data), name)


def json(value: Any, name: str) -> tuple[bytes, int]:
    """JSON text is passed on as it is; anything else is written as JSON."""
    if not isinstance(value, str):
        try:
            value = _json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(f"{name} cannot be written as JSON: {error}") from None
    return utf8(value, name)


def texts(values: Any, name: str) -> tuple[Any, int]:
    """Several texts, or a single one."""
    return _several((values,) if isinstance(values, str) else values, name, utf8, "a list of str")


def paths(values: Any, name: str) -> tuple[Any, int]:
    """Several file names, or a single one."""
    return _several((values,) if isinstance(values, (str, os.PathLike)) else values, name, path, "a list of paths")


def _several(values: Any, name: str, one: Callable[[Any, str], tuple[bytes, int]], wanted: str) -> tuple[Any, int]:
    try:
        blobs = [ffi.from_buffer("char[]", one(value, f"{name}[{i}]")[0]) for i, value in enumerate(values)]
    except TypeError as error:
        raise error if isinstance(values, Iterable) else wrong(values, name, wanted) from None
    array = ffi.new(STRING_ARRAY, [(blob, len(blob)) for blob in blobs])
    return ffi.gc(array, lambda _: blobs.clear()), len(blobs)  # the closure keeps the texts alive


def data(value: Any, name: str) -> tuple[Any, int]:
    try:
        view = memoryview(value)
    except TypeError:
        raise wrong(value, name, "bytes or another buffer") from None
    array = ffi.from_buffer("uint8_t[]", view if view.c_contiguous else view.tobytes())
    return array, len(array)


def u8_span(values: Any, name: str) -> tuple[Any, int]:
    return _span("uint8_t[]", "Bbc?", values, name)


def i32_span(values: Any, name: str) -> tuple[Any, int]:
    return _span("int32_t[]", "i", values, name)


def f32_span(values: Any, name: str) -> tuple[Any, int]:
    return _span("float[]", "f", values, name)


def _span(ctype: str, formats: str, values: Any, name: str) -> tuple[Any, int]:
    """A buffer of the right format is used in place; another one is converted, with the range checked."""
    if not isinstance(values, (list, tuple)):
        try:
            view = memoryview(values)
        except TypeError:
            pass
        else:
            form = view.format.lstrip("@=<") if view.format else "B"
            if form in formats or (form == "l" and formats == "i" and view.itemsize == 4):
                array = ffi.from_buffer(ctype, view if view.c_contiguous else view.tobytes())
                return array, len(array)
            if form in ("?", "c") or isinstance(values, (bytes, bytearray)):
                raise wrong(values, name, f"a list or an array of {ctype[:-2]}")
            if len(view.shape or ()) != 1:
                raise TypeError(f"{name} must have the type {ctype[:-2]} where it has several dimensions")
            values = view.tolist()
    try:
        array = ffi.new(ctype, values if isinstance(values, (list, tuple)) else list(values))
    except OverflowError as error:
        raise ArgumentError(f"{name}: {error}", ErrorCode.INVALID_ARGUMENT) from None
    except (TypeError, NotImplementedError) as error:
        raise TypeError(f"{name} must be a list or an array of {ctype[:-2]}: {error}") from None
    return array, len(array)


@functools.cache
def _numpy() -> Any:
    """NumPy, which only those need who ask for arrays."""
    try:
        import numpy
    except ImportError:
        raise ImportError(f"an array of floats needs NumPy: pip install {__name__.partition('.')[0]}[numpy]") from None
    return numpy


# Texts and arrays from C: `take_` frees the block, the others copy what stays the library's


def text(pointer: Any, length: int) -> str:
    return ffi.unpack(pointer, length).decode("utf-8", "replace") if length else ""


def parsed(pointer: Any, length: int) -> Json:
    return _json.loads(text(pointer, length))


def raw(pointer: Any, length: int) -> bytes:
    return bytes(ffi.buffer(pointer, length)) if length else b""


def ints(pointer: Any, length: int) -> list[int]:
    return ffi.unpack(pointer, length) if length else []


numbers = ints  # of floats: a list, for the small arrays inside structs


def floats(pointer: Any, length: int) -> FloatArray:
    return float_view(pointer, length).copy()


def float_view(pointer: Any, length: int, owner: object = None) -> FloatArray:
    """The library's own memory as a read-only array; `owner` stays alive with it."""
    numpy = _numpy()
    if not length:
        return numpy.empty(0, numpy.float32)
    held = ffi.gc(pointer, lambda _, owner=owner: None)
    array = numpy.frombuffer(ffi.buffer(held, 4 * length), numpy.float32)
    array.flags.writeable = False
    return array


def strings(pointer: Any, length: int) -> list[str]:
    return [text(pointer[i].data, pointer[i].len) for i in range(length)]


def pairs(pointer: Any, length: int) -> dict[str, str]:
    items = iter(strings(pointer, length))
    return dict(zip(items, items, strict=True))


def take_text(pointer: Any, length: int) -> str:
    try:
        return text(pointer, length)
    finally:
        free(pointer)


def take_parsed(pointer: Any, length: int) -> Json:
    return _json.loads(take_text(pointer, length))


def take_raw(pointer: Any, length: int) -> bytes:
    try:
        return raw(pointer, length)
    finally:
        free(pointer)


def take_ints(pointer: Any, length: int) -> list[int]:
    try:
        return ints(pointer, length)
    finally:
        free(pointer)


def take_floats(pointer: Any, length: int) -> FloatArray:
    block = ffi.gc(pointer, free, 4 * length)  # the array keeps the block, and the block frees itself
    numpy = _numpy()
    if not length:
        return numpy.empty(0, numpy.float32)
    return numpy.frombuffer(ffi.buffer(block, 4 * length), numpy.float32)


take_numbers = take_ints


def take_strings(pointer: Any, length: int) -> list[str]:
    try:
        return strings(pointer, length)
    finally:
        free(pointer)


def take_pairs(pointer: Any, length: int) -> dict[str, str]:
    try:
        return pairs(pointer, length)
    finally:
        free(pointer)


def rows(array: FloatArray, count: int) -> FloatArray:
    """A flat array as `count` rows."""
    return array.reshape(count, array.size // count if count else 0)
