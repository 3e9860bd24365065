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
	wanted   map[string]bool
	interval time.Duration
	sent     map[string]time.Time
	order    []string
	unread   map[string]Sample
	ready    chan struct{}
}

func newWatcher(interval time.Duration, ids ...string) *watcher {
	w := &watcher{
		wanted: map[string]bool{}, interval: interval, sent: map[string]time.Time{},
		unread: map[string]Sample{}, ready: make(chan struct{}, 1),
	}
	for _, id := range ids {
		w.wanted[id] = true
	}
	return w
}

// offer never waits.
func (w *watcher) offer(s Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.wanted[s.ID] || s.At.Sub(w.sent[s.ID]) < w.interval-early {
		return
	}
	if _, waiting := w.unread[s.ID]; !waiting {
		w.order = append(w.order, s.ID)
	}
	w.unread[s.ID] = s
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
	id := w.order[0]
	w.order = w.order[1:]
	s := w.unread[id]
	delete(w.unread, id)
	w.sent[id] = s.At
	return s, true
}

func (w *watcher) want(id string, wanted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wanted {
		w.wanted[id] = true
	} else {
		delete(w.wanted, id)
		delete(w.sent, id)
	}
}

// Watch sends a container's samples: it waits while the container does not run,
// and ends when it is removed or ctx ends.
func (s *Service) Watch(ctx context.Context, id string, interval time.Duration) (<-chan Sample, error) {
	var check fault.Check
	check.That(interval >= minInterval && interval <= maxInterval, "interval", "range", "interval takes %s to %s.", minInterval, maxInterval)
	if err := check.Err(); err != nil {
		return nil, err
	}
	changes := s.Feed.Subscribe(ctx, func(c live.Change) bool {
		return c.Kind == live.Container && c.ID == id && c.Op == live.Removed
	})
	if err := s.visible(ctx, id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with the removal
		if _, err := changes.Next(ctx); err == nil {
			cancel()
		}
	}()
	return s.deliver(ctx, cancel, newWatcher(interval, id)), nil
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
func (s *Service) WatchAll(ctx context.Context, ids []string) (<-chan Sample, error) {
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
		return s.deliver(ctx, cancel, newWatcher(minInterval, ids...)), nil
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
	go func() {
		for {
			c, err := changes.Next(ctx)
			if err != nil {
				return
			}
			w.want(c.ID, c.Op == live.Created)
		}
	}()
	return s.deliver(ctx, cancel, w), nil
}

// deliver begins with what is known and goes on with what comes, until ctx ends.
func (s *Service) deliver(ctx context.Context, cancel context.CancelFunc, w *watcher) <-chan Sample {
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	for id := range w.wanted {
		if t := s.targets[id]; t != nil && t.known && s.Now().Sub(t.newest.At) < 2*sampleEvery {
			w.offer(t.newest)
		}
	}
	s.mu.Unlock()
	out := make(chan Sample)
	go func() {
		defer cancel()
		defer close(out)
		defer func() {
			s.mu.Lock()
			delete(s.watchers, w)
			s.mu.Unlock()
		}()
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
			case out <- sample:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
