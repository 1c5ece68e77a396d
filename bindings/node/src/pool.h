// Threads for blocking calls: started when needed, idle ones reused; jobs of one queue run one at a time, in order.
//
// Not libuv's pool: its four threads would be taken by four generations, and file and name look-ups wait behind them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace binding {

class Job;

// Whose turn it is on one exclusive handle.
class Queue {
    friend class Pool;
    std::deque<std::shared_ptr<Job>> waiting_;
    bool taken_ = false;
};

// One blocking call.
class Job : public std::enable_shared_from_this<Job> {
  public:
    explicit Job(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
    Job(const Job &) = delete;
    Job &operator=(const Job &) = delete;
    virtual ~Job() = default;

    // On one of the pool's threads, when its turn has come; ends at once when it was cancelled before.
    virtual void work() = 0;
    // On any thread: makes work() end soon. May come at any time, also again and again.
    virtual void stop() noexcept {}

    std::atomic<bool> cancelled{false};

  private:
    friend class Pool;
    enum class State { idle, waiting, running };
    const std::shared_ptr<Queue> queue_;
    State state_ = State::idle;
};

class Pool {
  public:
    // `done` is called on a worker, after a job has worked or was cancelled before its turn.
    explicit Pool(void (*done)(void *owner, std::shared_ptr<Job> job), void *owner) : done_(done), owner_(owner) {}
    ~Pool() { shut_down(); }

    // Runs a job when its turn has come. Throws std::system_error if there is no thread and none can be started.
    void submit(std::shared_ptr<Job> job);
    // A waiting job is done at once without working; a running one is stopped.
    void cancel(const std::shared_ptr<Job> &job);
    // Cancels everything and joins the threads. Nothing can be submitted afterwards.
    void shut_down() noexcept;
    bool closing() const { return closing_; }

  private:
    void make_ready(std::shared_ptr<Job> job);
    void run();

    void (*const done_)(void *, std::shared_ptr<Job>);
    void *const owner_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Job>> ready_;
    std::vector<std::shared_ptr<Job>> running_;
    std::vector<std::thread> threads_;
    size_t n_idle_ = 0;
    std::atomic<bool> closing_{false};
};

}  // namespace binding
