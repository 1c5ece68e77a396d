// The area context: evaluation, outputs, memory, saved states, figures.
#include <cstring>
#include <map>
#include <memory>

#include "backend.h"
#include "context_state.h"
#include "files.h"
#include "generated/options.h"
#include "ggml.h"
#include "llama-ext.h"
#include "results.h"
#include "saved_state.h"
#include "text.h"

using namespace mullama;

namespace {

using use = exclusive_core<context_state>::use;

use enter(mullama_context *context) { return require(context, "context").core->enter(); }

mullama_context_info info_of(const context_state &state) {
    const llama_context *context = state.llama();
    mullama_context_info info{};
    info.n_ctx = llama_n_ctx(context);
    info.n_ctx_sequence = state.n_ctx_sequence();
    info.n_batch = llama_n_batch(context);
    info.n_ubatch = llama_n_ubatch(context);
    info.n_sequences = llama_n_seq_max(context);
    info.n_threads = state.n_threads();
    info.n_threads_batch = state.n_threads_batch();
    info.pooling = llama_pooling_type(context);
    info.type_k = state.type_k();
    info.type_v = state.type_v();
    llama_memory_t memory = llama_get_memory(context);
    info.can_shift = memory && llama_memory_can_shift(memory);
    info.embeddings = state.embeddings();
    return info;
}

// Positions as llama.cpp takes them, after a check of the sequence and the range.
void require_range(const context_state &state, int32_t sequence, int32_t start, int32_t end) {
    state.require_sequence(sequence);
    if (start < 0) throw failure(MULLAMA_E_OUT_OF_RANGE, "the start is " + std::to_string(start) + "; positions are 0 or more");
    if (end >= 0 && end < start) throw failure(MULLAMA_E_OUT_OF_RANGE, "the end " + std::to_string(end) + " lies before the start " + std::to_string(start));
}

void require_shifting(const context_state &state) {
    if (!llama_memory_can_shift(state.require_memory())) throw failure(MULLAMA_E_UNSUPPORTED, "this model's memory cannot be shifted");
}

struct buffer_usage {
    std::string name;
    llama_memory_breakdown_data size;
};

std::vector<buffer_usage> buffers_of(const context_state &state) {
    std::vector<buffer_usage> buffers;
    for (const auto &[type, size] : llama_get_memory_breakdown(state.llama())) buffers.push_back({ggml_backend_buft_name(type), size});
    return buffers;
}

mullama_memory_usage usage(const char *name, const llama_memory_breakdown_data &size) {
    mullama_memory_usage usage{};
    usage.buffer = name;
    usage.buffer_len = std::strlen(name);
    usage.model = size.model;
    usage.context = size.context;
    usage.compute = size.compute;
    return usage;
}

void require_whole_or_sequence(const context_state &state, int32_t sequence) {
    if (sequence < -1) throw failure(MULLAMA_E_OUT_OF_RANGE, "sequence " + std::to_string(sequence) + " does not exist; -1 stands for all of them");
    if (sequence >= 0) state.require_sequence(sequence);
}

// The entries of a batch with every default filled in.
decode_request request_of(const context_state &state, const mullama_batch &batch) {
    decode_request request;
    if (batch.tokens_len && batch.embeddings_len) throw failure(MULLAMA_E_INVALID_ARGUMENT, "a batch has tokens or embeddings, not both");
    if (batch.embeddings_len) {
        const size_t width = llama_model_n_embd_inp(state.model->model.get());
        if (batch.embeddings_len % width) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "batch.embeddings has " + std::to_string(batch.embeddings_len) + " numbers, which is no multiple of the model's width " + std::to_string(width));
        }
        request.embeddings = batch.embeddings;
        request.count = batch.embeddings_len / width;
        for (size_t i = 0; i < batch.embeddings_len; ++i) {
            if (!(batch.embeddings[i] >= -3.4e38f && batch.embeddings[i] <= 3.4e38f)) {
                throw failure(MULLAMA_E_INVALID_ARGUMENT, "batch.embeddings[" + std::to_string(i) + "] is not a finite number");
            }
        }
    } else {
        request.tokens = batch.tokens;
        request.count = batch.tokens_len;
    }
    const auto require_length = [&](size_t length, size_t expected, const char *name) {
        if (length && length != expected) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, std::string("batch.") + name + " has " + std::to_string(length) + " items, but the batch needs " + std::to_string(expected));
        }
    };
    const size_t count = request.count;
    require_length(batch.positions_len, count, "positions");
    require_length(batch.sequence_counts_len, count, "sequence_counts");
    require_length(batch.outputs_len, count, "outputs");
    size_t n_ids = count;
    if (batch.sequence_counts_len) {
        request.sequence_counts.assign(batch.sequence_counts, batch.sequence_counts + count);
        n_ids = 0;
        for (size_t i = 0; i < count; ++i) {
            const int32_t ids = request.sequence_counts[i];
            if (ids < 1 || static_cast<uint32_t>(ids) > llama_n_seq_max(state.llama())) {
                throw failure(MULLAMA_E_OUT_OF_RANGE, "batch.sequence_counts[" + std::to_string(i) + "] is " + std::to_string(ids) + "; an entry belongs to 1 to " + std::to_string(llama_n_seq_max(state.llama())) + " sequences");
            }
            n_ids += ids;
        }
        const bool unified = llama_n_ctx_seq(state.llama()) == llama_n_ctx(state.llama());
        if (n_ids > count && !unified) throw failure(MULLAMA_E_UNSUPPORTED, "an entry can belong to several sequences only in a context with unified_kv; create the context so");
    }
    require_length(batch.sequences_len, n_ids, "sequences");
    if (batch.sequences_len) {
        request.sequences.assign(batch.sequences, batch.sequences + n_ids);
    } else {
        request.sequences.assign(n_ids, 0);
    }
    for (llama_seq_id sequence : request.sequences) state.require_sequence(sequence);

    if (batch.positions_len) {
        request.positions.assign(batch.positions, batch.positions + count);
    } else {
        std::map<llama_seq_id, llama_pos> next;
        for (size_t i = 0, id = 0; i < count; ++i) {
            const int32_t ids = request.sequence_counts.empty() ? 1 : request.sequence_counts[i];
            llama_pos position = 0;
            for (int32_t k = 0; k < ids; ++k) {
                const auto place = next.emplace(request.sequences[id + k], 0);
                if (place.second) place.first->second = state.end_of(place.first->first);
                position = std::max(position, place.first->second);
            }
            request.positions.push_back(position);
            for (int32_t k = 0; k < ids; ++k) next[request.sequences[id + k]] = position + 1;
            id += ids;
        }
    }
    request.outputs.assign(count, batch.outputs_len == 0 && state.embeddings());
    for (size_t i = 0; i < batch.outputs_len; ++i) request.outputs[i] = batch.outputs[i] != 0;
    if (batch.outputs_len == 0 && count) request.outputs[count - 1] = 1;
    return request;
}

}  // namespace

int32_t mullama_model_create_context(mullama_model *model, const mullama_context_options *options, mullama_context **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        auto resource = require(model, "model").core->enter();
        *out = new mullama_context(std::make_unique<context_state>(std::move(resource), read_context_options(options)));
    });
}

void mullama_context_close(mullama_context *context) {
    if (context) context->core->close();
}

void mullama_context_free(mullama_context *context) {
    mullama_context_close(context);
    delete context;
}

int32_t mullama_context_get_info(mullama_context *context, mullama_context_info *out, mullama_error **err) {
    return guarded(err, [&] { give(info_of(*enter(context)), out); });
}

uint32_t mullama_context_n_ctx(mullama_context *context) {
    return guarded_value([&]() -> uint32_t {
        uint32_t n_ctx = 0;
        if (context) context->core->signal([&](const context_state &state) { n_ctx = llama_n_ctx(state.llama()); });
        return n_ctx;
    });
}

int32_t mullama_context_warnings(mullama_context *context, const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] { give(enter(context)->warnings(), out, out_len); });
}

int32_t mullama_context_set_threads(mullama_context *context, int32_t n_threads, int32_t n_threads_batch, mullama_error **err) {
    return guarded(err, [&] {
        if (n_threads < 1 || n_threads_batch < 1) {
            throw failure(MULLAMA_E_INVALID_ARGUMENT, "the numbers of threads are " + std::to_string(n_threads) + " and " + std::to_string(n_threads_batch) + "; they must be at least 1");
        }
        enter(context)->set_threads(n_threads, n_threads_batch);
    });
}

int32_t mullama_context_set_embeddings(mullama_context *context, int32_t embeddings, mullama_error **err) {
    return guarded(err, [&] { enter(context)->set_embeddings(embeddings); });
}

int32_t mullama_context_set_causal_attention(mullama_context *context, int32_t causal, mullama_error **err) {
    return guarded(err, [&] { llama_set_causal_attn(enter(context)->llama(), causal); });
}

int32_t mullama_context_decode(mullama_context *context, const int32_t *tokens, size_t tokens_len, const mullama_decode_options *options, mullama_error **err) {
    return guarded(err, [&] {
        const mullama_decode_options taken = read_decode_options(options);
        auto state = enter(context);
        const context_state::operation operation(*state);
        require_array(tokens, tokens_len, "tokens");
        state->append(taken.sequence, taken.position, tokens, tokens_len, taken.outputs);
    });
}

int32_t mullama_context_decode_batch(mullama_context *context, const mullama_batch *batch, mullama_error **err) {
    return guarded(err, [&] {
        const mullama_batch taken = read_batch(batch);
        auto state = enter(context);
        decode_request request = request_of(*state, taken);
        const context_state::operation operation(*state);
        state->decode(request);
    });
}

int32_t mullama_context_encode(mullama_context *context, const int32_t *tokens, size_t tokens_len, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        const context_state::operation operation(*state);
        require_array(tokens, tokens_len, "tokens");
        state->encode(tokens, tokens_len);
    });
}

void mullama_context_cancel(mullama_context *context) {
    guarded_void([&] {
        if (context) context->core->signal([](context_state &state) { state.cancel(); });
    });
}

int32_t mullama_context_logits(mullama_context *context, int32_t index, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        borrow(state->logits(index), llama_vocab_n_tokens(state->model->vocab), out, out_len);
    });
}

int32_t mullama_context_all_logits(mullama_context *context, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        borrow(state->all_logits(), static_cast<size_t>(state->n_outputs()) * llama_vocab_n_tokens(state->model->vocab), out, out_len);
    });
}

int32_t mullama_context_n_outputs(mullama_context *context) {
    return guarded_value([&]() -> int32_t {
        int32_t count = 0;
        if (context) context->core->signal([&](const context_state &state) { count = state.n_outputs(); });
        return count;
    });
}

int32_t mullama_context_embeddings(mullama_context *context, int32_t index, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        borrow(state->embedding(index), llama_model_n_embd_out(state->model->model.get()), out, out_len);
    });
}

int32_t mullama_context_all_embeddings(mullama_context *context, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        borrow(state->all_embeddings(), static_cast<size_t>(state->n_outputs()) * llama_model_n_embd_out(state->model->model.get()), out, out_len);
    });
}

int32_t mullama_context_sequence_embeddings(mullama_context *context, int32_t sequence, const float **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        state->require_sequence(sequence);
        const float *embeddings = state->n_outputs() ? llama_get_embeddings_seq(state->llama(), sequence) : nullptr;
        if (!embeddings) {
            throw failure(MULLAMA_E_NO_OUTPUT, "there is no pooled embedding of sequence " + std::to_string(sequence) +
                                                   "; decode it in a context with embeddings and a pooling other than none");
        }
        const bool rank = llama_pooling_type(state->llama()) == LLAMA_POOLING_TYPE_RANK;
        const llama_model *model = state->model->model.get();
        borrow(embeddings, rank ? llama_model_n_cls_out(model) : llama_model_n_embd_out(model), out, out_len);
    });
}

int32_t mullama_context_memory_remove(mullama_context *context, int32_t sequence, int32_t start, int32_t end, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        if (sequence != -1 || start < 0 || (end >= 0 && end < start)) require_range(*state, sequence == -1 ? 0 : sequence, start, end);
        give(static_cast<int32_t>(state->remove(sequence, start, end)), out);
    });
}

int32_t mullama_context_memory_copy(mullama_context *context, int32_t source, int32_t target, int32_t start, int32_t end, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_range(*state, source, start, end);
        state->require_sequence(target);
        if (source == target) return;
        const llama_pos last = state->end_of(source);
        if (llama_n_seq_max(state->llama()) > 1 && (start > 0 || (end >= 0 && end < last)) && info_of(*state).n_ctx != info_of(*state).n_ctx_sequence) {
            throw failure(MULLAMA_E_UNSUPPORTED, "part of a sequence can be copied only in a context with unified_kv; copy all of it, or create the context so");
        }
        if (end > start && end < last && !state->has_window_of(source, end)) {
            throw failure(MULLAMA_E_UNSUPPORTED, "the memory has forgotten part of the sliding window in front of position " + std::to_string(end) +
                                                     ", so the copy could not be gone on from; copy up to the end, or create the context with full_swa");
        }
        llama_memory_seq_cp(state->require_memory(), source, target, start, end);
        std::vector<llama_token> held;
        if (start == 0) {
            held = state->held(source);
            if (end >= 0 && held.size() > static_cast<size_t>(end)) held.resize(end);
        }
        state->hold(target, std::move(held));
    });
}

int32_t mullama_context_memory_keep(mullama_context *context, int32_t sequence, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        state->require_sequence(sequence);
        // Not llama_memory_seq_keep: where each sequence has a cache of its own, it leaves the other caches as they are.
        for (uint32_t other = 0; other < llama_n_seq_max(state->llama()); ++other) {
            if (static_cast<int32_t>(other) != sequence) state->remove(other, 0, -1);
        }
    });
}

int32_t mullama_context_memory_shift(mullama_context *context, int32_t sequence, int32_t start, int32_t end, int32_t delta, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_range(*state, sequence, start, end);
        require_shifting(*state);
        if (delta < 0 && start + static_cast<int64_t>(delta) < 0) {
            throw failure(MULLAMA_E_OUT_OF_RANGE, "shifting position " + std::to_string(start) + " by " + std::to_string(delta) + " would make it negative");
        }
        if (static_cast<int64_t>(state->end_of(sequence)) + delta > static_cast<int64_t>(INT32_MAX)) {
            throw failure(MULLAMA_E_OUT_OF_RANGE, "shifting by " + std::to_string(delta) + " would take positions past " + std::to_string(INT32_MAX));
        }
        llama_memory_seq_add(state->require_memory(), sequence, start, end, delta);
        state->forget_after(sequence, std::min(start, start + delta));
    });
}

int32_t mullama_context_memory_divide(mullama_context *context, int32_t sequence, int32_t start, int32_t end, int32_t divisor, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_range(*state, sequence, start, end);
        if (divisor < 1) throw failure(MULLAMA_E_INVALID_ARGUMENT, "the divisor is " + std::to_string(divisor) + "; it must be at least 1");
        require_shifting(*state);
        if (divisor == 1) return;
        llama_memory_seq_div(state->require_memory(), sequence, start, end, divisor);
        state->forget_after(sequence, start / divisor);
    });
}

int32_t mullama_context_memory_min(mullama_context *context, int32_t sequence, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        state->require_sequence(sequence);
        give(static_cast<int32_t>(llama_memory_seq_pos_min(state->require_memory(), sequence)), out);
    });
}

int32_t mullama_context_memory_max(mullama_context *context, int32_t sequence, int32_t *out, mullama_error **err) {
    return guarded(err, [&] {
        const auto state = enter(context);
        state->require_sequence(sequence);
        give(static_cast<int32_t>(llama_memory_seq_pos_max(state->require_memory(), sequence)), out);
    });
}

int32_t mullama_context_memory_can_shift(mullama_context *context, int32_t *out, mullama_error **err) {
    return guarded(err, [&] { give(info_of(*enter(context)).can_shift, out); });
}

int32_t mullama_context_memory_clear(mullama_context *context, int32_t data, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        llama_memory_clear(state->require_memory(), data);
        state->forget_after(-1, 0);
    });
}

int32_t mullama_context_state_size(mullama_context *context, int32_t sequence, uint64_t flags, size_t *out, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_whole_or_sequence(*state, sequence);
        give(state_size(*state, sequence, flags), out);
    });
}

int32_t mullama_context_save_state(mullama_context *context, int32_t sequence, uint64_t flags, const uint8_t **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_whole_or_sequence(*state, sequence);
        give(save_state(*state, sequence, flags), out, out_len);
    });
}

int32_t mullama_context_load_state(mullama_context *context, const uint8_t *bytes, size_t bytes_len, int32_t sequence, mullama_error **err) {
    return guarded(err, [&] {
        auto state = enter(context);
        require_whole_or_sequence(*state, sequence);
        require_array(bytes, bytes_len, "state");
        load_state(*state, bytes, bytes_len, sequence);
    });
}

int32_t mullama_context_save_state_file(mullama_context *context, const char *path, size_t path_len, const int32_t *tokens, size_t tokens_len,
                                        int32_t sequence, uint64_t flags, mullama_error **err) {
    return guarded(err, [&] {
        const std::string file = take_path(path, path_len);
        auto state = enter(context);
        require_whole_or_sequence(*state, sequence);
        require_array(tokens, tokens_len, "tokens");
        const std::vector<llama_token> kept(tokens, tokens + tokens_len);
        write_file(file, save_state(*state, sequence, flags, tokens_len ? &kept : nullptr));
    });
}

int32_t mullama_context_load_state_file(mullama_context *context, const char *path, size_t path_len, int32_t sequence, const int32_t **out,
                                        size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        const std::string file = take_path(path, path_len);
        auto state = enter(context);
        require_whole_or_sequence(*state, sequence);
        const std::vector<uint8_t> bytes = read_file(file);
        give(load_state(*state, bytes.data(), bytes.size(), sequence), out, out_len);
    });
}

int32_t mullama_context_get_timings(mullama_context *context, mullama_context_timings *out, mullama_error **err) {
    return guarded(err, [&] {
        const llama_perf_context_data figures = llama_perf_context(enter(context)->llama());
        mullama_context_timings timings{};
        timings.prefill_ms = figures.t_p_eval_ms;
        timings.decode_ms = figures.t_eval_ms;
        // llama.cpp's own counts are at least 1, so that it can divide by them.
        timings.n_prefill = figures.t_p_eval_ms > 0 ? figures.n_p_eval : 0;
        timings.n_decode = figures.t_eval_ms > 0 ? figures.n_eval : 0;
        timings.n_graphs_reused = figures.n_reused;
        give(timings, out);
    });
}

int32_t mullama_context_reset_timings(mullama_context *context, mullama_error **err) {
    return guarded(err, [&] { llama_perf_context_reset(enter(context)->llama()); });
}

int32_t mullama_context_memory_usage(mullama_context *context, mullama_memory_usage *out, mullama_error **err) {
    return guarded(err, [&] {
        llama_memory_breakdown_data total;
        for (const buffer_usage &buffer : buffers_of(*enter(context))) {
            total.model += buffer.size.model;
            total.context += buffer.size.context;
            total.compute += buffer.size.compute;
        }
        give(usage("total", total), out);
    });
}

int32_t mullama_context_memory_buffer_count(mullama_context *context, size_t *out, mullama_error **err) {
    return guarded(err, [&] { give(buffers_of(*enter(context)).size(), out); });
}

int32_t mullama_context_memory_buffer(mullama_context *context, size_t index, mullama_memory_usage *out, mullama_error **err) {
    return guarded(err, [&] {
        const std::vector<buffer_usage> buffers = buffers_of(*enter(context));
        if (index >= buffers.size()) {
            throw failure(MULLAMA_E_OUT_OF_RANGE, "buffer " + std::to_string(index) + " does not exist; there are " + std::to_string(buffers.size()));
        }
        static std::map<std::string, std::string> names;  // live forever, as the result promises
        static std::mutex mutex;
        std::lock_guard<std::mutex> lock(mutex);
        const std::string &name = names.emplace(buffers[index].name, buffers[index].name).first->first;
        give(usage(name.c_str(), buffers[index].size), out);
    });
}
