// Package idle tells work from silence: it looks at what containers do, warns
// the owners of those that nothing uses, and has them frozen and in the end
// stopped, so that the machine is for those who work.
package idle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
)

// lookEvery is how often everything that runs is looked at.
const lookEvery = 10 * time.Second

// Options build a Service.
type Options struct {
	Client    *ent.Client
	Lifecycle *lifecycle.Service
	Quota     *quota.Service
	// Latest is the newest sample of a container.
	Latest func(id string) (monitor.Sample, bool)
	// Stop is how long a frozen container stays so before it is stopped; zero is for ever.
	Stop time.Duration
	// Every is how often to look; zero takes ten seconds.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// Service looks at what containers do.
type Service struct {
	Options
	mu      sync.Mutex
	touched map[string][]string // what used a container since the last look
	tracks  map[string]*track   // only the loop's
}

// track is what is remembered of one run of a container.
type track struct {
	run     string
	timeout time.Duration // that warned tells of
	sample  monitor.Sample
	// active is when something was last seen to use it, at the earliest when it
	// was first looked at: what was before nobody knows. used is false then.
	active time.Time
	used   bool
	warned time.Time
}

// New returns a service; nothing is looked at before Run.
func New(o Options) *Service {
	if o.Every == 0 {
		o.Every = lookEvery
	}
	return &Service{Options: o, touched: map[string][]string{}, tracks: map[string]*track{}}
}

// Run looks until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Look(ctx); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "looking for idle containers did not succeed", "error", err)
			}
		}
	}
}

// Touch says that something uses a container just now: "terminal" when keys or
// output pass, "port" when a request does. It is cheap, and said again and again
// for as long as it goes on; what is only open says nothing.
func (s *Service) Touch(id, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.touched[id], what) {
		s.touched[id] = append(s.touched[id], what)
	}
}

func (s *Service) touching(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.touched[id]) > 0
}

func (s *Service) touches() map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.touched
	s.touched = map[string][]string{}
	return now
}

// Look goes once over all containers that may be idle.
func (s *Service) Look(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	rows, err := s.Client.Container.Query().Where(
		container.Or(
			container.And(container.StatusEQ(container.StatusRunning), container.DesiredEQ(container.DesiredRunning), container.IdleTimeoutNotNil()),
			container.And(container.FrozenEQ(container.FrozenIdle), container.DesiredEQ(container.DesiredPaused)),
		)).Order(ent.Asc(container.FieldIdleSince, container.FieldID)).All(ctx)
	if err != nil {
		return err
	}
	wanted, err := s.wanted(ctx, rows)
	if err != nil {
		return err
	}
	touched, seen := s.touches(), map[string]bool{}
	var wrong []error
	for _, row := range rows {
		seen[row.ID] = true
		if err := s.one(ctx, row, touched[row.ID], slices.Contains(wanted, row.ID)); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", row.ID, err))
		}
	}
	for id := range s.tracks {
		if !seen[id] {
			delete(s.tracks, id)
		}
	}
	return errors.Join(wrong...)
}

// one looks at one container, and does what is to be done.
func (s *Service) one(ctx context.Context, row *ent.Container, touched []string, wanted bool) error {
	now := s.Now().UTC()
	if row.Frozen == container.FrozenIdle {
		delete(s.tracks, row.ID) // what comes after is another story
		state := State{Frozen: true, StopAt: value(row.CullAt)}
		if Decide(state, now, wanted) == Stop {
			return s.Lifecycle.CullStop(ctx, row.ID, stopMessage(wanted, s.Stop))
		}
		return nil
	}
	t := s.tracks[row.ID]
	if t == nil || t.run != row.EngineStartedAt {
		t = &track{run: row.EngineStartedAt, active: now}
		s.tracks[row.ID] = t
	}
	if timeout := time.Duration(*row.IdleTimeout); t.timeout != timeout {
		t.timeout, t.warned = timeout, time.Time{}
	}
	activity, known := s.activity(row.ID, t, touched)
	if !known {
		return nil
	}
	if len(activity) > 0 {
		t.active, t.used, t.warned = now, true, time.Time{}
		return s.Lifecycle.Idle(ctx, row.ID, time.Time{}, time.Time{}, activity, now)
	}
	since := t.active
	if row.IdleSince != nil {
		since = *row.IdleSince // as it was told already, by an earlier life of the server too
	}
	if row.LastActivityAt != nil && row.LastActivityAt.After(since) {
		since, t.warned = *row.LastActivityAt, time.Time{} // its owner was here
	}
	last := time.Time{}
	if t.used {
		last = t.active
	}
	state := State{Timeout: t.timeout, IdleSince: since, Warned: t.warned}
	if err := s.Lifecycle.Idle(ctx, row.ID, since, CullAt(state, now), nil, last); err != nil {
		return err
	}
	switch Decide(state, now, wanted) {
	case Warn:
		t.warned = now
		state.Warned = now
		return s.Lifecycle.CullWarn(ctx, row.ID, since, CullAt(state, now))
	case Freeze:
		if s.touching(row.ID) {
			return nil // just now, since the look began
		}
		stopAt := time.Time{}
		if s.Stop > 0 {
			stopAt = now.Add(s.Stop)
		}
		return s.Lifecycle.Freeze(ctx, row.ID, container.FrozenIdle, freezeMessage(state.Timeout), stopAt)
	case Nothing, Stop:
	}
	return nil
}

// activity is what used the container since the last look; false where that is
// not known, as at the first one.
func (s *Service) activity(id string, t *track, touched []string) ([]string, bool) {
	now, measured := s.Latest(id)
	if !measured {
		return touched, len(touched) > 0
	}
	before := t.sample
	activity, ok := Activity(before, now, now.At.Sub(before.At))
	if ok || before.At.IsZero() || now.CPUTime < before.CPUTime {
		t.sample = now
	}
	if before.At.IsZero() {
		activity, ok = nil, false
	}
	activity = append(activity, touched...)
	return activity, ok || len(activity) > 0
}

func value(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func freezeMessage(timeout time.Duration) string {
	return fmt.Sprintf("Frozen, since nothing used it for %s. Everything in it is kept; start or unpause it and it goes on at once.", record.Duration(timeout))
}

func stopMessage(wanted bool, limit time.Duration) string {
	if wanted {
		return "Nothing used it, and somebody who waits for room needs what it held."
	}
	return fmt.Sprintf("It was frozen for %s, since nothing used it.", record.Duration(limit))
}

// wanted are the frozen ones that are to be stopped for the first who waits.
func (s *Service) wanted(ctx context.Context, rows []*ent.Container) ([]string, error) {
	var frozen []Held
	for _, row := range rows { // longest idle first
		if row.Frozen == container.FrozenIdle {
			frozen = append(frozen, Held{row.ID, quota.Of(row)})
		}
	}
	if len(frozen) == 0 {
		return nil, nil
	}
	first, err := s.Client.Container.Query().Where(container.Queued(true)).
		Order(ent.Asc(container.FieldQueuePosition, container.FieldQueuedAt, container.FieldID)).First(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	capacity, used, err := s.Quota.Machine(ctx)
	if err != nil {
		return nil, err
	}
	free := quota.Amounts{
		CPU: capacity.Together.CPU - used.CPU, Memory: capacity.Together.Memory - used.Memory, GPU: capacity.Together.GPU - used.GPU,
	}
	ending, err := s.Client.Container.Query().
		Where(container.Reserved(true), container.DesiredIn(container.DesiredStopped, container.DesiredRemoved)).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range ending { // on its way to be free
		a := quota.Of(row)
		free.CPU, free.Memory, free.GPU = free.CPU+a.CPU, free.Memory+a.Memory, free.GPU+a.GPU
	}
	return Free(quota.Of(first), free, frozen), nil
}
