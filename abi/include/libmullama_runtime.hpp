// What the generated C++ headers stand on: handles, arrays, streams, callbacks and the check of the library's version.
// It knows no API: libmullama.hpp uses it, and so does the header of the test API.
#ifndef LIBMULLAMA_RUNTIME_HPP
#define LIBMULLAMA_RUNTIME_HPP

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace mullama_runtime {

/// An array that belongs to somebody else: a pointer and a length. Vectors, arrays, braces and `std::span` become one by
/// themselves, and it becomes a `std::span`.
template <class T>
class Span {
  public:
    using element_type = T;
    using value_type = std::remove_cv_t<T>;
    using iterator = T *;

    constexpr Span() noexcept = default;
    constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

    /// Anything with `data()` and `size()` that holds just this type.
    template <class Range, class Pointer = decltype(std::data(std::declval<Range &>())),
              class = std::enable_if_t<std::is_convertible_v<std::remove_pointer_t<Pointer> (*)[], T (*)[]> &&
                                       !std::is_same_v<std::decay_t<Range>, Span>>>
    constexpr Span(Range &&range) noexcept : data_(std::data(range)), size_(std::size(range)) {}

    /// Numbers in braces; for an argument, which they outlive.
    constexpr Span(std::initializer_list<value_type> list) noexcept : Span(list.begin(), list.size()) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/// Where a stream stands after a call.
enum class Status : std::int32_t {
    /// The time is over; call again.
    waiting = 0,
    /// There is an item.
    item = 1,
    /// The stream has ended.
    done = 2,
    /// Somebody cancelled it.
    cancelled = 3,
};

/// The name of a status; a number for one that this header does not know.
inline std::string to_string(Status status) {
    constexpr const char *names[] = {"waiting", "item", "done", "cancelled"};
    const auto value = static_cast<std::int32_t>(status);
    return value >= 0 && value < 4 ? names[value] : std::to_string(value);
}

/// How long a call may take; none: as long as it takes. A negative time is like zero: return at the first chance.
using Timeout = std::optional<std::chrono::milliseconds>;

inline std::int32_t milliseconds(const Timeout &timeout) noexcept {
    if (!timeout) return -1;
    using Count = std::chrono::milliseconds::rep;
    return static_cast<std::int32_t>(std::clamp<Count>(timeout->count(), 0, std::numeric_limits<std::int32_t>::max()));
}

/// Releases a result of `Library` when the scope ends, also by an exception.
template <class Library>
class Owner {
  public:
    explicit Owner(const void *result) noexcept : result_(result) {}
    Owner(const Owner &) = delete;
    Owner &operator=(const Owner &) = delete;
    ~Owner() { Library::free(result_); }

  private:
    const void *result_;
};

/// The owner of one handle of the C API: movable, not copyable. `Library` says how a use of nothing fails.
template <class Library, class C, void (*close_handle)(C *), void (*free_handle)(C *)>
class Handle {
  public:
    Handle(const Handle &) = delete;
    Handle &operator=(const Handle &) = delete;

    Handle(Handle &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), closed_(other.closed_.load(std::memory_order_relaxed)) {}

    Handle &operator=(Handle &&other) noexcept {
        if (this != &other) {
            free_handle(std::exchange(handle_, std::exchange(other.handle_, nullptr)));
            closed_.store(other.closed_.load(std::memory_order_relaxed), std::memory_order_relaxed);
        }
        return *this;
    }

    /// Cancels what runs, waits for it and releases what it holds. Later calls throw `closed`. May be called twice, and
    /// from any thread.
    void close() noexcept {
        closed_.store(true, std::memory_order_relaxed);
        close_handle(handle_);
    }

    /// Whether `close()` was called, or the handle was moved from.
    bool closed() const noexcept { return !handle_ || closed_.load(std::memory_order_relaxed); }

    /// The handle of the C API, which stays the owner's; NULL when it was moved from.
    C *get() const noexcept { return handle_; }

  protected:
    explicit Handle(C *handle = nullptr) noexcept : handle_(handle) {}
    ~Handle() { free_handle(handle_); }

    void adopt(C *handle) noexcept { handle_ = handle; }

    /// The handle for a call.
    C *use() const {
        if (!handle_) Library::fail_moved();
        return handle_;
    }

  private:
    C *handle_;
    std::atomic<bool> closed_{false};
};

/// Steps through anything with `Status next(Item &)`. It holds the item, so a reference lives until the next step.
template <class Stream, class Item>
class Iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = const Item *;
    using reference = const Item &;

    Iterator() = default;  // the end
    explicit Iterator(Stream &stream) : stream_(&stream) { ++*this; }

    reference operator*() const noexcept { return item_; }
    pointer operator->() const noexcept { return &item_; }

    Iterator &operator++() {
        if (stream_->next(item_) != Status::item) stream_ = nullptr;
        return *this;
    }

    void operator++(int) { ++*this; }

    friend bool operator==(const Iterator &a, const Iterator &b) noexcept { return a.stream_ == b.stream_; }
    friend bool operator!=(const Iterator &a, const Iterator &b) noexcept { return a.stream_ != b.stream_; }

  private:
    Stream *stream_ = nullptr;
    Item item_{};
};

/// The pieces of a text as they become certain: a range of `std::string`. Destroying it ends the generation.
template <class Generation>
class TextStream {
  public:
    using iterator = Iterator<TextStream, std::string>;

    explicit TextStream(Generation generation) noexcept : generation_(std::move(generation)) {}

    iterator begin() { return iterator(*this); }
    iterator end() { return {}; }

    /// The next piece, which is never empty; none at the end, or when it was cancelled.
    std::optional<std::string> next() {
        std::string piece;
        return next(piece) == Status::item ? std::optional<std::string>(std::move(piece)) : std::nullopt;
    }

    /// The next piece, if it comes in time; `piece` is set when the status is `item`.
    Status next(std::string &piece, Timeout timeout = std::nullopt) {
        using Clock = std::chrono::steady_clock;
        const auto end = Clock::now() + std::chrono::milliseconds(milliseconds(timeout));
        for (;;) {
            const Status status = generation_.next(event_, timeout);
            if (status != Status::item) return status;
            if (!event_.text.empty()) break;
            if (timeout) timeout = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
        }
        piece.swap(event_.text);
        return Status::item;
    }

    /// The figures so far; final once the text has ended.
    auto result() const { return generation_.result(); }

    /// Ends the text, from any thread; a loop over the pieces then ends as usual.
    void cancel() const noexcept { generation_.cancel(); }

    /// Ends the generation and releases what it holds.
    void close() noexcept { generation_.close(); }

    /// The generation behind it.
    Generation &generation() noexcept { return generation_; }

  private:
    Generation generation_;
    typename Generation::Item event_{};
};

/// A whole text, with the figures of its generation.
template <class Result>
struct Completion : std::string {
    Completion(std::string text, Result figures) : std::string(std::move(text)), result(std::move(figures)) {}

    Result result;
};

/// A function that C calls. What it throws is kept, and thrown again when C has returned.
template <class Function>
class Callback {
  public:
    explicit Callback(const Function &function) noexcept : function_(function) {}

    /// What the function answers; zero, which asks C to stop, once it has thrown.
    template <class Answer, class... Arguments>
    Answer answer(Arguments &&...arguments) noexcept {
        Answer given{};
        run([&] { given = static_cast<Answer>(function_(std::forward<Arguments>(arguments)...)); });
        return given;
    }

    template <class... Arguments>
    void tell(Arguments &&...arguments) noexcept {
        run([&] { function_(std::forward<Arguments>(arguments)...); });
    }

    bool has_thrown() const noexcept { return error_ != nullptr; }

    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    template <class Body>
    void run(Body &&body) noexcept {
        if (error_) return;
        try {
            body();
        } catch (...) {
            error_ = std::current_exception();
        }
    }

    const Function &function_;
    std::exception_ptr error_;
};

// Values on their way into C

/// Where a text or an array begins; NULL only for none, since an empty one needs an address to be told apart.
template <class T>
auto data_or_null(const std::optional<T> &from) noexcept {
    static constexpr std::remove_reference_t<decltype(*from->data())> nothing{};
    using Pointer = decltype(std::as_const(*from).data());
    if (!from) return Pointer(nullptr);
    return from->data() ? Pointer(from->data()) : Pointer(&nothing);
}

template <class T>
std::size_t size_or_zero(const std::optional<T> &from) noexcept {
    return from ? from->size() : 0;
}

/// Texts as C takes them; they live in `from`.
template <class Text>
std::vector<Text> texts(const std::vector<std::string> &from) {
    std::vector<Text> to;
    to.reserve(from.size());
    for (const std::string &text : from) to.push_back(Text{text.data(), text.size()});
    return to;
}

// Values on their way out of C: copies of what stays the library's

inline std::string copy_text(const char *data, std::size_t size) {
    return size ? std::string(data, size) : std::string();
}

template <class T>
std::vector<T> copy_array(const T *data, std::size_t size) {
    return size ? std::vector<T>(data, data + size) : std::vector<T>();
}

template <class Text>
std::vector<std::string> copy_texts(const Text *data, std::size_t size) {
    std::vector<std::string> texts;
    texts.reserve(size);
    for (std::size_t i = 0; i < size; ++i) texts.emplace_back(data[i].data, data[i].len);
    return texts;
}

/// The same into an object that is there already, whose memory is used again.
inline void assign(std::string &to, const char *data, std::size_t size) {
    size ? void(to.assign(data, size)) : to.clear();
}

template <class T>
void assign(std::vector<T> &to, const T *data, std::size_t size) {
    size ? to.assign(data, data + size) : to.clear();
}

inline void assign(std::optional<std::string> &to, const char *data, std::size_t size) {
    data ? assign(to ? *to : to.emplace(), data, size) : to.reset();
}

/// From key, value, key, value.
template <class Text>
std::map<std::string, std::string> copy_pairs(const Text *data, std::size_t size) {
    std::map<std::string, std::string> pairs;
    for (std::size_t i = 0; i + 1 < size; i += 2) {
        pairs.emplace(std::string(data[i].data, data[i].len), std::string(data[i + 1].data, data[i + 1].len));
    }
    return pairs;
}

/// Gathers the names of the bits that are set: "read|share", and a number for those without a name.
class FlagNames {
  public:
    template <class E>
    explicit FlagNames(E flags) noexcept : rest_(static_cast<std::uint64_t>(flags)) {}

    template <class E>
    void add(E flag, const char *name) {
        const auto bits = static_cast<std::uint64_t>(flag);
        if (!bits || (rest_ & bits) != bits) return;
        append(name);
        rest_ &= ~bits;
    }

    std::string text() && {
        if (rest_ || text_.empty()) append(std::to_string(rest_));
        return std::move(text_);
    }

  private:
    void append(const std::string &name) { text_ += (text_.empty() ? "" : "|") + name; }

    std::uint64_t rest_;
    std::string text_;
};

// Flags are enums for which `std::true_type is_flags(E)` is declared beside them. Their namespace brings these in.

template <class E>
using Flags = std::enable_if_t<decltype(is_flags(std::declval<E>()))::value, E>;

template <class E>
constexpr Flags<E> operator|(E a, E b) noexcept {
    return static_cast<E>(static_cast<std::uint64_t>(a) | static_cast<std::uint64_t>(b));
}

template <class E>
constexpr Flags<E> operator&(E a, E b) noexcept {
    return static_cast<E>(static_cast<std::uint64_t>(a) & static_cast<std::uint64_t>(b));
}

template <class E>
constexpr Flags<E> operator^(E a, E b) noexcept {
    return static_cast<E>(static_cast<std::uint64_t>(a) ^ static_cast<std::uint64_t>(b));
}

template <class E>
constexpr Flags<E> operator~(E a) noexcept {
    return static_cast<E>(~static_cast<std::uint64_t>(a));
}

template <class E>
constexpr Flags<E> &operator|=(E &a, E b) noexcept {
    return a = a | b;
}

template <class E>
constexpr Flags<E> &operator&=(E &a, E b) noexcept {
    return a = a & b;
}

template <class E>
constexpr Flags<E> &operator^=(E &a, E b) noexcept {
    return a = a ^ b;
}

/// Whether all of some bits are set.
template <class E>
constexpr bool has(E flags, Flags<E> bits) noexcept {
    return (flags & bits) == bits;
}

/// Where a loaded library lies, as far as the system tells.
inline std::string path_of(const std::string &library) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/" + library + ".") != std::string::npos) return line.substr(line.find('/'));
    }
    return "the place it was loaded from";
}

/// One sentence if the library lacks something that a program needs; empty if it has everything.
inline std::string mismatch(const char *library, std::uint32_t found, std::uint32_t needed) {
    if (found >> 16 == needed >> 16 && found >= needed) return {};
    const auto shown = [](std::uint32_t version) {
        return std::to_string(version >> 16) + "." + std::to_string(version & 0xFFFF);
    };
    return "this program needs ABI " + shown(needed) + " of " + library + ", but the library at " + path_of(library) +
           " has ABI " + shown(found);
}

}  // namespace mullama_runtime

#endif
