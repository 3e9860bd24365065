// Package volume is named storage that outlives containers: who has which, how
// much is in it, and the trash.
package volume

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/mount"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/crash"
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
	// Reserve is what of the disk archives leave free; Free says how much is, nil
	// asks the system.
	Reserve record.Bytes
	Free    func(folder string) (record.Bytes, error)
}

// Service keeps volumes.
type Service struct {
	Options
	comeback chan struct{}

	mu sync.Mutex
	// changing are the volumes that may hold more than when they were measured.
	changing map[string]bool
}

// New returns a service; nothing happens by itself before Run.
func New(o Options) *Service {
	return &Service{Options: o, comeback: make(chan struct{}, 1), changing: map[string]bool{}}
}

// Get is one volume that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.Volume, error) {
	row, err := s.Client.Volume.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("volume", id)
	}
	return row, err
}

// in are the volumes in the trash, or those that are not.
func in(trash bool) predicate.Volume {
	if trash {
		return volume.DeletedAtNotNil()
	}
	return volume.DeletedAtIsNil()
}

func newest(v *ent.Volume) (any, string) { return v.CreatedAt, v.ID }

// List is a page of the volumes that the viewer sees, newest first.
func (s *Service) List(ctx context.Context, trash bool, p store.Page) (store.Slice[*ent.Volume], error) {
	q := s.Client.Volume.Query().Where(in(trash))
	order := store.Order{Column: volume.FieldCreatedAt, Desc: true}
	return store.Paginate(p, order, newest, func(add func(*sql.Selector)) ([]*ent.Volume, error) {
		return q.Where(add).All(ctx)
	})
}

// Count is how many List would give in all, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, trash bool) (int, error) {
	ids, err := s.Client.Volume.Query().Where(in(trash)).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// MountedBy are the containers that have it, of those that the viewer sees.
func (s *Service) MountedBy(ctx context.Context, id string) ([]*ent.Container, error) {
	return mountedBy(s.Client, id).Order(ent.Asc(container.FieldCreatedAt)).All(ctx)
}

func mountedBy(client *ent.Client, id string) *ent.ContainerQuery {
	return client.Container.Query().Where(container.HasMountsWith(mount.VolumeID(id)))
}

// Of are the volumes in a container.
func (s *Service) Of(ctx context.Context, containerID string) ([]*ent.Mount, error) {
	return s.Client.Mount.Query().Where(mount.ContainerID(containerID)).WithVolume().Order(ent.Asc(mount.FieldPath)).All(ctx)
}

// PurgeAt is when a volume in the trash is gone for good.
func (s *Service) PurgeAt(v *ent.Volume) *time.Time {
	if v.DeletedAt == nil {
		return nil
	}
	at := v.DeletedAt.Add(s.Trash)
	return &at
}

// tx is a transaction with a boundary on each side of its commit, at which a test
// may end the server.
func (s *Service) tx(ctx context.Context, name string, do func(tx *ent.Client) error) error {
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		err := do(tx)
		crash.Point("volume." + name + ".commit")
		return err
	})
	crash.Point("volume." + name + ".committed")
	return err
}

// publish tells the owner that what they use has changed.
func (s *Service) publish(owner string) {
	s.Feed.Publish(live.Change{Kind: live.Usage, ID: owner, Owner: owner, Op: live.Updated})
}
