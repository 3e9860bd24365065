package image

import (
	"context"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Refresh brings an image up to date: it is pulled again, or built again on the
// newest base. Containers of it keep what they have. What is under way already is
// left alone. INVALID_STATE for what cannot be had again: saved from a container,
// or come with the installation. QUOTA_EXCEEDED and LOW_DISK as with Pull.
func (s *Service) Refresh(ctx context.Context, id string) (*ent.Image, error) {
	row, err := s.own(ctx, s.Client, id)
	if err != nil {
		return nil, err
	}
	if s.Room != nil {
		if err := s.Room(); err != nil {
			return nil, err
		}
	}
	if row.OwnerID == nil {
		return nil, fault.New(fault.InvalidState, "This image came with the installation; it follows what the engine has.").With("status", string(row.Status))
	}
	if err := s.Quota.CheckDisk(ctx, *row.OwnerID); err != nil {
		return nil, err
	}
	switch row.Source {
	case image.SourcePull, image.SourceBuild:
		return s.again(ctx, id)
	case image.SourceCommit:
	}
	return nil, fault.New(fault.InvalidState, "This image was saved from a container; there is nothing to fetch it from. Save it again instead.").With("status", string(row.Status))
}

// again has it pulled or built once more.
func (s *Service) again(ctx context.Context, id string) (*ent.Image, error) {
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		if row, err = s.own(ctx, tx, id); err != nil {
			return err
		}
		if row.Status == image.StatusDeleting {
			return fault.New(fault.InvalidState, "The image is being deleted.").With("status", string(row.Status))
		}
		if idle(row) {
			if row, err = row.Update().SetStatus(image.StatusPending).ClearStatusMessage().Save(ctx); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.refresh", Target: id, TargetName: row.Reference})
	})
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row, live.Updated)
	s.begin(id)
	return row, nil
}

const (
	// askedAtOnce bounds the questions to registries under way, and askedInARow how
	// many references are asked about in one go: they take turns.
	askedAtOnce = 2
	askedInARow = 50
)

// lookForUpdates asks registries now and then whether tags have moved on.
func (s *Service) lookForUpdates(ctx context.Context) {
	if s.CheckEvery <= 0 {
		return
	}
	ticker := time.NewTicker(max(s.CheckEvery/24, time.Millisecond))
	defer ticker.Stop()
	for {
		if err := s.check(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "looking for newer images did not succeed", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// check asks about what was not asked about for long, each reference once. A
// registry that does not say is asked again when its turn comes.
func (s *Service) check(ctx context.Context) error {
	rows, err := s.Client.Image.Query().Where(
		image.StatusEQ(image.StatusReady),
		image.Or(image.CheckedAtIsNil(), image.CheckedAtLTE(s.Now().UTC().Add(-s.CheckEvery))),
		image.Or(image.And(image.SourceEQ(image.SourcePull), image.OwnerIDNotNil(), image.DigestNotNil()), image.And(image.BaseReferenceNotNil(), image.BaseDigestNotNil())),
	).Order(image.ByCheckedAt(sql.OrderNullsFirst())).Limit(10 * askedInARow).All(ctx)
	if err != nil {
		return err
	}
	about := map[string][]*ent.Image{}
	for _, row := range rows {
		ref, _ := standsOn(row)
		if _, known := about[ref]; known || len(about) < askedInARow {
			about[ref] = append(about[ref], row)
		}
	}
	turns := make(chan struct{}, askedAtOnce)
	var all sync.WaitGroup
	defer all.Wait()
	for ref, rows := range about {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		all.Go(func() {
			defer func() { <-turns }()
			s.compareWithRegistry(ctx, ref, rows)
		})
	}
	return nil
}

// standsOn is the reference whose moving makes an image old, and the digest that
// it had: its own, or of a build its base's.
func standsOn(row *ent.Image) (ref, digest string) {
	if row.Source == image.SourcePull {
		return row.Reference, *row.Digest
	}
	return *row.BaseReference, *row.BaseDigest
}

func (s *Service) compareWithRegistry(ctx context.Context, ref string, rows []*ent.Image) {
	now, err := s.remoteDigest(ctx, ref)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		s.Log.DebugContext(ctx, "a registry did not say whether an image is still the newest", "reference", ref, "error", err)
	}
	for _, row := range rows {
		_, had := standsOn(row)
		up := s.Client.Image.UpdateOneID(row.ID).Where(image.StatusEQ(image.StatusReady)).SetCheckedAt(s.Now().UTC())
		moved := now != "" && now != had
		if now != "" {
			up.SetUpdateAvailable(moved)
		}
		if row.Source == image.SourcePull {
			up.Where(image.Digest(had)) // else it was refreshed meanwhile
		}
		changed, err := up.Save(ctx)
		switch {
		case ent.IsNotFound(err):
		case err != nil:
			s.Log.WarnContext(ctx, "noting that an image is not the newest did not succeed", "image", row.ID, "error", err)
		case changed.UpdateAvailable != row.UpdateAvailable:
			s.publish(changed, live.Updated)
		}
	}
}

// remoteDigest asks where a pull would, in that order; who answers first is right.
// A reference by digest never moves.
func (s *Service) remoteDigest(ctx context.Context, ref string) (string, error) {
	named, err := parse(ref)
	if err != nil {
		return "", err
	}
	if pinned, ok := named.(reference.Digested); ok {
		return pinned.Digest().String(), nil
	}
	digest := ""
	for _, from := range s.sources(named) {
		if digest, err = s.Engine.RemoteDigest(ctx, from.reference); err == nil || ctx.Err() != nil {
			break
		}
	}
	return digest, err
}
