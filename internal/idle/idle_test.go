package idle_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/idle"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/monitor"
)

// look is how far apart the looks of a test are.
const look = 10 * time.Second

// gauge tells samples: of what is busy a whole core, of all else nothing.
type gauge struct {
	*clock
	mu   sync.Mutex
	busy map[string]bool
	cpu  map[string]time.Duration
	last map[string]time.Time
}

func (g *gauge) set(id string, busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy[id], g.last[id] = busy, g.Now()
}

func (g *gauge) latest(id string) (monitor.Sample, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.Now()
	if g.busy[id] {
		g.cpu[id] += now.Sub(g.last[id])
	}
	g.last[id] = now
	return monitor.Sample{ID: id, At: now, CPUTime: g.cpu[id]}, true
}

// fakeHouse is a house on the engine in memory whose time stands still.
func fakeHouse(t *testing.T, rules lifecycle.IdleRules, stop time.Duration) (*house, *gauge) {
	t.Helper()
	g := &gauge{clock: newClock(), busy: map[string]bool{}, cpu: map[string]time.Duration{}, last: map[string]time.Time{}}
	fake := enginetest.NewFake("a")
	fake.SetClock(g.Now)
	fake.Load("tools/busybox:1", enginetest.FakeImage{})
	return newHouse(t, fake, "tools/busybox:1", setup{now: g.Now, latest: g.latest, rules: rules, stop: stop}), g
}

// pass lets time go by, with a look every ten seconds.
func (h *house) pass(g *gauge, d time.Duration) {
	h.t.Helper()
	for ; d > 0; d -= look {
		g.forward(look)
		require.NoError(h.t, h.idle.Look(context.Background()))
	}
}

func (h *house) get(id string) *ent.Container {
	h.t.Helper()
	row, err := h.Get(sys, id)
	require.NoError(h.t, err)
	return row
}

func TestP08IdleIsWarnedFrozenWokenAndStopped(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, 24*time.Hour)
	ann := h.person("ann")
	silent := h.runs(ann, "silent", time.Hour, "sleep", "1000").ID
	busy := h.runs(ann, "busy", time.Hour, "sleep", "1000").ID
	forever := h.runs(ann, "forever", 0, "sleep", "1000").ID
	g.set(busy, true)
	began := g.Now()

	h.pass(g, 2*look)
	row := h.get(silent)
	require.WithinDuration(t, began, *row.IdleSince, look)
	require.Equal(t, row.IdleSince.Add(time.Hour), *row.CullAt)
	require.Empty(t, row.Activity)
	require.Nil(t, row.StatusMessage)
	row = h.get(busy)
	require.Equal(t, []string{"cpu"}, row.Activity)
	require.Nil(t, row.IdleSince)
	require.Nil(t, row.CullAt)
	require.NotNil(t, row.LastActivityAt)

	h.pass(g, 55*time.Minute) // the notice has begun
	row = h.get(silent)
	require.Contains(t, *row.StatusMessage, "Nothing has used it since")
	require.Equal(t, container.StatusRunning, row.Status)
	h.pass(g, time.Minute)
	require.Equal(t, []string{"create", "created", "running", "idle-warning"}, h.kinds(silent), "warned once")

	h.pass(g, 5*time.Minute)
	row = h.awaitStatus(ann, silent, container.StatusPaused)
	require.Equal(t, container.FrozenIdle, row.Frozen)
	require.True(t, row.Reserved, "waking it must not fail")
	require.NotNil(t, row.IdleSince)
	require.WithinDuration(t, g.Now().Add(24*time.Hour), *row.CullAt, 5*time.Minute)
	require.Contains(t, *row.StatusMessage, "nothing used it for 1h")

	row, err := h.Keep(ann, silent)
	require.NoError(t, err)
	require.Equal(t, container.FrozenNo, row.Frozen)
	require.Equal(t, []string{"owner"}, row.Activity)
	require.Nil(t, row.CullAt)
	require.Nil(t, row.StatusMessage)
	h.awaitStatus(ann, silent, container.StatusRunning)

	h.pass(g, 59*time.Minute)
	require.Equal(t, container.StatusRunning, h.get(silent).Status, "a whole period from then on")
	h.pass(g, 2*time.Minute)
	h.awaitStatus(ann, silent, container.StatusPaused)
	h.pass(g, time.Hour) // frozen, it is left alone
	require.Equal(t, container.StatusPaused, h.get(silent).Status)
	g.forward(23 * time.Hour)
	h.pass(g, look)
	row = h.awaitStatus(ann, silent, container.StatusExited)
	require.Equal(t, record.ExitIdle, row.LastExit.Reason)
	require.Equal(t, container.FrozenNo, row.Frozen)
	require.False(t, row.Reserved)
	require.Nil(t, row.CullAt)
	require.Nil(t, row.IdleSince)

	for _, id := range []string{busy, forever} {
		require.Equal(t, container.StatusRunning, h.get(id).Status)
		require.Equal(t, []string{"create", "created", "running"}, h.kinds(id))
	}
	require.NoError(t, h.quota.Audit(sys))
}

func TestP08CulledStartsAgainAtOnce(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, time.Hour)
	ann := h.person("ann")
	id := h.runs(ann, "silent", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, 11*time.Minute)
	h.awaitStatus(ann, id, container.StatusPaused)
	h.pass(g, time.Hour)
	h.awaitStatus(ann, id, container.StatusExited)

	_, err := h.Start(ann, id, false)
	require.NoError(t, err)
	row := h.awaitStatus(ann, id, container.StatusRunning)
	require.Nil(t, row.IdleSince)
	require.Nil(t, row.CullAt)
	h.pass(g, 9*time.Minute+50*time.Second)
	row = h.get(id)
	require.Equal(t, container.StatusRunning, row.Status)
	require.Contains(t, h.kinds(id), "idle-warning")
	h.pass(g, 30*time.Second)
	h.awaitStatus(ann, id, container.StatusPaused)
	_, err = h.Unpause(ann, id) // as good as Keep
	require.NoError(t, err)
	row = h.awaitStatus(ann, id, container.StatusRunning)
	require.Equal(t, container.FrozenNo, row.Frozen)
	h.pass(g, 9*time.Minute+50*time.Second)
	require.Equal(t, container.StatusRunning, h.get(id).Status)
	h.pass(g, 30*time.Second)
	h.awaitStatus(ann, id, container.StatusPaused)
	_, err = h.Start(ann, id, false)
	require.NoError(t, err)
	h.awaitStatus(ann, id, container.StatusRunning)
}

func TestUseTakesTheWarningBack(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, time.Hour)
	ann := h.person("ann")
	id := h.runs(ann, "box", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, 9*time.Minute+30*time.Second)
	require.NotNil(t, h.get(id).StatusMessage)
	h.idle.Touch(id, "terminal")
	h.pass(g, look)
	row := h.get(id)
	require.Equal(t, []string{"terminal"}, row.Activity)
	require.Equal(t, g.Now(), *row.LastActivityAt)
	require.Nil(t, row.StatusMessage)
	require.Nil(t, row.CullAt)
	h.pass(g, look) // an open terminal in which nothing happens is silent
	row = h.get(id)
	require.Empty(t, row.Activity)
	require.Equal(t, g.Now().Add(-look), *row.IdleSince)

	h.pass(g, 9*time.Minute+20*time.Second)
	require.NotNil(t, h.get(id).StatusMessage)
	_, err := h.Keep(ann, id)
	require.NoError(t, err)
	kept := g.Now()
	h.pass(g, look)
	row = h.get(id)
	require.Nil(t, row.StatusMessage)
	require.Equal(t, kept, *row.IdleSince)
	require.Equal(t, kept.Add(10*time.Minute), *row.CullAt)

	longer := record.Duration(time.Hour)
	_, err = h.Update(ann, id, lifecycle.Edit{IdleTimeout: &longer})
	require.NoError(t, err)
	h.pass(g, look)
	require.Equal(t, kept.Add(time.Hour), *h.get(id).CullAt)
	never := record.Duration(0)
	_, err = h.Update(ann, id, lifecycle.Edit{IdleTimeout: &never})
	require.NoError(t, err)
	h.pass(g, look)
	row = h.get(id)
	require.Nil(t, row.IdleTimeout)
	require.Nil(t, row.CullAt)
	require.Nil(t, row.IdleSince)
}

// TestOldNewsChangesNothing: between a look and what is done about it the owner
// may have come back.
func TestOldNewsChangesNothing(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, time.Hour)
	ann := h.person("ann")
	id := h.runs(ann, "box", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, 5*time.Minute)
	since := *h.get(id).IdleSince
	kept, err := h.Keep(ann, id)
	require.NoError(t, err)
	require.NoError(t, h.Idle(sys, id, since, since.Add(time.Minute), nil, time.Time{}))
	require.NoError(t, h.CullWarn(sys, id, since, since.Add(time.Minute)))
	require.NoError(t, h.Freeze(sys, id, container.FrozenIdle, "idle", time.Time{}))
	require.NoError(t, h.CullStop(sys, id, "idle"))
	require.Equal(t, kept.String(), h.get(id).String())
	require.NoError(t, h.CullStop(sys, "ctr_gone", "idle"))

	stopped, err := h.Stop(ann, id, 0)
	require.NoError(t, err)
	_, err = h.Keep(ann, id)
	require.Equal(t, fault.InvalidState, fault.CodeOf(err), "%v", err)
	require.NoError(t, h.Freeze(sys, id, container.FrozenDisk, "disk", time.Time{}))
	require.Equal(t, container.DesiredStopped, h.get(stopped.ID).Desired)
	_, err = h.Keep(h.person("ben"), id)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

// TestWorkIsWrittenRarely: what is busy for hours is not written every ten seconds.
func TestWorkIsWrittenRarely(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, time.Hour)
	id := h.runs(h.person("ann"), "busy", time.Hour, "sleep", "1000").ID
	g.set(id, true)
	h.pass(g, 2*look)
	first := *h.get(id).LastActivityAt
	h.pass(g, 5*look)
	require.Equal(t, first, *h.get(id).LastActivityAt)
	h.pass(g, look)
	require.Equal(t, first.Add(time.Minute), *h.get(id).LastActivityAt)
	g.set(id, false)
	h.pass(g, look)
	row := h.get(id)
	require.Equal(t, first.Add(time.Minute), *row.IdleSince, "that is told at once, and to the second")
	require.Equal(t, row.IdleSince.Add(time.Hour), *row.CullAt)
}

// TestNobodyIsFrozenUnwarned: a server that was away when the time was up warns
// first, and leaves the whole notice.
func TestNobodyIsFrozenUnwarned(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, time.Hour)
	ann := h.person("ann")
	id := h.runs(ann, "box", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, 5*time.Minute)
	since := *h.get(id).IdleSince
	g.forward(time.Hour)
	h.idle = idle.New(h.idle.Options) // another life of the server
	h.pass(g, 2*look)
	row := h.get(id)
	require.Equal(t, container.StatusRunning, row.Status)
	require.Equal(t, since, *row.IdleSince)
	require.Equal(t, g.Now().Add(time.Minute), *row.CullAt)
	require.NotNil(t, row.StatusMessage)
	h.pass(g, time.Minute)
	h.awaitStatus(ann, id, container.StatusPaused)
}

func TestRoomForWhoWaits(t *testing.T) {
	t.Parallel()
	h, g := fakeHouse(t, lifecycle.IdleRules{}, 0)
	ann, ben := h.person("ann"), h.person("ben")
	first := h.runs(ann, "first", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, look)
	second := h.runs(ann, "second", 10*time.Minute, "sleep", "1000").ID
	h.pass(g, 12*time.Minute)
	h.awaitStatus(ann, first, container.StatusPaused)
	h.awaitStatus(ann, second, container.StatusPaused)
	h.pass(g, 12*time.Minute)
	require.Equal(t, container.StatusPaused, h.get(second).Status, "for as long as nobody waits")

	capacity, used, err := h.quota.Machine(sys)
	require.NoError(t, err)
	waits, err := h.Create(ben, lifecycle.Wanted{Name: "waits", ImageID: h.image, RestartPolicy: container.RestartPolicyNever})
	require.NoError(t, err)
	require.NoError(t, h.store.Client.Container.UpdateOneID(waits.ID).
		SetQueued(true).SetQueuePosition(1).SetCPULimit(capacity.Together.CPU-used.CPU+100).Exec(sys))
	h.pass(g, look)
	row := h.awaitStatus(ann, first, container.StatusExited)
	require.Equal(t, record.ExitIdle, row.LastExit.Reason)
	h.pass(g, 3*look)
	require.Equal(t, container.StatusPaused, h.get(second).Status, "one was enough")
}

func TestRules(t *testing.T) {
	t.Parallel()
	span := func(d time.Duration) *record.Duration { return (*record.Duration)(&d) }
	for name, c := range map[string]struct {
		rules   lifecycle.IdleRules
		asked   *record.Duration
		want    *record.Duration
		refused string
	}{
		"off":                     {want: nil},
		"the default":             {rules: lifecycle.IdleRules{Default: time.Hour}, want: span(time.Hour)},
		"asked":                   {rules: lifecycle.IdleRules{Default: time.Hour}, asked: span(8 * time.Hour), want: span(8 * time.Hour)},
		"for ever":                {rules: lifecycle.IdleRules{Default: time.Hour}, asked: span(0), want: nil},
		"the longest, by default": {rules: lifecycle.IdleRules{Max: 8 * time.Hour}, want: span(8 * time.Hour)},
		"for ever is too long":    {rules: lifecycle.IdleRules{Max: 8 * time.Hour}, asked: span(0), refused: "1m to 8h"},
		"too long":                {rules: lifecycle.IdleRules{Max: 8 * time.Hour}, asked: span(9 * time.Hour), refused: "1m to 8h"},
		"too short":               {asked: span(time.Second), refused: "1m or more"},
		"less than nothing":       {asked: span(-time.Hour), refused: "1m or more"},
		"short, where it may be":  {rules: lifecycle.IdleRules{Least: time.Second}, asked: span(time.Second), want: span(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := fakeHouse(t, c.rules, 0)
			ann := h.person("ann")
			wanted := lifecycle.Wanted{Name: "box", ImageID: h.image, RestartPolicy: container.RestartPolicyNever, IdleTimeout: c.asked}
			row, err := h.Create(ann, wanted)
			if c.refused == "" {
				require.NoError(t, err)
				require.Equal(t, c.want, row.IdleTimeout)
				return
			}
			refused := func(err error) {
				require.Equal(t, fault.BadUserInput, fault.CodeOf(err), "%v", err)
				f := fault.Of(err)
				require.Equal(t, "idleTimeout", f.Violations[0].Field)
				require.Contains(t, f.Message, c.refused)
			}
			refused(err)
			wanted.IdleTimeout = nil
			row, err = h.Create(ann, wanted)
			require.NoError(t, err)
			_, err = h.Update(ann, row.ID, lifecycle.Edit{IdleTimeout: c.asked})
			refused(err)
		})
	}
}

// TestOnDocker: with real programs and the kernel's figures, the one that only
// sleeps is frozen, stopped and startable, and its busy neighbour runs on.
func TestOnDocker(t *testing.T) {
	t.Parallel()
	eng := dockertest.Engine(t, dockertest.Instance())
	h := newHouse(t, eng, dockertest.Image(t), setup{now: time.Now, rules: lifecycle.IdleRules{Least: time.Second}, stop: 2 * time.Second})
	h.live(h.monitor.Run)
	h.live(h.idle.Run)
	ann := h.person("ann")
	const timeout = 10 * time.Second
	busy := h.runs(ann, "busy", timeout, "sh", "-c", "while :; do :; done").ID
	row := h.await(ann, busy, "seen at work", func(c *ent.Container) bool { return len(c.Activity) > 0 })
	require.Equal(t, []string{"cpu"}, row.Activity)

	silent := h.runs(ann, "silent", timeout, "sleep", "1000").ID
	row = h.awaitStatus(ann, silent, container.StatusExited)
	require.Equal(t, record.ExitIdle, row.LastExit.Reason)
	require.GreaterOrEqual(t, row.FinishedAt.Sub(*row.StartedAt), timeout)
	require.Subset(t, h.kinds(silent), []string{"running", "idle-warning", "freeze", "paused", "cull", "exited"})

	_, err := h.Start(ann, silent, false)
	require.NoError(t, err)
	row = h.awaitStatus(ann, silent, container.StatusRunning)
	require.Equal(t, 2, row.Run)
	require.Equal(t, container.StatusRunning, h.get(busy).Status)
	require.NoError(t, h.quota.Audit(sys))
}
