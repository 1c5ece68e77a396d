package engine

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	mullama "github.com/mullama/mullama/bindings/go"
)

// long asks for something that is not over before a test is.
func long() mullama.CompletionRequest {
	return mullama.CompletionRequest{
		Prompt: "the of and", MaxTokens: mullama.Of(200), IgnoreEOS: mullama.Of(true), Temperature: mullama.Of(0.0),
	}
}

func chat(text string) mullama.ChatRequest {
	return mullama.ChatRequest{
		Messages:    []mullama.Message{{Role: "user", Content: text}},
		Temperature: mullama.Of(0.0),
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestAnImageIsAsManyTokensAsItsProjectorHasPatches(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithProjector(tiny("sees")))
	about := func(parts ...mullama.ContentPart) (*mullama.ChatAnswer, error) {
		request := chat("")
		request.MaxTokens = mullama.Of(2)
		request.Messages[0].Content = append([]mullama.ContentPart{{Type: "text", Text: "how many "}}, parts...)
		return engine.Chat(background, request)
	}
	image := func(data string) mullama.ContentPart {
		return mullama.ContentPart{Type: "image_url", ImageURL: map[string]string{"url": "data:image/png;base64," + data}}
	}
	picture := "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAP0lEQVR42gE0AMv/ACXrjEj/icuFT8CQ" +
		"gQDMR+38hhmyFP5lktQAi/zqnJ2OMkTX1+nxAPfeYFaN6YkHPz0WOewnG5m0+sZvAAAAAElFTkSuQmCC"
	without, with := must(about()), must(about(image(picture)))
	if n := with.Usage.PromptTokens - without.Usage.PromptTokens; n != 16 {
		t.Errorf("the image has %d tokens", n)
	}
	_, err := about(image("AAAA"))
	if !errors.Is(err, mullama.ErrMediaInvalid) {
		t.Errorf("%v", err)
	}
}

func TestAChatIsAnswered(t *testing.T) {
	engine := open(t, tiny("llama"))
	request := chat("how many")
	request.MaxTokens, request.IgnoreEOS, request.N, request.Logprobs = mullama.Of(5), mullama.Of(true), mullama.Of(2), mullama.Of(true)
	before := mullama.LiveObjects()
	answer := must(engine.Chat(background, request))
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
	if answer.Object != "chat.completion" || len(answer.Choices) != 2 || answer.Text() == "" || answer.FinishReason() != "length" {
		t.Errorf("%+v", answer)
	}
	if answer.Text() != answer.Choices[0].Message.Content || answer.Choices[1].Message.Role != "assistant" || answer.ToolCalls() != nil {
		t.Errorf("%+v", answer.Choices)
	}
	usage := answer.Usage
	if usage.CompletionTokens != 10 || usage.TotalTokens != usage.PromptTokens+10 || usage.CachedTokens() < 0 {
		t.Errorf("%+v", usage)
	}
	if probabilities := answer.Choices[0].Logprobs; probabilities == nil || len(probabilities.Content) != 5 || probabilities.Content[0].Logprob > 0 {
		t.Errorf("%+v", probabilities)
	}
	var raw struct {
		Timings struct {
			PredictedN int `json:"predicted_n"`
		}
	}
	if err := json.Unmarshal(answer.Raw, &raw); err != nil || raw.Timings.PredictedN != answer.Timings.PredictedN {
		t.Errorf("%s", answer.Raw)
	}
}

func TestPiecesJoinedAreTheAnswer(t *testing.T) {
	engine := open(t, tiny("llama"))
	request := chat("how many")
	request.MaxTokens, request.IgnoreEOS = mullama.Of(20), mullama.Of(true)
	whole := must(engine.Chat(background, request))
	before := mullama.LiveObjects()
	stream := must(engine.ChatStream(background, request))
	var text strings.Builder
	n := 0
	for piece, err := range stream.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Object != "chat.completion.chunk" || len(piece.Raw) == 0 {
			t.Errorf("%+v", piece)
		}
		text.WriteString(piece.Text())
		n++
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
	for range 2 {
		answer := must(stream.Answer())
		if text.String() != whole.Text() || answer.Text() != whole.Text() || answer.Usage.TotalTokens != whole.Usage.TotalTokens || n < 10 {
			t.Errorf("%q in %d pieces, %q, %q", text.String(), n, answer.Text(), whole.Text())
		}
		stream.Close()
	}
	for range stream.Pieces() {
		t.Error("a piece behind the end")
	}
}

func TestTheAnswerOfAStreamCanBeAskedForFirst(t *testing.T) {
	engine := open(t, tiny("llama"))
	stream := must(engine.CompleteStream(background, long()))
	n := 0
	for _, err := range stream.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break // cancels
		}
	}
	if _, err := stream.Answer(); !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	whole := must(engine.Complete(background, long()))
	answer := must(must(engine.CompleteStream(background, long())).Answer())
	if answer.Text() != whole.Text() || answer.Usage.CompletionTokens != 200 || answer.FinishReason() != "length" {
		t.Errorf("%q, not %q", answer.Text(), whole.Text())
	}
}

func TestLeavingALoopCancelsAndFrees(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	before := mullama.LiveObjects()
	for piece, err := range must(engine.CompleteStream(background, long())).Pieces() {
		if err != nil || len(piece.Choices) != 1 {
			t.Fatalf("%+v, %v", piece, err)
		}
		break
	}
	func() {
		defer func() {
			if recover() != "in the loop" {
				t.Error("no panic")
			}
		}()
		for range must(engine.CompleteStream(background, long())).Pieces() {
			panic("in the loop")
		}
	}()
	stream := must(engine.CompleteStream(background, long()))
	stream.Close()
	stream.Close()
	for _, err := range stream.Pieces() {
		if !errors.Is(err, mullama.ErrCancelled) {
			t.Error(err)
		}
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
	until(t, "the slot to be free", isIdle(engine))
}

// TestAContextOfAStreamFreesItsSlotAtOnce cancels while nobody reads.
func TestAContextOfAStreamFreesItsSlotAtOnce(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	reason := errors.New("the user left")
	ctx, cancel := context.WithCancelCause(background)
	defer cancel(nil)
	stream := must(engine.CompleteStream(ctx, long()))
	n := 0
	var last error
	for _, err := range stream.Pieces() {
		if last = err; err != nil {
			break
		}
		if n++; n == 3 {
			cancel(reason)
			until(t, "the slot to be free", isIdle(engine))
		}
	}
	if !errors.Is(last, context.Canceled) || !errors.Is(last, reason) || !errors.Is(last, mullama.ErrCancelled) || n != 3 {
		t.Errorf("%v after %d pieces", last, n)
	}
	if _, err := stream.Answer(); err != last {
		t.Error(err)
	}
	if _, err := engine.Complete(ctx, long()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := engine.CompleteStream(ctx, long()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCloseEndsAReadOfAnotherGoroutine(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	first := must(engine.CompleteStream(background, long())) // keeps the slot
	defer first.Close()
	before := mullama.LiveObjects()
	second := must(engine.CompleteStream(background, long()))
	errs := make(chan error)
	go func() {
		_, err := second.Answer()
		errs <- err
	}()
	until(t, "the other goroutine", func() bool { return waitsInNext() == 1 })
	if _, err := second.Answer(); !errors.Is(err, mullama.ErrBusy) {
		t.Error(err)
	}
	for _, err := range second.Pieces() {
		if !errors.Is(err, mullama.ErrBusy) {
			t.Error(err)
		}
	}
	if waitsInNext() != 1 {
		t.Error("a second reader has ended the first one's request")
	}
	second.Close()
	if err := <-errs; !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	if left := mullama.LiveObjects() - before; left > 0 {
		t.Errorf("%d objects are left over", left)
	}
}

func TestAForgottenAnswerStreamIsFreed(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	before := mullama.LiveObjects()
	must(engine.CompleteStream(ctx, long()))
	if !settles(before) {
		t.Errorf("%d objects are left over", mullama.LiveObjects()-before)
	}
	until(t, "the slot to be free", isIdle(engine))
}

func TestAnswersOfTheOtherRoutes(t *testing.T) {
	engine := open(t, tiny("llama"))
	tokens := must(engine.Tokenize(background, mullama.TokenizeRequest{Content: "the of"})).Tokens
	if text := must(engine.Detokenize(background, mullama.DetokenizeRequest{Tokens: tokens})).Content; strings.TrimSpace(text) != "the of" || len(tokens) < 2 {
		t.Errorf("%v is %q", tokens, text)
	}
	template := must(engine.ApplyTemplate(background, chat("the")))
	if !strings.Contains(template.Prompt, "the") || len(template.Tokens) == 0 {
		t.Errorf("%+v", template)
	}
	if props := must(engine.Props(background)); props.Mode != "generate" || props.NCtx != 256 || props.TotalSlots != 2 {
		t.Errorf("%+v", props)
	}
	message := mullama.AnthropicRequest{
		Messages:  []mullama.AnthropicMessage{{Role: "user", Content: "how many"}},
		MaxTokens: mullama.Of(5), IgnoreEOS: mullama.Of(true), Temperature: mullama.Of(0.0),
	}
	answer := must(engine.Message(background, message))
	if answer.StopReason != "max_tokens" || len(answer.Content) == 0 || answer.Usage.OutputTokens != 5 {
		t.Errorf("%+v", answer)
	}
	if count := must(engine.CountTokens(background, message)).InputTokens; count != answer.Usage.InputTokens+answer.Usage.CacheReadInputTokens {
		t.Errorf("%d tokens, %+v", count, answer.Usage)
	}
	var text strings.Builder
	stream := must(engine.MessageStream(background, message))
	for event, err := range stream.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == "content_block_delta" {
			text.WriteString(event.Delta["text"].(string))
		}
	}
	if whole := must(stream.Answer()); text.String() != whole.Content[0].Text || whole.Content[0].Text != answer.Content[0].Text {
		t.Errorf("%q, %+v, %+v", text.String(), whole.Content, answer.Content)
	}
	question := mullama.ResponseRequest{Input: "how many", MaxOutputTokens: mullama.Of(5), IgnoreEOS: mullama.Of(true), Temperature: mullama.Of(0.0)}
	response := must(engine.Respond(background, question))
	if response.Status == "" || len(response.Output) == 0 || response.Output[0].Content[0].Text == "" || response.Usage.OutputTokens != 5 {
		t.Errorf("%+v", response)
	}
	text.Reset()
	events := must(engine.RespondStream(background, question))
	for event, err := range events.Pieces() {
		if err != nil {
			t.Fatal(err)
		}
		if event.Type == "response.output_text.delta" {
			text.WriteString(event.Delta)
		}
	}
	if whole := must(events.Answer()); text.String() != whole.Output[0].Content[0].Text || whole.Output[0].Content[0].Text != response.Output[0].Content[0].Text {
		t.Errorf("%q, %+v, %+v", text.String(), whole.Output, response.Output)
	}
	if metrics := must(engine.Metrics(background)); metrics.TokensPredictedTotal < 20 || metrics.PromptTokensTotal < 1 {
		t.Errorf("%+v", metrics)
	}
}

func TestTextsAreEmbedded(t *testing.T) {
	engine := open(t, tiny("bert"), mullama.WithMode(mullama.EngineModeEmbed))
	answer := must(engine.Embed(background, mullama.EmbeddingRequest{Input: []string{"the of", "and"}}))
	if len(answer.Data) != 2 || answer.Data[1].Index != 1 || len(answer.First()) < 8 || answer.Usage.PromptTokens < 3 {
		t.Fatalf("%+v", answer)
	}
	length := 0.0
	for _, value := range answer.First() {
		length += value * value
	}
	if math.Abs(length-1) > 1e-3 {
		t.Errorf("the vector's length is %v", math.Sqrt(length))
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	engine := open(t, tiny("llama"))
	wrong := chat("the")
	wrong.TopP = mullama.Of(2.0)
	_, err := engine.Chat(background, wrong)
	if !errors.Is(err, mullama.ErrInvalidArgument) || !strings.Contains(err.Error(), "top_p") {
		t.Error(err)
	}
	if _, err := engine.ChatStream(background, wrong); !errors.Is(err, mullama.ErrInvalidArgument) || !strings.Contains(err.Error(), "top_p") {
		t.Error(err)
	}
	wrong = chat("the")
	wrong.LogitBias = func() {}
	if _, err := engine.Chat(background, wrong); !errors.Is(err, mullama.ErrInvalidArgument) || !strings.Contains(err.Error(), "func()") {
		t.Error(err)
	}
	if _, err := engine.ChatStream(background, wrong); !errors.Is(err, mullama.ErrInvalidArgument) || !strings.Contains(err.Error(), "func()") {
		t.Error(err)
	}
	if _, err := engine.Chat(background, mullama.ChatRequest{}); !errors.Is(err, mullama.ErrInvalidArgument) || !strings.Contains(err.Error(), "messages") {
		t.Error(err)
	}
	if _, err := engine.Embed(background, mullama.EmbeddingRequest{Input: "the"}); !errors.Is(err, mullama.ErrUnsupported) {
		t.Error(err)
	}
	late := long()
	late.DeadlineMs = mullama.Of(1)
	if _, err := engine.Complete(background, late); !errors.Is(err, mullama.ErrDeadline) {
		t.Error(err)
	}
	if _, err := must(engine.CompleteStream(background, late)).Answer(); !errors.Is(err, mullama.ErrDeadline) {
		t.Error(err)
	}
}

func TestClosingTheEngineEndsAnswers(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	stream := must(engine.CompleteStream(background, long()))
	engine.Close()
	if _, err := stream.Answer(); !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	if _, err := engine.Complete(background, long()); !errors.Is(err, mullama.ErrClosed) {
		t.Error(err)
	}
}

func TestThirtyTwoChatsAtOnceOnARealModel(t *testing.T) {
	if testing.Short() {
		t.Skip("the real model takes its time")
	}
	engine := open(t, os.Getenv("MULLAMA_TEST_MODEL"), mullama.WithNSlots(8))
	var group sync.WaitGroup
	for i := range 32 {
		group.Add(1)
		go func() {
			defer group.Done()
			request := chat("Say hello.")
			request.MaxTokens, request.IgnoreEOS = mullama.Of(4), mullama.Of(true)
			var answer *mullama.ChatAnswer
			var err error
			var text strings.Builder
			if i%2 == 0 {
				answer, err = engine.Chat(background, request)
			} else if stream, failed := engine.ChatStream(background, request); failed != nil {
				err = failed
			} else {
				for piece, failed := range stream.Pieces() {
					if failed == nil {
						text.WriteString(piece.Text())
					}
				}
				answer, err = stream.Answer()
			}
			if err != nil || answer.Usage.CompletionTokens != 4 || i%2 == 1 && answer.Text() != text.String() {
				t.Errorf("%+v, %q, %v", answer, text.String(), err)
			}
		}()
	}
	group.Wait()
}
