package quota

import (
	"context"
	"fmt"
	"strings"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// Disk is not reserved but measured: what is there when one looks.

// disk is what fills somebody's disk quota, as last measured.
type disk struct {
	images, volumes, trash, layers record.Bytes
}

func (d disk) sum() record.Bytes { return d.images + d.volumes + d.trash + d.layers }

// String names what there is, as "images 3 GiB, volumes 1 GiB".
func (d disk) String() string {
	var parts []string
	add := func(what string, n record.Bytes) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", what, n))
		}
	}
	add("images", d.images)
	add("volumes", d.volumes)
	add("volumes in the trash", d.trash)
	add("files in containers outside of volumes", d.layers)
	return strings.Join(parts, ", ")
}

// CheckDisk refuses when what the owner keeps, as last measured, fills the disk quota.
func (s *Service) CheckDisk(ctx context.Context, owner string) error {
	p, err := s.DiskProblem(ctx, owner)
	if err != nil || p == nil {
		return err
	}
	return p.Fault()
}

// DiskLeft is what the owner may still keep on disk, as last measured; less than
// nothing where there is more than the quota allows.
func (s *Service) DiskLeft(ctx context.Context, owner string) (record.Bytes, error) {
	used, err := s.disk(ctx, owner)
	if err != nil {
		return 0, err
	}
	q, err := s.Client.Quota.Query().Where(quota.UserID(owner)).Only(auth.AsSystem(ctx))
	if err != nil {
		return 0, err
	}
	return q.MaxDisk - used.sum(), nil
}

// DiskProblem says that what the owner has on disk fills the quota; nil when not.
func (s *Service) DiskProblem(ctx context.Context, owner string) (*Problem, error) {
	used, err := s.disk(ctx, owner)
	if err != nil {
		return nil, err
	}
	q, err := s.Client.Quota.Query().Where(quota.UserID(owner)).Only(auth.AsSystem(ctx))
	if err != nil || used.sum() < q.MaxDisk {
		return nil, err
	}
	message := fmt.Sprintf("Your quota is %s of disk and %s are in use: %s. Delete something first", q.MaxDisk, used.sum(), used)
	if used.trash > 0 {
		message += ", or empty the trash"
	}
	return &Problem{
		Code: fault.QuotaExceeded, Resource: "disk", Message: message + ".",
		Limit: float64(q.MaxDisk), Used: float64(used.sum()),
	}, nil
}

func (s *Service) disk(ctx context.Context, owner string) (disk, error) {
	ctx = auth.AsSystem(ctx)
	var d disk
	sum := func(to *record.Bytes, read func() ([]int, error)) error {
		sizes, err := read()
		for _, n := range sizes {
			*to += record.Bytes(n)
		}
		return err
	}
	err := sum(&d.images, func() ([]int, error) {
		return s.Client.Image.Query().Where(image.OwnerID(owner), image.SizeNotNil()).Select(image.FieldSize).Ints(ctx)
	})
	if err != nil {
		return d, err
	}
	mine := s.Client.Volume.Query().Where(volume.OwnerID(owner), volume.SizeNotNil())
	err = sum(&d.volumes, func() ([]int, error) {
		return mine.Clone().Where(volume.DeletedAtIsNil()).Select(volume.FieldSize).Ints(ctx)
	})
	if err != nil {
		return d, err
	}
	err = sum(&d.trash, func() ([]int, error) {
		return mine.Where(volume.DeletedAtNotNil()).Select(volume.FieldSize).Ints(ctx)
	})
	if err != nil {
		return d, err
	}
	err = sum(&d.layers, func() ([]int, error) {
		return s.Client.Container.Query().Where(container.OwnerID(owner), container.DiskUsedNotNil()).Select(container.FieldDiskUsed).Ints(ctx)
	})
	return d, err
}
