#include "value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Memory */

typedef struct block {
    struct block *next;
    uint64_t data[];
} block;

static block *blocks = NULL;

void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

void *take(size_t size) {
    block *const new_block = calloc(1, sizeof(block) + size + 1);
    if (!new_block) give_up("out of memory");
    new_block->next = blocks;
    blocks = new_block;
    return new_block->data;
}

void forget_values(void) {
    while (blocks) {
        block *const next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

static char *print(const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    const int len = vsnprintf(NULL, 0, format, arguments);
    char *const text = take((size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

/* Makers */

static value *new_value(kind kind) {
    value *const made = take(sizeof *made);
    made->kind = kind;
    return made;
}

value *of_none(void) {
    return new_value(NONE);
}

value *of_bool(int truth) {
    value *const made = new_value(BOOLEAN);
    made->truth = truth != 0;
    return made;
}

static value *of_whole(int negative, uint64_t magnitude) {
    value *const made = new_value(NUMBER);
    made->whole = 1;
    made->negative = negative && magnitude;
    made->magnitude = magnitude;
    made->number = negative ? -(double)magnitude : (double)magnitude;
    return made;
}

value *of_signed(int64_t number) {
    return of_whole(number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

value *of_unsigned(uint64_t number) {
    return of_whole(0, number);
}

value *of_double(double number) {
    value *const made = new_value(NUMBER);
    made->number = number;
    return made;
}

static value *of_data(kind kind, const void *data, size_t len) {
    value *const made = new_value(kind);
    made->data = take(len + 1);
    if (len) memcpy(made->data, data, len);
    made->len = len;
    return made;
}

value *of_text(const char *data, size_t len) {
    return of_data(TEXT, data, len);
}

value *of_json(const char *data, size_t len) {
    return parse_json(data, len);
}

value *of_bytes(const uint8_t *data, size_t len) {
    return of_data(BYTES, data, len);
}

value *of_list(void) {
    return new_value(LIST);
}

value *of_map(void) {
    return new_value(MAP);
}

void append(value *list, value *item) {
    if (list->len == list->room) {
        list->room = list->room ? 2 * list->room : 8;
        value **const items = take(list->room * sizeof *items), **const keys = take(list->room * sizeof *keys);
        if (list->len) {
            memcpy(items, list->items, list->len * sizeof *items);
            memcpy(keys, list->keys, list->len * sizeof *keys);
        }
        list->items = items;
        list->keys = keys;
    }
    list->items[list->len++] = item;
}

void put(value *map, const char *key, value *item) {
    append(map, item);
    map->keys[map->len - 1] = of_text(key, strlen(key));
}

#define OF_SPAN(name, element, maker)                   \
    value *name(const element *data, size_t len) {      \
        value *const list = of_list();                  \
        for (size_t i = 0; i < len; ++i) append(list, maker); \
        return list;                                    \
    }
OF_SPAN(of_octets, uint8_t, of_unsigned(data[i]))
OF_SPAN(of_ints, int32_t, of_signed(data[i]))
OF_SPAN(of_floats, float, of_double(data[i]))
OF_SPAN(of_texts, mullama_str, of_text(data[i].data, data[i].len))

value *of_pairs(const mullama_str *data, size_t len) {
    value *const map = of_map();
    for (size_t i = 0; i + 1 < len; i += 2) put(map, data[i].data, of_text(data[i + 1].data, data[i + 1].len));
    return map;
}

value *of_enum(int64_t number, const names *members) {
    for (; members->name; ++members) {
        if (members->value == number) return of_text(members->name, strlen(members->name));
    }
    return of_signed(number);
}

value *of_flags(uint64_t bits, const names *members) {
    value *const list = of_list();
    for (; members->name; ++members) {
        const uint64_t bit = (uint64_t)members->value;
        if ((bits & bit) == bit) append(list, of_text(members->name, strlen(members->name)));
        bits &= ~bit;
    }
    if (bits) append(list, of_unsigned(bits));
    return list;
}

value *of_handle(void *pointer, const char *type, void (*release)(void *)) {
    value *const made = new_value(HANDLE);
    made->pointer = pointer;
    made->type = type;
    made->release = release;
    return made;
}

/* Readers */

const value *given(const value *map, const char *key) {
    for (size_t i = 0; map && map->kind == MAP && i < map->len; ++i) {
        if (!strcmp(map->keys[i]->data, key)) return is_given(map->items[i]) ? map->items[i] : NULL;
    }
    return NULL;
}

int is_given(const value *one) {
    return one && one->kind != NONE;
}

const value *text_or(const value *one, const char *fallback) {
    return one ? one : of_text(fallback, strlen(fallback));
}

static double as_number(const value *one, double fallback) {
    if (!one) return fallback;
    if (one->kind == TEXT) return strtod(one->data, NULL); /* inf, -inf, nan */
    return one->kind == BOOLEAN ? one->truth : one->number;
}

int64_t as_i64(const value *one, int64_t fallback) {
    if (!one) return fallback;
    if (one->kind == BOOLEAN) return one->truth;
    return one->negative ? (int64_t)(0 - one->magnitude) : (int64_t)one->magnitude;
}

uint64_t as_u64(const value *one, uint64_t fallback) {
    return one ? one->magnitude : fallback;
}

int32_t as_i32(const value *one, int64_t fallback) {
    return (int32_t)as_i64(one, fallback);
}

uint32_t as_u32(const value *one, uint64_t fallback) {
    return (uint32_t)as_u64(one, fallback);
}

size_t as_size(const value *one, uint64_t fallback) {
    return (size_t)as_u64(one, fallback);
}

float as_f32(const value *one, double fallback) {
    return (float)as_number(one, fallback);
}

double as_f64(const value *one, double fallback) {
    return as_number(one, fallback);
}

int32_t given_i32(const value *map, const char *key, int32_t fallback) {
    return as_i32(given(map, key), fallback);
}

static int64_t member(const value *one, const names *members) {
    if (one->kind == NUMBER) return as_i64(one, 0);
    for (; members->name; ++members) {
        if (!strcmp(members->name, one->data)) return members->value;
    }
    give_up("no member %s", one->data);
    return 0;
}

int32_t as_enum(const value *one, const names *members, int64_t fallback) {
    return (int32_t)(one ? member(one, members) : fallback);
}

uint64_t as_flags(const value *one, const names *members, uint64_t fallback) {
    if (!one) return fallback;
    if (one->kind == NUMBER) return one->magnitude;
    uint64_t bits = 0;
    for (size_t i = 0; i < one->len; ++i) bits |= (uint64_t)member(one->items[i], members);
    return bits;
}

void *as_handle(const value *one) {
    return one ? one->pointer : NULL;
}

void *given_handle(const value *map, const char *key) {
    return as_handle(given(map, key));
}

mullama_str as_text(const value *one) {
    const mullama_str none = {NULL, 0};
    if (!one) return none;
    const mullama_str text = {one->data, one->len};
    return text;
}

mullama_str as_json_text(const value *one) {
    if (!one || one->kind == TEXT || one->kind == BYTES) return as_text(one);
    mullama_str text;
    text.data = write_json(one, &text.len);
    return text;
}

#define AS_SPAN(name, element, item)                            \
    const element *name(const value *one, size_t *len) {        \
        *len = one ? one->len : 0;                              \
        if (!one) return NULL;                                  \
        element *const array = take(one->len * sizeof *array);  \
        for (size_t i = 0; i < one->len; ++i) array[i] = item;  \
        return array;                                           \
    }
AS_SPAN(as_texts, mullama_str, as_text(one->items[i]))
AS_SPAN(as_ints, int32_t, as_i32(one->items[i], 0))
AS_SPAN(as_floats, float, as_f32(one->items[i], 0))

const uint8_t *as_octets(const value *one, size_t *len) {
    *len = one ? one->len : 0;
    if (!one || one->kind == BYTES) return one ? (const uint8_t *)one->data : NULL;
    uint8_t *const array = take(one->len);
    for (size_t i = 0; i < one->len; ++i) array[i] = (uint8_t)as_i64(one->items[i], 0);
    return array;
}

int note_call(void *log, value *call) {
    call_log *const calls = log;
    value *const noted = (value *)given(calls->given, "calls");
    if (noted) append(noted, call);
    const value *const answers = given(calls->given, "answers");
    const size_t last = answers && answers->len ? answers->len - 1 : 0;
    const size_t index = calls->count < last ? calls->count : last;
    ++calls->count;
    return answers && answers->len ? (int)as_i64(answers->items[index], 0) : 1;
}

/* JSON */

typedef struct reader {
    const char *at, *end;
} reader;

static void skip_space(reader *from) {
    while (from->at < from->end && strchr(" \t\r\n", *from->at)) ++from->at;
}

static char next(reader *from) {
    if (from->at == from->end) give_up("the JSON text ends early");
    return *from->at++;
}

static void expect(reader *from, char character) {
    skip_space(from);
    if (next(from) != character) give_up("%c is missing before %.20s", character, from->at - 1);
}

static unsigned hex_number(const char *digits, int n) {
    char text[5] = {0};
    memcpy(text, digits, (size_t)n);
    return (unsigned)strtoul(text, NULL, 16);
}

static char *write_utf8(char *to, unsigned code) {
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    const int n = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    *to++ = (char)((n == 1 ? 0xC0 : n == 2 ? 0xE0 : 0xF0) | (code >> (6 * n)));
    for (int i = n - 1; i >= 0; --i) *to++ = (char)(0x80 | ((code >> (6 * i)) & 0x3F));
    return to;
}

static unsigned escape_number(reader *from) {
    if (from->end - from->at < 4) give_up("the JSON text ends early");
    from->at += 4;
    return hex_number(from->at - 4, 4);
}

static value *parse_text(reader *from) {
    value *const text = of_data(TEXT, from->at, (size_t)(from->end - from->at) < 64 ? (size_t)(from->end - from->at) : 64);
    size_t room = 64;
    text->len = 0;
    for (char c; (c = next(from)) != '"';) {
        if (text->len + 4 > room) {
            char *const more = take(room *= 2);
            memcpy(more, text->data, text->len);
            text->data = more;
        }
        char *const to = text->data + text->len;
        if (c != '\\') {
            *to = c;
            ++text->len;
            continue;
        }
        const char escaped = next(from);
        if (escaped == 'u') {
            unsigned code = escape_number(from);
            if (code >= 0xD800 && code < 0xDC00 && from->end - from->at > 6 && from->at[0] == '\\' && from->at[1] == 'u') {
                from->at += 2;
                code = 0x10000 + ((code - 0xD800) << 10) + (escape_number(from) - 0xDC00);
            }
            text->len += (size_t)(write_utf8(to, code) - to);
        } else {
            const char *const found = strchr("bfnrt", escaped);
            *to = found ? "\b\f\n\r\t"[found - "bfnrt"] : escaped;
            ++text->len;
        }
    }
    text->data[text->len] = '\0';
    return text;
}

static value *parse_number(reader *from) {
    const char *const start = from->at;
    while (from->at < from->end && strchr("+-.0123456789eE", *from->at)) ++from->at;
    char *const text = of_data(TEXT, start, (size_t)(from->at - start))->data;
    if (!*text) give_up("no JSON: %.20s", start);
    if (strpbrk(text, ".eE")) return of_double(strtod(text, NULL));
    return of_whole(*text == '-', strtoull(text + (*text == '-'), NULL, 10));
}

static value *parse_value(reader *from);

static value *parse_map(reader *from) {
    value *const map = of_map();
    skip_space(from);
    for (int more = *from->at != '}'; more;) {
        expect(from, '"');
        value *const key = parse_text(from);
        expect(from, ':');
        append(map, parse_value(from));
        map->keys[map->len - 1] = key;
        skip_space(from);
        if ((more = *from->at == ',')) ++from->at;
    }
    expect(from, '}');
    const value *const hex = map->len == 1 ? given(map, "hex") : NULL;
    if (!hex || hex->kind != TEXT) return map;
    value *const bytes = of_data(BYTES, NULL, 0);
    bytes->len = hex->len / 2;
    bytes->data = take(bytes->len + 1);
    for (size_t i = 0; i < bytes->len; ++i) bytes->data[i] = (char)hex_number(hex->data + 2 * i, 2);
    return bytes;
}

static value *parse_list(reader *from) {
    value *const list = of_list();
    skip_space(from);
    for (int more = *from->at != ']'; more;) {
        append(list, parse_value(from));
        skip_space(from);
        if ((more = *from->at == ',')) ++from->at;
    }
    expect(from, ']');
    return list;
}

static value *parse_value(reader *from) {
    skip_space(from);
    switch (next(from)) {
        case '"': return parse_text(from);
        case '{': return parse_map(from);
        case '[': return parse_list(from);
        case 't': from->at += 3; return of_bool(1);
        case 'f': from->at += 4; return of_bool(0);
        case 'n': from->at += 3; return of_none();
        default: --from->at; return parse_number(from);
    }
}

value *parse_json(const char *text, size_t len) {
    reader from = {of_data(TEXT, text, len)->data, NULL};
    from.end = from.at + len;
    return parse_value(&from);
}

typedef struct writer {
    char *data;
    size_t len, room;
} writer;

static void add(writer *to, const char *data, size_t len) {
    if (to->len + len + 1 > to->room) {
        to->room = 2 * (to->len + len + 1);
        char *const more = take(to->room);
        if (to->len) memcpy(more, to->data, to->len);
        to->data = more;
    }
    memcpy(to->data + to->len, data, len);
    to->len += len;
    to->data[to->len] = '\0';
}

static void add_text(writer *to, const value *text) {
    add(to, "\"", 1);
    for (size_t i = 0; i < text->len; ++i) {
        const unsigned char c = (unsigned char)text->data[i];
        char escaped[8];
        if (c < 0x20 || c == '"' || c == '\\' || text->kind == BYTES) {
            snprintf(escaped, sizeof escaped, text->kind == BYTES ? "%02x" : "\\u%04x", c);
            add(to, escaped, strlen(escaped));
        } else {
            add(to, (const char *)&text->data[i], 1);
        }
    }
    add(to, "\"", 1);
}

static void add_value(writer *to, const value *of) {
    char number[40];
    switch (of->kind) {
        case NONE: add(to, "null", 4); return;
        case BOOLEAN: add(to, of->truth ? "true" : "false", of->truth ? 4 : 5); return;
        case NUMBER:
            if (of->whole) {
                snprintf(number, sizeof number, "%s%llu", of->negative ? "-" : "", (unsigned long long)of->magnitude);
            } else {
                snprintf(number, sizeof number, isfinite(of->number) ? "%.9g" : "\"%g\"", of->number);
            }
            add(to, number, strlen(number));
            return;
        case TEXT:
        case BYTES: add_text(to, of); return;
        case HANDLE: add(to, "\"", 1); add(to, of->type, strlen(of->type)); add(to, "\"", 1); return;
        case LIST:
        case MAP:
            add(to, of->kind == LIST ? "[" : "{", 1);
            for (size_t i = 0; i < of->len; ++i) {
                if (i) add(to, ", ", 2);
                if (of->kind == MAP) {
                    add_text(to, of->keys[i]);
                    add(to, ": ", 2);
                }
                add_value(to, of->items[i]);
            }
            add(to, of->kind == LIST ? "]" : "}", 1);
    }
}

char *write_json(const value *of, size_t *len) {
    writer to = {NULL, 0, 0};
    add_value(&to, of);
    if (len) *len = to.len;
    return to.data;
}

/* Comparison */

static const char *shown(const value *of) {
    char *const text = write_json(of, NULL);
    if (strlen(text) > 400) strcpy(text + 397, "...");
    return text;
}

static const char *within(const char *place, const char *reason) {
    return reason ? print("%s: %s", place, reason) : NULL;
}

static int is_number(const value *one) {
    return one->kind == NUMBER || (one->kind == TEXT && (!strcmp(one->data, "inf") || !strcmp(one->data, "-inf") || !strcmp(one->data, "nan")));
}

static int same_number(const value *a, const value *b) {
    if (a->whole && b->whole) return a->negative == b->negative && a->magnitude == b->magnitude;
    const double x = as_number(a, 0), y = as_number(b, 0);
    return x == y || (isnan(x) && isnan(y));
}

static const char *not_equal(const value *expected, const value *found, int exactly) {
    int same = expected->kind == found->kind;
    if (found->kind == NUMBER && is_number(expected)) return same_number(expected, found) ? NULL : print("%s is not %s", shown(found), shown(expected));
    if (same && (found->kind == LIST || found->kind == MAP)) {
        if ((found->kind == LIST || exactly) && expected->len != found->len) {
            return print("%s has %zu items, not %zu: %s", shown(found), found->len, expected->len, shown(expected));
        }
        for (size_t i = 0; i < expected->len; ++i) {
            const char *const place = found->kind == LIST ? print("[%zu]", i) : expected->keys[i]->data;
            const value *const item = found->kind == LIST ? found->items[i] : given(found, place);
            if (!item && expected->items[i]->kind == NONE) continue;
            if (!item) return print("%s is missing or none in %s", place, shown(found));
            const char *const reason = exactly ? not_equal(expected->items[i], item, 1) : mismatch(expected->items[i], item);
            if (reason) return within(place, reason);
        }
        return NULL;
    }
    if (same && found->kind == BOOLEAN) same = expected->truth == found->truth;
    if (same && (found->kind == TEXT || found->kind == BYTES)) {
        same = expected->len == found->len && !memcmp(expected->data, found->data, found->len);
    }
    if (same && found->kind == HANDLE) same = expected->pointer == found->pointer;
    return same ? NULL : print("%s is not %s", shown(found), shown(expected));
}

static const char *not_close(const value *expected, const value *found, double tolerance) {
    if (expected->kind == LIST && found->kind == LIST) {
        if (expected->len != found->len) return print("%zu items, not %zu", found->len, expected->len);
        for (size_t i = 0; i < found->len; ++i) {
            const char *const reason = not_close(expected->items[i], found->items[i], tolerance);
            if (reason) return within(print("[%zu]", i), reason);
        }
        return NULL;
    }
    if (found->kind != NUMBER || !is_number(expected)) return print("%s is no number near %s", shown(found), shown(expected));
    const double x = as_number(expected, 0), y = as_number(found, 0);
    const int close = isfinite(x) && isfinite(y) ? fabs(x - y) <= tolerance : same_number(expected, found);
    return close ? NULL : print("%.9g is not within %g of %.9g", y, tolerance, x);
}

static int has_part(const value *part, const value *found) {
    if (found->kind == LIST) {
        for (size_t i = 0; i < found->len; ++i) {
            if (!mismatch(part, found->items[i])) return 1;
        }
        return 0;
    }
    for (size_t i = 0; part->kind == TEXT && found->kind == TEXT && i + part->len <= found->len; ++i) {
        if (!memcmp(found->data + i, part->data, part->len)) return 1;
    }
    return 0;
}

static const char *lacks(const value *parts, const value *found) {
    if (parts->kind != LIST) return has_part(parts, found) ? NULL : print("%s does not contain %s", shown(found), shown(parts));
    for (size_t i = 0; i < parts->len; ++i) {
        const char *const reason = lacks(parts->items[i], found);
        if (reason) return reason;
    }
    return NULL;
}

static size_t largest(const value *list) {
    size_t best = 0;
    for (size_t i = 1; i < list->len; ++i) {
        if (list->items[i]->number > list->items[best]->number) best = i;
    }
    return best;
}

static const char *some_item(const value *expected, const value *found) {
    for (size_t i = 0; i < expected->len; ++i) {
        const char *const place = expected->keys[i]->data;
        const long index = strtol(place, NULL, 10);
        const size_t at = index < 0 ? found->len - (size_t)-index : (size_t)index;
        const char *const reason = at < found->len ? mismatch(expected->items[i], found->items[at]) : "is not there";
        if (reason) return within(print("[%s]", place), reason);
    }
    return NULL;
}

static const char *matcher_mismatch(const char *word, const value *operand, const value *matcher, const value *found) {
    if (!strcmp(word, "close")) return not_close(operand, found, as_f64(given(matcher, "tolerance"), 1e-4));
    if (!strcmp(word, "exactly")) return not_equal(operand, found, 1);
    if (!strcmp(word, "contains")) return lacks(operand, found);
    if (!strcmp(word, "not")) return mismatch(operand, found) ? NULL : print("%s is not wanted", shown(found));
    if (!strcmp(word, "at")) return some_item(operand, found);
    if (!strcmp(word, "length")) {
        const size_t len = found->kind == NONE ? 0 : found->len;
        return within("length", mismatch(operand, of_unsigned(len)));
    }
    if (!strcmp(word, "argmax")) return within("argmax", mismatch(operand, of_unsigned(largest(found))));
    if (!strcmp(word, "begins")) {
        return found->kind == TEXT && found->len >= operand->len && !memcmp(found->data, operand->data, operand->len) ? NULL : print("%s does not begin with %s", shown(found), shown(operand));
    }
    if (!strcmp(word, "at_least") || !strcmp(word, "at_most")) {
        const int fits = found->kind == NUMBER && (word[3] == 'l' ? found->number >= operand->number : found->number <= operand->number);
        return fits ? NULL : print("%s is not %s %s", shown(found), word, shown(operand));
    }
    if (!strcmp(word, "one_of")) {
        for (size_t i = 0; i < operand->len; ++i) {
            if (!mismatch(operand->items[i], found)) return NULL;
        }
        return print("%s is none of %s", shown(found), shown(operand));
    }
    if (!strcmp(word, "every")) {
        for (size_t i = 0; i < found->len; ++i) {
            const char *const reason = mismatch(operand, found->items[i]);
            if (reason) return within(print("[%zu]", i), reason);
        }
        return NULL;
    }
    return "";
}

const char *mismatch(const value *expected, const value *found) {
    if (expected->kind == MAP && expected->len) {
        int matchers = 0;
        for (size_t i = 0; i < expected->len; ++i) {
            const char *const word = expected->keys[i]->data;
            if (!strcmp(word, "tolerance")) continue;
            const char *const reason = matcher_mismatch(word, expected->items[i], expected, found);
            if (reason && !*reason) break; /* no matcher: fields */
            if (reason) return reason;
            ++matchers;
        }
        if (matchers) return NULL;
    }
    return not_equal(expected, found, 0);
}
