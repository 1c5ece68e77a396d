package conformance

import (
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

type matcher func(operand, found any) string

// matchers are the words of an object that says what a result must be like.
var matchers map[string]matcher

func init() {
	matchers = map[string]matcher{
		"exactly":  func(expected, found any) string { return unequal(expected, found, true) },
		"contains": lacks,
		"not": func(expected, found any) string {
			if mismatch(expected, found) == "" {
				return shown(found) + " is not wanted"
			}
			return ""
		},
		"at":     at,
		"length": length,
		"argmax": argmax,
		"begins": func(start, found any) string {
			text, ok := found.(string)
			return unless(ok && strings.HasPrefix(text, start.(string)), "%s does not begin with %q", shown(found), start)
		},
		"at_least": func(limit, found any) string {
			n, ok := found.(float64)
			return unless(ok && n >= limit.(float64), "%s is not at least %v", shown(found), limit)
		},
		"at_most": func(limit, found any) string {
			n, ok := found.(float64)
			return unless(ok && n <= limit.(float64), "%s is not at most %v", shown(found), limit)
		},
		"one_of": func(choices, found any) string {
			for _, choice := range choices.([]any) {
				if mismatch(choice, found) == "" {
					return ""
				}
			}
			return shown(found) + " is none of " + shown(choices)
		},
		"every": func(expected, found any) string {
			for i, one := range found.([]any) {
				if reason := mismatch(expected, one); reason != "" {
					return fmt.Sprintf("[%d]: %s", i, reason)
				}
			}
			return ""
		},
	}
}

// mismatch is empty if a result is as expected, otherwise it says where and how it differs.
func mismatch(expected, found any) string {
	words, ok := expected.(map[string]any)
	if !ok || !areMatchers(words) {
		return unequal(expected, found, false)
	}
	for word, operand := range words {
		reason := ""
		switch word {
		case "tolerance":
		case "close":
			tolerance, ok := words["tolerance"].(float64)
			if !ok {
				tolerance = 1e-4
			}
			reason = notClose(operand, found, tolerance)
		default:
			reason = matchers[word](operand, found)
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

func areMatchers(words map[string]any) bool {
	for word := range words {
		if _, ok := matchers[word]; !ok && word != "close" && word != "tolerance" {
			return false
		}
	}
	return len(words) > 0
}

// special gives a number that JSON cannot write, or one that it can.
func special(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		if v == "inf" || v == "-inf" || v == "nan" {
			n, err := strconv.ParseFloat(v, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func unequal(expected, found any, exactly bool) string {
	if n, ok := found.(float64); ok {
		wanted, ok := special(expected)
		return unless(ok && (wanted == n || math.IsNaN(wanted) && math.IsNaN(n)), "%v is not %s", n, shown(expected))
	}
	compare := mismatch
	if exactly {
		compare = func(one, other any) string { return unequal(one, other, true) }
	}
	switch found := found.(type) {
	case []any:
		wanted, ok := expected.([]any)
		if !ok || len(wanted) != len(found) {
			return fmt.Sprintf("%s (%d items) is not %s", shown(found), len(found), shown(expected))
		}
		for i, one := range wanted {
			if reason := compare(one, found[i]); reason != "" {
				return fmt.Sprintf("[%d]: %s", i, reason)
			}
		}
		return ""
	case map[string]any:
		wanted, ok := expected.(map[string]any)
		if !ok {
			return shown(found) + " is not " + shown(expected)
		}
		if exactly && !reflect.DeepEqual(keys(wanted), keys(found)) {
			return fmt.Sprintf("the keys are %v, not %v", keys(found), keys(wanted))
		}
		for key, one := range wanted {
			if reason := compare(one, found[key]); reason != "" {
				return key + ": " + reason
			}
		}
		return ""
	}
	return unless(reflect.DeepEqual(expected, found), "%s is not %s", shown(found), shown(expected))
}

func notClose(expected, found any, tolerance float64) string {
	if wanted, ok := expected.([]any); ok {
		list, ok := found.([]any)
		if !ok || len(list) != len(wanted) {
			return shown(found) + " is not near " + shown(expected)
		}
		for i, one := range wanted {
			if reason := notClose(one, list[i], tolerance); reason != "" {
				return fmt.Sprintf("[%d]: %s", i, reason)
			}
		}
		return ""
	}
	wanted, isWanted := special(expected)
	n, isNumber := found.(float64)
	if !isWanted || !isNumber {
		return shown(found) + " is no number near " + shown(expected)
	}
	if math.IsInf(wanted, 0) || math.IsNaN(wanted) || math.IsInf(n, 0) || math.IsNaN(n) {
		return unequal(expected, found, false)
	}
	return unless(math.Abs(wanted-n) <= tolerance, "%v is not within %v of %v", n, tolerance, wanted)
}

func lacks(parts, found any) string {
	list, ok := parts.([]any)
	if !ok {
		list = []any{parts}
	}
	for _, part := range list {
		has := false
		switch found := found.(type) {
		case []any:
			for _, one := range found {
				has = has || mismatch(part, one) == ""
			}
		case string:
			text, ok := part.(string)
			has = ok && strings.Contains(found, text)
		}
		if !has {
			return shown(found) + " does not contain " + shown(part)
		}
	}
	return ""
}

func length(expected, found any) string {
	n := 0
	if found != nil {
		n = reflect.ValueOf(found).Len()
	}
	if reason := mismatch(expected, float64(n)); reason != "" {
		return "length: " + reason
	}
	return ""
}

func at(expected, found any) string {
	list := found.([]any)
	for place, one := range expected.(map[string]any) {
		i, err := strconv.Atoi(place)
		if i < 0 {
			i += len(list)
		}
		if err != nil || i < 0 || i >= len(list) {
			return "[" + place + "] is not there"
		}
		if reason := mismatch(one, list[i]); reason != "" {
			return "[" + place + "]: " + reason
		}
	}
	return ""
}

func argmax(expected, found any) string {
	list, best := found.([]any), 0
	for i, one := range list {
		if one.(float64) > list[best].(float64) {
			best = i
		}
	}
	if reason := mismatch(expected, float64(best)); reason != "" {
		return "argmax: " + reason
	}
	return ""
}

func unless(fits bool, format string, words ...any) string {
	if fits {
		return ""
	}
	return fmt.Sprintf(format, words...)
}

func keys(of map[string]any) []string {
	found := make([]string, 0, len(of))
	for key := range of {
		found = append(found, key)
	}
	sort.Strings(found)
	return found
}

func shown(v any) string {
	text := fmt.Sprintf("%#v", v)
	if len(text) > 400 {
		text = text[:397] + "..."
	}
	return text
}
