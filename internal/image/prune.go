package image

import (
	"context"
	"errors"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

const (
	// cleanEvery is how often what nobody needs is let go of, and how much that
	// would be is measured.
	cleanEvery = time.Hour
	// stepsKept is how long the steps of builds stay, for the next build to go on from.
	stepsKept = 24 * time.Hour
)

// Pruned is what was or would be let go of.
type Pruned struct {
	Images []*ent.Image
	// Untagged is how many leftovers there were.
	Untagged int
	Bytes    record.Bytes
}

// Prune removes images that came to nothing or that nobody has used for Keep, and
// what pulls and builds left over; dry only tells. Images that containers are made
// of stay, and so does whatever this server did not make. For administrators
// (FORBIDDEN); ENGINE_UNAVAILABLE without the engine.
func (s *Service) Prune(ctx context.Context, dry bool) (Pruned, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return Pruned{}, err
	}
	if !v.SeesAll() {
		return Pruned{}, fault.New(fault.Forbidden, "Only administrators clean up the machine.")
	}
	p, err := s.prune(ctx, dry, image.StatusIn(image.StatusFailed, image.StatusCancelled))
	if errors.Is(err, engine.ErrUnreachable) {
		err = fault.New(fault.EngineUnavailable, "The container engine cannot be reached. Try again when it can.").Because(err)
	}
	return p, err
}

// useless are the images that may go: those that are as came says, and those that
// nobody has used for Keep. None of them has a container.
func (s *Service) useless(ctx context.Context, tx *ent.Client, came predicate.Image) ([]*ent.Image, error) {
	which := []predicate.Image{came}
	if s.Keep > 0 {
		which = append(which, image.And(image.StatusIn(image.StatusReady, image.StatusFailed, image.StatusCancelled), s.unused()))
	}
	return tx.Image.Query().Where(image.OwnerIDNotNil(), image.Not(image.HasContainers()), image.Or(which...)).
		Order(ent.Asc(image.FieldCreatedAt)).All(auth.AsSystem(ctx))
}

func (s *Service) unused() predicate.Image {
	before := s.Now().UTC().Add(-s.Keep)
	return image.And(image.CreatedAtLT(before), image.Or(image.LastUsedAtIsNil(), image.LastUsedAtLT(before)))
}

// none matches nothing.
func none(s *sql.Selector) { s.Where(sql.False()) }

func (s *Service) prune(ctx context.Context, dry bool, came predicate.Image) (Pruned, error) {
	left, err := s.leftovers(ctx)
	if err != nil {
		return Pruned{}, err
	}
	p := Pruned{Untagged: len(left)}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		if p.Images, err = s.useless(ctx, tx, came); err != nil || dry {
			return err
		}
		for i, row := range p.Images {
			if p.Images[i], err = row.Update().SetStatus(image.StatusDeleting).ClearStatusMessage().Save(auth.AsSystem(ctx)); err != nil {
				return err
			}
			if err := audit.Record(ctx, tx, audit.Entry{Action: "image.delete", Target: row.ID, TargetName: row.Reference, Detail: "cleaning up"}); err != nil {
				return err
			}
		}
		if len(p.Images)+len(left) == 0 {
			return nil
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.prune", Detail: fmt.Sprintf("images %d, untagged %d", len(p.Images), len(left))})
	})
	if err != nil {
		return Pruned{}, err
	}
	ids := make([]string, len(p.Images))
	for i, row := range p.Images {
		p.Images[i] = row.Unwrap()
		ids[i] = row.ID
	}
	bytes, err := s.Engine.Freed(ctx, ids, left)
	p.Bytes = record.Bytes(bytes)
	if dry {
		return p, err
	}
	for _, row := range p.Images {
		s.publish(row, live.Updated)
		s.stop(row.ID)
	}
	for _, ref := range left {
		if gone := s.Engine.RemoveLeftover(ctx, ref); gone != nil && !errors.Is(gone, engine.ErrBusy) { // else a container was made of it since
			err = errors.Join(err, gone)
		}
	}
	s.reclaimable.Store(0)
	return p, err
}

// leftovers are those that may go now.
func (s *Service) leftovers(ctx context.Context) ([]string, error) {
	all, err := s.Engine.Leftovers(ctx)
	var refs []string
	for _, l := range all {
		if !l.Step || l.Since.Before(s.Now().Add(-stepsKept)) {
			refs = append(refs, l.Ref)
		}
	}
	return refs, err
}

// Reclaimable is what Prune would free, as last measured; 0 before.
func (s *Service) Reclaimable() record.Bytes { return record.Bytes(s.reclaimable.Load()) }

// clean lets go of leftovers, and of images that nobody has used for Keep, and
// measures what an administrator could free besides. Images are people's: without
// Keep none goes by itself.
func (s *Service) clean(ctx context.Context) error {
	_, err := s.prune(ctx, false, none)
	if err != nil {
		return err
	}
	would, err := s.prune(ctx, true, image.StatusIn(image.StatusFailed, image.StatusCancelled))
	if err == nil {
		s.reclaimable.Store(int64(would.Bytes))
	}
	return err
}
