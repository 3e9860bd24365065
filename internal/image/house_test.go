package image_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

// ms is between two looks at what no channel tells of.
const ms = time.Millisecond

// patience is how long a test waits for what must come; nothing waits it out
// unless it fails.
const patience = 60 * time.Second

// house is a database, an engine and the image service on them.
type house struct {
	*image.Service
	t      *testing.T
	path   string
	store  *store.Store
	engine engine.Engine
	feed   *live.Feed
	quota  *quota.Service
	change []func(*image.Options)
	stop   func()
}

var roomy = quota.Limits{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Disk: record.GiB}

// sys is the server itself.
var sys = auth.AsSystem(context.Background())

// onFake is a house on the engine in memory.
func onFake(t *testing.T, change ...func(*image.Options)) (*house, *enginetest.Fake) {
	t.Helper()
	fake := enginetest.NewFake("a")
	return newHouse(t, fake, change...), fake
}

// onDocker is a house on the real engine, under an instance of its own.
func onDocker(t *testing.T, change ...func(*image.Options)) *house {
	t.Helper()
	return newHouse(t, dockertest.Engine(t, dockertest.Instance()), change...)
}

func newHouse(t *testing.T, eng engine.Engine, change ...func(*image.Options)) *house {
	t.Helper()
	h := &house{t: t, engine: eng, path: filepath.Join(t.TempDir(), "mlride.db"), change: change}
	h.open()
	t.Cleanup(h.close)
	return h
}

// open begins a server's life on the database; close ends it, as a kill would:
// nothing is told to anybody.
func (h *house) open() {
	h.t.Helper()
	var err error
	h.store, err = store.Open(sys, h.path)
	require.NoError(h.t, err)
	h.feed = &live.Feed{}
	log := slog.New(slog.DiscardHandler)
	h.quota, err = quota.New(sys, quota.Options{Client: h.store.Client, Feed: h.feed, Default: roomy, Log: log, Now: time.Now})
	require.NoError(h.t, err)
	o := image.Options{
		Client: h.store.Client, Feed: h.feed, Engine: h.engine, Quota: h.quota,
		MinMemory: 16 * record.MiB, Log: log, Now: time.Now,
	}
	for _, change := range h.change {
		change(&o)
	}
	h.Service, err = image.New(o)
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(sys)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	h.stop = func() {
		cancel()
		<-done
		require.NoError(h.t, h.store.Close())
	}
}

func (h *house) close() {
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// person makes an account with the quota and returns its context.
func (h *house) person(name string, q quota.Limits) context.Context {
	h.t.Helper()
	row, err := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").Save(sys)
	require.NoError(h.t, err)
	h.quota.Default = q
	require.NoError(h.t, h.quota.Give(sys, h.store.Client, row.ID))
	return auth.With(context.Background(), auth.Viewer{UserID: row.ID, Username: name})
}

// pull asks for the image.
func (h *house) pull(ctx context.Context, ref string, slim bool) *ent.Image {
	h.t.Helper()
	row, err := h.Pull(ctx, image.Input{Reference: ref, PreferSlim: slim})
	require.NoError(h.t, err)
	return row
}

// ready asks for the image and waits until it is there.
func (h *house) ready(ctx context.Context, ref string, slim bool) *ent.Image {
	h.t.Helper()
	return h.awaitStatus(ctx, h.pull(ctx, ref, slim).ID, entimage.StatusReady)
}

// refused asks for the image and waits until it is not to be had.
func (h *house) refused(ctx context.Context, ref string, slim bool) *ent.Image {
	h.t.Helper()
	return h.awaitStatus(ctx, h.pull(ctx, ref, slim).ID, entimage.StatusFailed)
}

// await waits for the image to come to what is asked for.
func (h *house) await(ctx context.Context, id, what string, is func(*ent.Image) bool) *ent.Image {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := h.Watch(ctx, id, false)
	require.NoError(h.t, err)
	var last *ent.Image
	for c := range changes {
		if c.Image != nil {
			if last = c.Image; is(last) {
				return last
			}
		}
	}
	require.Failf(h.t, "it did not come to that", "%s: last seen %+v", what, last)
	return nil
}

func (h *house) awaitStatus(ctx context.Context, id string, status entimage.Status) *ent.Image {
	h.t.Helper()
	return h.await(ctx, id, string(status), func(i *ent.Image) bool { return i.Status == status })
}

// awaitGone waits for the removal.
func (h *house) awaitGone(ctx context.Context, id string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := h.Watch(ctx, id, false)
	if fault.CodeOf(err) == fault.NotFound {
		return
	}
	require.NoError(h.t, err)
	removed := false
	for c := range changes {
		removed = c.Op == live.Removed
	}
	require.True(h.t, removed, "it was not removed")
}

// holds waits until the engine holds just the images of these ids for us, and
// checks the ledger.
func (h *house) holds(ids ...string) {
	h.t.Helper()
	if ids == nil {
		ids = []string{}
	}
	require.EventuallyWithT(h.t, func(c *assert.CollectT) {
		held, err := h.engine.ListImages(sys)
		require.NoError(c, err)
		require.ElementsMatch(c, ids, held)
	}, patience, 5*time.Millisecond)
	require.NoError(h.t, h.quota.Audit(sys))
}

// container makes a container's row.
func (h *house) container(ctx context.Context, name, imageID string) *ent.Container {
	h.t.Helper()
	q, err := h.quota.ByUser(ctx, auth.Of(ctx).UserID)
	require.NoError(h.t, err)
	require.NoError(h.t, h.quota.Reserve(sys, h.store.Client, q.UserID, quota.Need{Containers: 1}))
	row, err := newContainer(h.store.Client, q.UserID, name, imageID).Save(ctx)
	require.NoError(h.t, err)
	return row
}

func newContainer(client *ent.Client, owner, name, imageID string) *ent.ContainerCreate {
	return client.Container.Create().SetName(name).SetOwnerID(owner).SetImageID(imageID).
		SetDesired(container.DesiredStopped).SetCPULimit(10).SetMemoryLimit(16 * record.MiB).
		SetCommand([]string{}).SetEnvironment([]record.EnvVar{})
}

func requireCode(t *testing.T, code fault.Code, err error) *fault.Fault {
	t.Helper()
	require.Error(t, err)
	var f *fault.Fault
	require.True(t, errors.As(err, &f), "%v", err)
	require.Equal(t, code, f.Code, "%v", err)
	return f
}
