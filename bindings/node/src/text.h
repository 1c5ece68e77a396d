// Text of a running generation: whole (`whole_text`), or in pieces that a worker makes ahead of the reader (`open_pieces`).
//
// Both are given a generated struct with
//   Start                          the operation that starts the generation; its result is `out`
//   Handle, Event, Result          the library's types
//   run, next, text, result        the library's functions
//   cancel, make_result
#pragma once

#include "call.h"

namespace binding {

// A generation that a worker starts and works on. Whoever cancels it may come before, between and after.
template <class T>
class Generation {
  public:
    explicit Generation(Error **err) : err_(err) {}

    template <class Op>
    int32_t start(Op &op, Box *box, const std::atomic<bool> &cancelled) {
        const int32_t code = run(op, box, err_);
        std::lock_guard<std::mutex> lock(mutex_);
        handle_ = op.out.pointer;
        if (handle_ && cancelled) T::cancel(handle_);
        return code;
    }
    void cancel() noexcept {
        std::lock_guard<std::mutex> lock(mutex_);
        if (handle_) T::cancel(handle_);
    }
    typename T::Handle *get() const { return handle_; }
    void forget() {
        std::lock_guard<std::mutex> lock(mutex_);
        handle_ = nullptr;
    }

  private:
    Error **const err_;
    std::mutex mutex_;
    typename T::Handle *handle_ = nullptr;
};

template <class T>
class WholeText final : public Settled {
  public:
    WholeText(Environment &environment, std::shared_ptr<Box> box)
        : Settled(box->queue), promise(environment), box_(std::move(box)) {}

    void work() override {
        if (cancelled) return;
        int32_t status = 0;
        code_ = generation_.start(op, box_.get(), cancelled);
        if (!code_) code_ = T::run(generation_.get(), -1, &status, &err_);
        if (!code_) code_ = T::text(generation_.get(), &text_.data, &text_.len, &err_);
        if (!code_) code_ = T::result(generation_.get(), &result_, &err_);
        worked_ = true;
    }

    void stop() noexcept override { generation_.cancel(); }

    void settle(Environment &environment) override {
        promise.settle([&] {
            if (code_ == 0 && (cancelled || !worked_)) {
                napi_throw(environment.env, environment.make_error(cancelled_code, "the generation was cancelled"));
                throw Thrown();
            }
            if (code_ != 0) {
                napi_throw(environment.env, environment.make_error(code_, err_));
                throw Thrown();
            }
            Results make(environment);
            return make.object({{"text", make.text(text_.data, text_.len)}, {"result", T::make_result(make, result_)}});
        });
        // Freed now and not when the last reference goes: a promise that has settled leaves nothing behind.
        generation_.forget();
        if (op.out.pointer) kind<typename T::Handle>.free(op.out.release());
    }

    typename T::Start op;
    Arena arena;
    Promise promise;

  private:
    const std::shared_ptr<Box> box_;
    Error *err_ = nullptr;
    Generation<T> generation_{&err_};
    bool worked_ = false;
    int32_t code_ = 0;
    Text text_;
    typename T::Result result_ = T::empty_result();
};

template <class T>
napi_value whole_text(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&] {
        using Op = typename T::Start;
        napi_value argv[Op::n_arguments + 1];
        size_t argc = Op::n_arguments + 1;
        void *data = nullptr;
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok) throw Thrown();
        Environment &environment = *static_cast<Environment *>(data);
        Box &box = receiver(environment, argv[0], kind<typename Op::Self>);
        auto job = std::make_shared<WholeText<T>>(environment, box.shared_from_this());
        try {
            Arguments in(environment, job->arena, argv + 1, Op::n_arguments - 1);
            job->op.read(in);
            in.known("signal");
            in.end();
            if (Control *const control = control_of(environment, argv[Op::n_arguments])) control->job = job;
            environment.pool.submit(job);
        } catch (...) {
            job->promise.settle([]() -> napi_value { throw; });
        }
        return job->promise.value;
    });
}

// What JavaScript does with pieces, whatever makes them. Everything but work() and stop() is called on its thread.
class Pieces : public Settled {
  public:
    using Settled::Settled;
    // A promise of an object with the `pieces` that are there: at least one, or none and the `result` at the end.
    // One at a time.
    virtual napi_value take() = 0;
    // Ends the generation. A promise that is kept when it is freed.
    virtual napi_value close() = 0;
    // Nobody can reach it any more.
    virtual void abandon() = 0;

    std::shared_ptr<Pieces> owner;  // itself, while JavaScript's object lives
};

template <class T>
class TextPump final : public Pieces {
  public:
    TextPump(Environment &environment, std::shared_ptr<Box> box)
        : Pieces(box->queue), environment_(environment), box_(std::move(box)) {}

    // On a worker, until the text ends or is far enough ahead of its reader. The turn on the context is kept as long.
    void work() override {
        int32_t code = 0, status = 0;
        if (!generation_.get()) {
            if (cancelled) return;
            code = generation_.start(op, box_.get(), cancelled);
        }
        typename T::Event event = T::empty_event();
        while (!code) {
            code = T::next(generation_.get(), -1, &event, &status, &err_);
            if (code || status != item_status) break;
            if (!event.text_len) continue;
            std::lock_guard<std::mutex> lock(mutex_);
            lengths_.push_back(event.text_len);
            text_.append(event.text, event.text_len);
            if (is_wanted_) {
                is_wanted_ = false;
                environment_.post([self = std::static_pointer_cast<TextPump>(shared_from_this())] { self->deliver(); });
            }
            if (lengths_.size() >= far_ahead) return;
        }
        if (!code) code = T::result(generation_.get(), &result_, &err_);
        code_ = code;
        has_ended_ = true;
    }

    void stop() noexcept override { generation_.cancel(); }

    // The pump has left its worker, or was cancelled before its turn came.
    void settle(Environment &) override {
        is_running_ = false;
        if (has_ended_ || cancelled) conclude();
        deliver();
    }

    napi_value take() override {
        reader_ = std::make_unique<Promise>(environment_);
        const napi_value value = reader_->value;
        deliver();
        return value;
    }

    napi_value close() override {
        closers_.push_back(std::make_unique<Promise>(environment_));
        const napi_value value = closers_.back()->value;
        environment_.pool.cancel(shared_from_this());
        if (!is_running_) {
            conclude();
            deliver();
        }
        return value;
    }

    void abandon() override {
        is_abandoned_ = true;
        environment_.pool.cancel(shared_from_this());
        if (figures_) napi_delete_reference(environment_.env, std::exchange(figures_, nullptr));
    }

    typename T::Start op;
    Arena arena;

  private:
    static constexpr size_t far_ahead = 256;  // pieces

    // Gives the reader what there is, and lets a pump that has stopped go on.
    void deliver() {
        std::string text;
        std::vector<size_t> lengths;
        if (reader_) {
            std::lock_guard<std::mutex> lock(mutex_);
            text.swap(text_);
            lengths.swap(lengths_);
            is_wanted_ = lengths.empty();
        }
        const bool has_some = !lengths.empty();
        const bool was_wanted = reader_ != nullptr;
        if (reader_ && (has_some || has_concluded_)) {
            const std::unique_ptr<Promise> reader = std::move(reader_);
            reader->settle([&] { return has_some ? some(text, lengths) : last(); });
        }
        if (has_concluded_) {
            for (const std::unique_ptr<Promise> &closer : std::exchange(closers_, {})) {
                closer->settle([&] { return figures(); });
            }
        } else if (was_wanted && !is_running_) {
            is_running_ = true;
            environment_.pool.submit(shared_from_this());
        }
    }

    napi_value some(const std::string &text, const std::vector<size_t> &lengths) {
        Results make(environment_);
        napi_value list;
        environment_.check(napi_create_array_with_length(environment_.env, lengths.size(), &list));
        size_t begin = 0;
        for (size_t i = 0; i < lengths.size(); begin += lengths[i++]) {
            const napi_value piece = make.text(text.data() + begin, lengths[i]);
            environment_.check(napi_set_element(environment_.env, list, static_cast<uint32_t>(i), piece));
        }
        return make.object({{"pieces", list}});
    }

    napi_value last() {
        if (const int32_t code = std::exchange(code_, 0)) {
            napi_throw(environment_.env, environment_.make_error(code, std::exchange(err_, nullptr)));
            throw Thrown();
        }
        Results make(environment_);
        napi_value none;
        environment_.check(napi_create_array(environment_.env, &none));
        return make.object({{"pieces", none}, {"result", figures()}});
    }

    napi_value figures() { return figures_ ? environment_.value_of(figures_) : Results(environment_).null(); }

    // The end: keeps the figures, and frees the generation.
    void conclude() {
        if (has_concluded_) return;
        has_concluded_ = true;
        typename T::Handle *const handle = generation_.get();
        if (!handle) return;
        bool has_figures = has_ended_ && !code_;
        if (!has_ended_) {  // cancelled between two stretches of work
            Error *err = nullptr;
            T::cancel(handle);
            has_figures = T::result(handle, &result_, &err) == 0;
            lib.error_free(err);
        }
        Results make(environment_);
        if (has_figures && !is_abandoned_) environment_.check(napi_create_reference(environment_.env, T::make_result(make, result_), 1, &figures_));
        generation_.forget();
        kind<typename T::Handle>.free(op.out.release());
    }

    Environment &environment_;
    const std::shared_ptr<Box> box_;

    // Of the thread of JavaScript
    std::unique_ptr<Promise> reader_;
    std::vector<std::unique_ptr<Promise>> closers_;
    bool is_running_ = false, has_concluded_ = false, is_abandoned_ = false;
    napi_ref figures_ = nullptr;

    // Of both
    std::mutex mutex_;
    std::string text_;
    std::vector<size_t> lengths_;  // of the pieces in text_
    bool is_wanted_ = false;

    // Of whoever works
    Error *err_ = nullptr;
    Generation<T> generation_{&err_};
    int32_t code_ = 0;
    bool has_ended_ = false;
    typename T::Result result_ = T::empty_result();
};

// Entry point: takes the arguments, and gives an External for take_pieces, close_pieces and cancel. Nothing has begun yet.
template <class T>
napi_value open_pieces(napi_env env, napi_callback_info info) noexcept {
    return guarded(env, [&] {
        using Op = typename T::Start;
        napi_value argv[Op::n_arguments];
        size_t argc = Op::n_arguments;
        void *data = nullptr;
        if (napi_get_cb_info(env, info, &argc, argv, nullptr, &data) != napi_ok) throw Thrown();
        Environment &environment = *static_cast<Environment *>(data);
        Box &box = receiver(environment, argv[0], kind<typename Op::Self>);
        auto pump = std::make_shared<TextPump<T>>(environment, box.shared_from_this());
        Arguments in(environment, pump->arena, argv + 1, Op::n_arguments - 1);
        pump->op.read(in);
        in.known("signal");
        in.end();
        napi_value external;
        const auto finalize = [](napi_env, void *pieces, void *) {
            const std::shared_ptr<Pieces> owner = std::move(static_cast<Pieces *>(pieces)->owner);
            owner->abandon();
        };
        environment.check(napi_create_external(env, static_cast<Pieces *>(pump.get()), finalize, nullptr, &external));
        pump->owner = pump;
        return external;
    });
}

}  // namespace binding
