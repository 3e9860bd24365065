package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// patience is how long a test waits for what must come; nothing waits it out
// unless it fails.
const patience = 60 * time.Second

// tester is what a house needs of a test; a sequence of the model is one too.
type tester interface {
	require.TestingT
	Helper()
	Cleanup(func())
}

// house is a database, an engine and the services on them: all but the API.
type house struct {
	*lifecycle.Service
	t       tester
	path    string
	store   *store.Store
	engine  engine.Engine
	feed    *live.Feed
	quota   *quota.Service
	volumes *volume.Service
	policy  quota.Policy
	stop    func()
	image   string
	// connected gets a word each time the engine was reached and compared.
	connected chan struct{}
	// now is the server's clock.
	now func() time.Time
}

var roomy = quota.Limits{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, GPU: 8, Images: 100, Volumes: 100, Disk: record.GiB}

// onDocker is a house on the real engine, under an instance of its own.
func onDocker(t *testing.T) *house {
	t.Helper()
	eng := dockertest.Engine(t, dockertest.Instance())
	h := newHouse(t, database(t), eng)
	h.adopt(dockertest.Image(t))
	return h
}

// database is where a new one may be.
func database(t *testing.T) string { return filepath.Join(t.TempDir(), "mlride.db") }

func newHouse(t tester, path string, eng engine.Engine) *house {
	t.Helper()
	h := houseAt(t, path, eng)
	h.open()
	return h
}

// houseAt is one in which no server has begun yet.
func houseAt(t tester, path string, eng engine.Engine) *house {
	h := &house{t: t, engine: eng, path: path, connected: make(chan struct{}, 1), now: time.Now}
	h.policy = quota.Policy{OvercommitCPU: 100, OvercommitMemory: 100}
	t.Cleanup(func() { h.close() })
	return h
}

// open begins a server's life on the database; close ends it, as a kill would:
// nothing is told to anybody.
func (h *house) open() {
	ctx := auth.AsSystem(context.Background())
	var err error
	h.store, err = store.Open(ctx, h.path)
	require.NoError(h.t, err)
	h.feed = &live.Feed{}
	log := slog.New(slog.DiscardHandler)
	h.quota, err = quota.New(ctx, quota.Options{
		Client: h.store.Client, Feed: h.feed, Default: roomy, Log: log, Now: h.now,
		Policy: h.policy,
	})
	require.NoError(h.t, err)
	h.volumes = volume.New(volume.Options{Client: h.store.Client, Engine: h.engine, Quota: h.quota, Feed: h.feed, Log: log, Now: h.now, Trash: time.Hour})
	volumes := h.volumes
	h.Service = lifecycle.New(lifecycle.Options{
		Client: h.store.Client, Engine: h.engine, Quota: h.quota, Volumes: h.volumes, Feed: h.feed, Log: log, Now: h.now,
		MinMemory: 16 * record.MiB,
		Connected: func(context.Context, engine.Info) {
			volumes.EngineUp()
			select {
			case h.connected <- struct{}{}:
			default:
			}
		},
	})
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { h.Run(ctx) })
	running.Go(func() { volumes.Run(ctx) })
	h.stop = func() {
		cancel()
		running.Wait()
		require.NoError(h.t, h.store.Close())
	}
}

func (h *house) close() {
	if h.stop != nil {
		h.stop()
		h.stop = nil
	}
}

// adopt makes a ready public image of what the engine has under ref.
func (h *house) adopt(ref string) {
	<-h.connected
	ctx := auth.AsSystem(context.Background())
	row, err := h.store.Client.Image.Create().SetReference(ref).SetRequestedReference(ref).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).Save(ctx)
	require.NoError(h.t, err)
	_, err = h.engine.Adopt(ctx, row.ID, ref)
	require.NoError(h.t, err)
	h.image = row.ID
}

// person makes an account with the quota and returns its context.
func (h *house) person(name string, q quota.Limits) context.Context {
	sys := auth.AsSystem(context.Background())
	row, err := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").Save(sys)
	require.NoError(h.t, err)
	h.quota.Default = q
	require.NoError(h.t, h.quota.Give(sys, h.store.Client, row.ID))
	return auth.With(context.Background(), auth.Viewer{UserID: row.ID, Username: name})
}

func (h *house) want(name string, command ...string) lifecycle.Wanted {
	cpu, memory := 0.05, 16*record.MiB
	return lifecycle.Wanted{
		Name: name, ImageID: h.image, CPU: &cpu, Memory: &memory, Command: command,
		RestartPolicy: container.RestartPolicyNever, Start: true,
	}
}

// await waits for the container to come to what is asked for.
func (h *house) await(ctx context.Context, id string, what string, is func(*ent.Container) bool) *ent.Container {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := h.Watch(ctx, id, false)
	require.NoError(h.t, err)
	var last *ent.Container
	for c := range changes {
		if c.Container != nil {
			if last = c.Container; is(last) {
				return last
			}
		}
	}
	require.Failf(h.t, "it did not come to that", "%s: last seen %+v", what, last)
	return nil
}

func (h *house) awaitStatus(ctx context.Context, id string, status container.Status) *ent.Container {
	h.t.Helper()
	return h.await(ctx, id, string(status), func(c *ent.Container) bool { return c.Status == status })
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
	for c := range changes {
		if c.Op == live.Removed {
			return
		}
	}
	require.Fail(h.t, "it was not removed")
}

// agrees checks that the ledger, the rows and the engine say the same.
func (h *house) agrees() {
	h.t.Helper()
	ctx := auth.AsSystem(context.Background())
	require.NoError(h.t, h.quota.Audit(ctx))
	rows, err := h.store.Client.Container.Query().All(ctx)
	require.NoError(h.t, err)
	states, err := h.engine.List(ctx)
	require.NoError(h.t, err)
	inEngine := map[string]engine.Status{}
	for _, s := range states {
		inEngine[s.ID] = s.Status
	}
	for _, row := range rows {
		want := map[container.Observed]engine.Status{
			container.ObservedCreated: engine.StatusCreated, container.ObservedRunning: engine.StatusRunning,
			container.ObservedPaused: engine.StatusPaused, container.ObservedExited: engine.StatusExited,
		}[row.Observed]
		require.Equal(h.t, want, inEngine[row.ID], "%s is %s", row.Name, row.Observed)
		delete(inEngine, row.ID)
	}
	require.Empty(h.t, inEngine, "containers without a row")
}

func requireCode(t *testing.T, code fault.Code, err error) *fault.Fault {
	t.Helper()
	require.Error(t, err)
	var f *fault.Fault
	require.True(t, errors.As(err, &f), "%v", err)
	require.Equal(t, code, f.Code, "%v", err)
	return f
}

var _ *docker.Engine
