package image

import (
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// tellEvery is how often the progress of one image is told at most.
const tellEvery = 100 * time.Millisecond

// Progress is how far a pull has come.
type Progress struct {
	// Layers, in the order of the image.
	Layers []engine.LayerProgress
	// Current and Total are bytes of the layers whose size is known: those that
	// have arrived, and all. Total is 0 until one is known.
	Current, Total int64
}

// Percent of the known bytes that have arrived; false until one layer's size is
// known.
func (p Progress) Percent() (float64, bool) {
	if p.Total == 0 {
		return 0, false
	}
	return 100 * float64(p.Current) / float64(p.Total), true
}

// arriving are the engine's words for a layer that is not all there. Once it is,
// the engine counts the same bytes again while it unpacks them.
var arriving = map[string]bool{"Pulling fs layer": true, "Waiting": true, "Downloading": true}

func progressOf(p engine.PullProgress) Progress {
	sum := Progress{Layers: p.Layers}
	for _, l := range p.Layers {
		sum.Total += l.Total
		if arriving[l.State] {
			sum.Current += min(l.Current, l.Total)
		} else {
			sum.Current += l.Total
		}
	}
	return sum
}

// Progress is how far the pull of the image has come; false when none is under way.
func (s *Service) Progress(id string) (Progress, bool) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return Progress{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return progressOf(j.progress), j.pulling
}

// progressed notes how far the pull of j's image has come and tells of it: at
// once, and then at most every tellEvery, the newest state always among it.
func (s *Service) progressed(j *job, p engine.PullProgress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progress = p
	if j.pause {
		j.untold = true
		return
	}
	s.tell(j)
}

// tell publishes that there is news, and pauses. j.mu is held.
func (s *Service) tell(j *job) {
	if !j.pulling { // what came of the pull is told already, and comes last
		return
	}
	j.pause, j.untold = true, false
	s.Feed.Publish(j.news)
	time.AfterFunc(tellEvery, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.pause = false
		if j.untold {
			s.tell(j)
		}
	})
}
