// What a failed check inside llama.cpp leaves behind, on the library's own objects: the call fails with INTERNAL, the handle
// in use can only be closed, and everything else goes on.
//
// No input is known that fails such a check, and a library has no door for tests. So this program is linked from the objects
// of libmullama, reaches behind its handles and gives a weight a shape that the model's own code does not expect. Calls go
// through the C ABI.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "context_state.h"
#include "libmullama.h"
#include "llama-model.h"

static int failures = 0;

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            ++failures;                                                              \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
        }                                                                            \
    } while (0)

static void check_ok(int line, int32_t code, mullama_error *err) {
    if (code == MULLAMA_OK && !err) return;
    ++failures;
    fprintf(stderr, "%s:%d: %d %s\n", __FILE__, line, code, mullama_error_message(err, nullptr));
    mullama_error_free(err);
}

static void check_internal(int line, int32_t code, mullama_error *err, const char *part) {
    const char *message = mullama_error_message(err, nullptr);
    if (code != MULLAMA_E_INTERNAL || mullama_error_code(err) != code || !message || !strstr(message, part)) {
        ++failures;
        fprintf(stderr, "%s:%d: %d \"%s\", expected INTERNAL \"%s\"\n", __FILE__, line, code, message ? message : "", part);
    }
    mullama_error_free(err);
}

// The calls use an `err` of their own.
#define OK(call)                                    \
    do {                                            \
        mullama_error *err = nullptr;               \
        const int32_t code_ = (call);               \
        check_ok(__LINE__, code_, err);             \
    } while (0)
#define FAILS(call, part)                           \
    do {                                            \
        mullama_error *err = nullptr;               \
        const int32_t code_ = (call);               \
        check_internal(__LINE__, code_, err, part); \
    } while (0)

static const std::vector<int32_t> PROMPT = {1, 500, 501, 502};
static const char *const REFUSED = "close it and create a new one";

// While it exists, a weight has another shape.
class broken {
  public:
    broken(ggml_tensor *weight, int dimension, int64_t size) : place_(weight->ne[dimension]), size_(place_) { place_ = size; }
    ~broken() { place_ = size_; }

  private:
    int64_t &place_;
    const int64_t size_;
};

static mullama_context *create(mullama_model *model, int32_t n_threads) {
    mullama_context *context = nullptr;
    mullama_context_options options;
    mullama_context_options_init(&options, sizeof options);
    options.n_ctx = 256;
    options.n_threads = n_threads;
    OK(mullama_model_create_context(model, &options, &context, &err));
    if (!context) exit(1);
    return context;
}

static std::vector<float> logits_after(mullama_context *context, const std::vector<int32_t> &tokens) {
    const float *logits = nullptr;
    size_t n = 0;
    OK(mullama_context_decode(context, tokens.data(), tokens.size(), nullptr, &err));
    OK(mullama_context_logits(context, -1, &logits, &n, &err));
    return {logits, logits + n};
}

static void check_refuses_and_closes(mullama_context *context) {
    const float *logits = nullptr;
    size_t n = 0;
    int32_t last = 0;
    FAILS(mullama_context_decode(context, PROMPT.data(), PROMPT.size(), nullptr, &err), REFUSED);
    FAILS(mullama_context_logits(context, -1, &logits, &n, &err), REFUSED);
    FAILS(mullama_context_memory_max(context, 0, &last, &err), REFUSED);
    mullama_context_close(context);
    mullama_error *err = nullptr;
    CHECK(mullama_context_decode(context, PROMPT.data(), PROMPT.size(), nullptr, &err) == MULLAMA_E_CLOSED);
    mullama_error_free(err);
    mullama_context_free(context);
}

// ggml.c refuses the shapes of an operation while the graph is made: the exception crosses frames of C.
static void a_check_of_the_graph(mullama_model *model, llama_model &weights, const std::vector<float> &expected) {
    mullama_context *context = create(model, 2), *other = create(model, 2);
    logits_after(other, {1, 7});
    {
        const broken norm(weights.layers[0].ffn_norm, 0, 7);
        FAILS(mullama_context_decode(context, PROMPT.data(), PROMPT.size(), nullptr, &err), "a check inside llama.cpp failed");
        mullama_context *none = nullptr;
        FAILS(mullama_model_create_context(model, nullptr, &none, &err), "ggml.c");
        CHECK(none == nullptr);
    }
    check_refuses_and_closes(context);
    OK(mullama_context_memory_clear(other, 0, &err));
    CHECK(logits_after(other, PROMPT) == expected);
    mullama_context_free(other);
    context = create(model, 2);
    CHECK(logits_after(context, PROMPT) == expected);
    mullama_context_free(context);
}

// The embedding of a token outside the table, while the graph is computed.
static void a_check_of_the_computation(mullama_model *model, llama_model &weights, const std::vector<float> &expected, int32_t n_threads) {
    mullama_context *context = create(model, n_threads);
    logits_after(context, PROMPT);
    {
        const broken table(weights.tok_embd, 1, 10);
        FAILS(mullama_context_decode(context, PROMPT.data() + 1, 1, nullptr, &err), "a check inside llama.cpp failed");
    }
    check_refuses_and_closes(context);
    context = create(model, n_threads);
    CHECK(logits_after(context, PROMPT) == expected);
    mullama_context_free(context);
}

// Both handles that are in use: the generation and the context under it.
static void a_check_under_a_generation(mullama_model *model, llama_model &weights, const std::vector<float> &expected) {
    mullama_context *context = create(model, 1);
    mullama_generation *generation = nullptr;
    mullama_token_event event{};
    mullama_token_event_init(&event, sizeof event);
    int32_t status = 0;
    OK(mullama_context_generate(context, nullptr, 0, PROMPT.data(), PROMPT.size(), nullptr, 0, nullptr, nullptr, nullptr, nullptr, &generation, &err));
    {
        const broken norm(weights.layers[0].ffn_norm, 0, 7);
        FAILS(mullama_generation_next(generation, -1, &event, &status, &err), "a check inside llama.cpp failed");
    }
    FAILS(mullama_generation_next(generation, -1, &event, &status, &err), REFUSED);
    mullama_generation_free(generation);
    check_refuses_and_closes(context);
    context = create(model, 1);
    CHECK(logits_after(context, PROMPT) == expected);
    mullama_context_free(context);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: backend-abort-test MODEL\n");
        return 2;
    }
    mullama_model *model = nullptr;
    OK(mullama_model_load(argv[1], strlen(argv[1]), nullptr, nullptr, nullptr, &model, &err));
    if (!model) return 1;
    mullama_context *bystander = create(model, 1);
    const std::vector<float> expected = logits_after(bystander, PROMPT);
    llama_model &weights = *model->core->enter()->model;

    a_check_of_the_graph(model, weights, expected);
    a_check_of_the_computation(model, weights, expected, 1);
    a_check_of_the_computation(model, weights, expected, 2);
    a_check_under_a_generation(model, weights, expected);
    std::thread([&] { a_check_of_the_graph(model, weights, expected); }).join();

    OK(mullama_context_memory_clear(bystander, 0, &err));
    CHECK(logits_after(bystander, PROMPT) == expected);
    mullama_context_free(bystander);
    mullama_model_free(model);
    CHECK(mullama_live_objects() == 0);
    return failures != 0;
}
