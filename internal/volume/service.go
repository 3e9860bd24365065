// Package volume is named storage that outlives containers: who has which, how
// much is in it, and the trash.
package volume

import (
	"context"
	"log/slog"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

// Options build a Service.
type Options struct {
	Client *ent.Client
	Engine engine.Volumes
	Quota  *quota.Service
	Feed   *live.Feed
	Log    *slog.Logger
	Now    func() time.Time
	// Trash is how long a deleted volume can be restored.
	Trash time.Duration
}

// Service keeps volumes.
type Service struct{ Options }

// New returns a service.
func New(o Options) *Service { return &Service{o} }

// Run empties the trash until ctx ends.
func (s *Service) Run(ctx context.Context) { <-ctx.Done() }

// Wanted is a volume that somebody wants in a container.
type Wanted struct {
	VolumeID, Path string
	ReadOnly       bool
}

// Home is where a workspace is mounted, as HOME.
const Home = "/workspace"

// CheckMounts checks what can be checked of the input alone.
func CheckMounts(check *fault.Check, mounts []Wanted, workspace *string) {}

// Check says whether the viewer may mount all of them, as Attach will.
func (s *Service) Check(ctx context.Context, mounts []Wanted, workspace *string) error { return nil }

// Attach puts the volumes into a new container, with tx, the client of the
// transaction that makes it, and makes the workspace where there is none yet.
func (s *Service) Attach(ctx context.Context, tx *ent.Client, containerID string, mounts []Wanted, workspace *string) error {
	return nil
}

// Create makes an empty volume of the viewer's.
func (s *Service) Create(ctx context.Context, name string) (*ent.Volume, error) { return nil, nil }

// Edit is what of a volume is to change; nil stays.
type Edit struct {
	Name   *string
	Public *bool
}

// Update changes a volume.
func (s *Service) Update(ctx context.Context, id string, e Edit) (*ent.Volume, error) {
	return nil, nil
}

// Delete puts a volume into the trash.
func (s *Service) Delete(ctx context.Context, id string) (*ent.Volume, error) { return nil, nil }

// Restore takes a volume out of the trash.
func (s *Service) Restore(ctx context.Context, id string) (*ent.Volume, error) { return nil, nil }

// Purge removes a volume in the trash for good.
func (s *Service) Purge(ctx context.Context, id string) error { return nil }

// Get is one volume that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.Volume, error) { return nil, nil }

// List is a page of the volumes that the viewer sees.
func (s *Service) List(ctx context.Context, trash bool, p store.Page) (store.Slice[*ent.Volume], error) {
	return store.Slice[*ent.Volume]{}, nil
}

// Count is how many List would give in all, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, trash bool) (int, error) { return 0, nil }

// MountedBy are the containers that have it, of those that the viewer sees.
func (s *Service) MountedBy(ctx context.Context, id string) ([]*ent.Container, error) {
	return nil, nil
}

// Of are the volumes in a container.
func (s *Service) Of(ctx context.Context, containerID string) ([]*ent.Mount, error) { return nil, nil }

// PurgeAt is when a volume in the trash is gone for good.
func (s *Service) PurgeAt(v *ent.Volume) *time.Time {
	if v.DeletedAt == nil {
		return nil
	}
	at := v.DeletedAt.Add(s.Trash)
	return &at
}
