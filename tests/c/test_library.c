/* The library as a C program uses it, on the model that is given; ends with no live object. */
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmullama.h>

static int failures = 0;

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            ++failures;                                                              \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
        }                                                                            \
    } while (0)

/* `call` uses an `err` of its own. */
#define OK(call)                                                                                                      \
    do {                                                                                                              \
        mullama_error *err = NULL;                                                                                    \
        if ((call) != MULLAMA_OK || err) {                                                                            \
            ++failures;                                                                                               \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, err ? mullama_error_message(err, NULL) : ""); \
            mullama_error_free(err);                                                                                  \
        }                                                                                                             \
    } while (0)

static void check_error(int line, int32_t code, mullama_error *err, int32_t expected, const char *part) {
    size_t len = 0;
    const char *message = err ? mullama_error_message(err, &len) : NULL;
    if (code != expected || mullama_error_code(err) != expected || !message || !strstr(message, part) || strlen(message) != len) {
        ++failures;
        fprintf(stderr, "%s:%d: %d \"%s\", expected %d \"%s\"\n", __FILE__, line, code, message ? message : "", expected, part);
    }
    mullama_error_free(err);
}

#define FAILS(call, expected, part)                        \
    do {                                                   \
        mullama_error *err = NULL;                         \
        const int32_t code_ = (call);                      \
        check_error(__LINE__, code_, err, expected, part); \
    } while (0)

#define TEXT(literal) (literal), sizeof(literal) - 1
#define NO_TOKENS NULL, 0
#define NO_TEXT NULL, 0
#define PROMPT TEXT("the people")

static const char *path;

static mullama_model *load(void) {
    mullama_model *model = NULL;
    OK(mullama_model_load(path, strlen(path), NULL, NULL, NULL, &model, &err));
    if (!model) exit(1);
    return model;
}

static mullama_context *create(mullama_model *model) {
    mullama_context *context = NULL;
    mullama_context_options options;
    mullama_context_options_init(&options, sizeof options);
    CHECK(options.n_ctx == 4096 && options.struct_size == sizeof options);
    options.n_ctx = 256;
    options.n_threads = 1;
    OK(mullama_model_create_context(model, &options, &context, &err));
    if (!context) exit(1);
    return context;
}

/* A greedy generation of at most so many tokens. */
static mullama_generation *start(mullama_context *context, int32_t max_tokens) {
    mullama_generation *generation = NULL;
    mullama_generate_options options;
    mullama_sampler_options sampling;
    mullama_generate_options_init(&options, sizeof options);
    mullama_sampler_options_init(&sampling, sizeof sampling);
    options.max_tokens = max_tokens;
    options.ignore_eos = 1;
    options.overflow = MULLAMA_OVERFLOW_SHIFT;
    sampling.temperature = 0;
    OK(mullama_context_generate(context, PROMPT, NO_TOKENS, NO_TEXT, NULL, &options, &sampling, NULL, &generation, &err));
    if (!generation) exit(1);
    return generation;
}

static int32_t largest(const float *values, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
        if (values[i] > values[best]) best = i;
    }
    return (int32_t)best;
}

static int32_t count_progress(float fraction, void *user) {
    ++*(int *)user;
    return fraction >= 0 && fraction <= 1;
}

static int32_t stop_at_once(float fraction, void *user) {
    (void)fraction, (void)user;
    return 0;
}

static void loading_reports_and_can_be_stopped(void) {
    mullama_model *model = NULL;
    int calls = 0;
    OK(mullama_model_load(path, strlen(path), NULL, count_progress, &calls, &model, &err));
    CHECK(calls > 1 && mullama_model_n_vocab(model) > 500);
    mullama_model_free(model);
    model = NULL;
    FAILS(mullama_model_load(path, strlen(path), NULL, stop_at_once, NULL, &model, &err), MULLAMA_E_CANCELLED, "");
    FAILS(mullama_model_load(TEXT("/no/such.gguf"), NULL, NULL, NULL, &model, &err), MULLAMA_E_FILE_NOT_FOUND, "/no/such.gguf");
    CHECK(model == NULL);
}

static void text_becomes_tokens_and_text_again(mullama_model *model) {
    const int32_t *tokens = NULL;
    const char *text = NULL;
    size_t count = 0, len = 0;
    OK(mullama_model_tokenize(model, PROMPT, 1, 0, &tokens, &count, &err));
    CHECK(count == 3);
    OK(mullama_model_detokenize(model, tokens + 1, count - 1, 0, 0, &text, &len, &err));
    CHECK(len == strlen("the people") && strcmp(text, "the people") == 0);
    mullama_free(text);
    mullama_free(tokens);
    FAILS(mullama_model_tokenize(model, TEXT("a\xff"), 1, 0, &tokens, &count, &err), MULLAMA_E_INVALID_UTF8, "byte 1 of 2");
    OK(mullama_model_tokenize(model, TEXT(""), 0, 0, &tokens, &count, &err));
    CHECK(tokens && count == 0);
    mullama_free(tokens);
}

static void messages_become_a_prompt(mullama_model *model) {
    const char *json = NULL;
    size_t len = 0;
    OK(mullama_model_apply_chat_template(model, TEXT("[{\"role\":\"user\",\"content\":\"hi\"}]"), NULL, &json, &len, &err));
    CHECK(json && strlen(json) == len && strstr(json, "<|im_start|>user\\nhi<|im_end|>"));
    mullama_free(json);
    FAILS(mullama_model_apply_chat_template(model, TEXT("[{"), NULL, &json, &len, &err), MULLAMA_E_INVALID_JSON, "");
}

static void a_chain_chooses_what_the_logits_say(mullama_model *model, mullama_context *context) {
    const int32_t *tokens = NULL;
    const float *logits = NULL, *applied = NULL;
    size_t count = 0, n_logits = 0, n_applied = 0;
    int32_t chosen = -1, sampled = -1, best;
    mullama_sampler *sampler = NULL, *copy = NULL;
    OK(mullama_context_memory_clear(context, 0, &err));
    OK(mullama_model_tokenize(model, PROMPT, 1, 0, &tokens, &count, &err));
    FAILS(mullama_context_logits(context, 7, &logits, &n_logits, &err), MULLAMA_E_NO_OUTPUT, "");
    OK(mullama_context_decode(context, tokens, count, NULL, &err));
    OK(mullama_context_logits(context, -1, &logits, &n_logits, &err));
    CHECK(n_logits == (size_t)mullama_model_n_vocab(model));
    best = largest(logits, n_logits);

    OK(mullama_model_create_sampler_chain(model, &sampler, &err));
    OK(mullama_sampler_add_top_k(sampler, 3, &err));
    OK(mullama_sampler_add_greedy(sampler, &err));
    OK(mullama_sampler_choose(sampler, logits, n_logits, &chosen, &err));
    OK(mullama_sampler_sample(sampler, context, -1, &sampled, &err));
    CHECK(chosen == best && sampled == best);
    OK(mullama_sampler_apply(sampler, logits, n_logits, &applied, &n_applied, &err));
    CHECK(n_applied == n_logits && applied[best] == logits[best]);
    count = 0;
    for (size_t i = 0; i < n_applied; ++i) count += applied[i] > -INFINITY;
    CHECK(count == 3);
    OK(mullama_sampler_clone(sampler, &copy, &err));
    OK(mullama_sampler_accept(copy, best, &err));
    FAILS(mullama_sampler_accept(copy, -1, &err), MULLAMA_E_INVALID_TOKEN, "-1");
    FAILS(mullama_sampler_add_top_p(sampler, NAN, 1, &err), MULLAMA_E_INVALID_ARGUMENT, "p is");
    FAILS(mullama_sampler_choose(sampler, logits, n_logits - 1, &chosen, &err), MULLAMA_E_INVALID_ARGUMENT, "logits");
    mullama_sampler_free(copy);
    mullama_sampler_free(sampler);
    mullama_free(applied);
    mullama_free(tokens);
}

static void pieces_are_the_whole_text(mullama_context *context) {
    char joined[2048] = "";
    size_t size = 0, len = 0, count = 0;
    const char *text = NULL;
    const int32_t *tokens = NULL;
    int32_t status = -1;
    mullama_token_event event;
    mullama_generation_result result;
    mullama_generation *whole = start(context, 40), *pieces;
    OK(mullama_generation_run(whole, -1, &status, &err));
    CHECK(status == MULLAMA_STATUS_DONE);

    pieces = start(context, 40);
    mullama_token_event_init(&event, sizeof event);
    for (;;) {
        OK(mullama_generation_next(pieces, -1, &event, &status, &err));
        if (status != MULLAMA_STATUS_ITEM || size + event.text_len >= sizeof joined) break;
        memcpy(joined + size, event.text, event.text_len);
        size += event.text_len;
    }
    CHECK(status == MULLAMA_STATUS_DONE);
    OK(mullama_generation_text(whole, &text, &len, &err));
    CHECK(len == size && memcmp(text, joined, len) == 0 && len > 40);
    OK(mullama_generation_tokens(whole, &tokens, &count, &err));
    CHECK(count == 40);
    mullama_generation_result_init(&result, sizeof result);
    OK(mullama_generation_get_result(pieces, &result, &err));
    CHECK(result.finish_reason == MULLAMA_FINISH_REASON_LENGTH && result.n_generated == 40 && result.n_reused == 2 && !result.stop_text);
    mullama_generation_free(whole);
    mullama_generation_free(pieces);
}

static void *run_to_the_end(void *user) {
    static int32_t status;
    OK(mullama_generation_run(user, -1, &status, &err));
    return &status;
}

static void another_thread_can_cancel(mullama_context *context) {
    pthread_t thread;
    void *status = NULL;
    mullama_token_event event;
    mullama_generation_result result;
    mullama_generation *generation = start(context, -1);
    int32_t first = -1;
    mullama_token_event_init(&event, sizeof event);
    OK(mullama_generation_next(generation, -1, &event, &first, &err));
    CHECK(first == MULLAMA_STATUS_ITEM);
    CHECK(pthread_create(&thread, NULL, run_to_the_end, generation) == 0);
    mullama_generation_cancel(generation);
    mullama_generation_cancel(generation);
    pthread_join(thread, &status);
    CHECK(*(int32_t *)status == MULLAMA_STATUS_CANCELLED);
    mullama_generation_result_init(&result, sizeof result);
    OK(mullama_generation_get_result(generation, &result, &err));
    CHECK(result.finish_reason == MULLAMA_FINISH_REASON_CANCELLED && result.n_generated >= 1);
    mullama_generation_free(generation);
}

static void a_saved_state_goes_on_identically(mullama_model *model, mullama_context *context) {
    const int32_t *tokens = NULL;
    const uint8_t *state = NULL;
    const float *logits = NULL;
    size_t count = 0, size = 0, n_logits = 0;
    const int32_t next = 450;
    float *expected;
    mullama_context *other = create(model);
    OK(mullama_context_memory_clear(context, 0, &err));
    OK(mullama_model_tokenize(model, TEXT("the people of the world"), 1, 0, &tokens, &count, &err));
    OK(mullama_context_decode(context, tokens, count, NULL, &err));
    OK(mullama_context_save_state(context, -1, 0, &state, &size, &err));
    OK(mullama_context_decode(context, &next, 1, NULL, &err));
    OK(mullama_context_logits(context, -1, &logits, &n_logits, &err));
    expected = malloc(n_logits * sizeof *expected);
    memcpy(expected, logits, n_logits * sizeof *expected);

    OK(mullama_context_load_state(other, state, size, -1, &err));
    OK(mullama_context_decode(other, &next, 1, NULL, &err));
    OK(mullama_context_logits(other, -1, &logits, &n_logits, &err));
    CHECK(memcmp(expected, logits, n_logits * sizeof *expected) == 0);
    FAILS(mullama_context_load_state(other, state, size - 1, -1, &err), MULLAMA_E_STATE_INVALID, "");
    free(expected);
    mullama_free(state);
    mullama_free(tokens);
    mullama_context_free(other);
}

static void errors_say_what_is_wrong(mullama_model *model, mullama_context *context) {
    const int32_t token = 1 << 20, good = 450;
    const float *logits = NULL;
    size_t count = 0;
    const char *text = "";
    mullama_generation *generation = NULL;
    mullama_sampler_options sampling;
    FAILS(mullama_context_decode(context, &token, 1, NULL, &err), MULLAMA_E_INVALID_TOKEN, "token 0 is 1048576");
    OK(mullama_context_decode(context, &good, 1, NULL, &err));
    FAILS(mullama_context_logits(context, -1, NULL, &count, &err), MULLAMA_E_INVALID_ARGUMENT, "NULL");
    FAILS(mullama_context_embeddings(context, 0, &logits, &count, &err), MULLAMA_E_NO_OUTPUT, "");
    FAILS(mullama_context_generate(context, NO_TEXT, NO_TOKENS, NO_TEXT, NULL, NULL, NULL, NULL, &generation, &err), MULLAMA_E_INVALID_ARGUMENT, "exactly one");
    mullama_sampler_options_init(&sampling, sizeof sampling);
    sampling.top_p = 2;
    FAILS(mullama_context_generate(context, PROMPT, NO_TOKENS, NO_TEXT, NULL, NULL, &sampling, NULL, &generation, &err), MULLAMA_E_INVALID_ARGUMENT, "top_p is 2");
    mullama_sampler_options_init(&sampling, sizeof sampling);
    sampling.grammar = "root ::= \"a";
    sampling.grammar_len = strlen(sampling.grammar);
    FAILS(mullama_context_generate(context, PROMPT, NO_TOKENS, NO_TEXT, NULL, NULL, &sampling, NULL, &generation, &err), MULLAMA_E_INVALID_GRAMMAR, "");
    CHECK(generation == NULL);
    OK(mullama_model_metadata_value(model, TEXT("no.such.key"), &text, &count, &err));
    CHECK(text == NULL);
    /* Without a place for the error its code is all there is. */
    CHECK(mullama_context_decode(context, &token, 1, NULL, NULL) == MULLAMA_E_INVALID_TOKEN);
    CHECK(strcmp(mullama_error_name(MULLAMA_E_INVALID_TOKEN), "INVALID_TOKEN") == 0 && mullama_error_name(1) == NULL);
}

/* A length without an array behind it. */
static void arrays_that_are_missing_are_named(mullama_model *model, mullama_context *context) {
    const size_t n_vocab = (size_t)mullama_model_n_vocab(model);
    const char *text = NULL;
    const float *applied = NULL;
    const int32_t *tokens = NULL;
    size_t len = 0;
    int32_t token = 0;
    mullama_sampler *sampler = NULL;
    mullama_generation *generation = NULL;
    mullama_generate_options options;
    mullama_batch batch;
    OK(mullama_model_create_sampler(model, NULL, &sampler, &err));
    mullama_generate_options_init(&options, sizeof options);
    options.stop_len = 3;
    mullama_batch_init(&batch, sizeof batch);
    batch.tokens_len = 3;
#define NAMES(call, name) FAILS(call, MULLAMA_E_INVALID_ARGUMENT, name " is NULL")
    NAMES(mullama_model_tokenize(model, NULL, 3, 1, 0, &tokens, &len, &err), "the text");
    NAMES(mullama_model_detokenize(model, NULL, 3, 0, 0, &text, &len, &err), "tokens");
    NAMES(mullama_context_decode(context, NULL, 3, NULL, &err), "tokens");
    NAMES(mullama_context_decode_batch(context, &batch, &err), "batch.tokens");
    NAMES(mullama_context_load_state(context, NULL, 3, -1, &err), "state");
    NAMES(mullama_context_save_state_file(context, TEXT("/dev/null"), NULL, 3, -1, 0, &err), "tokens");
    NAMES(mullama_sampler_apply(sampler, NULL, n_vocab, &applied, &len, &err), "logits");
    NAMES(mullama_sampler_choose(sampler, NULL, n_vocab, &token, &err), "logits");
    NAMES(mullama_sampler_add_logit_bias(sampler, NULL, 3, NULL, 3, &err), "tokens");
    NAMES(mullama_sampler_add_dry(sampler, 1, 2, 2, 64, NULL, 3, &err), "breakers");
    NAMES(mullama_sampler_add_grammar(sampler, TEXT("root ::= \"a\""), TEXT("root"), NULL, 0, NULL, 3, &err), "trigger_tokens");
    NAMES(mullama_context_generate(context, NULL, 3, NO_TOKENS, NO_TEXT, NULL, NULL, NULL, NULL, &generation, &err), "the prompt");
    NAMES(mullama_context_generate(context, NO_TEXT, NULL, 3, NO_TEXT, NULL, NULL, NULL, NULL, &generation, &err), "tokens");
    NAMES(mullama_context_generate(context, PROMPT, NO_TOKENS, NO_TEXT, NULL, &options, NULL, NULL, &generation, &err), "generate_options.stop");
    mullama_sampler_free(sampler);
}

static void structs_may_be_older_or_newer_than_the_library(mullama_model *model, mullama_context *context) {
    struct {
        mullama_context_options options;
        char future[64];
    } newer;
    struct {
        mullama_context_info info;
        unsigned char future[64];
    } wide;
    mullama_context_options options;
    mullama_context_info info;
    mullama_token_event event;
    mullama_context *made = NULL;
    mullama_generation *generation;
    int32_t status = -1;

    mullama_context_options_init(&options, sizeof options);
    options.struct_size = 0;
    FAILS(mullama_model_create_context(model, &options, &made, &err), MULLAMA_E_INVALID_ARGUMENT, "struct_size is 0");

    /* An old caller: only what it knows is read, the rest has its defaults. */
    mullama_context_options_init(&options, sizeof options);
    options.n_ctx = 512;
    options.n_threads = -1;
    options.struct_size = offsetof(mullama_context_options, n_batch);
    OK(mullama_model_create_context(model, &options, &made, &err));
    CHECK(mullama_context_n_ctx(made) == 512);
    mullama_context_free(made);

    /* A new caller: what the library does not know is left alone. */
    mullama_context_options_init(&newer.options, sizeof newer);
    CHECK(newer.options.struct_size == sizeof newer && newer.options.n_ctx == 4096 && newer.future[63] == 0);
    newer.options.n_ctx = 256;
    newer.options.n_threads = 1;
    OK(mullama_model_create_context(model, &newer.options, &made, &err));
    mullama_context_free(made);

    memset(&info, 0xAA, sizeof info);
    info.struct_size = offsetof(mullama_context_info, n_batch);
    OK(mullama_context_get_info(context, &info, &err));
    CHECK(info.n_ctx == 256 && info.n_batch == 0xAAAAAAAA && info.struct_size == offsetof(mullama_context_info, n_batch));
    memset(&wide, 0xAA, sizeof wide);
    wide.info.struct_size = sizeof wide;
    OK(mullama_context_get_info(context, &wide.info, &err));
    CHECK(wide.info.n_batch == 256 && wide.info.struct_size == sizeof wide && wide.future[0] == 0xAA);
    info.struct_size = 0;
    FAILS(mullama_context_get_info(context, &info, &err), MULLAMA_E_INVALID_ARGUMENT, "struct_size of the result is 0");

    /* A token whose event could not be told is not generated. */
    generation = start(context, 5);
    memset(&event, 0, sizeof event);
    FAILS(mullama_generation_next(generation, -1, &event, &status, &err), MULLAMA_E_INVALID_ARGUMENT, "struct_size of the result is 0");
    FAILS(mullama_generation_next(generation, -1, NULL, &status, &err), MULLAMA_E_INVALID_ARGUMENT, "NULL");
    mullama_token_event_init(&event, sizeof event);
    OK(mullama_generation_run(generation, -1, &status, &err));
    {
        const int32_t *tokens = NULL;
        size_t count = 0;
        OK(mullama_generation_tokens(generation, &tokens, &count, &err));
        CHECK(count == 5);
    }
    mullama_generation_free(generation);
}

static void closed_objects_answer_with_closed(void) {
    mullama_model *model = load();
    mullama_context *context = create(model);
    mullama_generation *generation = start(context, 5);
    mullama_sampler *sampler = NULL;
    mullama_context *more = NULL;
    int32_t status = -1, maximum = 0;
    OK(mullama_model_create_sampler(model, NULL, &sampler, &err));
    mullama_model_close(model);
    mullama_model_close(model);
    FAILS(mullama_model_create_context(model, NULL, &more, &err), MULLAMA_E_CLOSED, "model was closed");
    CHECK(mullama_model_n_vocab(model) == 0);
    mullama_model_free(model); /* what is made from it keeps the weights */
    OK(mullama_generation_run(generation, -1, &status, &err));
    mullama_context_close(context);
    mullama_context_close(context);
    FAILS(mullama_context_memory_max(context, 0, &maximum, &err), MULLAMA_E_CLOSED, "context was closed");
    mullama_context_cancel(context);
    mullama_generation_close(generation);
    FAILS(mullama_generation_run(generation, -1, &status, &err), MULLAMA_E_CLOSED, "generation was closed");
    mullama_generation_cancel(generation);
    mullama_sampler_close(sampler);
    FAILS(mullama_sampler_reset(sampler, &err), MULLAMA_E_CLOSED, "sampler was closed");
    mullama_context_free(context);
    mullama_generation_free(generation);
    mullama_sampler_free(sampler);
    mullama_model_free(NULL);
    mullama_context_free(NULL);
    mullama_sampler_close(NULL);
    mullama_generation_cancel(NULL);
    mullama_error_free(NULL);
    mullama_free(NULL);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    path = argv[1];
    CHECK(mullama_abi_version() == MULLAMA_ABI_VERSION);
    loading_reports_and_can_be_stopped();
    mullama_model *model = load();
    mullama_context *context = create(model);
    text_becomes_tokens_and_text_again(model);
    messages_become_a_prompt(model);
    a_chain_chooses_what_the_logits_say(model, context);
    pieces_are_the_whole_text(context);
    another_thread_can_cancel(context);
    a_saved_state_goes_on_identically(model, context);
    errors_say_what_is_wrong(model, context);
    arrays_that_are_missing_are_named(model, context);
    structs_may_be_older_or_newer_than_the_library(model, context);
    mullama_context_free(context);
    mullama_model_free(model);
    closed_objects_answer_with_closed();
    CHECK(mullama_live_objects() == 0);
    return failures != 0;
}
