"""Tiny, seeded GGUF models for the tests: exact, fast to load, made when they are needed and never committed.

`python tests/tools/tiny_models.py FOLDER` writes all of them. Weights come from `numpy.random.RandomState`, whose
stream NumPy has frozen, so that ids recorded in a test case hold on every machine. Every function returns the path
(of the first part, for a split model).

| file | what it is |
|---|---|
| `llama.gguf` | 2 layers, 64 wide, 2 heads over 1 KV head of 32, F32, SPM vocabulary, chat template, `n_ctx_train` 512 |
| `other.gguf` | the same architecture and vocabulary, another shape (3 layers, 96 wide), F16 |
| `bert.gguf` | embeddings: 2 layers, 32 wide, WPM vocabulary, mean pooling |
| `no-vocabulary.gguf` | a llama without tokenizer (`no_vocab`), 64 token ids |
| `split-00001-of-00002.gguf`, `split-00002-of-00002.gguf` | `llama.gguf` in two parts |
| `lora.gguf` | an adapter for `llama.gguf` |
| `mamba.gguf` | recurrent: no KV cache, memory cannot be cut in the middle |
| `gemma3.gguf` | two layers with a sliding window of 16 tokens and one without |
| `lfm2.gguf` | hybrid: two recurrent layers (short convolutions) and two with attention |
| `t5.gguf` | an encoder and a decoder: 2 layers each, 64 wide, the llama's vocabulary |
| `sees.gguf` | a projector for images (llava's): 32 x 32 pixels in patches of 8, so 16 tokens an image |
| `hears.gguf` | a projector for sound (Ultravox's): 30 tokens for each 30 seconds begun |
| `both.gguf` | both in one file |
| `sees-gemma3.gguf` | a projector for `gemma3.gguf`, whose image tokens see each other both ways: 64 patches pooled to 16 tokens |
| `minimal.gguf` | the smallest llama that loads, the base of the damaged files of `mutate.py` |
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

N_CTX_TRAIN = 512

CHAT_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

COMMON_WORDS = """
the of and to in is that it was for on are as with his they at be this from have or by one had not but what all
were when we there can an your which their said if do will each about how up out them then she many some so these
would other into has more her two like him see time could no make than first been its who now people my made over
did down only way find use may water long little very after words called just where most know
"""
WORDS = COMMON_WORDS.split()

CONTROL = ("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")

# Characters that exist as byte tokens only: the model completes each one that it begins, so that greedy text holds
# characters whose bytes arrive over several tokens.
BYTE_CHAINS = ("é".encode(), "€".encode(), "😀".encode())
BYTE_STEPS = tuple(step for chain in BYTE_CHAINS for step in pairwise(chain))

# Channels of the residual stream that no layer writes to: a constant, by which the output rows have a bias, and one
# that is on after the first byte of each step of `BYTE_STEPS`.
BIAS_CHANNEL = 0
N_RESERVED = 1 + len(BYTE_STEPS)


@dataclass(frozen=True)
class Vocabulary:
    """Texts, scores and types of a SentencePiece vocabulary, one entry a token id."""

    texts: list[str]
    scores: list[float]
    types: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def id(self, text: str) -> int:
        return self.texts.index(text)

    def byte(self, value: int) -> int:
        return self.id(f"<0x{value:02X}>")


def spm_vocabulary(words: list[str] = WORDS) -> Vocabulary:
    """Control tokens, 256 byte tokens, printable ASCII, and every prefix of every word.

    Prefixes score higher the shorter they are, so that each word is merged from the left, one character at a time.
    """
    characters = ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    prefixes = sorted(
        {"▁" + word[:length] for word in words for length in range(1, len(word) + 1)},
        key=lambda piece: (len(piece), piece),
    )
    normal = characters + prefixes
    texts = ["<unk>", *CONTROL, *(f"<0x{value:02X}>" for value in range(256)), *normal]
    types = (
        [gguf.TokenType.UNKNOWN]
        + [gguf.TokenType.CONTROL] * len(CONTROL)
        + [gguf.TokenType.BYTE] * 256
        + [gguf.TokenType.NORMAL] * len(normal)
    )
    n_unscored = len(texts) - len(normal)
    scores = [0.0] * n_unscored + [-float(rank) for rank in range(len(normal))]
    return Vocabulary(texts, scores, [int(type_) for type_ in types])


def write_llama(
    path: Path | str,
    seed: int = 4,
    *,
    n_layer: int = 2,
    n_embd: int = 64,
    n_head: int = 2,
    n_head_kv: int = 1,
    n_ff: int = 128,
    dtype: type = np.float32,
    name: str = "tiny llama",
    n_parts: int = 1,
) -> Path:
    """A llama that generates readable, varied text under greedy sampling and ends only when it is asked to."""
    vocabulary = spm_vocabulary()
    weights = _Weights(seed, dtype)
    tensors = _llama_tensors(weights, len(vocabulary), n_layer, n_embd, n_head, n_head_kv, n_ff)
    _shape_output(tensors["token_embd.weight"], tensors["output.weight"], vocabulary)

    # The writer derives the names of the parts from a path without the part number.
    n_tensors_a_part = -(-len(tensors) // n_parts) if n_parts > 1 else 0
    writer = gguf.GGUFWriter(path, "llama", split_max_tensors=n_tensors_a_part)
    _add_llama_metadata(writer, name, n_layer, n_embd, n_head, n_head_kv, n_ff, dtype)
    _add_spm_metadata(writer, vocabulary)
    _write(writer, tensors)
    if n_parts == 1:
        return Path(path)
    path = Path(path)
    return path.with_name(f"{path.stem}-00001-of-{n_parts:05d}{path.suffix}")


def write_other(path: Path | str, seed: int = 1) -> Path:
    """A llama of another shape, for state that belongs to another model."""
    return write_llama(path, seed, n_layer=3, n_embd=96, n_head=3, n_head_kv=3, dtype=np.float16, name="other llama")


def write_split(path: Path | str, seed: int = 4) -> Path:
    """The tensors of `write_llama(path, seed)` in two files; `path` is the name without the part number."""
    return write_llama(path, seed, n_parts=2)


def write_no_vocabulary(path: Path | str, seed: int = 2, n_vocab: int = 64) -> Path:
    """A llama without tokenizer: it decodes ids and can neither tokenize nor detokenize."""
    n_layer, n_embd, n_head, n_ff = 1, 32, 1, 64
    writer = gguf.GGUFWriter(path, "llama")
    _add_llama_metadata(writer, "llama without vocabulary", n_layer, n_embd, n_head, n_head, n_ff, np.float32)
    writer.add_vocab_size(n_vocab)
    writer.add_tokenizer_model("no_vocab")
    tensors = _llama_tensors(_Weights(seed, np.float32), n_vocab, n_layer, n_embd, n_head, n_head, n_ff)
    _write(writer, tensors)
    return Path(path)


def write_bytes(path: Path | str, control: list[str], seed: int = 10) -> Path:
    """A llama whose BPE vocabulary has a token for each byte, and the given control tokens: it says anything, exactly.

    Unlike SentencePiece, it puts no space behind a special token. Not among those of `write_all`.
    """
    n_layer, n_embd, n_head, n_ff = 1, 32, 1, 32
    texts = [*control, *_BYTE_LETTERS]
    types = [gguf.TokenType.CONTROL] * len(control) + [gguf.TokenType.NORMAL] * len(_BYTE_LETTERS)
    writer = gguf.GGUFWriter(path, "llama")
    _add_llama_metadata(writer, "llama of bytes", n_layer, n_embd, n_head, n_head, n_ff, np.float32, n_ctx_train=8192)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(texts)
    writer.add_token_types([int(type_) for type_ in types])
    writer.add_token_merges(["\u0120 \u0120"])  # llama.cpp asks for one at least; two spaces in a row have no token
    writer.add_bos_token_id(texts.index("<s>"))
    writer.add_eos_token_id(texts.index("</s>"))
    writer.add_add_bos_token(False)
    tensors = _llama_tensors(_Weights(seed, np.float32), len(texts), n_layer, n_embd, n_head, n_head, n_ff)
    # What is no part of a readable text: control tokens, and bytes that can begin what is no character of Unicode.
    tensors["token_embd.weight"][:, BIAS_CHANNEL] = 2.0
    unreadable = [*control, *(_BYTE_LETTERS[byte] for byte in (0xC0, 0xC1, 0xE0, 0xED, *range(0xF0, 0x100)))]
    tensors["output.weight"][[texts.index(text) for text in unreadable], BIAS_CHANNEL] = -20.0
    _write(writer, tensors)
    return Path(path)


def _byte_letters() -> list[str]:
    """The letters in which GPT-2's vocabulary writes the bytes 0 to 255: printable ones stand for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


_BYTE_LETTERS = _byte_letters()


def write_minimal(path: Path | str, seed: int = 3) -> Path:
    """The smallest llama that loads (about 30 KB): one layer, a vocabulary of single characters, no byte tokens."""
    n_layer, n_embd, n_head, n_ff = 1, 32, 1, 32
    vocabulary = spm_vocabulary(words=[])
    keep = [index for index, text in enumerate(vocabulary.texts) if not text.startswith("<0x") or text == "<0x0A>"]
    vocabulary = Vocabulary(*([column[index] for index in keep] for column in vars(vocabulary).values()))
    writer = gguf.GGUFWriter(path, "llama")
    _add_llama_metadata(writer, "minimal llama", n_layer, n_embd, n_head, n_head, n_ff, np.float16)
    _add_spm_metadata(writer, vocabulary)
    tensors = _llama_tensors(_Weights(seed, np.float16), len(vocabulary), n_layer, n_embd, n_head, n_head, n_ff)
    _write(writer, tensors)
    return Path(path)


def write_bert(path: Path | str, seed: int = 0, *, reranks: bool = False) -> Path:
    """A bert for embeddings: WPM vocabulary (words, and single letters as first and following pieces), mean pooling.

    One that reranks has a head for a score in place of the pooling; it is not among the models of `write_all`.
    """
    n_layer, n_embd, n_head, n_ff, n_ctx_train = 2, 32, 2, 64, 128
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    # llama.cpp marks the first piece of a word, where the original vocabulary marks the following ones with "##".
    texts = special + ["▁" + letter for letter in letters] + letters
    texts += ["▁" + word for word in WORDS if len(word) > 1]
    types = [gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.NORMAL] * (len(texts) - len(special))

    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("tiny bert")
    writer.add_context_length(n_ctx_train)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layer)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_head)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK if reranks else gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list(texts)
    writer.add_token_types([int(type_) for type_ in types])
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)

    weights = _Weights(seed, np.float32)
    tensors = {
        "token_embd.weight": weights.normal(len(texts), n_embd),
        "token_types.weight": weights.normal(2, n_embd, scale=0.1),
        "position_embd.weight": weights.normal(n_ctx_train, n_embd, scale=0.3),
        "token_embd_norm.weight": weights.ones(n_embd),
        "token_embd_norm.bias": weights.zeros(n_embd),
    }
    for layer in range(n_layer):
        block = f"blk.{layer}."
        for projection in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[block + projection + ".weight"] = weights.matrix(n_embd, n_embd)
            tensors[block + projection + ".bias"] = weights.normal_vector(n_embd, scale=0.1)
        tensors[block + "ffn_up.weight"] = weights.matrix(n_ff, n_embd)
        tensors[block + "ffn_up.bias"] = weights.normal_vector(n_ff, scale=0.1)
        tensors[block + "ffn_down.weight"] = weights.matrix(n_embd, n_ff)
        tensors[block + "ffn_down.bias"] = weights.normal_vector(n_embd, scale=0.1)
        for norm in ("attn_output_norm", "layer_output_norm"):
            tensors[block + norm + ".weight"] = weights.ones(n_embd)
            tensors[block + norm + ".bias"] = weights.zeros(n_embd)
    if reranks:
        tensors |= {
            "cls.weight": weights.matrix(n_embd, n_embd),
            "cls.bias": weights.normal_vector(n_embd, scale=0.1),
            "cls.output.weight": weights.matrix(1, n_embd, gain=3.0),
            "cls.output.bias": weights.zeros(1),
        }
    _write(writer, tensors)
    return Path(path)


def write_mamba(path: Path | str, seed: int = 5) -> Path:
    """A recurrent model with the llama's vocabulary."""
    n_layer, n_embd, d_conv, d_state, dt_rank = 2, 64, 4, 8, 4
    d_inner = 2 * n_embd
    vocabulary = spm_vocabulary()
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_name("tiny mamba")
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(n_embd)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_block_count(n_layer)
    writer.add_ssm_conv_kernel(d_conv)
    writer.add_ssm_inner_size(d_inner)
    writer.add_ssm_state_size(d_state)
    writer.add_ssm_time_step_rank(dt_rank)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_spm_metadata(writer, vocabulary)

    weights = _Weights(seed, np.float32)
    tensors = {
        "token_embd.weight": weights.normal(len(vocabulary), n_embd),
        "output_norm.weight": weights.ones(n_embd),
        "output.weight": weights.matrix(len(vocabulary), n_embd, gain=3.0),
    }
    for layer in range(n_layer):
        block = f"blk.{layer}."
        decay = -np.tile(np.arange(1, d_state + 1, dtype=np.float32), (d_inner, 1))  # S4D-real: A = -1 ... -d_state
        tensors |= {
            block + "attn_norm.weight": weights.ones(n_embd),
            block + "ssm_in.weight": weights.matrix(2 * d_inner, n_embd, gain=1.5),
            block + "ssm_conv1d.weight": weights.normal(d_inner, d_conv, scale=0.5),
            block + "ssm_conv1d.bias": weights.zeros(d_inner),
            block + "ssm_x.weight": weights.matrix(dt_rank + 2 * d_state, d_inner),
            block + "ssm_dt.weight": weights.matrix(d_inner, dt_rank),
            block + "ssm_dt.bias": weights.zeros(d_inner),
            block + "ssm_a": decay,
            block + "ssm_d": weights.ones(d_inner),
            block + "ssm_out.weight": weights.matrix(n_embd, d_inner, gain=1.0),
        }
        tensors[block + "ssm_out.weight"][:N_RESERVED] = 0
    _shape_output(tensors["token_embd.weight"], tensors["output.weight"], vocabulary)
    _write(writer, tensors)
    return Path(path)


def write_gemma3(path: Path | str, seed: int = 8) -> Path:
    """The llama's vocabulary and shape, with a sliding window in two layers of three."""
    n_layer, n_embd, n_head, n_head_kv, n_ff = 3, 64, 2, 1, 128
    head_width = n_embd // n_head
    vocabulary = spm_vocabulary()
    writer = gguf.GGUFWriter(path, "gemma3")
    _add_llama_metadata(writer, "tiny gemma3", n_layer, n_embd, n_head, n_head_kv, n_ff, np.float32)
    _add_spm_metadata(writer, vocabulary)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_sliding_window(16)
    writer.add_array("gemma3.attention.sliding_window_pattern", [True, True, False])

    weights = _Weights(seed, np.float32)
    tensors = _llama_tensors(weights, len(vocabulary), n_layer, n_embd, n_head, n_head_kv, n_ff)
    _shape_output(tensors["token_embd.weight"], tensors["output.weight"], vocabulary)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        for norm in ("post_attention_norm", "post_ffw_norm"):
            tensors[f"{block}{norm}.weight"] = 0.5 * weights.ones(n_embd)
        for norm in ("attn_q_norm", "attn_k_norm"):
            tensors[f"{block}{norm}.weight"] = weights.ones(head_width)
    _write(writer, tensors)
    return Path(path)


def write_lfm2(path: Path | str, seed: int = 9) -> Path:
    """A hybrid model: layers with a recurrent state and layers with attention in turn."""
    n_layer, n_embd, n_head, n_ff, n_conv = 4, 64, 2, 128, 3
    head_width = n_embd // n_head
    vocabulary = spm_vocabulary()
    writer = gguf.GGUFWriter(path, "lfm2")
    writer.add_name("tiny lfm2")
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(n_embd)
    writer.add_feed_forward_length(n_ff)
    writer.add_block_count(n_layer)
    writer.add_head_count(n_head)
    writer.add_head_count_kv([0, 1] * (n_layer // 2))
    writer.add_rope_dimension_count(head_width)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_shortconv_l_cache(n_conv)
    writer.add_vocab_size(len(vocabulary))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_spm_metadata(writer, vocabulary)

    weights = _Weights(seed, np.float32)
    tensors = {
        "token_embd.weight": weights.normal(len(vocabulary), n_embd),
        "token_embd_norm.weight": weights.ones(n_embd),
        "output.weight": weights.matrix(len(vocabulary), n_embd, gain=3.0),
    }
    _shape_output(tensors["token_embd.weight"], tensors["output.weight"], vocabulary)
    for layer in range(n_layer):
        block = f"blk.{layer}."
        tensors |= {
            block + "attn_norm.weight": weights.ones(n_embd),
            block + "ffn_norm.weight": weights.ones(n_embd),
            block + "ffn_gate.weight": weights.matrix(n_ff, n_embd),
            block + "ffn_up.weight": weights.matrix(n_ff, n_embd),
            block + "ffn_down.weight": weights.matrix(n_embd, n_ff),
        }
        if layer % 2:
            tensors |= {
                block + "attn_q_norm.weight": weights.ones(head_width),
                block + "attn_k_norm.weight": weights.ones(head_width),
                block + "attn_q.weight": weights.matrix(n_embd, n_embd),
                block + "attn_k.weight": weights.matrix(head_width, n_embd),
                block + "attn_v.weight": weights.matrix(head_width, n_embd),
                block + "attn_output.weight": weights.matrix(n_embd, n_embd),
            }
        else:
            tensors |= {
                block + "shortconv.conv.weight": weights.normal(n_embd, n_conv),
                block + "shortconv.in_proj.weight": weights.matrix(3 * n_embd, n_embd),
                block + "shortconv.out_proj.weight": weights.matrix(n_embd, n_embd),
            }
    _write(writer, tensors)
    return Path(path)


def write_t5(path: Path | str, seed: int = 7) -> Path:
    """An encoder-decoder model with the llama's vocabulary; its decoder begins with the end token."""
    n_layer, n_embd, n_head, n_ff, n_buckets = 2, 64, 2, 128, 32
    vocabulary = spm_vocabulary()
    writer = gguf.GGUFWriter(path, "t5")
    writer.add_name("tiny t5")
    writer.add_context_length(N_CTX_TRAIN)
    writer.add_embedding_length(n_embd)
    writer.add_feed_forward_length(n_ff)
    writer.add_block_count(n_layer)
    writer.add_head_count(n_head)
    writer.add_key_length(n_embd // n_head)
    writer.add_value_length(n_embd // n_head)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_relative_attn_buckets_count(n_buckets)
    writer.add_decoder_start_token_id(vocabulary.id("</s>"))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_spm_metadata(writer, vocabulary)

    weights = _Weights(seed, np.float32)
    tensors = {
        "token_embd.weight": weights.normal(len(vocabulary), n_embd),
        "enc.output_norm.weight": weights.ones(n_embd),
        "dec.output_norm.weight": weights.ones(n_embd),
        "output.weight": weights.matrix(len(vocabulary), n_embd, gain=3.0),
    }
    for half, attentions in {"enc": ["attn"], "dec": ["attn", "cross_attn"]}.items():
        for layer in range(n_layer):
            block = f"{half}.blk.{layer}."
            for attention in attentions:
                tensors[f"{block}{attention}_norm.weight"] = weights.ones(n_embd)
                for projection in "qkvo":
                    tensors[f"{block}{attention}_{projection}.weight"] = weights.matrix(n_embd, n_embd)
            if layer == 0:
                tensors[block + "attn_rel_b.weight"] = weights.normal(n_buckets, n_head)
            tensors |= {
                block + "ffn_norm.weight": weights.ones(n_embd),
                block + "ffn_up.weight": weights.matrix(n_ff, n_embd),
                block + "ffn_down.weight": weights.matrix(n_embd, n_ff),
            }
    _write(writer, tensors)
    return Path(path)


def write_lora(path: Path | str, seed: int = 6, *, rank: int = 4, alpha: float = 8.0) -> Path:
    """An adapter on the query and output projections of `write_llama`'s default shape, strong enough to change text."""
    n_layer, n_embd = 2, 64
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name("tiny adapter")
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    weights = _Weights(seed, np.float32)
    tensors = {}
    for layer in range(n_layer):
        for projection in ("attn_q", "attn_output"):
            tensor = f"blk.{layer}.{projection}.weight"
            tensors[tensor + ".lora_a"] = weights.matrix(rank, n_embd)
            tensors[tensor + ".lora_b"] = weights.matrix(n_embd, rank)
            tensors[tensor + ".lora_b"][:N_RESERVED] = 0
    _write(writer, tensors)
    return Path(path)


def write_projector(path: Path | str, seed: int = 11, *, sees: str | None = "mlp", hears: bool = False) -> Path:
    """A projector for models that are 64 wide. `sees` is the kind that images are projected by: mlp or gemma3."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny projector")
    writer.add_bool("clip.has_vision_encoder", sees is not None)
    writer.add_bool("clip.has_audio_encoder", hears)
    writer.add_bool("clip.use_gelu", True)
    weights = _Weights(seed, np.float32)
    tensors: dict[str, np.ndarray] = {}
    if sees is not None:
        tensors |= _add_vision(writer, weights, sees)
    if hears:
        tensors |= _add_hearing(writer, weights)
    _write(writer, tensors)
    return Path(path)


N_TEXT = 64  # width of the models that projectors are for


def _add_encoder(
    writer: gguf.GGUFWriter, weights: _Weights, modality: str, prefix: str, n_embd: int, n_layer: int, n_pos: int
) -> dict[str, np.ndarray]:
    """A transformer of `n_layer` layers over `n_pos` positions. The last of llava's is not used."""
    n_ff = 2 * n_embd
    writer.add_uint32(f"clip.{modality}.embedding_length", n_embd)
    writer.add_uint32(f"clip.{modality}.feed_forward_length", n_ff)
    writer.add_uint32(f"clip.{modality}.block_count", n_layer)
    writer.add_uint32(f"clip.{modality}.projection_dim", N_TEXT)
    writer.add_uint32(f"clip.{modality}.attention.head_count", 2)
    writer.add_float32(f"clip.{modality}.attention.layer_norm_epsilon", 1e-5)
    tensors = {
        f"{prefix}.position_embd.weight": weights.normal(n_pos, n_embd, scale=0.5),
        f"{prefix}.post_ln.weight": weights.ones(n_embd),
        f"{prefix}.post_ln.bias": weights.zeros(n_embd),
    }
    for layer in range(n_layer):
        block = f"{prefix}.blk.{layer}."
        for norm in ("ln1", "ln2"):
            tensors |= {f"{block}{norm}.weight": weights.ones(n_embd), f"{block}{norm}.bias": weights.zeros(n_embd)}
        for name, n_out, n_in in (
            ("attn_q", n_embd, n_embd),
            ("attn_k", n_embd, n_embd),
            ("attn_v", n_embd, n_embd),
            ("attn_out", n_embd, n_embd),
            ("ffn_up", n_ff, n_embd),
            ("ffn_down", n_embd, n_ff),
        ):
            tensors[f"{block}{name}.weight"] = weights.matrix(n_out, n_in)
            if name != "attn_k":  # Whisper's have none
                tensors[f"{block}{name}.bias"] = weights.normal_vector(n_out, 0.1)
    return tensors


def _add_vision(writer: gguf.GGUFWriter, weights: _Weights, kind: str) -> dict[str, np.ndarray]:
    n_embd, size = 32, 32
    patch = 8 if kind == "mlp" else 4
    writer.add_string("clip.vision.projector_type", kind)
    writer.add_uint32("clip.vision.image_size", size)
    writer.add_uint32("clip.vision.patch_size", patch)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    tensors = _add_encoder(writer, weights, "vision", "v", n_embd, 2, (size // patch) ** 2)
    tensors["v.patch_embd.weight"] = weights.normal(n_embd, 3, patch, patch, scale=2.0 / patch)
    if kind == "gemma3":
        writer.add_uint32("clip.vision.projector.scale_factor", 2)
        tensors["mm.soft_emb_norm.weight"] = weights.ones(n_embd)
        tensors["mm.input_projection.weight"] = weights.normal(n_embd, N_TEXT, scale=1.0 / np.sqrt(n_embd))
    else:
        for name, n_out, n_in in (("mm.0", N_TEXT, n_embd), ("mm.2", N_TEXT, N_TEXT)):
            tensors |= {f"{name}.weight": weights.matrix(n_out, n_in, gain=2.0), f"{name}.bias": weights.normal_vector(n_out, 0.1)}
    return tensors


def _add_hearing(writer: gguf.GGUFWriter, weights: _Weights) -> dict[str, np.ndarray]:
    n_embd, n_mel, n_stack, n_pos = 16, 16, 50, 1500  # 30 seconds are 3000 frames, halved by the second convolution
    writer.add_string("clip.audio.projector_type", "ultravox")
    writer.add_uint32("clip.audio.num_mel_bins", n_mel)
    writer.add_uint32("clip.audio.projector.stack_factor", n_stack)
    tensors = _add_encoder(writer, weights, "audio", "a", n_embd, 1, n_pos)
    for number, n_in in ((1, n_mel), (2, n_embd)):
        tensors[f"a.conv1d.{number}.weight"] = weights.normal(n_embd, n_in, 3, scale=1.0 / np.sqrt(3 * n_in)).astype(np.float16)
        tensors[f"a.conv1d.{number}.bias"] = weights.normal(n_embd, 1, scale=0.1)
    tensors |= {
        "mm.a.norm_pre.weight": weights.ones(n_embd * n_stack),
        "mm.a.mlp.1.weight": weights.matrix(2 * n_embd, n_embd * n_stack),
        "mm.a.norm_mid.weight": weights.ones(n_embd),
        "mm.a.mlp.2.weight": weights.matrix(N_TEXT, n_embd),
    }
    return tensors


def write_all(folder: Path | str) -> dict[str, Path]:
    """Writes every model into `folder` and returns their paths by name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "llama": write_llama(folder / "llama.gguf"),
        "other": write_other(folder / "other.gguf"),
        "bert": write_bert(folder / "bert.gguf"),
        "no-vocabulary": write_no_vocabulary(folder / "no-vocabulary.gguf"),
        "split": write_split(folder / "split.gguf"),
        "lora": write_lora(folder / "lora.gguf"),
        "mamba": write_mamba(folder / "mamba.gguf"),
        "gemma3": write_gemma3(folder / "gemma3.gguf"),
        "lfm2": write_lfm2(folder / "lfm2.gguf"),
        "t5": write_t5(folder / "t5.gguf"),
        "sees": write_projector(folder / "sees.gguf"),
        "hears": write_projector(folder / "hears.gguf", sees=None, hears=True),
        "both": write_projector(folder / "both.gguf", hears=True),
        "sees-gemma3": write_projector(folder / "sees-gemma3.gguf", sees="gemma3"),
        "minimal": write_minimal(folder / "minimal.gguf"),
    }


class _Weights:
    """Seeded arrays; matrices are (outputs, inputs), in NumPy's order, and keep the scale of what they multiply."""

    def __init__(self, seed: int, dtype: type):
        self.random = np.random.RandomState(seed)
        self.dtype = dtype

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def normal_vector(self, size: int, scale: float) -> np.ndarray:
        return self.normal(size, scale=scale)

    def matrix(self, n_out: int, n_in: int, gain: float = 1.0) -> np.ndarray:
        return self.normal(n_out, n_in, scale=gain / np.sqrt(n_in)).astype(self.dtype)

    def ones(self, size: int) -> np.ndarray:
        return np.ones(size, np.float32)

    def zeros(self, size: int) -> np.ndarray:
        return np.zeros(size, np.float32)


def _llama_tensors(
    weights: _Weights, n_vocab: int, n_layer: int, n_embd: int, n_head: int, n_head_kv: int, n_ff: int
) -> dict[str, np.ndarray]:
    n_embd_kv = n_embd // n_head * n_head_kv
    tensors = {
        "token_embd.weight": weights.normal(n_vocab, n_embd).astype(weights.dtype),
        "output_norm.weight": weights.ones(n_embd),
        "output.weight": weights.matrix(n_vocab, n_embd, gain=3.0),
    }
    for layer in range(n_layer):
        block = f"blk.{layer}."
        tensors |= {
            block + "attn_norm.weight": weights.ones(n_embd),
            block + "attn_q.weight": weights.matrix(n_embd, n_embd, gain=1.5),
            block + "attn_k.weight": weights.matrix(n_embd_kv, n_embd, gain=1.5),
            block + "attn_v.weight": weights.matrix(n_embd_kv, n_embd, gain=1.5),
            block + "attn_output.weight": weights.matrix(n_embd, n_embd, gain=2.0),
            block + "ffn_norm.weight": weights.ones(n_embd),
            block + "ffn_gate.weight": weights.matrix(n_ff, n_embd, gain=1.5),
            block + "ffn_up.weight": weights.matrix(n_ff, n_embd, gain=1.5),
            block + "ffn_down.weight": weights.matrix(n_embd, n_ff, gain=1.5),
        }
        tensors[block + "attn_output.weight"][:N_RESERVED] = 0
        tensors[block + "ffn_down.weight"][:N_RESERVED] = 0
    return tensors


def _shape_output(embeddings: np.ndarray, output: np.ndarray, vocabulary: Vocabulary) -> None:
    """Makes whole words, punctuation and the characters of `BYTE_CHAINS` likely, a repeated or any other token not."""
    likely = {"▁" + word for word in WORDS} | set(".,!?")
    likely |= {vocabulary.texts[vocabulary.byte(chain[0])] for chain in BYTE_CHAINS}
    output -= 0.4 * embeddings
    embeddings[:, :N_RESERVED] = 0.0
    output[:, :N_RESERVED] = 0.0
    embeddings[:, BIAS_CHANNEL] = 2.0
    for token, text in enumerate(vocabulary.texts):
        if text not in likely:
            output[token] *= 0.5
            output[token, BIAS_CHANNEL] = -20.0
    for chain in BYTE_CHAINS:
        output[vocabulary.byte(chain[0]), BIAS_CHANNEL] = 3.0
    for channel, (before, after) in enumerate(BYTE_STEPS, start=BIAS_CHANNEL + 1):
        embeddings[vocabulary.byte(before), channel] = 4.0
        output[vocabulary.byte(after), channel] = 60.0


def _add_llama_metadata(
    writer: gguf.GGUFWriter,
    name: str,
    n_layer: int,
    n_embd: int,
    n_head: int,
    n_head_kv: int,
    n_ff: int,
    dtype: type,
    n_ctx_train: int = N_CTX_TRAIN,
) -> None:
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_context_length(n_ctx_train)
    writer.add_embedding_length(n_embd)
    writer.add_block_count(n_layer)
    writer.add_feed_forward_length(n_ff)
    writer.add_head_count(n_head)
    writer.add_head_count_kv(n_head_kv)
    writer.add_rope_dimension_count(n_embd // n_head)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    f16 = dtype == np.float16
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if f16 else gguf.LlamaFileType.ALL_F32)


def _add_spm_metadata(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("llama")
    writer.add_token_list(vocabulary.texts)
    writer.add_token_scores(vocabulary.scores)
    writer.add_token_types(vocabulary.types)
    writer.add_unk_token_id(vocabulary.id("<unk>"))
    writer.add_bos_token_id(vocabulary.id("<s>"))
    writer.add_eos_token_id(vocabulary.id("</s>"))
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _write(writer: gguf.GGUFWriter, tensors: dict[str, np.ndarray]) -> None:
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: tiny_models.py FOLDER")
    for name, path in write_all(sys.argv[1]).items():
        print(f"{name:14} {path.stat().st_size / 1024:7.0f} KB  {path}")


if __name__ == "__main__":
    main()
