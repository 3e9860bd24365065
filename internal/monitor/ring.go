package monitor

import "slices"

// The steps that are kept, in seconds, and for how long.
const (
	secondStep, tenStep, minuteStep = 1, 10, 60
	secondsKept                     = 5 * 60
	tensKept                        = 60 * 60
	minutesKept                     = 7 * 24 * 60 * 60
	// grace is how much longer than promised is kept, in seconds: a request takes
	// its time to come.
	grace = 60
)

// ring holds the newest points of one step. It grows as they come, so what ran
// for a moment takes little.
type ring struct {
	step   int64
	room   int
	points []point // in order from first on, around the end
	first  int
	open   sum
	openAt int64
}

func newRing(step, kept int64) ring { return ring{step: step, room: int((kept + grace) / step)} }

// add puts a point of a finer step, or a sample, into its step. A clock that
// stepped back takes what is now to come with it. The step that it closes, if
// it does, is given back.
func (r *ring) add(p point) (closed point, ok bool) {
	at := begin(p.at, r.step)
	switch {
	case at < r.openAt:
		r.forget(at)
	case at > r.openAt:
		if closed, ok = r.open.point(r.openAt); ok {
			r.push(closed)
		}
		r.open, r.openAt = sum{}, at
	}
	r.open.add(p)
	return closed, ok
}

func (r *ring) push(p point) {
	if r.room == 0 {
		return
	}
	if len(r.points) < r.room {
		if full := cap(r.points); len(r.points) == full && full > r.room/2 { // never more than its room
			r.points = append(make([]point, 0, r.room), r.points...)
		}
		r.points = append(r.points, p)
		return
	}
	r.points[r.first] = p
	r.first = (r.first + 1) % r.room
}

// forget drops the steps from at on.
func (r *ring) forget(at int64) {
	kept := r.since(0, at-1)
	r.points, r.first = append(make([]point, 0, len(kept)), kept...), 0
	r.open, r.openAt = sum{}, at
}

// since are the points from from on and up to to, oldest first, the open step as
// far as it has come.
func (r *ring) since(from, to int64) []point {
	var out []point
	for i := range r.points {
		if p := r.points[(r.first+i)%len(r.points)]; p.at >= from && p.at <= to {
			out = append(out, p)
		}
	}
	if p, ok := r.open.point(r.openAt); ok && p.at >= from && p.at <= to {
		out = append(out, p)
	}
	return out
}

// rings are what is kept of one container in memory.
type rings struct {
	seconds, tens ring
	minute        ring // of which only the open step matters: those that close are unsaved
	// unsaved are the minutes that the database has not, oldest first.
	unsaved []point
	newest  int64
}

// maxUnsaved bounds the minutes that are kept while the database takes none.
const maxUnsaved = 2 * 60

func newRings() *rings {
	return &rings{
		seconds: newRing(secondStep, secondsKept), tens: newRing(tenStep, tensKept), minute: ring{step: minuteStep},
	}
}

func (r *rings) add(p point) {
	r.newest = p.at
	r.seconds.add(p)
	r.tens.add(p)
	if p.at < r.minute.openAt { // the clock stepped back: what was measured last holds
		later := slices.IndexFunc(r.unsaved, func(u point) bool { return u.at >= begin(p.at, minuteStep) })
		if later >= 0 {
			r.unsaved = r.unsaved[:later]
		}
	}
	if closed, ok := r.minute.add(p); ok {
		r.keep(closed)
	}
}

func (r *rings) keep(minutes ...point) {
	r.unsaved = merge(r.unsaved, minutes)
	if over := len(r.unsaved) - maxUnsaved; over > 0 {
		r.unsaved = slices.Clone(r.unsaved[over:])
	}
}

// takeUnsaved empties it; with open, the step under way goes too.
func (r *rings) takeUnsaved(open bool) []point {
	taken := r.unsaved
	r.unsaved = nil
	if p, ok := r.minute.open.point(r.minute.openAt); ok && open {
		taken = merge(taken, []point{p})
	}
	return taken
}

// minutes are those that the database has not, the open one too.
func (r *rings) minutes(from, to int64) []point {
	var out []point
	for _, p := range merge(r.unsaved, r.minute.since(from, to)) {
		if p.at >= from && p.at <= to {
			out = append(out, p)
		}
	}
	return out
}
