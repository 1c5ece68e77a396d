"""Files that cases load besides the tiny models: damaged ones, and small variants.

| file | what it is |
|---|---|
| `empty.gguf` | no bytes |
| `folder.gguf` | a folder |
| `magic.gguf`, `version.gguf` | `minimal.gguf` with another magic, and with version 99 |
| `header.gguf`, `half.gguf` | the first 100 bytes of it, and its first half |
| `nan.gguf` | its last weights are NaN |
| `architecture.gguf` | an architecture that nobody knows |
| `named-template.gguf` | `minimal.gguf` with a second chat template, `tool_use` |
| `suppressed.gguf` | `minimal.gguf` that asks never to generate the tokens 5 and 9 |
| `labels.gguf` | `bert.gguf` as a classifier with three labels |
| `rerank.gguf` | a bert that scores documents for a query |
| `garbage.state` | 4 KB that are no saved state |
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import gguf
import tiny_models

SUPPRESSED = [5, 9]
LABELS = ["sad", "neutral", "glad"]
TOOL_TEMPLATE = "{% for message in messages %}[tool] {{ message.content }}\n{% endfor %}"


def write_all(folder: Path, tiny: Path) -> None:
    folder.mkdir(parents=True)
    minimal = (tiny / "minimal.gguf").read_bytes()
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "folder.gguf").mkdir()
    (folder / "magic.gguf").write_bytes(b"GGML" + minimal[4:])
    (folder / "version.gguf").write_bytes(minimal[:4] + (99).to_bytes(4, "little") + minimal[8:])
    (folder / "header.gguf").write_bytes(minimal[:100])
    (folder / "half.gguf").write_bytes(minimal[: len(minimal) // 2])
    (folder / "nan.gguf").write_bytes(minimal[:-64] + b"\xff" * 64)
    copy(tiny / "minimal.gguf", folder / "architecture.gguf", architecture="zork")
    copy(
        tiny / "minimal.gguf",
        folder / "named-template.gguf",
        lambda writer: writer.add_string("tokenizer.chat_template.tool_use", TOOL_TEMPLATE),
    )
    copy(
        tiny / "minimal.gguf",
        folder / "suppressed.gguf",
        lambda writer: writer.add_array("tokenizer.ggml.suppress_tokens", SUPPRESSED),
    )
    tiny_models.write_bert(folder / "rerank.gguf", reranks=True)
    copy(
        tiny / "bert.gguf",
        folder / "labels.gguf",
        lambda writer: writer.add_array("bert.classifier.output_labels", LABELS),
    )
    (folder / "garbage.state").write_bytes(random.Random(0).randbytes(4096))


def copy(
    source: Path,
    target: Path,
    add: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
    architecture: str = "",
) -> None:
    """A copy of a GGUF file with more metadata, or under another architecture."""
    reader = gguf.GGUFReader(source)
    before = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture or before)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        if architecture:
            name = name.replace(f"{before}.", f"{architecture}.", 1)
        sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type)
    add(writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
