package threads

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errClosed = errors.New("closed")

// source is what the library is to a lookout: streams that get events, and a queue of the names of those that have some.
type source struct {
	mu      sync.Mutex
	changed *sync.Cond
	events  map[int32]int
	named   map[int32]bool
	ready   []int32
	woken   bool
	closed  bool
	inside  int
	most    int // goroutines that were in names at once
}

func newSource() *source {
	s := &source{events: map[int32]int{}, named: map[int32]bool{}}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *source) give(id int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[id]++
	if !s.named[id] {
		s.named[id] = true
		s.ready = append(s.ready, id)
		s.changed.Broadcast()
	}
}

// poll takes an event; a stream that has none is named again.
func (s *source) poll(id int32) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed {
			return true
		}
		if s.events[id] == 0 {
			s.named[id] = false
			return false
		}
		s.events[id]--
		return true
	}
}

func (s *source) names(timeoutMs int32) ([]int32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside++
	s.most = max(s.most, s.inside)
	defer func() { s.inside-- }()
	over := false
	if timeoutMs >= 0 {
		timer := time.AfterFunc(time.Duration(timeoutMs)*time.Millisecond, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			over = true
			s.changed.Broadcast()
		})
		defer timer.Stop()
	}
	for len(s.ready) == 0 && !s.woken && !s.closed && !over {
		s.changed.Wait()
	}
	if s.closed {
		return nil, errClosed
	}
	ids := s.ready
	s.ready, s.woken = nil, false
	return ids, nil
}

func (s *source) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = true
	s.changed.Broadcast()
}

func (s *source) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// waits says how many goroutines wait, and whether one of them is in the source.
func waits(l *Lookout, s *source) (n int, isWatched bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(l.waiting), s.inside > 0
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func TestOneGoroutineWaitsForAll(t *testing.T) {
	const streams, events = 200, 50
	var lookout Lookout
	source := newSource()
	var group sync.WaitGroup
	for id := range int32(streams) {
		group.Add(1)
		go func() {
			defer group.Done()
			place := NewPlace(id)
			for range events {
				if err := lookout.Await(&place, -1, source.poll(id), source.names); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	until(t, func() bool { n, isWatched := waits(&lookout, source); return n == streams && isWatched })
	for range events {
		for id := range int32(streams) {
			source.give(id)
		}
	}
	group.Wait()
	if source.most != 1 {
		t.Errorf("%d goroutines were in the source at once", source.most)
	}
	if n, isWatched := waits(&lookout, source); n != 0 || isWatched || lookout.onDuty != nil {
		t.Errorf("%d wait still", n)
	}
}

// TestTheOneOnDutyStaysWhileOthersGetWhatTheyWaitFor has nothing for the one that waits in the source.
func TestTheOneOnDutyStaysWhileOthersGetWhatTheyWaitFor(t *testing.T) {
	var lookout Lookout
	source := newSource()
	onDuty := make(chan error)
	go func() {
		place := NewPlace(0)
		onDuty <- lookout.Await(&place, -1, source.poll(0), source.names)
	}()
	until(t, func() bool { _, isWatched := waits(&lookout, source); return isWatched })
	others := make(chan error)
	for id := range int32(2) {
		go func() {
			place := NewPlace(id + 1)
			others <- lookout.Await(&place, []int32{-1, 20}[id], source.poll(id+1), source.names)
		}()
	}
	if err := <-others; err != nil { // its time is over
		t.Error(err)
	}
	until(t, func() bool { n, _ := waits(&lookout, source); return n == 2 })
	source.give(1)
	if err := <-others; err != nil {
		t.Error(err)
	}
	source.give(0)
	if err := <-onDuty; err != nil || source.most != 1 {
		t.Error(err, source.most)
	}
}

func TestTheTimeMayBeOverForTheOneOnDutyAndForOthers(t *testing.T) {
	var lookout Lookout
	source := newSource()
	var group sync.WaitGroup
	for id := range int32(3) {
		group.Add(1)
		go func() {
			defer group.Done()
			place := NewPlace(id)
			calls := 0
			poll := func() bool { calls++; return source.poll(id)() }
			if err := lookout.Await(&place, 30, poll, source.names); err != nil || calls < 3 {
				t.Errorf("%v after %d polls", err, calls)
			}
		}()
	}
	group.Wait()
	place := NewPlace(9)
	never := func(int32) ([]int32, error) { panic("it waited") }
	if err := lookout.Await(&place, 0, source.poll(9), never); err != nil {
		t.Error(err)
	}
}

func TestAClosedStreamIsLookedAtAtOnce(t *testing.T) {
	var lookout Lookout
	source := newSource()
	const streams = 5
	places := make([]Place, streams)
	var closed [streams]atomic.Bool
	var group sync.WaitGroup
	for id := range int32(streams) {
		places[id] = NewPlace(id)
		group.Add(1)
		go func() {
			defer group.Done()
			if err := lookout.Await(&places[id], -1, closed[id].Load, source.names); err != nil {
				t.Error(err)
			}
		}()
	}
	until(t, func() bool { n, isWatched := waits(&lookout, source); return n == streams && isWatched })
	for range streams { // whoever is on duty is closed first, and another one takes over
		lookout.mu.Lock()
		id := lookout.onDuty.id
		lookout.mu.Unlock()
		closed[id].Store(true)
		lookout.Call(&places[id], source.wake)
		until(t, func() bool {
			lookout.mu.Lock()
			defer lookout.mu.Unlock()
			return lookout.waiting[id] == nil && (len(lookout.waiting) == 0 || lookout.onDuty != nil)
		})
	}
	group.Wait()
	if source.most != 1 {
		t.Errorf("%d goroutines were in the source at once", source.most)
	}
}

func TestAnErrorEndsEveryWait(t *testing.T) {
	var lookout Lookout
	source := newSource()
	failed := errors.New("failed")
	begun := make(chan struct{}, 4)
	release := make(chan struct{})
	names := func(int32) ([]int32, error) { begun <- struct{}{}; <-release; return nil, failed }
	errs := make(chan error, 4)
	for id := range int32(4) {
		go func() {
			place := NewPlace(id)
			errs <- lookout.Await(&place, -1, source.poll(id), names)
		}()
	}
	until(t, func() bool { lookout.mu.Lock(); defer lookout.mu.Unlock(); return len(lookout.waiting) == 4 })
	<-begun
	close(release)
	for range 4 {
		if err := <-errs; err != failed {
			t.Error(err)
		}
	}
	source.close() // what has ended is something, not an error
	place := NewPlace(5)
	if err := lookout.Await(&place, -1, source.poll(5), source.names); err != nil {
		t.Error(err)
	}
}

func TestAPlaceIsForOneGoroutine(t *testing.T) {
	place := NewPlace(1)
	if !place.Take() || place.Take() {
		t.Error("both have it")
	}
	place.Free()
	if !place.Take() {
		t.Error("nobody has it")
	}
}
