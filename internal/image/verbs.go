package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Input is an image to pull.
type Input struct {
	Reference  string
	PreferSlim bool
	MinCPU     *float64
	MinMemory  *record.Bytes
	MinGPU     *int
}

// The bounds of an image's minima.
const (
	leastCPU = record.Cores(10)
	mostCPU  = 10_000
	mostGPU  = 10_000
)

func (in Input) check(floor record.Bytes) error {
	var check fault.Check
	_, err := parse(in.Reference)
	check.That(err == nil, "reference", "format", referenceRule)
	check.That(in.MinCPU == nil || *in.MinCPU >= leastCPU.Float() && *in.MinCPU <= mostCPU, "minCpu", "range", "minCpu takes %s to %d cores.", leastCPU, mostCPU)
	check.That(in.MinMemory == nil || *in.MinMemory >= floor && *in.MinMemory <= record.MaxBytes, "minMemory", "range", "minMemory is at least %s here.", floor)
	check.That(in.MinGPU == nil || *in.MinGPU >= 0 && *in.MinGPU <= mostGPU, "minGpu", "range", "minGpu takes 0 to %d.", mostGPU)
	return check.Err()
}

// Pull records that the image is wanted and returns; the server does the rest.
// What the viewer has of the same reference already is refreshed.
func (s *Service) Pull(ctx context.Context, in Input) (*ent.Image, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	if err := in.check(s.MinMemory); err != nil {
		return nil, err
	}
	named, err := parse(in.Reference)
	if err != nil {
		return nil, err
	}
	if err := s.Quota.CheckDisk(ctx, v.UserID); err != nil {
		return nil, err
	}
	var row *ent.Image
	op := live.Updated
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		row, err = s.owned(ctx, tx, v.UserID, named.String(), in.PreferSlim)
		if err != nil {
			return err
		}
		if row == nil {
			op = live.Created
			if err := s.Quota.ReserveImage(ctx, tx, v.UserID); err != nil {
				return err
			}
			create := tx.Image.Create().SetOwnerID(v.UserID).SetReference(named.String()).SetRequestedReference(in.Reference).
				SetPreferSlim(in.PreferSlim).SetMinMemory(s.MinMemory).SetNillableMinGpu(in.MinGPU)
			if in.MinMemory != nil {
				create.SetMinMemory(*in.MinMemory)
			}
			if in.MinCPU != nil {
				create.SetMinCPU(record.CoresOf(*in.MinCPU))
			}
			row, err = create.Save(ctx)
		} else if s.idle(row) {
			row, err = row.Update().SetStatus(image.StatusPending).ClearStatusMessage().Save(ctx)
		}
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.pull", Target: row.ID, TargetName: named.String()})
	})
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row, op)
	s.begin(row.ID)
	return row, nil
}

// idle says that nothing is under way with the image.
func (s *Service) idle(row *ent.Image) bool {
	switch row.Status {
	case image.StatusReady, image.StatusFailed, image.StatusCancelled:
		return true
	default:
		return false
	}
}

// owned is the image that the owner has of the same reference, nil when none.
// References are compared as they are pulled: "python" is "python:latest".
func (s *Service) owned(ctx context.Context, tx *ent.Client, owner, normalised string, preferSlim bool) (*ent.Image, error) {
	rows, err := tx.Image.Query().Where(image.OwnerID(owner), image.SourceEQ(image.SourcePull), image.StatusNEQ(image.StatusDeleting)).
		Order(ent.Asc(image.FieldCreatedAt)).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		named, err := parse(row.RequestedReference)
		if err == nil && named.String() == normalised && row.PreferSlim == preferSlim {
			return row, nil
		}
	}
	return nil, nil
}

// own is an image that the viewer may change. One that is seen and not one's own
// is FORBIDDEN: its being there is no secret.
func (s *Service) own(ctx context.Context, tx *ent.Client, id string) (*ent.Image, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	row, err := tx.Image.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("image", id)
	}
	if err == nil && !v.SeesAll() && (row.OwnerID == nil || *row.OwnerID != v.UserID) {
		err = fault.New(fault.Forbidden, "This image is not yours to change.")
	}
	return row, err
}

// Cancel gives up a pull.
func (s *Service) Cancel(ctx context.Context, id string) (*ent.Image, error) {
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		if row, err = s.own(ctx, tx, id); err != nil {
			return err
		}
		if row.Status != image.StatusPending && row.Status != image.StatusPulling {
			return fault.New(fault.InvalidState, "There is nothing to cancel: the image is %s.", strings.ToLower(string(row.Status))).
				With("status", string(row.Status)).With("allowed", []string{string(image.StatusPending), string(image.StatusPulling)})
		}
		if row, err = row.Update().SetStatus(image.StatusCancelled).SetStatusMessage("The pull was cancelled.").Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.cancel", Target: id, TargetName: row.Reference})
	})
	if err != nil {
		return nil, err
	}
	s.stop(id)
	row = row.Unwrap()
	s.publish(row, live.Updated)
	return row, nil
}

// Delete wants the image gone. It is refused while a container is made of it.
// One transaction looks for containers and marks the image, and the one that
// makes a container looks at the mark: whichever comes first wins.
func (s *Service) Delete(ctx context.Context, id string) (*ent.Image, error) {
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		if row, err = s.own(ctx, tx, id); err != nil {
			return err
		}
		if row.Status == image.StatusDeleting {
			return nil
		}
		if err := s.refuseInUse(ctx, tx, row); err != nil {
			return err
		}
		if row, err = row.Update().SetStatus(image.StatusDeleting).ClearStatusMessage().Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.delete", Target: id, TargetName: row.Reference})
	})
	if err != nil {
		return nil, err
	}
	s.stop(id)
	row = row.Unwrap()
	s.publish(row, live.Updated)
	s.begin(id)
	return row, nil
}

// maxNamed bounds how many containers a refusal names.
const maxNamed = 20

func (s *Service) refuseInUse(ctx context.Context, tx *ent.Client, row *ent.Image) error {
	total, err := tx.Container.Query().Where(container.ImageID(row.ID)).Count(auth.AsSystem(ctx))
	if err != nil || total == 0 {
		return err
	}
	seen, err := tx.Container.Query().Where(container.ImageID(row.ID)).Order(ent.Asc(container.FieldCreatedAt)).All(ctx)
	if err != nil {
		return err
	}
	others := total - len(seen)
	named, names := []map[string]string{}, []string{}
	for _, c := range seen[:min(len(seen), maxNamed)] {
		named = append(named, map[string]string{"id": c.ID, "name": c.Name})
		names = append(names, c.Name)
	}
	message := "Containers are made of this image: " + strings.Join(names, ", ")
	if others > 0 {
		message += fmt.Sprintf(" and %d of other people", others)
	}
	return fault.New(fault.ImageInUse, "%s. Remove them first.", message).With("containers", named).With("others", others)
}
