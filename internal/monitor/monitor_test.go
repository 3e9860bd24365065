package monitor_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/store"
)

const patience = 60 * time.Second

// house is a monitor on the real engine; the test plays the lifecycle.
type house struct {
	*monitor.Service
	t      *testing.T
	store  *store.Store
	engine engine.Engine
	feed   *live.Feed
	image  string
	ann    context.Context
}

func open(t *testing.T, local bool) *house {
	t.Helper()
	return openOn(t, local, dockertest.Engine(t, dockertest.Instance()), dockertest.Image(t))
}

func openOn(t *testing.T, local bool, e engine.Engine, image string) *house {
	t.Helper()
	sys := auth.AsSystem(context.Background())
	s, err := store.Open(sys, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := &house{t: t, store: s, engine: e, feed: &live.Feed{}}
	h.Service = monitor.New(monitor.Options{
		Client: s.Client, Feed: h.feed, Engine: h.engine, Local: func() bool { return local }, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	u := s.Client.User.Create().SetUsername("ann").SetUsernameKey("ann").SetPasswordHash("-").SaveX(sys)
	h.ann = auth.With(context.Background(), auth.Viewer{UserID: u.ID})
	h.image = s.Client.Image.Create().SetOwnerID(u.ID).SetReference("r").SetRequestedReference("r").SetMinMemory(1).SaveX(sys).ID
	_, err = h.engine.Adopt(sys, h.image, image)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// make is a container in the database and in the engine, not started.
func (h *house) make(command ...string) string {
	h.t.Helper()
	sys := auth.AsSystem(context.Background())
	row := h.store.Client.Container.Create().SetName(dockertest.Instance()).SetOwnerID(auth.Of(h.ann).UserID).SetImageID(h.image).
		SetDesired(container.DesiredRunning).SetCPULimit(1000).SetMemoryLimit(64 * record.MiB).SaveX(sys)
	require.NoError(h.t, h.engine.Create(sys, engine.Spec{
		ID: row.ID, Owner: row.OwnerID, ImageID: h.image, Command: command, Limits: engine.Limits{NanoCPUs: 1e9, Memory: 64 << 20},
	}))
	h.feed.Publish(live.Change{Kind: live.Container, ID: row.ID, Owner: row.OwnerID, Op: live.Created})
	return row.ID
}

func (h *house) start(id string) {
	h.t.Helper()
	require.NoError(h.t, h.engine.Start(h.ann, id))
	seen, err := h.engine.Inspect(h.ann, id)
	require.NoError(h.t, err)
	h.Started(monitor.Target{ID: id, EngineID: seen.EngineID, Pid: seen.Pid, Started: seen.Started, MemoryLimit: 64 * record.MiB})
	h.changed(id, live.Updated)
}

func (h *house) changed(id string, op live.Op) {
	h.feed.Publish(live.Change{Kind: live.Container, ID: id, Owner: auth.Of(h.ann).UserID, Op: op})
}

func next[T any](t *testing.T, ch <-chan T) (T, bool) {
	t.Helper()
	select {
	case v, open := <-ch:
		return v, open
	case <-time.After(patience):
		require.Fail(t, "nothing came")
		panic("unreachable")
	}
}

// TestD36BusyCoreReadsAHundred, from the kernel's files and from the engine's
// stream alike; the first sample is not 0.
func TestD36BusyCoreReadsAHundred(t *testing.T) {
	for name, local := range map[string]bool{"kernel": true, "stream": false} {
		t.Run(name, func(t *testing.T) {
			h := open(t, local)
			id := h.make("sh", "-c", "while :; do :; done")
			samples, err := h.Watch(h.ann, id, time.Second)
			require.NoError(t, err)
			h.start(id) // the watch waited
			first, _ := next(t, samples)
			require.Greater(t, first.CPUPercent, 20.0)
			require.EqualValues(t, name, h.Source(id))
			// Over the same time the engine counts the same work. Other tests share
			// the two cores, so the two are compared and not the one with 100.
			var totals []engine.Sample
			ctx, cancel := context.WithTimeout(h.ann, patience)
			defer cancel()
			from := time.Now()
			require.NoError(t, h.engine.Stats(ctx, id, func(s engine.Sample) {
				if totals = append(totals, s); len(totals) == 4 {
					cancel()
				}
			}))
			theirs := 100 * float64(totals[3].CPUNanos-totals[0].CPUNanos) / float64(totals[3].At.Sub(totals[0].At))
			var sum float64
			n := 0
			for s, _ := next(t, samples); ; s, _ = next(t, samples) {
				if s.At.After(from) {
					sum += s.CPUPercent
					n++
				}
				if s.At.After(totals[3].At) {
					break
				}
			}
			require.InDelta(t, theirs, sum/float64(n), 25)
			last, known := h.Latest(id)
			require.True(t, known)
			require.InDelta(t, float64(totals[3].Memory), float64(last.Memory), 1<<20)
			require.EqualValues(t, totals[3].Pids, last.Pids)
			require.Equal(t, 64*record.MiB, last.MemoryLimit)

			require.NoError(t, h.engine.Remove(h.ann, id))
			h.Stopped(id)
			h.changed(id, live.Removed)
			for open := true; open; {
				_, open = next(t, samples) // it completes
			}
			_, known = h.Latest(id)
			require.False(t, known)
		})
	}
}

func TestWatchRefuses(t *testing.T) {
	h := open(t, true)
	id := h.make("sleep", "1000")
	ben := auth.With(context.Background(), auth.Viewer{UserID: "user_ben"})
	_, err := h.Watch(ben, id, time.Second)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = h.WatchAll(ben, []string{id})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = h.Logs(ben, id, 10, time.Time{})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = h.Watch(h.ann, id, time.Millisecond)
	require.Equal(t, fault.BadUserInput, fault.CodeOf(err))
	_, err = h.Follow(h.ann, id, 10_001, time.Time{})
	require.Equal(t, fault.BadUserInput, fault.CodeOf(err))
}

// TestDashboardFollowsNewContainers, and a reader that does not read holds
// nothing up: it gets the newest of each when it comes back.
func TestDashboardFollowsNewContainers(t *testing.T) {
	h := open(t, true)
	one := h.make("sleep", "1000")
	h.start(one)
	slow, err := h.WatchAll(h.ann, nil)
	require.NoError(t, err)
	quick, err := h.WatchAll(h.ann, nil)
	require.NoError(t, err)
	two := h.make("sleep", "1000")
	h.start(two)
	seen := map[string]int{}
	var newest time.Time
	for seen[one] < 3 || seen[two] < 3 {
		s, _ := next(t, quick)
		seen[s.ID]++
		newest = s.At
	}
	stale := 0
	for range 4 { // at most one of each was kept, and one was already under way
		if s, _ := next(t, slow); s.At.Before(newest.Add(-2 * time.Second)) {
			stale++
		}
	}
	require.LessOrEqual(t, stale, 1)
}

// TestFollowAcrossARestart: each line once and in order, and the end with the removal.
func TestFollowAcrossARestart(t *testing.T) {
	h := open(t, true)
	id := h.make("sh", "-c", "for i in 1 2 3 4 5; do echo line $i; echo err $i >&2; done")
	lines, err := h.Follow(h.ann, id, 100, time.Time{})
	require.NoError(t, err)
	for run := range 2 {
		h.start(id)
		out, errs := 0, 0
		for out+errs < 10 {
			l, open := next(t, lines)
			require.True(t, open)
			if l.Stderr {
				errs++
				require.Equal(t, fmt.Sprint("err ", errs), l.Text, "run %d", run)
			} else {
				out++
				require.Equal(t, fmt.Sprint("line ", out), l.Text, "run %d", run)
			}
		}
		h.Stopped(id)
		h.changed(id, live.Updated)
		require.Eventually(t, func() bool {
			seen, err := h.engine.Inspect(h.ann, id)
			return err == nil && seen.Status == engine.StatusExited
		}, patience, 20*time.Millisecond)
	}
	snapshot, err := h.Logs(h.ann, id, 4, time.Time{})
	require.NoError(t, err)
	require.Len(t, snapshot, 4)
	require.NoError(t, h.engine.Remove(h.ann, id))
	h.changed(id, live.Removed)
	_, open := next(t, lines)
	require.False(t, open)
}

// TestSlowReaderIsToldWhatItMissed: of many lines the newest are kept, and the
// count of the others is told.
func TestSlowReaderIsToldWhatItMissed(t *testing.T) {
	h := open(t, true)
	const written = 5000
	id := h.make("sh", "-c", fmt.Sprintf("seq 1 %d; echo end", written))
	lines, err := h.Follow(h.ann, id, 100, time.Time{})
	require.NoError(t, err)
	h.start(id)
	require.Eventually(t, func() bool {
		seen, err := h.engine.Inspect(h.ann, id)
		return err == nil && seen.Status == engine.StatusExited
	}, patience, 20*time.Millisecond)
	got, dropped := 0, 0
	for {
		l, open := next(t, lines)
		require.True(t, open)
		got++
		dropped += l.Dropped
		if l.Text == "end" {
			break
		}
	}
	require.Equal(t, written+1, got+dropped)
}
