package mullama

import (
	"context"
	"encoding/json"
	"iter"
	"sync"
	"weak"
)

// Of gives the address of a value, for the numbers and bools of requests that may be left out.
func Of[T any](value T) *T {
	return &value
}

// AnswerStream is the answer to a request while it comes: [AnswerStream.Pieces] to range over, and the whole of it from
// [AnswerStream.Answer].
//
// It serves one goroutine at a time; of two calls at the same time the second one fails at once with [ErrBusy]. Read it
// to its end or close it: what is neither holds a slot of its engine until the garbage collector finds it.
type AnswerStream[Piece, Answer any] struct {
	ctx    context.Context
	rounds rounds[Answer] // nil where no functions are called

	mu      sync.Mutex
	reading bool
	closed  bool
	over    bool
	err     error
	answer  *Answer
	stream  *Stream // nil while functions are called, and at the end
	unwatch func() bool
}

// rounds are the requests behind the first one.
type rounds[Answer any] interface {
	// next gives the stream of the next request; nil where the answer needs none, and is complete now.
	next(answer *Answer) (*Stream, error)
	// soFar gives the calls up to now. Any goroutine may ask.
	soFar() []ToolRun
	// reachedMaxRounds says whether the round is the last one that is allowed. Any goroutine may ask.
	reachedMaxRounds() bool
}

// Pieces gives the pieces that are still to come, to range over. An error is the last thing it gives, also when the
// context of the request is over. Leaving the loop early cancels the request.
func (s *AnswerStream[Piece, Answer]) Pieces() iter.Seq2[*Piece, error] {
	return func(yield func(*Piece, error) bool) {
		left := true // also by a panic
		defer func() {
			if left {
				s.Close()
			}
		}()
		for {
			piece, err := s.next()
			if piece == nil {
				if left = false; err != nil {
					yield(nil, err)
				}
				return
			}
			if !yield(piece, nil) {
				return
			}
		}
	}
}

// Answer gives the whole answer. It waits for it, and drops the pieces that are still to come. If the request failed or
// was cancelled, also by leaving a loop over the pieces, the error says so.
func (s *AnswerStream[Piece, Answer]) Answer() (*Answer, error) {
	for {
		piece, err := s.next()
		if err != nil {
			return nil, err
		}
		if piece == nil {
			return s.answer, nil
		}
	}
}

// ToolRuns gives the calls of functions so far, in order. Any goroutine may call it at any time.
func (s *AnswerStream[Piece, Answer]) ToolRuns() []ToolRun {
	if s.rounds == nil {
		return nil
	}
	return s.rounds.soFar()
}

// ReachedMaxRounds says whether the last round that [WithMaxRounds] allows has begun: the model cannot call any more,
// and has to answer. Any goroutine may call it at any time.
func (s *AnswerStream[Piece, Answer]) ReachedMaxRounds() bool {
	return s.rounds != nil && s.rounds.reachedMaxRounds()
}

// Close cancels the request if it is not over yet; an answer that is complete stays. It may come from any goroutine,
// and more than once; the error is always nil.
func (s *AnswerStream[Piece, Answer]) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if !s.reading {
		s.free()
	} else if s.stream != nil {
		s.stream.Cancel() // the reader frees it
	}
	return nil
}

// next gives the next piece; nil without an error at the end.
func (s *AnswerStream[Piece, Answer]) next() (piece *Piece, err error) {
	if over, err := s.enter(); over || err != nil {
		return nil, err
	}
	defer func() { s.leave(piece == nil, err) }() // also when a function panics
	for {
		event, status, err := s.stream.next(forever)
		if err = ended(s.ctx, status, err); err != nil {
			return nil, err
		}
		if status != StatusItem {
			return nil, unfinished()
		}
		if !event.Whole {
			return decode[Piece](event)
		}
		answer, err := decode[Answer](event)
		if err != nil {
			return nil, err
		}
		if isLast, err := s.goOn(answer); isLast || err != nil {
			return nil, err
		}
	}
}

func (s *AnswerStream[Piece, Answer]) enter() (over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.reading:
		return false, busy("stream")
	case s.over:
		return true, s.err
	case s.closed:
		return false, unfinished()
	}
	s.reading = true
	return false, nil
}

func (s *AnswerStream[Piece, Answer]) leave(over bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	if over {
		s.over, s.err = true, err
		if err == nil && s.answer == nil {
			s.err = unfinished()
		}
	}
	if s.over || s.closed {
		s.free()
	}
}

// goOn ends a request, and begins the next one if there is one.
func (s *AnswerStream[Piece, Answer]) goOn(answer *Answer) (isLast bool, err error) {
	s.mu.Lock()
	s.free()
	s.mu.Unlock()
	var stream *Stream
	if s.rounds != nil {
		if stream, err = s.rounds.next(answer); err != nil {
			return false, err
		}
	}
	if stream == nil {
		s.answer = answer
		return true, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(stream)
	if s.closed {
		return false, unfinished()
	}
	return false, nil
}

// hold keeps the stream of a request, which its context may cancel at any time, without keeping it alive.
func (s *AnswerStream[Piece, Answer]) hold(stream *Stream) {
	held := weak.Make(stream)
	s.stream = stream
	s.unwatch = context.AfterFunc(s.ctx, func() {
		if stream := held.Value(); stream != nil {
			stream.Cancel()
		}
	})
}

func (s *AnswerStream[Piece, Answer]) free() {
	if s.stream == nil {
		return
	}
	if s.unwatch() {
		s.stream.release()
	} else { // somebody may be cancelling it at this moment
		s.stream.Close()
	}
	s.stream = nil
}

// askFor sends a request and waits for the whole answer.
func askFor[Answer any](ctx context.Context, e *Engine, route string, request any) (*Answer, error) {
	var options []RequestOption
	if request != nil {
		options = append(options, WithBody(request))
	}
	stream, err := e.Request(ctx, route, options...)
	if err != nil {
		return nil, err
	}
	defer stream.release()
	event, status, err := stream.Next(ctx)
	if err != nil {
		return nil, err
	}
	if status != StatusItem {
		return nil, unfinished()
	}
	return decode[Answer](event)
}

// streamFor sends a request whose answer comes in pieces.
func streamFor[Piece, Answer any](
	ctx context.Context, e *Engine, route string, request any,
) (*AnswerStream[Piece, Answer], error) {
	stream, err := openStream(ctx, e, route, request)
	if err != nil {
		return nil, err
	}
	answer := &AnswerStream[Piece, Answer]{ctx: ctx}
	answer.hold(stream)
	return answer, nil
}

// openStream sends a request, and asks for pieces and for the whole answer behind them.
func openStream(ctx context.Context, e *Engine, route string, request any) (*Stream, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, &Error{Code: ErrInvalidArgument, Message: "body: " + err.Error(), cause: err}
	}
	if body = body[:len(body)-1]; len(body) > 1 {
		body = append(body, ',')
	}
	body = append(body, `"stream":true,"stream_options":{"include_answer":true}}`...)
	return e.Request(ctx, route, WithBody(json.RawMessage(body)))
}

// decode makes an object of an event.
func decode[Object any](event StreamEvent) (*Object, error) {
	object := new(Object)
	if err := json.Unmarshal(event.Data, object); err != nil {
		return nil, &Error{Code: ErrInternal, Message: "the answer cannot be read: " + err.Error(), cause: err}
	}
	if keeper, ok := any(object).(interface{ keepRaw(json.RawMessage) }); ok {
		keeper.keepRaw(event.Data)
	}
	return object, nil
}

// unfinished is the error for an answer that was cancelled, by whomever.
func unfinished() error {
	return &Error{Code: ErrCancelled, Message: "the request was cancelled before its answer was complete"}
}
