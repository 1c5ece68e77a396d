// The addon's entry: what every binding has, and the generated operations once the library is loaded.
#include "module.h"

#include "loading.h"
#include "text.h"

namespace binding {

namespace {

struct Entry {
    Environment &environment;
    napi_value argv[2];
};

// Entry point with two arguments at most.
template <napi_value (*body)(Entry &)>
napi_value entry(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&] {
        size_t argc = 2;
        napi_value argv[2];
        void *data = nullptr;
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok) throw Thrown();
        Entry entry{*static_cast<Environment *>(data), {argv[0], argv[1]}};
        return body(entry);
    });
}

template <class T>
T &external(Entry &entry) {
    void *data = nullptr;
    entry.environment.check(napi_get_value_external(entry.environment.env, entry.argv[0], &data));
    return *static_cast<T *>(data);
}

// Handles

napi_value close_handle(Entry &entry) {
    external<Box>(entry).close();
    return Results(entry.environment).undefined();
}

class Closing final : public Settled {
  public:
    Closing(Environment &environment, std::shared_ptr<Box> box) : Settled(nullptr), promise(environment), box_(std::move(box)) {}
    void work() override { box_->close(); }
    void settle(Environment &environment) override {
        promise.settle([&] { return Results(environment).undefined(); });
    }
    Promise promise;

  private:
    const std::shared_ptr<Box> box_;
};

// Out of turn: closing ends what runs, and waits for it on a worker.
napi_value close_handle_async(Entry &entry) {
    auto job = std::make_shared<Closing>(entry.environment, external<Box>(entry).shared_from_this());
    entry.environment.pool.submit(job);
    return job->promise.value;
}

napi_value is_closed(Entry &entry) { return Results(entry.environment).boolean(external<Box>(entry).closed); }

// The end of the environment: no thread of ours may compute while the process destroys the library's objects.
napi_value shut_down(Entry &entry) {
    entry.environment.shut_down();
    return Results(entry.environment).undefined();
}

// Jobs

napi_value make_control(Entry &entry) {
    napi_value value;
    const auto finalize = [](napi_env, void *control, void *) { delete static_cast<Control *>(control); };
    auto control = std::make_unique<Control>();
    entry.environment.check(napi_create_external(entry.environment.env, control.get(), finalize, nullptr, &value));
    control.release();
    return value;
}

napi_value cancel_job(Entry &entry) {
    if (const std::shared_ptr<Job> job = external<Control>(entry).job.lock()) entry.environment.pool.cancel(job);
    return Results(entry.environment).undefined();
}

napi_value take_pieces(Entry &entry) { return external<Pieces>(entry).take(); }

napi_value cancel_pieces(Entry &entry) {
    Pieces &pieces = external<Pieces>(entry);
    entry.environment.pool.cancel(pieces.shared_from_this());
    pieces.stop();  // between two stretches of work no job runs, and the generation is there
    return Results(entry.environment).undefined();
}

napi_value close_pieces(Entry &entry) { return external<Pieces>(entry).close(); }

// The library

napi_value abi_version(Entry &entry) { return Results(entry.environment).u32(lib.abi_version()); }

napi_value live_objects(Entry &entry) { return Results(entry.environment).i64(lib.live_objects()); }

napi_value where(Entry &entry) {
    const std::string path = library_path();
    return Results(entry.environment).text(path.data(), path.size());
}

napi_value layout(Entry &entry) {
    Results make(entry.environment);
    napi_value object;
    entry.environment.check(napi_create_object(entry.environment.env, &object));
    for (const Layout &one : layouts()) {
        entry.environment.check(napi_set_named_property(entry.environment.env, object, one.name, make.size(one.bytes)));
    }
    return object;
}

// load(path, runtime): loads the library, and gives the operations.
napi_value load(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&]() -> napi_value {
        size_t argc = 2, length = 0;
        napi_value argv[2];
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr) != napi_ok) throw Thrown();
        if (napi_get_value_string_utf8(env, argv[0], nullptr, 0, &length) != napi_ok) throw Thrown();
        std::string path(length, '\0');
        napi_get_value_string_utf8(env, argv[0], path.data(), length + 1, &length);
        const std::string why = load_library(path);
        if (!why.empty()) {
            napi_throw_error(env, nullptr, why.c_str());
            throw Thrown();
        }
        auto environment = std::make_unique<Environment>(env, argv[1]);
        const auto finalize = [](napi_env, void *data, void *) { delete static_cast<Environment *>(data); };
        environment->check(napi_set_instance_data(env, environment.get(), finalize, nullptr));
        Module module(*environment.release());
        module.add("close", entry<close_handle>);
        module.add("closeAsync", entry<close_handle_async>);
        module.add("isClosed", entry<is_closed>);
        module.add("shutDown", entry<shut_down>);
        module.add("control", entry<make_control>);
        module.add("cancel", entry<cancel_job>);
        module.add("takePieces", entry<take_pieces>);
        module.add("cancelPieces", entry<cancel_pieces>);
        module.add("closePieces", entry<close_pieces>);
        module.add("abiVersion", entry<abi_version>);
        module.add("liveObjects", entry<live_objects>);
        module.add("libraryPath", entry<where>);
        module.add("layout", entry<layout>);
        add_operations(module);
        return module.functions;
    });
}

}  // namespace

Module::Module(Environment &environment) : environment_(environment) {
    environment.check(napi_create_object(environment.env, &functions));
}

void Module::add(const char *name, napi_callback function) {
    napi_value value;
    environment_.check(napi_create_function(environment_.env, name, NAPI_AUTO_LENGTH, function, &environment_, &value));
    environment_.check(napi_set_named_property(environment_.env, functions, name, value));
}

}  // namespace binding

NAPI_MODULE_INIT() {
    napi_value function;
    if (napi_create_function(env, "load", NAPI_AUTO_LENGTH, binding::load, nullptr, &function) != napi_ok) return nullptr;
    return napi_set_named_property(env, exports, "load", function) == napi_ok ? exports : nullptr;
}
