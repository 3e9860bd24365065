package image

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/mlride/mlride/ent"
)

// builds is which builds are under way and which wait: so many at once, one for
// each person, and whoever has none under way or before comes first.
type builds struct {
	mu      sync.Mutex
	waiting []*waiting // in the order of asking
	running map[string]int
	served  map[string]int // when each person's last one began, as a count
	count   int
	total   int
	steps   map[string]buildStep
	ended   map[string]buildStep // the step at which the last one of an image was
	bases   map[string]bool      // ids of bases that builds need
}

type waiting struct {
	row   *ent.Image
	begin chan struct{}
}

// buildStep is how far a build is; zero before its first step.
type buildStep struct{ step, steps int }

// turn waits until the build of the image may begin, and gives the function that
// ends it. told is given the images whose place changed.
func (b *builds) turn(ctx context.Context, row *ent.Image, parallel int, told func([]*ent.Image)) (func(), error) {
	w := &waiting{row: row, begin: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	news := b.admit(parallel)
	b.mu.Unlock()
	told(news)
	done := func() {
		b.mu.Lock()
		b.running[*row.OwnerID]--
		b.total--
		delete(b.steps, row.ID)
		news := b.admit(parallel)
		b.mu.Unlock()
		told(news)
	}
	select {
	case <-w.begin:
		return done, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	select {
	case <-w.begin: // in the moment of giving up
		b.mu.Unlock()
		done()
		return nil, ctx.Err()
	default:
	}
	b.waiting = slices.DeleteFunc(b.waiting, func(o *waiting) bool { return o == w })
	news = b.admit(parallel)
	b.mu.Unlock()
	told(news)
	return nil, ctx.Err()
}

// admit begins what may begin, and gives those that wait on. b.mu is held.
func (b *builds) admit(parallel int) []*ent.Image {
	if b.running == nil {
		b.running, b.served = map[string]int{}, map[string]int{}
	}
	for b.total < parallel {
		i := slices.IndexFunc(b.order(), func(w *waiting) bool { return b.running[*w.row.OwnerID] == 0 })
		if i < 0 {
			break
		}
		w := b.order()[i]
		b.waiting = slices.DeleteFunc(b.waiting, func(o *waiting) bool { return o == w })
		b.running[*w.row.OwnerID]++
		b.total++
		b.count++
		b.served[*w.row.OwnerID] = b.count
		close(w.begin)
	}
	var rows []*ent.Image
	for _, w := range b.waiting {
		rows = append(rows, w.row)
	}
	return rows
}

// order is who comes next: everybody's first before anybody's second, then whose
// turn was longest ago, and among equals who asked first. b.mu is held.
func (b *builds) order() []*waiting {
	type place struct {
		w     *waiting
		round int
	}
	rounds := map[string]int{}
	for owner, n := range b.running {
		rounds[owner] = n
	}
	places := make([]place, len(b.waiting))
	for i, w := range b.waiting {
		places[i] = place{w, rounds[*w.row.OwnerID]}
		rounds[*w.row.OwnerID]++
	}
	slices.SortStableFunc(places, func(a, z place) int {
		return cmp.Or(a.round-z.round, b.served[*a.w.row.OwnerID]-b.served[*z.w.row.OwnerID])
	})
	list := make([]*waiting, len(places))
	for i, p := range places {
		list[i] = p.w
	}
	return list
}

// QueuePosition is the place of the image's build in the queue, from 1; false
// when it does not wait.
func (s *Service) QueuePosition(id string) (int, bool) {
	b := &s.builds
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.order(), func(w *waiting) bool { return w.row.ID == id })
	return i + 1, i >= 0
}

// BuildStep is which step of how many of the image's build is under way; false
// before the first and when there is no build.
func (s *Service) BuildStep(id string) (step, steps int, ok bool) {
	s.builds.mu.Lock()
	defer s.builds.mu.Unlock()
	at := s.builds.steps[id]
	return at.step, at.steps, at.steps > 0
}

// setStep notes how far a build is; zero is its end.
func (b *builds) setStep(id string, at buildStep) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended == nil {
		b.ended = map[string]buildStep{}
	}
	if at == (buildStep{}) {
		if last, ok := b.steps[id]; ok {
			b.ended[id] = last
		}
		delete(b.steps, id)
		return
	}
	b.steps[id] = at
}

// lastStep is where the build that just ended was.
func (b *builds) lastStep(id string) buildStep {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.ended[id]
	delete(b.ended, id)
	return at
}

func (b *builds) holdBase(id string, needed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bases == nil {
		b.bases = map[string]bool{}
	}
	if needed {
		b.bases[id] = true
	} else {
		delete(b.bases, id)
	}
}

func (b *builds) isHeld(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bases[id]
}
