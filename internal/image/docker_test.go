package image_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/live"
)

// megabytes is a layer that takes a few messages to arrive.
const megabytes = 6 << 20

// gatedRegistry is a real registry behind a door that counts the layers that go
// through it and can hold them half-way.
type gatedRegistry struct {
	*dockertest.LocalRegistry
	door  *httptest.Server
	blobs atomic.Int64
	// config is closed when an image's configuration went through whole.
	config chan struct{}
	mu     sync.Mutex
	gate   chan struct{}
}

func newGatedRegistry(t *testing.T) *gatedRegistry {
	t.Helper()
	g := &gatedRegistry{LocalRegistry: dockertest.Registry(t), config: make(chan struct{})}
	configured := sync.OnceFunc(func() { close(g.config) })
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.Address})
	proxy.FlushInterval = -1
	proxy.ErrorLog = log.New(io.Discard, "", 0) // connections are cut on purpose
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode >= 300 || r.Request.Method != http.MethodGet || !strings.Contains(r.Request.URL.Path, "/blobs/") {
			return nil
		}
		if r.ContentLength < 1<<20 {
			whole, err := io.ReadAll(r.Body)
			r.Body = &toldBody{Reader: bytes.NewReader(whole), Closer: r.Body, told: configured}
			return err
		}
		g.blobs.Add(1)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.gate != nil {
			r.Body = &gatedBody{ReadCloser: r.Body, left: r.ContentLength / 2, gate: g.gate, gone: r.Request.Context().Done()}
		}
		return nil
	}
	g.door = httptest.NewServer(proxy)
	t.Cleanup(g.door.Close)
	return g
}

// push puts a new image into the registry and gives its reference at the door.
func (g *gatedRegistry) push(name string) string {
	g.Push(name, megabytes)
	return strings.TrimPrefix(g.door.URL, "http://") + "/" + name
}

// hold stops layers half-way from now on, until release is called.
func (g *gatedRegistry) hold(t *testing.T) (release func()) {
	gate := make(chan struct{})
	g.mu.Lock()
	g.gate = gate
	g.mu.Unlock()
	release = sync.OnceFunc(func() {
		g.mu.Lock()
		g.gate = nil
		g.mu.Unlock()
		close(gate)
	})
	t.Cleanup(release)
	return release
}

// toldBody tells when it was read and closed.
type toldBody struct {
	io.Reader
	io.Closer
	told func()
}

func (b *toldBody) Close() error {
	b.told()
	return b.Closer.Close()
}

type gatedBody struct {
	io.ReadCloser
	left int64
	gate chan struct{}
	gone <-chan struct{}
}

func (b *gatedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		select {
		case <-b.gate:
		case <-b.gone:
			return 0, io.ErrUnexpectedEOF
		}
	} else if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// halfway waits until some bytes of the image have arrived and no more come.
func (h *house) halfway(ctx context.Context, id string) image.Progress {
	h.t.Helper()
	var p image.Progress
	h.await(ctx, id, "half-way", func(i *ent.Image) bool {
		p, _ = h.Progress(id)
		return i.Status == entimage.StatusPulling && p.Current > 0
	})
	return p
}

func gone(t *testing.T, engineID string) {
	t.Helper()
	_, err := dockertest.Client(t).ImageInspect(sys, engineID)
	require.True(t, cerrdefs.IsNotFound(err), "%v", err)
}

// TestDockerSlim: a real registry with the slim tag, without it, and with neither.
func TestDockerSlim(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	slim := r.Push("team/python:3.12-slim", 1000)
	r.Push("team/python:3.12", 2000)
	regular := r.Push("team/python:3.11", 1000)
	row := h.ready(ann, r.Address+"/team/python:3.12", true)
	require.Equal(t, slim, row.Reference)
	require.False(t, row.UsedFallback)
	require.Regexp(t, "^sha256:", *row.Digest)
	require.Positive(t, *row.Size)
	fallen := h.ready(ann, r.Address+"/team/python:3.11", true)
	require.Equal(t, regular, fallen.Reference)
	require.True(t, fallen.UsedFallback)
	none := h.refused(ann, r.Address+"/team/python:3.9", true)
	require.Contains(t, *none.StatusMessage, r.Address+" has neither team/python:3.9-slim nor team/python:3.9")
	pinned := h.ready(ann, r.Address+"/team/python@"+*row.Digest, true)
	require.Equal(t, row.EngineID, pinned.EngineID)
	h.holds(row.ID, fallen.ID, pinned.ID)

	_, err := h.Delete(ann, row.ID)
	require.NoError(t, err)
	h.awaitGone(ann, row.ID)
	_, err = dockertest.Client(t).ImageInspect(sys, *row.EngineID)
	require.NoError(t, err, "the other image is of the same content")
	_, err = h.Delete(ann, pinned.ID)
	require.NoError(t, err)
	h.awaitGone(ann, pinned.ID)
	gone(t, *row.EngineID)
	h.holds(fallen.ID)
}

// TestDockerProgress: seen layer by layer, never falling back, at most ten times a second.
func TestDockerProgress(t *testing.T) {
	t.Parallel()
	h, g := onDocker(t), newGatedRegistry(t)
	ann := h.person("ann", roomy)
	ref, release := g.push("team/app:1"), g.hold(t)
	ctx, cancel := context.WithCancel(ann)
	defer cancel()
	row := h.pull(ann, ref, false)
	changes := h.feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Image && c.ID == row.ID })
	begun := time.Now()
	half := h.halfway(ann, row.ID)
	require.Len(t, half.Layers, 1)
	require.Greater(t, half.Total, int64(megabytes))
	require.Less(t, half.Current, half.Total)
	release()
	var percents []float64
	told := 0
	for {
		_, err := changes.Next(ctx)
		require.NoError(t, err)
		told++
		if p, underWay := h.Progress(row.ID); underWay {
			percent, _ := p.Percent()
			percents = append(percents, percent)
		}
		now, err := h.Get(ann, row.ID)
		require.NoError(t, err)
		if now.Status == entimage.StatusReady {
			break
		}
	}
	require.IsNonDecreasing(t, percents)
	require.LessOrEqual(t, told, 4+int(time.Since(begun)/(100*time.Millisecond)), "the states besides")
	_, underWay := h.Progress(row.ID)
	require.False(t, underWay)
}

// TestDockerCancel leaves nothing in the engine.
func TestDockerCancel(t *testing.T) {
	t.Parallel()
	h, g := onDocker(t), newGatedRegistry(t)
	ann := h.person("ann", roomy)
	ref := g.push("team/app:1")
	g.hold(t)
	row := h.pull(ann, ref, false)
	h.halfway(ann, row.ID)
	_, err := h.Cancel(ann, row.ID)
	require.NoError(t, err)
	h.holds()
	all, err := dockertest.Client(t).ImageList(sys, dockerimage.ListOptions{All: true})
	require.NoError(t, err)
	for _, i := range all {
		require.NotContains(t, i.RepoTags, ref)
	}
	_, err = h.Delete(ann, row.ID)
	require.NoError(t, err)
	h.awaitGone(ann, row.ID)
	h.holds()
}

// TestDockerShared: ten users pull one image, and its layer comes once.
func TestDockerShared(t *testing.T) {
	t.Parallel()
	h, g := onDocker(t), newGatedRegistry(t)
	ref, release := g.push("team/app:1"), g.hold(t)
	var people []context.Context
	var ids []string
	for i := range 10 {
		p := h.person(fmt.Sprintf("p%d", i), roomy)
		people, ids = append(people, p), append(ids, h.pull(p, ref, false).ID)
	}
	for i, p := range people {
		h.halfway(p, ids[i]) // all see the one download
	}
	release()
	content := map[string]bool{}
	for i, p := range people {
		content[*h.awaitStatus(p, ids[i], entimage.StatusReady).EngineID] = true
	}
	require.EqualValues(t, 1, g.blobs.Load())
	require.Len(t, content, 1)
	h.holds(ids...)
}

// TestDockerRegistryStopsAndStarts in the middle of a pull, which then ends well.
func TestDockerRegistryStopsAndStarts(t *testing.T) {
	t.Parallel()
	h, g := onDocker(t), newGatedRegistry(t)
	ann := h.person("ann", roomy)
	ref, release := g.push("team/app:1"), g.hold(t)
	row := h.pull(ann, ref, false)
	h.halfway(ann, row.ID)
	<-g.config // while a layer is tried again for long, the configuration is not
	g.Stop()
	g.door.CloseClientConnections()
	release()
	h.await(ann, row.ID, "trying again", func(*ent.Image) bool {
		p, _ := h.Progress(row.ID)
		return len(p.Layers) == 1 && strings.HasPrefix(p.Layers[0].State, "Retrying in")
	})
	g.Start()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)
	h.holds(row.ID)
}

// TestDockerRegistryHangs: one that is not there is told at once, one that hangs
// in the middle when the deadline has passed.
func TestDockerRegistryHangs(t *testing.T) {
	t.Parallel()
	g := newGatedRegistry(t)
	h := onDocker(t, func(o *image.Options) { o.Deadline = 3 * time.Second })
	ann := h.person("ann", roomy)
	dead := dockertest.FreeAddress(t)
	row := h.refused(ann, dead+"/team/app:1", true)
	require.Contains(t, *row.StatusMessage, dead+" could not be reached, or failed while team/app:1 was pulled (")
	require.Contains(t, *row.StatusMessage, "connection refused")

	ref := g.push("team/app:1")
	g.hold(t)
	row = h.pull(ann, ref, false)
	h.halfway(ann, row.ID)
	row = h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Contains(t, *row.StatusMessage, "The pull of team/app:1 took longer than 3s and was given up.")
	h.holds()
}

// TestDockerServerRestarts in the middle of a pull: the next life takes it up.
func TestDockerServerRestarts(t *testing.T) {
	t.Parallel()
	h, g := onDocker(t), newGatedRegistry(t)
	ann := h.person("ann", roomy)
	ref, release := g.push("team/app:1"), g.hold(t)
	row := h.pull(ann, ref, false)
	h.halfway(ann, row.ID)
	h.close()
	release()
	h.open()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)
	h.holds(row.ID)
}

// TestDockerEngineDies in the middle of a pull: it says so, and goes on when the
// engine is back.
func TestDockerEngineDies(t *testing.T) {
	t.Parallel()
	instance, line := dockertest.Instance(), dockertest.NewLine(t)
	dockertest.Engine(t, instance) // cleans up
	line.Mend()
	eng, err := docker.New(docker.Options{Host: line.Host, Instance: instance})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, eng.Close()) })
	h, g := newHouse(t, eng), newGatedRegistry(t)
	ann := h.person("ann", roomy)
	ref, release := g.push("team/app:1"), g.hold(t)
	row := h.pull(ann, ref, false)
	h.halfway(ann, row.ID)
	line.Cut()
	row = h.await(ann, row.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	require.Equal(t, entimage.StatusPulling, row.Status)
	release()
	line.Mend()
	h.EngineUp()
	row = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Nil(t, row.StatusMessage)
	h.holds(row.ID)
}

// TestDockerVanished: an image removed behind our back is noticed.
func TestDockerVanished(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	h, r := newHouse(t, dockertest.Engine(t, instance)), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	ref := r.Push("team/app:1", 1000)
	row := h.ready(ann, ref, false)
	_, err := dockertest.Client(t).ImageRemove(sys, "mlride-"+instance+"/"+row.ID, dockerimage.RemoveOptions{})
	require.NoError(t, err)
	h.Observe(row.ID)
	h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Equal(t, row.ID, h.ready(ann, ref, false).ID)
	h.holds(row.ID)
}
