package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

const (
	maxTail = 10_000
	// maxHeld bounds the text of a snapshot, in bytes; the oldest lines give way.
	maxHeld = 4 << 20
	// logTime bounds a snapshot.
	logTime = 10 * time.Second
	// The pauses between tries while the engine is away.
	firstWait = 250 * time.Millisecond
	lastWait  = 5 * time.Second
	// betweenReads is the pause between two reads of what goes on being written.
	betweenReads = 50 * time.Millisecond
	// slowAfter is how long a reader may let the engine wait for it; then the
	// engine is let go of, and the reader waits alone.
	slowAfter = time.Second
	// listenFor bounds how long the engine's word that there is more is waited for.
	// It may miss one: after that the log is looked at all the same.
	listenFor = 10 * time.Second
)

// Uncounted is Line.Dropped where lines may be missing and nobody can count them.
const Uncounted = -1

// Line is a line of output. Its time is the engine's, moved by a nanosecond where
// the line before has the same: it names the line. Dropped is how many are missing
// before it, or Uncounted.
type Line struct {
	engine.LogLine
	Dropped int
}

func checkTail(tail int) error {
	var check fault.Check
	check.That(tail >= 0 && tail <= maxTail, "tail", "range", "tail takes 0 to %d.", maxTail)
	return check.Err()
}

// Logs are the last lines of a container's output, of those after since where it
// is not zero. One that never ran has none.
func (s *Service) Logs(ctx context.Context, id string, tail int, since time.Time) ([]Line, error) {
	if err := checkTail(tail); err != nil {
		return nil, err
	}
	if err := s.visible(ctx, id); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, logTime)
	defer cancel()
	log := &log{service: s, id: id}
	var lines []Line
	var err error
	if since.IsZero() {
		lines, err = log.last(ctx, tail)
	} else {
		newest := newest{most: tail}
		err = log.after(since).read(ctx, func(l Line) error { newest.add(l); return nil })
		lines = newest.lines
	}
	if err == nil && ctx.Err() != nil {
		err = engine.ErrUnreachable // the engine ran out of the time that it was given
	}
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return []Line{}, nil
	case err != nil:
		return nil, logFault(err)
	}
	return lines, nil
}

func logFault(err error) error {
	if errors.Is(err, engine.ErrUnreachable) {
		return fault.New(fault.EngineUnavailable, "The container engine cannot be reached, so its logs cannot be read. Try again in a moment.").After(lastWait).Because(err)
	}
	return err
}

// Output names the container and gives all that the engine holds of its output
// to whoever sees it. An administrator's reading of somebody else's is recorded.
// read calls line for each line in order, and returns its error as it is.
func (s *Service) Output(ctx context.Context, id string) (name string, read func(ctx context.Context, line func(engine.LogLine) error) error, err error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return "", nil, err
	}
	row, err := s.Client.Container.Get(ctx, id)
	if ent.IsNotFound(err) {
		return "", nil, fault.NoSuch("container", id)
	}
	if err != nil {
		return "", nil, err
	}
	return row.Name, func(ctx context.Context, line func(engine.LogLine) error) error {
		if row.OwnerID != v.UserID {
			if err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
				return audit.Record(ctx, tx, audit.Entry{Action: "container.logs", Target: row.ID, TargetName: row.Name})
			}); err != nil {
				return err
			}
		}
		err := s.Engine.Logs(ctx, id, engine.LogOptions{Tail: -1}, line)
		if errors.Is(err, engine.ErrNotFound) {
			return nil // never made, or removed meanwhile: there is no more
		}
		return logFault(err)
	}, nil
}

// Follow sends the last lines, or all after since where that is not zero, and then
// each new one, across restarts of the container and of the engine: each line once
// and in order, and what the engine let go of before it was read is told. It ends
// when the container is removed or ctx ends.
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
	f := &follower{log: log{service: s, id: id}, tail: tail, changes: changes, out: make(chan Line), patience: time.NewTimer(slowAfter)}
	if !since.IsZero() {
		f.reader = f.log.after(since)
	} else if now, err := s.Engine.Inspect(ctx, id); errors.Is(err, engine.ErrNotFound) || err == nil && now.StartedAt == "" {
		f.reader = f.log.first() // all that it will write comes after this moment
	}
	s.followers.Add(1)
	go func() {
		defer s.followers.Add(-1)
		defer cancel()
		defer close(f.out)
		f.run(ctx)
	}()
	return f.out, nil
}

// Followers is how many logs are being followed now.
func (s *Service) Followers() int { return int(s.followers.Load()) }

// follower is one follower of a log. It trusts no stream of the engine's, which
// may send a piece twice and pass over a file: the stream only says that there is
// more, and what there is is read from the engine's files, on from its place.
type follower struct {
	log
	tail     int
	reader   *reader // nil until the last lines were told
	changes  *live.Subscription
	out      chan Line
	patience *time.Timer
	// kept is a line that nobody took in time.
	kept *Line
	// heard is the time of the line with which the stream last rang.
	heard time.Time
}

var (
	// errSlow says that nobody took a line in time.
	errSlow = errors.New("the reader is slow")
	// errRung says that there is more to read.
	errRung = errors.New("there is more")
)

func (f *follower) run(ctx context.Context) {
	wait := firstWait
	for ctx.Err() == nil {
		ended, err := f.round(ctx)
		pause := time.Duration(0) // until something changes
		switch {
		case errors.Is(err, errSlow):
			if !f.hand(ctx) {
				return
			}
			continue
		case err == nil && !ended:
			wait = firstWait
			if !rest(ctx, betweenReads) {
				return
			}
			continue
		case err == nil:
			wait = firstWait
		case !errors.Is(err, engine.ErrNotFound):
			pause = wait
			wait = min(2*wait, lastWait)
		}
		if !changed(ctx, f.changes, pause) {
			return
		}
	}
}

// round sends what there is and waits for more. ended says that the container does
// not run, and that all that it wrote is sent.
func (f *follower) round(ctx context.Context) (ended bool, err error) {
	if err := f.sendAll(ctx); err != nil {
		return false, err
	}
	if err := f.listen(ctx); errors.Is(err, errRung) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, f.sendAll(ctx) // its last words
}

func (f *follower) sendAll(ctx context.Context) error {
	if f.reader == nil {
		return f.begin(ctx)
	}
	return f.reader.read(ctx, func(l Line) error { return f.send(ctx, l) })
}

// begin sends the last lines; the place is after them.
func (f *follower) begin(ctx context.Context) error {
	lines, err := f.last(ctx, max(f.tail, 1)) // without any, one tells the place
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	place := f.log.first()
	for _, l := range lines {
		if f.tail > 0 {
			select {
			case f.out <- l:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		place.stand(l.At)
	}
	f.reader = place
	return err
}

// send hands a line to the reader, for as long as the engine may wait.
func (f *follower) send(ctx context.Context, l Line) error {
	f.patience.Reset(slowAfter)
	select {
	case f.out <- l:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-f.patience.C:
		f.kept = &l
		return errSlow
	}
}

// hand waits until the kept line is taken; false when ctx ended first.
func (f *follower) hand(ctx context.Context) bool {
	select {
	case f.out <- *f.kept:
		f.reader.stand(f.kept.At)
		f.kept = nil
		return true
	case <-ctx.Done():
		return false
	}
}

// listen waits until there is more (errRung), or the container does not run (nil).
func (f *follower) listen(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, listenFor)
	defer cancel()
	err := f.service.Engine.Logs(wait, f.id, engine.LogOptions{Tail: 1, Follow: true}, func(l engine.LogLine) error {
		if l.At.Equal(f.reader.at) || l.At.Equal(f.heard) {
			return nil
		}
		f.heard = l.At
		return errRung
	})
	if err == nil && wait.Err() != nil {
		return errRung
	}
	return err
}

// rest waits; false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
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
