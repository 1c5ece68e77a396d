/* A chat with a model, streamed: cc chat.c -o chat $(pkg-config --cflags --libs mullama) && ./chat model.gguf */
#include <libmullama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mullama_error *err; /* why the last call failed */

static void check(int32_t code) {
    if (code == MULLAMA_OK) return;
    fprintf(stderr, "error: %s\n", mullama_error_message(err, NULL));
    exit(1);
}

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "model.gguf";
    const char *messages = "[{\"role\": \"user\", \"content\": \"Explain quantum computing in one sentence.\"}]";

    mullama_model *model;
    check(mullama_model_load(path, strlen(path), NULL, NULL, NULL, &model, &err));
    mullama_context *context;
    check(mullama_model_create_context(model, NULL, &context, &err));

    mullama_generate_options options;
    mullama_generate_options_init(&options, sizeof options);
    options.max_tokens = 128;
    mullama_generation *answer;
    check(mullama_context_generate(context, NULL, 0, NULL, 0, messages, strlen(messages), NULL, &options, NULL, NULL,
                                   &answer, &err));

    mullama_token_event event;
    mullama_token_event_init(&event, sizeof event);
    for (int32_t status;;) {
        check(mullama_generation_next(answer, -1, &event, &status, &err));
        if (status != MULLAMA_STATUS_ITEM) break;
        fwrite(event.text, 1, event.text_len, stdout);
        fflush(stdout);
    }
    putchar('\n');

    mullama_generation_free(answer);
    mullama_context_free(context);
    mullama_model_free(model);
    return 0;
}
