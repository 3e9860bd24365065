package enginetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mlride/mlride/internal/engine"
)

// The verbs of engine.Contents.
const (
	MethodRemoteDigest   Method = "RemoteDigest"
	MethodLayers         Method = "Layers"
	MethodLeftovers      Method = "Leftovers"
	MethodRemoveLeftover Method = "RemoveLeftover"
	MethodFreed          Method = "Freed"
)

// RemoteDigest tells what the registry has.
func (f *Fake) RemoteDigest(ctx context.Context, ref string) (digest string, err error) {
	err = f.act(ctx, MethodRemoteDigest, ref, func() error {
		image, err := f.offered(plain(ref))
		digest = image.digest
		return err
	})
	return digest, err
}

// Layers is one layer, of the image's size.
func (f *Fake) Layers(ctx context.Context, id string) (layers []engine.Layer, err error) {
	err = f.act(ctx, MethodLayers, id, func() error {
		image, held := f.tags[f.imageTag(id)]
		if !held {
			return fmt.Errorf("%w: no image %s", engine.ErrNotFound, id)
		}
		layers = []engine.Layer{{Command: "COPY . /", Size: f.images[image].size(), CreatedAt: f.about.Boot}}
		return nil
	})
	return layers, err
}

// keepFormer puts the content that ref names aside, if a container is made of it,
// and lets go of it otherwise. The lock is held.
func (w *world) keepFormer(ref, next string) {
	was, held := w.tags[ref]
	if !held || was == next {
		return
	}
	if w.used(was) {
		w.tags[former(ref, was)] = was
	}
	delete(w.tags, ref)
	for _, of := range w.tags {
		if of == was {
			return
		}
	}
	delete(w.images, was)
}

func former(ref, image string) string {
	return strings.TrimSuffix(ref, "latest") + "was-" + strings.TrimPrefix(image, "sha256:")[:12]
}

func (w *world) used(image string) bool {
	for _, b := range w.boxes {
		if b.image == image {
			return true
		}
	}
	return false
}

// Leftovers are what was put aside.
func (f *Fake) Leftovers(ctx context.Context) (left []engine.Leftover, err error) {
	err = f.act(ctx, MethodLeftovers, "", func() error {
		for tag, image := range f.tags {
			if f.formerly(tag) && !f.used(image) {
				left = append(left, engine.Leftover{Ref: tag, Since: f.about.Boot})
			}
		}
		slices.SortFunc(left, func(a, b engine.Leftover) int { return strings.Compare(a.Ref, b.Ref) })
		return nil
	})
	return left, err
}

func (f *Fake) formerly(tag string) bool {
	return strings.HasPrefix(tag, "mlride-"+f.instance+"/") && strings.Contains(tag, ":was-")
}

// RemoveLeftover lets go of it.
func (f *Fake) RemoveLeftover(ctx context.Context, ref string) error {
	return f.act(ctx, MethodRemoveLeftover, ref, func() error {
		if !f.formerly(ref) {
			return fmt.Errorf("%w: %s is no leftover of ours", engine.ErrRefused, ref)
		}
		return f.untag(ref)
	})
}

// Freed counts the images that no other tag holds.
func (f *Fake) Freed(ctx context.Context, ids, leftovers []string) (freed int64, err error) {
	err = f.act(ctx, MethodFreed, "", func() error {
		let := map[string]bool{}
		for _, id := range ids {
			let[f.imageTag(id)] = true
		}
		for _, ref := range leftovers {
			let[ref] = true
		}
		goes := map[string]bool{}
		for tag, image := range f.tags {
			if let[tag] && !f.used(image) {
				goes[image] = true
			}
		}
		for tag, image := range f.tags {
			if !let[tag] {
				delete(goes, image)
			}
		}
		for image := range goes {
			freed += f.images[image].size()
		}
		return nil
	})
	return freed, err
}
