package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	entcontainer "github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/store"
)

// UpdateImage resolves Mutation.updateImage.
func (r mutation) UpdateImage(ctx context.Context, id string, in generated.UpdateImageInput) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.Update(ctx, id, image.Edit{
		Visibility: in.Visibility, MinCPU: in.MinCPU, MinMemory: in.MinMemory, MinGPU: in.MinGpu,
		UserIDs: in.SharedWithIds, Usernames: in.SharedWithUsernames,
	}))
}

// RefreshImage resolves Mutation.refreshImage.
func (r mutation) RefreshImage(ctx context.Context, id string) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.Refresh(ctx, id))
}

// PruneImages resolves Mutation.pruneImages.
func (r mutation) PruneImages(ctx context.Context, dryRun *bool) (*generated.PruneImagesPayload, error) {
	p, err := r.Resolver.Images.Prune(ctx, value(dryRun))
	if err != nil {
		return nil, err
	}
	if p.Images == nil {
		p.Images = []*ent.Image{}
	}
	return &generated.PruneImagesPayload{Images: p.Images, Untagged: p.Untagged, Bytes: p.Bytes}, nil
}

// SharedWith resolves Image.sharedWith.
func (r imageFields) SharedWith(ctx context.Context, i *ent.Image) ([]*ent.User, error) {
	return r.Resolver.Images.SharedWith(ctx, i)
}

// Containers resolves Image.containers.
func (r imageFields) Containers(ctx context.Context, i *ent.Image) ([]*ent.Container, error) {
	most := store.MaxPage
	slice, err := r.Lifecycle.List(ctx, lifecycle.Filter{ImageID: &i.ID},
		store.Order{Column: entcontainer.FieldCreatedAt, Desc: true}, store.Page{First: &most}, lifecycle.Load{Owner: asked(ctx, "owner")})
	if slice.Items == nil {
		slice.Items = []*ent.Container{}
	}
	return slice.Items, err
}
