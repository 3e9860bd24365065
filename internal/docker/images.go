package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// Adopt holds an image that the engine already has under our own tag for id.
func (e *Engine) Adopt(ctx context.Context, id, ref string) (engine.ImageInfo, error) {
	named, err := e.parse(ref)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	found, err := e.inspectImage(ctx, reference.FamiliarString(named))
	if err != nil {
		return engine.ImageInfo{}, err
	}
	return imageInfo(found, named), e.hold(ctx, id, found.ID)
}

// RemoveImage lets go of our own tag for id. ErrBusy when a container is made of
// it and nothing else holds the image. What id held earlier stays a leftover.
func (e *Engine) RemoveImage(ctx context.Context, id string) error {
	return e.untag(ctx, imageTag(e.opts.Instance, id))
}

// InspectImage tells of the image held for id.
func (e *Engine) InspectImage(ctx context.Context, id string) (engine.ImageInfo, error) {
	found, err := e.inspectImage(ctx, imageTag(e.opts.Instance, id))
	if err != nil {
		return engine.ImageInfo{}, err
	}
	return imageInfo(found, nil), nil
}

// ListImages tells the ids of all images that this instance holds.
func (e *Engine) ListImages(ctx context.Context) ([]string, error) {
	ids := []string{}
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		held, err := e.held(ctx, c)
		for _, of := range held {
			ids = append(ids, of...)
		}
		return err
	})
	slices.Sort(ids)
	return ids, err
}

// held is our ids of the images that we hold, by the engine's id of each.
func (e *Engine) held(ctx context.Context, c *client.Client) (map[string][]string, error) {
	rows, err := c.ImageList(ctx, image.ListOptions{
		Filters: filters.NewArgs(filters.Arg("reference", imageNamespace(e.opts.Instance)+"*")),
	})
	if err != nil {
		return nil, err
	}
	held := map[string][]string{}
	for _, row := range rows {
		for _, tag := range row.RepoTags {
			if id := e.imageID(tag); id != "" {
				held[row.ID] = append(held[row.ID], id)
			}
		}
	}
	return held, nil
}

// imageID is our id in a tag of ours, empty for any other reference.
func (e *Engine) imageID(tag string) string {
	id, ours := strings.CutPrefix(tag, imageNamespace(e.opts.Instance))
	id, latest := strings.CutSuffix(id, ":latest")
	if !ours || !latest {
		return ""
	}
	return id
}

// parse reads a reference as the docker command line does. One within a namespace
// of ours is refused: a user must not come by an image through its tag.
func (e *Engine) parse(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", engine.ErrRefused, ref, err)
	}
	if strings.HasPrefix(reference.FamiliarName(named), imageNamespace(e.opts.Instance)) {
		return nil, fmt.Errorf("%w: no such image: %s", engine.ErrNotFound, ref)
	}
	return reference.TagNameOnly(named), nil
}

func (e *Engine) inspectImage(ctx context.Context, ref string) (image.InspectResponse, error) {
	var found image.InspectResponse
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ImageInspect(ctx, ref)
		return err
	})
	return found, err
}

func (e *Engine) tag(ctx context.Context, source, tag string) error {
	return e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		return c.ImageTag(ctx, source, tag)
	})
}

// untag removes a reference, and the image with its last one. Missing is success.
func (e *Engine) untag(ctx context.Context, ref string) error {
	err := e.call(ctx, removeImageTimeout, func(ctx context.Context, c *client.Client) error {
		_, err := c.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		return err
	})
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// imageInfo puts the engine's word about an image into ours. named chooses among
// several digests; nil takes the first.
func imageInfo(found image.InspectResponse, named reference.Named) engine.ImageInfo {
	info := engine.ImageInfo{EngineID: found.ID, Size: found.Size}
	if found.Config != nil {
		info.HasCommand = len(found.Config.Cmd)+len(found.Config.Entrypoint) > 0
	}
	for _, text := range found.RepoDigests {
		canonical, err := reference.ParseNormalizedNamed(text)
		if err != nil {
			continue
		}
		digested, ok := canonical.(reference.Digested)
		if !ok {
			continue
		}
		if named != nil && canonical.Name() == named.Name() {
			info.Digest = digested.Digest().String()
			break
		}
		if named == nil && info.Digest == "" {
			info.Digest = digested.Digest().String()
		}
	}
	return info
}
