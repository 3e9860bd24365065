package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
)

// UpdateImage resolves Mutation.updateImage.
func (r mutation) UpdateImage(context.Context, string, generated.UpdateImageInput) (*generated.ImagePayload, error) {
	return nil, errNotBuilt
}

// RefreshImage resolves Mutation.refreshImage.
func (r mutation) RefreshImage(context.Context, string) (*generated.ImagePayload, error) {
	return nil, errNotBuilt
}

// PruneImages resolves Mutation.pruneImages.
func (r mutation) PruneImages(context.Context, *bool) (*generated.PruneImagesPayload, error) {
	return nil, errNotBuilt
}

// SharedWith resolves Image.sharedWith.
func (r imageFields) SharedWith(context.Context, *ent.Image) ([]*ent.User, error) {
	return []*ent.User{}, nil
}

// Containers resolves Image.containers.
func (r imageFields) Containers(context.Context, *ent.Image) ([]*ent.Container, error) {
	return []*ent.Container{}, nil
}
