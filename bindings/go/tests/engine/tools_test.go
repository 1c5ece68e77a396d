package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	mullama "github.com/mullama/mullama/bindings/go"
)

// lamp has a switch for the model.
type lamp struct {
	states []bool
	err    error
}

type turn struct {
	On bool `json:"on" doc:"Whether it is to shine."`
}

func (l *lamp) tool() mullama.Tool {
	return mullama.NewTool("turn", "Turns the lamp on or off.", func(_ context.Context, args turn) (string, error) {
		l.states = append(l.states, args.On)
		return fmt.Sprintf("the lamp is %v", args.On), l.err
	})
}

// openForTools gives an engine on a tiny model; definitions of tools take room.
func openForTools(t *testing.T) *mullama.Engine {
	t.Helper()
	return open(t, tiny("llama"), mullama.WithNCtx(4096), mullama.WithKVOverrides("llama.context_length=int:4096"))
}

func call(tools ...mullama.Tool) mullama.ChatRequest {
	request := chat("the of")
	request.Tools, request.ToolChoice, request.MaxTokens = tools, "required", mullama.Of(200)
	request.ParallelToolCalls = mullama.Of(false) // the model would go on and on
	return request
}

func TestTheRoundsRunUntilTheModelAnswers(t *testing.T) {
	engine := openForTools(t)
	own := &lamp{}
	answer := must(engine.Chat(background, call(own.tool())))
	if len(own.states) < 1 || len(answer.ToolRuns) != len(own.states) || answer.FinishReason() == "tool_calls" {
		t.Fatalf("%v, %+v", own.states, answer)
	}
	run := answer.ToolRuns[0]
	var args turn
	if err := json.Unmarshal([]byte(run.Arguments), &args); err != nil || args.On != own.states[0] {
		t.Errorf("%v, %+v", err, run)
	}
	if run.Name != "turn" || run.Result != fmt.Sprintf("the lamp is %v", args.On) || run.Err != nil {
		t.Errorf("%+v", run)
	}
}

func TestStreamsCallFunctionsBetweenTheirPieces(t *testing.T) {
	engine := openForTools(t)
	whole := must(engine.Chat(background, call((&lamp{}).tool())))
	own := &lamp{}
	before := mullama.LiveObjects()
	stream := must(engine.ChatStream(background, call(own.tool())))
	var runs []int
	var text strings.Builder
	for piece, err := range stream.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, len(stream.ToolRuns()))
		text.WriteString(piece.Text())
	}
	answer := must(stream.Answer())
	if runs[0] != 0 || runs[len(runs)-1] < 1 || len(own.states) != len(answer.ToolRuns) || len(answer.ToolRuns) != len(stream.ToolRuns()) {
		t.Errorf("%v, %v, %+v", runs, own.states, answer.ToolRuns)
	}
	if answer.Text() != whole.Text() || !strings.HasSuffix(text.String(), answer.Text()) {
		t.Errorf("%q in pieces, %q, %q", text.String(), answer.Text(), whole.Text())
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
}

func TestCallsOfPlainDefinitionsAreTheCallers(t *testing.T) {
	engine := openForTools(t)
	plain := mullama.Tool{Type: "function", Function: mullama.ToolFunction{
		Name: "turn", Parameters: json.RawMessage(`{"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}`),
	}}
	answer := must(engine.Chat(background, call(plain)))
	if answer.FinishReason() != "tool_calls" || len(answer.ToolRuns) != 0 || answer.ToolCalls()[0].Function.Name != "turn" {
		t.Errorf("%+v", answer)
	}
}

func TestTheAnswerOfTheLastRoundSaysSo(t *testing.T) {
	type sure struct {
		Sure bool `json:"sure"`
	}
	engine := openForTools(t)
	own := &lamp{}
	before := mullama.LiveObjects()
	answer := must(engine.Chat(background, call(own.tool()), mullama.WithMaxRounds(2)))
	if !answer.ReachedMaxRounds || len(answer.ToolRuns) != 1 || len(own.states) != 1 || answer.Text() == "" || len(answer.ToolCalls()) != 0 {
		t.Errorf("%+v", answer)
	}
	stream := must(engine.ChatStream(background, call(own.tool()), mullama.WithMaxRounds(2)))
	var seen []bool
	for _, err := range stream.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, stream.ReachedMaxRounds())
	}
	if seen[0] || !seen[len(seen)-1] {
		t.Errorf("%v", seen)
	}
	if whole := must(stream.Answer()); !whole.ReachedMaxRounds || whole.Text() != answer.Text() {
		t.Errorf("%+v", whole)
	}
	if answer := must(engine.Chat(background, call(own.tool()))); answer.ReachedMaxRounds {
		t.Errorf("%+v", answer)
	}
	// The schema holds for the last round, whether there were calls before it or not.
	for n, choice := range map[int]any{2: "required", 1: "auto"} {
		own := &lamp{}
		request := call(own.tool())
		request.ToolChoice, request.ResponseFormat = choice, must(mullama.SchemaFormat[sure]())
		answer := must(must(engine.ChatStream(background, request, mullama.WithMaxRounds(n))).Answer())
		var found map[string]bool
		if err := json.Unmarshal([]byte(answer.Text()), &found); err != nil || len(found) != 1 || !answer.ReachedMaxRounds || len(own.states) != n-1 {
			t.Errorf("%d: %+v, %v", n, answer, err)
		}
	}
	if _, err := engine.ChatStream(background, call(own.tool()), mullama.WithMaxRounds(0)); !errors.Is(err, mullama.ErrInvalidArgument) {
		t.Error(err)
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
}

func TestErrorsOfFunctionsAreToldOrReturned(t *testing.T) {
	engine := openForTools(t)
	broken := &lamp{err: errors.New("the lamp is broken")}
	answer := must(engine.Chat(background, call(broken.tool())))
	if run := answer.ToolRuns[0]; run.Err != broken.err || run.Result != "error: the lamp is broken" {
		t.Errorf("%+v", run)
	}
	before := mullama.LiveObjects()
	if _, err := engine.Chat(background, call(broken.tool()), mullama.WithToolErrors(mullama.ToolErrorsReturn)); err != broken.err {
		t.Error(err)
	}
	stream := must(engine.ChatStream(background, call(broken.tool()), mullama.WithToolErrors(mullama.ToolErrorsReturn)))
	var last error
	for _, err := range stream.Pieces() {
		last = err
	}
	if last != broken.err || len(stream.ToolRuns()) != 1 {
		t.Error(last)
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
}

func TestAPanicOfAFunctionReachesTheReader(t *testing.T) {
	engine := openForTools(t)
	tool := mullama.NewTool("turn", "Turns.", func(context.Context, turn) (string, error) { panic("in the function") })
	before := mullama.LiveObjects()
	stream := must(engine.ChatStream(background, call(tool)))
	func() {
		defer func() {
			if got := recover(); got != "in the function" {
				t.Errorf("recovered %v", got)
			}
		}()
		stream.Answer()
	}()
	if _, err := stream.Answer(); !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
}

func TestClosingAStreamWhileAFunctionRunsSendsNothingMore(t *testing.T) {
	engine := openForTools(t)
	var stream *mullama.ChatStream
	tool := mullama.NewTool("turn", "Turns.", func(context.Context, turn) (string, error) { return "", stream.Close() })
	before := mullama.LiveObjects()
	stream = must(engine.ChatStream(background, call(tool)))
	if _, err := stream.Answer(); !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
	until(t, "the slot to be free", isIdle(engine))
}

func TestAnswersFollowTheSchemaOfAType(t *testing.T) {
	type sure struct {
		Sure bool `json:"sure"`
	}
	engine := openForTools(t)
	own := &lamp{}
	for _, tools := range [][]mullama.Tool{nil, {own.tool()}} {
		request := call(tools...)
		request.ResponseFormat = must(mullama.SchemaFormat[sure]())
		if tools == nil {
			request.ToolChoice = nil
		}
		answer := must(engine.Chat(background, request))
		var found map[string]bool
		if err := json.Unmarshal([]byte(answer.Text()), &found); err != nil || len(found) != 1 {
			t.Errorf("%q, %v", answer.Text(), err)
		}
	}
	if len(own.states) == 0 {
		t.Error("nothing was called")
	}
}
