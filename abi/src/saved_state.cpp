// The envelope: magic, version, kind, shape of model and cache, tokens, payload, checksum. Little-endian, as the models are.
#include "saved_state.h"

#include <cstddef>
#include <cstring>

#include "results.h"

namespace mullama {

namespace {

constexpr char magic[8] = {'m', 'u', 'l', 'l', 'a', 'm', 'a', 'S'};
constexpr uint32_t version = 1;

enum kind : uint32_t { whole_context = 0, one_sequence = 1 };

struct header {
    char magic[8];
    uint32_t version;
    uint32_t kind;
    uint64_t flags;
    uint64_t shape;     // of the model and the cache
    uint64_t n_tokens;  // tokens that lie in front of the payload
    uint64_t payload;   // bytes of llama.cpp's state
    uint64_t checksum;  // of everything else, header and body
};
static_assert(sizeof(header) == 56, "the header is part of the file format");

// FNV-1a over 8 bytes at a time: a check against damage, not against forgery.
uint64_t hash(const void *data, size_t size, uint64_t seed = 14695981039346656037ull) {
    const unsigned char *bytes = static_cast<const unsigned char *>(data);
    uint64_t value = seed;
    while (size >= 8) {
        uint64_t word;
        std::memcpy(&word, bytes, 8);
        value = (value ^ word) * 1099511628211ull;
        value ^= value >> 32;
        bytes += 8;
        size -= 8;
    }
    while (size--) value = (value ^ *bytes++) * 1099511628211ull;
    return value;
}

uint64_t checksum_of(const header &head, const uint8_t *body, size_t size) {
    return hash(body, size, hash(&head, offsetof(header, checksum)));
}

uint64_t shape_of(const context_state &state) {
    const llama_model *model = state.model->model.get();
    const uint64_t facts[] = {llama_model_n_params(model),
                              llama_model_size(model),
                              static_cast<uint64_t>(llama_model_n_layer(model)),
                              static_cast<uint64_t>(llama_model_n_embd(model)),
                              static_cast<uint64_t>(llama_model_n_head_kv(model)),
                              static_cast<uint64_t>(llama_vocab_n_tokens(state.model->vocab)),
                              static_cast<uint64_t>(state.type_k()),
                              static_cast<uint64_t>(state.type_v())};
    return hash(state.model->architecture.data(), state.model->architecture.size(), hash(facts, sizeof(facts)));
}

size_t payload_size(context_state &state, int32_t sequence, uint64_t flags) {
    return sequence < 0 ? llama_state_get_size(state.llama())
                        : llama_state_seq_get_size_ext(state.llama(), sequence, static_cast<llama_state_seq_flags>(flags));
}

const std::vector<llama_token> &known_tokens(const context_state &state, int32_t sequence) { return state.held(sequence < 0 ? 0 : sequence); }

[[noreturn]] void refuse(const std::string &reason) { throw failure(MULLAMA_E_STATE_INVALID, "the saved state cannot be used: " + reason); }

void require_flags(int32_t sequence, uint64_t flags) {
    if (flags & ~static_cast<uint64_t>(MULLAMA_STATE_FLAGS_PARTIAL_ONLY)) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "flags is " + std::to_string(flags) + "; only partial_only (1) exists");
    }
    if (flags && sequence < 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "flags apply to the state of one sequence only; name the sequence");
}

}  // namespace

size_t state_size(context_state &state, int32_t sequence, uint64_t flags) {
    require_flags(sequence, flags);
    return sizeof(header) + known_tokens(state, sequence).size() * sizeof(llama_token) + payload_size(state, sequence, flags);
}

std::vector<uint8_t> save_state(context_state &state, int32_t sequence, uint64_t flags, const std::vector<llama_token> *tokens) {
    require_flags(sequence, flags);
    state.require_memory();
    const std::vector<llama_token> &kept = tokens ? *tokens : known_tokens(state, sequence);
    const size_t tokens_size = kept.size() * sizeof(llama_token);
    const size_t expected = payload_size(state, sequence, flags);
    std::vector<uint8_t> saved(sizeof(header) + tokens_size + expected);
    if (tokens_size) std::memcpy(&saved[sizeof(header)], kept.data(), tokens_size);
    uint8_t *payload = saved.data() + sizeof(header) + tokens_size;
    const size_t written = sequence < 0 ? llama_state_get_data(state.llama(), payload, expected)
                                        : llama_state_seq_get_data_ext(state.llama(), payload, expected, sequence, static_cast<llama_state_seq_flags>(flags));
    if (written == 0 && expected != 0) throw failure(MULLAMA_E_INTERNAL, "llama.cpp could not write the state");
    saved.resize(sizeof(header) + tokens_size + written);

    header head{};
    std::memcpy(head.magic, magic, sizeof(magic));
    head.version = version;
    head.kind = sequence < 0 ? whole_context : one_sequence;
    head.flags = flags;
    head.shape = shape_of(state);
    head.n_tokens = kept.size();
    head.payload = written;
    head.checksum = checksum_of(head, saved.data() + sizeof(header), saved.size() - sizeof(header));
    std::memcpy(saved.data(), &head, sizeof(head));
    return saved;
}

std::vector<llama_token> load_state(context_state &state, const uint8_t *data, size_t size, int32_t sequence) {
    llama_memory_t memory = state.require_memory();
    header head;
    if (size < sizeof(head)) refuse("it has " + std::to_string(size) + " bytes, less than its header; it is truncated or no state at all");
    std::memcpy(&head, data, sizeof(head));
    if (std::memcmp(head.magic, magic, sizeof(magic)) != 0) refuse("it does not begin like one; it was not made by save_state");
    if (head.version != version) refuse("its format version is " + std::to_string(head.version) + ", this library reads version " + std::to_string(version));
    const size_t body = size - sizeof(head);
    if (head.n_tokens > body / sizeof(llama_token) || body - head.n_tokens * sizeof(llama_token) != head.payload) {
        refuse("it has " + std::to_string(size) + " bytes, which is not what its header says; it is truncated or damaged");
    }
    if (checksum_of(head, data + sizeof(head), body) != head.checksum) refuse("its checksum does not match; it is damaged");
    if (head.shape != shape_of(state)) refuse("it belongs to another model, or to a context with other KV cache types");
    if (head.kind > one_sequence || head.flags & ~static_cast<uint64_t>(MULLAMA_STATE_FLAGS_PARTIAL_ONLY)) refuse("it is of a kind that this library does not know");
    if ((head.kind == one_sequence) != (sequence >= 0)) {
        refuse(head.kind == one_sequence ? "it holds one sequence; name the sequence to load it into" : "it holds a whole context, not one sequence");
    }

    std::vector<llama_token> tokens(head.n_tokens);
    if (head.n_tokens) std::memcpy(tokens.data(), data + sizeof(head), head.n_tokens * sizeof(llama_token));
    const uint8_t *payload = data + sizeof(head) + head.n_tokens * sizeof(llama_token);
    log_capture captured;
    state.drop_outputs();
    state.forget_after(sequence, 0);
    const size_t read = sequence < 0 ? llama_state_set_data(state.llama(), payload, head.payload)
                                     : llama_state_seq_set_data_ext(state.llama(), payload, head.payload, sequence, static_cast<llama_state_seq_flags>(head.flags));
    captured.add_line();
    if (read != head.payload) {
        if (sequence < 0) {
            llama_memory_clear(memory, true);
        } else {
            llama_memory_seq_rm(memory, sequence, -1, -1);
        }
        refuse(captured.errors("the context is too small for it") + "; load it into a context with at least the n_ctx, and with the n_sequences and unified_kv, that it was saved from");
    }
    // What lies at the first positions is known again, so that a prompt can go on from it.
    const int32_t known = sequence < 0 ? 0 : sequence;
    const size_t end = static_cast<size_t>(state.end_of(known));
    if (head.flags == 0 && tokens.size() <= end) state.hold(known, tokens);
    return tokens;
}

}  // namespace mullama
