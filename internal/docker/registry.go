package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"

	"github.com/mlride/mlride/internal/engine"
)

// registryTimeout bounds a question to a registry. The engine itself tries one
// that does not answer for about half a minute.
const registryTimeout = 60 * time.Second

// What id held before is kept under a tag of its own while a container is made of
// it: so it can be told from what others left untagged, whatever its labels say.
const formerly = "was-"

// hold puts content under our tag for id, and lets go of what that was before.
func (e *Engine) hold(ctx context.Context, id, content string) error {
	tag := imageTag(e.opts.Instance, id)
	was, err := e.inspectImage(ctx, tag)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	if err != nil || was.ID == content {
		return e.tag(ctx, content, tag)
	}
	aside := strings.TrimSuffix(tag, "latest") + formerly + strings.TrimPrefix(was.ID, "sha256:")[:12]
	if err := e.tag(ctx, was.ID, aside); err != nil && !errors.Is(err, engine.ErrNotFound) { // else it went just now
		return err
	}
	if err := e.tag(ctx, content, tag); err != nil {
		return err
	}
	if err := e.untag(ctx, aside); err != nil && !errors.Is(err, engine.ErrBusy) { // it is a leftover then
		return err
	}
	return nil
}

// wrongPlatform tells whether content that was pulled cannot run here: a registry
// that offers one platform only is not asked which, and the engine takes it.
func (e *Engine) wrongPlatform(ctx context.Context, found image.InspectResponse) (wrong, err error) {
	mine, err := e.architecture(ctx)
	if err != nil {
		return nil, err
	}
	its := found.Architecture
	if its == "" || its == mine || mine == "amd64" && its == "386" || mine == "arm64" && its == "arm" {
		return nil, nil
	}
	return fmt.Errorf("%w: it is for %s/%s, and this machine is %s/%s", engine.ErrPlatform, found.Os, its, cmp.Or(found.Os, "linux"), mine), nil
}

// architecture is the machine's. The engine starts programs to answer, so that it
// is asked once.
func (e *Engine) architecture(ctx context.Context) (string, error) {
	if known := e.arch.Load(); known != nil {
		return *known, nil
	}
	var told string
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		v, err := c.ServerVersion(ctx)
		told = v.Arch
		return err
	})
	if err == nil {
		e.arch.Store(&told)
	}
	return told, err
}

// RemoteDigest asks the registry of ref which digest it names.
func (e *Engine) RemoteDigest(ctx context.Context, ref string) (string, error) {
	named, err := e.parse(ref)
	if err != nil {
		return "", err
	}
	auth, err := e.registryAuth(named)
	if err != nil {
		return "", err
	}
	found := ""
	err = e.call(ctx, registryTimeout, func(inner context.Context, c *client.Client) error {
		told, err := c.DistributionInspect(inner, named.String(), auth)
		found = told.Descriptor.Digest.String()
		if err != nil && inner.Err() != nil && ctx.Err() == nil {
			return fmt.Errorf("%w: it does not answer", engine.ErrRegistry)
		}
		return translatePull(ctx, err)
	})
	return found, err
}

// Layers is what the image held for id is made of.
func (e *Engine) Layers(ctx context.Context, id string) ([]engine.Layer, error) {
	steps, err := e.history(ctx, imageTag(e.opts.Instance, id))
	if err != nil {
		return nil, err
	}
	layers := make([]engine.Layer, len(steps))
	for i, step := range steps {
		layers[i] = engine.Layer{Command: step.CreatedBy, Size: step.Size, CreatedAt: time.Unix(step.Created, 0).UTC()}
	}
	return layers, nil
}

func (e *Engine) history(ctx context.Context, ref string) (steps []image.HistoryResponseItem, err error) {
	err = e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		steps, err = c.ImageHistory(ctx, ref)
		return err
	})
	return steps, err
}

// Leftovers are what we hold under other tags than an image's own, and what
// builds of ours left untagged.
func (e *Engine) Leftovers(ctx context.Context) ([]engine.Leftover, error) {
	var left []engine.Leftover
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		used, err := inUse(ctx, c)
		if err != nil {
			return err
		}
		rows, err := c.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", imageNamespace(e.opts.Instance)+"*"))})
		if err != nil {
			return err
		}
		for _, row := range rows {
			for _, tag := range row.RepoTags {
				if e.formerly(tag) && !used[row.ID] {
					left = append(left, engine.Leftover{Ref: tag})
				}
			}
		}
		rows, err = c.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(
			filters.Arg("dangling", "true"), filters.Arg("label", labelInstance+"="+e.opts.Instance))})
		for _, row := range rows {
			if !used[row.ID] && len(tagsOf(row)) == 0 && len(row.RepoDigests) == 0 {
				left = append(left, engine.Leftover{Ref: row.ID, Step: true, Since: time.Unix(row.Created, 0).UTC()})
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range left {
		if left[i].Step {
			continue
		}
		found, err := e.inspectImage(ctx, left[i].Ref)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, err
		}
		left[i].Since = found.Metadata.LastTagTime.UTC()
	}
	slices.SortFunc(left, func(a, b engine.Leftover) int { return strings.Compare(a.Ref, b.Ref) })
	return left, nil
}

// formerly says that the tag is ours and of what an image held before.
func (e *Engine) formerly(tag string) bool {
	name, ours := strings.CutPrefix(tag, imageNamespace(e.opts.Instance))
	_, version, _ := strings.Cut(name, ":")
	return ours && strings.HasPrefix(version, formerly)
}

// RemoveLeftover lets go of what Leftovers told. Anything else is refused.
func (e *Engine) RemoveLeftover(ctx context.Context, ref string) error {
	if e.formerly(ref) {
		return e.untag(ctx, ref)
	}
	found, err := e.inspectImage(ctx, ref)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if found.ID != ref || found.Config == nil || found.Config.Labels[labelInstance] != e.opts.Instance || len(found.RepoTags)+len(found.RepoDigests) > 0 {
		return fmt.Errorf("%w: %s is no leftover of ours", engine.ErrRefused, ref)
	}
	return e.untag(ctx, ref)
}

// inUse are the images that containers are made of, whoever's.
func inUse(ctx context.Context, c *client.Client) (map[string]bool, error) {
	rows, err := c.ContainerList(ctx, container.ListOptions{All: true})
	used := map[string]bool{}
	for _, row := range rows {
		used[row.ImageID] = true
	}
	return used, err
}

// tagsOf are the tags of an image; some engines write <none>:<none> for none.
func tagsOf(row image.Summary) []string {
	return slices.DeleteFunc(slices.Clone(row.RepoTags), func(tag string) bool { return strings.HasPrefix(tag, "<none>") })
}

// Freed is what would be free.
func (e *Engine) Freed(ctx context.Context, ids, leftovers []string) (int64, error) {
	let := map[string]bool{}
	for _, id := range ids {
		let[imageTag(e.opts.Instance, id)] = true
	}
	for _, ref := range leftovers {
		let[ref] = true
	}
	if len(let) == 0 {
		return 0, nil
	}
	var rows []image.Summary
	var used map[string]bool
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		if used, err = inUse(ctx, c); err != nil {
			return err
		}
		rows, err = c.ImageList(ctx, image.ListOptions{All: true})
		return err
	})
	if err != nil {
		return 0, err
	}
	goes := going(rows, let, used)
	if len(goes) == 0 {
		return 0, nil
	}
	stays, sizes := map[digest.Digest]bool{}, map[digest.Digest]int64{}
	for _, row := range rows {
		if err := e.chains(ctx, row.ID, goes[row.ID], stays, sizes); err != nil && !errors.Is(err, engine.ErrNotFound) { // else it went meanwhile
			return 0, err
		}
	}
	freed := int64(0)
	for chain, size := range sizes {
		if !stays[chain] {
			freed += size
		}
	}
	return freed, nil
}

// going are the images that the engine removes when it lets go of these
// references: those with no other, and their untagged ancestors without another child.
func going(rows []image.Summary, let, used map[string]bool) map[string]bool {
	goes := map[string]bool{}
	children := map[string][]string{}
	for _, row := range rows {
		children[row.ParentID] = append(children[row.ParentID], row.ID)
		other := func(ref string) bool { return !let[ref] }
		tags := tagsOf(row)
		asked := let[row.ID] || slices.ContainsFunc(tags, func(tag string) bool { return let[tag] })
		goes[row.ID] = asked && !used[row.ID] && !slices.ContainsFunc(tags, other) && len(digestsOf(row)) == 0
	}
	for again := true; again; {
		again = false
		for _, row := range rows {
			stays := func(id string) bool { return !goes[id] }
			if goes[row.ID] && slices.ContainsFunc(children[row.ID], stays) {
				goes[row.ID] = false // its layers stay with its child
				again = true
			}
		}
	}
	for again := true; again; {
		again = false
		for _, row := range rows {
			stays := func(id string) bool { return !goes[id] }
			if !goes[row.ID] && !used[row.ID] && len(tagsOf(row)) == 0 && len(digestsOf(row)) == 0 &&
				len(children[row.ID]) > 0 && !slices.ContainsFunc(children[row.ID], stays) {
				goes[row.ID], again = true, true
			}
		}
	}
	return goes
}

// digestsOf are the digests by which somebody holds an image.
func digestsOf(row image.Summary) []string {
	return slices.DeleteFunc(slices.Clone(row.RepoDigests), func(ref string) bool { return strings.HasPrefix(ref, "<none>") })
}

// chains notes the layers of an image: as staying, or else with their sizes. A
// layer is known by all that is below it, too.
func (e *Engine) chains(ctx context.Context, id string, goes bool, stays map[digest.Digest]bool, sizes map[digest.Digest]int64) error {
	found, err := e.inspectImage(ctx, id)
	if err != nil {
		return err
	}
	ids := make([]digest.Digest, len(found.RootFS.Layers))
	for i, layer := range found.RootFS.Layers {
		ids[i] = digest.Digest(layer)
	}
	ids = identity.ChainIDs(ids)
	if !goes {
		for _, chain := range ids {
			stays[chain] = true
		}
		return nil
	}
	steps, err := e.history(ctx, id)
	if err != nil {
		return err
	}
	for i, size := range layerSizes(steps, len(ids)) {
		sizes[ids[i]] = size
	}
	return nil
}

// noting matches instructions that add nothing to an image's files.
var noting = regexp.MustCompile(`^(/bin/sh -c )?(#\(nop\)\s+)?(CMD|ENV|LABEL|EXPOSE|ENTRYPOINT|USER|ARG|VOLUME|STOPSIGNAL|MAINTAINER|HEALTHCHECK|ONBUILD|SHELL)\b`)

// workdir matches one that adds a layer only where the folder was missing.
var workdir = regexp.MustCompile(`^(/bin/sh -c )?(#\(nop\)\s+)?WORKDIR\b`)

// layerSizes is the size of each of n layers, lowest first. The engine's history
// tells sizes of steps, newest first, and not which steps made a layer.
func layerSizes(steps []image.HistoryResponseItem, n int) []int64 {
	for _, made := range []func(image.HistoryResponseItem) bool{
		func(s image.HistoryResponseItem) bool { return s.Size > 0 },
		func(s image.HistoryResponseItem) bool {
			return s.Size > 0 || !noting.MatchString(s.CreatedBy) && !workdir.MatchString(s.CreatedBy)
		},
		func(s image.HistoryResponseItem) bool { return s.Size > 0 || !noting.MatchString(s.CreatedBy) },
		func(image.HistoryResponseItem) bool { return true },
	} {
		var sizes []int64
		for _, step := range slices.Backward(steps) {
			if made(step) {
				sizes = append(sizes, step.Size)
			}
		}
		if len(sizes) == n {
			return sizes
		}
	}
	// An odd history: all of it is put down to the top, which goes if any layer does.
	sizes := make([]int64, n)
	for _, step := range steps {
		if n > 0 {
			sizes[n-1] += step.Size
		}
	}
	return sizes
}
