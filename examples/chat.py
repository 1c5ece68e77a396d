"""A chat with a model, streamed, that remembers what was said: python chat.py model.gguf"""

import sys

import mullama

with mullama.Model(sys.argv[1] if len(sys.argv) > 1 else "model.gguf") as model, model.create_context() as context:
    messages = []
    while question := input("> "):
        messages.append({"role": "user", "content": question})
        answer = ""
        # What the context still holds of the chat is not evaluated again.
        for piece in context.stream(messages=messages, max_tokens=128, overflow="shift"):
            print(piece, end="", flush=True)
            answer += piece
        print()
        messages.append({"role": "assistant", "content": answer})
