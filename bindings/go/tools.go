package mullama

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/mullama/mullama/bindings/go/internal/schema"
)

// ToolRun is a call of a function that the model made, and what came of it.
type ToolRun struct {
	// Names the call.
	ID string
	// The function.
	Name string
	// The arguments as the model wrote them, JSON text.
	Arguments string
	// What the model was told: a text that the function gave, or JSON; for an error "error: " and its message.
	Result string
	// Why there is no result: an unknown name, arguments that do not fit, or what the function gave. Nil for none.
	Err error
}

// ToolErrors says what becomes of the errors of functions that a model calls.
type ToolErrors int

const (
	// The model is told, and the conversation goes on.
	ToolErrorsTell ToolErrors = iota
	// The request fails with the error.
	ToolErrorsReturn
)

const defaultRounds = 8

// ToolOption is an option of [Engine.Chat] and [Engine.ChatStream]: [WithMaxRounds], [WithToolErrors].
type ToolOption func(*toolOptions)

type toolOptions struct {
	maxRounds int
	errors    ToolErrors
}

// WithMaxRounds limits the requests of one chat whose functions are called and whose results are sent until the model
// answers. The last one is sent with the tool choice "none", so that it has to; [ChatAnswer.ReachedMaxRounds] is true
// then. At least 1. Default: 8.
func WithMaxRounds(n int) ToolOption {
	return func(options *toolOptions) { options.maxRounds = n }
}

// WithToolErrors says what becomes of errors of functions, and of calls that fit none. Default: [ToolErrorsTell].
func WithToolErrors(errors ToolErrors) ToolOption {
	return func(options *toolOptions) { options.errors = errors }
}

// toolFunction is what stands behind a tool that [NewTool] made.
type toolFunction struct {
	call    func(ctx context.Context, arguments string) (string, error)
	mistake error // why the function cannot be a tool
}

// NewTool makes a tool of a function, for the tools of a [ChatRequest]: [Engine.Chat] and [Engine.ChatStream] call it
// when the model asks for it. It runs on the goroutine that reads the answer, with the context of the request.
//
// Args is a struct with a field for each argument, or a map from strings. As with encoding/json, the tag `json` names a
// field; it is required unless it is a pointer or has omitempty or omitzero. The tag `doc` tells the model what it is;
// `enum:"one,two"`, `min:"1"` and `max:"10"` say what it may be. What the model writes is checked against all that.
//
// A result that is a string goes to the model as it is, anything else as JSON. If the type of Args has no JSON schema,
// the chat fails with [ErrInvalidArgument].
func NewTool[Args, Result any](
	name, description string, function func(ctx context.Context, args Args) (Result, error),
) Tool {
	tool := Tool{Type: "function", Function: ToolFunction{Name: name, Description: description}}
	parameters, err := schema.Of[Args]()
	if err == nil && parameters.Type != "object" {
		err = fmt.Errorf("its arguments are %T; they must be a struct, or a map from strings", *new(Args))
	}
	if err != nil {
		tool.run.mistake = err
		return tool
	}
	tool.Function.Parameters = parameters
	tool.run.call = func(ctx context.Context, arguments string) (string, error) {
		if err := parameters.Check(arguments); err != nil {
			return "", fmt.Errorf("the arguments of %s do not fit: %w", name, err)
		}
		var args Args
		if err := json.Unmarshal([]byte(arguments), &args); err != nil {
			return "", fmt.Errorf("the arguments of %s do not fit: %w", name, err)
		}
		result, err := function(ctx, args)
		if err != nil {
			return "", err
		}
		if text, ok := any(result).(string); ok {
			return text, nil
		}
		data, err := json.Marshal(result)
		if err != nil {
			return "", fmt.Errorf("the result of %s has no JSON: %w", name, err)
		}
		return string(data), nil
	}
	return tool
}

// toolRounds are the requests of a chat whose functions are called.
type toolRounds struct {
	ctx     context.Context
	options toolOptions
	request ChatRequest
	n       int // requests that were answered
	send    func(ChatRequest) (*Stream, error)

	mu         sync.Mutex
	runs       []ToolRun
	reachedMax bool
}

// newToolRounds gives nil for a request without functions.
func newToolRounds(ctx context.Context, request ChatRequest, options []ToolOption) (*toolRounds, error) {
	given := toolOptions{maxRounds: defaultRounds}
	for _, option := range options {
		option(&given)
	}
	if given.maxRounds < 1 {
		text := fmt.Sprintf("WithMaxRounds is %d; it must be at least 1", given.maxRounds)
		return nil, &Error{Code: ErrInvalidArgument, Message: text}
	}
	hasFunctions := false
	for _, tool := range request.Tools {
		if err := tool.run.mistake; err != nil {
			text := fmt.Sprintf("the tool %s: %v", tool.Function.Name, err)
			return nil, &Error{Code: ErrInvalidArgument, Message: text, cause: err}
		}
		hasFunctions = hasFunctions || tool.run.call != nil
	}
	if !hasFunctions {
		return nil, nil
	}
	if given.maxRounds == 1 && mustCall(request.ToolChoice) {
		text := "WithMaxRounds is 1, but the tool choice requires a call; it must be at least 2: one to call, one to answer"
		return nil, &Error{Code: ErrInvalidArgument, Message: text}
	}
	if request.N != nil && *request.N != 1 {
		text := fmt.Sprintf("N is %d; where tools are functions it must be 1", *request.N)
		return nil, &Error{Code: ErrInvalidArgument, Message: text}
	}
	request.Messages = slices.Clone(request.Messages)
	rounds := &toolRounds{ctx: ctx, options: given, request: request}
	rounds.endCalls()
	return rounds, nil
}

// mustCall says whether the model may not answer before it has called.
func mustCall(choice any) bool {
	word, isWord := choice.(string)
	return word == "required" || (choice != nil && !isWord) // of one function, by name
}

// askWithTools is askFor, in as many rounds as the model calls functions.
func askWithTools(
	ctx context.Context, e *Engine, route string, request ChatRequest, options []ToolOption,
) (*ChatAnswer, error) {
	rounds, err := newToolRounds(ctx, request, options)
	if err != nil {
		return nil, err
	}
	if rounds == nil {
		return askFor[ChatAnswer](ctx, e, route, request)
	}
	for {
		answer, err := askFor[ChatAnswer](ctx, e, route, rounds.request)
		if err != nil {
			return nil, err
		}
		goesOn, err := rounds.call(answer)
		if err != nil {
			return nil, err
		}
		if !goesOn {
			return answer, nil
		}
	}
}

// streamWithTools is streamFor, in as many rounds as the model calls functions.
func streamWithTools(
	ctx context.Context, e *Engine, route string, request ChatRequest, options []ToolOption,
) (*ChatStream, error) {
	rounds, err := newToolRounds(ctx, request, options)
	if err != nil {
		return nil, err
	}
	if rounds == nil {
		return streamFor[ChatPiece, ChatAnswer](ctx, e, route, request)
	}
	stream, err := streamFor[ChatPiece, ChatAnswer](ctx, e, route, rounds.request)
	if err == nil {
		rounds.send = func(request ChatRequest) (*Stream, error) { return openStream(ctx, e, route, request) }
		stream.rounds = rounds
	}
	return stream, err
}

func (r *toolRounds) next(answer *ChatAnswer) (*Stream, error) {
	goesOn, err := r.call(answer)
	if !goesOn || err != nil {
		return nil, err
	}
	return r.send(r.request)
}

func (r *toolRounds) soFar() []ToolRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.runs)
}

func (r *toolRounds) reachedMaxRounds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reachedMax
}

// endCalls makes the model answer in the last round.
func (r *toolRounds) endCalls() {
	choice := r.request.ToolChoice
	if r.n+1 != r.options.maxRounds || (choice != nil && choice != "auto") {
		return
	}
	r.request.ToolChoice = "none"
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reachedMax = true
}

// call makes the calls of an answer, and the request that tells the model of them. False: the answer is the last one.
func (r *toolRounds) call(answer *ChatAnswer) (goesOn bool, err error) {
	r.n++
	calls := answer.ToolCalls()
	isLast := answer.FinishReason() == "length" || r.n == r.options.maxRounds // a call that was cut off is none
	if len(calls) == 0 || isLast || slices.ContainsFunc(calls, r.isForCaller) {
		answer.ToolRuns, answer.ReachedMaxRounds = r.soFar(), r.reachedMaxRounds()
		return false, nil
	}
	said := answer.Choices[0].Message
	message := Message{Role: said.Role, ToolCalls: readable(calls), ReasoningContent: said.ReasoningContent}
	if said.Content != "" {
		message.Content = said.Content
	}
	r.request.Messages = append(r.request.Messages, message)
	for _, call := range calls {
		run := r.run(call)
		if r.ctx.Err() != nil {
			return false, begin(r.ctx)
		}
		if run.Err != nil && r.options.errors == ToolErrorsReturn {
			return false, run.Err
		}
		r.request.Messages = append(r.request.Messages, Message{Role: "tool", ToolCallID: run.ID, Content: run.Result})
	}
	if r.request.ToolChoice != nil && r.request.ToolChoice != "none" {
		r.request.ToolChoice = "auto" // a call that must be made each time would never end
	}
	r.endCalls()
	return true, nil
}

// readable gives calls as templates can read them: with arguments that are JSON.
func readable(calls []ToolCall) []ToolCall {
	calls = slices.Clone(calls)
	for i := range calls {
		if arguments := &calls[i].Function.Arguments; !json.Valid([]byte(*arguments)) {
			*arguments = "{}"
		}
	}
	return calls
}

// isForCaller says whether a call is of a tool without a function.
func (r *toolRounds) isForCaller(call ToolCall) bool {
	return slices.ContainsFunc(r.request.Tools, func(tool Tool) bool {
		return tool.Function.Name == call.Function.Name && tool.run.call == nil
	})
}

func (r *toolRounds) run(call ToolCall) ToolRun {
	run := ToolRun{ID: call.ID, Name: call.Function.Name, Arguments: call.Function.Arguments}
	var names []string
	var function func(context.Context, string) (string, error)
	for _, tool := range r.request.Tools {
		names = append(names, tool.Function.Name)
		if tool.Function.Name == run.Name {
			function = tool.run.call
		}
	}
	if function == nil {
		run.Err = fmt.Errorf("there is no function %s; there is %s", run.Name, strings.Join(names, ", "))
	} else {
		run.Result, run.Err = function(r.ctx, run.Arguments)
	}
	if run.Err != nil {
		run.Result = "error: " + run.Err.Error()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run)
	return run
}

// SchemaFormat makes a response format of a type, as [NewTool] does of arguments: the answer is its JSON, for
// [encoding/json.Unmarshal]. The error is [ErrInvalidArgument] if the type has no JSON schema.
func SchemaFormat[T any]() (*ResponseFormat, error) {
	found, err := schema.Of[T]()
	if err != nil {
		return nil, &Error{Code: ErrInvalidArgument, Message: err.Error(), cause: err}
	}
	return &ResponseFormat{Type: "json_schema", JSONSchema: map[string]any{"name": "answer", "schema": found}}, nil
}
