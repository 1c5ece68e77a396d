/* Runs conformance cases against the C ABI: `runner CASES.json [FIRST]`. Prints a line of JSON for each case. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "value.h"

#define SENT 1000000 /* items that `collect` takes at most */

static const char *format(const char *first, const char *second, const char *third) {
    const size_t size = strlen(first) + strlen(second) + strlen(third) + 1;
    char *const text = take(size);
    snprintf(text, size, "%s%s%s", first, second, third);
    return text;
}

static const char *json_of(const value *of) {
    return write_json(of, NULL);
}

/* Names bound by `as` */

static const value *bound(const value *bindings, const char *name) {
    for (size_t i = bindings->len; i-- > 0;) {
        if (!strcmp(bindings->keys[i]->data, name)) return bindings->items[i];
    }
    give_up("nothing is bound to %s", name);
    return NULL;
}

/* {"ref": name, "path": [...], "cut": n, "flip": n}: a bound value, or a part of it. */
static value *follow(const value *reference, const value *bindings) {
    const value *one = bound(bindings, given(reference, "ref")->data);
    const value *const path = given(reference, "path");
    for (size_t i = 0; path && i < path->len; ++i) {
        const value *const step = path->items[i];
        const size_t at = step->negative ? one->len - step->magnitude : step->magnitude;
        if (step->kind == NUMBER && at >= one->len) give_up("%s has no item %s", json_of(one), json_of(step));
        one = step->kind == TEXT ? given(one, step->data) : one->items[at];
        if (!one) return of_none();
    }
    const value *const cut = given(reference, "cut"), *const flip = given(reference, "flip");
    if (!cut && !flip) return (value *)one;
    value *const copy = of_none();
    *copy = *one;
    if (cut) copy->len = as_size(cut, 0) < one->len ? as_size(cut, 0) : one->len;
    if (flip) {
        copy->data = take(one->len + 1);
        memcpy(copy->data, one->data, one->len);
        copy->data[as_size(flip, 0)] ^= 1;
    }
    return copy;
}

/* The value with every reference replaced. */
static value *resolve(const value *one, const value *bindings) {
    if (one->kind == MAP && given(one, "ref")) return follow(one, bindings);
    if ((one->kind != LIST && one->kind != MAP) || given(one, "answers")) return (value *)one;
    value *const copy = one->kind == LIST ? of_list() : of_map();
    for (size_t i = 0; i < one->len; ++i) {
        append(copy, resolve(one->items[i], bindings));
        copy->keys[i] = one->keys[i];
    }
    return copy;
}

/* Steps: each gives NULL, or why it failed */

static const char *failure(const value *step, const outcome *outcome) {
    const int32_t code = outcome->error ? mullama_error_code(outcome->error) : MULLAMA_E_CLOSED;
    const char *const name = mullama_error_name(code);
    size_t len = 0;
    const char *const message = outcome->error ? mullama_error_message(outcome->error, &len) : "";
    value *const text = of_text(message, len);
    const value *const expected = given(step, "error"), *const parts = given(step, "message");
    if (!expected) return format(name, ": ", text->data);
    if (strcmp(expected->data, name) != 0) return format(name, " instead of ", format(expected->data, ": ", text->data));
    if (!parts || outcome->closed) return NULL;
    value *const matcher = of_map();
    put(matcher, "contains", (value *)parts);
    return mismatch(matcher, text);
}

static const char *succeeded(const value *step, const value *expect, const outcome *outcome, const value *result) {
    if (given(step, "error")) return format("succeeded with ", json_of(result), ", an error was expected");
    const value *const status = given(step, "status");
    if (status && outcome->status && strcmp(status->data, outcome->status) != 0) return format("the status is ", outcome->status, "");
    return expect ? mismatch(expect, result) : NULL;
}

/* Calls a stream again and again; the items, or one field of each. */
static void collect(const value *step, const caller *caller, value *on, const value *args, outcome *outcome) {
    const value *const field = given(step, "collect");
    const size_t limit = as_size(given(step, "limit"), SENT);
    value *const list = of_list();
    while (list->len < limit) {
        caller->call(on, args, outcome);
        if (outcome->error || strcmp(outcome->status, "item") != 0) break;
        const value *const item = strcmp(field->data, "*") ? given(outcome->result, field->data) : outcome->result;
        append(list, item ? (value *)item : of_none());
    }
    outcome->result = list;
}

static const char *call(const value *step, value *bindings) {
    const caller *caller = NULL;
    const char *const name = given(step, "call")->data;
    for (size_t i = 0; i < n_callers; ++i) {
        if (!strcmp(callers[i].name, name)) caller = &callers[i];
    }
    if (!caller) give_up("no function %s", name);
    const value *const receiver = given(step, "on");
    value *const on = receiver ? (value *)bound(bindings, given(receiver, "ref")->data) : NULL;
    if (*caller->on && (!on || on->kind != HANDLE || strcmp(on->type, caller->on) != 0)) give_up("%s needs a %s", name, caller->on);
    value *args = given(step, "args") ? resolve(given(step, "args"), bindings) : of_map();
    if (given(step, "timeout_ms")) put(args, "timeout_ms", (value *)given(step, "timeout_ms"));
    value *const expect = given(step, "expect") ? resolve(given(step, "expect"), bindings) : NULL;
    outcome outcome = {NULL, 0, NULL, NULL};
    if (given(step, "collect")) {
        collect(step, caller, on, args, &outcome);
    } else {
        caller->call(on, args, &outcome);
    }
    const char *reason;
    if (outcome.error || outcome.closed) {
        /* What came before the error may be a handle, to be released with the case. */
        if (outcome.result && outcome.result->kind == HANDLE) put(bindings, "", outcome.result);
        reason = failure(step, &outcome);
        mullama_error_free(outcome.error);
        return reason;
    }
    reason = succeeded(step, expect, &outcome, outcome.result);
    const value *const as = given(step, "as");
    if (as || outcome.result->kind == HANDLE) put(bindings, as ? as->data : "", outcome.result);
    return reason;
}

/* Lists that callbacks write to exist before the call. */
static void bind_calls(value *args, value *bindings) {
    for (size_t i = 0; i < args->len; ++i) {
        value *const one = args->items[i];
        if (one->kind != MAP || !given(one, "answers") || !given(one, "as")) continue;
        value *const calls = of_list();
        put(bindings, given(one, "as")->data, calls);
        put(one, "calls", calls);
    }
}

static const char *truncate_file(const value *step) {
    const char *const path = given(step, "truncate_file")->data;
    const size_t len = as_size(given(step, "length"), 0);
    char *const data = take(len);
    FILE *file = fopen(path, "rb");
    if (!file || fread(data, 1, len, file) != len) return format("cannot read ", path, "");
    fclose(file);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, len, file) != len) return format("cannot write ", path, "");
    fclose(file);
    return NULL;
}

static const char *run_step(const value *step, value *bindings) {
    if (given(step, "truncate_file")) return truncate_file(step);
    if (given(step, "check")) {
        const value *const found = resolve(given(step, "check"), bindings);
        return mismatch(resolve(given(step, "expect"), bindings), found);
    }
    if (given(step, "args")) bind_calls((value *)given(step, "args"), bindings);
    return call(step, bindings);
}

static const char *run_case(const value *one) {
    const value *const steps = given(one, "steps");
    value *const bindings = of_map();
    const int64_t before = mullama_live_objects();
    const char *reason = NULL;
    for (size_t i = 0; i < steps->len && !reason; ++i) {
        reason = run_step(steps->items[i], bindings);
        if (reason) {
            const value *const name = given(steps->items[i], "call");
            char number[32];
            snprintf(number, sizeof number, "step %zu", i + 1);
            reason = format(format(number, " ", name ? name->data : ""), ": ", reason);
        }
    }
    for (size_t i = bindings->len; i-- > 0;) {
        value *const bound_value = bindings->items[i];
        int again = 0; /* one object may be bound twice */
        for (size_t j = i; j-- > 0;) again |= bindings->items[j] == bound_value;
        if (bound_value->kind == HANDLE && !again) bound_value->release(bound_value->pointer);
    }
    const int64_t left = mullama_live_objects() - before;
    if (!reason && left) return "objects are left over";
    return reason;
}

static char *read_file(const char *path, size_t *len) {
    FILE *const file = fopen(path, "rb");
    if (!file) give_up("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *len = (size_t)ftell(file);
    rewind(file);
    char *const data = malloc(*len + 1);
    if (!data || fread(data, 1, *len, file) != *len) give_up("cannot read %s", path);
    fclose(file);
    return data;
}

/* A case a line, so that each is read into an arena of its own. */
int main(int argc, char **argv) {
    if (argc < 2) give_up("usage: %s CASES [FIRST]", argv[0]);
    size_t len = 0;
    char *const text = read_file(argv[1], &len);
    const long first = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    long index = 0;
    for (char *line = text, *end; (end = memchr(line, '\n', (size_t)(text + len - line))); line = end + 1, ++index) {
        if (index < first) continue;
        const value *const one = parse_json(line, (size_t)(end - line));
        const char *const reason = run_case(one);
        value *const report = of_map();
        put(report, "case", (value *)given(one, "case"));
        put(report, "language", of_text("c", 1));
        put(report, "result", of_text(reason ? "fail" : "pass", 4));
        if (reason) put(report, "message", of_text(reason, strlen(reason)));
        puts(json_of(report));
        fflush(stdout);
        forget_values();
    }
    free(text);
    return 0;
}
