// Magic, version, kind, shape of model and cache, tokens, payload, checksum. Little-endian, as the models are.
#include "state_envelope.h"

#include <cstddef>
#include <cstring>

#include "failure.h"
#include "libmullama.h"

namespace mullama {

namespace {

constexpr char magic[8] = {'m', 'u', 'l', 'l', 'a', 'm', 'a', 'S'};
constexpr uint32_t version = 1;

struct header {
    char magic[8];
    uint32_t version;
    uint32_t kind;
    uint64_t flags;
    uint64_t shape;
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

}  // namespace

void refuse_state(const std::string &reason) { throw failure(MULLAMA_E_STATE_INVALID, "the saved state cannot be used: " + reason); }

uint64_t shape_of(const llama_model *model, const std::string &architecture, int32_t type_k, int32_t type_v) {
    const uint64_t facts[] = {llama_model_n_params(model),
                              llama_model_size(model),
                              static_cast<uint64_t>(llama_model_n_layer(model)),
                              static_cast<uint64_t>(llama_model_n_embd(model)),
                              static_cast<uint64_t>(llama_model_n_head_kv(model)),
                              static_cast<uint64_t>(llama_vocab_n_tokens(llama_model_get_vocab(model))),
                              static_cast<uint64_t>(type_k),
                              static_cast<uint64_t>(type_v)};
    return hash(architecture.data(), architecture.size(), hash(facts, sizeof(facts)));
}

size_t sealed_size(size_t n_tokens, size_t payload) { return sizeof(header) + n_tokens * sizeof(llama_token) + payload; }

std::vector<uint8_t> seal_state(const state_label &label, const std::vector<llama_token> &tokens, size_t most, const std::function<size_t(uint8_t *)> &write) {
    const size_t tokens_size = tokens.size() * sizeof(llama_token);
    std::vector<uint8_t> sealed(sizeof(header) + tokens_size + most);
    if (tokens_size) std::memcpy(&sealed[sizeof(header)], tokens.data(), tokens_size);
    const size_t written = write(sealed.data() + sizeof(header) + tokens_size);
    if (written == 0 && most != 0) throw failure(MULLAMA_E_INTERNAL, "llama.cpp could not write the state");
    sealed.resize(sizeof(header) + tokens_size + written);

    header head{};
    std::memcpy(head.magic, magic, sizeof(magic));
    head.version = version;
    head.kind = static_cast<uint32_t>(label.kind);
    head.flags = label.flags;
    head.shape = label.shape;
    head.n_tokens = tokens.size();
    head.payload = written;
    head.checksum = checksum_of(head, sealed.data() + sizeof(header), sealed.size() - sizeof(header));
    std::memcpy(sealed.data(), &head, sizeof(head));
    return sealed;
}

opened_state open_state(const uint8_t *data, size_t size, uint64_t shape) {
    header head;
    if (size < sizeof(head)) refuse_state("it has " + std::to_string(size) + " bytes, less than its header; it is truncated or no state at all");
    std::memcpy(&head, data, sizeof(head));
    if (std::memcmp(head.magic, magic, sizeof(magic)) != 0) refuse_state("it does not begin like one; it was not made by save_state, nor saved from a slot");
    if (head.version != version) refuse_state("its format version is " + std::to_string(head.version) + ", this library reads version " + std::to_string(version));
    const size_t body = size - sizeof(head);
    if (head.n_tokens > body / sizeof(llama_token) || body - head.n_tokens * sizeof(llama_token) != head.payload) {
        refuse_state("it has " + std::to_string(size) + " bytes, which is not what its header says; it is truncated or damaged");
    }
    if (checksum_of(head, data + sizeof(head), body) != head.checksum) refuse_state("its checksum does not match; it is damaged");
    if (head.shape != shape) refuse_state("it belongs to another model, or to a context with other KV cache types");
    if (head.kind > static_cast<uint32_t>(state_kind::slot)) refuse_state("it is of a kind that this library does not know");

    opened_state opened{{static_cast<state_kind>(head.kind), head.flags, head.shape}, std::vector<llama_token>(head.n_tokens), nullptr, head.payload};
    if (head.n_tokens) std::memcpy(opened.tokens.data(), data + sizeof(head), head.n_tokens * sizeof(llama_token));
    opened.payload = data + sizeof(head) + head.n_tokens * sizeof(llama_token);
    return opened;
}

}  // namespace mullama
