package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	mullama "github.com/mullama/mullama/bindings/go"
)

// threads is the number of the system's threads that Go has started.
func threads() int {
	return pprof.Lookup("threadcreate").Count()
}

// waitsInNext is the number of goroutines in Stream.Next, or in what stands on it.
func waitsInNext() int {
	stacks := make([]byte, 64<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "(*Lookout).Await(")
}

func TestAThousandOpenStreamsShareOneThread(t *testing.T) {
	const streams = 1000
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxQueued(2*streams), mullama.WithMaxBuffered(2))
	// It fills its buffer and keeps the slot.
	first := request(t, engine, "completions", endless)
	if _, status, err := first.Next(background); status != mullama.StatusItem || err != nil {
		t.Fatal(status, err)
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	before := threads()
	var group sync.WaitGroup
	for range streams {
		group.Add(1)
		go func() {
			defer group.Done()
			stream, err := engine.Request(ctx, "completions", mullama.WithBody(`{"prompt": "of", "max_tokens": 1, "temperature": 0}`))
			if err != nil {
				t.Error(err)
				return
			}
			defer stream.Close()
			if event, status, err := stream.Next(ctx); status != mullama.StatusItem || err != nil {
				t.Errorf("%s, %v, %v", event.Data, status, err)
			}
		}()
	}
	until(t, "all streams to wait", func() bool { return waitsInNext() == streams })
	if added, few := threads()-before, 2*runtime.GOMAXPROCS(0)+16; added > few {
		t.Errorf("%d streams took %d threads", streams, added)
	}
	first.Cancel()
	first.Close()
	group.Wait()
}

func TestThirtyTwoRequestsAtOnce(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(8))
	texts := make([][2]string, 32) // whole and in pieces
	var group sync.WaitGroup
	for i := range texts {
		for j := range 2 {
			group.Add(1)
			go func() {
				defer group.Done()
				body := map[string]any{"prompt": []int{1, 300 + i}, "max_tokens": 20, "ignore_eos": true, "temperature": 0, "stream": j == 1}
				stream, err := engine.Request(background, "completions", mullama.WithBody(body))
				if err != nil {
					t.Error(err)
					return
				}
				defer stream.Close()
				for event, err := range stream.All(background) {
					if err != nil {
						t.Error(err)
						return
					}
					var answer mullama.CompletionAnswer
					if err := json.Unmarshal(event.Data, &answer); err != nil {
						t.Error(err)
					}
					texts[i][j] += answer.Text()
				}
			}()
		}
	}
	group.Wait()
	different := map[string]bool{}
	for i, text := range texts {
		if text[0] == "" || text[0] != text[1] {
			t.Errorf("request %d: %q whole, %q in pieces", i, text[0], text[1])
		}
		different[text[0]] = true
	}
	if len(different) < 2 {
		t.Error("all answers are the same")
	}
}

func TestAContextCancelsAStream(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	running := request(t, engine, "completions", endless)
	defer running.Close()
	for name, use := range map[string]func(context.Context, *mullama.Stream) error{
		"Next": func(ctx context.Context, stream *mullama.Stream) error {
			_, _, err := stream.Next(ctx)
			return err
		},
		"All": func(ctx context.Context, stream *mullama.Stream) error {
			var last error
			for _, err := range stream.All(ctx) {
				last = err
			}
			return last
		},
	} { // queued behind what keeps the slot
		stream := request(t, engine, "completions", endless)
		ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
		if err := use(ctx, stream); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, mullama.ErrCancelled) {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := stream.Info(); info.State != mullama.StreamStateCancelled || err != nil {
			t.Errorf("%s: %v, %v", name, info.State, err)
		}
		cancel()
		stream.Close()
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	n := 0
	var last error
	for _, err := range running.All(ctx) {
		if last = err; err != nil {
			break
		}
		if n++; n == 3 {
			cancel()
			until(t, "the request to be cancelled", func() bool {
				info, err := running.Info()
				return err == nil && info.State == mullama.StreamStateCancelled
			})
		}
	}
	if !errors.Is(last, context.Canceled) || !errors.Is(last, mullama.ErrCancelled) || n != 3 {
		t.Errorf("%v after %d events", last, n)
	}
	if _, err := engine.Request(ctx, "props"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	until(t, "the slot to be free", isIdle(engine))
}

func TestLeavingALoopLeavesTheRestOfARawStream(t *testing.T) {
	engine := open(t, tiny("llama"))
	stream := request(t, engine, "completions", endless)
	defer stream.Close()
	n := 0
	for _, err := range stream.All(background) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	for _, err := range stream.All(background) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n < 150 {
		t.Errorf("%d events", n)
	}
}

func TestWaitingForAStreamMayHaveALimit(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	first, second := request(t, engine, "completions", endless), request(t, engine, "completions", endless)
	third := request(t, engine, "completions", endless)
	defer first.Close()
	defer second.Close()
	defer third.Close()
	var group sync.WaitGroup
	for _, stream := range []*mullama.Stream{second, third} { // one is on duty, the other is not
		group.Add(1)
		go func() {
			defer group.Done()
			start := time.Now()
			_, status, err := stream.Next(background, mullama.WithTimeout(50*time.Millisecond))
			if status != mullama.StatusWaiting || err != nil || time.Since(start) < 50*time.Millisecond {
				t.Errorf("%v, %v after %v", status, err, time.Since(start))
			}
		}()
	}
	group.Wait()
	if _, status, err := second.Next(background, mullama.WithTimeout(0)); status != mullama.StatusWaiting || err != nil {
		t.Errorf("%v, %v", status, err)
	}
}

func TestOneGoroutineReadsAStream(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	first, second := request(t, engine, "completions", endless), request(t, engine, "completions", endless)
	defer first.Close()
	ended := make(chan error)
	go func() {
		_, _, err := second.Next(background)
		ended <- err
	}()
	until(t, "the other goroutine", func() bool { return waitsInNext() == 1 })
	if _, _, err := second.Next(background); !errors.Is(err, mullama.ErrBusy) || !strings.Contains(err.Error(), "this stream") {
		t.Error(err)
	}
	second.Close()
	if err := <-ended; err != nil && !errors.Is(err, mullama.ErrClosed) {
		t.Error(err)
	}
}

// TestClosingStreamsEndsTheirWaits closes streams in which goroutines wait, also the one that waits in C for all.
func TestClosingStreamsEndsTheirWaits(t *testing.T) {
	engine := open(t, tiny("llama"), mullama.WithNSlots(1), mullama.WithMaxBuffered(2))
	first := request(t, engine, "completions", endless)
	defer first.Close()
	const n = 20
	streams := make([]*mullama.Stream, n)
	errs := make(chan error)
	for i := range streams {
		streams[i] = request(t, engine, "completions", endless)
		go func() {
			var last error
			for _, err := range streams[i].All(background) {
				last = err
			}
			errs <- last
		}()
	}
	until(t, "all to wait", func() bool { return waitsInNext() == n })
	for _, stream := range streams {
		stream.Close()
		if err := <-errs; err != nil && !errors.Is(err, mullama.ErrClosed) { // nil: it was just being looked at
			t.Error(err)
		}
	}
}

func TestClosingTheEngineEndsItsStreams(t *testing.T) {
	for n := range 20 {
		engine := open(t, tiny("llama"), mullama.WithNSlots(2))
		statuses := make(chan error, 8)
		for range cap(statuses) {
			stream := request(t, engine, "completions", endless)
			go func() {
				for {
					_, status, err := stream.Next(background)
					if err != nil || status == mullama.StatusCancelled {
						statuses <- err
						return
					}
					if status != mullama.StatusItem {
						statuses <- fmt.Errorf("the status is %v", status)
						return
					}
				}
			}()
		}
		time.Sleep(time.Duration(n) * time.Millisecond / 2)
		engine.Close()
		for range cap(statuses) {
			if err := <-statuses; err != nil {
				t.Error(err)
			}
		}
		if _, err := engine.Request(background, "props"); !errors.Is(err, mullama.ErrClosed) {
			t.Error(err)
		}
	}
}

func TestForgottenStreamsAndEnginesAreFreed(t *testing.T) {
	if !settles(0) {
		t.Fatal("something is left over")
	}
	func() {
		engine, err := mullama.OpenEngine(background, tiny("llama"), mullama.WithNCtx(256), mullama.WithNThreads(1))
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			stream := request(t, engine, "completions", endless)
			if _, status, err := stream.Next(background); status != mullama.StatusItem || err != nil {
				t.Error(status, err)
			}
		}
	}()
	if !settles(0) {
		t.Errorf("%d objects are left over", mullama.LiveObjects())
	}
}
