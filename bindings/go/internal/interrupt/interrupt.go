// Package interrupt ends calls into C when a [context.Context] is over.
package interrupt

import (
	"context"
	"time"
)

const (
	firstPause = time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// Watch calls cancel when ctx is over, and again and again until the function that it gives is called: the call that is to
// end may not have reached the library yet, where cancelling would find nothing. After that function cancel does not run
// any more.
func Watch(ctx context.Context, cancel func()) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done, left := make(chan struct{}), make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(left)
		for pause := firstPause; ; pause = min(2*pause, lastPause) {
			cancel()
			select {
			case <-done:
				return
			case <-time.After(pause):
			}
		}
	})
	return func() {
		close(done)
		if !unwatch() {
			<-left
		}
	}
}
