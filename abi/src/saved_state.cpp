// What goes into the envelope, and what of it goes back into a context.
#include "saved_state.h"

#include "results.h"
#include "state_envelope.h"

namespace mullama {

namespace {

uint64_t shape_of(const context_state &state) { return mullama::shape_of(state.model->model.get(), state.model->architecture, state.type_k(), state.type_v()); }

size_t payload_size(context_state &state, int32_t sequence, uint64_t flags) {
    return sequence < 0 ? llama_state_get_size(state.llama())
                        : llama_state_seq_get_size_ext(state.llama(), sequence, static_cast<llama_state_seq_flags>(flags));
}

const std::vector<llama_token> &known_tokens(const context_state &state, int32_t sequence) { return state.held(sequence < 0 ? 0 : sequence); }

void require_flags(int32_t sequence, uint64_t flags) {
    if (flags & ~static_cast<uint64_t>(MULLAMA_STATE_FLAGS_PARTIAL_ONLY)) {
        throw failure(MULLAMA_E_INVALID_ARGUMENT, "flags is " + std::to_string(flags) + "; only partial_only (1) exists");
    }
    if (flags && sequence < 0) throw failure(MULLAMA_E_INVALID_ARGUMENT, "flags apply to the state of one sequence only; name the sequence");
}

}  // namespace

size_t state_size(context_state &state, int32_t sequence, uint64_t flags) {
    require_flags(sequence, flags);
    return sealed_size(known_tokens(state, sequence).size(), payload_size(state, sequence, flags));
}

std::vector<uint8_t> save_state(context_state &state, int32_t sequence, uint64_t flags, const std::vector<llama_token> *tokens) {
    require_flags(sequence, flags);
    state.require_memory();
    const size_t most = payload_size(state, sequence, flags);
    return seal_state({sequence < 0 ? state_kind::whole_context : state_kind::one_sequence, flags, shape_of(state)}, tokens ? *tokens : known_tokens(state, sequence), most, [&](uint8_t *payload) {
        return sequence < 0 ? llama_state_get_data(state.llama(), payload, most)
                            : llama_state_seq_get_data_ext(state.llama(), payload, most, sequence, static_cast<llama_state_seq_flags>(flags));
    });
}

std::vector<llama_token> load_state(context_state &state, const uint8_t *data, size_t size, int32_t sequence) {
    llama_memory_t memory = state.require_memory();
    const opened_state opened = open_state(data, size, shape_of(state));
    const state_label &label = opened.label;
    if (label.kind == state_kind::slot) refuse_state("it holds a slot of an engine; restore it there");
    if (label.flags & ~static_cast<uint64_t>(MULLAMA_STATE_FLAGS_PARTIAL_ONLY)) refuse_state("it is of a kind that this library does not know");
    if ((label.kind == state_kind::one_sequence) != (sequence >= 0)) {
        refuse_state(sequence < 0 ? "it holds one sequence; name the sequence to load it into" : "it holds a whole context, not one sequence");
    }

    log_capture captured;
    state.drop_outputs();
    state.forget_after(sequence, 0);
    const size_t read = sequence < 0 ? llama_state_set_data(state.llama(), opened.payload, opened.size)
                                     : llama_state_seq_set_data_ext(state.llama(), opened.payload, opened.size, sequence, static_cast<llama_state_seq_flags>(label.flags));
    captured.add_line();
    if (read != opened.size) {
        if (sequence < 0) {
            llama_memory_clear(memory, true);
        } else {
            llama_memory_seq_rm(memory, sequence, -1, -1);
        }
        refuse_state(captured.errors("the context is too small for it") + "; load it into a context with at least the n_ctx, and with the n_sequences and unified_kv, that it was saved from");
    }
    // What lies at the first positions is known again, so that a prompt can go on from it.
    const int32_t known = sequence < 0 ? 0 : sequence;
    const size_t end = static_cast<size_t>(state.end_of(known));
    if (label.flags == 0 && opened.tokens.size() <= end) state.hold(known, opened.tokens);
    return opened.tokens;
}

}  // namespace mullama
