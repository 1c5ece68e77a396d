"""Damaged copies of a GGUF file for the bad-input tests: truncations and mutations, the same ones for the same seed.

A file of random bytes is refused at its first check. To reach the later ones, `fields` parses the header as far as it
takes to know where each count, type, length, string, dimension and offset lies, and a mutation changes one of them to
a value that is likely to hurt: zero, one off, the largest, a sign bit, another valid type. Layout of the format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

N_TRUNCATIONS = 50
N_MUTATIONS = 500

# Width in bytes of each scalar value type; 8 is a string and 9 an array.
SCALAR_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class Field:
    """Where one part of the header lies, and what it means."""

    kind: str
    offset: int
    size: int


def fields(data: bytes) -> list[Field]:
    """Every field of a valid file's header in order, and one last field of kind `data` for the tensors' bytes."""
    reader = _Reader(data)
    reader.take("magic", 4)
    reader.take("version", 4)
    n_tensors = reader.integer("tensor count", 8)
    n_kv = reader.integer("kv count", 8)
    for _ in range(n_kv):
        reader.string("key")
        reader.value(reader.integer("kv type", 4))
    for _ in range(n_tensors):
        reader.string("tensor name")
        n_dims = reader.integer("dimension count", 4)
        for _ in range(n_dims):
            reader.integer("dimension", 8)
        reader.integer("tensor type", 4)
        reader.integer("tensor offset", 8)
    reader.take("data", len(data) - reader.offset)
    return reader.fields


def truncations(data: bytes, n: int = N_TRUNCATIONS, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`n` prefixes of random length; half of them end inside the header, which holds most of the parsing."""
    chance = random.Random(seed)
    header_size = fields(data)[-1].offset
    for index in range(n):
        length = chance.randrange(1, header_size if index % 2 else len(data))
        yield f"truncated-{index:02d} to {length} of {len(data)} bytes", data[:length]


def mutations(data: bytes, n: int = N_MUTATIONS, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """`n` copies with one change each, spread evenly over the kinds of field, plus random bit flips."""
    chance = random.Random(seed)
    by_kind: defaultdict[str, list[Field]] = defaultdict(list)
    for field in fields(data):
        if field.size:
            by_kind[field.kind].append(field)
    # Scalar values are where a well-formed file can still ask for the absurd: no heads, 4 billion layers, a NaN.
    kinds = [*by_kind, *["value"] * 4, "dimension", "bit flips", "string resized", "bytes removed"]
    made = 0
    while made < n:
        kind = kinds[made % len(kinds)]
        if kind == "bit flips":
            detail, damaged = _flip_bits(data, chance)
        elif kind == "string resized":
            detail, damaged = _resize_string(data, chance.choice(by_kind["string"] + by_kind["key"]), chance)
        elif kind == "bytes removed":
            detail, damaged = _remove_bytes(data, by_kind["data"][0].offset, chance)
        else:
            detail, damaged = _damage(data, chance.choice(by_kind[kind]), chance)
        if damaged != data:
            yield f"mutation-{made:03d} {kind} {detail}", damaged
            made += 1


def corpus(data: bytes, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """All damaged copies of `data`: 50 truncations, then 500 mutations."""
    yield from truncations(data, seed=seed)
    yield from mutations(data, seed=seed)


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0
        self.fields: list[Field] = []

    def take(self, kind: str, size: int) -> bytes:
        self.fields.append(Field(kind, self.offset, size))
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def integer(self, kind: str, size: int) -> int:
        return int.from_bytes(self.take(kind, size), "little")

    def string(self, kind: str) -> None:
        self.take(kind, self.integer(kind + " length", 8))

    def value(self, type_: int) -> None:
        if type_ == STRING:
            self.string("string")
        elif type_ == ARRAY:
            item_type = self.integer("array type", 4)
            n_items = self.integer("array length", 8)
            if item_type == STRING:
                for _ in range(n_items):
                    self.string("array string")
            else:
                self.take("array values", SCALAR_SIZES[item_type] * n_items)
        else:
            self.take("value", SCALAR_SIZES[type_])


def _damage(data: bytes, field: Field, chance: random.Random) -> tuple[str, bytes]:
    """Replaces a field by one of the same size."""
    old = data[field.offset : field.offset + field.size]
    if field.kind in ("magic", "key", "string", "array string", "tensor name", "array values", "data"):
        new = _other_bytes(old, chance)
    elif field.kind in ("kv type", "array type"):
        new = chance.choice([*range(14), 0x7FFFFFFF, 0xFFFFFFFF]).to_bytes(4, "little")
    elif field.kind == "tensor type":
        new = chance.choice([*range(45), 0x7FFFFFFF, 0xFFFFFFFF]).to_bytes(4, "little")
    else:
        new = _other_integer(old, chance)
    detail = f"at {field.offset}: {old[:8].hex()} -> {new[:8].hex()}"
    return detail, data[: field.offset] + new + data[field.offset + field.size :]


def _other_integer(old: bytes, chance: random.Random) -> bytes:
    bits = 8 * len(old)
    value = int.from_bytes(old, "little")
    top = 1 << bits
    candidates = [0, 1, 2, value + 1, value - 1, 2 * value, value // 2, -value, top - 1, top // 2, top // 2 - 1]
    candidates += [top // 4, top - 32, chance.getrandbits(bits), chance.getrandbits(bits // 2), value ^ (top // 2)]
    if bits == 32:  # may be a float: not a number, infinity, -1
        numbers = (float("nan"), float("inf"), -1.0)
        candidates += [int.from_bytes(struct.pack("<f", number), "little") for number in numbers]
    return (chance.choice(candidates) % top).to_bytes(len(old), "little")


def _other_bytes(old: bytes, chance: random.Random) -> bytes:
    way = chance.randrange(4)
    if way == 0:
        return bytes(len(old))
    if way == 1:
        return b"\xff" * len(old)
    if way == 2:
        return chance.randbytes(len(old))
    new = bytearray(old)
    new[chance.randrange(len(new))] = chance.randrange(256)
    return bytes(new)


def _flip_bits(data: bytes, chance: random.Random) -> tuple[str, bytes]:
    n_flips = chance.choice([1, 1, 2, 8, 64])
    new = bytearray(data)
    for _ in range(n_flips):
        new[chance.randrange(len(new))] ^= 1 << chance.randrange(8)
    return f"{n_flips} anywhere", bytes(new)


def _resize_string(data: bytes, field: Field, chance: random.Random) -> tuple[str, bytes]:
    """Another text with a correct length in front; what follows moves."""
    text = chance.choice([b"", b"x", b"\0", b"general.architecture", chance.randbytes(70), b"\xf0\x9f", b"a" * 70000])
    start = field.offset - 8
    detail = f"at {field.offset}: {field.size} -> {len(text)} bytes"
    return detail, data[:start] + struct.pack("<Q", len(text)) + text + data[field.offset + field.size :]


def _remove_bytes(data: bytes, header_size: int, chance: random.Random) -> tuple[str, bytes]:
    start = chance.randrange(header_size)
    size = chance.choice([1, 4, 8, 32, 1000])
    return f"{size} at {start}", data[:start] + data[start + size :]
