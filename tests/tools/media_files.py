"""Small images and sounds, written by hand: whole ones, and ones that are damaged in ways that files are."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np

# The sides of these images are no square and no multiple of the projector's: they are resized.
WIDTH, HEIGHT = 40, 24


def pixels(seed: int = 1, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """(height, width, 3), smooth enough to stay different when it is made small."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (4, 4, 3))
    return coarse[np.arange(height) * 4 // height][:, np.arange(width) * 4 // width].astype(np.uint8)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(image: np.ndarray | None = None, *, width: int | None = None, height: int | None = None, rows: bytes | None = None) -> bytes:
    """A PNG; `width`, `height` and `rows` (filtered, unpacked) let it say and hold what it is not."""
    image = pixels() if image is None else image
    if rows is None:
        rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width or image.shape[1], height or image.shape[0], 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")


def bmp(image: np.ndarray | None = None) -> bytes:
    image = pixels() if image is None else image
    height, width, _ = image.shape
    padding = b"\0" * (-width * 3 % 4)
    rows = b"".join(row[:, ::-1].tobytes() + padding for row in image[::-1])
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + header + rows


def tone(hertz: float = 440.0, seconds: float = 1.0, rate: int = 16000) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def wav(samples: np.ndarray | None = None, *, rate: int = 16000, claimed: int | None = None) -> bytes:
    """Mono floats; `claimed` is the number of bytes that the file says its samples have."""
    data = (tone() if samples is None else samples).astype("<f4").tobytes()
    size = len(data) if claimed is None else claimed
    form = struct.pack("<HHIIHH", 3, 1, rate, 4 * rate, 4, 32)
    return b"RIFF" + struct.pack("<I", min(36 + size, 0xFFFFFFFF)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", size) + data


def as_base64(file: bytes) -> str:
    return base64.b64encode(file).decode()


def url(file: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{as_base64(file)}"


def image_part(file: bytes | None = None) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url(png() if file is None else file)}}


def sound_part(file: bytes | None = None, form: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": as_base64(wav() if file is None else file), "format": form}}


def shown(*parts: Any) -> list[dict[str, Any]]:
    """A message of a user with these parts; texts may be given as they are."""
    return [{"role": "user", "content": [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]}]
