/* Values as cases write them: read from JSON, given to calls, made from results, compared. One case's live in one arena. */
#ifndef CONFORMANCE_VALUE_H
#define CONFORMANCE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "libmullama.h"

typedef enum kind { NONE, BOOLEAN, NUMBER, TEXT, BYTES, LIST, MAP, HANDLE } kind;

typedef struct value value;
struct value {
    enum kind kind;
    int truth;
    double number;
    int whole; /* a NUMBER without fraction: its absolute value, which a double may not hold */
    int negative;
    uint64_t magnitude;
    char *data; /* of a TEXT or BYTES, with a NUL behind; the keys' texts of a MAP are values too */
    size_t len; /* bytes, or items */
    size_t room;
    value **items;
    value **keys;
    void *pointer; /* of a HANDLE */
    const char *type;
    void (*release)(void *);
    int closed;
};

/* Members of an enum or a flags set; the last has no name. */
typedef struct names {
    const char *name;
    int64_t value;
} names;

/* What a callback was told, and what it shall answer: {"answers": [...]}, the last one again and again. */
typedef struct call_log {
    const value *given;
    size_t count;
} call_log;

/* Memory of the case at hand, zeroed; `forget_values` releases all of it. */
void *take(size_t size);
void forget_values(void);

/* Prints the reason and ends the program: the case or the runner is wrong, not the library. */
void give_up(const char *format, ...);

/* JSON. {"hex": "00ff"} becomes BYTES. */
value *parse_json(const char *text, size_t len);
/* JSON text of a value, with a NUL behind. */
char *write_json(const value *of, size_t *len);

/* Makers */
value *of_none(void);
value *of_bool(int truth);
value *of_signed(int64_t number);
value *of_unsigned(uint64_t number);
value *of_double(double number);
value *of_text(const char *data, size_t len);
value *of_json(const char *data, size_t len);
value *of_bytes(const uint8_t *data, size_t len);
value *of_octets(const uint8_t *data, size_t len);
value *of_ints(const int32_t *data, size_t len);
value *of_floats(const float *data, size_t len);
value *of_texts(const mullama_str *data, size_t len);
value *of_pairs(const mullama_str *data, size_t len);
value *of_enum(int64_t number, const names *members);
value *of_flags(uint64_t bits, const names *members);
value *of_handle(void *pointer, const char *type, void (*release)(void *));
value *of_list(void);
value *of_map(void);
void append(value *list, value *item);
void put(value *map, const char *key, value *item);

/* Readers; what is not given has the fallback. */
const value *given(const value *map, const char *key);
int is_given(const value *one);
const value *text_or(const value *one, const char *fallback);
int32_t given_i32(const value *map, const char *key, int32_t fallback);
void *given_handle(const value *map, const char *key);
int32_t as_i32(const value *one, int64_t fallback);
int64_t as_i64(const value *one, int64_t fallback);
uint32_t as_u32(const value *one, uint64_t fallback);
uint64_t as_u64(const value *one, uint64_t fallback);
size_t as_size(const value *one, uint64_t fallback);
float as_f32(const value *one, double fallback);
double as_f64(const value *one, double fallback);
int32_t as_enum(const value *one, const names *members, int64_t fallback);
uint64_t as_flags(const value *one, const names *members, uint64_t fallback);
void *as_handle(const value *one);
mullama_str as_text(const value *one);
mullama_str as_json_text(const value *one);
const mullama_str *as_texts(const value *one, size_t *len);
const uint8_t *as_octets(const value *one, size_t *len);
const int32_t *as_ints(const value *one, size_t *len);
const float *as_floats(const value *one, size_t *len);

/* Keeps a call of a callback under `as` and gives the answer to it. */
int note_call(void *log, value *call);

/* NULL when a result is what a case expects, otherwise where and how it differs. */
const char *mismatch(const value *expected, const value *found);

#endif
