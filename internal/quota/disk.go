package quota

import (
	"context"
	"fmt"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// Disk is not reserved but measured: what is there when one looks.

// CheckDisk refuses when what the owner has on disk fills the quota.
func (s *Service) CheckDisk(ctx context.Context, owner string) error {
	p, err := s.DiskProblem(ctx, owner)
	if err != nil || p == nil {
		return err
	}
	return p.Fault()
}

// DiskProblem says that what the owner has on disk fills the quota; nil when not.
func (s *Service) DiskProblem(ctx context.Context, owner string) (*Problem, error) {
	ctx = auth.AsSystem(ctx)
	used, err := s.disk(ctx, owner)
	if err != nil {
		return nil, err
	}
	q, err := s.Client.Quota.Query().Where(quota.UserID(owner)).Only(ctx)
	if err != nil || used < q.MaxDisk {
		return nil, err
	}
	return &Problem{
		Code: fault.QuotaExceeded, Resource: "disk",
		Message: fmt.Sprintf("Your quota is %s of disk; your images, volumes and containers take %s. Delete something first.", q.MaxDisk, used),
		Limit:   float64(q.MaxDisk), Used: float64(used),
	}, nil
}

// disk is what the owner's images, volumes and written layers take, as last measured.
func (s *Service) disk(ctx context.Context, owner string) (record.Bytes, error) {
	images, err := s.Client.Image.Query().Where(image.OwnerID(owner), image.SizeNotNil()).Select(image.FieldSize).Ints(ctx)
	if err != nil {
		return 0, err
	}
	volumes, err := s.Client.Volume.Query().Where(volume.OwnerID(owner), volume.SizeNotNil()).Select(volume.FieldSize).Ints(ctx)
	if err != nil {
		return 0, err
	}
	layers, err := s.Client.Container.Query().Where(container.OwnerID(owner), container.DiskUsedNotNil()).Select(container.FieldDiskUsed).Ints(ctx)
	sum := record.Bytes(0)
	for _, sizes := range [][]int{images, volumes, layers} {
		for _, n := range sizes {
			sum += record.Bytes(n)
		}
	}
	return sum, err
}
