package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
)

var errNotBuilt = fault.New(fault.Internal, "not built yet")

// ImageBases resolves Query.imageBases.
func (r query) ImageBases(context.Context) ([]*generated.ImageBase, error) {
	return []*generated.ImageBase{}, nil
}

// ImagePresets resolves Query.imagePresets.
func (r query) ImagePresets(context.Context) ([]*generated.ImagePreset, error) {
	return []*generated.ImagePreset{}, nil
}

// PreviewDockerfile resolves Query.previewDockerfile.
func (r query) PreviewDockerfile(context.Context, generated.BuildImageInput) (string, error) {
	return "", errNotBuilt
}

// BuildImage resolves Mutation.buildImage.
func (r mutation) BuildImage(context.Context, generated.BuildImageInput) (*generated.ImagePayload, error) {
	return nil, errNotBuilt
}

// CommitContainer resolves Mutation.commitContainer.
func (r mutation) CommitContainer(context.Context, string, generated.CommitContainerInput) (*generated.ImagePayload, error) {
	return nil, errNotBuilt
}

// ImageLog resolves Subscription.imageLog.
func (r subscription) ImageLog(context.Context, string, *int) (<-chan *ent.ImageLine, error) {
	return nil, errNotBuilt
}

// QueuePosition resolves Image.queuePosition.
func (r imageFields) QueuePosition(context.Context, *ent.Image) (*int, error) { return nil, nil }

// Dockerfile resolves Image.dockerfile.
func (r imageFields) Dockerfile(context.Context, *ent.Image) (*string, error) { return nil, nil }

// Form resolves Image.form.
func (r imageFields) Form(context.Context, *ent.Image) (*record.BuildForm, error) { return nil, nil }

// Log resolves Image.log.
func (r imageFields) Log(context.Context, *ent.Image, *int, *int) ([]*ent.ImageLine, error) {
	return []*ent.ImageLine{}, nil
}
