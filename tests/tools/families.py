"""The chat templates of the llama.cpp tree, one for each family of models, and the special texts that they write."""

from __future__ import annotations

import os
import re
from pathlib import Path

SOURCE = os.environ.get("MULLAMA_TEST_SOURCE")
WITHOUT_SOURCE = "MULLAMA_TEST_SOURCE names the llama.cpp source; run `./x pytest`"

# <|im_start|>  <|turn>  <turn|>  <|User|> with wide bars  [INST]  ]<]image[>[  <seed:bos>  <think>
_SPECIAL = re.compile(
    r"<\|[^<>|\s'\"{}]{1,40}\|?>|<[a-z_]{1,40}\|>|<\uff5c[^<>\uff5c\s]{1,40}\uff5c>|\[/?[A-Z_]{3,}\]|\]<\][a-z]+\[>\["
    r"|</?[a-z]+:\w+>|</?(?:s|think|start_of_turn|end_of_turn|begin\w*_of_\w+|end_of_\w+|tool_calls?|tool_response)>"
)
# Those of the tiny models' own template, and of vocabularies in general.
COMMON = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]

# Their templates write no tools, nor calls.
WITHOUT_TOOLS = {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "google-gemma-2-2b-it", "llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"}


def templates() -> dict[str, str]:
    """Their sources by name; none where the tree is not at hand."""
    if not SOURCE:
        return {}
    paths = sorted((Path(SOURCE) / "models" / "templates").glob("*.jinja"))
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def special_texts(template: str) -> list[str]:
    return sorted(set(_SPECIAL.findall(template.replace("{}", ""))))  # one family puts a suffix, here empty, into its own


def all_special_texts() -> list[str]:
    return sorted({*COMMON, *(text for template in templates().values() for text in special_texts(template))})
