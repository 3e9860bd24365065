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
	// GPUs runs the vendor's tool with GPUQuery and gives what it printed; nothing
	// where there is none. nil is the same.
	GPUs func(ctx context.Context) ([]byte, error)
	Now  func() time.Time
	Log  *slog.Logger
}

// Target is a container that runs.
type Target struct {
	ID, EngineID string
	// Pid of its first process, in this kernel's numbering.
	Pid         int
	Started     time.Time
	MemoryLimit record.Bytes
	// Owner is whose it is, GPUs the devices that it holds.
	Owner string
	GPUs  []string
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
	watching map[string]map[*watcher]struct{} // by container
	past     map[string]*rings                // by container; also of those that ended within the hour
	saving   map[string][]point               // minutes on their way to the database
	gpus     map[string]GPU
	gpusAt   time.Time
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
	known    bool      // newest is one
	looked   time.Time // when it was last asked for
	peak     record.Bytes
}

// New returns a service; nothing is sampled before Run.
func New(o Options) *Service {
	return &Service{
		Options: o, root: "/", targets: map[string]*target{}, watching: map[string]map[*watcher]struct{}{},
		past: map[string]*rings{}, saving: map[string][]point{},
	}
}

// Run samples until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.mu.Lock()
	s.life = ctx
	for _, t := range s.targets {
		s.begin(t)
	}
	s.mu.Unlock()
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { s.saveLoop(ctx) })
	beside.Go(func() { s.gpuLoop(ctx) })
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
		case <-time.After(untilNext(time.Now())):
			s.sample()
		}
	}
}

// untilNext is the time until the middle of a second: samples that come there a
// little early or late still fall each into a second of their own.
func untilNext(now time.Time) time.Duration {
	wait := 3*sampleEvery/2 - time.Duration(now.Nanosecond())
	if wait > sampleEvery+sampleEvery/4 {
		wait -= sampleEvery
	}
	return wait
}

// Started says that a container runs. It may be said any number of times.
func (s *Service) Started(t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.targets[t.ID]; old != nil {
		if old.Pid == t.Pid && old.EngineID == t.EngineID {
			old.Target = t
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
	id := t.ID // the rest of t changes under the lock
	s.streams.Go(func() { s.stream(ctx, id, t) })
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
		if apart(t.last, now) {
			t.last = now
		}
		return
	}
	sample.GPUs = s.gpusOf(t)
	t.last, t.newest, t.known, t.peak = now, sample, true, max(t.peak, sample.Memory)
	s.remember(sample)
	for w := range s.watching[t.ID] {
		w.offer(sample)
	}
}

// retry is the pause after the engine's stream ended without the container.
const retry = time.Second

func (s *Service) stream(ctx context.Context, id string, t *target) {
	for ctx.Err() == nil {
		err := s.Engine.Stats(ctx, id, func(e engine.Sample) {
			now := reading{
				at: e.At, cpu: e.CPUNanos, memory: e.Memory, pids: e.Pids,
				rx: e.NetworkRx, tx: e.NetworkTx, read: e.BlockRead, written: e.BlockWrite,
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.targets[id] != t {
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
		s.Log.DebugContext(ctx, "the engine's stream of figures ended", "container", id, "error", err)
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

// Look is Latest for a person, for whom GPUs are measured a while from now on.
func (s *Service) Look(id string) (Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.targets[id]; t != nil {
		t.looked = s.Now()
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

// Used is what containers use together.
type Used struct {
	// CPU is in cores.
	CPU    float64
	Memory record.Bytes
}

// InUse is what the running containers of each owner use, and all of them.
func (s *Service) InUse() (byOwner map[string]Used, all Used) {
	s.mu.Lock()
	defer s.mu.Unlock()
	byOwner = map[string]Used{}
	for _, t := range s.targets {
		cores := t.newest.CPUPercent / 100
		all.CPU += cores
		all.Memory += t.newest.Memory
		theirs := byOwner[t.Owner]
		theirs.CPU += cores
		theirs.Memory += t.newest.Memory
		byOwner[t.Owner] = theirs
	}
	return byOwner, all
}
