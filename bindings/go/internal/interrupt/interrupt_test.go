package interrupt

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestCancelsAgainAndAgainUntilItIsStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var calls atomic.Int32
	enough := make(chan struct{})
	stop := Watch(ctx, func() {
		if calls.Add(1) == 4 { // the call had not begun before
			close(enough)
		}
	})
	if calls.Load() != 0 {
		t.Error("cancelled although ctx is not over")
	}
	cancel()
	select {
	case <-enough:
	case <-time.After(10 * time.Second):
		t.Fatalf("cancelled %d times", calls.Load())
	}
	stop()
	after := calls.Load()
	time.Sleep(2 * lastPause)
	if calls.Load() != after {
		t.Error("cancelled after it was stopped")
	}
}

func TestStoppingWaitsForACancelThatRuns(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var running atomic.Bool
	begun := make(chan struct{}, 1)
	stop := Watch(ctx, func() {
		running.Store(true)
		select {
		case begun <- struct{}{}:
		default:
		}
		time.Sleep(20 * time.Millisecond)
		running.Store(false)
	})
	cancel()
	<-begun
	stop()
	if running.Load() {
		t.Error("what is cancelled may be freed by now")
	}
}

func TestAContextThatNeverEndsIsNotWatched(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Watch(context.Background(), func() {})() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
