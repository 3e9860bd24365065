package monitor

import (
	"context"
	"sync"
	"time"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
)

// The bounds of a watch.
const (
	minInterval = time.Second
	maxInterval = time.Minute
	maxWatched  = 100
	// early lets a sample through that comes a little before its interval is over.
	early = 200 * time.Millisecond
)

// watcher is one subscriber's place: for each container the newest sample that
// it has not read yet.
type watcher struct {
	mu       sync.Mutex
	interval time.Duration
	places   map[string]*place
	order    []*place
	ready    chan struct{}
}

// place is that of one container.
type place struct {
	sent   time.Time
	unread *Sample
}

func newWatcher(interval time.Duration, ids ...string) *watcher {
	w := &watcher{interval: interval, places: make(map[string]*place, len(ids)), ready: make(chan struct{}, 1)}
	for _, id := range ids {
		w.places[id] = &place{}
	}
	return w
}

// offer never waits.
func (w *watcher) offer(s Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.places[s.ID]
	if p == nil {
		return
	}
	if since := s.At.Sub(p.sent); since >= 0 && since < w.interval-early { // less than 0: the clock was set back
		return
	}
	if p.unread == nil {
		w.order = append(w.order, p)
	}
	p.unread = &s
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (Sample, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		return Sample{}, false
	}
	p := w.order[0]
	if w.order = w.order[1:]; len(w.order) == 0 {
		w.order = nil
	}
	s := *p.unread
	p.unread, p.sent = nil, s.At
	return s, true
}

// hear begins or ends with a container. The caller holds mu.
func (s *Service) hear(w *watcher, id string, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wanted {
		if s.watching[id] == nil {
			s.watching[id] = map[*watcher]struct{}{}
		}
		s.watching[id][w] = struct{}{}
		if w.places[id] == nil {
			w.places[id] = &place{}
		}
		return
	}
	delete(w.places, id)
	if delete(s.watching[id], w); len(s.watching[id]) == 0 {
		delete(s.watching, id)
	}
}

// Watch sends a container's samples, as to makes them: it waits while the
// container does not run, and ends when it is removed or ctx ends.
func Watch[T any](ctx context.Context, s *Service, id string, interval time.Duration, to func(Sample) T) (<-chan T, error) {
	var check fault.Check
	check.That(interval >= minInterval && interval <= maxInterval, "interval", "range", "interval takes %s to %s.", minInterval, maxInterval)
	if err := check.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	s.Feed.Subscribe(ctx, func(c live.Change) bool {
		if c.Kind == live.Container && c.ID == id && c.Op == live.Removed {
			cancel() // heard while it is published: a goroutine for each watcher would be dear
		}
		return false
	})
	if err := s.visible(ctx, id); err != nil {
		cancel()
		return nil, err
	}
	return deliver(ctx, cancel, s, newWatcher(interval, id), to), nil
}

func (s *Service) visible(ctx context.Context, ids ...string) error {
	for _, id := range ids {
		exist, err := s.Client.Container.Query().Where(container.ID(id)).Exist(ctx)
		if err != nil {
			return err
		}
		if !exist {
			return fault.NoSuch("container", id)
		}
	}
	return nil
}

// WatchAll sends the samples of several containers, or of all of the viewer's
// own (ids empty), also those made later. It ends with ctx.
func WatchAll[T any](ctx context.Context, s *Service, ids []string, to func(Sample) T) (<-chan T, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	check.That(len(ids) <= maxWatched, "ids", "size", "At most %d at once.", maxWatched)
	if err := check.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	if ids != nil {
		if err := s.visible(ctx, ids...); err != nil {
			cancel()
			return nil, err
		}
		return deliver(ctx, cancel, s, newWatcher(minInterval, ids...), to), nil
	}
	changes := s.Feed.Subscribe(ctx, func(c live.Change) bool {
		return c.Kind == live.Container && c.Owner == v.UserID && c.Op != live.Updated
	})
	own, err := s.Client.Container.Query().Where(container.OwnerID(v.UserID)).IDs(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	w := newWatcher(minInterval, own...)
	out := deliver(ctx, cancel, s, w, to)
	go func() {
		for {
			c, err := changes.Next(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			if ctx.Err() == nil { // or it would hear for ever
				s.hear(w, c.ID, c.Op == live.Created)
			}
			s.mu.Unlock()
		}
	}()
	return out, nil
}

// deliver begins with what is known and goes on with what comes, until ctx ends.
func deliver[T any](ctx context.Context, cancel context.CancelFunc, s *Service, w *watcher, to func(Sample) T) <-chan T {
	s.mu.Lock()
	for id := range w.places {
		s.hear(w, id, true)
		if t := s.targets[id]; t != nil && t.known && recent(s.Now(), t.newest.At, 2*sampleEvery) {
			w.offer(t.newest)
		}
	}
	s.mu.Unlock()
	out := make(chan T)
	go func() {
		defer close(out)
		defer s.leave(w, cancel)
		for {
			sample, ok := w.take()
			if !ok {
				select {
				case <-ctx.Done():
					return
				case <-w.ready:
				}
				continue
			}
			select {
			case out <- to(sample):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// Watchers is how many watch the container now.
func (s *Service) Watchers(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watching[id])
}

// leave ends a watcher; nothing is heard by it from then on.
func (s *Service) leave(w *watcher, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cancel()
	w.mu.Lock()
	ids := make([]string, 0, len(w.places))
	for id := range w.places {
		ids = append(ids, id)
	}
	w.mu.Unlock()
	for _, id := range ids {
		s.hear(w, id, false)
	}
}
