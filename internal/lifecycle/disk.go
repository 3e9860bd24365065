package lifecycle

import (
	"context"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
)

// diskWarning begins the message that a person's disk is full, and tells it
// from others.
const diskWarning = "Your disk is full: "

// space says why nothing may be begun for the owner now: the machine's disk is
// nearly full, or the owner's own is. It asks the file system, so it is called
// before a transaction and not in one.
func (s *Service) space(ctx context.Context, owner string) error {
	if err := s.Room(); err != nil {
		return err
	}
	return s.Quota.CheckDisk(ctx, owner)
}

// spaceOf is space for the owner of a container that the viewer sees.
func (s *Service) spaceOf(ctx context.Context, id string) error {
	row, err := s.Client.Container.Get(ctx, id)
	if err != nil {
		return ignoreMissing(err) // the verb says that there is none
	}
	return s.space(ctx, row.OwnerID)
}

// worthTelling says whether a size differs enough from the one before: by more
// than a MiB, or by a twentieth of what is not small.
func worthTelling(was *record.Bytes, now record.Bytes) bool {
	if was == nil {
		return true
	}
	d := max(now-*was, *was-now)
	return d > record.MiB || d > 64*record.KiB && d*20 > *was
}

// DiskUsed records what was written in a container outside of its volumes.
func (s *Service) DiskUsed(ctx context.Context, id string, size record.Bytes) error {
	var owner string
	news := func(row *ent.Container) bool { return worthTelling(row.DiskUsed, size) }
	err := s.serveNews(ctx, id, news, func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		owner = row.OwnerID
		up.SetDiskUsed(size)
		return true, nil
	})
	if err == nil && owner != "" {
		s.Feed.Publish(live.Change{Kind: live.Usage, ID: owner, Owner: owner, Op: live.Updated})
	}
	return err
}

// DiskFull tells the owner, on a running container that wrote, that their disk
// is full; DiskFits takes it back.
func (s *Service) DiskFull(ctx context.Context, id, why string) error {
	return s.serve(ctx, id, func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		if row.Desired == container.DesiredRemoved || fullTold(row) {
			return false, nil
		}
		message := diskWarning + why
		up.SetStatusMessage(message)
		return true, note(ctx, tx, id, Line{"disk-full", message})
	})
}

// DiskFits takes back what DiskFull said.
func (s *Service) DiskFits(ctx context.Context, owner string) error {
	ctx = auth.AsSystem(ctx)
	ids, err := s.Client.Container.Query().
		Where(container.OwnerID(owner), container.StatusMessageHasPrefix(diskWarning)).IDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := s.serve(ctx, id, func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
			if fullTold(row) {
				up.ClearStatusMessage()
			}
			return fullTold(row), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func fullTold(row *ent.Container) bool {
	return row.StatusMessage != nil && strings.HasPrefix(*row.StatusMessage, diskWarning)
}

// diskProblems is space in the words of the dry run.
func (s *Service) diskProblems(ctx context.Context, owner string) ([]quota.Problem, error) {
	var found []quota.Problem
	if err := s.Room(); err != nil {
		f := fault.Of(err)
		found = append(found, quota.Problem{Code: f.Code, Resource: "disk", Message: f.Message})
	}
	p, err := s.Quota.DiskProblem(ctx, owner)
	if p != nil {
		found = append(found, *p)
	}
	return found, err
}
