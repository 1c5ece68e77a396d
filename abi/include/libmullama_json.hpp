// JSON values for what an engine takes and gives. Objects keep the order of their members: a schema's is the order in which a
// model writes them. Integers stay integers. Texts are UTF-8, which the library checks.
#ifndef LIBMULLAMA_JSON_HPP
#define LIBMULLAMA_JSON_HPP

#include <libmullama.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace mullama {

namespace detail {

class JsonReader;

/// Both independent of the locale; whether the number fits into a `double`.
inline bool read_number(std::string_view text, double &number) {
#ifdef __cpp_lib_to_chars
    return std::from_chars(text.data(), text.data() + text.size(), number).ec == std::errc();
#else
    std::istringstream stream{std::string(text)};
    stream.imbue(std::locale::classic());
    return static_cast<bool>(stream >> number);
#endif
}

/// The shortest text that is read as the same number.
inline std::string number_text(double number) {
#ifdef __cpp_lib_to_chars
    char text[32];
    return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
#else
    for (int digits = std::numeric_limits<double>::digits10;; ++digits) {
        std::ostringstream stream;
        stream.imbue(std::locale::classic());
        stream.precision(digits);
        stream << number;
        double again = 0;
        const bool fits = read_number(stream.str(), again);
        if ((fits && again == number) || digits == std::numeric_limits<double>::max_digits10) return stream.str();
    }
#endif
}

[[noreturn]] inline void fail_json(const std::string &message) {
    throw ArgumentError(ErrorCode::invalid_json, message);
}

}  // namespace detail

/// Any JSON value. What is not there or of another type than asked for throws an `ArgumentError` with the code `invalid_json`.
class Json {
  public:
    using Array = std::vector<Json>;
    /// In the order in which they were added or read; a name stands once.
    using Object = std::vector<std::pair<std::string, Json>>;

    enum class Type { null, boolean, integer, number, string, array, object };

    /// Deeper values are neither read nor written.
    static constexpr int max_depth = 256;

    Json() noexcept = default;
    Json(std::nullptr_t) noexcept {}
    Json(const char *text) : value_(std::string(text)) {}
    Json(std::string_view text) : value_(std::string(text)) {}
    Json(std::string text) noexcept : value_(std::move(text)) {}
    Json(Array items) noexcept : value_(std::move(items)) {}
    Json(Object members) noexcept : value_(std::move(members)) {}

    /// A truth, an integer or a number. What no `std::int64_t` can hold becomes a `double`.
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
    Json(T number) noexcept {
        if constexpr (std::is_same_v<T, bool>) {
            value_ = number;
        } else if constexpr (std::is_floating_point_v<T>) {
            value_ = static_cast<double>(number);
        } else if (std::is_signed_v<T> || static_cast<std::uint64_t>(number) >> 63 == 0) {
            value_ = static_cast<std::int64_t>(number);
        } else {
            value_ = static_cast<double>(number);
        }
    }

    /// An array of what a vector holds: numbers, texts, values.
    template <class T, class = std::enable_if_t<std::is_constructible_v<Json, const T &> && !std::is_same_v<T, Json> &&
                                                !std::is_same_v<T, Object::value_type>>>
    Json(const std::vector<T> &items) : value_(Array(items.begin(), items.end())) {}

    static Json array(std::initializer_list<Json> items = {}) { return Array(items); }
    static Json object(std::initializer_list<Object::value_type> members = {}) {
        Json made{Object()};
        for (const auto &[name, value] : members) made[name] = value;
        return made;
    }

    /// Reads a whole text. Of members with the same name the last one counts.
    static Json parse(std::string_view text);

    /// The text, without spaces. A number that is not finite throws, since JSON has none.
    std::string dump() const {
        std::string text;
        write(text, 0);
        return text;
    }

    Type type() const noexcept { return static_cast<Type>(value_.index()); }
    bool is_null() const noexcept { return type() == Type::null; }
    bool is_string() const noexcept { return type() == Type::string; }
    bool is_array() const noexcept { return type() == Type::array; }
    bool is_object() const noexcept { return type() == Type::object; }

    bool as_bool() const { return get<bool>("true or false"); }
    const std::string &as_string() const { return get<std::string>("a text"); }
    const Array &as_array() const { return get<Array>("an array"); }
    const Object &as_object() const { return get<Object>("an object"); }

    /// A number without a fraction, also where it is written as 3.0.
    std::int64_t as_integer() const {
        const double *number = std::get_if<double>(&value_);
        if (number && *number == std::floor(*number) && std::fabs(*number) < 9007199254740992.0) {
            return static_cast<std::int64_t>(*number);
        }
        return get<std::int64_t>("an integer");
    }

    double as_number() const {
        const std::int64_t *integer = std::get_if<std::int64_t>(&value_);
        return integer ? static_cast<double>(*integer) : get<double>("a number");
    }

    /// Items or members; 0 for everything else.
    std::size_t size() const noexcept {
        if (const auto *items = std::get_if<Array>(&value_)) return items->size();
        const auto *members = std::get_if<Object>(&value_);
        return members ? members->size() : 0;
    }

    /// The member of an object; NULL where there is none, or this is no object.
    const Json *find(std::string_view name) const noexcept {
        if (const auto *members = std::get_if<Object>(&value_)) {
            for (const auto &member : *members) {
                if (member.first == name) return &member.second;
            }
        }
        return nullptr;
    }

    const Json &operator[](std::string_view name) const {
        const Json *found = find(name);
        if (!found) detail::fail_json("there is no \"" + std::string(name) + "\" in " + shown());
        return *found;
    }

    const Json &operator[](std::size_t index) const {
        const Array &items = as_array();
        if (index >= items.size()) detail::fail_json("there is no item " + std::to_string(index) + " in " + shown());
        return items[index];
    }

    /// The member, made if it is not there; null becomes an object.
    Json &operator[](std::string_view name) {
        if (const Json *found = find(name)) return const_cast<Json &>(*found);
        if (is_null()) value_ = Object();
        as_object();
        return std::get<Object>(value_).emplace_back(name, Json()).second;
    }

    Json &operator[](std::size_t index) { return const_cast<Json &>(std::as_const(*this)[index]); }

    /// Adds an item; null becomes an array.
    void push_back(Json item) {
        if (is_null()) value_ = Array();
        as_array();
        std::get<Array>(value_).push_back(std::move(item));
    }

    /// Whether both are the same value. The order of members does not matter; 1 and 1.0 differ.
    friend bool operator==(const Json &a, const Json &b) {
        if (!a.is_object() || !b.is_object()) return a.value_ == b.value_;
        if (a.size() != b.size()) return false;
        for (const auto &[name, value] : a.as_object()) {
            const Json *other = b.find(name);
            if (!other || !(value == *other)) return false;
        }
        return true;
    }
    friend bool operator!=(const Json &a, const Json &b) { return !(a == b); }

  private:
    friend class detail::JsonReader;

    template <class T>
    const T &get(const char *what) const {
        if (const T *value = std::get_if<T>(&value_)) return *value;
        detail::fail_json(std::string(what) + " was expected instead of " + shown());
    }

    /// The beginning of the text, for messages.
    std::string shown() const {
        constexpr const char *names[] = {"null", "", "an integer", "a number", "a text", "an array", "an object"};
        if (const bool *truth = std::get_if<bool>(&value_)) return *truth ? "true" : "false";
        const bool is_short = (is_string() && as_string().size() < 60) || type() == Type::integer;
        return is_short ? dump() : names[value_.index()];
    }

    void write(std::string &to, int depth) const {
        if (depth > max_depth) detail::fail_json("a value is nested more than " + std::to_string(max_depth) + " deep");
        switch (type()) {
            case Type::null: to += "null"; break;
            case Type::boolean: to += std::get<bool>(value_) ? "true" : "false"; break;
            case Type::integer: to += std::to_string(std::get<std::int64_t>(value_)); break;
            case Type::number: write_number(to, std::get<double>(value_)); break;
            case Type::string: write_text(to, std::get<std::string>(value_)); break;
            case Type::array: {
                char before = '[';
                for (const Json &item : std::get<Array>(value_)) {
                    to += std::exchange(before, ',');
                    item.write(to, depth + 1);
                }
                to += before == '[' ? "[]" : "]";
                break;
            }
            case Type::object: {
                char before = '{';
                for (const auto &[name, value] : std::get<Object>(value_)) {
                    to += std::exchange(before, ',');
                    write_text(to, name);
                    to += ':';
                    value.write(to, depth + 1);
                }
                to += before == '{' ? "{}" : "}";
            }
        }
    }

    static void write_number(std::string &to, double number) {
        if (!std::isfinite(number)) detail::fail_json("JSON has no number " + std::to_string(number));
        const std::size_t begin = to.size();
        to += detail::number_text(number);
        if (to.find_first_of(".e", begin) == std::string::npos) to += ".0";
    }

    static void write_text(std::string &to, const std::string &text) {
        constexpr const char *digits = "0123456789abcdef";
        to += '"';
        for (const char one : text) {
            const auto code = static_cast<unsigned char>(one);
            if (code == '"' || code == '\\') {
                to += '\\';
                to += one;
            } else if (code < 0x20) {
                to += "\\u00";
                to += digits[code >> 4];
                to += digits[code & 15];
            } else {
                to += one;
            }
        }
        to += '"';
    }

    std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

namespace detail {

/// Reads one text of JSON.
class JsonReader {
  public:
    explicit JsonReader(std::string_view text) noexcept : text_(text) {}

    Json whole() {
        Json value = read(0);
        skip_space();
        if (at_ != text_.size()) fail("the end was expected");
        return value;
    }

  private:
    [[noreturn]] void fail(const std::string &what) const {
        const std::string_view rest = text_.substr(at_, 20);
        fail_json("the text is no JSON: " + what + " at byte " + std::to_string(at_) +
                  (rest.empty() ? ", where it ends" : ", before \"" + std::string(rest) + "\""));
    }

    char peek() const noexcept { return at_ < text_.size() ? text_[at_] : '\0'; }
    bool is_digit() const noexcept { return peek() >= '0' && peek() <= '9'; }

    void skip_space() noexcept {
        while (peek() == ' ' || peek() == '\n' || peek() == '\t' || peek() == '\r') ++at_;
    }

    bool take(char expected) noexcept {
        if (at_ == text_.size() || text_[at_] != expected) return false;
        ++at_;
        return true;
    }

    /// The same between two tokens.
    bool take_token(char expected) noexcept {
        skip_space();
        return take(expected);
    }

    Json read(int depth) {
        if (depth > Json::max_depth) fail("it is nested more than " + std::to_string(Json::max_depth) + " deep");
        skip_space();
        switch (peek()) {
            case '{': return object(depth);
            case '[': return array(depth);
            case '"': return string();
            case 't': return word("true", true);
            case 'f': return word("false", false);
            case 'n': return word("null", nullptr);
            default: return number();
        }
    }

    Json word(std::string_view word, Json value) {
        if (text_.substr(at_, word.size()) != word) fail("a value was expected");
        at_ += word.size();
        return value;
    }

    Json array(int depth) {
        Json::Array items;
        ++at_;
        if (take_token(']')) return items;
        do items.push_back(read(depth + 1));
        while (take_token(','));
        if (!take_token(']')) fail("a comma or ] was expected");
        return items;
    }

    Json object(int depth) {
        Json::Object members;
        ++at_;
        if (take_token('}')) return members;
        do {
            skip_space();
            if (peek() != '"') fail("a name in quotes was expected");
            std::string name = string();
            if (!take_token(':')) fail("a colon was expected");
            members.emplace_back(std::move(name), read(depth + 1));
        } while (take_token(','));
        if (!take_token('}')) fail("a comma or } was expected");
        return without_twins(std::move(members));
    }

    /// Each name once, where it stood first, with its last value.
    static Json without_twins(Json::Object members) {
        std::vector<std::size_t> order(members.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        const auto name = [&](std::size_t i) -> const std::string & { return members[i].first; };
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return name(a) < name(b); });
        std::vector<bool> is_twin(members.size());
        for (std::size_t i = 1, first = 0; i < order.size(); ++i) {
            if (name(order[i]) != name(order[first])) {
                first = i;
                continue;
            }
            members[order[first]].second = std::move(members[order[i]].second);
            is_twin[order[i]] = true;
        }
        std::size_t i = 0;
        const auto last = std::remove_if(members.begin(), members.end(), [&](const auto &) { return is_twin[i++]; });
        members.erase(last, members.end());
        return members;
    }

    Json number() {
        const std::size_t begin = at_;
        bool is_integer = true;
        take('-');
        if (!take('0')) digits();
        if (take('.')) digits(), is_integer = false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            digits(), is_integer = false;
        }
        const std::string_view text = text_.substr(begin, at_ - begin);
        std::int64_t integer = 0;
        if (is_integer && std::from_chars(text.data(), text.data() + text.size(), integer).ec == std::errc())
            return integer;
        double number = 0;
        const bool fits = read_number(text, number);
        if (!fits) {
            at_ = begin;
            fail("the number is out of range");
        }
        return number;
    }

    void digits() {
        if (!is_digit()) fail("a value was expected");
        while (is_digit()) ++at_;
    }

    std::string string() {
        std::string text;
        ++at_;
        for (;;) {
            const std::size_t end = std::min(text_.find_first_of("\"\\", at_), text_.size());
            for (std::size_t i = at_; i < end; ++i) {
                if (static_cast<unsigned char>(text_[i]) < 0x20) {
                    at_ = i;
                    fail("a control character stands unescaped in a text");
                }
            }
            text.append(text_, at_, end - at_);
            at_ = end;
            if (take('"')) return text;
            if (!take('\\')) fail("a text does not end");
            escape(text);
        }
    }

    void escape(std::string &to) {
        constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
        const std::size_t letter = at_ < text_.size() ? letters.find(text_[at_]) : std::string_view::npos;
        if (letter != std::string_view::npos) {
            ++at_;
            to += meanings[letter];
            return;
        }
        if (!take('u')) fail("an escape that JSON does not know");
        std::uint32_t code = hexadecimal();
        if (code >= 0xD800 && code < 0xE000) {
            const bool is_first = code < 0xDC00 && take('\\') && take('u');
            const std::uint32_t second = is_first ? hexadecimal() : 0;
            if (second < 0xDC00 || second > 0xDFFF) fail("half of a surrogate pair stands alone");
            code = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
        }
        append_utf8(to, code);
    }

    std::uint32_t hexadecimal() {
        std::uint32_t code = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
        if (error != std::errc() || end != digits.data() + 4) fail("\\u needs four hexadecimal digits");
        at_ += 4;
        return code;
    }

    static void append_utf8(std::string &to, std::uint32_t code) {
        const auto add = [&](std::uint32_t byte) { to += static_cast<char>(byte); };
        if (code < 0x80) return add(code);
        if (code < 0x800) {
            add(0xC0 | code >> 6);
        } else if (code < 0x10000) {
            add(0xE0 | code >> 12);
            add(0x80 | (code >> 6 & 0x3F));
        } else {
            add(0xF0 | code >> 18);
            add(0x80 | (code >> 12 & 0x3F));
            add(0x80 | (code >> 6 & 0x3F));
        }
        add(0x80 | (code & 0x3F));
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace detail

inline Json Json::parse(std::string_view text) { return detail::JsonReader(text).whole(); }

}  // namespace mullama

#endif
