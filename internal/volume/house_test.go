package volume_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	entvolume "github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

const (
	// patience is how long a test waits for what must come; nothing waits it out
	// unless it fails.
	patience = 60 * time.Second
	// ms is between two looks at what no channel tells of.
	ms = time.Millisecond
	// trash is how long volumes stay in the trash of these tests.
	trash = 24 * time.Hour
)

// house is a database, an engine and the volume service on them.
type house struct {
	*volume.Service
	t      *testing.T
	path   string
	store  *store.Store
	engine engine.Engine
	feed   *live.Feed
	quota  *quota.Service
	image  string
	stop   func()

	mu    sync.Mutex
	later time.Duration // how far the clock is ahead
}

var roomy = quota.Limits{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Volumes: 100, Disk: record.GiB}

// sys is the server itself.
var sys = auth.AsSystem(context.Background())

// onFake is a house on the engine in memory.
func onFake(t *testing.T) (*house, *enginetest.Fake) {
	t.Helper()
	fake := enginetest.NewFake("a")
	fake.Load("tools/busybox:1", enginetest.FakeImage{})
	return newHouse(t, fake, "tools/busybox:1"), fake
}

// onDocker is a house on the real engine, under an instance of its own.
func onDocker(t *testing.T) *house {
	t.Helper()
	return newHouse(t, dockertest.Engine(t, dockertest.Instance()), dockertest.Image(t))
}

func newHouse(t *testing.T, eng engine.Engine, ref string) *house {
	t.Helper()
	h := &house{t: t, engine: eng, path: filepath.Join(t.TempDir(), "mlride.db")}
	h.open()
	t.Cleanup(h.close)
	row := h.store.Client.Image.Create().SetReference(ref).SetRequestedReference(ref).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).SaveX(sys)
	_, err := eng.Adopt(sys, row.ID, ref)
	require.NoError(t, err)
	h.image = row.ID
	return h
}

// open begins a server's life on the database; close ends it, as a kill would.
func (h *house) open() {
	h.t.Helper()
	var err error
	h.store, err = store.Open(sys, h.path)
	require.NoError(h.t, err)
	h.feed = &live.Feed{}
	log := slog.New(slog.DiscardHandler)
	h.quota, err = quota.New(sys, quota.Options{Client: h.store.Client, Feed: h.feed, Default: roomy, Log: log, Now: time.Now})
	require.NoError(h.t, err)
	h.Service = volume.New(volume.Options{
		Client: h.store.Client, Engine: h.engine, Quota: h.quota, Feed: h.feed, Log: log, Now: h.now, Trash: trash,
	})
	ctx, cancel := context.WithCancel(context.Background())
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

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.later)
}

// pass lets time go by, and has the trash looked through.
func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	h.later += d
	h.mu.Unlock()
	h.EngineUp()
}

// person makes an account with the quota and returns its context.
func (h *house) person(name string, q quota.Limits) context.Context {
	h.t.Helper()
	row := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SaveX(sys)
	h.quota.Default = q
	require.NoError(h.t, h.quota.Give(sys, h.store.Client, row.ID))
	return auth.With(context.Background(), auth.Viewer{UserID: row.ID, Username: name})
}

func (h *house) admin() context.Context {
	h.t.Helper()
	v := auth.Of(h.person("admin", roomy))
	v.Admin = true
	return auth.With(context.Background(), v)
}

func (h *house) create(ctx context.Context, name string) *ent.Volume {
	h.t.Helper()
	row, err := h.Create(ctx, name)
	require.NoError(h.t, err)
	return row
}

// public is a volume of ctx's that an administrator made public.
func (h *house) public(ctx, admin context.Context, name string) *ent.Volume {
	h.t.Helper()
	row := h.create(ctx, name)
	yes := true
	row, err := h.Update(admin, row.ID, volume.Edit{Public: &yes})
	require.NoError(h.t, err)
	require.Equal(h.t, entvolume.VisibilityPublic, row.Visibility)
	return row
}

// check is all that createContainer says of the volumes before it begins.
func (h *house) check(ctx context.Context, mounts []volume.Wanted, workspace *string) error {
	var check fault.Check
	volume.CheckMounts(&check, mounts, workspace)
	if err := check.Err(); err != nil {
		return err
	}
	return h.Check(ctx, mounts, workspace)
}

// container makes a container's row with these volumes, as createContainer does.
func (h *house) container(ctx context.Context, name string, mounts []volume.Wanted, workspace *string) (*ent.Container, error) {
	h.t.Helper()
	owner := auth.Of(ctx).UserID
	checked := h.check(ctx, mounts, workspace)
	var row *ent.Container
	err := store.Tx(ctx, h.store.Client, func(tx *ent.Client) error {
		if err := h.quota.Reserve(ctx, tx, owner, quota.Need{Containers: 1}); err != nil {
			return err
		}
		var err error
		row, err = tx.Container.Create().SetName(name).SetOwnerID(owner).SetImageID(h.image).
			SetDesired(container.DesiredStopped).SetCPULimit(10).SetMemoryLimit(32 * record.MiB).
			SetCommand([]string{}).SetEnvironment([]record.EnvVar{}).Save(ctx)
		if err != nil {
			return err
		}
		return h.Attach(ctx, tx, row.ID, mounts, workspace)
	})
	if checked != nil {
		return nil, checked
	}
	if err != nil {
		return nil, err
	}
	return row.Unwrap(), nil
}

func (h *house) having(ctx context.Context, name string, mounts ...volume.Wanted) *ent.Container {
	h.t.Helper()
	row, err := h.container(ctx, name, mounts, nil)
	require.NoError(h.t, err)
	return row
}

// made makes the container in the engine too.
func (h *house) made(row *ent.Container, command ...string) {
	h.t.Helper()
	mounts, err := h.Of(sys, row.ID)
	require.NoError(h.t, err)
	spec := engine.Spec{
		ID: row.ID, Owner: row.OwnerID, ImageID: row.ImageID, Command: command, Hostname: row.Name,
		Limits: engine.Limits{NanoCPUs: 500_000_000, Memory: int64(row.MemoryLimit)},
	}
	for _, m := range mounts {
		spec.Mounts = append(spec.Mounts, engine.Mount{VolumeID: m.VolumeID, Owner: m.Edges.Volume.OwnerID, Path: m.Path, ReadOnly: m.ReadOnly})
	}
	require.NoError(h.t, h.engine.Create(sys, spec))
}

// gone removes a container from the engine and its row, as removeContainer does.
func (h *house) gone(row *ent.Container) {
	h.t.Helper()
	require.NoError(h.t, h.engine.Remove(sys, row.ID))
	h.goneFromTheLedger(row)
}

func (h *house) goneFromTheLedger(row *ent.Container) {
	h.t.Helper()
	require.NoError(h.t, store.Tx(sys, h.store.Client, func(tx *ent.Client) error {
		if err := tx.Container.DeleteOneID(row.ID).Exec(sys); err != nil {
			return err
		}
		return h.quota.Release(sys, tx, row.OwnerID, quota.Need{Containers: 1})
	}))
}

// eventually waits for what no channel tells of.
func (h *house) eventually(what string, holds func(*assert.CollectT)) {
	h.t.Helper()
	require.EventuallyWithT(h.t, holds, patience, ms, what)
}

// awaitPurged waits until a volume is nowhere any more.
func (h *house) awaitPurged(id string) {
	h.t.Helper()
	h.eventually("purged", func(c *assert.CollectT) {
		_, err := h.Get(sys, id)
		assert.Equal(c, fault.NotFound, fault.CodeOf(err))
	})
	ids, err := h.engine.ListVolumes(sys)
	require.NoError(h.t, err)
	require.NotContains(h.t, ids, id)
	require.NoError(h.t, h.quota.Audit(sys))
}

func (h *house) usage(ctx context.Context) quota.Usage {
	h.t.Helper()
	u, err := h.quota.Usage(ctx, auth.Of(ctx).UserID)
	require.NoError(h.t, err)
	return u
}

// trail are the actions that are recorded of a volume, oldest first.
func (h *house) trail(id string) []string {
	h.t.Helper()
	rows := h.store.Client.AuditEvent.Query().Where(auditevent.Target(id)).Order(ent.Asc(auditevent.FieldID)).AllX(sys)
	actions := make([]string, len(rows))
	for i, row := range rows {
		actions[i] = row.Action
	}
	return actions
}

func requireCode(t *testing.T, code fault.Code, err error) *fault.Fault {
	t.Helper()
	require.Error(t, err)
	var f *fault.Fault
	require.True(t, errors.As(err, &f), "%v", err)
	require.Equal(t, code, f.Code, "%v", err)
	return f
}

// requireRules holds an input to have broken just these rules: "field rule".
func requireRules(t *testing.T, err error, want ...string) {
	t.Helper()
	got := []string{}
	for _, v := range requireCode(t, fault.BadUserInput, err).Violations {
		got = append(got, v.Field+" "+v.Rule)
	}
	require.Equal(t, want, got, "%v", err)
}

func ptr[T any](v T) *T { return &v }
