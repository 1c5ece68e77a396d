// Drives llama.cpp's server_context. Its source is a part of this file, because what is needed of it is private there: when
// a slot waits for its reader, how large a step is, and a loop that stops for good when a check fails. All else of the
// engine knows of llama.cpp's server only tasks and results.
#include "engine_llama.h"

#include <algorithm>
#include <cinttypes>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "backend.h"
#include "failure.h"
#include "files.h"
#include "gguf.h"
#include "gguf_check.h"
#include "guard.h"
#include "json_text.h"
#include "log_capture.h"
#include "model_check.h"
#include "mtmd-helper.h"
#include "sampling.h"
#include "speculative.h"
#include "state_envelope.h"
#include "template_check.h"
#include "template_limits.h"
#include "text.h"

namespace {

// Most tokens of the step that runs on this thread; 0: as many as a batch holds.
thread_local uint32_t step_limit = 0;

uint32_t n_batch_of_step(const llama_context *context) {
    const uint32_t n_batch = llama_n_batch(context);
    return step_limit ? std::min(step_limit, n_batch) : n_batch;
}

// What a sampler works on belongs to one slot alone. An abort in it is a plain exception, which ends that slot's request.
class in_sampler {
  public:
    in_sampler() : outside_(mullama::aborts_are_fatal()) { mullama::aborts_are_fatal() = false; }
    ~in_sampler() { mullama::aborts_are_fatal() = outside_; }

  private:
    const bool outside_;
};

common_sampler *init_of_slot(const llama_model *model, common_params_sampling &params) {
    const in_sampler here;
    return common_sampler_init(model, params);
}

llama_token sample_of_slot(common_sampler *sampler, llama_context *context, int index) {
    const in_sampler here;
    return common_sampler_sample(sampler, context, index);
}

void accept_of_slot(common_sampler *sampler, llama_token token, bool is_generated) {
    const in_sampler here;
    common_sampler_accept(sampler, token, is_generated);
}

std::vector<llama_token> sample_and_accept_of_slot(common_sampler *sampler, llama_context *context, const std::vector<int> &indices, const llama_tokens &draft) {
    const in_sampler here;
    return common_sampler_sample_and_accept_n(sampler, context, indices, draft);
}

void draft_of_slots(common_speculative *speculative);

// An image is evaluated whole, whatever the size of the step: its tokens may see each other both ways.
int32_t decode_image_of_slot(mtmd_context *projector, llama_context *context, const mtmd_input_chunk *chunk, float *embeddings, llama_pos n_past, llama_seq_id sequence, int32_t,
                             llama_pos *new_n_past, mtmd_helper_post_decode_callback callback, void *user) {
    return mtmd_helper_decode_image_chunk(projector, context, chunk, embeddings, n_past, sequence, static_cast<int32_t>(llama_n_batch(context)), new_n_past, callback, user);
}

// What a projector's loader says goes where all of llama.cpp's messages go: why it failed is told to the caller.
void keep_log_of_projector(ggml_log_callback, void *) {
    ggml_log_callback callback = nullptr;
    void *user = nullptr;
    llama_log_get(&callback, &user);
    mtmd_helper_log_set(callback, user);
}

}  // namespace

// The loop fills a batch up to llama_n_batch: so a prefill is cut to the size of our step.
#define llama_n_batch n_batch_of_step
#define common_sampler_init init_of_slot
#define common_sampler_sample sample_of_slot
#define common_sampler_accept accept_of_slot
#define common_sampler_sample_and_accept_n sample_and_accept_of_slot
#define common_speculative_draft draft_of_slots
#define mtmd_helper_decode_image_chunk decode_image_of_slot
#define mtmd_helper_log_set keep_log_of_projector
#include "server-context.cpp"
#undef mtmd_helper_log_set
#undef mtmd_helper_decode_image_chunk
#undef common_speculative_draft
#undef common_sampler_sample_and_accept_n
#undef common_sampler_accept
#undef common_sampler_sample
#undef common_sampler_init
#undef llama_n_batch

namespace {

// Those of the step that runs on this thread.
thread_local std::vector<server_slot> *step_slots = nullptr;

// Guesses for all slots at once, within what each request allows.
void draft_of_slots(common_speculative *speculative) {
    for (const server_slot &slot : *step_slots) {
        common_speculative_draft_params &asked = common_speculative_get_draft_params(speculative, slot.id);
        if (!asked.drafting || !slot.task) continue;
        const int32_t n_max = slot.task->params.speculative.draft.n_max;
        asked.n_max = std::min(asked.n_max, n_max);
        asked.drafting = n_max > 0;
    }
    common_speculative_draft(speculative);
    for (server_slot &slot : *step_slots) {
        if (slot.task && slot.spec_draft.size() < static_cast<size_t>(slot.task->params.speculative.draft.n_min)) slot.spec_draft.clear();
    }
}

}  // namespace

namespace mullama {

namespace {

// Private members, by the one way that the language leaves open: an explicit instantiation may name them.
template <class Tag, typename Tag::type member>
struct reached {
    friend typename Tag::type reach(Tag) { return member; }
};
struct slots_tag {
    using type = std::vector<server_slot> server_context_impl::*;
    friend type reach(slots_tag);
};
template struct reached<slots_tag, &server_context_impl::slots>;
struct update_slots_tag {
    using type = void (server_context_impl::*)();
    friend type reach(update_slots_tag);
};
template struct reached<update_slots_tag, &server_context_impl::update_slots>;
struct process_single_task_tag {
    using type = bool (server_context_impl::*)(server_task &&, bool);
    friend type reach(process_single_task_tag);
};
template struct reached<process_single_task_tag, &server_context_impl::process_single_task>;
struct params_base_tag {
    using type = common_params server_context_impl::*;
    friend type reach(params_base_tag);
};
template struct reached<params_base_tag, &server_context_impl::params_base>;

std::vector<server_slot> &slots_of(const server_context &context) { return (*context.impl).*reach(slots_tag{}); }

// A slot that waits for its reader is in the state of one that waits for its parent: evaluated by nobody, and not free.
constexpr slot_state paused_state = SLOT_STATE_WAIT_OTHER;

struct gguf_deleter {
    void operator()(gguf_context *file) const { gguf_free(file); }
};

// What must be known of the file before llama.cpp loads it.
struct file_facts {
    uint32_t n_ctx_train = 0;
    bool has_vocabulary = false;
    bool has_template = false;
    bool is_causal = true;  // as a model that writes has to be
    bool has_head = false;  // for scores
};

file_facts read_facts(const load_request &load) {
    const std::string &path = load.path;
    require_regular_file(path);
    check_gguf(path, false);
    file_facts facts;
    const std::unique_ptr<gguf_context, gguf_deleter> file(gguf_init_from_file(path.c_str(), {/*no_alloc*/ true, /*ctx*/ nullptr}));
    if (!file) return facts;  // the load tells why
    std::string architecture, tokenizer;
    const auto text = [&](int64_t key) { return gguf_get_kv_type(file.get(), key) == GGUF_TYPE_STRING ? std::string(gguf_get_val_str(file.get(), key)) : std::string(); };
    for (int64_t key = 0; key < gguf_get_n_kv(file.get()); ++key) {
        const std::string name = gguf_get_key(file.get(), key);
        if (name == "general.architecture") architecture = text(key);
        if (name == "tokenizer.ggml.model") tokenizer = text(key);
        if (name == "tokenizer.chat_template") facts.has_template = true;
        if (name.rfind("tokenizer.chat_template", 0) == 0) check_template(text(key));
    }
    const std::string length = architecture + ".context_length";
    const int64_t n_ctx = gguf_find_key(file.get(), length.c_str());
    if (n_ctx >= 0 && gguf_get_kv_type(file.get(), n_ctx) == GGUF_TYPE_UINT32) facts.n_ctx_train = gguf_get_val_u32(file.get(), n_ctx);
    for (const llama_model_kv_override &given : load.kv_overrides) {
        if (length == given.key && given.tag == LLAMA_KV_OVERRIDE_TYPE_INT && given.val_i64 > 0) facts.n_ctx_train = static_cast<uint32_t>(std::min<int64_t>(given.val_i64, UINT32_MAX));
    }
    const int64_t causal = gguf_find_key(file.get(), (architecture + ".attention.causal").c_str());
    facts.is_causal = causal < 0 || gguf_get_kv_type(file.get(), causal) != GGUF_TYPE_BOOL || gguf_get_val_bool(file.get(), causal);
    facts.has_head = gguf_find_key(file.get(), "split.count") >= 0;  // another part may have it
    for (int64_t i = 0; i < gguf_get_n_tensors(file.get()); ++i) facts.has_head = facts.has_head || std::string_view(gguf_get_tensor_name(file.get(), i)).rfind("cls", 0) == 0;
    facts.has_vocabulary = !tokenizer.empty() && tokenizer != "no_vocab" && tokenizer != "none";
    return facts;
}

[[noreturn]] void refuse_option(const char *name, const std::string &reason) {
    throw failure(MULLAMA_E_INVALID_ARGUMENT, std::string("engine_options.") + name + " " + reason);
}

void take_model(common_params &params, const load_request &load) {
    if (load.params.vocab_only) throw failure(MULLAMA_E_INVALID_ARGUMENT, "model_options.vocab_only leaves nothing for an engine to evaluate; leave it out");
    if (!load.split_paths.empty()) throw failure(MULLAMA_E_UNSUPPORTED, "model_options.split_paths is not supported by an engine; name the parts NAME-00001-of-00003.gguf and give the first");
    params.model.path = load.path;
    params.fit_params = false;  // what was asked for, or an error
    params.n_gpu_layers = load.params.n_gpu_layers < 0 ? -2 : load.params.n_gpu_layers;
    params.split_mode = load.params.split_mode;
    params.main_gpu = load.params.main_gpu;
    params.check_tensors = load.params.check_tensors;
    params.no_extra_bufts = !load.params.use_extra_bufts;
    params.load_mode = load.params.load_mode;
    params.devices = load.devices;
    params.kv_overrides = load.kv_overrides;
    for (size_t i = 0; i < load.tensor_split.size() && i < std::size(params.tensor_split); ++i) params.tensor_split[i] = load.tensor_split[i];
}

void take_context(common_params &params, const mullama_engine_options &options, const file_facts &facts) {
    const bool generates = options.mode == MULLAMA_ENGINE_MODE_GENERATE;
    const uint64_t most = facts.n_ctx_train ? facts.n_ctx_train : 4096;
    const uint64_t n_ctx = options.n_ctx ? std::min<uint64_t>(options.n_ctx, most) : most;
    const uint64_t padded = (n_ctx + 255) / 256 * 256;  // as llama.cpp does for each slot
    if (padded * options.n_slots > INT32_MAX) {
        refuse_option("n_ctx", "times n_slots is " + std::to_string(n_ctx * options.n_slots) + " tokens; at most " + std::to_string(INT32_MAX) + " are possible");
    }
    params.n_parallel = static_cast<int32_t>(options.n_slots);
    params.n_ctx = static_cast<int32_t>(padded * options.n_slots);
    params.kv_unified_per_slot = static_cast<int32_t>(n_ctx);
    params.kv_unified = options.unified_kv;
    params.swa_full = options.full_swa;
    if (options.n_ubatch > options.n_batch) refuse_option("n_ubatch", "is " + std::to_string(options.n_ubatch) + ", but n_batch only " + std::to_string(options.n_batch));
    params.n_ubatch = static_cast<int32_t>(std::min<uint32_t>(options.n_ubatch, INT32_MAX));
    params.n_batch = generates ? static_cast<int32_t>(std::min<uint32_t>(options.n_batch, INT32_MAX)) : params.n_ubatch;
    params.cpuparams.n_threads = options.n_threads ? options.n_threads : std::max(1, common_cpu_get_num_math());
    params.cpuparams_batch = params.cpuparams;
    if (options.n_threads_batch) params.cpuparams_batch.n_threads = options.n_threads_batch;
    for (int32_t n_threads : {params.cpuparams.n_threads, params.cpuparams_batch.n_threads}) {
        if (n_threads > GGML_MAX_N_THREADS) refuse_option("n_threads", "is " + std::to_string(n_threads) + "; at most " + std::to_string(GGML_MAX_N_THREADS) + " are possible");
    }
    params.cache_type_k = static_cast<ggml_type>(options.type_k);
    params.cache_type_v = static_cast<ggml_type>(options.type_v);
    params.flash_attn_type = static_cast<llama_flash_attn_type>(options.flash_attention);
    params.no_kv_offload = !options.offload_kv;
    params.no_op_offload = !options.offload_ops;
    params.rope_scaling_type = static_cast<llama_rope_scaling_type>(options.rope_scaling);
    params.rope_freq_base = options.rope_freq_base;
    params.rope_freq_scale = options.rope_freq_scale;
    params.cache_ram_mib = static_cast<int32_t>(options.prompt_cache);
    params.cache_idle_slots = false;
    params.ctx_shift = options.context_shift;
    params.embedding = !generates;
    params.pooling_type = options.mode == MULLAMA_ENGINE_MODE_RERANK ? LLAMA_POOLING_TYPE_RANK : static_cast<enum llama_pooling_type>(options.pooling);
    if (generates && options.pooling != MULLAMA_POOLING_UNSPECIFIED) refuse_option("pooling", "is for engines with mode embed");
}

void take_additions(common_params &params, const engine_settings &settings) {
    const mullama_engine_options &options = settings.options;
    for (size_t i = 0; i < settings.lora.size(); ++i) {
        require_regular_file(settings.lora[i]);
        params.lora_adapters.push_back({settings.lora[i], settings.lora_scales.empty() ? 1.0f : settings.lora_scales[i], "", "", nullptr});
    }
    for (size_t i = 0; i < settings.control_vectors.size(); ++i) {
        require_regular_file(settings.control_vectors[i]);
        params.control_vectors.push_back({settings.control_vector_scales.empty() ? 1.0f : settings.control_vector_scales[i], settings.control_vectors[i]});
    }
    // llama.cpp's cache does not know with which scales a prompt was evaluated.
    if (!settings.lora.empty()) params.cache_ram_mib = 0;
    params.control_vector_layer_start = options.control_vector_first;
    params.control_vector_layer_end = options.control_vector_last;
    if (!settings.draft_model.empty()) {
        require_regular_file(settings.draft_model);
        check_gguf(settings.draft_model, false);
        params.speculative.types = {COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE};
        params.speculative.draft.mparams.path = settings.draft_model;
        params.speculative.draft.n_max = options.draft_max;
        params.speculative.draft.n_min = std::min(options.draft_min, options.draft_max);
        params.speculative.draft.p_min = options.draft_p_min;
        params.speculative.draft.cpuparams = params.cpuparams;
        params.speculative.draft.cpuparams_batch = params.cpuparams_batch;
    }
    const int64_t n_needed = static_cast<int64_t>(options.n_slots) * (settings.draft_model.empty() ? 1 : 1 + options.draft_max);
    if (n_needed > params.n_batch) {
        refuse_option("n_batch", "is " + std::to_string(params.n_batch) + ", but one step of " + std::to_string(options.n_slots) + " slots needs " + std::to_string(n_needed));
    }
    if (!settings.projector.empty()) {
        require_regular_file(settings.projector);
        check_gguf(settings.projector, false);
        params.mmproj.path = settings.projector;
        params.mmproj_use_gpu = params.n_gpu_layers != 0;
    }
}

void take_chat(common_params &params, const engine_settings &settings) {
    const mullama_engine_options &options = settings.options;
    params.use_jinja = true;
    if (!settings.chat_template.empty()) check_template(settings.chat_template);
    params.chat_template = settings.chat_template;
    if (!settings.template_arguments.empty()) {
        const common_json arguments = parse_json(settings.template_arguments, "engine_options.template_arguments");
        if (!arguments.is_object()) throw failure(MULLAMA_E_INVALID_JSON, "engine_options.template_arguments is not an object");
        for (const auto &[key, value] : arguments.items()) params.default_template_kwargs[key] = value.dump();
    }
    params.reasoning_format = options.reasoning == MULLAMA_REASONING_FORMAT_SEPARATE ? COMMON_REASONING_FORMAT_DEEPSEEK : COMMON_REASONING_FORMAT_NONE;
    params.enable_reasoning = options.thinking ? -1 : 0;
    params.sampling.reasoning_budget_tokens = options.reasoning_budget;
    params.sampling.seed = options.seed;
}

// The same parameters with another template.
std::unique_ptr<server_chat_params> with_template(const server_chat_params &params, common_chat_templates_ptr templates) {
    auto other = std::make_unique<server_chat_params>();
    other->use_jinja = params.use_jinja;
    other->prefill_assistant = params.prefill_assistant;
    other->reasoning_format = params.reasoning_format;
    other->chat_template_kwargs = params.chat_template_kwargs;
    other->tmpls = std::move(templates);
    other->allow_image = params.allow_image;
    other->allow_audio = params.allow_audio;
    other->allow_video = params.allow_video;
    other->enable_thinking = params.enable_thinking;
    other->reasoning_budget = params.reasoning_budget;
    other->reasoning_budget_message = params.reasoning_budget_message;
    other->media_path = params.media_path;
    other->force_pure_content = params.force_pure_content;
    return other;
}

// Thrown out of llama.cpp's loader, which takes it for a failure of the file.
struct load_stopped : std::exception {
    const char *what() const noexcept override { return "stopped by the progress callback"; }
};

}  // namespace

std::vector<llama_token> ids_of(const server_tokens &tokens) {
    std::vector<llama_token> ids(tokens.size());
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = tokens[i];
    return ids;
}

failure failure_of(const server_task_result &result) {
    const auto &error = static_cast<const server_task_result_error &>(result);
    const std::string reason = shortened(error.err_msg, longest_reason);
    switch (error.err_type) {
        case ERROR_TYPE_EXCEED_CONTEXT_SIZE: return {MULLAMA_E_CONTEXT_FULL, reason};
        case ERROR_TYPE_NOT_SUPPORTED: return {MULLAMA_E_UNSUPPORTED, reason};
        case ERROR_TYPE_INVALID_REQUEST: return {MULLAMA_E_INVALID_ARGUMENT, reason};
        default: return {MULLAMA_E_DECODE_FAILED, reason};
    }
}

engine_llama::engine_llama(engine_settings &settings) : settings_(settings) {
    const file_facts facts = read_facts(settings.load);
    if (!facts.has_vocabulary) throw failure(MULLAMA_E_NO_VOCABULARY, "\"" + settings.load.path + "\" has no vocabulary; an engine works on texts, use a context instead");
    if (settings.options.mode == MULLAMA_ENGINE_MODE_GENERATE && !facts.is_causal) {
        throw failure(MULLAMA_E_UNSUPPORTED, "\"" + settings.load.path + "\" reads whole texts and writes none; open the engine with mode embed or rerank");
    }
    take_model(params_, settings.load);
    take_context(params_, settings.options, facts);
    take_additions(params_, settings);
    take_chat(params_, settings);
    has_template_ = facts.has_template || !settings.chat_template.empty();
    load();

    meta_ = std::make_unique<server_context_meta>(context_.get_meta());
    n_ctx_ = meta_->slot_n_ctx;
    vocab_ = context_.impl->vocab;
    special_ = std::make_unique<special_tokens>(vocab_);
    if (has_template_ && chat_params().tmpls) tools_ = tool_support_of(chat_params().tmpls.get(), true);
    if (tools_ == tool_support::chatml) chatml_tools_ = with_template(chat_params(), common_chat_templates_init(model_, chatml_tool_template()));
    if (settings.options.n_ctx > static_cast<uint32_t>(n_ctx_)) {
        warnings_.push_back("n_ctx is " + std::to_string(settings.options.n_ctx) + ", but the model was trained with " + std::to_string(meta_->model_n_ctx_train) +
                            " tokens: each request can have " + std::to_string(n_ctx_));
    }
    if (settings.options.context_shift && !params_.ctx_shift) warnings_.push_back("context_shift is off: this model's memory, or its projector, does not allow it");
    if (settings.options.mode == MULLAMA_ENGINE_MODE_RERANK && !facts.has_head) warnings_.push_back("the model has no head for scores: what rerank gives means nothing; use a model that was made to rerank");
    if (settings.options.prompt_cache && !settings.lora.empty()) warnings_.push_back("prompt_cache is off: with LoRA adapters a cached prompt could come back under other scales");
    if (!settings.draft_model.empty() && !drafts()) {
        warnings_.push_back("the draft model is not used: it does not fit to the model, or the model's memory cannot go back");
    }
    server_queue &queue = context_.impl->queue_tasks;
    queue.on_update_slots([this] { step(); });
    queue.on_new_task([this](server_task &&task, bool is_yielding) { return start(std::move(task), is_yielding); });
    // A stream's last result is without the text that was held back, as the start of a stop text or of a character.
    for (server_slot &slot : slots_of(context_)) {
        slot.callback_on_reset = [this, reset = slot.callback_on_reset](const server_slot &ended) {
            if (ended.task->params.stream && ended.n_sent_text < ended.generated_text.size()) {
                const std::lock_guard<std::mutex> held(bookkeeping_);
                if (expected_.count(ended.task->id)) rests_[ended.task->id] = ended.generated_text.substr(ended.n_sent_text);
            }
            reset(ended);
        };
        // An action that waits for the slot comes before the tasks that do.
        slot.callback_on_release = [this, release = slot.callback_on_release](int id) {
            const auto waits = [&](const server_task &task) { return task.slot_action.id_slot == id; };
            if (std::any_of(waiting_actions_.begin(), waiting_actions_.end(), waits)) {
                released_.push_back(id);
            } else {
                release(id);
            }
        };
    }
}

engine_llama::~engine_llama() = default;

void engine_llama::load() {
    load_request &load = settings_.load;
    context_.set_state_callback([&](server_state, json payload) {
        if (!load.progress || !payload.contains("value")) return;
        const auto stages = payload.at("stages").get<std::vector<std::string>>();
        const auto stage = std::find(stages.begin(), stages.end(), payload.at("current").get<std::string>()) - stages.begin();
        const float fraction = (static_cast<float>(stage) + payload.at("value").get<float>()) / static_cast<float>(std::max<size_t>(1, stages.size()));
        if (!load.progress(std::min(fraction, 1.0f), load.progress_user)) {
            load.stopped = true;
            throw load_stopped();
        }
    });
    const template_budget budget;
    log_capture captured;
    const int aborts = abort_count();
    bool loaded = false;
    try {
        loaded = context_.load_model(params_);
    } catch (const load_stopped &) {  // the first call comes from outside of the loader
    }
    captured.add_line();
    context_.set_state_callback([](server_state, json) {});
    if (load.stopped) throw failure(MULLAMA_E_CANCELLED, "loading \"" + load.path + "\" was stopped by its progress callback");
    model_ = context_.impl->model_tgt;
    if (!loaded) {
        if (model_ && context_.get_llama_context()) {  // all that is left to fail then is the template
            const char *own = llama_model_chat_template(model_, nullptr);
            const std::string source = !settings_.chat_template.empty() ? settings_.chat_template : own ? own : "";
            try {
                common_chat_template(source, "", "");
                const common_chat_templates_ptr templates = common_chat_templates_init(model_, settings_.chat_template);
                common_chat_templates_support_enable_thinking(templates.get());
            } catch (const std::exception &e) {
                throw failure(MULLAMA_E_TEMPLATE_FAILED, std::string("the chat template cannot be used: ") + shortened(e.what(), longest_reason));
            }
        }
        const std::string reasons = captured.errors(abort_count() != aborts ? "a check inside llama.cpp failed" : "llama.cpp gave no reason");
        throw failure(code_of_load(reasons), "\"" + load.path + "\" cannot be opened as an engine: " + reasons);
    }
    check_model(model_, load.path);
    warnings_ = captured.warnings();
}

const mtmd_context *engine_llama::projector() const { return context_.impl->mctx; }

bool engine_llama::drafts() const { return slots_of(context_)[0].can_speculate(); }

int engine_llama::new_task_id() { return context_.impl->queue_tasks.get_new_id(); }

void engine_llama::run(std::function<void()> after_step) {
    after_step_ = std::move(after_step);
    aborts_are_fatal() = true;
    context_.start_loop();
}

void engine_llama::stop() { context_.terminate(); }

// Takes a task from the queue, on the loop's thread (or llama.cpp's own beside it, while that evaluates an image).
bool engine_llama::start(server_task &&task, bool is_yielding) {
    if (!is_yielding) {
        switch (task.type) {
            case SERVER_TASK_TYPE_SLOT_SAVE:
            case SERVER_TASK_TYPE_SLOT_RESTORE:
            case SERVER_TASK_TYPE_SLOT_ERASE: {
                // llama.cpp puts such a task among those that wait for any slot, where it takes the turn of another.
                server_slot &slot = slots_of(context_).at(task.slot_action.id_slot);
                if (slot.is_processing()) {
                    waiting_actions_.push_back(std::move(task));
                } else {
                    act(task, slot);
                }
                return true;
            }
            case SERVER_TASK_TYPE_CANCEL:
                waiting_actions_.erase(std::remove_if(waiting_actions_.begin(), waiting_actions_.end(), [&](const server_task &waiting) { return waiting.id == task.id_target; }), waiting_actions_.end());
                break;
            case SERVER_TASK_TYPE_COMPLETION:
            case SERVER_TASK_TYPE_INFILL: {
                // Without scales of its own a task would go on from what a slot holds, whatever scales that was evaluated with.
                const auto &adapters = ((*context_.impl).*reach(params_base_tag{})).lora_adapters;
                const auto complete = [&](server_task &one) {
                    for (size_t i = 0; one.params.lora.size() < adapters.size() && i < adapters.size(); ++i) one.params.lora.emplace(i, adapters[i].scale);
                };
                if (task.params.lora.empty()) {
                    complete(task);
                    for (server_task &child : task.child_tasks) complete(child);
                }
                break;
            }
            default: break;
        }
    }
    return ((*context_.impl).*reach(process_single_task_tag{}))(std::move(task), is_yielding);
}

// The slot is idle.
void engine_llama::act(const server_task &task, server_slot &slot) {
    auto result = std::make_unique<slot_action_result>();
    result->id = task.id;
    result->id_slot = slot.id;
    try {
        if (task.type == SERVER_TASK_TYPE_SLOT_SAVE) {
            result->saved = save(slot, result->n_tokens);
        } else if (task.type == SERVER_TASK_TYPE_SLOT_RESTORE) {
            result->n_tokens = restore(slot, task.cli_files.at(0));
        } else {
            result->n_tokens = slot.prompt.tokens.size();
            slot.prompt_clear();
        }
    } catch (const failure &error) {
        result->error = std::make_unique<failure>(error);
    }
    context_.impl->queue_results.send(std::move(result));
}

uint64_t engine_llama::shape() const {
    char architecture[128] = "";
    llama_model_meta_val_str(model_, "general.architecture", architecture, sizeof(architecture));
    return shape_of(model_, architecture, settings_.options.type_k, settings_.options.type_v);
}

namespace {

// In front of llama.cpp's bytes: of the model, and of the draft model where there is one. Then a scale for each adapter.
struct slot_payload {
    uint64_t main, draft, n_adapters;
};

slot_payload sizes_of(const opened_state &opened) {
    slot_payload sizes;
    if (opened.size < sizeof(sizes)) refuse_state("it is damaged");
    std::memcpy(&sizes, opened.payload, sizeof(sizes));
    const size_t rest = opened.size - sizeof(sizes);
    if (sizes.n_adapters > rest / sizeof(float) || sizes.main > rest || sizes.draft > rest || sizes.n_adapters * sizeof(float) + sizes.main + sizes.draft != rest) refuse_state("it is damaged");
    return sizes;
}

}  // namespace

std::vector<uint8_t> engine_llama::save(const server_slot &slot, size_t &n_tokens) const {
    const std::vector<llama_token> tokens = ids_of(slot.prompt.tokens);
    if (std::find(tokens.begin(), tokens.end(), LLAMA_TOKEN_NULL) != tokens.end()) throw failure(MULLAMA_E_UNSUPPORTED, "the slot holds images or sound, which cannot be saved");
    n_tokens = tokens.size();
    slot_payload sizes{llama_state_seq_get_size_ext(slot.ctx_tgt, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE),
                       slot.ctx_dft ? llama_state_seq_get_size_ext(slot.ctx_dft, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE) : 0, slot.lora.size()};
    const size_t most = sizeof(sizes) + sizes.n_adapters * sizeof(float) + sizes.main + sizes.draft;
    return seal_state({state_kind::slot, 0, shape()}, tokens, most, [&](uint8_t *payload) {
        uint8_t *at = payload + sizeof(sizes);
        for (const common_adapter_lora_info &adapter : slot.lora) {
            std::memcpy(at, &adapter.scale, sizeof(float));
            at += sizeof(float);
        }
        sizes.main = llama_state_seq_get_data_ext(slot.ctx_tgt, at, sizes.main, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE);
        at += sizes.main;
        if (slot.ctx_dft) sizes.draft = llama_state_seq_get_data_ext(slot.ctx_dft, at, sizes.draft, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE);
        std::memcpy(payload, &sizes, sizeof(sizes));
        return static_cast<size_t>(at - payload) + sizes.draft;
    });
}

void engine_llama::check_slot_state(const std::vector<uint8_t> &bytes) const {
    const opened_state opened = open_state(bytes.data(), bytes.size(), shape());
    if (opened.label.kind != state_kind::slot) refuse_state("it was saved from a context, not from a slot of an engine");
    const slot_payload sizes = sizes_of(opened);
    const int32_t n_vocab = llama_vocab_n_tokens(vocab_);
    for (llama_token token : opened.tokens) {
        if (token < 0 || token >= n_vocab) refuse_state("it names token " + std::to_string(token) + ", which the model does not have");
    }
    if (opened.tokens.size() >= static_cast<size_t>(n_ctx_)) {
        refuse_state("it has " + std::to_string(opened.tokens.size()) + " tokens, but a request can have " + std::to_string(n_ctx_) + "; open the engine with a larger n_ctx");
    }
    if (sizes.n_adapters != settings_.lora.size()) {
        refuse_state("it was saved with " + std::to_string(sizes.n_adapters) + " LoRA adapters; this engine was opened with " + std::to_string(settings_.lora.size()));
    }
    const bool has_draft = slots_of(context_)[0].ctx_dft != nullptr;
    if ((sizes.draft > 0) != has_draft) refuse_state(has_draft ? "it was saved by an engine without a draft model" : "it was saved by an engine with a draft model");
}

size_t engine_llama::restore(server_slot &slot, const std::vector<uint8_t> &bytes) {
    const opened_state opened = open_state(bytes.data(), bytes.size(), shape());
    const slot_payload sizes = sizes_of(opened);
    const uint8_t *adapters = opened.payload + sizeof(sizes), *main = adapters + sizes.n_adapters * sizeof(float);
    slot.prompt_clear();
    bool whole = llama_state_seq_set_data_ext(slot.ctx_tgt, main, sizes.main, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE) == sizes.main;
    if (slot.ctx_dft) whole = whole && llama_state_seq_set_data_ext(slot.ctx_dft, main + sizes.main, sizes.draft, slot.id, LLAMA_STATE_SEQ_FLAGS_NONE) == sizes.draft;
    const llama_pos end = llama_memory_seq_pos_max(llama_get_memory(slot.ctx_tgt), slot.id) + 1;
    if (!whole || end != static_cast<llama_pos>(opened.tokens.size())) {
        slot.prompt_clear();
        refuse_state(whole ? "its cache does not hold the tokens that it names" : "the cache has no room for it; erase other slots, or open the engine with a larger n_ctx");
    }
    slot.prompt.tokens = server_tokens(opened.tokens, slot.mctx != nullptr);
    slot.lora = ((*context_.impl).*reach(params_base_tag{})).lora_adapters;
    for (common_adapter_lora_info &adapter : slot.lora) {
        std::memcpy(&adapter.scale, adapters, sizeof(float));
        adapters += sizeof(float);
    }
    return opened.tokens.size();
}

void engine_llama::step() {
    int n_processing = 0, n_generating = 0, n_paused = 0;
    bool prefills = false;
    std::unique_lock<std::mutex> held(bookkeeping_);
    for (const server_slot &slot : slots_of(context_)) {
        n_processing += slot.is_processing();
        n_generating += slot.state == SLOT_STATE_GENERATING;
        n_paused += slot.state == paused_state && paused_.count(slot.task->id);
        prefills = prefills || slot.state == SLOT_STATE_STARTED || slot.state == SLOT_STATE_PROCESSING_PROMPT;
    }
    held.unlock();
    const int n_each = settings_.draft_model.empty() ? 1 : 1 + settings_.options.draft_max;
    step_limit = n_generating && prefills ? static_cast<uint32_t>(n_generating * n_each) + settings_.options.prefill_chunk : 0;
    step_slots = &slots_of(context_);
    // When every slot waits for its reader there is nothing to do until a task wakes the loop.
    if (n_processing == 0 || n_processing > n_paused) ((*context_.impl).*reach(update_slots_tag{}))();
    std::vector<server_task> actions;
    actions.swap(waiting_actions_);
    for (server_task &action : actions) {
        server_slot &slot = slots_of(context_).at(action.slot_action.id_slot);
        if (slot.is_processing()) {
            waiting_actions_.push_back(std::move(action));
        } else {
            act(action, slot);
        }
    }
    for (int id : std::exchange(released_, {})) context_.impl->queue_tasks.pop_deferred_task(id);
    after_step_();
}

void engine_llama::post(server_task &&task) {
    server_response &results = context_.impl->queue_results;
    const auto expect = [&](int id) {
        const std::lock_guard<std::mutex> held(bookkeeping_);
        expected_.insert(id);
        results.add_waiting_task_id(id);
    };
    expect(task.id);
    for (const server_task &child : task.child_tasks) expect(child.id);
    context_.impl->queue_tasks.post(std::move(task));
}

void engine_llama::cancel(const std::vector<int> &tasks) {
    std::vector<server_task> cancels;
    std::unique_lock<std::mutex> held(bookkeeping_);
    for (int id : tasks) {
        if (!expected_.erase(id)) continue;
        paused_.erase(id);
        rests_.erase(id);
        context_.impl->queue_results.remove_waiting_task_id(id);
        cancels.emplace_back(SERVER_TASK_TYPE_CANCEL);
        cancels.back().id_target = id;
    }
    held.unlock();
    if (!cancels.empty()) context_.impl->queue_tasks.post(std::move(cancels), true);
}

void engine_llama::wake() {
    server_task task(SERVER_TASK_TYPE_NEXT_RESPONSE);
    task.id = new_task_id();
    context_.impl->queue_tasks.post(std::move(task));
}

std::unique_ptr<server_task_result> engine_llama::take() {
    if (expected_.empty()) return nullptr;
    std::unique_ptr<server_task_result> result = context_.impl->queue_results.recv_with_timeout(expected_, 0);
    if (result && (result->is_error() || result->is_stop())) {
        const std::lock_guard<std::mutex> held(bookkeeping_);
        if (auto *last = dynamic_cast<server_task_result_cmpl_final *>(result.get())) {
            const auto rest = rests_.find(last->id);
            if (rest != rests_.end()) last->content = rest->second;
            last->content = mended_utf8(last->content);
        }
        rests_.erase(result->id);
        expected_.erase(result->id);
        paused_.erase(result->id);
        context_.impl->queue_results.remove_waiting_task_id(result->id);
    }
    return result;
}

std::vector<int> engine_llama::tasks_in_slots() {
    std::vector<int> tasks;
    for (const server_slot &slot : slots_of(context_)) {
        if (slot.task) tasks.push_back(slot.task->id);
    }
    return tasks;
}

void engine_llama::set_paused(int task, bool paused) {
    for (server_slot &slot : slots_of(context_)) {
        if (!slot.task || slot.task->id != task) continue;
        std::unique_lock<std::mutex> held(bookkeeping_);
        if (paused && slot.state == SLOT_STATE_GENERATING) {
            slot.state = paused_state;
            paused_.insert(task);
        } else if (!paused && paused_.erase(task)) {
            held.unlock();
            slot.state = SLOT_STATE_GENERATING;
            wake();  // when every slot has waited, so does the loop
        }
    }
}

}  // namespace mullama
