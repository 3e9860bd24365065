package image

import (
	"context"
	"errors"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
)

const sweepEvery = 30 * time.Second

// Run takes up what was under way, and compares rows and engine now and then
// and whenever something hints at a difference, until ctx ends. Pulls under way
// are then given up and taken up by the next Run.
func (s *Service) Run(ctx context.Context) {
	ctx = auth.AsSystem(ctx)
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()
	defer s.running.Wait()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case id := <-s.hints:
			err = s.look(ctx, id)
		case <-s.comeback:
			err = errors.Join(s.sweep(ctx), s.starter(ctx))
		case <-ticker.C:
			err = s.sweep(ctx)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrUnreachable) {
			s.Log.WarnContext(ctx, "comparing images with the engine did not succeed", "error", err)
		}
	}
}

// EngineUp says that the engine can be reached (again).
func (s *Service) EngineUp() {
	select {
	case s.comeback <- struct{}{}:
	default:
	}
}

// Observe hints that something happened to an image in the engine.
func (s *Service) Observe(id string) {
	select {
	case s.hints <- id:
	default: // the sweep will see it
	}
}

// look compares one ready image with the engine.
func (s *Service) look(ctx context.Context, id string) error {
	row, err := s.Client.Image.Get(ctx, id)
	if ent.IsNotFound(err) || err == nil && row.Status != image.StatusReady {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Engine.InspectImage(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return s.gone(ctx, id)
	}
	return err
}

// gone notes that a ready image is no longer in the engine.
func (s *Service) gone(ctx context.Context, id string) error {
	row, err := s.Client.Image.UpdateOneID(id).Where(image.StatusEQ(image.StatusReady)).
		SetStatus(image.StatusFailed).SetStatusMessage("It is no longer in the engine. Pull it again.").Save(ctx)
	if ent.IsNotFound(err) {
		return nil
	}
	if err == nil {
		s.publish(row, live.Updated)
	}
	return err
}

// sweep compares every row with what the engine holds, takes up what is not
// finished, and lets go of what has no row.
func (s *Service) sweep(ctx context.Context) error {
	held, err := s.Engine.ListImages(ctx)
	if err != nil {
		return err
	}
	inEngine := map[string]bool{}
	for _, id := range held {
		inEngine[id] = true
	}
	rows, err := s.Client.Image.Query().All(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, row := range rows {
		switch row.Status {
		case image.StatusPending, image.StatusPulling, image.StatusDeleting:
			s.mu.Lock()
			underWay := s.jobs[row.ID] != nil
			s.mu.Unlock()
			if !underWay {
				s.begin(row.ID)
			}
		case image.StatusReady:
			if !inEngine[row.ID] {
				wrong = append(wrong, s.gone(ctx, row.ID))
			}
		case image.StatusBuilding, image.StatusFailed, image.StatusCancelled:
		}
		delete(inEngine, row.ID)
	}
	for id := range inEngine {
		if _, err := s.Client.Image.Get(ctx, id); ent.IsNotFound(err) { // not one that was made since the list
			wrong = append(wrong, s.Engine.RemoveImage(ctx, id))
		}
	}
	return errors.Join(wrong...)
}

// starter offers everybody the engine's local starter image, where it has one.
func (s *Service) starter(ctx context.Context) error {
	if s.Starter == "" {
		return nil
	}
	row, err := s.Client.Image.Query().Where(image.OwnerIDIsNil(), image.RequestedReference(s.Starter)).First(ctx)
	if ent.IsNotFound(err) {
		row, err = s.offer(ctx)
	}
	if err != nil || row == nil || row.Status == image.StatusReady {
		return err
	}
	info, err := s.Engine.Adopt(ctx, row.ID, s.Starter)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	up := row.Update().SetStatus(image.StatusReady).ClearStatusMessage().SetEngineID(info.EngineID).SetSize(record.Bytes(info.Size))
	if info.Digest != "" {
		up.SetDigest(info.Digest)
	}
	if row, err = up.Save(ctx); err == nil {
		s.publish(row, live.Updated)
	}
	return err
}

// offer makes the starter's row when the engine has the image, nil when not.
// The row comes first: what the engine holds without one is let go of.
func (s *Service) offer(ctx context.Context) (*ent.Image, error) {
	named, err := parse(s.Starter)
	if err != nil {
		return nil, err
	}
	row, err := s.Client.Image.Create().SetReference(named.String()).SetRequestedReference(s.Starter).
		SetVisibility(image.VisibilityPublic).SetMinMemory(s.MinMemory).
		SetStatus(image.StatusFailed).SetStatusMessage("It is being taken from the engine.").Save(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := s.Engine.Adopt(ctx, row.ID, s.Starter); errors.Is(err, engine.ErrNotFound) {
		return nil, s.Client.Image.DeleteOneID(row.ID).Exec(ctx)
	} else if err != nil {
		return nil, err
	}
	return row, nil
}
