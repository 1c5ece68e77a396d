// One thread runs the loop. It routes the results of each step to their streams and hands over who comes next, so that no
// thread waits for another between two steps; readers do the rest, each on its own thread.
#include "engine_state.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "engine_routes.h"
#include "failure.h"

namespace mullama {

namespace {

size_t slots_of(const server_task &task) { return 1 + task.child_tasks.size(); }

using time_point = std::chrono::steady_clock::time_point;

time_point end_of(int32_t timeout_ms) { return timeout_ms < 0 ? time_point::max() : std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms); }

// A wait until time_point::max() overflows in some standard libraries.
template <class Condition>
void wait_until(std::condition_variable &changed, std::unique_lock<std::mutex> &held, time_point end, Condition &&condition) {
    if (end == time_point::max()) {
        changed.wait(held, condition);
    } else {
        changed.wait_until(held, end, condition);
    }
}

// Engines whose loop may run. A process can end with an engine open: PHP does after a fatal error, C by exit(). The loop must
// have stopped by then, or it computes with static objects of llama.cpp that are being destroyed.
class open_engines {
  public:
    static open_engines &all() {
        static open_engines &engines = *new open_engines;  // never destroyed itself
        return engines;
    }
    void add(engine_state *engine) {
        const std::lock_guard<std::mutex> held(mutex_);
        engines_.insert(engine);
    }
    void remove(engine_state *engine) {
        const std::lock_guard<std::mutex> held(mutex_);
        engines_.erase(engine);
    }
    // What exit() runs comes in the opposite order of its making, and among it are static objects that llama.cpp makes at
    // their first use: so this is done when the first engine has opened, and again when the first result is there.
    void stop_at_exit(std::once_flag &once) {
        std::call_once(once, [] { std::atexit([] { all().stop(); }); });
    }
    std::once_flag opened, computed;

  private:
    void stop() noexcept {
        const std::lock_guard<std::mutex> held(mutex_);
        for (engine_state *engine : engines_) engine->shut_down();
    }

    std::mutex mutex_;
    std::set<engine_state *> engines_;
};

}  // namespace

engine_state::engine_state(engine_settings settings) : settings_(std::move(settings)), llama_(settings_), loop_([this] { run(); }) {
    lock held(mutex_);
    // A stop that comes before the loop has begun would be lost.
    something_changed_.wait(held, [this] { return started_; });
    held.unlock();  // the lock of all engines comes before that of one
    open_engines::all().add(this);
    open_engines::all().stop_at_exit(open_engines::all().opened);
}

engine_state::~engine_state() {
    shut_down();
    open_engines::all().remove(this);
}

void engine_state::run() {
    std::string reason;
    try {
        llama_.run([this] { after_step(); });
    } catch (const fatal_abort &e) {
        reason = "a check inside llama.cpp failed: " + e.message;
    } catch (...) {
        current_failure(reason);
    }
    const lock held(mutex_);
    started_ = true;
    if (!reason.empty()) fail_all("the engine has failed, " + reason + " Close it and open a new one.");
}

void engine_state::require_open() const {
    if (closing_) throw_closed("engine");
    if (!failed_.empty()) throw failure(MULLAMA_E_INTERNAL, failed_);
}

mullama_engine_info engine_state::info() {
    const lock held(mutex_);
    mullama_engine_info info{};
    info.state = !failed_.empty() ? MULLAMA_ENGINE_STATE_FAILED : draining_ ? MULLAMA_ENGINE_STATE_DRAINING : MULLAMA_ENGINE_STATE_READY;
    info.mode = settings_.options.mode;
    info.n_ctx = llama_.n_ctx();
    info.n_slots = llama_.n_slots();
    info.n_running = static_cast<int32_t>(n_running_);
    info.n_queued = static_cast<int32_t>(queue_.size());
    info.n_streams = static_cast<int32_t>(streams_.size());
    return info;
}

std::shared_ptr<stream_request> engine_state::send(const std::string &route, std::string_view body) {
    {
        const lock held(mutex_);
        require_open();
    }
    auto request = std::make_shared<stream_request>();
    request->work = prepare_request(llama_, route, body);
    const lock held(mutex_);
    require_open();
    if (draining_) throw failure(MULLAMA_E_CLOSED, "the engine is being drained and takes no more requests");
    if (request->work->needs_slot && queue_.size() >= settings_.options.max_queued) {
        throw failure(MULLAMA_E_BUSY, std::to_string(queue_.size()) + " requests wait for a slot already, which is engine_options.max_queued; try again later");
    }
    do {
        last_id_ = last_id_ < INT32_MAX ? last_id_ + 1 : 1;
    } while (streams_.count(last_id_));
    request->id = last_id_;
    if (request->work->deadline_ms) request->deadline = clock::now() + std::chrono::milliseconds(request->work->deadline_ms);
    streams_[request->id] = request;
    if (request->deadline != time_point::max()) {
        const bool is_next = request->deadline < next_deadline();
        deadlines_.emplace(request->deadline, request.get());
        if (is_next) {  // who waits for another one looks again
            something_ready_.notify_all();
            something_changed_.notify_all();
        }
    }
    if (request->work->tasks.empty()) {
        for (std::string &event : request->work->events) request->events.push_back(std::move(event));
        end(*request, MULLAMA_STREAM_STATE_FINISHED);
        return request;
    }
    const auto place = request->work->needs_slot
                           ? std::find_if(queue_.begin(), queue_.end(), [&](const stream_request *other) { return other->work->priority < request->work->priority; })
                           : queue_.begin();
    queue_.insert(place, request.get());
    admit();
    return request;
}

// Hands over who comes next. A few more than there are slots, so that a slot never waits for us; those that need several
// slots at once wait, in front, until so many are free.
void engine_state::admit() {
    const size_t n_slots = llama_.n_slots();
    while (!queue_.empty()) {
        stream_request &request = *queue_.front();
        request_work &work = *request.work;
        server_task &task = work.tasks[request.n_posted];
        const size_t needed = work.needs_slot ? slots_of(task) : 0;
        if (needed == 1 && n_running_ >= 2 * n_slots) return;
        if (needed > 1 && n_running_ + needed > n_slots) return;
        queue_.pop_front();
        n_running_ += needed;
        const auto open = [&](int id) {
            by_task_[id] = &request;
            request.open.push_back(id);
        };
        open(task.id);
        for (const server_task &child : task.child_tasks) open(child.id);
        ++request.n_posted;
        // Others of the same priority come before its next task.
        if (request.n_posted < work.tasks.size()) {
            queue_.insert(std::find_if(queue_.begin(), queue_.end(), [&](const stream_request *other) { return other->work->priority < work.priority; }), &request);
        }
        llama_.post(std::move(task));
    }
}

void engine_state::leave_queue(const stream_request &request) { queue_.erase(std::remove(queue_.begin(), queue_.end(), &request), queue_.end()); }

// The request needs nothing more of the loop.
void engine_state::end(stream_request &request, int32_t state) {
    if (is_over(request)) return;
    request.state = state;
    deadlines_.erase({request.deadline, &request});
    leave_queue(request);
    if (!request.open.empty()) {
        if (request.work->needs_slot) n_running_ -= request.open.size();
        for (int id : request.open) by_task_.erase(id);
        llama_.cancel(request.open);
        request.open.clear();
    }
    if (state != MULLAMA_STREAM_STATE_FINISHED) request.results.clear();
    request.paused = false;
    announce(request);
    request.arrived.notify_all();
    something_changed_.notify_all();
}

void engine_state::fail(stream_request &request, failure error) {
    if (is_over(request)) return;
    request.error = std::make_unique<failure>(std::move(error));
    end(request, MULLAMA_STREAM_STATE_FAILED);
}

void engine_state::fail_all(const std::string &reason) {
    failed_ = reason;
    for (auto &[id, request] : streams_) {
        if (is_over(*request)) continue;
        request->open.clear();  // nobody is left to cancel them
        fail(*request, failure(MULLAMA_E_INTERNAL, reason));
    }
    by_task_.clear();
    queue_.clear();
    n_running_ = 0;
    something_ready_.notify_all();
    something_changed_.notify_all();
}

void engine_state::announce(stream_request &request) {
    if (request.announced) return;
    request.announced = true;
    if (!request.listed) {
        request.listed = true;
        ready_.push_back(request.id);
    }
    something_ready_.notify_one();
}

// On the loop's thread, behind each step.
void engine_state::after_step() {
    const lock held(mutex_);
    if (!started_) {
        started_ = true;
        something_changed_.notify_all();
    }
    for (int task : llama_.tasks_in_slots()) {
        const auto found = by_task_.find(task);
        if (found != by_task_.end() && found->second->state == MULLAMA_STREAM_STATE_QUEUED) found->second->state = MULLAMA_STREAM_STATE_PREFILL;
    }
    while (std::unique_ptr<server_task_result> result = llama_.take()) route(std::move(result));
    expire();
    std::set<stream_request *> running;
    for (const auto &[task, request] : by_task_) running.insert(request);
    for (stream_request *request : running) {
        if (!request->work->streamed) continue;
        if (request->results.size() >= settings_.options.max_buffered) {
            if (settings_.options.full_buffer == MULLAMA_FULL_BUFFER_CANCEL) {
                end(*request, MULLAMA_STREAM_STATE_CANCELLED);
                continue;
            }
            request->paused = true;
        } else if (request->paused && request->results.size() <= settings_.options.max_buffered / 2) {
            request->paused = false;
        }
        for (int task : request->open) llama_.set_paused(task, request->paused);
    }
    admit();
}

// The loop does this behind each step, and who waits does it for all: the loop sleeps when every slot waits for its reader.
void engine_state::expire() {
    const auto now = clock::now();
    while (next_deadline() <= now) {
        stream_request &request = *deadlines_.begin()->second;
        fail(request, failure(MULLAMA_E_DEADLINE, "the request was not done within its deadline_ms of " + std::to_string(request.work->deadline_ms)));
    }
}

// Whether the condition came true before `end`.
template <class Condition>
bool engine_state::wait_for(std::condition_variable &changed, lock &held, clock::time_point end, Condition &&condition) {
    for (;;) {
        const clock::time_point bound = std::min(end, next_deadline());
        wait_until(changed, held, bound, [&] { return condition() || next_deadline() < bound; });
        if (condition()) return true;
        if (clock::now() >= end) return false;
        expire();
    }
}

void engine_state::route(std::unique_ptr<server_task_result> result) {
    const auto found = by_task_.find(result->id);
    if (found == by_task_.end()) return;
    stream_request &request = *found->second;
    const bool last = result->is_error() || result->is_stop();
    const bool failed = result->is_error();
    if (last) {
        request.open.erase(std::find(request.open.begin(), request.open.end(), result->id));
        if (request.work->needs_slot) --n_running_;
        by_task_.erase(found);
    }
    if (failed) {
        fail(request, failure_of(*result));
        return;
    }
    const auto *partial = dynamic_cast<const server_task_result_cmpl_partial *>(result.get());
    if (!partial || partial->n_decoded > 0) request.state = MULLAMA_STREAM_STATE_GENERATING;
    if (partial && partial->is_begin) return;
    open_engines::all().stop_at_exit(open_engines::all().computed);
    request.results.push_back(std::move(result));
    if (request.open.empty() && request.n_posted == request.work->tasks.size()) {
        end(request, MULLAMA_STREAM_STATE_FINISHED);
    } else {
        announce(request);
        request.arrived.notify_all();
    }
}

// Whether nothing comes behind the events that are there, and the last of them is the answer as a whole.
bool engine_state::is_last(stream_request &request) {
    if (request.work->streamed && !request.work->includes_answer) return false;
    const lock held(mutex_);
    return request.state == MULLAMA_STREAM_STATE_FINISHED && request.results.empty();
}

int32_t engine_state::next(stream_request &request, int32_t timeout_ms) {
    const clock::time_point end = end_of(timeout_ms);
    for (;;) {
        if (!request.events.empty()) {
            request.current = std::move(request.events.front());
            request.events.pop_front();
            request.current_is_whole = request.events.empty() && is_last(request);
            return MULLAMA_STATUS_ITEM;
        }
        std::unique_ptr<server_task_result> result;
        {
            lock held(mutex_);
            const auto there = [&] { return !request.results.empty() || is_over(request); };
            if (!there() && !wait_for(request.arrived, held, end, there)) {
                request.announced = request.listed;
                return MULLAMA_STATUS_WAITING;
            }
            if (!request.results.empty()) {
                result = std::move(request.results.front());
                request.results.pop_front();
                if (request.paused && request.results.size() <= settings_.options.max_buffered / 2) llama_.wake();
            } else if (request.state == MULLAMA_STREAM_STATE_FAILED) {
                throw failure(*request.error);
            } else {
                return request.state == MULLAMA_STREAM_STATE_CANCELLED ? MULLAMA_STATUS_CANCELLED : MULLAMA_STATUS_DONE;
            }
        }
        try {
            for (std::string &event : request.work->take(*result)) request.events.push_back(std::move(event));
        } catch (...) {
            // The answer cannot be given on: what still runs of it has no reader.
            std::string reason;
            const int32_t code = current_failure(reason);
            const lock held(mutex_);
            fail(request, failure(code, reason));
            request.state = MULLAMA_STREAM_STATE_FAILED;
            if (!request.error) request.error = std::make_unique<failure>(code, reason);
            throw failure(code, reason);
        }
    }
}

void engine_state::cancel(stream_request &request) noexcept {
    guarded_void([&] {
        const lock held(mutex_);
        if (is_over(request)) return;
        end(request, MULLAMA_STREAM_STATE_CANCELLED);
        admit();
    });
}

void engine_state::forget(stream_request &request) noexcept {
    cancel(request);
    guarded_void([&] {
        const lock held(mutex_);
        ready_.erase(std::remove(ready_.begin(), ready_.end(), request.id), ready_.end());
        streams_.erase(request.id);
    });
}

mullama_stream_info engine_state::info(stream_request &request) {
    const lock held(mutex_);
    mullama_stream_info info{};
    info.state = request.state;
    info.n_buffered = static_cast<int32_t>(request.results.size());
    info.paused = request.paused;
    return info;
}

namespace {

class counted {
  public:
    explicit counted(size_t &number) : number_(++number) {}
    ~counted() { --number_; }
    counted(const counted &) = delete;
    counted &operator=(const counted &) = delete;

  private:
    size_t &number_;
};

}  // namespace

std::vector<int32_t> engine_state::wait(int32_t timeout_ms) {
    const clock::time_point end = end_of(timeout_ms);
    lock held(mutex_);
    const uint64_t n_wakes = n_wakes_;
    const auto there = [&] { return !ready_.empty() || woken_ || n_wakes_ != n_wakes || closing_; };
    {
        const counted waiting(n_waiting_);
        wait_for(something_ready_, held, end, there);
    }
    if (closing_) throw_closed("engine");
    woken_ = false;
    std::vector<int32_t> ids(ready_.begin(), ready_.end());
    for (int32_t id : ids) streams_.at(id)->listed = false;
    ready_.clear();
    return ids;
}

void engine_state::wake() noexcept {
    guarded_void([&] {
        const lock held(mutex_);
        ++n_wakes_;
        if (n_waiting_ == 0) woken_ = true;
        something_ready_.notify_all();
    });
}

bool engine_state::drain(int32_t timeout_ms) {
    lock held(mutex_);
    draining_ = true;
    const auto ended = [&] {
        return closing_ || std::all_of(streams_.begin(), streams_.end(), [&](const auto &entry) { return is_over(*entry.second); });
    };
    const clock::time_point end = end_of(timeout_ms);
    const bool done = wait_for(something_changed_, held, end, ended);
    if (closing_) throw_closed("engine");
    return done;
}

void engine_state::shut_down() noexcept {
    const std::lock_guard<std::mutex> only_one(shutting_down_);
    guarded_void([&] {
        const lock held(mutex_);
        closing_ = true;
        for (auto &[id, request] : streams_) end(*request, MULLAMA_STREAM_STATE_CANCELLED);
        something_ready_.notify_all();
        something_changed_.notify_all();
    });
    llama_.stop();
    if (loop_.joinable()) loop_.join();
}

}  // namespace mullama
