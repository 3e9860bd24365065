package image

import (
	"context"

	"github.com/mlride/mlride/internal/engine"
)

// fetching is all that goes on about one reference. However many images want it,
// its layers come once: the engine pulls it for the image that asked first, the
// others look on, and when it is there they take it one after the other, which
// costs a question to the registry each.
type fetching struct {
	// takers is how many images want it, and the download that is under way.
	takers int
	// download is nil between two.
	download *download
	// left are images that the engine pulled it for and that gave up meanwhile.
	// What it holds for them is let go of when nobody needs its layers any more.
	left []string
}

// download is one pull in the engine. All but the channels is under Service.mu.
type download struct {
	id       string // of the image that the engine pulls it for
	cancel   context.CancelFunc
	watchers map[*job]bool
	progress engine.PullProgress
	// forsaken says that nobody waits for it any more: it is ending.
	forsaken bool

	began chan struct{} // closed when its turn has come
	ended chan struct{} // closed when info and err are there
	info  engine.ImageInfo
	err   error
}

// obtain has the engine hold ref for the image of j. Those who wait for the same
// download share its failure. began is called once its turn has come.
func (s *Service) obtain(ctx context.Context, ref string, j *job, began func() error) (engine.ImageInfo, error) {
	s.mu.Lock()
	f := s.fetching[ref]
	if f == nil {
		f = &fetching{}
		s.fetching[ref] = f
	}
	f.takers++
	s.mu.Unlock()
	defer s.leave(ref, f)
	for {
		d := s.join(ref, f, j)
		if err := s.await(ctx, d, j, began); err != nil {
			return engine.ImageInfo{}, err
		}
		if d.id == j.id {
			return d.info, nil
		}
		if err := ctx.Err(); err != nil {
			return engine.ImageInfo{}, err
		}
	}
}

// leave lets go of what was pulled for those who gave up, once nobody wants ref.
func (s *Service) leave(ref string, f *fetching) {
	s.mu.Lock()
	var left []string
	if f.takers--; f.takers == 0 {
		delete(s.fetching, ref)
		left = f.left
	}
	s.mu.Unlock()
	for _, id := range left {
		s.begin(id)
	}
}

// join finds the download that is under way, or begins one for the image of j.
func (s *Service) join(ref string, f *fetching, j *job) *download {
	for {
		s.mu.Lock()
		d := f.download
		if d != nil && d.forsaken {
			s.mu.Unlock()
			<-d.ended
			continue
		}
		if d == nil {
			ctx, cancel := context.WithCancel(j.life)
			d = &download{id: j.id, cancel: cancel, watchers: map[*job]bool{}, began: make(chan struct{}), ended: make(chan struct{})}
			f.download = d
			f.takers++
			s.running.Go(func() {
				defer cancel()
				s.download(ctx, ref, f, d)
			})
		}
		d.watchers[j] = true
		seen := d.progress
		s.mu.Unlock()
		if len(seen.Layers) > 0 {
			s.progressed(j, seen)
		}
		return d
	}
}

// await waits for the download, or until ctx ends. The last to go takes it along.
func (s *Service) await(ctx context.Context, d *download, j *job, began func() error) error {
	select {
	case <-d.began:
	case <-d.ended:
	case <-ctx.Done():
	}
	select {
	case <-d.began: // it may have ended already, too
		if err := began(); err != nil {
			s.forsake(d, j)
			return err
		}
	default:
	}
	select {
	case <-d.ended:
		return d.err
	case <-ctx.Done():
		s.forsake(d, j)
		return ctx.Err()
	}
}

func (s *Service) forsake(d *download, j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(d.watchers, j)
	if len(d.watchers) == 0 {
		d.forsaken = true
		d.cancel()
	}
}

// download waits for its turn and has the engine pull.
func (s *Service) download(ctx context.Context, ref string, f *fetching, d *download) {
	defer s.leave(ref, f)
	select {
	case s.turns <- struct{}{}:
		close(d.began)
		d.info, d.err = s.Engine.Pull(ctx, d.id, ref, func(p engine.PullProgress) {
			s.mu.Lock()
			d.progress = p
			watchers := make([]*job, 0, len(d.watchers))
			for j := range d.watchers {
				watchers = append(watchers, j)
			}
			s.mu.Unlock()
			for _, j := range watchers {
				s.progressed(j, p)
			}
		})
		<-s.turns
	case <-ctx.Done():
		d.err = ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.download = nil
	stays := false
	for j := range d.watchers {
		stays = stays || j.id == d.id
	}
	if d.err == nil && !stays {
		f.left = append(f.left, d.id)
	}
	close(d.ended)
}
