package graph

import (
	"context"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	entvolume "github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// Volumes resolves Query.volumes.
func (r query) Volumes(ctx context.Context, after *string, first *int, before *string, last *int, trash *bool) (*generated.VolumeConnection, error) {
	slice, err := r.Resolver.Volumes.List(ctx, value(trash), store.Page{First: first, Last: last, After: after, Before: before})
	if err != nil {
		return nil, err
	}
	c := &generated.VolumeConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.Volume) *generated.VolumeEdge {
		return &generated.VolumeEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Resolver.Volumes.Count(ctx, value(trash))
	}
	return c, err
}

func volumePayload(row *ent.Volume, err error) (*generated.VolumePayload, error) {
	if err != nil {
		return nil, err
	}
	return &generated.VolumePayload{Volume: row}, nil
}

// CreateVolume resolves Mutation.createVolume.
func (r mutation) CreateVolume(ctx context.Context, in generated.CreateVolumeInput) (*generated.VolumePayload, error) {
	return volumePayload(r.Volumes.Create(ctx, in.Name))
}

// UpdateVolume resolves Mutation.updateVolume.
func (r mutation) UpdateVolume(ctx context.Context, id string, in generated.UpdateVolumeInput) (*generated.VolumePayload, error) {
	e := volume.Edit{Name: in.Name}
	if in.Visibility != nil {
		public := *in.Visibility == image.VisibilityPublic
		e.Public = &public
	}
	return volumePayload(r.Volumes.Update(ctx, id, e))
}

// DeleteVolume resolves Mutation.deleteVolume.
func (r mutation) DeleteVolume(ctx context.Context, id string) (*generated.VolumePayload, error) {
	return volumePayload(r.Volumes.Delete(ctx, id))
}

// RestoreVolume resolves Mutation.restoreVolume.
func (r mutation) RestoreVolume(ctx context.Context, id string) (*generated.VolumePayload, error) {
	return volumePayload(r.Volumes.Restore(ctx, id))
}

// PurgeVolume resolves Mutation.purgeVolume.
func (r mutation) PurgeVolume(ctx context.Context, id string) (bool, error) {
	err := r.Volumes.Purge(ctx, id)
	return err == nil, err
}

// Owner resolves Volume.owner: null for whoever may not see the person.
func (r volumeFields) Owner(ctx context.Context, v *ent.Volume) (*ent.User, error) {
	return r.Account.Find(ctx, v.OwnerID)
}

// Visibility resolves Volume.visibility: the same two words as an image's.
func (r volumeFields) Visibility(_ context.Context, v *ent.Volume) (image.Visibility, error) {
	if v.Visibility == entvolume.VisibilityPublic {
		return image.VisibilityPublic, nil
	}
	return image.VisibilityPrivate, nil
}

// MountedBy resolves Volume.mountedBy.
func (r volumeFields) MountedBy(ctx context.Context, v *ent.Volume) ([]*ent.Container, error) {
	return r.Volumes.MountedBy(ctx, v.ID)
}

// PurgeAt resolves Volume.purgeAt.
func (r volumeFields) PurgeAt(_ context.Context, v *ent.Volume) (*time.Time, error) {
	return r.Volumes.PurgeAt(v), nil
}

// Volumes resolves Container.volumes.
func (r container) Volumes(ctx context.Context, c *ent.Container) ([]*ent.Mount, error) {
	return r.Resolver.Volumes.Of(ctx, c.ID)
}

// Volume resolves VolumeMount.volume.
func (r mountFields) Volume(ctx context.Context, m *ent.Mount) (*ent.Volume, error) {
	if v, err := m.Edges.VolumeOrErr(); err == nil {
		return v, nil
	}
	return r.Resolver.Volumes.Get(ctx, m.VolumeID)
}
