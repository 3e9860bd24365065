package lifecycle

import "sync"

// keyed is a lock for each id. Looking at the engine and writing what was seen
// happen under it, so that an older look never overwrites a newer one.
type keyed struct {
	mu    sync.Mutex
	locks map[string]*held
}

type held struct {
	sync.Mutex
	waiting int
}

// lock waits for the id's lock and returns what gives it back.
func (k *keyed) lock(id string) (unlock func()) {
	k.mu.Lock()
	if k.locks == nil {
		k.locks = map[string]*held{}
	}
	h := k.locks[id]
	if h == nil {
		h = &held{}
		k.locks[id] = h
	}
	h.waiting++
	k.mu.Unlock()
	h.Lock()
	return func() {
		h.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if h.waiting--; h.waiting == 0 {
			delete(k.locks, id)
		}
	}
}
