// What stands behind an engine and its streams: who waits for a slot, who runs, and what each reader has not taken yet.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine_llama.h"
#include "handle.h"

namespace mullama {

class engine_state;

// The request of a stream. The engine's lock guards it, except for what only the reader touches.
struct stream_request {
    int32_t id = 0;
    std::unique_ptr<request_work> work;
    std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();

    size_t n_posted = 0;    // tasks handed over, with their children
    std::vector<int> open;  // of those, the ids of the ones without a last result
    int32_t state = MULLAMA_STREAM_STATE_QUEUED;
    std::unique_ptr<failure> error;
    std::deque<std::unique_ptr<server_task_result>> results;
    bool paused = false;
    bool announced = false, listed = false;  // see engine_wait
    std::condition_variable arrived;

    // The reader's own.
    std::deque<std::string> events;
    std::string current;
    bool current_is_whole = false;
};

class engine_state {
  public:
    explicit engine_state(engine_settings settings);
    ~engine_state();
    engine_state(const engine_state &) = delete;
    engine_state &operator=(const engine_state &) = delete;

    const std::vector<std::string> &warnings() const { return llama_.warnings(); }
    mullama_engine_info info();

    std::shared_ptr<stream_request> send(const std::string &route, std::string_view body);
    // The stream's next event into `current`; a status. Throws what the stream failed with.
    int32_t next(stream_request &request, int32_t timeout_ms);
    void cancel(stream_request &request) noexcept;
    // The stream is gone: what runs of it is cancelled, and its id is never named again.
    void forget(stream_request &request) noexcept;
    mullama_stream_info info(stream_request &request);

    std::vector<int32_t> wait(int32_t timeout_ms);
    void wake() noexcept;
    bool drain(int32_t timeout_ms);
    // Ends every stream and the loop, and waits for it. Any thread, any number of times.
    void shut_down() noexcept;

  private:
    using lock = std::unique_lock<std::mutex>;
    using clock = std::chrono::steady_clock;

    void run();
    void after_step();
    void route(std::unique_ptr<server_task_result> result);
    void admit();
    void expire();
    template <class Condition>
    bool wait_for(std::condition_variable &changed, lock &held, clock::time_point end, Condition &&condition);
    clock::time_point next_deadline() const { return deadlines_.empty() ? clock::time_point::max() : deadlines_.begin()->first; }
    void end(stream_request &request, int32_t state);
    void fail(stream_request &request, failure error);
    void fail_all(const std::string &reason);
    bool is_last(stream_request &request);
    void announce(stream_request &request);
    void leave_queue(const stream_request &request);
    void require_open() const;
    bool is_over(const stream_request &request) const { return request.state >= MULLAMA_STREAM_STATE_FINISHED; }

    engine_settings settings_;
    engine_llama llama_;
    std::mutex mutex_;
    std::condition_variable something_ready_, something_changed_;
    bool started_ = false, draining_ = false, closing_ = false;
    std::string failed_;  // why, once the loop has
    int32_t last_id_ = 0;
    size_t n_running_ = 0;  // tasks handed over and not ended
    bool woken_ = false;  // while nobody waited: for the next one to come
    uint64_t n_wakes_ = 0;
    size_t n_waiting_ = 0;  // in `wait`
    std::unordered_map<int32_t, std::shared_ptr<stream_request>> streams_;
    std::unordered_map<int, stream_request *> by_task_;
    std::deque<stream_request *> queue_;  // in the order in which they will run
    std::deque<int32_t> ready_;
    std::set<std::pair<clock::time_point, stream_request *>> deadlines_;  // of requests that have not ended
    std::mutex shutting_down_;
    std::thread loop_;
};

}  // namespace mullama

struct mullama_engine {
    explicit mullama_engine(std::shared_ptr<mullama::engine_state> state)
        : core(std::make_shared<mullama::shared_core<mullama::engine_state>>("engine", std::move(state))) {}
    std::shared_ptr<mullama::shared_core<mullama::engine_state>> core;
    mullama::live_object counted;
};
