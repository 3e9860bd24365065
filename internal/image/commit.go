package image

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// CommitContainer records that a container of the viewer's own is to be saved as
// an image, and returns; the server does the rest. The container goes on, and is
// not frozen for it: what is being written at that moment may be saved half. Errors
// are those of BuildImage; NOT_FOUND when there is no such container, INVALID_STATE
// when the engine has nothing of it.
func (s *Service) CommitContainer(ctx context.Context, id, name string) (*ent.Image, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	checkName(&check, name)
	if err := check.Err(); err != nil {
		return nil, err
	}
	c, err := s.Client.Container.Query().Where(container.ID(id)).WithImage().Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("container", id)
	}
	if err != nil {
		return nil, err
	}
	if c.OwnerID != v.UserID {
		return nil, fault.New(fault.Forbidden, "Only its owner saves a container: the image would be the owner's.")
	}
	if c.Observed == container.ObservedAbsent || c.Observed == container.ObservedLost || c.Desired == container.DesiredRemoved {
		return nil, fault.New(fault.InvalidState, "There is nothing of this container in the engine to save.").With("status", string(c.Status))
	}
	origin := c.Edges.Image
	return s.record(ctx, v.UserID, "image.commit", name, func(create *ent.ImageCreate) {
		create.SetSource(image.SourceCommit).SetCommittedFromID(id).SetMinMemory(s.MinMemory)
		if origin != nil {
			create.SetMinCPU(origin.MinCPU).SetMinMemory(origin.MinMemory).SetMinGpu(origin.MinGpu)
		}
	})
}
