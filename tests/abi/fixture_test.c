/* Drives every shape of the description language through the fixture's C ABI; ends with no live object. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libfixture.h"

static int failures = 0;

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            ++failures;                                                           \
            fprintf(stderr, "%s:%d: %s is false\n", __FILE__, __LINE__, #condition); \
        }                                                                         \
    } while (0)

/* What a call that must fail said; frees the error. */
static void check_error(int line, int32_t code, fixture_error *err, int32_t expected, const char *part) {
    size_t len = 0;
    const char *message = fixture_error_message(err, &len);
    if (code != expected || fixture_error_code(err) != expected || !strstr(message, part) || strlen(message) != len) {
        ++failures;
        fprintf(stderr, "%s:%d: %d \"%s\", expected %d \"%s\"\n", __FILE__, line, code, message, expected, part);
    }
    fixture_error_free(err);
}

#define FAILS(call, expected, part)                               \
    do {                                                          \
        fixture_error *err = NULL;                                \
        const int32_t code_ = (call);                             \
        check_error(__LINE__, code_, err, expected, part);        \
    } while (0)

#define OK(call)                                                                                            \
    do {                                                                                                    \
        fixture_error *err = NULL;                                                                          \
        if ((call) != FIXTURE_OK || err) {                                                                  \
            ++failures;                                                                                     \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, fixture_error_message(err, NULL)); \
            fixture_error_free(err);                                                                        \
        }                                                                                                   \
    } while (0)

#define TEXT(literal) (literal), sizeof(literal) - 1

static int same(const char *text, size_t len, const char *expected, size_t expected_len) {
    return text && len == expected_len && memcmp(text, expected, len) == 0 && text[len] == '\0';
}

static void sleep_ms(int milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    nanosleep(&time, NULL);
}

static void scalars_keep_their_limits(void) {
    CHECK(fixture_echo_bool(7) == 1 && fixture_echo_bool(0) == 0);
    CHECK(fixture_echo_i32(INT32_MIN) == INT32_MIN);
    CHECK(fixture_echo_i64(INT64_MIN) == INT64_MIN);
    CHECK(fixture_echo_u32(UINT32_MAX) == UINT32_MAX);
    CHECK(fixture_echo_u64(UINT64_MAX) == UINT64_MAX);
    CHECK(fixture_echo_size(SIZE_MAX) == SIZE_MAX);
    CHECK(isnan(fixture_echo_f32(NAN)) && isinf(fixture_echo_f64(-INFINITY)));
    CHECK(fixture_echo_unset(-1) == -1);
    double half = 0;
    OK(fixture_half(100, &half, &err));
    CHECK(half == 50);
    FAILS(fixture_half(100.5, &half, &err), FIXTURE_E_INVALID_ARGUMENT, "from 0 to 100");
    FAILS(fixture_half(NAN, &half, &err), FIXTURE_E_INVALID_ARGUMENT, "percent is nan");
    FAILS(fixture_half(1, NULL, &err), FIXTURE_E_INVALID_ARGUMENT, "NULL");
    CHECK(fixture_half(101, &half, NULL) == FIXTURE_E_INVALID_ARGUMENT);
}

static void structs_are_filled_as_far_as_the_caller_knows_them(void) {
    fixture_numbers numbers;
    fixture_numbers_init(&numbers, sizeof numbers);
    OK(fixture_get_numbers(&numbers, &err));
    CHECK(numbers.struct_size == sizeof numbers && numbers.yes == 1 && numbers.no == 0);
    CHECK(numbers.lowest_i64 == INT64_MIN && numbers.highest_u64 == UINT64_MAX && numbers.highest_size == SIZE_MAX);
    CHECK(isnan(numbers.not_a_number) && isinf(numbers.infinite) && numbers.unset_number == -1);

    struct {
        fixture_numbers numbers;
        uint64_t more;
    } newer;
    fixture_numbers_init(&newer.numbers, sizeof newer);
    CHECK(newer.numbers.struct_size == sizeof newer && newer.more == 0);
    OK(fixture_get_numbers(&newer.numbers, &err));
    CHECK(newer.numbers.struct_size == sizeof newer && newer.more == 0);

    memset(&numbers, 0x55, sizeof numbers);
    fixture_numbers_init(&numbers, offsetof(fixture_numbers, lowest_i32));
    OK(fixture_get_numbers(&numbers, &err));
    CHECK(numbers.lowest_i64 == INT64_MIN && numbers.lowest_i32 == 0x55555555);
    numbers.struct_size = 0;
    FAILS(fixture_get_numbers(&numbers, &err), FIXTURE_E_INVALID_ARGUMENT, "init");
    fixture_numbers_init(NULL, sizeof numbers);
}

static void texts_keep_every_byte(void) {
    static const char sample[] = "na\xc3\xafve \xf0\x9f\xa6\x99\0end";
    size_t len = 9;
    const char *out = fixture_sample_text(&len);
    CHECK(same(out, len, TEXT(sample)));
    CHECK(fixture_sample_text(NULL) == out);
    out = fixture_empty_text(&len);
    CHECK(same(out, len, TEXT("")));

    OK(fixture_echo_text(TEXT(sample), &out, &len, &err));
    CHECK(same(out, len, TEXT(sample)));
    fixture_free(out);
    OK(fixture_echo_text(NULL, 0, &out, &len, &err));
    CHECK(len == 0);
    fixture_free(out);
    FAILS(fixture_echo_text(TEXT("\xff"), &out, &len, &err), FIXTURE_E_INVALID_UTF8, "UTF-8");

    OK(fixture_echo_text_or_none(NULL, 0, &out, &len, &err));
    CHECK(out == NULL && len == 0);
    OK(fixture_echo_text_or_none(TEXT(""), &out, &len, &err));
    CHECK(same(out, len, TEXT("")));
    fixture_free(out);
    fixture_free(NULL);

    const fixture_str words[] = {{TEXT("a")}, {NULL, 0}, {TEXT(sample)}};
    const fixture_str *texts = NULL;
    OK(fixture_join(words, 3, TEXT("+"), &out, &len, &err));
    CHECK(same(out, len, TEXT("a++na\xc3\xafve \xf0\x9f\xa6\x99\0end")));
    fixture_free(out);
    OK(fixture_echo_texts(words, 3, &texts, &len, &err));
    CHECK(len == 3 && same(texts[1].data, texts[1].len, TEXT("")) && same(texts[2].data, texts[2].len, TEXT(sample)));
    fixture_free(texts);
    OK(fixture_echo_texts(NULL, 0, &texts, &len, &err));
    CHECK(len == 0);
    fixture_free(texts);
    OK(fixture_pairs(words, 1, words + 2, 1, &texts, &len, &err));
    CHECK(len == 2 && same(texts[0].data, texts[0].len, TEXT("a")) && same(texts[1].data, texts[1].len, TEXT(sample)));
    fixture_free(texts);
    FAILS(fixture_pairs(words, 1, words, 2, &texts, &len, &err), FIXTURE_E_INVALID_ARGUMENT, "1 keys and 2 values");

    OK(fixture_echo_json(TEXT(" {\"a\": [1, -2.5e3, null, \"\\u00e4\"]} "), &out, &len, &err));
    fixture_free(out);
    FAILS(fixture_echo_json(TEXT("{\"a\": 01}"), &out, &len, &err), FIXTURE_E_INVALID_JSON, "not JSON");
}

static void arrays_keep_every_number(void) {
    const int32_t ints[] = {INT32_MIN, 0, INT32_MAX}, *ints_out = NULL;
    const float floats[] = {-0.0f, NAN}, *floats_out = NULL;
    const uint8_t octets[] = {0, 255}, *octets_out = NULL;
    size_t len = 0;
    OK(fixture_echo_ints(ints, 3, &ints_out, &len, &err));
    CHECK(len == 3 && memcmp(ints, ints_out, sizeof ints) == 0);
    fixture_free(ints_out);
    OK(fixture_echo_ints(NULL, 0, &ints_out, &len, &err));
    CHECK(len == 0);
    fixture_free(ints_out);
    OK(fixture_echo_floats(floats, 2, &floats_out, &len, &err));
    CHECK(len == 2 && signbit(floats_out[0]) && isnan(floats_out[1]));
    fixture_free(floats_out);
    OK(fixture_echo_octets(octets, 2, &octets_out, &len, &err));
    CHECK(len == 2 && octets_out[1] == 255);
    fixture_free(octets_out);
    OK(fixture_echo_bytes(octets, 2, &octets_out, &len, &err));
    CHECK(len == 2 && octets_out[0] == 0);
    fixture_free(octets_out);
    OK(fixture_sample_floats(&floats_out, &len, &err));
    CHECK(len == 6 && isnan(floats_out[0]) && floats_out[5] > 0);
    int64_t sum = 0;
    OK(fixture_sum(NULL, 0, &sum, &err));
    CHECK(sum == -1);
    OK(fixture_sum(ints, 0, &sum, &err));
    CHECK(sum == 0);
    FAILS(fixture_sum(NULL, 3, &sum, &err), FIXTURE_E_INVALID_ARGUMENT, "numbers is NULL");
}

static void unknown_choices_are_given_but_not_taken(void) {
    const char *out = NULL;
    size_t len = 0;
    CHECK(fixture_echo_color(77) == 77 && fixture_unknown_color() == 77);
    CHECK(fixture_unknown_access() == (FIXTURE_ACCESS_READ | UINT64_C(1) << 50));
    OK(fixture_describe_choice(FIXTURE_COLOR_INFRARED, FIXTURE_ACCESS_READ_WRITE | FIXTURE_ACCESS_SHARE, &out, &len, &err));
    CHECK(same(out, len, TEXT("infrared read write share")));
    fixture_free(out);
    FAILS(fixture_describe_choice(2, 0, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT,
          "color is 2; it must be -1 (infrared), 0 (red), 1 (green) or 5 (blue)");
    FAILS(fixture_describe_choice(0, 4, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT, "access is 4; it must be a combination of 1 (read)");
}

static void check_settings(int line, const fixture_settings *settings, const char *part) {
    const char *out = NULL;
    size_t len = 0;
    fixture_error *err = NULL;
    if (fixture_describe_settings(settings, &out, &len, &err) != FIXTURE_OK || !strstr(out, part)) {
        ++failures;
        fprintf(stderr, "%s:%d: %s %s lacks %s\n", __FILE__, line, fixture_error_message(err, NULL), out ? out : "", part);
    }
    fixture_free(out);
    fixture_error_free(err);
}

#define SETTINGS_SAY(settings, part) check_settings(__LINE__, settings, part)

static void options_have_defaults_and_limits(void) {
    static const char defaults[] =
        "{\"enabled\":true,\"little\":-3,\"wide\":5000000000,\"count\":7,\"mask\":18446744073709551615,\"ratio\":0.5,"
        "\"scale\":1e-05,\"bias\":\"-inf\",\"length\":0,\"seed\":null,\"level\":null,\"color\":1,\"access\":1099511627777,"
        "\"title\":\"na\xc3\xafve \xf0\x9f\xa6\x99\",\"note\":null,\"extra\":null,\"blob\":[],\"ids\":[],\"weights\":[],\"mask_bytes\":[],"
        "\"words\":[],\"inner\":null,\"last\":false}";
    fixture_settings settings, fresh;
    fixture_inner_settings inner;
    const int32_t ids[] = {1, 2};
    const char *out = NULL;
    size_t len = 0;
    SETTINGS_SAY(NULL, defaults);
    fixture_settings_init(&fresh, sizeof fresh);
    SETTINGS_SAY(&fresh, defaults);

    settings = fresh;
    settings.enabled = 42;
    settings.level = 0.25;
    settings.seed = 0;
    settings.ids = ids;
    settings.ids_len = 2;
    settings.last = -1;
    SETTINGS_SAY(&settings, "{\"enabled\":true,");
    SETTINGS_SAY(&settings, "\"seed\":0,\"level\":0.25,");
    SETTINGS_SAY(&settings, "\"ids\":[1,2],");
    SETTINGS_SAY(&settings, "\"last\":true}");

    /* An older caller does not have the last field: what lies there is not read. */
    settings.struct_size = (uint32_t)offsetof(fixture_settings, last);
    SETTINGS_SAY(&settings, "\"last\":false}");
    settings.struct_size = sizeof settings.struct_size;
    SETTINGS_SAY(&settings, defaults);
    settings.struct_size = 0;
    FAILS(fixture_describe_settings(&settings, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT, "fixture_settings_init() first");

#define REFUSED(member, value, part)                                                                   \
    settings = fresh;                                                                                  \
    settings.member = (value);                                                                         \
    FAILS(fixture_describe_settings(&settings, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT, part)
    REFUSED(little, -11, "settings.little is -11; it must be from -10 to 10");
    REFUSED(little, 11, "settings.little is 11; it must be from -10 to 10");
    REFUSED(count, 0, "settings.count is 0; it must be at least 1");
    REFUSED(ratio, 1.5f, "settings.ratio is 1.5; it must be from 0 to 1");
    REFUSED(ratio, NAN, "settings.ratio is nan; it must be from 0 to 1");
    REFUSED(scale, INFINITY, "settings.scale is inf; it must be finite");
    REFUSED(length, 4097, "settings.length is 4097; it must be at most 4096");
    REFUSED(level, -0.5, "settings.level is -0.5; it must be from 0 to 1, or -1 for unset");
    REFUSED(color, 77, "settings.color is 77; it must be -1 (infrared)");
    REFUSED(access, 8, "settings.access is 8; it must be a combination of");
    REFUSED(words_len, 2, "settings.words is NULL, but its length is 2");
    REFUSED(title, NULL, "settings.title is NULL, but its length is");

    fixture_inner_settings_init(&inner, sizeof inner);
    settings = fresh;
    settings.inner = &inner;
    SETTINGS_SAY(&settings, "\"inner\":{\"depth\":1,\"label\":\"inner\"}");
    inner.depth = 10;
    FAILS(fixture_describe_settings(&settings, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT, "inner_settings.depth is 10; it must be from 0 to 9");

    /* The reader has looked inside before the fixture looks at anything. */
    settings.extra = "not JSON";
    settings.extra_len = 8;
    FAILS(fixture_describe_settings(&settings, &out, &len, &err), FIXTURE_E_INVALID_ARGUMENT, "inner_settings.depth is 10");

    int64_t product = 0;
    inner.depth = 3;
    OK(fixture_multiply(5, &inner, NULL, &product, &err));
    CHECK(product == 30);
    FAILS(fixture_multiply(5, NULL, NULL, &product, &err), FIXTURE_E_INVALID_ARGUMENT, "inner is NULL");
}

static void every_family_of_errors_arrives(void) {
    static const struct {
        int32_t code;
        const char *name;
    } codes[] = {{1001, "FILE_NOT_FOUND"},  {2001, "INVALID_ARGUMENT"}, {3002, "BUSY"},     {4001, "UNKNOWN_WORD"}, {5001, "STREAM_FAILED"},
                 {6001, "INVALID_GRAMMAR"}, {7001, "INVALID_IMAGE"},    {8001, "INTERNAL"}, {9001, "CANCELLED"}};
    int32_t out = 0;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; ++i) {
        FAILS(fixture_fail(codes[i].code, TEXT("na\xc3\xafve"), &err), codes[i].code, "na\xc3\xafve");
        CHECK(strcmp(fixture_error_name(codes[i].code), codes[i].name) == 0);
    }
    FAILS(fixture_fail(1999, TEXT("newer"), &err), 1999, "newer");
    CHECK(fixture_error_name(1999) == NULL && strcmp(fixture_error_name(0), "OK") == 0);
    FAILS(fixture_fail_unexpectedly(FIXTURE_MISHAP_OUT_OF_MEMORY, &out, &err), FIXTURE_E_OUT_OF_MEMORY, "memory");
    FAILS(fixture_fail_unexpectedly(FIXTURE_MISHAP_TOO_LARGE, &out, &err), FIXTURE_E_OUT_OF_MEMORY, "vector");
    FAILS(fixture_fail_unexpectedly(FIXTURE_MISHAP_EXCEPTION, &out, &err), FIXTURE_E_INTERNAL, "nobody planned");
    FAILS(fixture_fail_unexpectedly(FIXTURE_MISHAP_UNKNOWN_EXCEPTION, &out, &err), FIXTURE_E_INTERNAL, "unknown type");
    FAILS(fixture_fail_unexpectedly(FIXTURE_MISHAP_BACKEND_ABORT, &out, &err), FIXTURE_E_INTERNAL, "a planned abort");
    CHECK(fixture_error_code(NULL) == FIXTURE_OK && *fixture_error_message(NULL, NULL) == '\0');
    fixture_error_free(NULL);
}

static void listen(double part, void *user) { *(double *)user += part + 1; }

static int32_t visit(size_t index, const char *key, size_t key_len, fixture_entry_kind kind, void *user) {
    char *seen = user;
    CHECK(index < 3);
    strncat(seen, key, key_len);
    strcat(seen, kind == FIXTURE_ENTRY_KIND_EMPTY ? "- " : "+ ");
    return strchr(seen, '!') == NULL;
}

static fixture_store *open_store(void) {
    fixture_store *store = NULL;
    OK(fixture_store_open(TEXT("shop"), NULL, 0, NULL, NULL, &store, &err));
    OK(fixture_store_put(store, TEXT("b"), TEXT("text"), &err));
    OK(fixture_store_put(store, TEXT("a"), TEXT(""), &err));
    return store;
}

static void a_shared_handle_is_used_closed_and_freed(void) {
    double told = 0;
    char seen[64] = "";
    size_t count = 0, len = 0;
    const char *out = NULL;
    fixture_store *noted = NULL, *keys = NULL, *store = open_store();
    const fixture_str more[] = {{TEXT("!")}, {TEXT("c")}};
    fixture_store_info info;
    OK(fixture_store_open(TEXT("x"), TEXT(""), listen, &told, &noted, &err));
    CHECK(told == 3);
    fixture_store_info_init(&info, sizeof info);
    OK(fixture_store_get_info(noted, &info, &err));
    CHECK(same(info.note, info.note_len, TEXT("")) && info.count == 0 && info.sizes_len == 0);
    OK(fixture_store_get_info(store, &info, &err));
    CHECK(info.note == NULL && same(info.name, info.name_len, TEXT("shop")) && info.sizes_len == 2 && info.sizes[1] == 4);

    OK(fixture_store_visit(store, visit, seen, &count, &err));
    CHECK(count == 2 && strcmp(seen, "a- b+ ") == 0);
    FAILS(fixture_store_visit(store, NULL, NULL, &count, &err), FIXTURE_E_INVALID_ARGUMENT, "visitor");
    OK(fixture_store_from_keys(more, 2, &keys, &err));
    OK(fixture_store_import(store, keys, NULL, &err));
    CHECK(fixture_store_count(store) == 4 && fixture_store_size(store) == 4);
    FAILS(fixture_store_visit(store, visit, seen, &count, &err), FIXTURE_E_CANCELLED, "entry 0");

    OK(fixture_store_find(store, TEXT("b"), &out, &len, &err));
    CHECK(same(out, len, TEXT("text")));
    fixture_free(out);
    OK(fixture_store_find(store, TEXT("none"), &out, &len, &err));
    CHECK(out == NULL);

    fixture_store_close(store);
    fixture_store_close(store);
    FAILS(fixture_store_find(store, TEXT("b"), &out, &len, &err), FIXTURE_E_CLOSED, "store was closed");
    FAILS(fixture_store_import(keys, store, NULL, &err), FIXTURE_E_CLOSED, "closed");
    FAILS(fixture_store_put(NULL, TEXT("b"), TEXT(""), &err), FIXTURE_E_INVALID_ARGUMENT, "the store is NULL");
    CHECK(fixture_store_count(store) == 0 && fixture_store_name(store, &len) == NULL && fixture_store_count(NULL) == 0);
    fixture_store_free(store);
    fixture_store_free(noted);
    fixture_store_free(keys);
    fixture_store_close(NULL);
    fixture_store_free(NULL);
}

struct waiter {
    fixture_cursor *cursor;
    int32_t code;
};

static void *wait_in(void *argument) {
    struct waiter *waiter = argument;
    waiter->code = fixture_cursor_wait(waiter->cursor, NULL);
    return NULL;
}

static pthread_t start_waiting(struct waiter *waiter) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_in, waiter) == 0);
    while (!fixture_cursor_is_waiting(waiter->cursor)) sleep_ms(1);
    return thread;
}

static void an_exclusive_handle_is_busy_while_a_call_runs(void) {
    fixture_store *store = open_store();
    fixture_cursor *cursor = NULL, *twin = NULL, *missing = NULL;
    struct waiter waiter = {NULL, -1};
    const char *out = NULL;
    const float *floats = NULL;
    size_t len = 0;
    OK(fixture_store_open_cursor(store, &cursor, &err));
    OK(fixture_store_find_cursor(store, TEXT("nothing"), &missing, &err));
    CHECK(missing == NULL);
    OK(fixture_cursor_step(cursor, &out, &len, &err));
    CHECK(same(out, len, TEXT("a")));
    OK(fixture_cursor_clone(cursor, &twin, &err));

    waiter.cursor = cursor;
    pthread_t thread = start_waiting(&waiter);
    FAILS(fixture_cursor_step(cursor, &out, &len, &err), FIXTURE_E_BUSY, "another call is using this cursor");
    fixture_cursor_release(cursor);
    pthread_join(thread, NULL);
    CHECK(waiter.code == FIXTURE_OK);

    thread = start_waiting(&waiter);
    fixture_cursor_cancel(cursor);
    pthread_join(thread, NULL);
    CHECK(waiter.code == FIXTURE_E_CANCELLED);

    /* The cursors keep the store's entries, not its handle. */
    fixture_store_free(store);
    OK(fixture_cursor_step(twin, &out, &len, &err));
    CHECK(same(out, len, TEXT("b")));
    OK(fixture_cursor_step(twin, &out, &len, &err));
    CHECK(out == NULL);
    OK(fixture_cursor_floats(twin, 3, &floats, &len, &err));
    CHECK(len == 3 && floats[2] == 2);

    thread = start_waiting(&waiter);
    fixture_cursor_close(cursor);
    pthread_join(thread, NULL);
    CHECK(waiter.code == FIXTURE_E_CANCELLED);
    FAILS(fixture_cursor_step(cursor, &out, &len, &err), FIXTURE_E_CLOSED, "cursor was closed");
    CHECK(fixture_cursor_is_waiting(cursor) == 0);
    fixture_cursor_cancel(cursor);
    fixture_cursor_free(cursor);
    fixture_cursor_free(twin);
}

static void *cancel_soon(void *countdown) {
    sleep_ms(20);
    fixture_countdown_cancel(countdown);
    return NULL;
}

static void a_stream_waits_ends_fails_and_is_cancelled(void) {
    fixture_store *store = open_store();
    fixture_countdown *countdown = NULL;
    fixture_count_options options;
    fixture_tick tick;
    fixture_count_result result;
    const char *out = NULL;
    size_t len = 0;
    int32_t status = -1;
    fixture_tick_init(&tick, sizeof tick);
    fixture_count_result_init(&result, sizeof result);
    FAILS(fixture_store_count_down(store, -1, NULL, &countdown, &err), FIXTURE_E_INVALID_ARGUMENT, "start is -1");

    OK(fixture_store_count_down(store, 1, NULL, &countdown, &err));
    OK(fixture_countdown_next(countdown, 0, &tick, &status, &err));
    CHECK(status == FIXTURE_STATUS_ITEM && tick.number == 1 && same(tick.text, tick.text_len, TEXT("1 ")));
    OK(fixture_countdown_next(countdown, -1, &tick, &status, &err));
    OK(fixture_countdown_next(countdown, -1, &tick, &status, &err));
    CHECK(status == FIXTURE_STATUS_DONE);
    OK(fixture_countdown_run(countdown, -1, &status, &err));
    CHECK(status == FIXTURE_STATUS_DONE);
    fixture_countdown_free(countdown);

    fixture_count_options_init(&options, sizeof options);
    options.delay_ms = 60000;
    OK(fixture_store_count_down(store, 1, &options, &countdown, &err));
    OK(fixture_countdown_next(countdown, 1, &tick, &status, &err));
    CHECK(status == FIXTURE_STATUS_WAITING);
    OK(fixture_countdown_run(countdown, 0, &status, &err));
    CHECK(status == FIXTURE_STATUS_WAITING);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, cancel_soon, countdown) == 0);
    OK(fixture_countdown_next(countdown, -1, &tick, &status, &err));
    CHECK(status == FIXTURE_STATUS_CANCELLED);
    pthread_join(thread, NULL);
    OK(fixture_countdown_next(countdown, -1, &tick, &status, &err));
    CHECK(status == FIXTURE_STATUS_CANCELLED);
    OK(fixture_countdown_get_result(countdown, &result, &err));
    CHECK(result.n_ticks == 0 && result.cancelled == 1);
    fixture_countdown_free(countdown);

    options.delay_ms = 0;
    options.fail_at = 3;
    OK(fixture_store_count_down(store, 5, &options, &countdown, &err));
    FAILS(fixture_countdown_run(countdown, -1, &status, &err), FIXTURE_E_STREAM_FAILED, "broke off at 3");
    OK(fixture_countdown_text(countdown, &out, &len, &err));
    CHECK(same(out, len, TEXT("5 4 ")));
    fixture_store_free(store);
    fixture_countdown_close(countdown);
    FAILS(fixture_countdown_next(countdown, 0, &tick, &status, &err), FIXTURE_E_CLOSED, "closed");
    fixture_countdown_free(countdown);
}

static void reserved_words_are_names(void) {
    fixture_word_options options;
    fixture_word_info info;
    const char *out = NULL;
    size_t len = 0;
    fixture_word_options_init(&options, sizeof options);
    options.template_text = "pot";
    OK(fixture_say_words(TEXT("class"), 3, FIXTURE_KEYWORD_DEFAULT, &options, &out, &len, &err));
    CHECK(same(out, len, TEXT("class 3 default 1 2 pot")));
    fixture_free(out);
    fixture_word_info_init(&info, sizeof info);
    OK(fixture_get_word_info(&info, &err));
    CHECK(info.import == 7 && same(info.operation, info.operation_len, TEXT("plus")));
    CHECK(fixture_delete() == 4);
}

static void live_objects_are_counted(void) {
    fixture_error *err = NULL;
    const char *text = NULL;
    size_t len = 0;
    CHECK(fixture_live_objects() == 0);
    fixture_store *store = open_store();
    CHECK(fixture_live_objects() == 1);
    fixture_fail(1001, TEXT(""), &err);
    CHECK(fixture_live_objects() == 2);
    OK(fixture_echo_text(TEXT("x"), &text, &len, &err));
    CHECK(fixture_live_objects() == 3);
    fixture_store_close(store);
    CHECK(fixture_live_objects() == 3);
    fixture_store_free(store);
    fixture_error_free(err);
    fixture_free(text);
    CHECK(fixture_live_objects() == 0);
}

int main(void) {
    CHECK(fixture_abi_version() == FIXTURE_ABI_VERSION);
    live_objects_are_counted();
    scalars_keep_their_limits();
    structs_are_filled_as_far_as_the_caller_knows_them();
    texts_keep_every_byte();
    arrays_keep_every_number();
    unknown_choices_are_given_but_not_taken();
    options_have_defaults_and_limits();
    every_family_of_errors_arrives();
    a_shared_handle_is_used_closed_and_freed();
    an_exclusive_handle_is_busy_while_a_call_runs();
    a_stream_waits_ends_fails_and_is_cancelled();
    reserved_words_are_names();
    CHECK(fixture_live_objects() == 0);
    printf("%d failures\n", failures);
    return failures != 0;
}
