// The area core: the library, the devices and the log.
#include <cstring>

#include "backend.h"
#include "cpu_variant.h"
#include "generated/options.h"
#include "ggml-backend.h"
#include "json_text.h"
#include "log_ring.h"
#include "model_resource.h"
#include "results.h"
#include "text.h"

using namespace mullama;

namespace {

constexpr const char *log_name = "log";

struct log_reader {
    uint64_t next = 0;
    bool cancelled = false;  // guarded by the ring's mutex
    const std::shared_ptr<log_ring::entry> lent_entry = std::make_shared<log_ring::entry>();
    log_ring::entry &current = *lent_entry;

    std::shared_ptr<const void> lent() const { return lent_entry; }
    void cancel() noexcept { log_ring::get().cancel(cancelled); }
};

const std::string &backend_flags() {
    static const std::string flags = [] {
        use_backend();
        const std::string variant = cpu_variant().empty() ? "" : "CPU_VARIANT = " + cpu_variant() + " | ";
        return llama_print_system_info() + variant;
    }();
    return flags;
}

int32_t device_type(ggml_backend_dev_t device) {
    switch (ggml_backend_dev_type(device)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU: return MULLAMA_DEVICE_TYPE_CPU;
        case GGML_BACKEND_DEVICE_TYPE_GPU: return MULLAMA_DEVICE_TYPE_GPU;
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return MULLAMA_DEVICE_TYPE_INTEGRATED_GPU;
        case GGML_BACKEND_DEVICE_TYPE_ACCEL: return MULLAMA_DEVICE_TYPE_ACCELERATOR;
        case GGML_BACKEND_DEVICE_TYPE_META: return MULLAMA_DEVICE_TYPE_META;
    }
    return MULLAMA_DEVICE_TYPE_ACCELERATOR;
}

}  // namespace

struct mullama_log {
    explicit mullama_log(std::unique_ptr<log_reader> reader)
        : core(std::make_shared<exclusive_core<log_reader>>(log_name, std::move(reader))) {}
    std::shared_ptr<exclusive_core<log_reader>> core;
    live_object counted;
};

uint32_t mullama_abi_version(void) { return MULLAMA_ABI_VERSION; }

void mullama_free(const void *result) { release(result); }

int64_t mullama_live_objects(void) { return live_objects().load(std::memory_order_relaxed); }

int32_t mullama_error_code(const mullama_error *error) { return error ? error->code : MULLAMA_OK; }

const char *mullama_error_message(const mullama_error *error, size_t *out_len) {
    if (out_len) *out_len = error ? error->message.size() : 0;
    return error ? error->message.c_str() : "";
}

void mullama_error_free(mullama_error *error) { delete error; }

const char *mullama_version(size_t *out_len) {
    if (out_len) *out_len = std::strlen(MULLAMA_VERSION);
    return MULLAMA_VERSION;
}

int32_t mullama_get_build_info(mullama_build_info *out, mullama_error **err) {
    return guarded(err, [&] {
        mullama_build_info info{};
        const auto set = [](const char *text, const char *&data, size_t &size) {
            data = text;
            size = std::strlen(text);
        };
        set(MULLAMA_VERSION, info.version, info.version_len);
        set(MULLAMA_LLAMA_CPP_COMMIT, info.llama_cpp_commit, info.llama_cpp_commit_len);
        set(MULLAMA_COMPILER, info.compiler, info.compiler_len);
        set(MULLAMA_BUILD_TYPE, info.build_type, info.build_type_len);
        set(backend_flags().c_str(), info.flags, info.flags_len);
        give(info, out);
    });
}

int32_t mullama_cpu_features(const mullama_str **out, size_t *out_len, mullama_error **err) {
    return guarded(err, [&] {
        use_backend();
        std::vector<std::string> names;
        ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
        ggml_backend_reg_t registry = cpu ? ggml_backend_dev_backend_reg(cpu) : nullptr;
        const auto get_features = registry ? reinterpret_cast<ggml_backend_get_features_t>(
                                                 ggml_backend_reg_get_proc_address(registry, "ggml_backend_get_features"))
                                           : nullptr;
        if (get_features) {
            for (ggml_backend_feature *feature = get_features(registry); feature->name; ++feature) {
                if (std::strcmp(feature->value, "0") != 0) names.emplace_back(feature->name);
            }
        }
        give(names, out, out_len);
    });
}

int32_t mullama_get_backend_limits(mullama_backend_limits *out, mullama_error **err) {
    return guarded(err, [&] {
        use_backend();
        mullama_backend_limits limits{};
        limits.max_devices = llama_max_devices();
        limits.max_sequences = llama_max_parallel_sequences();
        limits.supports_mmap = llama_supports_mmap();
        limits.supports_mlock = llama_supports_mlock();
        limits.supports_gpu_offload = llama_supports_gpu_offload();
        limits.supports_rpc = llama_supports_rpc();
        give(limits, out);
    });
}

size_t mullama_device_count(void) {
    return guarded_value([] {
        use_backend();
        return ggml_backend_dev_count();
    });
}

int32_t mullama_device(size_t index, mullama_device_info *out, mullama_error **err) {
    return guarded(err, [&] {
        use_backend();
        const size_t count = ggml_backend_dev_count();
        if (index >= count) {
            throw failure(MULLAMA_E_OUT_OF_RANGE, "device " + std::to_string(index) + " does not exist; there are " + std::to_string(count));
        }
        ggml_backend_dev_t device = ggml_backend_dev_get(index);
        size_t memory_free = 0, memory_total = 0;
        ggml_backend_dev_memory(device, &memory_free, &memory_total);
        mullama_device_info info{};
        info.name = ggml_backend_dev_name(device);
        info.name_len = std::strlen(info.name);
        info.description = ggml_backend_dev_description(device);
        info.description_len = std::strlen(info.description);
        info.type = device_type(device);
        info.memory_total = memory_total;
        info.memory_free = memory_free;
        give(info, out);
    });
}

int32_t mullama_open_log(int32_t from_start, mullama_log **out, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        auto reader = std::make_unique<log_reader>();
        reader->next = from_start ? log_ring::get().oldest() : log_ring::get().end();
        *out = new mullama_log(std::move(reader));
    });
}

int32_t mullama_log_next(mullama_log *log, int32_t timeout_ms, mullama_log_entry *out, int32_t *out_status, mullama_error **err) {
    return guarded(err, [&] {
        require_out(out_status);
        auto reader = require(log, log_name).core->enter();
        switch (log_ring::get().read(reader->next, timeout_ms, reader->cancelled, reader->current)) {
            case log_ring::outcome::waiting: *out_status = MULLAMA_STATUS_WAITING; return;
            case log_ring::outcome::cancelled: *out_status = MULLAMA_STATUS_CANCELLED; return;
            case log_ring::outcome::entry: break;
        }
        reader->next = reader->current.sequence + 1;
        mullama_log_entry entry{};
        entry.level = reader->current.level;
        entry.text = reader->current.text.c_str();
        entry.text_len = reader->current.text.size();
        entry.time = reader->current.time_us;
        entry.sequence = reader->current.sequence;
        give(entry, out);
        *out_status = MULLAMA_STATUS_ITEM;
    });
}

void mullama_log_cancel(mullama_log *log) {
    guarded_void([&] {
        if (log) log->core->signal([](log_reader &reader) { reader.cancel(); });
    });
}

void mullama_log_close(mullama_log *log) {
    if (log) log->core->close();
}

void mullama_log_free(mullama_log *log) {
    mullama_log_close(log);
    delete log;
}

int32_t mullama_set_log_level(int32_t level, mullama_error **err) {
    return guarded(err, [&] {
        check_log_level("level", level);
        log_ring::get().set_level(level);
    });
}

int32_t mullama_log_message(int32_t level, const char *text, size_t text_len, mullama_error **err) {
    return guarded(err, [&] {
        check_log_level("level", level);
        log_ring::get().write(level, std::string(take_text(text, text_len, "the text")));
    });
}

int32_t mullama_json_find(const char *json, size_t json_len, const char *pointer, size_t pointer_len, const char **out, size_t *out_len,
                          mullama_error **err) {
    return guarded(err, [&] {
        require_out(out);
        require_out(out_len);
        const common_json part = find_json(parse_json(take_text(json, json_len, "the text"), "the text"), take_text(pointer, pointer_len, "the pointer"));
        if (part.is_null()) {
            borrow<char>(nullptr, 0, out, out_len);
        } else {
            give(part.is_string() ? part.get<std::string>() : part.dump(), out, out_len);
        }
    });
}
