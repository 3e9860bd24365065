// Package monitor watches what runs and touches nothing: one sampler for all
// containers, one payload for all watchers, and a slow watcher hurts only itself.
package monitor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
)

// sampleEvery is how often everything that runs is read.
const sampleEvery = time.Second

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	Engine engine.Containers
	// Local says whether the engine's processes are in this kernel, so that its
	// files tell of them.
	Local func() bool
	Now   func() time.Time
	Log   *slog.Logger
}

// Target is a container that runs.
type Target struct {
	ID, EngineID string
	// Pid of its first process, in this kernel's numbering.
	Pid         int
	Started     time.Time
	MemoryLimit record.Bytes
}

// Source is where a container's figures come from.
type Source string

// The sources.
const (
	// Kernel: the files of its cgroup.
	Kernel Source = "kernel"
	// Stream: the engine's stream, where the files cannot be reached.
	Stream Source = "stream"
)

// Service is the sampler and its watchers.
type Service struct {
	Options
	root string // of the file system; "/" but in tests

	mu       sync.Mutex
	targets  map[string]*target
	watchers map[*watcher]struct{}
	life     context.Context // of Run; nil before
	streams  sync.WaitGroup

	followers atomic.Int64 // of logs
}

type target struct {
	Target
	source   Source
	counters *counters
	stop     context.CancelFunc // of the stream
	last     reading
	newest   Sample
	known    bool // newest is one
	peak     record.Bytes
}

// New returns a service; nothing is sampled before Run.
func New(o Options) *Service {
	return &Service{Options: o, root: "/", targets: map[string]*target{}, watchers: map[*watcher]struct{}{}}
}

// Run samples until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.mu.Lock()
	s.life = ctx
	for _, t := range s.targets {
		s.begin(t)
	}
	s.mu.Unlock()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			for id := range s.targets {
				s.drop(id)
			}
			s.mu.Unlock()
			s.streams.Wait()
			return
		case <-ticker.C:
			s.sample()
		}
	}
}

// Started says that a container runs. It may be said any number of times.
func (s *Service) Started(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.targets[t.ID]; old != nil {
		if old.Pid == t.Pid && old.EngineID == t.EngineID {
			old.MemoryLimit = t.MemoryLimit
			return
		}
		s.drop(t.ID)
	}
	added := &target{Target: t}
	s.targets[t.ID] = added
	if s.life != nil && s.life.Err() == nil {
		s.begin(added)
	}
}

// Stopped says that a container does not run.
func (s *Service) Stopped(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(id)
}

// Watching says whether the container is being measured.
func (s *Service) Watching(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets[id] != nil
}

// Source says where the container's figures come from; empty when it is not measured.
func (s *Service) Source(id string) Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[id]; t != nil {
		return t.source
	}
	return ""
}

// begin opens the container's files, or the engine's stream where that fails.
func (s *Service) begin(t *target) {
	if s.Local() && t.Pid > 0 {
		c, err := openCounters(s.root, t.Pid)
		if err == nil {
			if t.last, err = c.read(s.Now()); err == nil {
				t.source, t.counters = Kernel, c
				return
			}
			c.close()
		}
		s.Log.DebugContext(s.life, "the kernel's figures cannot be reached", "container", t.ID, "error", err)
	}
	ctx, stop := context.WithCancel(s.life)
	t.source, t.stop = Stream, stop
	s.streams.Go(func() { s.stream(ctx, t) })
}

func (s *Service) drop(id string) {
	t := s.targets[id]
	if t == nil {
		return
	}
	delete(s.targets, id)
	if t.counters != nil {
		t.counters.close()
	}
	if t.stop != nil {
		t.stop()
	}
}

// sample reads every container once and hands the samples out. What cannot be
// read has just ended: the observation will say so.
func (s *Service) sample() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.targets {
		if t.counters == nil {
			continue
		}
		now, err := t.counters.read(s.Now())
		if err == nil {
			s.noted(t, now)
		}
	}
}

func (s *Service) noted(t *target, now reading) {
	sample, ok := between(t.ID, t.MemoryLimit, t.last, now)
	if !ok {
		if now.cpu < t.last.cpu {
			t.last = now // a new run under the same name
		}
		return
	}
	t.last, t.newest, t.known, t.peak = now, sample, true, max(t.peak, sample.Memory)
	for w := range s.watchers {
		w.offer(sample)
	}
}

// retry is the pause after the engine's stream ended without the container.
const retry = time.Second

func (s *Service) stream(ctx context.Context, t *target) {
	for ctx.Err() == nil {
		err := s.Engine.Stats(ctx, t.ID, func(e engine.Sample) {
			now := reading{
				at: e.At, cpu: e.CPUNanos, memory: e.Memory, pids: e.Pids,
				rx: e.NetworkRx, tx: e.NetworkTx, read: e.BlockRead, written: e.BlockWrite,
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.targets[t.ID] != t {
				return
			}
			if t.last.at.IsZero() {
				t.last = now
			} else {
				s.noted(t, now)
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.Log.DebugContext(ctx, "the engine's stream of figures ended", "container", t.ID, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// Latest is the newest sample of a container; false when it does not run.
func (s *Service) Latest(id string) (Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[id]; t != nil {
		return t.newest, t.known
	}
	return Sample{}, false
}

// MemoryInUse is the newest figure of a container; false when it does not run.
func (s *Service) MemoryInUse(id string) (record.Bytes, bool) {
	sample, known := s.Latest(id)
	return sample.Memory, known
}

// MemoryPeak is the most that a container's present run was seen to use; false
// when it does not run.
func (s *Service) MemoryPeak(id string) (record.Bytes, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[id]; t != nil {
		return t.peak, t.known
	}
	return 0, false
}

// TotalMemory is what all running containers use together.
func (s *Service) TotalMemory() record.Bytes {
	s.mu.Lock()
	defer s.mu.Unlock()
	var sum record.Bytes
	for _, t := range s.targets {
		sum += t.newest.Memory
	}
	return sum
}
