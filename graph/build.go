package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/image"
)

// ImageBases resolves Query.imageBases.
func (r query) ImageBases(context.Context) ([]*generated.ImageBase, error) {
	var out []*generated.ImageBase
	for _, b := range r.Resolver.Images.Bases() {
		out = append(out, &generated.ImageBase{
			Name: b.Name, Title: b.Title, Description: b.Description, Reference: b.Reference, Size: b.Size, Compilers: b.Compilers,
		})
	}
	return out, nil
}

// ImagePresets resolves Query.imagePresets.
func (r query) ImagePresets(context.Context) ([]*generated.ImagePreset, error) {
	var out []*generated.ImagePreset
	for _, p := range r.Resolver.Images.Presets() {
		preset := &generated.ImagePreset{
			Name: p.Name, Title: p.Title, Description: p.Description, Packages: p.Packages, SystemPackages: p.SystemPackages,
			MinMemory: p.MinMemory, Large: p.Large,
		}
		if p.Port != 0 {
			preset.Port = &p.Port
		}
		out = append(out, preset)
	}
	return out, nil
}

func buildInput(in generated.BuildImageInput) image.BuildInput {
	return image.BuildInput{
		Name: in.Name, Dockerfile: in.Dockerfile, Base: in.Base, Preset: in.Preset, Packages: in.Packages, SystemPackages: in.SystemPackages,
		MinCPU: in.MinCPU, MinMemory: in.MinMemory, MinGPU: in.MinGpu,
	}
}

// PreviewDockerfile resolves Query.previewDockerfile.
func (r query) PreviewDockerfile(ctx context.Context, in generated.BuildImageInput) (string, error) {
	return r.Resolver.Images.Preview(ctx, buildInput(in))
}

// BuildImage resolves Mutation.buildImage.
func (r mutation) BuildImage(ctx context.Context, in generated.BuildImageInput) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.BuildImage(ctx, buildInput(in)))
}

// CommitContainer resolves Mutation.commitContainer.
func (r mutation) CommitContainer(ctx context.Context, id string, in generated.CommitContainerInput) (*generated.ImagePayload, error) {
	return imagePayload(r.Resolver.Images.CommitContainer(ctx, id, in.Name))
}

// ImageLog resolves Subscription.imageLog.
func (r subscription) ImageLog(ctx context.Context, id string, after *int) (<-chan *ent.ImageLine, error) {
	return r.Resolver.Images.WatchLog(ctx, id, value(after))
}

// QueuePosition resolves Image.queuePosition.
func (r imageFields) QueuePosition(_ context.Context, i *ent.Image) (*int, error) {
	position, waits := r.Resolver.Images.QueuePosition(i.ID)
	if !waits {
		return nil, nil
	}
	return &position, nil
}

// Dockerfile resolves Image.dockerfile.
func (r imageFields) Dockerfile(ctx context.Context, i *ent.Image) (*string, error) {
	return r.Resolver.Images.Dockerfile(ctx, i), nil
}

// Form resolves Image.form.
func (r imageFields) Form(ctx context.Context, i *ent.Image) (*record.BuildForm, error) {
	return r.Resolver.Images.Form(ctx, i), nil
}

// Log resolves Image.log.
func (r imageFields) Log(ctx context.Context, i *ent.Image, after, first *int) ([]*ent.ImageLine, error) {
	lines := 200
	if first != nil {
		lines = *first
	}
	return r.Resolver.Images.LogLines(ctx, i.ID, value(after), lines)
}

// buildProgress is how far a build is; null before its first step.
func (r imageFields) buildProgress(i *ent.Image) *generated.ImageProgress {
	step, steps, begun := r.Resolver.Images.BuildStep(i.ID)
	if i.Status != entimage.StatusBuilding || !begun {
		return nil
	}
	percent := 100 * float64(step-1) / float64(steps)
	return &generated.ImageProgress{Layers: []*generated.LayerProgress{}, Percent: &percent, Step: &step, Steps: &steps}
}
