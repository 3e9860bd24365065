package monitor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
)

const (
	maxTail = 10_000
	// logTime bounds a snapshot.
	logTime = 10 * time.Second
	// maxUnread is how many lines are kept for a reader who is slower than the
	// container; beyond them the oldest are dropped, and it is told how many.
	maxUnread = 1000
	// The pauses between tries while the engine is away.
	firstWait = 250 * time.Millisecond
	lastWait  = 5 * time.Second
)

// Line is a line of output. Dropped is how many before it the reader was too
// slow for.
type Line struct {
	engine.LogLine
	Dropped int
}

func checkTail(tail int) error {
	var check fault.Check
	check.That(tail >= 0 && tail <= maxTail, "tail", "range", "tail takes 0 to %d.", maxTail)
	return check.Err()
}

// Logs are the last lines of a container's output. One that never ran has none.
func (s *Service) Logs(ctx context.Context, id string, tail int, since time.Time) ([]Line, error) {
	if err := checkTail(tail); err != nil {
		return nil, err
	}
	if err := s.visible(ctx, id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	lines := []Line{}
	err := s.Engine.Logs(ctx, id, engine.LogOptions{Tail: tail, Since: since}, func(l engine.LogLine) error {
		lines = append(lines, Line{LogLine: l})
		return nil
	})
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return lines, nil
	case errors.Is(err, engine.ErrUnreachable):
		return nil, fault.New(fault.EngineUnavailable, "The container engine cannot be reached, so its logs cannot be read. Try again in a moment.").After(lastWait).Because(err)
	}
	return lines, err
}

// Follow sends the last lines and then each new one, across restarts of the
// container and of the engine: where it was is remembered by time, so no line
// is sent twice. It ends when the container is removed or ctx ends.
func (s *Service) Follow(ctx context.Context, id string, tail int, since time.Time) (<-chan Line, error) {
	if err := checkTail(tail); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	changes := s.Feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Container && c.ID == id })
	if err := s.visible(ctx, id); err != nil {
		cancel()
		return nil, err
	}
	unread := &lines{ready: make(chan struct{}, 1)}
	go s.follow(ctx, id, engine.LogOptions{Tail: tail, Since: since, Follow: true}, changes, unread)
	out := make(chan Line)
	go func() {
		defer cancel()
		defer close(out)
		for {
			line, state := unread.take()
			switch state {
			case empty:
				select {
				case <-ctx.Done():
					return
				case <-unread.ready:
				}
			case over:
				return
			case some:
				select {
				case out <- line:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

// follow reads the engine's log into unread until the container is removed.
func (s *Service) follow(ctx context.Context, id string, opts engine.LogOptions, changes *live.Subscription, unread *lines) {
	defer unread.end()
	wait := firstWait
	for ctx.Err() == nil {
		err := s.Engine.Logs(ctx, id, opts, func(l engine.LogLine) error {
			unread.add(l)
			opts.Tail, opts.Since = -1, l.At
			wait = firstWait
			return nil
		})
		if err == nil {
			opts.Tail = -1 // what came before was sent, or there was nothing
			if opts.Since.IsZero() {
				opts.Since = time.Unix(0, 1)
			}
		}
		pause := time.Duration(0) // until something changes
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			pause = wait
			wait = min(2*wait, lastWait)
		}
		if !changed(ctx, changes, pause) {
			return
		}
	}
}

// changed waits until there may be more to read; false when there never will be.
func changed(ctx context.Context, changes *live.Subscription, pause time.Duration) bool {
	wait, cancel := ctx, context.CancelFunc(func() {})
	if pause > 0 {
		wait, cancel = context.WithTimeout(ctx, pause)
	}
	defer cancel()
	c, err := changes.Next(wait)
	if err != nil {
		return ctx.Err() == nil // the pause is over
	}
	return c.Op != live.Removed
}

// lines are what a reader has not read yet, the newest maxUnread of them.
type lines struct {
	mu     sync.Mutex
	unread []Line
	ended  bool
	ready  chan struct{}
}

type state int

const (
	empty state = iota
	some
	over
)

func (l *lines) add(line engine.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) >= maxUnread {
		missed := 1 + l.unread[0].Dropped
		l.unread = l.unread[1:]
		l.unread[0].Dropped += missed
	}
	l.unread = append(l.unread, Line{LogLine: line})
	l.ring()
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.ring()
}

func (l *lines) ring() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

func (l *lines) take() (Line, state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) > 0 {
		line := l.unread[0]
		l.unread = l.unread[1:]
		return line, some
	}
	if l.ended {
		return Line{}, over
	}
	return Line{}, empty
}
