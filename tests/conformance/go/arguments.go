// Package conformance runs the conformance cases through the Go binding; see tests/conformance/README.md.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"runtime"
	"strings"
	"time"

	mullama "github.com/mullama/mullama/bindings/go"
)

var ctx = context.Background()

// errWaiting stands for the status of a stream whose time is over.
var errWaiting = errors.New("waiting")

// arguments are those of one call, by their names in the description.
type arguments map[string]any

// with calls use for an argument that is given.
func (a arguments) with(name string, use func(v any)) {
	if v, ok := a[name]; ok && v != nil {
		use(v)
	}
}

// inner gives the fields of options.
func (a arguments) inner(name string) arguments {
	fields, _ := a[name].(map[string]any)
	return fields
}

// From a case's values to those of Go

func boolean(v any) bool {
	return v.(bool)
}

// text is a string; bytes are a text that may not be UTF-8.
func text(v any) string {
	if data, ok := v.([]byte); ok {
		return string(data)
	}
	s, _ := v.(string)
	return s
}

func texts(v any) []string {
	list, _ := v.([]any)
	found := make([]string, len(list))
	for i, one := range list {
		found[i] = text(one)
	}
	return found
}

// document is what a JSON parameter gets: any value, or a text that is passed on as it is.
func document(v any) any {
	if data, ok := v.([]byte); ok {
		return json.RawMessage(data)
	}
	return v
}

func octets(v any) []byte {
	return v.([]byte)
}

type numeric interface {
	byte | int32 | int64 | uint32 | uint64 | uint | float32 | float64
}

// number is a number, or one of the three that JSON cannot write.
func number[T numeric](v any) T {
	switch v {
	case "inf":
		return T(math.Inf(1))
	case "-inf":
		return T(math.Inf(-1))
	case "nan":
		return T(math.NaN())
	}
	found := T(v.(float64))
	if float64(found) != v.(float64) && reflect.TypeFor[T]().Kind() != reflect.Float32 {
		panic(fmt.Sprintf("%v is no %T", v, found))
	}
	return found
}

func numbers[T numeric](v any) []T {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	found := make([]T, len(list))
	for i, one := range list {
		found[i] = number[T](one)
	}
	return found
}

// choice is a member of an enum by its name, or any number.
func choice[T interface {
	~int32
	fmt.Stringer
}](v any, members []T) T {
	if value, ok := v.(float64); ok {
		return T(value)
	}
	for _, member := range members {
		if member.String() == v {
			return member
		}
	}
	panic(fmt.Sprintf("no member %v", v))
}

// flags are a list of names, or any number.
func flags[T interface {
	~uint64
	fmt.Stringer
}](v any, members []T) T {
	if value, ok := v.(float64); ok {
		return T(value)
	}
	var found T
	for _, name := range v.([]any) {
		for _, member := range members {
			if member.String() == name {
				found |= member
			}
		}
	}
	return found
}

// answer notes a call of a callback, and gives the answers in turn, the last one again and again.
func answer(v any, call map[string]any) bool {
	given := v.(map[string]any)
	calls := given["calls"].(*[]any)
	*calls = append(*calls, call)
	answers := given["answers"].([]any)
	return answers[min(len(*calls), len(answers))-1].(bool)
}

func timeout(given arguments) []mullama.WaitOption {
	v, ok := given["timeout_ms"].(float64)
	if !ok || v < 0 {
		return nil
	}
	return []mullama.WaitOption{mullama.WithTimeout(time.Duration(v) * time.Millisecond)}
}

// From Go's results to those of a case

func value(v any) any {
	return v
}

func checked(v any, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

func maybe(v any, ok bool, err error) (any, error) {
	if err != nil || !ok {
		return nil, err
	}
	return v, nil
}

func done(err error) (any, error) {
	return nil, err
}

func item(v any, status mullama.Status, err error) (any, error) {
	switch {
	case err != nil:
		return nil, err
	case status == mullama.StatusWaiting:
		return nil, errWaiting
	case status == mullama.StatusItem:
		return v, nil
	}
	return nil, nil
}

func pieces(stream iter.Seq2[string, error]) (any, error) {
	found := []string{}
	for piece, err := range stream {
		if err != nil {
			return nil, err
		}
		found = append(found, piece)
	}
	return found, nil
}

// liveObjects counts what is left when the garbage collector has freed what nobody has; it waits until that is few enough.
func liveObjects(few int64) int64 {
	for range 1000 {
		if mullama.LiveObjects() <= few {
			break
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	return mullama.LiveObjects()
}

// plain gives a result as cases write it; handles stay what they are.
func plain(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case json.RawMessage:
		if v == nil {
			return nil
		}
		var found any
		if err := json.Unmarshal(v, &found); err != nil {
			panic(err)
		}
		return found
	case []byte:
		return v
	}
	of := reflect.ValueOf(v)
	if name, ok := v.(fmt.Stringer); ok {
		switch of.Kind() {
		case reflect.Int32:
			if strings.HasSuffix(name.String(), ")") { // unknown
				return float64(of.Int())
			}
			return name.String()
		case reflect.Uint64:
			names := []any{}
			for one := range strings.SplitSeq(name.String(), "|") {
				if one != "0x0" {
					names = append(names, one)
				}
			}
			return names
		}
	}
	switch of.Kind() {
	case reflect.Int32, reflect.Int64:
		return float64(of.Int())
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		return float64(of.Uint())
	case reflect.Float32, reflect.Float64:
		return of.Float()
	case reflect.Slice:
		list := make([]any, of.Len())
		for i := range list {
			list[i] = plain(of.Index(i).Interface())
		}
		return list
	case reflect.Map:
		found := map[string]any{}
		for key, one := range of.Seq2() {
			found[key.String()] = plain(one.Interface())
		}
		return found
	case reflect.Struct:
		found := map[string]any{}
		for i, name := range fields[of.Type().Name()] {
			found[name] = plain(of.Field(i).Interface())
		}
		return found
	case reflect.Pointer:
		if of.Elem().Kind() == reflect.Struct {
			return v
		}
		if of.IsNil() {
			return nil
		}
		return plain(of.Elem().Interface())
	}
	return v
}
