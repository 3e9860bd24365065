package idle_test

import (
	"context"
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
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/idle"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// patience is how long a test waits for what must come; nothing waits it out
// unless it fails.
const patience = 60 * time.Second

var sys = auth.AsSystem(context.Background())

// clock goes where the test puts it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// house is a database, an engine, and the services on them that idling takes.
type house struct {
	*lifecycle.Service
	t       *testing.T
	store   *store.Store
	engine  engine.Engine
	quota   *quota.Service
	monitor *monitor.Service
	idle    *idle.Service
	image   string
}

type setup struct {
	now    func() time.Time
	latest func(string) (monitor.Sample, bool) // nil: the monitor's
	rules  lifecycle.IdleRules
	stop   time.Duration
}

func newHouse(t *testing.T, eng engine.Engine, ref string, o setup) *house {
	t.Helper()
	h := &house{t: t, engine: eng}
	var err error
	h.store, err = store.Open(sys, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	feed, log := &live.Feed{}, slog.New(slog.DiscardHandler)
	h.quota, err = quota.New(sys, quota.Options{
		Client: h.store.Client, Feed: feed, Log: log, Now: o.now,
		Default: quota.Limits{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Volumes: 100, Disk: record.GiB},
		Policy:  quota.Policy{OvercommitCPU: 1, OvercommitMemory: 1},
	})
	require.NoError(t, err)
	h.monitor = monitor.New(monitor.Options{
		Client: h.store.Client, Feed: feed, Engine: eng, Log: log, Now: time.Now,
		Local: func() bool { return h.Connection().Info.Local },
	})
	connected := make(chan struct{}, 1)
	h.Service = lifecycle.New(lifecycle.Options{
		Client: h.store.Client, Engine: eng, Quota: h.quota, Feed: feed, Log: log, Now: o.now,
		Volumes:   volume.New(volume.Options{Client: h.store.Client, Engine: eng, Quota: h.quota, Feed: feed, Log: log, Now: o.now}),
		MinMemory: 16 * record.MiB, Idleness: o.rules,
		Running: func(p lifecycle.Process) { h.monitor.Started(monitor.Target(p)) },
		Ended:   h.monitor.Stopped, Watched: h.monitor.Watching,
		Connected: func(context.Context, engine.Info) {
			select {
			case connected <- struct{}{}:
			default:
			}
		},
	})
	if o.latest == nil {
		o.latest = h.monitor.Latest
	}
	h.idle = idle.New(idle.Options{
		Client: h.store.Client, Lifecycle: h.Service, Quota: h.quota, Latest: o.latest,
		Stop: o.stop, Every: 100 * time.Millisecond, Now: o.now, Log: log,
	})
	h.live(h.Run)
	<-connected
	row, err := h.store.Client.Image.Create().SetReference(ref).SetRequestedReference(ref).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).Save(sys)
	require.NoError(t, err)
	_, err = eng.Adopt(sys, row.ID, ref)
	require.NoError(t, err)
	h.image = row.ID
	return h
}

// live runs a loop for as long as the test does; the database is closed after
// the last one.
func (h *house) live(run func(context.Context)) {
	ctx, cancel := context.WithCancel(sys)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	first := h.store
	h.t.Cleanup(func() {
		cancel()
		<-done
		_ = first.Close()
	})
}

func (h *house) person(name string) context.Context {
	h.t.Helper()
	row, err := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").Save(sys)
	require.NoError(h.t, err)
	require.NoError(h.t, h.quota.Give(sys, h.store.Client, row.ID))
	return auth.With(context.Background(), auth.Viewer{UserID: row.ID, Username: name})
}

// runs makes a container and waits until it runs.
func (h *house) runs(ctx context.Context, name string, timeout time.Duration, command ...string) *ent.Container {
	h.t.Helper()
	cpu, memory := 0.5, 16*record.MiB
	row, err := h.Create(ctx, lifecycle.Wanted{
		Name: name, ImageID: h.image, CPU: &cpu, Memory: &memory, Command: command, Start: true,
		RestartPolicy: container.RestartPolicyNever, IdleTimeout: (*record.Duration)(&timeout),
	})
	require.NoError(h.t, err)
	return h.awaitStatus(ctx, row.ID, container.StatusRunning)
}

// await waits for the container to come to what is asked for.
func (h *house) await(ctx context.Context, id, what string, is func(*ent.Container) bool) *ent.Container {
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

// kinds are the lines of a container's timeline, oldest first.
func (h *house) kinds(id string) []string {
	h.t.Helper()
	lines, err := h.Events(sys, id, 100)
	require.NoError(h.t, err)
	kinds := make([]string, len(lines))
	for i, l := range lines {
		kinds[len(lines)-1-i] = l.Kind
	}
	return kinds
}
