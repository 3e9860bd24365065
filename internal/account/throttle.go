package account

import (
	"sync"
	"time"

	"github.com/mlride/mlride/internal/fault"
)

const (
	// freeTries is how many failures in a row from one address on one account cost nothing.
	freeTries = 5
	// firstWait doubles with each failure beyond them, up to lastWait.
	firstWait = 2 * time.Second
	lastWait  = 5 * time.Minute
	// memory bounds what is kept; the oldest go first when it is full.
	throttleMemory = 10_000
)

// throttle slows failed sign-ins, by account and address together: a class
// behind one address is unhindered, and an account cannot be locked from outside.
type throttle struct {
	mu    sync.Mutex
	now   func() time.Time
	tries map[[2]string]*tries
}

type tries struct {
	failures int
	until    time.Time
	last     time.Time
}

// check refuses while a wait lasts.
func (t *throttle) check(account, address string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.tries[[2]string{account, address}]; e != nil {
		if wait := e.until.Sub(t.now()); wait > 0 {
			return fault.New(fault.RateLimited, "Too many failed tries. Wait a moment and try again.").After(wait)
		}
	}
	return nil
}

func (t *throttle) failed(account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tries == nil {
		t.tries = map[[2]string]*tries{}
	}
	key := [2]string{account, address}
	e := t.tries[key]
	if e == nil {
		if len(t.tries) >= throttleMemory {
			t.drop()
		}
		e = &tries{}
		t.tries[key] = e
	}
	e.failures++
	e.last = t.now()
	if over := e.failures - freeTries; over >= 0 {
		wait := lastWait
		if over < 8 {
			wait = min(firstWait<<over, lastWait)
		}
		e.until = e.last.Add(wait)
	}
}

func (t *throttle) succeeded(account, address string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tries, [2]string{account, address})
}

// forget drops what is older than the longest wait.
func (t *throttle) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, e := range t.tries {
		if t.now().Sub(e.last) > 2*lastWait {
			delete(t.tries, key)
		}
	}
}

// drop makes room by the oldest entry.
func (t *throttle) drop() {
	var oldest [2]string
	var at time.Time
	for key, e := range t.tries {
		if at.IsZero() || e.last.Before(at) {
			oldest, at = key, e.last
		}
	}
	delete(t.tries, oldest)
}
