// Package threads keeps goroutines from holding a thread of the system each: one that is in C holds one.
package threads

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Lookout is where goroutines wait for the streams of one object. One of them waits in C for all of them, and calls
// those whose streams are named there. The zero value is ready.
type Lookout struct {
	mu      sync.Mutex
	waiting map[int32]*Place
	onDuty  *Place // whose goroutine is in C, or looks at its own stream before it goes there again
}

// Place is where the goroutine that reads a stream waits.
type Place struct {
	id     int32
	taken  atomic.Bool
	called chan struct{} // keeps one call
}

// NewPlace makes the place of the stream that C names so.
func NewPlace(id int32) Place {
	return Place{id: id, called: make(chan struct{}, 1)}
}

// Take reserves a place for a goroutine, which then calls Free. False: another one has it.
func (p *Place) Take() bool {
	return p.taken.CompareAndSwap(false, true)
}

// Free ends what Take began.
func (p *Place) Free() {
	p.taken.Store(false)
}

func (p *Place) call() {
	select {
	case p.called <- struct{}{}:
	default:
	}
}

// Names waits in C until streams have something that have had nothing before, and gives their ids; none when the time is
// over, or when it was woken.
type Names func(timeoutMs int32) ([]int32, error)

// Await returns when poll has said that there is something, or when the time is over; negative: no limit. An error of names
// ends the waiting.
func (l *Lookout) Await(place *Place, timeoutMs int32, poll func() bool, names Names) error {
	if poll() || timeoutMs == 0 {
		return nil
	}
	end := time.Now().Add(time.Duration(timeoutMs) * time.Millisecond)
	l.join(place)
	defer l.leave(place)
	for !poll() { // what came before it joined was named to nobody
		if timeoutMs > 0 {
			if timeoutMs = milliseconds(time.Until(end)); timeoutMs == 0 {
				return nil
			}
		}
		if err := l.wait(place, timeoutMs, names); err != nil {
			if poll() {
				return nil
			}
			return err
		}
	}
	return nil
}

func (l *Lookout) wait(place *Place, timeoutMs int32, names Names) error {
	if l.goesOnDuty(place) {
		ids, err := names(timeoutMs)
		l.report(place, ids)
		return err
	}
	var over <-chan time.Time
	if timeoutMs > 0 {
		timer := time.NewTimer(time.Duration(timeoutMs) * time.Millisecond)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-place.called:
	case <-over:
	}
	return nil
}

func (l *Lookout) join(place *Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[int32]*Place{}
	}
	l.waiting[place.id] = place
}

// leave lets another one take over: whoever is called does, or leaves as well. So an error of names reaches all.
func (l *Lookout) leave(place *Place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, place.id)
	if l.onDuty == place {
		l.onDuty = nil
	}
	if l.onDuty != nil {
		return
	}
	for _, other := range l.waiting {
		other.call()
		return
	}
}

// goesOnDuty says whether the goroutine is the one that goes into C. One that was called has something else to do
// first.
func (l *Lookout) goesOnDuty(place *Place) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onDuty == nil && len(place.called) == 0 {
		l.onDuty = place
	}
	return l.onDuty == place && len(place.called) == 0
}

// report calls those whose streams were named.
func (l *Lookout) report(own *Place, ids []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if place, waits := l.waiting[id]; waits && place != own {
			place.call()
		}
	}
}

// Call makes the goroutine at a place, if one waits there, look at its stream: what has changed is not named. Wake
// makes the one that is in C return.
func (l *Lookout) Call(place *Place, wake func()) {
	l.mu.Lock()
	isInC := l.onDuty == place
	place.call()
	l.mu.Unlock()
	if isInC {
		wake()
	}
}

// milliseconds rounds up, so that a short time is waited for at all.
func milliseconds(left time.Duration) int32 {
	return int32(max(0, min((left+time.Millisecond-1)/time.Millisecond, math.MaxInt32)))
}
