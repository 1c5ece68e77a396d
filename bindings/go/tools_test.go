package mullama

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

var errNoSum = errors.New("no sum today")

func adder(seen *[]sum) Tool {
	return NewTool("add", "Adds.", func(_ context.Context, args sum) (map[string]int, error) {
		*seen = append(*seen, args)
		if args.A == 13 {
			return nil, errNoSum
		}
		return map[string]int{"sum": args.A + args.B}, nil
	})
}

func greeter() Tool {
	return NewTool("greet", "Greets.", func(context.Context, struct{}) (string, error) { return "hello", nil })
}

// said is an answer with calls: a name and arguments each.
func said(t *testing.T, calls ...[2]string) *ChatAnswer {
	t.Helper()
	var list []ToolCall
	for i, call := range calls {
		list = append(list, ToolCall{ID: string(rune('a' + i)), Type: "function", Function: CalledFunction{call[0], call[1]}})
	}
	data, err := json.Marshal(map[string]any{"choices": []any{map[string]any{
		"message": map[string]any{"role": "assistant", "content": nil, "reasoning_content": "hm", "tool_calls": list},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := decode[ChatAnswer](StreamEvent{Data: data, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func newRounds(t *testing.T, ctx context.Context, request ChatRequest, options ...ToolOption) *toolRounds {
	t.Helper()
	rounds, err := newToolRounds(ctx, request, options)
	if err != nil || rounds == nil {
		t.Fatal(rounds, err)
	}
	return rounds
}

func TestCallsBecomeMessages(t *testing.T) {
	var seen []sum
	own := []Message{{Role: "user", Content: "1+2?"}}
	rounds := newRounds(t, context.Background(), ChatRequest{Messages: own, Tools: []Tool{adder(&seen), greeter()}, ToolChoice: "required"})
	goesOn, err := rounds.call(said(t, [2]string{"add", `{"a": 1, "b": 2}`}, [2]string{"greet", `{}`}, [2]string{"add", `{"a":3,"b":4}`}))
	if !goesOn || err != nil {
		t.Fatal(goesOn, err)
	}
	if want := []sum{{1, 2}, {3, 4}}; !reflect.DeepEqual(seen, want) {
		t.Errorf("%v", seen)
	}
	messages, err := json.Marshal(rounds.request.Messages)
	want := `[{"role":"user","content":"1+2?"},{"role":"assistant","tool_calls":[` +
		`{"id":"a","type":"function","function":{"name":"add","arguments":"{\"a\": 1, \"b\": 2}"}},` +
		`{"id":"b","type":"function","function":{"name":"greet","arguments":"{}"}},` +
		`{"id":"c","type":"function","function":{"name":"add","arguments":"{\"a\":3,\"b\":4}"}}],"reasoning_content":"hm"},` +
		`{"role":"tool","content":"{\"sum\":3}","tool_call_id":"a"},{"role":"tool","content":"hello","tool_call_id":"b"},` +
		`{"role":"tool","content":"{\"sum\":7}","tool_call_id":"c"}]`
	if string(messages) != want || err != nil {
		t.Errorf("%s\nnot %s", messages, want)
	}
	if rounds.request.ToolChoice != "auto" || len(own) != 1 {
		t.Errorf("%v, %v", rounds.request.ToolChoice, own)
	}
	last := said(t)
	if goesOn, err := rounds.call(last); goesOn || err != nil {
		t.Error(goesOn, err)
	}
	runs := []ToolRun{
		{ID: "a", Name: "add", Arguments: `{"a": 1, "b": 2}`, Result: `{"sum":3}`},
		{ID: "b", Name: "greet", Arguments: `{}`, Result: "hello"},
		{ID: "c", Name: "add", Arguments: `{"a":3,"b":4}`, Result: `{"sum":7}`},
	}
	if !reflect.DeepEqual(last.ToolRuns, runs) || !reflect.DeepEqual(rounds.soFar(), runs) {
		t.Errorf("%+v", last.ToolRuns)
	}
}

func TestTheModelIsToldOfErrors(t *testing.T) {
	for name, c := range map[string]struct {
		call [2]string
		want string
	}{
		"an error of the function":     {[2]string{"add", `{"a": 13, "b": 2}`}, "error: no sum today"},
		"an argument that is missing":  {[2]string{"add", `{"a": 1}`}, "error: the arguments of add do not fit: b is missing"},
		"an argument of a wrong type":  {[2]string{"add", `{"a": "1", "b": 2}`}, `error: the arguments of add do not fit: a is "1"; it must be a whole number`},
		"a number that does not fit":   {[2]string{"add", `{"a": 1e300, "b": 2}`}, "error: the arguments of add do not fit: json: cannot unmarshal"},
		"an argument that is unknown":  {[2]string{"add", `{"a": 1, "b": 2, "c": 3}`}, "error: the arguments of add do not fit: c does not exist"},
		"arguments that are not JSON":  {[2]string{"add", `{"a": 1`}, "error: the arguments of add do not fit: they are no JSON: unexpected EOF"},
		"arguments that are no object": {[2]string{"add", `[1, 2]`}, "error: the arguments of add do not fit: the whole is [1,2]; it must be an object"},
		"a function that is unknown":   {[2]string{"multiply", `{}`}, "error: there is no function multiply; there is add, greet"},
	} {
		var seen []sum
		request := ChatRequest{Tools: []Tool{adder(&seen), greeter()}}
		rounds := newRounds(t, context.Background(), request)
		if goesOn, err := rounds.call(said(t, c.call)); !goesOn || err != nil {
			t.Errorf("%s: %v, %v", name, goesOn, err)
		}
		run := rounds.soFar()[0]
		told := rounds.request.Messages[1].Content
		if !strings.HasPrefix(run.Result, c.want) || run.Err == nil || "error: "+run.Err.Error() != run.Result || told != run.Result {
			t.Errorf("%s: %+v, told %v", name, run, told)
		}
		if rounds.request.ToolChoice != nil || !json.Valid([]byte(rounds.request.Messages[0].ToolCalls[0].Function.Arguments)) {
			t.Errorf("%s: %+v", name, rounds.request)
		}
		rounds = newRounds(t, context.Background(), request, WithToolErrors(ToolErrorsReturn))
		if goesOn, err := rounds.call(said(t, c.call)); goesOn || err == nil || !strings.HasPrefix("error: "+err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, goesOn, err)
		}
	}
}

func TestAnErrorOfAFunctionIsReturnedAsItIs(t *testing.T) {
	var seen []sum
	rounds := newRounds(t, context.Background(), ChatRequest{Tools: []Tool{adder(&seen)}}, WithToolErrors(ToolErrorsReturn))
	if _, err := rounds.call(said(t, [2]string{"add", `{"a": 13, "b": 2}`})); err != errNoSum {
		t.Error(err)
	}
}

func TestCallsOfToolsWithoutAFunctionAreTheCallers(t *testing.T) {
	var seen []sum
	plain := Tool{Type: "function", Function: ToolFunction{Name: "search"}}
	rounds := newRounds(t, context.Background(), ChatRequest{Tools: []Tool{adder(&seen), plain}})
	answer := said(t, [2]string{"add", `{"a": 1, "b": 2}`}, [2]string{"search", `{}`})
	if goesOn, err := rounds.call(answer); goesOn || err != nil || len(seen) != 0 || len(answer.ToolRuns) != 0 || len(answer.ToolCalls()) != 2 {
		t.Errorf("%v, %v, %v, %+v", goesOn, err, seen, answer)
	}
	if rounds, err := newToolRounds(context.Background(), ChatRequest{Tools: []Tool{plain}}, nil); rounds != nil || err != nil {
		t.Error(rounds, err)
	}
}

func TestCallsThatWereCutOffAreNotMade(t *testing.T) {
	var seen []sum
	rounds := newRounds(t, context.Background(), ChatRequest{Tools: []Tool{adder(&seen)}})
	answer := said(t, [2]string{"add", `{"a": 1, "b": 2}`})
	answer.Choices[0].FinishReason = "length"
	if goesOn, err := rounds.call(answer); goesOn || err != nil || len(seen) != 0 {
		t.Errorf("%v, %v, %v", goesOn, err, seen)
	}
}

func TestAModelThatCallsAsOftenAsItMayHasToAnswerInTheLastRound(t *testing.T) {
	named := map[string]any{"type": "function", "function": map[string]any{"name": "add"}}
	for _, c := range []struct {
		max     int // 0: not given
		given   any
		sent    []any
		reached bool
	}{
		{3, nil, []any{nil, nil, "none"}, true},
		{3, "auto", []any{"auto", "auto", "none"}, true},
		{3, "required", []any{"required", "auto", "none"}, true},
		{2, "required", []any{"required", "none"}, true},
		{2, named, []any{named, "none"}, true},
		{1, nil, []any{"none"}, true},
		{1, "auto", []any{"none"}, true},
		{1, "none", []any{"none"}, false}, // as the caller wanted it
		{8, "none", []any{"none"}, false},
		{0, "required", []any{"required", "auto", "auto", "auto", "auto", "auto", "auto", "none"}, true},
	} {
		var seen []sum
		var options []ToolOption
		if c.max > 0 {
			options = append(options, WithMaxRounds(c.max))
		}
		rounds := newRounds(t, context.Background(), ChatRequest{Tools: []Tool{adder(&seen)}, ToolChoice: c.given}, options...)
		var sent []any
		var answer *ChatAnswer
		for goesOn := true; goesOn; {
			sent = append(sent, rounds.request.ToolChoice)
			isLast := rounds.request.ToolChoice == "none"
			if reached := rounds.reachedMaxRounds(); reached != (isLast && c.reached) {
				t.Errorf("%+v: %v in round %d", c, reached, len(sent))
			}
			if answer = said(t); !isLast {
				answer = said(t, [2]string{"add", `{"a": 1, "b": 2}`})
			}
			var err error
			if goesOn, err = rounds.call(answer); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(sent, c.sent) || len(seen) != len(sent)-1 || len(answer.ToolRuns) != len(seen) || answer.ReachedMaxRounds != c.reached {
			t.Errorf("%+v: %v, %+v", c, sent, answer)
		}
	}
}

func TestWrongNumbersOfRounds(t *testing.T) {
	var seen []sum
	named := map[string]any{"type": "function", "function": map[string]any{"name": "add"}}
	for _, c := range []struct {
		max    int
		choice any
		want   string
	}{
		{0, nil, "WithMaxRounds is 0"},
		{1, "required", "WithMaxRounds is 1, but the tool choice requires a call"},
		{1, named, "WithMaxRounds is 1, but the tool choice requires a call"},
	} {
		request := ChatRequest{Tools: []Tool{adder(&seen)}, ToolChoice: c.choice}
		_, err := newToolRounds(context.Background(), request, []ToolOption{WithMaxRounds(c.max)})
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	two := 2
	_, err := newToolRounds(context.Background(), ChatRequest{Tools: []Tool{adder(&seen)}, N: &two}, nil)
	if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), "N is 2; where tools are functions it must be 1") {
		t.Error(err)
	}
}

func TestAContextEndsTheRounds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	type key struct{}
	tool := NewTool("stop", "Stops.", func(given context.Context, _ struct{}) (string, error) {
		if given.Value(key{}) != "there" {
			t.Error("another context")
		}
		cancel()
		return "", given.Err()
	})
	rounds := newRounds(t, context.WithValue(ctx, key{}, "there"), ChatRequest{Tools: []Tool{tool}})
	if _, err := rounds.call(said(t, [2]string{"stop", `{}`})); !errors.Is(err, context.Canceled) || !errors.Is(err, ErrCancelled) {
		t.Error(err)
	}
}

func TestFunctionsThatCannotBeTools(t *testing.T) {
	for want, tool := range map[string]Tool{
		"the tool channel: chan int has no JSON schema": NewTool("channel", "", func(context.Context, chan int) (int, error) { return 0, nil }),
		"the tool number: its arguments are int":        NewTool("number", "", func(context.Context, int) (int, error) { return 0, nil }),
	} {
		_, err := newToolRounds(context.Background(), ChatRequest{Tools: []Tool{tool}}, nil)
		if !errors.Is(err, ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	tool := NewTool("channel", "", func(context.Context, map[string]int) (chan int, error) { return nil, nil })
	rounds := newRounds(t, context.Background(), ChatRequest{Tools: []Tool{tool}})
	if _, err := rounds.call(said(t, [2]string{"channel", `{"a": 1}`})); err != nil || !strings.Contains(rounds.soFar()[0].Result, "has no JSON") {
		t.Errorf("%v, %+v", err, rounds.soFar())
	}
}

func TestDefinitionsAreWhatTheLibraryIsTold(t *testing.T) {
	var seen []sum
	data, err := json.Marshal(adder(&seen))
	want := `{"type":"function","function":{"name":"add","description":"Adds.","parameters":{"type":"object","properties":` +
		`{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"],"additionalProperties":false}}}`
	if string(data) != want || err != nil {
		t.Errorf("%s", data)
	}
	format, err := SchemaFormat[sum]()
	if err != nil {
		t.Fatal(err)
	}
	data, err = json.Marshal(format)
	want = `{"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object","properties":{"a":{"type":"integer"},` +
		`"b":{"type":"integer"}},"required":["a","b"],"additionalProperties":false}}}`
	if string(data) != want || err != nil {
		t.Errorf("%s", data)
	}
	if _, err := SchemaFormat[chan int](); !errors.Is(err, ErrInvalidArgument) {
		t.Error(err)
	}
}
