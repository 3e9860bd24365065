// Package live fans news out to many listeners without ever waiting for one.
package live

import (
	"context"
	"sync"
)

// Topic carries a level: something of which only the newest value matters.
// The zero Topic is ready.
type Topic[T any] struct {
	mu        sync.Mutex
	listeners map[chan T]struct{}
}

// Listen returns a channel of one place that always holds the newest value not
// yet read. It is closed when ctx ends.
func (t *Topic[T]) Listen(ctx context.Context) <-chan T {
	ch := make(chan T, 1)
	t.mu.Lock()
	if t.listeners == nil {
		t.listeners = map[chan T]struct{}{}
	}
	t.listeners[ch] = struct{}{}
	t.mu.Unlock()
	context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.listeners, ch)
		close(ch)
	})
	return ch
}

// Publish replaces each listener's unread value with v. It never blocks.
func (t *Topic[T]) Publish(v T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ch := range t.listeners {
		select {
		case <-ch:
		default:
		}
		ch <- v // one place, just emptied, and only we fill it
	}
}

// Listeners is how many listen now.
func (t *Topic[T]) Listeners() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.listeners)
}
