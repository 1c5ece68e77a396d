package conformance

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	mullama "github.com/mullama/mullama/bindings/go"
)

const everything = "*"

// A testCase is one line of cases.jsonl.
type testCase struct {
	Case  string
	Gap   string
	Steps []map[string]any
}

// read gives the cases of a file in $MULLAMA_TEST_CASES.
func read(name string) ([]testCase, error) {
	file, err := os.Open(filepath.Join(os.Getenv("MULLAMA_TEST_CASES"), name))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var cases []testCase
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<28)
	for lines.Scan() {
		var one testCase
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, err
		}
		cases = append(cases, one)
	}
	return cases, lines.Err()
}

// run is what one case needs while it runs.
type run struct {
	bindings map[string]any
	opened   []io.Closer
}

// runCase gives "" if the case passes, otherwise what is wrong, and in which step.
func runCase(one testCase) (reason string) {
	before := mullama.LiveObjects()
	reason = runSteps(one.Steps)
	if left := liveObjects(before) - before; reason == "" && left > 0 {
		return fmt.Sprintf("%d objects are left over", left)
	}
	return reason
}

func runSteps(steps []map[string]any) (reason string) {
	r := &run{bindings: map[string]any{}}
	number := 0
	defer func() {
		if panicked := recover(); panicked != nil {
			reason = fmt.Sprintf("step %d: %v", number, panicked)
		}
		for i := len(r.opened) - 1; i >= 0; i-- {
			r.opened[i].Close()
		}
	}()
	for i, step := range steps {
		number = i + 1
		if reason := r.step(withBytes(step).(map[string]any)); reason != "" {
			return fmt.Sprintf("step %d %v: %s", number, step["call"], reason)
		}
	}
	return ""
}

func (r *run) step(step map[string]any) string {
	if path, ok := step["truncate_file"].(string); ok {
		if err := os.Truncate(path, int64(step["length"].(float64))); err != nil {
			return err.Error()
		}
		return ""
	}
	if check, ok := step["check"]; ok {
		return mismatch(r.resolve(step["expect"]), r.resolve(check))
	}
	given, _ := step["args"].(map[string]any)
	r.bindCalls(given)
	given, _ = r.resolve(given).(map[string]any)
	on := r.resolve(step["on"])
	expect, isExpected := step["expect"]
	expect = r.resolve(expect)
	call := calls[step["call"].(string)]
	if wait, ok := step["timeout_ms"]; ok {
		given = map[string]any{"timeout_ms": wait}
	}

	found, status, err := r.call(call, on, given, step)
	if err != nil {
		return failed(step, err)
	}
	if name, ok := step["as"].(string); ok {
		r.bindings[name] = found
	}
	if _, ok := step["error"]; ok {
		return "succeeded with " + shown(found) + ", an error was expected"
	}
	if wanted, ok := step["status"]; ok && wanted != status {
		return "the status is " + status
	}
	if isExpected {
		return mismatch(expect, found)
	}
	return ""
}

// call makes a call, or as many as it takes to collect the items of a stream.
func (r *run) call(call func(any, arguments) (any, error), on any, given arguments, step map[string]any) (any, string, error) {
	field, ok := step["collect"].(string)
	if !ok {
		found, err := call(on, given)
		if errors.Is(err, errWaiting) {
			return nil, "waiting", nil
		}
		if opened, ok := found.(io.Closer); ok && err == nil {
			r.opened = append(r.opened, opened)
		}
		if found == nil {
			return nil, "end", err
		}
		return plain(found), "item", err
	}
	limit, ok := step["limit"].(float64)
	if !ok {
		limit = 1e6
	}
	items := []any{}
	for float64(len(items)) < limit {
		found, err := call(on, given)
		if errors.Is(err, errWaiting) {
			return items, "waiting", nil
		}
		if err != nil {
			return nil, "", err
		}
		if found == nil {
			return items, "end", nil
		}
		one := plain(found)
		if field != everything {
			one = one.(map[string]any)[field]
		}
		items = append(items, one)
	}
	return items, "item", nil
}

func failed(step map[string]any, err error) string {
	var failure *mullama.Error
	if !errors.As(err, &failure) {
		return err.Error()
	}
	name := failure.Code.String()
	if wanted, ok := step["error"]; !ok || wanted != name {
		return fmt.Sprintf("%s instead of %v: %v", name, step["error"], err)
	}
	if parts, ok := step["message"]; ok {
		return lacks(parts, failure.Message)
	}
	return ""
}

// bindCalls makes the lists that callbacks write to, before the call.
func (r *run) bindCalls(given map[string]any) {
	for _, one := range given {
		if callback, ok := one.(map[string]any); ok && callback["answers"] != nil {
			list := &[]any{}
			callback["calls"] = list
			if name, ok := callback["as"].(string); ok {
				r.bindings[name] = list
			}
		}
	}
}

// resolve replaces every reference by what is bound, or a part of it.
func (r *run) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = r.resolve(one)
		}
		return list
	case map[string]any:
		if _, ok := v["answers"]; ok {
			return v
		}
		if name, ok := v["ref"].(string); ok {
			return r.follow(name, v)
		}
		found := map[string]any{}
		for key, one := range v {
			found[key] = r.resolve(one)
		}
		return found
	}
	return v
}

func (r *run) follow(name string, reference map[string]any) any {
	found := r.bindings[name]
	if list, ok := found.(*[]any); ok {
		found = *list
	}
	path, _ := reference["path"].([]any)
	for _, part := range path {
		if field, ok := part.(string); ok {
			fields, _ := found.(map[string]any)
			found = fields[field]
			continue
		}
		list, i := found.([]any), int(part.(float64))
		if i < 0 {
			i += len(list)
		}
		found = list[i]
	}
	if cut, ok := reference["cut"].(float64); ok {
		if data, isBytes := found.([]byte); isBytes {
			found = data[:min(int(cut), len(data))]
		} else if list, isList := found.([]any); isList {
			found = list[:min(int(cut), len(list))]
		} else {
			found = found.(string)[:int(cut)]
		}
	}
	if flip, ok := reference["flip"].(float64); ok {
		data := append([]byte{}, found.([]byte)...)
		data[int(flip)] ^= 1
		found = data
	}
	return found
}

// withBytes puts bytes in place of {"hex": ...}.
func withBytes(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = withBytes(one)
		}
		return list
	case map[string]any:
		if digits, ok := v["hex"].(string); ok && len(v) == 1 {
			data, err := hex.DecodeString(digits)
			if err != nil {
				panic(err)
			}
			return data
		}
		found := map[string]any{}
		for key, one := range v {
			found[key] = withBytes(one)
		}
		return found
	}
	return v
}
