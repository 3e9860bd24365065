package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// pullAttempts is how often a pull is done again when the reference has gone by
// the time we want to hold it: another instance on this engine pulled the same,
// and let go of it. The layers are there then, so the repetition is quick.
const pullAttempts = 3

// Pull fetches ref and holds it under our own tag for id. Afterwards the engine
// has the references of that repository that it had before, and no other: so the
// disk is free once our tag goes, and nobody's own reference has moved. (The plain
// reference may stay when this process dies in between, or when another instance
// on the same engine pulls the same at that moment and takes it for somebody's.)
func (e *Engine) Pull(ctx context.Context, id, ref string, progress func(engine.PullProgress)) (engine.ImageInfo, error) {
	named, err := e.parse(ref)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	plain := reference.FamiliarString(named)
	// One pull of a reference at a time: a second would take the first one's plain
	// reference for one that was there before, or see it vanish.
	release, err := e.pulls.lock(ctx, plain)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	defer release()

	before, err := e.references(ctx, named)
	if err != nil {
		return engine.ImageInfo{}, err
	}
	// What follows a download is short and must not stop half-way because the
	// caller lost patience.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeImageTimeout)
	defer cancel()
	for range pullAttempts {
		if err := e.download(ctx, named, progress); err != nil {
			if before[plain] == "" && ctx.Err() != nil {
				_ = e.untag(after, plain) // the engine may have finished in the moment of the cancelling
			}
			return engine.ImageInfo{}, err
		}
		found, err := e.inspectImage(after, plain)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return engine.ImageInfo{}, err
		}
		info := imageInfo(found, named)
		wrong, err := e.wrongPlatform(after, found)
		if err == nil && wrong == nil {
			err = e.hold(after, id, found.ID)
		}
		return info, errors.Join(err, wrong, e.restore(after, named, info, before))
	}
	return engine.ImageInfo{}, fmt.Errorf("%w: somebody else removes %s as fast as it is pulled", engine.ErrBusy, plain)
}

// references are all tags and digests of named's repository that the engine has,
// and the image of each.
func (e *Engine) references(ctx context.Context, named reference.Named) (map[string]string, error) {
	held := map[string]string{}
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		rows, err := c.ImageList(ctx, image.ListOptions{
			Filters: filters.NewArgs(filters.Arg("reference", reference.FamiliarName(named))),
		})
		for _, row := range rows {
			for _, ref := range slices.Concat(row.RepoTags, row.RepoDigests) {
				held[ref] = row.ID
			}
		}
		return err
	})
	return held, err
}

// restore makes the references of named's repository what they were before.
func (e *Engine) restore(ctx context.Context, named reference.Named, pulled engine.ImageInfo, before map[string]string) error {
	plain, digest := reference.FamiliarString(named), reference.FamiliarName(named)+"@"+pulled.Digest
	was := before[plain]
	if was != "" && was != pulled.EngineID {
		if err := e.tag(ctx, was, plain); err != nil && !errors.Is(err, engine.ErrNotFound) { // else it was deleted meanwhile
			return err
		}
	}
	if was == "" && !onlyByDigest(before, digest, pulled.EngineID) {
		if err := e.untag(ctx, plain); err != nil {
			return err
		}
	}
	if before[digest] == "" && pulled.Digest != "" {
		return e.untag(ctx, digest)
	}
	return nil
}

// onlyByDigest says that somebody held the image by its digest and by no tag of
// its repository. The engine takes such a digest away together with the last tag,
// so our plain tag must stay then, to keep it.
func onlyByDigest(before map[string]string, digest, image string) bool {
	if before[digest] == "" {
		return false
	}
	for ref, of := range before {
		if of == image && !strings.Contains(ref, "@") {
			return false
		}
	}
	return true
}

// download has the engine fetch named, and reports how far it is.
func (e *Engine) download(ctx context.Context, named reference.Named, progress func(engine.PullProgress)) error {
	auth, err := e.registryAuth(named)
	if err != nil {
		return err
	}
	err = e.stream(ctx, pullSilence, func(inner context.Context, c *client.Client, opened func()) error {
		inner, cancel := context.WithCancel(inner)
		defer cancel()
		body, err := c.ImagePull(inner, named.String(), image.PullOptions{RegistryAuth: auth})
		if err != nil {
			return translatePull(ctx, err)
		}
		opened()
		defer body.Close()
		silence := time.AfterFunc(pullSilence, cancel)
		defer silence.Stop()
		var layers layers
		for decoder := json.NewDecoder(body); ; {
			var m pullMessage
			if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			silence.Reset(pullSilence)
			if m.Error != nil {
				return translatePull(ctx, errors.New(m.Error.Message))
			}
			if layers.note(m) {
				progress(layers.snapshot())
			}
		}
	})
	return translatePull(ctx, err)
}

// registryAuth is what the operator's Docker configuration holds for the
// registry of named. It is read each time, as `docker login` changes it.
func (e *Engine) registryAuth(named reference.Named) (string, error) {
	folder := e.opts.RegistryConfig
	if folder == "" {
		folder = config.Dir()
	}
	file, err := config.Load(folder)
	if err != nil {
		return "", fmt.Errorf("%w: the registry configuration: %w", engine.ErrRefused, err)
	}
	key := reference.Domain(named)
	if key == "docker.io" {
		key = "https://index." + key + "/v1/" // the name under which docker login keeps it
	}
	auth, err := file.GetAuthConfig(key)
	if err != nil {
		return "", fmt.Errorf("%w: the credentials for %s: %w", engine.ErrUnauthorized, key, err)
	}
	if auth.Username == "" && auth.Password == "" && auth.Auth == "" && auth.IdentityToken == "" && auth.RegistryToken == "" {
		return "", nil
	}
	return registry.EncodeAuthConfig(registry.AuthConfig(auth))
}

// pullMessage is one line of a pull's stream.
type pullMessage struct {
	ID, Status string
	Progress   struct{ Current, Total int64 } `json:"progressDetail"`
	Error      *struct{ Message string }      `json:"errorDetail"`
}

// layers is how far each layer of a pull is, in the order of their appearance.
type layers struct {
	order []engine.LayerProgress
	index map[string]int
}

// layerID is what the engine prints of a layer's digest.
var layerID = regexp.MustCompile(`^[0-9a-f]{12}$`)

// note takes a line of the stream, and says whether it told of a layer. Lines
// without an id tell of the whole, and "Pulling from" bears the tag as its id.
func (l *layers) note(m pullMessage) bool {
	if !layerID.MatchString(m.ID) || strings.HasPrefix(m.Status, "Pulling from ") {
		return false
	}
	if l.index == nil {
		l.index = map[string]int{}
	}
	i, known := l.index[m.ID]
	if !known {
		i = len(l.order)
		l.index[m.ID] = i
		l.order = append(l.order, engine.LayerProgress{ID: m.ID})
	}
	layer := &l.order[i]
	layer.State = m.Status
	switch {
	case m.Progress.Total > 0:
		layer.Current, layer.Total = m.Progress.Current, m.Progress.Total
	case m.Status == "Download complete", m.Status == "Pull complete", m.Status == "Already exists":
		layer.Current = layer.Total
	}
	return true
}

func (l *layers) snapshot() engine.PullProgress {
	return engine.PullProgress{Layers: append([]engine.LayerProgress(nil), l.order...)}
}

// keyedLock gives one holder at a time to each key.
type keyedLock struct {
	mu   sync.Mutex
	held map[string]*keyHolder
}

type keyHolder struct {
	token chan struct{}
	users int // holding or waiting
}

func newKeyedLock() *keyedLock { return &keyedLock{held: map[string]*keyHolder{}} }

// lock waits for key until ctx ends, and gives the function that lets go of it.
func (k *keyedLock) lock(ctx context.Context, key string) (func(), error) {
	k.mu.Lock()
	h := k.held[key]
	if h == nil {
		h = &keyHolder{token: make(chan struct{}, 1)}
		k.held[key] = h
	}
	h.users++
	k.mu.Unlock()
	leave := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(k.held, key)
		}
	}
	select {
	case h.token <- struct{}{}:
		return func() { <-h.token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
