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

// sweepEvery is how often rows and engine are compared when nothing hints at a
// difference.
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
	defer func() { // nothing may begin any more when that is waited for
		s.mu.Lock()
		defer s.mu.Unlock()
		s.life = nil
	}()
	s.running.Go(func() { s.lookForUpdates(ctx) })
	s.running.Go(func() { s.followCatalogue(ctx) })
	s.EngineUp()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	cleaning := time.NewTicker(cleanEvery)
	defer cleaning.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-s.comeback:
			err = errors.Join(s.sweep(ctx), s.starter(ctx), s.clean(ctx))
		case <-ticker.C:
			err = s.sweep(ctx)
		case <-cleaning.C:
			err = s.clean(ctx)
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
func (s *Service) Observe(id string) { s.begin(id) }

// sweep compares every row with what the engine holds, takes up what is not
// finished, and lets go of what has no row.
func (s *Service) sweep(ctx context.Context) error {
	held, err := s.Engine.ListImages(ctx)
	if errors.Is(err, engine.ErrUnreachable) {
		return errors.Join(err, s.tellAway(ctx))
	}
	if err != nil {
		return err
	}
	inEngine := map[string]bool{}
	for _, id := range held {
		inEngine[id] = true
	}
	rows, err := s.Client.Image.Query().Select(image.FieldID, image.FieldStatus).All(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		asksFor := false
		switch row.Status {
		case image.StatusPending, image.StatusPulling, image.StatusBuilding, image.StatusDeleting:
			asksFor = true
		case image.StatusReady:
			asksFor = !inEngine[row.ID]
		case image.StatusFailed, image.StatusCancelled:
			asksFor = inEngine[row.ID]
		}
		if asksFor {
			s.begin(row.ID)
		}
		delete(inEngine, row.ID)
	}
	for id := range inEngine {
		s.begin(id) // it looks again: the row may have been made since
	}
	return s.Engine.SweepBuilds(ctx, s.isBuilding)
}

// tellAway has what is not finished try once, and so say what it waits for.
func (s *Service) tellAway(ctx context.Context) error {
	ids, err := s.Client.Image.Query().Where(
		image.StatusIn(image.StatusPending, image.StatusPulling, image.StatusBuilding, image.StatusDeleting), image.StatusMessageIsNil(),
	).IDs(ctx)
	for _, id := range ids {
		s.begin(id)
	}
	return err
}

// starter offers everybody the engine's local starter image, where it has one,
// and follows when its content has changed.
func (s *Service) starter(ctx context.Context) error {
	if s.Starter == "" {
		return nil
	}
	named, err := parse(s.Starter)
	if err != nil {
		return err
	}
	row, err := s.Client.Image.Query().
		Where(image.OwnerIDIsNil(), image.RequestedReferenceIn(s.Starter, named.String()), image.StatusNEQ(image.StatusDeleting)).
		Order(ent.Asc(image.FieldCreatedAt)).First(ctx)
	id := image.DefaultID()
	if err == nil {
		id = row.ID
	} else if !ent.IsNotFound(err) {
		return err
	}
	adopting := s.do(id, func(ctx context.Context, _ *job) error { return s.adopt(ctx, id, named.String(), row) })
	if adopting != nil {
		<-adopting.done
	}
	return nil
}

// adopt takes the engine's local image as the content of the row with that id,
// which is made when row is nil.
func (s *Service) adopt(ctx context.Context, id, ref string, row *ent.Image) error {
	info, err := s.Engine.Adopt(ctx, id, ref)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case row == nil:
		row, err = s.Client.Image.Create().SetID(id).SetReference(ref).SetRequestedReference(ref).
			SetVisibility(image.VisibilityPublic).SetMinMemory(s.MinMemory).
			SetStatus(image.StatusReady).SetEngineID(info.EngineID).SetSize(record.Bytes(info.Size)).
			SetLayers(s.layers(ctx, id)).Save(ctx)
		if err == nil {
			s.publish(row, live.Created)
		}
		return err
	case row.Status == image.StatusReady && row.EngineID != nil && *row.EngineID == info.EngineID:
		return nil
	}
	up := s.Client.Image.UpdateOneID(id).Where(image.StatusNEQ(image.StatusDeleting))
	hold(up, info)
	up.SetLayers(s.layers(ctx, id))
	if err := s.save(ctx, up.SetStatus(image.StatusReady).ClearStatusMessage()); !ent.IsNotFound(err) {
		return err
	}
	return nil // an administrator deletes it just now
}
