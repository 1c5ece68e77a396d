"""A GGUF file written anew with other metadata or other tensor types: well-formed files that ask for the absurd.

`mutate.py` changes bytes in place, so a tensor of another type does not fit its size and is refused early. Here the
sizes and offsets fit, and what refuses such a file has to understand it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, ReaderTensor

ABSURD_INTEGERS = (
    0,
    1,
    2,
    3,
    5,
    7,
    255,
    257,
    1000,
    65536,
    1 << 20,
    1 << 24,
    1 << 30,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
)
ABSURD_FLOATS = (0.0, 1.0, -1.0, -1e-45, 1e38, -1e38, math.nan, math.inf, -math.inf)
ABSURD_TEXTS = ("", "x", "a" * 5000, "gpt2", "bert", "t5", "rwkv", "llama")


@functools.cache
def _contents(source: Path) -> tuple[str, dict[str, tuple[GGUFValueType, Any]], list[ReaderTensor]]:
    reader = GGUFReader(source)
    metadata = {
        key: (field.types[0], field.contents())
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.") and key != "general.architecture"
    }
    return reader.fields["general.architecture"].contents(), metadata, reader.tensors


def write(
    source: Path,
    target: Path,
    *,
    values: Mapping[str, tuple[GGUFValueType, Any]] | None = None,
    without: str | None = None,
    types: Mapping[str, GGMLQuantizationType] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
) -> bool:
    """Writes `source` to `target` with the given changes. False where a row does not hold whole blocks of the type."""
    architecture, metadata, old_tensors = _contents(source)
    writer = gguf.GGUFWriter(target, architecture)
    for key, (type_, value) in {**metadata, **(values or {})}.items():
        if key == without:
            continue
        if type_ == GGUFValueType.ARRAY:
            writer.add_array(key, value)
        else:
            writer.add_key_value(key, value, type_)
    for tensor in old_tensors:
        type_ = (types or {}).get(tensor.name, tensor.tensor_type)
        data = tensor.data
        if type_ != tensor.tensor_type:
            block, size = gguf.GGML_QUANT_SIZES[type_]
            columns, *rows = (int(length) for length in tensor.shape)
            if columns % block:
                return False
            data = np.zeros((*reversed(rows), columns // block * size), np.uint8)
        writer.add_tensor(tensor.name, data, raw_dtype=type_)
    for name, data in (tensors or {}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return True


def in_other_types(source: Path, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Copies in which one tensor has another type, for every tensor of the first layer and every type there is."""
    for tensor in _contents(source)[2]:
        for type_ in gguf.GGML_QUANT_SIZES:
            if tensor.name.startswith("blk.1.") or type_ == tensor.tensor_type:
                continue
            if write(source, scratch, types={tensor.name: type_}):
                yield f"{tensor.name} as {type_.name}", scratch.read_bytes()


def with_absurd_values(source: Path, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Copies in which one number or text of the metadata is absurd, or missing."""
    for key, (type_, _) in _contents(source)[1].items():
        write(source, scratch, without=key)
        yield f"without {key}", scratch.read_bytes()
        choices = {
            GGUFValueType.UINT32: ABSURD_INTEGERS,
            GGUFValueType.FLOAT32: ABSURD_FLOATS,
            GGUFValueType.STRING: ABSURD_TEXTS,
        }
        for value in choices.get(type_, ()):
            write(source, scratch, values={key: (type_, value)})
            yield f"{key} = {str(value)[:20]!r}", scratch.read_bytes()
