package image_test

import (
	"context"
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

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/live"
)

// slowBody reads a piece at each tick, as from a slow line: the engine tells of a
// download ten times a second at most.
type slowBody struct {
	io.ReadCloser
	piece, left int64
	tick        *time.Ticker
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.tick.C
		b.left = b.piece
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// lateBody can be read when it may.
type lateBody struct {
	io.ReadCloser
	may, gone <-chan struct{}
}

func (b *lateBody) Read(p []byte) (int, error) {
	select {
	case <-b.may:
		return b.ReadCloser.Read(p)
	case <-b.gone:
		return 0, io.ErrUnexpectedEOF
	}
}

// shortBody is the beginning of another.
type shortBody struct {
	io.Reader
	io.Closer
}

// blobDoor is a door to the registry, given by its address, that changes the
// answers which carry what images are made of.
func blobDoor(t *testing.T, r *dockertest.LocalRegistry, change func(*http.Response)) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	proxy.FlushInterval = -1
	proxy.ErrorLog = log.New(io.Discard, "", 0) // connections are cut on purpose
	proxy.ModifyResponse = func(a *http.Response) error {
		if a.StatusCode < 300 && a.Request.Method == http.MethodGet && strings.Contains(a.Request.URL.Path, "/blobs/") {
			change(a)
		}
		return nil
	}
	door := httptest.NewUnstartedServer(proxy)
	door.Config.ErrorLog = proxy.ErrorLog
	door.Start()
	t.Cleanup(door.Close)
	return strings.TrimPrefix(door.URL, "http://")
}

// TestDockerFiftyMegabytes: of an image of 50 MB each step on the way is told, from
// nothing to all of it.
func TestDockerFiftyMegabytes(t *testing.T) {
	t.Parallel()
	const size, pieces = 50 << 20, 40
	h, r, whole := onDocker(t), dockertest.Registry(t), make(chan struct{})
	ann := h.person("ann", roomy)
	r.Push("team/big:1", size)
	door := blobDoor(t, r, func(a *http.Response) {
		gone := a.Request.Context().Done()
		if a.ContentLength < size {
			a.Body = &lateBody{a.Body, whole, gone}
			return
		}
		tick := time.NewTicker(60 * ms)
		t.Cleanup(tick.Stop)
		a.Body = &slowBody{ReadCloser: a.Body, piece: a.ContentLength/pieces + 1, tick: tick}
	})
	release := sync.OnceFunc(func() { close(whole) })
	t.Cleanup(release)
	ctx, cancel := context.WithTimeout(ann, patience)
	t.Cleanup(cancel)
	changes := h.feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Image })
	row := h.pull(ann, door+"/team/big:1", false)
	var told []int64
	total := int64(0)
	for {
		_, err := changes.Next(ctx)
		require.NoError(t, err, "told %v of %d", told, total)
		now, err := h.Get(ann, row.ID)
		require.NoError(t, err)
		require.NotEqual(t, entimage.StatusFailed, now.Status, "%v", now.StatusMessage)
		p, underWay := h.Progress(row.ID)
		if !underWay || p.Total == 0 {
			continue
		}
		require.True(t, total == 0 || total == p.Total, "the size stays: %d, then %d", total, p.Total)
		total = p.Total
		told = append(told, p.Current)
		if p.Current == total {
			break
		}
	}
	require.Greater(t, total, int64(size))
	require.IsNonDecreasing(t, told)
	steps := map[int64]bool{}
	for _, n := range told {
		steps[n] = true
	}
	require.Greater(t, len(steps), 5, "%v of %d", told, total)
	release()
	require.Greater(t, int64(*h.awaitStatus(ann, row.ID, entimage.StatusReady).Size), int64(size))
	h.holds(row.ID)
}

// TestDockerCutLayer: a layer that is cut off once is gone on with; one that ends
// too early is not kept, and the message says what to do.
func TestDockerCutLayer(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	r.Push("team/app:1", megabytes)
	var asked atomic.Int64
	cut := blobDoor(t, r, func(a *http.Response) {
		if a.ContentLength > 1<<20 && asked.Add(1) == 1 {
			a.Body = shortBody{io.LimitReader(a.Body, a.ContentLength/2), a.Body} // the connection ends before what was promised
		}
	})
	row := h.ready(ann, cut+"/team/app:1", false)
	require.EqualValues(t, 2, asked.Load())
	h.holds(row.ID)

	r.Push("team/app:2", megabytes)
	short := blobDoor(t, r, func(a *http.Response) {
		if a.ContentLength > 1<<20 {
			a.ContentLength /= 2
			a.Header.Del("Content-Length")
			a.Body = shortBody{io.LimitReader(a.Body, a.ContentLength), a.Body}
		}
	})
	broken := h.refused(ann, short+"/team/app:2", false)
	require.Contains(t, *broken.StatusMessage, "failed while team/app:2 was pulled")
	require.Contains(t, *broken.StatusMessage, "Pull again later")
	require.Nil(t, broken.EngineID)
	h.holds(row.ID)
}
