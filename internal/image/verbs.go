package image

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"

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
	checkMinima(&check, floor, in.MinCPU, in.MinMemory, in.MinGPU)
	return check.Err()
}

// checkMinima holds minima against their bounds; nil is none.
func checkMinima(check *fault.Check, floor record.Bytes, cpu *float64, memory *record.Bytes, gpu *int) {
	check.That(cpu == nil || *cpu >= leastCPU.Float() && *cpu <= mostCPU, "minCpu", "range", "minCpu takes %s to %d cores.", leastCPU, mostCPU)
	check.That(memory == nil || *memory >= floor && *memory <= record.MaxBytes, "minMemory", "range", "minMemory is at least %s here.", floor)
	check.That(gpu == nil || *gpu >= 0 && *gpu <= mostGPU, "minGpu", "range", "minGpu takes 0 to %d.", mostGPU)
}

// minima sets those that were given.
func (in Input) minima(m *ent.ImageMutation) {
	if in.MinCPU != nil {
		m.SetMinCPU(record.CoresOf(*in.MinCPU))
	}
	if in.MinMemory != nil {
		m.SetMinMemory(*in.MinMemory)
	}
	if in.MinGPU != nil {
		m.SetMinGpu(*in.MinGPU)
	}
}

// Pull records that the image is wanted and returns; the server does the rest.
// What the viewer has of the same reference already is refreshed, and takes the
// minima that are given. BAD_USER_INPUT tells all that is wrong with in;
// QUOTA_EXCEEDED that there is no place or disk left, LOW_DISK that the machine
// has none.
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
	if s.Room != nil {
		if err := s.Room(); err != nil {
			return nil, err
		}
	}
	if err := s.Quota.CheckDisk(ctx, v.UserID); err != nil {
		return nil, err
	}
	var row *ent.Image
	op := live.Updated
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		row, err = s.owned(ctx, tx, v.UserID, candidates(named, in.PreferSlim))
		if err != nil {
			return err
		}
		if row == nil {
			op = live.Created
			row, err = s.insert(ctx, tx, v.UserID, in, named)
		} else {
			up := row.Update()
			in.minima(up.Mutation())
			if idle(row) {
				up.SetStatus(image.StatusPending).ClearStatusMessage()
			}
			row, err = up.Save(ctx)
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

func (s *Service) insert(ctx context.Context, tx *ent.Client, owner string, in Input, named reference.Named) (*ent.Image, error) {
	if err := s.Quota.ReserveImage(ctx, tx, owner); err != nil {
		return nil, err
	}
	create := tx.Image.Create().SetOwnerID(owner).SetReference(named.String()).SetRequestedReference(in.Reference).
		SetPreferSlim(in.PreferSlim).SetMinMemory(s.MinMemory)
	in.minima(create.Mutation())
	return create.Save(ctx)
}

// idle says that nothing is under way with the image.
func idle(row *ent.Image) bool {
	return row.Status == image.StatusReady || row.Status == image.StatusFailed || row.Status == image.StatusCancelled
}

// owned is the image that the owner has of the same wish, nil when none. Wishes
// are compared as they are pulled: "python" is "python:latest", and to prefer
// slim makes no other wish of a tag that names its variant.
func (s *Service) owned(ctx context.Context, tx *ent.Client, owner string, wish []reference.Named) (*ent.Image, error) {
	rows, err := tx.Image.Query().Where(image.OwnerID(owner), image.SourceEQ(image.SourcePull), image.StatusNEQ(image.StatusDeleting)).
		Order(ent.Asc(image.FieldCreatedAt)).All(ctx)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		named, err := parse(row.RequestedReference)
		if err == nil && slices.EqualFunc(wish, candidates(named, row.PreferSlim), func(a, b reference.Named) bool { return a.String() == b.String() }) {
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

var cancelled = map[image.Source]string{
	image.SourcePull: "The pull was cancelled.", image.SourceBuild: "The build was cancelled.", image.SourceCommit: "The saving was cancelled.",
}

// Cancel gives up a pull or a build: the image is CANCELLED, and the engine holds nothing of
// it. Where only a refresh is given up, it is READY as it was. INVALID_STATE when
// nothing is under way.
func (s *Service) Cancel(ctx context.Context, id string) (*ent.Image, error) {
	var row *ent.Image
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		if row, err = s.own(ctx, tx, id); err != nil {
			return err
		}
		if !underWay(row.Status) {
			return fault.New(fault.InvalidState, "There is nothing to cancel: the image is %s.", strings.ToLower(string(row.Status))).
				With("status", string(row.Status)).With("allowed", []string{string(image.StatusPending), string(image.StatusPulling), string(image.StatusBuilding)})
		}
		up := row.Update().SetStatus(image.StatusCancelled).SetStatusMessage(cancelled[row.Source])
		if row.EngineID != nil {
			up.SetStatus(image.StatusReady).SetStatusMessage("The refresh was cancelled; it is as it was.")
		}
		if row, err = up.Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "image.cancel", Target: id, TargetName: row.Reference})
	})
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	s.publish(row, live.Updated)
	s.stop(id)
	return row, nil
}

// Delete wants the image gone. It is refused while a container is made of it
// (IMAGE_IN_USE: containers that the viewer sees, and how many others). One transaction looks for containers and marks the image, and the one that
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
	row = row.Unwrap()
	s.publish(row, live.Updated)
	s.stop(id)
	return row, nil
}

func (s *Service) refuseInUse(ctx context.Context, tx *ent.Client, row *ent.Image) error {
	total, err := tx.Container.Query().Where(container.ImageID(row.ID)).Count(auth.AsSystem(ctx))
	if err != nil || total == 0 {
		return err
	}
	seen, err := tx.Container.Query().Where(container.ImageID(row.ID)).Order(ent.Asc(container.FieldCreatedAt)).All(ctx)
	if err != nil {
		return err
	}
	named := make([]fault.Named, len(seen))
	for i, c := range seen {
		named[i] = fault.Named{ID: c.ID, Name: c.Name}
	}
	return fault.InUse(fault.ImageInUse, "Containers are made of this image: %s. Remove them first.", named, total-len(seen))
}
