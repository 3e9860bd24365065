package lifecycle

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// queue says which container a worker turns to next. An id is in it at most
// once and with at most one worker at a time; owners take turns, so that one
// with a hundred containers does not keep another's first one waiting.
type queue struct {
	mu      sync.Mutex
	entries map[string]*entry
	owners  []string            // those with something ready, in turn
	ready   map[string][]string // ids of each owner, first come first
	signal  chan struct{}
}

type entry struct {
	owner    string
	working  bool // a worker has it
	again    bool // woken while a worker had it
	queued   bool // in ready
	failures int
	timer    *time.Timer
}

func newQueue() *queue {
	return &queue{entries: map[string]*entry{}, ready: map[string][]string{}, signal: make(chan struct{}, 1)}
}

// wake makes the id ready now, whatever pause it was in.
func (q *queue) wake(id, owner string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entry(id, owner)
	if e.timer != nil {
		e.timer.Stop()
		e.timer = nil
	}
	q.push(id, e)
}

// wakeAfter makes the id ready after a pause, unless something wakes it before.
func (q *queue) wakeAfter(id, owner string, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.delay(id, q.entry(id, owner), pause)
}

func (q *queue) delay(id string, e *entry, pause time.Duration) {
	if e.timer != nil || e.queued {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(pause, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if e.timer == timer {
			e.timer = nil
			q.push(id, e)
		}
	})
	e.timer = timer
}

func (q *queue) entry(id, owner string) *entry {
	e := q.entries[id]
	if e == nil {
		e = &entry{owner: owner}
		q.entries[id] = e
	}
	return e
}

func (q *queue) push(id string, e *entry) {
	switch {
	case e.working:
		e.again = true
		return
	case e.queued:
		return
	}
	e.queued = true
	if len(q.ready[e.owner]) == 0 {
		q.owners = append(q.owners, e.owner)
	}
	q.ready[e.owner] = append(q.ready[e.owner], id)
	q.ring()
}

func (q *queue) ring() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// take waits for the next id and gives it to the caller, who gives it back by
// done. It returns false when ctx ends.
func (q *queue) take(ctx context.Context) (string, bool) {
	for {
		q.mu.Lock()
		if len(q.owners) > 0 {
			owner := q.owners[0]
			q.owners = q.owners[1:]
			ids := q.ready[owner]
			id := ids[0]
			if len(ids) > 1 {
				q.ready[owner] = ids[1:]
				q.owners = append(q.owners, owner) // the end of the line
			} else {
				delete(q.ready, owner)
			}
			e := q.entries[id]
			e.queued, e.working = false, true
			if len(q.owners) > 0 {
				q.ring() // for the next worker
			}
			q.mu.Unlock()
			return id, true
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return "", false
		case <-q.signal:
		}
	}
}

// The pauses between tries of what failed: they double, and each is taken
// between half and whole, so that many do not come back at the same instant.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// done gives the id back. failed says that its step did not succeed and is to be
// tried again after a growing pause; the number of failures in a row is returned.
func (q *queue) done(id string, failed bool) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[id]
	e.working = false
	if failed {
		e.failures++
	} else {
		e.failures = 0
	}
	switch {
	case e.again:
		e.again = false
		q.push(id, e)
	case failed:
		q.delay(id, e, pause(e.failures))
	case e.timer == nil:
		delete(q.entries, id)
	}
	return e.failures
}

// working says whether a worker has the id.
func (q *queue) working(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := q.entries[id]
	return e != nil && e.working
}

// failures is how often the id's steps have failed in a row.
func (q *queue) failures(id string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.entries[id]; e != nil {
		return e.failures
	}
	return 0
}

func pause(failures int) time.Duration {
	p := lastPause
	if failures < 10 {
		p = min(firstPause<<(failures-1), lastPause)
	}
	return p/2 + rand.N(p/2)
}

// kills are the containers of which the engine told that something in them was
// ended for memory, and at which nobody has looked since.
type kills struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (k *kills) add(id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ids == nil {
		k.ids = map[string]bool{}
	}
	k.ids[id] = true
}

func (k *kills) take(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.ids[id]
	delete(k.ids, id)
	return told
}

// hints are the ids that an event named and nobody has looked at yet, each once.
type hints struct {
	mu     sync.Mutex
	order  []string
	known  map[string]bool
	signal chan struct{}
}

func newHints() *hints { return &hints{known: map[string]bool{}, signal: make(chan struct{}, 1)} }

func (h *hints) add(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known[id] {
		h.known[id] = true
		h.order = append(h.order, id)
	}
	h.ring()
}

func (h *hints) ring() {
	select {
	case h.signal <- struct{}{}:
	default:
	}
}

func (h *hints) take(ctx context.Context) (string, bool) {
	for {
		h.mu.Lock()
		if len(h.order) > 0 {
			id := h.order[0]
			h.order = h.order[1:]
			delete(h.known, id)
			if len(h.order) > 0 {
				h.ring()
			}
			h.mu.Unlock()
			return id, true
		}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return "", false
		case <-h.signal:
		}
	}
}
