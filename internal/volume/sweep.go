package volume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/mount"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/crash"
	"github.com/mlride/mlride/internal/engine"
)

// sweepEvery is how often the trash is looked through and volumes are measured.
const sweepEvery = time.Minute

// Run empties the trash and measures what is in volumes until ctx ends.
func (s *Service) Run(ctx context.Context) {
	ctx = auth.AsSystem(ctx)
	if err := s.begin(ctx); err != nil && ctx.Err() == nil {
		s.Log.WarnContext(ctx, "looking through the volumes did not succeed", "error", err)
	}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := s.sweep(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrUnreachable) {
			s.Log.WarnContext(ctx, "looking through the volumes did not succeed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.comeback:
		case <-ticker.C:
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

// begin has every volume measured once: what a container wrote before the server
// ended may not have been.
func (s *Service) begin(ctx context.Context) error {
	ids, err := s.Client.Volume.Query().Where(volume.Purging(false)).IDs(ctx)
	for _, id := range ids {
		s.mayChange(id)
	}
	return err
}

// mayChange has a volume measured at the next sweep.
func (s *Service) mayChange(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changing[id] = true
}

func (s *Service) sweep(ctx context.Context) error {
	return errors.Join(s.expire(ctx), s.purge(ctx), s.measure(ctx))
}

// expire gives up what was in the trash for long enough.
func (s *Service) expire(ctx context.Context) error {
	before := s.Now().UTC().Add(-s.Trash)
	rows, err := s.Client.Volume.Query().Where(volume.DeletedAtLTE(before), volume.Purging(false)).All(ctx)
	for _, row := range rows {
		err = errors.Join(err, s.tx(ctx, "expire", func(tx *ent.Client) error {
			changed, err := tx.Volume.Update().Where(volume.ID(row.ID), volume.DeletedAtLTE(before), volume.Purging(false)).SetPurging(true).Save(ctx)
			if err != nil || changed == 0 { // restored meanwhile
				return err
			}
			return audited(ctx, tx, row, "purge", "Its time in the trash was over.")
		}))
	}
	return err
}

// purge goes on with what is being removed for good.
func (s *Service) purge(ctx context.Context) error {
	ids, err := s.Client.Volume.Query().Where(volume.Purging(true)).IDs(ctx)
	for _, id := range ids {
		removal := s.remove(ctx, id)
		if errors.Is(removal, engine.ErrUnreachable) {
			return removal // the others would say the same
		}
		err = errors.Join(err, removal)
	}
	return err
}

// remove takes a volume that is being purged out of the engine, and then out of
// the ledger. It may be done again, and by several at once: the engine takes a
// second removal for the first, and the row is given up once.
func (s *Service) remove(ctx context.Context, id string) error {
	crash.Point("volume.remove.ask")
	err := s.Engine.RemoveVolume(ctx, id)
	crash.Point("volume.remove.done")
	if err != nil {
		return fmt.Errorf("remove the volume %s: %w", id, err)
	}
	owner := ""
	err = s.tx(ctx, "forget", func(tx *ent.Client) error {
		row, err := tx.Volume.Query().Where(volume.ID(id), volume.Purging(true)).Only(ctx)
		if ent.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		owner = row.OwnerID
		if err := tx.Volume.DeleteOne(row).Exec(ctx); err != nil {
			return err
		}
		return s.Quota.ReleaseVolume(ctx, tx, owner)
	})
	if err == nil && owner != "" {
		s.publish(owner)
	}
	return err
}

// measure asks the engine how much is in the volumes that may have changed. One
// that no container has any more is measured once more, and then stays.
func (s *Service) measure(ctx context.Context) error {
	var mounted []string
	err := s.Client.Mount.Query().GroupBy(mount.FieldVolumeID).Scan(ctx, &mounted)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	s.mu.Lock()
	for _, id := range mounted {
		has[id], s.changing[id] = true, true
	}
	ids := slices.Sorted(maps.Keys(s.changing))
	for id := range s.changing {
		if !has[id] {
			delete(s.changing, id)
		}
	}
	s.mu.Unlock()
	for i, id := range ids {
		size, measured := s.Engine.VolumeSize(ctx, id)
		switch {
		case measured == nil:
			err = errors.Join(err, s.keepSize(ctx, id, record.Bytes(size)))
		case errors.Is(measured, engine.ErrNotFound): // no container was made with it yet
		case errors.Is(measured, engine.ErrUnreachable), ctx.Err() != nil:
			for _, later := range ids[i:] {
				s.mayChange(later)
			}
			return errors.Join(err, measured)
		default:
			s.mayChange(id) // and so it is asked for again
			err = errors.Join(err, fmt.Errorf("measure the volume %s: %w", id, measured))
		}
	}
	return err
}

// keepSize writes a size that is new.
func (s *Service) keepSize(ctx context.Context, id string, size record.Bytes) error {
	row, err := s.Client.Volume.Get(ctx, id)
	if err == nil && (row.Size == nil || *row.Size != size) {
		err = row.Update().SetSize(size).SetMeasuredAt(s.Now().UTC()).Exec(ctx)
		if err == nil {
			s.publish(row.OwnerID)
		}
	}
	if ent.IsNotFound(err) {
		return nil // purged meanwhile
	}
	return err
}
