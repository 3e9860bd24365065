package gateway_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/gateway"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// patience is how long a test waits for what must come; nothing waits it out
// unless it fails.
const patience = 90 * time.Second

var sys = auth.AsSystem(context.Background())

// termHouse is a database, an engine, and what terminals take.
type termHouse struct {
	*lifecycle.Service
	t         *testing.T
	store     *store.Store
	engine    engine.Engine
	feed      *live.Feed
	quota     *quota.Service
	image     string
	terminals *gateway.Terminals
	stop      func() // of terminals

	mu      sync.Mutex
	touched map[string]int
}

// newTermHouse is on the shared engine, with the small busybox image.
func newTermHouse(t *testing.T) *termHouse {
	t.Helper()
	return houseOn(t, dockertest.Engine(t, dockertest.Instance()), dockertest.Image(t))
}

func houseOn(t *testing.T, eng engine.Engine, ref string) *termHouse {
	t.Helper()
	h := &termHouse{t: t, engine: eng, feed: &live.Feed{}, touched: map[string]int{}}
	var err error
	h.store, err = store.Open(sys, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.store.Close() })
	log := slog.New(slog.DiscardHandler)
	h.quota, err = quota.New(sys, quota.Options{
		Client: h.store.Client, Feed: h.feed, Log: log, Now: time.Now,
		Default: quota.Limits{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Volumes: 100, Disk: record.GiB},
		Policy:  quota.Policy{OvercommitCPU: 100, OvercommitMemory: 100},
	})
	require.NoError(t, err)
	connected := make(chan struct{}, 1)
	h.Service = lifecycle.New(lifecycle.Options{
		Client: h.store.Client, Engine: eng, Quota: h.quota, Feed: h.feed, Log: log, Now: time.Now,
		Volumes:   volume.New(volume.Options{Client: h.store.Client, Engine: eng, Quota: h.quota, Feed: h.feed, Log: log, Now: time.Now}),
		MinMemory: 16 * record.MiB,
		Connected: func(context.Context, engine.Info) {
			select {
			case connected <- struct{}{}:
			default:
			}
		},
	})
	live := h.during(h.Run)
	t.Cleanup(live)
	select {
	case <-connected:
	case <-time.After(patience):
		require.Fail(t, "the engine was never reached")
	}
	h.image = h.holds(ref)
	h.opens()
	t.Cleanup(func() { h.stop() })
	return h
}

// during runs a loop until stop is called.
func (h *termHouse) during(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(sys)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

// opens begins the terminals of a server on the house's database.
func (h *termHouse) opens() {
	h.terminals = gateway.NewTerminals(gateway.TerminalOptions{
		Client: h.store.Client, Engine: h.engine, Lifecycle: h.Service, Feed: h.feed, Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
		Touch: func(id, what string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.touched[id+" "+what]++
		},
	})
	h.stop = h.during(h.terminals.Run)
}

// holds makes an image of ref that everybody sees.
func (h *termHouse) holds(ref string) string {
	h.t.Helper()
	row, err := h.store.Client.Image.Create().SetReference(ref).SetRequestedReference(ref).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).Save(sys)
	require.NoError(h.t, err)
	_, err = h.engine.Adopt(sys, row.ID, ref)
	require.NoError(h.t, err)
	return row.ID
}

func (h *termHouse) person(name string, role user.Role) context.Context {
	h.t.Helper()
	row, err := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SetRole(role).Save(sys)
	require.NoError(h.t, err)
	require.NoError(h.t, h.quota.Give(sys, h.store.Client, row.ID))
	return auth.With(context.Background(), auth.Viewer{UserID: row.ID, Username: name, Admin: role == user.RoleAdmin})
}

// runs makes a container and waits until it runs.
func (h *termHouse) runs(ctx context.Context, command ...string) *ent.Container {
	h.t.Helper()
	if len(command) == 0 {
		command = []string{"sleep", "3600"}
	}
	cpu, memory := 0.5, 32*record.MiB
	row, err := h.Create(ctx, lifecycle.Wanted{
		Name: "box-" + dockertest.ID("c")[2:12], ImageID: h.image, CPU: &cpu, Memory: &memory, Command: command, Start: true,
		RestartPolicy: container.RestartPolicyNever,
	})
	require.NoError(h.t, err)
	return h.await(ctx, row.ID, container.StatusRunning)
}

func (h *termHouse) await(ctx context.Context, id string, status container.Status) *ent.Container {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := h.Watch(ctx, id, false)
	require.NoError(h.t, err)
	for c := range changes {
		if c.Container != nil && c.Container.Status == status {
			return c.Container
		}
	}
	require.Failf(h.t, "it did not come to that", "%s", status)
	return nil
}

// audited are the details of an action about a container, oldest first.
func (h *termHouse) audited(id, action string) []string {
	h.t.Helper()
	rows, err := h.store.Client.AuditEvent.Query().
		Where(auditevent.Target(id), auditevent.Action(action)).Order(ent.Asc(auditevent.FieldAt, auditevent.FieldID)).All(sys)
	require.NoError(h.t, err)
	var all []string
	for _, row := range rows {
		all = append(all, row.ActorName+": "+*row.Detail)
	}
	return all
}

// watcher is a connection to a terminal, and what it showed.
type watcher struct {
	*gateway.View
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer
	end  *gateway.End
	done chan struct{}
	cut  context.CancelFunc
}

// looks connects with a terminal and reads it.
func (h *termHouse) looks(ctx context.Context, id, name string) *watcher {
	h.t.Helper()
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	view, err := h.terminals.Attach(asking, id, name, 80, 24)
	require.NoError(h.t, err)
	w := &watcher{View: view, t: h.t, done: make(chan struct{})}
	reading, cut := context.WithCancel(context.Background())
	w.cut = func() {
		cut()
		<-w.done
		view.Close()
	}
	h.t.Cleanup(w.cut)
	go func() {
		defer close(w.done)
		for {
			out, end, err := view.Next(reading)
			w.mu.Lock()
			w.text.Write(out)
			w.end = end
			w.mu.Unlock()
			if end != nil || err != nil {
				return
			}
		}
	}()
	return w
}

func (w *watcher) shown() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// sees waits until text was shown.
func (w *watcher) sees(text string) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return strings.Contains(w.shown(), text) }, patience, 10*time.Millisecond,
		"waiting for %q", text)
}

// says types a line.
func (w *watcher) says(line string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(w.t, w.Type(ctx, []byte(line+"\n")))
}

// over waits for the terminal's end.
func (w *watcher) over() gateway.End {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(patience):
		require.Fail(w.t, "the terminal did not end")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotNil(w.t, w.end)
	return *w.end
}

const ent32 = 32 * record.MiB

// processes changes how many processes a container may have, behind our back.
func (h *termHouse) processes(id string, most int64) {
	h.t.Helper()
	seen, err := h.engine.Inspect(sys, id)
	require.NoError(h.t, err)
	_, err = dockertest.Client(h.t).ContainerUpdate(sys, seen.EngineID, dockercontainer.UpdateConfig{
		Resources: dockercontainer.Resources{PidsLimit: &most},
	})
	require.NoError(h.t, err)
}
