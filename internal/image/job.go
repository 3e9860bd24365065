package image

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

const (
	// maxPulls is how many pulls are under way at once.
	maxPulls = 3
	// tellEvery is how often progress is told at most.
	tellEvery = 100 * time.Millisecond
)

// job is what is under way with one image: a pull, or its deletion.
type job struct {
	cancel context.CancelFunc
	done   chan struct{}
	// again says that something was asked for while it was ending.
	again bool

	mu       sync.Mutex
	progress engine.PullProgress
	told     time.Time
}

// begin does what the image's row asks for, unless it is being done already.
func (s *Service) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.life.Err() != nil {
		return // taken up when Run begins
	}
	if j := s.jobs[id]; j != nil {
		j.again = true
		return
	}
	ctx, cancel := context.WithCancel(s.life)
	j := &job{cancel: cancel, done: make(chan struct{})}
	s.jobs[id] = j
	s.running.Go(func() {
		defer close(j.done)
		defer cancel()
		s.carryOut(ctx, id, j)
		s.mu.Lock()
		delete(s.jobs, id)
		again := j.again
		s.mu.Unlock()
		if again {
			s.begin(id)
		}
	})
}

// stop ends what is under way with the image.
func (s *Service) stop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[id]; j != nil {
		j.cancel()
	}
}

// Progress is how far the pull has come; false when none is under way.
func (s *Service) Progress(id string) (engine.PullProgress, bool) {
	s.mu.Lock()
	j := s.jobs[id]
	s.mu.Unlock()
	if j == nil {
		return engine.PullProgress{}, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.progress, true
}

func (s *Service) carryOut(ctx context.Context, id string, j *job) {
	ctx = auth.AsSystem(ctx)
	row, err := s.Client.Image.Get(ctx, id)
	if err == nil {
		switch row.Status {
		case image.StatusPending, image.StatusPulling:
			err = s.pull(ctx, row, j)
		case image.StatusDeleting:
			err = s.remove(ctx, row)
		case image.StatusBuilding, image.StatusReady, image.StatusFailed, image.StatusCancelled:
		}
	}
	if err != nil && !ent.IsNotFound(err) && ctx.Err() == nil {
		s.Log.WarnContext(ctx, "work on an image did not succeed", "image", id, "error", err)
	}
}

// pull fetches the image and records what came of it. An engine that cannot be
// reached leaves it as it is: it is taken up again when the engine is back.
func (s *Service) pull(ctx context.Context, row *ent.Image, j *job) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.set(ctx, row.ID, func(up *ent.ImageUpdateOne) { up.SetStatus(image.StatusPulling).ClearStatusMessage() }); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, s.Deadline)
	defer cancel()
	got, err := s.fetch(bounded, row, j)
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // cancelled, or the server stops
	case errors.Is(err, engine.ErrUnreachable):
		return errors.Join(err, s.set(ctx, row.ID, func(up *ent.ImageUpdateOne) {
			up.SetStatusMessage("The container engine cannot be reached. The pull goes on by itself when it can.")
		}))
	case err != nil:
		message := s.explain(row, err, bounded.Err() != nil)
		return s.set(ctx, row.ID, func(up *ent.ImageUpdateOne) { up.SetStatus(image.StatusFailed).SetStatusMessage(message) })
	}
	err = s.set(ctx, row.ID, func(up *ent.ImageUpdateOne) {
		up.SetStatus(image.StatusReady).ClearStatusMessage().SetReference(got.reference).SetUsedFallback(got.fallback).
			SetEngineID(got.EngineID).SetSize(record.Bytes(got.Size))
		if got.Digest != "" {
			up.SetDigest(got.Digest)
		}
	})
	if ent.IsNotFound(err) { // cancelled or deleted in the last moment: hold nothing
		return s.Engine.RemoveImage(ctx, row.ID)
	}
	return err
}

type fetched struct {
	engine.ImageInfo
	reference string
	fallback  bool
}

// fetch tries the slim variant first where that is wanted, and the regular one
// where the slim one is not to be had: a registry says that it has no such tag,
// a mirror that lacks it may only say that it failed. What was asked for and is
// not to be had fails: it is never another version.
func (s *Service) fetch(ctx context.Context, row *ent.Image, j *job) (fetched, error) {
	named, err := parse(row.RequestedReference)
	if err != nil {
		return fetched{}, err
	}
	candidates := []reference.Named{named}
	if small := slim(named); row.PreferSlim && small != nil {
		candidates = []reference.Named{small, named}
	}
	var last error
	for i, candidate := range candidates {
		info, err := s.Engine.Pull(ctx, row.ID, candidate.String(), func(p engine.PullProgress) { s.progressed(row, j, p) })
		if err == nil {
			return fetched{ImageInfo: info, reference: candidate.String(), fallback: i > 0}, nil
		}
		last = err
		if !errors.Is(err, engine.ErrNotFound) && !errors.Is(err, engine.ErrRegistry) && !errors.Is(err, engine.ErrUnauthorized) || ctx.Err() != nil {
			break
		}
	}
	return fetched{}, last
}

func (s *Service) progressed(row *ent.Image, j *job, p engine.PullProgress) {
	now := s.Now()
	j.mu.Lock()
	j.progress = p
	tell := now.Sub(j.told) >= tellEvery
	if tell {
		j.told = now
	}
	j.mu.Unlock()
	if tell {
		c := live.Change{Kind: live.Image, ID: row.ID, Op: live.Updated, Public: row.Visibility == image.VisibilityPublic}
		if row.OwnerID != nil {
			c.Owner = *row.OwnerID
		}
		s.Feed.Publish(c)
	}
}

// explain says for a person why a pull failed and what to do.
func (s *Service) explain(row *ent.Image, err error, late bool) string {
	ref, registry := row.RequestedReference, "its registry"
	if named, err := parse(row.RequestedReference); err == nil {
		registry = reference.Domain(named)
	}
	switch {
	case late:
		return fmt.Sprintf("The pull took longer than %s and was given up. %s may be very slow or down; try again later.", s.Deadline, registry)
	case errors.Is(err, engine.ErrNotFound):
		return fmt.Sprintf("%s has no %s. Check the name and the tag.", registry, ref)
	case errors.Is(err, engine.ErrUnauthorized):
		return fmt.Sprintf("%s does not let us have %s: it is private, or there is no such image. Check the name, or ask the administrator to sign in to that registry.", registry, ref)
	case errors.Is(err, engine.ErrDiskFull):
		return "The machine's disk is full. Ask the administrator to make room, then pull again."
	case errors.Is(err, engine.ErrRegistry):
		return fmt.Sprintf("%s could not be reached or failed: %s. Try again later, or ask the administrator for a mirror.", registry, short(err))
	default:
		return fmt.Sprintf("The pull failed: %s", short(err))
	}
}

func short(err error) string {
	text := err.Error()
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// set changes the row unless it is on its way out or was cancelled, and tells.
func (s *Service) set(ctx context.Context, id string, change func(*ent.ImageUpdateOne)) error {
	up := s.Client.Image.UpdateOneID(id).Where(image.StatusIn(image.StatusPending, image.StatusPulling))
	change(up)
	row, err := up.Save(ctx)
	if err != nil {
		return err
	}
	s.publish(row, live.Updated)
	return nil
}

// remove lets go of the image in the engine, then of its row and its place in
// the quota in one transaction.
func (s *Service) remove(ctx context.Context, row *ent.Image) error {
	if err := s.Engine.RemoveImage(ctx, row.ID); err != nil {
		return err // tried again when the engine is back, and by the sweep
	}
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		if row.OwnerID != nil {
			if err := s.Quota.ReleaseImage(ctx, tx, *row.OwnerID); err != nil {
				return err
			}
		}
		return tx.Image.DeleteOneID(row.ID).Exec(ctx)
	})
	if err == nil {
		s.publish(row, live.Removed)
	}
	return err
}
