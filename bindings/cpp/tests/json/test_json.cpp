// Reading, writing and asking JSON values, and what is said of a text that is none.
#include <climits>
#include <clocale>
#include <limits>
#include <random>

#include "../check.hpp"

#include <libmullama_json.hpp>

namespace {

using mullama::ArgumentError;
using mullama::ErrorCode;
using mullama::Json;
using Type = Json::Type;

// The text after a way through the value.
std::string again(const std::string &text) { return Json::parse(text).dump(); }

bool is_refused(std::string_view text) {
    try {
        Json::parse(text);
    } catch (const ArgumentError &error) {
        return error.code() == ErrorCode::invalid_json;
    }
    return false;
}

}  // namespace

TEST(texts_come_out_as_they_went_in) {
    for (const std::string text :
         {"null", "true", "false", "0", "-1", "1.5", "[]", "{}", "[1,[2,[3]],{}]", "\"\"",
          R"({"b":1,"a":{"c":[null,true,"x"]}})", R"("a\"b\\c\u0001\u001f")", "\"\x7f é 🦙\""}) {
        CHECK(again(text) == text);
    }
    CHECK(again(" [ 1 , 2 ]\r\n\t") == "[1,2]");
    CHECK(again(R"("\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83e\udd99")") == "\"/\\u0008\\u000c\\u000a\\u000d\\u0009Aé€🦙\"");
    CHECK(Json::parse(R"("a\u0000b")").as_string() == std::string("a\0b", 3));
    CHECK(again(R"("a\u0000b")") == R"("a\u0000b")");
}

TEST(integers_stay_integers_and_numbers_numbers) {
    CHECK(Json::parse("9223372036854775807").as_integer() == INT64_MAX);
    CHECK(Json::parse("-9223372036854775808").as_integer() == INT64_MIN);
    CHECK(Json::parse("9223372036854775808").type() == Type::number);
    CHECK(Json::parse("9223372036854775808").as_number() == 9223372036854775808.0);
    CHECK(Json::parse("2.0").type() == Type::number && Json::parse("2.0").as_integer() == 2 && again("2.0") == "2.0");
    CHECK(Json::parse("1e3").as_number() == 1000 && Json::parse("-0.0").as_number() == 0);
    CHECK(Json::parse("0.1").as_number() == 0.1 && again("0.1") == "0.1");
    CHECK(Json::parse("7").as_number() == 7);
    for (const double number : {5e-324, 1.7976931348623157e308, 3.141592653589793, -1.0 / 3, 1e22, 123456789.125})
        CHECK(Json::parse(Json(number).dump()).as_number() == number);
    CHECK(Json(UINT64_MAX).type() == Type::number && Json(UINT_MAX).as_integer() == UINT_MAX);
    THROWS(ArgumentError, ErrorCode::invalid_json, "an integer", Json(2.5).as_integer());
    THROWS(ArgumentError, ErrorCode::invalid_json, "an integer", Json(1e300).as_integer());
    THROWS(ArgumentError, ErrorCode::invalid_json, "nan", Json(std::numeric_limits<double>::quiet_NaN()).dump());
    THROWS(ArgumentError, ErrorCode::invalid_json, "inf", Json(std::numeric_limits<float>::infinity()).dump());
}

TEST(a_locale_with_a_decimal_comma_changes_nothing) {
    for (const char *name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
        if (std::setlocale(LC_ALL, name)) break;  // where there is none, the C locale is what is tried
    }
    const std::string text = again("[1.5,2500000.25]");
    std::setlocale(LC_ALL, "C");
    CHECK(text == "[1.5,2500000.25]");
}

TEST(members_keep_their_order_and_the_last_twin_counts) {
    CHECK(again(R"({"z":1,"a":2,"m":3})") == R"({"z":1,"a":2,"m":3})");
    CHECK(again(R"({"a":1,"b":2,"a":3,"c":4,"b":5,"a":6})") == R"({"a":6,"b":5,"c":4})");
    CHECK(Json::parse(R"({"a":1,"b":[2]})") == Json::parse(R"({"b":[2],"a":1})"));
    CHECK(Json::parse(R"({"a":1})") != Json::parse(R"({"a":1,"b":2})"));
    CHECK(Json::parse(R"({"a":1})") != Json::parse(R"({"b":1})") && Json(1) != Json(true) && Json() != Json(0));
    std::string many = "{\"n0\":0";
    for (int i = 1; i < 100'000; ++i) many += ",\"n" + std::to_string(i) + "\":" + std::to_string(i);
    CHECK(Json::parse(many + "}").size() == 100'000);  // in a moment, not in minutes
}

TEST(values_are_made_from_those_of_the_language) {
    Json made = Json::object({{"text", "a"}, {"none", nullptr}, {"list", Json::array({1, 2.5, true, "x"})}});
    made["number"] = 3u;
    made["deep"]["er"] = std::string("b");
    made["list"].push_back(Json::object());
    CHECK(made.dump() == R"({"text":"a","none":null,"list":[1,2.5,true,"x",{}],"number":3,"deep":{"er":"b"}})");
    made["list"][1] = 7;
    CHECK(made["list"][1].as_integer() == 7 && made["list"].size() == 5 && Json("x").size() == 0);
    CHECK(Json(std::vector<std::int32_t>{1, 2}).dump() == "[1,2]");
    CHECK(Json(std::vector<std::string>{"a", "b"}).dump() == R"(["a","b"])");
    Json list;
    list.push_back("first");
    CHECK(list.dump() == R"(["first"])");
}

TEST(what_is_not_there_is_said) {
    const Json value = Json::parse(
        R"({"a": [1, "two"], "long": "0123456789012345678901234567890123456789012345678901234567890"})");
    CHECK(value.find("b") == nullptr && value["a"].find("a") == nullptr && value.find("a")->is_array());
    THROWS(ArgumentError, ErrorCode::invalid_json, "\"b\"", value["b"]);
    THROWS(ArgumentError, ErrorCode::invalid_json, "\"b\" in an array", value["a"]["b"].dump());
    THROWS(ArgumentError, ErrorCode::invalid_json, "item 2", value["a"][2]);
    THROWS(ArgumentError, ErrorCode::invalid_json, "an array", value[0]);
    THROWS(ArgumentError, ErrorCode::invalid_json, "a text was expected instead of 1", value["a"][0].as_string());
    THROWS(ArgumentError, ErrorCode::invalid_json, "instead of \"two\"", value["a"][1].as_number());
    THROWS(ArgumentError, ErrorCode::invalid_json, "instead of a text", value["long"].as_bool());
    Json text("x");
    THROWS(ArgumentError, ErrorCode::invalid_json, "an object", text["a"] = 1);
    THROWS(ArgumentError, ErrorCode::invalid_json, "an array", text.push_back(1));
    CHECK(text == Json("x"));
}

TEST(a_text_that_is_no_json_is_refused_with_its_place) {
    for (const char *text : {"",
                             " ",
                             "nul",
                             "truee",
                             "[",
                             "]",
                             "{",
                             "}",
                             "[1",
                             "[1,",
                             "[1,]",
                             "[,1]",
                             "[1 2]",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{\"a\":1,}",
                             "{a:1}",
                             "{1:1}",
                             "{\"a\" 1}",
                             "{,}",
                             "01",
                             "-",
                             "+1",
                             "1.",
                             ".5",
                             "1e",
                             "1e+",
                             "0x1",
                             "1_0",
                             "NaN",
                             "Infinity",
                             "-Infinity",
                             "1e999",
                             "-1e999",
                             "\"",
                             "\"abc",
                             "\"\\",
                             "\"\\\"",
                             "\"\\x\"",
                             "\"\\u12\"",
                             "\"\\u123g\"",
                             "\"\\u+123\"",
                             "\"\\ud800\"",
                             "\"\\udc00\"",
                             "\"\\ud800\\u0041\"",
                             "\"\\ud800\\n\"",
                             "\"\\ud800\\ud800\"",
                             "\"a\nb\"",
                             "\"a\tb\"",
                             "'a'",
                             "1 2",
                             "[] []",
                             "// no\n1",
                             "\xef\xbb\xbf"
                             "1",
                             "undefined",
                             "[1]]"}) {
        CHECK(is_refused(text));
        if (!is_refused(text)) std::cerr << "  " << text << "\n";
    }
    CHECK(is_refused(std::string_view("1\0", 2)) && is_refused(std::string_view("\0", 1)));
    THROWS(ArgumentError, ErrorCode::invalid_json, "at byte 4, before \"x, 3]\"", Json::parse("[1, x, 3]"));
    THROWS(ArgumentError, ErrorCode::invalid_json, "at byte 2, where it ends", Json::parse("[1"));
}

TEST(nesting_has_a_bound_in_both_directions) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    CHECK(again(nested(Json::max_depth)) == nested(Json::max_depth));
    THROWS(ArgumentError, ErrorCode::invalid_json, "256 deep", Json::parse(nested(10'000'000)));
    std::string objects;
    for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
    CHECK(is_refused(objects));
    Json deep;
    for (int i = 0; i < 1'000; ++i) deep = Json::array({std::move(deep)});
    THROWS(ArgumentError, ErrorCode::invalid_json, "256 deep", deep.dump());
}

TEST(any_bytes_are_a_value_or_refused) {
    const std::string seeds[] = {R"({"a":[1,-2.5e3,true,null,"x\u00e9\ud83e\udd99\n"],"b":{"c":[],"d":{}},"a":"z"})",
                                 R"([[[["deep"]]],{"k":0.001},"\\\"",12345678901234567890])"};
    std::mt19937 random(7);
    const auto below = [&](std::size_t n) { return random() % n; };
    const std::string bytes = "{}[]\",:\\u0123456789eE+-. tfn\x01\x80\xff\n";
    int n_values = 0;
    for (int round = 0; round < 40'000; ++round) {
        std::string text = seeds[below(2)];
        for (std::size_t edits = 1 + below(3); edits; --edits) {
            const std::size_t at = below(text.size() + 1);
            switch (below(4)) {
                case 0: text.insert(at, 1, bytes[below(bytes.size())]); break;
                case 1: text.erase(at, 1 + below(3)); break;
                case 2: text.resize(at); break;
                default: text.insert(at, text.substr(below(text.size() + 1), below(6)));
            }
        }
        if (is_refused(text)) continue;
        ++n_values;
        const Json value = Json::parse(text);
        CHECK(Json::parse(value.dump()) == value);
    }
    CHECK(n_values > 1'000 && n_values < 39'000);  // both happen
}
