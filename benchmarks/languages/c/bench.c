/* The C program of the comparison between languages; the protocol stands in benchmarks/languages/README.md. */
#define _POSIX_C_SOURCE 199309L

#include <libmullama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_NEW 128
#define ROUNDS 5

static mullama_error *err;
static mullama_model *model;
static mullama_context *context;
static mullama_engine *engine; /* opened by the first word that needs it */
static int32_t bos;

static void check(int32_t code) {
    if (code == MULLAMA_OK) return;
    fprintf(stderr, "error: %s\n", mullama_error_message(err, NULL));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static mullama_generation *start(void) {
    mullama_generate_options options;
    mullama_generate_options_init(&options, sizeof options);
    options.max_tokens = N_NEW;
    options.ignore_eos = 1;
    mullama_sampler_options sampling;
    mullama_sampler_options_init(&sampling, sizeof sampling);
    sampling.temperature = 0;
    mullama_generation *generation;
    check(mullama_context_generate(context, NULL, 0, &bos, 1, NULL, 0, NULL, &options, &sampling, NULL, &generation, &err));
    return generation;
}

static void generate(void) {
    mullama_generation *const generation = start();
    int32_t status;
    check(mullama_generation_run(generation, -1, &status, &err));
    const char *text;
    size_t len;
    check(mullama_generation_text(generation, &text, &len, &err));
    char *const copy = malloc(len + 1);
    if (!copy) exit(1);
    memcpy(copy, text, len + 1);
    mullama_generation_free(generation);
    free(copy);
}

static void stream(void) {
    mullama_generation *const generation = start();
    mullama_token_event event;
    mullama_token_event_init(&event, sizeof event);
    int32_t status;
    do {
        check(mullama_generation_next(generation, -1, &event, &status, &err));
    } while (status == MULLAMA_STATUS_ITEM);
    mullama_generation_free(generation);
}

static void open_engine(const char *path, int32_t n_threads) {
    mullama_engine_options options;
    mullama_engine_options_init(&options, sizeof options);
    options.n_ctx = 1024;
    options.n_slots = 1;
    options.n_threads = n_threads;
    check(mullama_engine_open(path, strlen(path), &options, NULL, NULL, NULL, &engine, &err));
}

static void chat(void) {
    static const char body[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Say hello.\"}], \"max_tokens\": 64, \"temperature\": 0,"
                               " \"ignore_eos\": true, \"stream\": true, \"stream_options\": {\"include_answer\": true}}";
    mullama_stream *stream;
    check(mullama_engine_request(engine, "chat/completions", 16, body, sizeof body - 1, &stream, &err));
    mullama_stream_event event;
    mullama_stream_event_init(&event, sizeof event);
    int32_t status;
    do {
        check(mullama_stream_next(stream, -1, &event, &status, &err));
    } while (status == MULLAMA_STATUS_ITEM);
    mullama_stream_free(stream);
}

static void call(void) {
    (void)mullama_model_n_vocab(model);
}

static void tokenize(void) {
    const int32_t *tokens;
    size_t n;
    check(mullama_model_tokenize(model, "Hello world", 11, 1, 0, &tokens, &n, &err));
    mullama_free(tokens);
}

static void nothing(void) {
}

/* Through a volatile pointer, so that a loop around `nothing` stays a loop. */
static double seconds(void (*volatile what)(void), int calls) {
    const double begin = now();
    for (int i = 0; i < calls; ++i) what();
    return now() - begin;
}

/* The fastest round: interruptions only ever add. */
static double per_call(void (*what)(void), int calls) {
    double fastest = 1e9;
    for (int round = 0; round < ROUNDS; ++round) {
        const double took = seconds(what, calls);
        if (took < fastest) fastest = took;
    }
    return fastest / calls;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: %s MODEL N_THREADS\n", argv[0]), 2;
    check(mullama_model_load(argv[1], strlen(argv[1]), NULL, NULL, NULL, &model, &err));
    mullama_context_options options;
    mullama_context_options_init(&options, sizeof options);
    options.n_ctx = 1024;
    options.n_threads = atoi(argv[2]);
    check(mullama_model_create_context(model, &options, &context, &err));
    mullama_special_tokens special;
    mullama_special_tokens_init(&special, sizeof special);
    check(mullama_model_special_tokens(model, &special, &err));
    bos = special.bos;

    char word[32];
    while (scanf("%31s", word) == 1) {
        check(mullama_context_memory_clear(context, 0, &err));
        double took;
        if (!strcmp(word, "generate")) {
            took = seconds(generate, 1);
        } else if (!strcmp(word, "stream")) {
            took = seconds(stream, 1);
        } else if (!strcmp(word, "engine")) {
            if (!engine) open_engine(argv[1], atoi(argv[2]));
            took = seconds(chat, 1);
        } else if (!strcmp(word, "call")) {
            took = per_call(call, 1000000) - per_call(nothing, 1000000);
        } else {
            took = per_call(tokenize, 2000);
        }
        printf("%.9g\n", took);
        fflush(stdout);
    }
    mullama_engine_free(engine);
    mullama_context_free(context);
    mullama_model_free(model);
    return 0;
}
