"""Loads each file of a folder and, where it loads, uses the model: run as a program, so that a crash is not the tests' own.

`python try_models.py FOLDER NAME...` writes two lines for each name, `begin NAME` and `end NAME OUTCOME`; the outcome
is `works` or the code and the message of an error. A file that takes longer than a minute ends the process.
"""

from __future__ import annotations

import faulthandler
import resource
import sys
from pathlib import Path

import mullama

LONGEST_S = 60
# With one thread a failed check of llama.cpp is an INTERNAL error; on a worker thread it would end the process.
N_THREADS = 1
# What a careless header asks for is refused by the system, as on a small machine.
ADDRESS_SPACE = 6 << 30


def use(path: Path) -> None:
    with mullama.Model(path) as model:
        info = model.info
        model.metadata()
        n_tokens = model.n_vocab or int(model.metadata_value(f"{info.architecture}.vocab_size") or 1)
        if model.n_vocab:
            model.detokenize(model.tokenize("the water of life\n", parse_special=True), unparse_special=True)
            for token in range(0, n_tokens, 37):
                model.token_piece(token)
                model.token_text(token)
        makes_text = info.architecture != "bert"
        with model.create_context(n_ctx=64, n_ubatch=16, n_threads=N_THREADS, embeddings=not makes_text) as context:
            context.decode([token % n_tokens for token in range(3, 15)], outputs="all")
            if makes_text:
                if model.n_vocab:
                    context.generate(tokens=[1, 5], max_tokens=4, seed=1)
                context.load_state(context.save_state())


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        print("begin", name, flush=True)
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        try:
            use(folder / name)
            outcome = "works"
        except mullama.Error as error:
            outcome = f"{error.code.name} {error.message!r}"
        faulthandler.cancel_dump_traceback_later()
        print("end", name, outcome, flush=True)


if __name__ == "__main__":
    main()
