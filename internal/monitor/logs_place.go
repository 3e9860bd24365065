package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// What the engine holds of a log is read backwards from its end, as many pieces at
// a time as are thought to be new: the engine finds those without reading what is
// before them. A reader stands at a line, which it knows by its time; where that
// line is not among what was read, more is read. So no line is told twice or
// missed, however the engine's clock steps and whatever it rotates away.
const (
	// firstWindow is how many pieces are read first.
	firstWindow = 64
	// widen is how many times more are read when they were too few, and lastWindow
	// from how many on all are.
	widen      = 8
	lastWindow = 200_000
	// unmoved is how much later a line is whose time was surely not moved, whatever
	// was before what was read.
	unmoved = time.Microsecond
	// all is a window of everything that is held.
	all = -1
)

// errNarrow says that a line's beginning may be before what was read.
var errNarrow = errors.New("too little was read")

// log is one container's.
type log struct {
	service *Service
	id      string
}

// seen is what one reading of a window came upon.
type seen struct {
	lines int
	// size is how much the engine holds of it, about, in its own bytes.
	size int
	// newest is the time of the last line.
	newest time.Time
}

// wider is the window to try after one that held so many lines and was too small.
func wider(window int, was seen) int {
	if window *= widen; window > lastWindow || 2*widen*was.lines < window {
		return all // or nearly all: there is not much
	}
	return window
}

// window reads the last n pieces once and calls each for its lines. doubtful says
// that the line may not be whole, or have another time than it is told with: those
// at the edge of the window.
func (g log) window(ctx context.Context, n int, each func(l Line, doubtful bool) error) (seen, error) {
	var was seen
	var moments moments
	var edge time.Time
	var streams [2]bool
	settled := n == all
	err := g.service.Engine.Logs(ctx, g.id, engine.LogOptions{Tail: n}, func(l engine.LogLine) error {
		stream := 0
		if l.Stderr {
			stream = 1
		}
		if was.lines == 0 {
			edge = l.At
		}
		settled = settled || was.lines > 0 && (l.At.Before(moments.held) || l.At.Sub(moments.held) > unmoved)
		doubtful := !settled || n != all && !streams[stream] && l.At.Before(edge)
		streams[stream] = true
		was.lines++
		if n == all {
			was.size += stored(l.Text)
		}
		l.At = moments.of(l.At)
		was.newest = l.At
		return each(Line{LogLine: l}, doubtful)
	})
	if err == nil {
		err = ctx.Err() // the engine's answer to the caller's end is none
	}
	return was, err
}

// last are the last lines, whole, n of them at most.
func (g log) last(ctx context.Context, n int) ([]Line, error) {
	for window := n + 1; ; { // one more than asked for: the first is doubtful
		newest := newest{most: n}
		was, err := g.window(ctx, window, func(l Line, doubtful bool) error {
			if !doubtful {
				newest.add(l)
			}
			return nil
		})
		switch {
		case err != nil:
			return nil, err
		case window == all || newest.added >= n:
			return newest.lines, nil
		}
		window = wider(window, was)
	}
}

// stored is how many bytes the engine keeps of a line, about: it writes JSON.
func stored(text string) int {
	size := len(`{"log":"\n","stream":"stdout","time":"2026-11-24T08:15:00.000000001Z"}`) + 1
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			size += 2
		case c < ' ' || c == '<' || c == '>' || c == '&':
			size += len(`\u0000`)
		default:
			size++
		}
	}
	return size
}

// moments makes the times of lines that follow each other differ: one that is the
// same as the last told, or was passed by moving that, is a nanosecond later. What
// steps back is left as it is. It depends only on the lines shortly before, so that
// it comes out the same wherever reading begins.
type moments struct{ held, told time.Time }

func (m *moments) of(at time.Time) time.Time {
	held := at
	if !at.Before(m.held) && !at.After(m.told) {
		at = m.told.Add(1)
	}
	m.held, m.told = held, at
	return at
}

// newest keeps the last lines that it was given, most of them and maxHeld bytes.
type newest struct {
	most         int
	lines        []Line
	added, bytes int
}

func (n *newest) add(l Line) {
	n.added++
	if n.most == 0 {
		return
	}
	n.lines = append(n.lines, l)
	n.bytes += len(l.Text)
	for len(n.lines) > n.most {
		n.drop()
		n.lines[0].Dropped = 0 // not asked for
	}
	for n.bytes > maxHeld && len(n.lines) > 1 {
		n.drop()
	}
}

// drop lets go of the oldest line and says so at the next.
func (n *newest) drop() {
	before := n.lines[0].Dropped
	n.bytes -= len(n.lines[0].Text)
	n.lines = n.lines[1:]
	switch next := &n.lines[0].Dropped; {
	case before == Uncounted || *next == Uncounted:
		*next = Uncounted
	default:
		*next += before + 1
	}
}

// reader stands in a log.
type reader struct {
	log
	// at is the time of the line at which it stands; zero: before the first.
	at time.Time
	// exact says that there was a line of that time. Otherwise at is an instant, and
	// the lines up to it are not asked for.
	exact bool
	// floor is an instant that no line was seen after yet.
	floor  time.Time
	window int
}

// first stands before the first line.
func (g log) first() *reader { return &reader{log: g, window: firstWindow} }

// after stands at the line of that time, or else at that instant.
func (g log) after(at time.Time) *reader {
	return &reader{log: g, at: at, window: firstWindow}
}

// stand goes to the line of that time.
func (r *reader) stand(at time.Time) { r.at, r.exact = at, true }

// read hands over all lines after the place, and the place goes with them. An error
// of hand's is returned as it is, with the place before the line.
func (r *reader) read(ctx context.Context, hand func(Line) error) error {
	given := 0
	next := func(l Line) error {
		if r.floor.IsZero() || l.At.After(r.floor) {
			if err := hand(l); err != nil {
				return err
			}
			given++
			r.floor = time.Time{}
		}
		r.stand(l.At)
		return nil
	}
	for window := r.window; ; {
		if r.at.IsZero() {
			window = all
		}
		found, was, err := r.pass(ctx, window, next)
		switch {
		case err != nil && !errors.Is(err, errNarrow):
			return err
		case err == nil && found:
			r.window = max(firstWindow, 2*given)
			return nil
		case window == all:
			// The line is gone, and perhaps others after it; or it never was, and the
			// log is not known to have lost any.
			return r.rest(ctx, r.exact || was.size >= engine.LogHeld, next)
		}
		window = wider(window, was)
	}
}

// pass reads a window and hands over what comes after the place, if it is in it.
func (r *reader) pass(ctx context.Context, window int, hand func(Line) error) (found bool, was seen, err error) {
	place := r.at
	was, err = r.log.window(ctx, window, func(l Line, doubtful bool) error {
		switch {
		case !found:
			found = l.At.Equal(place) && !doubtful
			return nil
		case doubtful:
			return errNarrow
		}
		return hand(l)
	})
	return found, was, err
}

// rest hands over everything that is held: after the instant, where the place is
// one. lost says that something may be missing before the first line.
func (r *reader) rest(ctx context.Context, lost bool, next func(Line) error) error {
	until, skipping := r.at, !r.exact
	was, err := r.log.window(ctx, all, func(l Line, _ bool) error {
		if skipping = skipping && !l.At.After(until); skipping {
			lost = false // what is before the instant is still there
			return nil
		}
		if lost {
			l.Dropped, lost = Uncounted, false
		}
		return next(l)
	})
	if err == nil && skipping && was.lines > 0 {
		r.floor = until
		r.stand(was.newest)
	}
	return err
}
