package threads

import (
	"context"
	"runtime"
)

var turns = make(chan struct{}, runtime.GOMAXPROCS(0))

// Turn lets as many goroutines compute in C at once as there are processors: more would only be more threads. The
// function that it gives ends the turn; the error is that of ctx.
func Turn(ctx context.Context) (end func(), err error) {
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
