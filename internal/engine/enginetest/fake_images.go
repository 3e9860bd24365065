package enginetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/internal/engine"
)

// FakeImage is what an image is like.
type FakeImage struct {
	// Silent names no command. Broken cannot be started. Private wants credentials.
	Silent, Broken, Private bool
	// Size in bytes; 0 means 1 MiB.
	Size int64

	digest string
}

func (i FakeImage) size() int64 {
	if i.Size == 0 {
		return 1 << 20
	}
	return i.Size
}

// plain is a reference as the engine keeps it; empty when it is ill-formed.
func plain(ref string) (name, domain string) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", ""
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), reference.Domain(named)
}

// Load puts an image into the engine under a reference of somebody else's.
func (f *Fake) Load(ref string, image FakeImage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, _ := plain(ref)
	id := "sha256:" + f.hash()
	f.images[id] = image
	f.tag(id, name)
}

// Publish puts an image into a registry. That registry answers from now on.
func (f *Fake) Publish(ref string, image FakeImage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, domain := plain(ref)
	image.digest = "sha256:" + f.hash()
	f.registry[name] = image
	f.hosts[domain] = true
}

// Holds says whether the engine has a reference of just that name.
func (f *Fake) Holds(ref string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, _ := plain(ref)
	return f.tags[name] != ""
}

// tag points a reference at an image. The lock is held.
func (w *world) tag(image, ref string) {
	w.tags[ref] = image
	w.tellImage(ref, "tag")
}

// untag takes a reference away, and the image with its last. The lock is held.
func (w *world) untag(ref string) error {
	image, held := w.tags[ref]
	if !held {
		return nil
	}
	last := true
	for other, of := range w.tags {
		last = last && (other == ref || of != image)
	}
	for _, b := range w.boxes {
		if last && b.image == image {
			return fmt.Errorf("%w: a container is made of it", engine.ErrBusy)
		}
	}
	delete(w.tags, ref)
	if last {
		delete(w.images, image)
	}
	w.tellImage(ref, "untag")
	return nil
}

// Pull fetches in three steps, and looks before each whether it may go on.
func (f *Fake) Pull(ctx context.Context, id, ref string, progress func(engine.PullProgress)) (engine.ImageInfo, error) {
	name, domain := plain(ref)
	var image FakeImage
	fault, err := f.enter(ctx, MethodPull, id)
	if err == nil {
		err = fault.Err
	}
	if err != nil {
		return engine.ImageInfo{}, err
	}
	f.mu.Lock()
	err = f.reachable()
	if err == nil {
		image, err = f.offered(name, domain)
	}
	f.mu.Unlock()
	if err != nil {
		return engine.ImageInfo{}, err
	}
	layer := engine.LayerProgress{ID: strings.TrimPrefix(image.digest, "sha256:")[:12], Total: image.size()}
	for step, state := range []string{"Pulling fs layer", "Downloading", "Pull complete"} {
		layer.State, layer.Current = state, image.size()*int64(step)/2
		progress(engine.PullProgress{Layers: []engine.LayerProgress{layer}})
		f.mu.Lock()
		gone := f.reachable()
		f.mu.Unlock()
		if ctx.Err() != nil {
			return engine.ImageInfo{}, ctx.Err()
		}
		if gone != nil {
			return engine.ImageInfo{}, gone
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info := f.hold(image, f.imageTag(id))
	if fault.AnswerLost {
		return engine.ImageInfo{}, fmt.Errorf("%w: the answer was lost", engine.ErrUnreachable)
	}
	return info, nil
}

// offered is what a registry has under that name. The lock is held.
func (w *world) offered(name, domain string) (FakeImage, error) {
	image, there := w.registry[name]
	switch {
	case name == "":
		return image, fmt.Errorf("%w: ill-formed reference", engine.ErrRefused)
	case !w.hosts[domain]:
		return image, fmt.Errorf("%w: %s does not answer", engine.ErrRegistry, domain)
	case !there:
		return image, fmt.Errorf("%w: manifest for %s not found", engine.ErrNotFound, name)
	case image.Private:
		return image, fmt.Errorf("%w: pull access denied for %s", engine.ErrUnauthorized, name)
	}
	return image, nil
}

// hold has the engine keep what was pulled, once, under tag. The lock is held.
func (w *world) hold(image FakeImage, tag string) engine.ImageInfo {
	id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image.digest))) // the same content has the same id
	w.keepFormer(tag, id)
	w.images[id] = image
	w.tag(id, tag)
	return w.info(id)
}

func (w *world) info(id string) engine.ImageInfo {
	image := w.images[id]
	return engine.ImageInfo{EngineID: id, Digest: image.digest, Size: image.size(), HasCommand: !image.Silent}
}

// Adopt holds what the engine has under ref.
func (f *Fake) Adopt(ctx context.Context, id, ref string) (info engine.ImageInfo, err error) {
	err = f.act(ctx, MethodAdopt, id, func() error {
		name, _ := plain(ref)
		if name == "" {
			return fmt.Errorf("%w: ill-formed reference", engine.ErrRefused)
		}
		image, there := f.tags[name]
		if !there || strings.HasPrefix(name, "mlride-"+f.instance+"/") {
			return fmt.Errorf("%w: no such image: %s", engine.ErrNotFound, ref)
		}
		f.keepFormer(f.imageTag(id), image)
		f.tag(image, f.imageTag(id))
		info = f.info(image)
		return nil
	})
	return info, err
}

// RemoveImage lets go of our tag.
func (f *Fake) RemoveImage(ctx context.Context, id string) error {
	return f.act(ctx, MethodRemoveImage, id, func() error { return f.untag(f.imageTag(id)) })
}

// InspectImage tells of the image held for id.
func (f *Fake) InspectImage(ctx context.Context, id string) (info engine.ImageInfo, err error) {
	err = f.act(ctx, MethodInspectImage, id, func() error {
		image, held := f.tags[f.imageTag(id)]
		if !held {
			return fmt.Errorf("%w: no image %s", engine.ErrNotFound, id)
		}
		info = f.info(image)
		return nil
	})
	return info, err
}

// ListImages tells what this instance holds.
func (f *Fake) ListImages(ctx context.Context) (ids []string, err error) {
	err = f.act(ctx, MethodListImages, "", func() error {
		ids = []string{}
		for tag := range f.tags {
			id, own := strings.CutPrefix(tag, "mlride-"+f.instance+"/")
			if own && !f.formerly(tag) {
				ids = append(ids, strings.TrimSuffix(id, ":latest"))
			}
		}
		slices.Sort(ids)
		return nil
	})
	return ids, err
}
