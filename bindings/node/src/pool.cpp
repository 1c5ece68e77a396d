#include "pool.h"

#include <algorithm>
#include <chrono>
#include <system_error>

namespace binding {

void Pool::submit(std::shared_ptr<Job> job) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closing_) return;
    job->state_ = Job::State::waiting;
    if (Queue *const queue = job->queue_.get()) {
        if (queue->taken_) {
            queue->waiting_.push_back(std::move(job));
            return;
        }
        queue->taken_ = true;
    }
    make_ready(std::move(job));
}

void Pool::make_ready(std::shared_ptr<Job> job) {
    ready_.push_back(job);
    if (ready_.size() > n_idle_) {
        try {
            threads_.emplace_back([this] { run(); });
        } catch (const std::system_error &) {
            if (threads_.empty()) {
                ready_.pop_back();
                if (job->queue_) job->queue_->taken_ = false;
                throw;
            }
            // One of the threads that there are will come to it.
        }
    }
    changed_.notify_one();
}

void Pool::run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        ++n_idle_;
        changed_.wait(lock, [this] { return closing_ || !ready_.empty(); });
        --n_idle_;
        if (closing_) return;
        std::shared_ptr<Job> job = std::move(ready_.front());
        ready_.pop_front();
        job->state_ = Job::State::running;
        running_.push_back(job);
        lock.unlock();
        job->work();
        lock.lock();
        job->state_ = Job::State::idle;
        running_.erase(std::find(running_.begin(), running_.end(), job));
        if (Queue *const queue = job->queue_.get()) {
            if (closing_) queue->waiting_.clear();
            queue->taken_ = !queue->waiting_.empty();
            if (queue->taken_) {
                std::shared_ptr<Job> next = std::move(queue->waiting_.front());
                queue->waiting_.pop_front();
                ready_.push_front(std::move(next));  // this thread takes it: no other needs to wake
            }
        }
        lock.unlock();
        done_(owner_, std::move(job));
        lock.lock();
    }
}

void Pool::cancel(const std::shared_ptr<Job> &job) {
    job->cancelled = true;
    std::unique_lock<std::mutex> lock(mutex_);
    if (job->state_ == Job::State::running) {
        lock.unlock();
        job->stop();
    } else if (job->state_ == Job::State::waiting && job->queue_) {
        std::deque<std::shared_ptr<Job>> &waiting = job->queue_->waiting_;
        const auto place = std::find(waiting.begin(), waiting.end(), job);
        if (place == waiting.end()) return;  // its turn has come, and work() sees that it is cancelled
        waiting.erase(place);
        job->state_ = Job::State::idle;
        lock.unlock();
        done_(owner_, job);
    }
}

void Pool::shut_down() noexcept {
    std::unique_lock<std::mutex> lock(mutex_);
    closing_ = true;
    // A queue holds its waiting jobs, and they hold the queue.
    for (const std::shared_ptr<Job> &job : ready_) {
        if (job->queue_) job->queue_->waiting_.clear();
    }
    ready_.clear();
    changed_.notify_all();
    // Again and again: a job may not have reached the library yet, where stopping it would find nothing.
    while (!running_.empty()) {
        for (const std::shared_ptr<Job> &job : running_) {
            job->cancelled = true;
            job->stop();
        }
        changed_.wait_for(lock, std::chrono::milliseconds(5));
    }
    std::vector<std::thread> threads = std::move(threads_);
    lock.unlock();
    for (std::thread &thread : threads) thread.join();
}

}  // namespace binding
