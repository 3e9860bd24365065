package live

import (
	"context"
	"sync"
)

// Kind is what a change tells of.
type Kind string

// What changes tell of.
const (
	Container Kind = "container"
	Image     Kind = "image"
	Usage     Kind = "usage"
	Session   Kind = "session"
	User      Kind = "user"
	Audit     Kind = "audit"
)

// Op is what happened.
type Op int

// What can happen.
const (
	Created Op = iota + 1
	Updated
	Removed
)

// Change says that something about an object is new. It carries no content:
// a subscriber reads again and sees what it may see.
type Change struct {
	Kind Kind
	ID   string
	// Owner is whose it is, empty when nobody's.
	Owner string
	// Public says that everybody who is signed in sees it.
	Public bool
	// Also are further people who see it or did until now.
	Also []string
	Op   Op
}

type changeKey struct {
	kind Kind
	id   string
}

// Feed carries changes, published after commit. Changes of one object that a
// subscriber has not read yet are folded into one, so that a slow subscriber
// holds at most one entry for each object and never misses the last state. The
// zero Feed is ready.
type Feed struct {
	mu          sync.Mutex
	subscribers map[*Subscription]struct{}
}

// Subscription is one subscriber's place in a feed.
type Subscription struct {
	mu      sync.Mutex
	wants   func(Change) bool
	order   []changeKey
	pending map[changeKey]Change
	ready   chan struct{}
}

// Subscribe begins a subscription to the changes that wants lets through. It
// ends with ctx. wants is called while publishing: it must be quick and must
// not block.
func (f *Feed) Subscribe(ctx context.Context, wants func(Change) bool) *Subscription {
	s := &Subscription{wants: wants, pending: map[changeKey]Change{}, ready: make(chan struct{}, 1)}
	f.mu.Lock()
	if f.subscribers == nil {
		f.subscribers = map[*Subscription]struct{}{}
	}
	f.subscribers[s] = struct{}{}
	f.mu.Unlock()
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subscribers, s)
	})
	return s
}

// Publish tells every subscriber. It never waits for one.
func (f *Feed) Publish(changes ...Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range f.subscribers {
		for _, c := range changes {
			if s.wants(c) {
				s.add(c)
			}
		}
	}
}

// Subscribers is how many subscribe now.
func (f *Feed) Subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subscribers)
}

func (s *Subscription) add(c Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := changeKey{c.Kind, c.ID}
	old, waiting := s.pending[k]
	if !waiting {
		s.order = append(s.order, k)
	}
	c.Op = fold(old.Op, c.Op)
	s.pending[k] = c
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// fold says what an unread change and a newer one are together: what was made
// and changed is still new to the subscriber.
func fold(unread, newer Op) Op {
	if unread == Created && newer == Updated {
		return Created
	}
	return newer
}

// Next waits for the next change. It returns ctx's error when ctx ends first.
func (s *Subscription) Next(ctx context.Context) (Change, error) {
	for {
		if c, ok := s.take(); ok {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return Change{}, ctx.Err()
		case <-s.ready:
		}
	}
}

func (s *Subscription) take() (Change, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) == 0 {
		return Change{}, false
	}
	k := s.order[0]
	s.order = s.order[1:]
	c := s.pending[k]
	delete(s.pending, k)
	return c, true
}
