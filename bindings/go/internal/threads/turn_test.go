package threads

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAsManyComputeAsThereAreProcessors(t *testing.T) {
	var inside, most atomic.Int32
	var group sync.WaitGroup
	for range 200 {
		group.Add(1)
		go func() {
			defer group.Done()
			end, err := Turn(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer end()
			most.Store(max(most.Load(), inside.Add(1)))
			runtime.Gosched()
			inside.Add(-1)
		}()
	}
	group.Wait()
	if n := most.Load(); n < 1 || int(n) > cap(turns) {
		t.Errorf("%d at once", n)
	}
}

func TestWaitingForATurnEndsWithItsContext(t *testing.T) {
	for range cap(turns) {
		end, err := Turn(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer end()
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Turn(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
