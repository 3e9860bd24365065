// Package disk watches what containers write: it measures their layers, and
// keeps the machine's disk from running full by freezing who fills it.
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
)

const (
	// lookEvery is how often the free space is looked at.
	lookEvery = 2 * time.Second
	// lookTime bounds the measuring of one look, so that the next is not late.
	lookTime = time.Second
	// oneTime bounds one question to the engine.
	oneTime = 10 * time.Second
)

// Sizer is what the engine knows of sizes.
type Sizer interface {
	// LayerSize is what was written in the container outside of its volumes.
	LayerSize(ctx context.Context, id string) (int64, error)
	// VolumeSize is what is in the volume.
	VolumeSize(ctx context.Context, id string) (int64, error)
}

// Options build a Service.
type Options struct {
	Client    *ent.Client
	Engine    Sizer
	Lifecycle *lifecycle.Service
	Quota     *quota.Service
	// Latest is the newest sample of a container.
	Latest func(id string) (monitor.Sample, bool)
	// Folders are those whose disks must not run full: the engine's and ours.
	Folders func() []string
	// Reserve is how much of each is kept free; zero keeps nothing.
	Reserve record.Bytes
	// Free is the free space of a folder's disk; nil asks the kernel.
	Free func(folder string) (record.Bytes, error)
	// Every is how often to look; zero takes two seconds.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// Service watches the disk.
type Service struct {
	Options
	start time.Time

	// All below is the loop's alone.
	tracks map[string]*track
	// volumes are the sizes of the volumes that running containers write, while
	// there is little room.
	volumes map[string]Reading
	// ended are the stopped ones that were measured since they ended, and when that was.
	ended     map[string]time.Time
	endedNext time.Time
	full      map[string]bool // by owner: over their quota, and told
	froze     time.Time
	low       bool // told in the log
}

// track is what is remembered of a running container.
type track struct {
	run      string
	measured time.Time
	pause    time.Duration // until it is measured again
	reading  Reading       // when it was last measured
	last     Reading       // at the last look, while there is little room
}

// New returns a service; nothing is looked at before Run.
func New(o Options) *Service {
	if o.Every == 0 {
		o.Every = lookEvery
	}
	if o.Free == nil {
		o.Free = Free
	}
	return &Service{
		Options: o, start: o.Now(), tracks: map[string]*track{}, volumes: map[string]Reading{},
		ended: map[string]time.Time{}, full: map[string]bool{},
	}
}

// Free asks the kernel how much of a folder's disk is free for who is not root.
func Free(folder string) (record.Bytes, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", folder, err)
	}
	return record.Bytes(s.Bavail * uint64(s.Bsize)), nil //nolint:gosec // the kernel's block size is positive
}

// Room is LOW_DISK while less is free than is kept: nothing may be begun then
// that writes. It asks the kernel, which answers from memory.
func (s *Service) Room() error {
	free, low := s.free()
	if !low {
		return nil
	}
	return fault.New(fault.LowDisk, "The machine's disk is nearly full: %s are free, and %s are kept for it to work. Delete what is not needed, or ask the administrator to make room.", free, s.Reserve).
		With("free", int64(free))
}

// free is the least free space of all folders, and whether that is too little. A
// folder that cannot be asked is the operator's concern and nobody's refusal.
func (s *Service) free() (least record.Bytes, low bool) {
	if s.Reserve == 0 {
		return 0, false
	}
	known := false
	for _, folder := range s.Folders() {
		free, err := s.Free(folder)
		if err != nil {
			s.Log.Debug("a disk cannot be asked", "error", err)
			continue
		}
		if !known || free < least {
			least, known = free, true
		}
	}
	return least, known && least < s.Reserve
}

// Run watches until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Look(ctx); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "looking at the disk did not succeed", "error", err)
			}
		}
	}
}

// Look goes once over what runs: it measures what is due, and while there is
// little room it measures everything and freezes who writes fastest.
func (s *Service) Look(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	rows, err := s.Client.Container.Query().Where(container.ObservedIn(container.ObservedRunning, container.ObservedPaused)).
		WithMounts().All(ctx)
	if err != nil {
		return err
	}
	free, low := s.free()
	s.tell(ctx, free, low)
	var wrong []error
	if low {
		wrong = append(wrong, s.guard(ctx, rows, free))
	} else {
		clear(s.volumes)
		wrong = append(wrong, s.measureDue(ctx, rows))
	}
	wrong = append(wrong, s.measureEnded(ctx))
	s.forget(rows)
	return errors.Join(wrong...)
}

func (s *Service) tell(ctx context.Context, free record.Bytes, low bool) {
	if low && !s.low {
		s.Log.WarnContext(ctx, "the disk is nearly full: nothing new is begun, and who writes fastest is frozen", "free", free.String(), "reserve", s.Reserve.String())
	} else if s.low && !low {
		s.Log.InfoContext(ctx, "there is room on the disk again", "free", free.String())
	}
	s.low = low
}

// of is the track of a run of a container.
func (s *Service) of(row *ent.Container) *track {
	t := s.tracks[row.ID]
	if t == nil || t.run != row.EngineStartedAt {
		t = &track{run: row.EngineStartedAt}
		s.tracks[row.ID] = t
	}
	return t
}

func (s *Service) written(id string) record.Bytes {
	sample, _ := s.Latest(id)
	return sample.BlockWrite
}

// measureDue measures those whose turn it is, one after the other, for as long
// as a look may take; the rest has its turn at the next.
func (s *Service) measureDue(ctx context.Context, rows []*ent.Container) error {
	begin := time.Now()
	for _, row := range rows {
		t := s.of(row)
		t.last = Reading{}
		if row.Observed == container.ObservedPaused && !t.measured.IsZero() {
			continue // nothing grows there
		}
		if !Due(s.Now().Sub(t.measured), t.pause, s.written(row.ID)-t.reading.Blocks) {
			continue
		}
		if err := s.measure(ctx, row, t); err != nil {
			return err
		}
		if time.Since(begin) > lookTime {
			return nil
		}
	}
	return nil
}

// measure asks how large a layer is, and records it.
func (s *Service) measure(ctx context.Context, row *ent.Container, t *track) error {
	size, known, err := s.ask(ctx, row.ID, s.Engine.LayerSize)
	if err != nil || !known {
		return err
	}
	now := s.Now()
	t.pause = Pause(t.pause, size-t.reading.Size)
	t.measured, t.reading = now, Reading{now, s.written(row.ID), size}
	if err := s.Lifecycle.DiskUsed(ctx, row.ID, size); err != nil {
		return err
	}
	return s.warn(ctx, row)
}

// ask asks the engine for a size. What is gone, or has not been made yet, has none.
func (s *Service) ask(ctx context.Context, id string, size func(context.Context, string) (int64, error)) (record.Bytes, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTime)
	defer cancel()
	n, err := size(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("measure %s: %w", id, err)
	}
	return record.Bytes(n), true, nil
}

// warn tells the owner once that their disk is full, on the container that has
// just been measured, and takes it back when it is not any more.
func (s *Service) warn(ctx context.Context, row *ent.Container) error {
	problem, err := s.Quota.DiskProblem(ctx, row.OwnerID)
	if err != nil {
		return err
	}
	told, known := s.full[row.OwnerID]
	s.full[row.OwnerID] = problem != nil
	switch {
	case problem != nil && !told:
		return s.Lifecycle.DiskFull(ctx, row.ID, problem.Message)
	case problem == nil && (told || !known): // not known: an earlier life of the server may have told it
		return s.Lifecycle.DiskFits(ctx, row.OwnerID)
	}
	return nil
}

// measureEnded measures those that ended once more: nothing grows there now.
func (s *Service) measureEnded(ctx context.Context) error {
	now := s.Now()
	if now.Before(s.endedNext) {
		return nil
	}
	s.endedNext = now.Add(measureEvery)
	rows, err := s.Client.Container.Query().Where(
		container.ObservedEQ(container.ObservedExited),
		container.Or(container.DiskUsedIsNil(), container.FinishedAtGT(s.start.UTC())),
	).All(ctx)
	if err != nil {
		return err
	}
	begin, seen := time.Now(), map[string]bool{}
	for _, row := range rows {
		seen[row.ID] = true
		if row.FinishedAt == nil || s.ended[row.ID].Equal(*row.FinishedAt) {
			continue
		}
		if time.Since(begin) > lookTime {
			s.endedNext = now // go on at the next look
			break
		}
		if err := s.measure(ctx, row, &track{}); err != nil {
			return err
		}
		s.ended[row.ID] = *row.FinishedAt
	}
	for id := range s.ended {
		if !seen[id] && s.endedNext.After(now) {
			delete(s.ended, id)
		}
	}
	return nil
}

func (s *Service) forget(rows []*ent.Container) {
	runs, owners := map[string]bool{}, map[string]bool{}
	for _, row := range rows {
		runs[row.ID], owners[row.OwnerID] = true, true
	}
	for id := range s.tracks {
		if !runs[id] {
			delete(s.tracks, id)
		}
	}
	for owner := range s.full {
		if !owners[owner] {
			delete(s.full, owner)
		}
	}
}
