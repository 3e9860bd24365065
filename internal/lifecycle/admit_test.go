package lifecycle_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/quota"
)

const fakeImage = "docker.io/library/box:1"

// onFake is a house on the engine in memory, whose machine has that many cores.
func onFake(t *testing.T, cores int64) (*house, *enginetest.Fake) {
	t.Helper()
	fake := enginetest.NewFake(dockertest.Instance())
	fake.SetClock(func() time.Time { return time.Now().UTC() })
	fake.SetInfo(func(i *engine.Info) { i.NanoCPUs = cores * 1e9 })
	fake.Load(fakeImage, enginetest.FakeImage{})
	h := newHouse(t, database(t), fake)
	h.policy.OvercommitCPU, h.policy.OvercommitMemory = 1, 1
	h.close()
	h.open()
	h.adopt(fakeImage)
	return h, fake
}

// sized is a wish for that many cores, waiting where the machine is full.
func (h *house) sized(name string, cpu float64) lifecycle.Wanted {
	w := h.want(name, "sleep", "1000")
	w.CPU, w.Queue = &cpu, true
	return w
}

func (h *house) make(ctx context.Context, w lifecycle.Wanted) *ent.Container {
	h.t.Helper()
	row, err := h.Create(ctx, w)
	require.NoError(h.t, err)
	return row
}

func (h *house) awaitPlace(ctx context.Context, id string, place int) {
	h.t.Helper()
	h.await(ctx, id, fmt.Sprint("place ", place), func(c *ent.Container) bool {
		return c.Status == container.StatusQueued && c.QueuePosition != nil && *c.QueuePosition == place
	})
}

func TestQueueLetsInAsRoomIsMade(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 4)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	first := h.make(ann, h.sized("first", 3))
	h.awaitStatus(ann, first.ID, container.StatusRunning)

	w := h.sized("refused", 2)
	w.Queue = false
	_, err := h.Create(ben, w)
	requireCode(t, fault.CapacityExceeded, err)
	a, err := h.Admission(ben, w)
	require.NoError(t, err)
	require.True(t, a.WouldQueue)
	require.Empty(t, a.Freeing, "others' containers are not ben's to stop")

	waits := h.make(ben, h.sized("waits", 2))
	require.Equal(t, container.StatusQueued, waits.Status)
	require.False(t, waits.Reserved)
	require.Equal(t, 1, *waits.QueuePosition)
	u, err := h.quota.Usage(ben, waits.OwnerID)
	require.NoError(t, err)
	require.Equal(t, quota.Need{Containers: 1}, u.Need, "it counts as a container, and reserves nothing")
	h.agrees()

	_, err = h.Stop(ann, first.ID, 0)
	require.NoError(t, err)
	row := h.awaitStatus(ben, waits.ID, container.StatusRunning)
	require.True(t, row.Reserved)
	require.Nil(t, row.QueuePosition)
	events, err := h.Events(ben, waits.ID, 10)
	require.NoError(t, err)
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	require.Contains(t, kinds, "admitted")
	h.agrees()
}

func TestQueueIsFairAndKeepsRoomForThoseAhead(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 4)
	ann, ben, cat := h.person("ann", roomy), h.person("ben", roomy), h.person("cat", roomy)
	full := h.make(ann, h.sized("full", 4))
	h.awaitStatus(ann, full.ID, container.StatusRunning)
	a2 := h.make(ann, h.sized("a2", 1))    // ann has one running already
	large := h.make(ben, h.sized("b1", 3)) // ben has none
	b2 := h.make(ben, h.sized("b2", 2))
	h.awaitPlace(ben, large.ID, 1)
	h.awaitPlace(ann, a2.ID, 2)
	h.awaitPlace(ben, b2.ID, 3)

	small, err := h.Create(cat, func() lifecycle.Wanted { w := h.sized("small", 1); w.Queue = false; return w }())
	requireCode(t, fault.CapacityExceeded, err)
	require.Nil(t, small)

	// Two cores come free: not enough for the first, and so for nobody behind it
	// that would take of them.
	two := 2.0
	_, err = h.Update(ann, full.ID, lifecycle.Edit{CPU: &two})
	require.NoError(t, err)
	h.await(ann, full.ID, "the new limit", func(c *ent.Container) bool { return c.AppliedCPU == 2000 })
	_, err = h.Create(cat, func() lifecycle.Wanted { w := h.sized("small", 1); w.Queue = false; return w }())
	requireCode(t, fault.CapacityExceeded, err)
	h.awaitPlace(ben, large.ID, 1)

	_, err = h.Stop(ann, full.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ben, large.ID, container.StatusRunning)
	h.awaitStatus(ann, a2.ID, container.StatusRunning)
	h.awaitPlace(ben, b2.ID, 1)
	h.agrees()
}

func TestQueueSurvivesARestartAndCanBeLeft(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 2)
	ann := h.person("ann", roomy)
	full := h.make(ann, h.sized("full", 2))
	h.awaitStatus(ann, full.ID, container.StatusRunning)
	first, second := h.make(ann, h.sized("first", 2)), h.make(ann, h.sized("second", 1))
	h.awaitPlace(ann, second.ID, 2)
	h.close()
	h.open()
	<-h.connected
	h.awaitPlace(ann, first.ID, 1)

	row, err := h.Stop(ann, first.ID, 0)
	require.NoError(t, err)
	require.Equal(t, container.DesiredStopped, row.Desired)
	h.awaitStatus(ann, first.ID, container.StatusCreated) // it is there, and does not run
	h.awaitPlace(ann, second.ID, 1)
	_, err = h.Remove(ann, second.ID)
	require.NoError(t, err)
	h.awaitGone(ann, second.ID)

	row, err = h.Start(ann, first.ID, true)
	require.NoError(t, err)
	require.Equal(t, container.StatusQueued, row.Status)
	_, err = h.Remove(ann, full.ID)
	require.NoError(t, err)
	h.awaitStatus(ann, first.ID, container.StatusRunning)
	h.agrees()
}

// What can never come true is refused, or sent away once it cannot, and keeps
// nobody else waiting.
func TestP07NeverIsRefusedOrSentAway(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 4)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	_, err := h.Create(ann, h.sized("never", 5))
	requireCode(t, fault.CapacityExceeded, err)

	full := h.make(ann, h.sized("full", 4))
	h.awaitStatus(ann, full.ID, container.StatusRunning)
	blocked, behind := h.make(ben, h.sized("blocked", 3)), h.make(ann, h.sized("behind", 1))
	h.awaitPlace(ben, blocked.ID, 1)
	h.awaitPlace(ann, behind.ID, 2)
	admin := auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true})
	cpu := 2.0
	_, err = h.quota.Set(admin, blocked.OwnerID, quota.Change{MaxCPU: &cpu}) // less than it waits for
	require.NoError(t, err)
	row := h.await(ben, blocked.ID, "to be sent away", func(c *ent.Container) bool { return !c.Queued })
	require.Equal(t, container.DesiredStopped, row.Desired)
	require.Contains(t, *row.StatusMessage, "Your quota is 2 cores")
	row = h.awaitStatus(ben, blocked.ID, container.StatusCreated)
	require.NotNil(t, row.StatusMessage, "it goes on saying why when it was made")
	h.awaitPlace(ann, behind.ID, 1)
	h.agrees()
}

func TestWhoseQuotaIsFullKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 4)
	q := roomy
	q.CPU = 2000
	ann, ben := h.person("ann", q), h.person("ben", roomy)
	full := h.make(ben, h.sized("full", 3))
	own := h.make(ann, h.sized("own", 1))
	h.awaitStatus(ben, full.ID, container.StatusRunning)
	h.awaitStatus(ann, own.ID, container.StatusRunning)
	stuck, late := h.make(ann, h.sized("stuck", 1)), h.make(ben, h.sized("late", 1))
	h.awaitPlace(ann, stuck.ID, 1)
	h.awaitPlace(ben, late.ID, 2)
	admin := auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true})
	cpu := 1.5
	_, err := h.quota.Set(admin, stuck.OwnerID, quota.Change{MaxCPU: &cpu})
	require.NoError(t, err)
	h.awaitPlace(ben, late.ID, 1)
	row := h.await(ann, stuck.ID, "to be told", func(c *ent.Container) bool {
		return c.StatusMessage != nil && *c.StatusMessage == "It waits, and your own quota stands in its way too. Stop another container, or ask for less."
	})
	require.True(t, row.Queued)
	_, err = h.Stop(ann, own.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, stuck.ID, container.StatusRunning)
	h.agrees()
}

func TestRefusalNamesWhatWouldFreeEnough(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	q := roomy
	q.CPU = 3000
	ann := h.person("ann", q)
	small, large := h.make(ann, h.sized("small", 1)), h.make(ann, h.sized("large", 2))
	_, err := h.Create(ann, h.sized("next", 2))
	f := requireCode(t, fault.QuotaExceeded, err)
	require.Equal(t, []map[string]any{{"id": large.ID, "name": "large"}}, f.Details["containers"])
	a, err := h.Admission(ann, h.sized("next", 1))
	require.NoError(t, err)
	require.False(t, a.WouldQueue, "waiting does not help against one's own quota")
	require.Len(t, a.Freeing, 1)
	require.Equal(t, small.ID, a.Freeing[0].ID)
}

// 200 creations at once against a quota of ten: ten.
func TestTwoHundredAtOnceAgainstTen(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 64)
	q := roomy
	q.Containers = 10
	ann := h.person("ann", q)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var made []string
	for i := range 200 {
		wait.Go(func() {
			row, err := h.Create(ann, h.want(fmt.Sprintf("c%d", i), "sleep", "1000"))
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				made = append(made, row.ID)
			}
		})
	}
	wait.Wait()
	require.Len(t, made, 10)
	for _, id := range made {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	states, err := fake.List(ann)
	require.NoError(t, err)
	require.Len(t, states, 10)
	h.agrees()
}

// A GPU is one container's at a time: recorded, given back with the reservation,
// and asked for again by the container that was made with it.
func TestD39GPUsAreGivenToOneAtATime(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	w := h.want("none", "sleep", "1000")
	one, two := 1, 2
	w.GPU = &one
	_, err := h.Create(ann, w)
	f := requireCode(t, fault.CapacityExceeded, err)
	require.Contains(t, f.Message, "no GPU")

	require.NoError(t, h.quota.SetDevices(ann, []quota.Device{{ID: "GPU-a", Name: "A"}, {ID: "GPU-b", Name: "B"}, {ID: "GPU-c", Name: "C"}}))
	gpus := func(name string, n *int) lifecycle.Wanted {
		w := h.want(name, "sleep", "1000")
		w.GPU, w.Queue = n, true
		return w
	}
	first := h.make(ann, gpus("first", &two))
	require.Equal(t, []string{"GPU-a", "GPU-b"}, first.GpuDevices)
	h.awaitStatus(ann, first.ID, container.StatusRunning)
	require.Equal(t, []string{"GPU-a", "GPU-b"}, fake.DevicesOf(first.ID))
	second := h.make(ben, gpus("second", &one))
	require.Equal(t, []string{"GPU-c"}, second.GpuDevices)
	h.awaitStatus(ben, second.ID, container.StatusRunning)
	third := h.make(ben, gpus("third", &one))
	require.Equal(t, container.StatusQueued, third.Status)
	h.agrees()

	_, err = h.Stop(ann, first.ID, 0)
	require.NoError(t, err)
	row := h.awaitStatus(ben, third.ID, container.StatusRunning)
	require.Equal(t, []string{"GPU-a"}, row.GpuDevices)
	// The first was made with a GPU that is another's now.
	h.awaitStatus(ann, first.ID, container.StatusExited)
	_, err = h.Start(ann, first.ID, false)
	f = requireCode(t, fault.CapacityExceeded, err)
	h.agrees()
	row, err = h.Start(ann, first.ID, true)
	require.NoError(t, err)
	require.Equal(t, container.StatusQueued, row.Status)
	_, err = h.Remove(ben, second.ID)
	require.NoError(t, err)
	h.awaitGone(ben, second.ID)
	h.awaitPlace(ann, first.ID, 1) // two are wanted, of which one is free, and not the right ones
	_, err = h.Stop(ben, third.ID, 0)
	require.NoError(t, err)
	row = h.awaitStatus(ann, first.ID, container.StatusRunning)
	require.Equal(t, []string{"GPU-a", "GPU-b"}, row.GpuDevices)
	h.agrees()

	// One that is not to be started is made when it is: its GPUs are not known before.
	w = gpus("later", &one)
	w.Start = false
	later := h.make(ben, w)
	require.Equal(t, container.StatusCreated, later.Status)
	_, err = h.Start(ben, later.ID, false)
	require.NoError(t, err)
	row = h.awaitStatus(ben, later.ID, container.StatusRunning)
	require.Equal(t, []string{"GPU-c"}, row.GpuDevices)
	require.Equal(t, []string{"GPU-c"}, fake.DevicesOf(later.ID))
	h.agrees()
	_ = f
}

func TestOutOfMemoryInsideIsTold(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	row := h.make(ann, h.want("notebook", "sleep", "1000"))
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	told := func() int {
		events, err := h.Events(ann, row.ID, 100)
		require.NoError(t, err)
		n := 0
		for _, e := range events {
			if e.Kind == "out-of-memory" {
				n++
			}
		}
		return n
	}
	fake.OOMInside(row.ID)
	after := h.await(ann, row.ID, "to be told", func(c *ent.Container) bool { return c.OomTold })
	require.Equal(t, container.StatusRunning, after.Status)
	require.Contains(t, *after.StatusMessage, "memory ran out at 16 MiB")
	require.Equal(t, 1, told())
	fake.OOMInside(row.ID)
	h.await(ann, row.ID, "to be told again", func(*ent.Container) bool { return told() == 2 })
	// The first process itself: an end, with what was seen last.
	fake.Say(row.ID, "loading the data set", false)
	fake.OOM(row.ID)
	ended := h.awaitStatus(ann, row.ID, container.StatusExited)
	require.Equal(t, record.ExitOutOfMemory, ended.LastExit.Reason)
	require.Equal(t, []string{"loading the data set"}, ended.LastExit.LastLines)
	require.False(t, ended.Reserved)
	require.Equal(t, 2, told())
	h.agrees()
}

// A machine whose engine cannot give GPUs says so, and takes back what it reserved.
func TestEngineWithoutGPURuntimeIsExplained(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	require.NoError(t, h.quota.SetDevices(ann, []quota.Device{{ID: "0", Name: "A"}}))
	fake.Fail(enginetest.MethodStart, fmt.Errorf("could not select device driver"), 100)
	w := h.want("gpu", "sleep", "1000")
	one := 1
	w.GPU = &one
	row := h.make(ann, w)
	row = h.awaitStatus(ann, row.ID, container.StatusFailed)
	require.Contains(t, *row.StatusMessage, "GPU runtime")
	require.Contains(t, *row.StatusMessage, "could not select device driver")
	require.False(t, row.Reserved)
	h.agrees()
}

// What is said while a step is waited for is not said any longer than that.
func TestWordOfWaitingEndsWithTheWait(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	row := h.make(ann, h.want("box", "sleep", "1000"))
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	for _, wrong := range []error{engine.ErrUnreachable, fmt.Errorf("500: internal error")} {
		fake.Fail(enginetest.MethodPause, wrong, 1)
		_, err := h.Pause(ann, row.ID)
		require.NoError(t, err)
		h.await(ann, row.ID, "to say that it waits", func(c *ent.Container) bool { return c.StatusMessage != nil })
		h.await(ann, row.ID, "to be paused and say no more", func(c *ent.Container) bool {
			return c.Status == container.StatusPaused && c.StatusMessage == nil
		})
		_, err = h.Unpause(ann, row.ID)
		require.NoError(t, err)
		h.awaitStatus(ann, row.ID, container.StatusRunning)
	}
	// The answer is lost, the change is not: there is no further step.
	fake.LoseAnswer(enginetest.MethodPause, 1)
	_, err := h.Pause(ann, row.ID)
	require.NoError(t, err)
	h.await(ann, row.ID, "to be paused and say nothing", func(c *ent.Container) bool {
		return c.Status == container.StatusPaused && c.StatusMessage == nil
	})
	h.agrees()
}

// Who stops what has just ended does not get it back when the end turns out to be
// the engine's.
func TestStopOfWhatHasEndedIsHeeded(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	stopped, left := h.make(ann, h.want("stopped", "sleep", "1000")), h.make(ann, h.want("left", "sleep", "1000"))
	for _, row := range []*ent.Container{stopped, left} {
		h.awaitStatus(ann, row.ID, container.StatusRunning)
		fake.Kill(row.ID)
		h.awaitStatus(ann, row.ID, container.StatusExited)
	}
	_, err := h.Stop(ann, stopped.ID, 0)
	require.NoError(t, err)
	fake.Shutdown()
	fake.Up()
	h.await(ann, left.ID, "its second run", func(c *ent.Container) bool { return c.Status == container.StatusRunning && c.ObservedRun == 2 })
	row, err := h.Get(ann, stopped.ID)
	require.NoError(t, err)
	require.Equal(t, container.StatusExited, row.Status)
	require.Equal(t, 1, row.Run)
	_, err = h.Start(ann, stopped.ID, false)
	require.NoError(t, err)
	h.awaitStatus(ann, stopped.ID, container.StatusRunning)
	h.agrees()
}

// A clock that is put back does not make every end the engine's: what runs for a
// moment would be started again and again until the comparison is over.
func TestClockPutBackWhileTheEngineIsAway(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	var ahead atomic.Int64
	h.close()
	h.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	fake.SetClock(func() time.Time { return h.now().UTC() })
	h.open()
	<-h.connected
	fake.Down()
	require.Eventually(t, func() bool { return !h.Connection().Connected }, patience, time.Millisecond)
	row := h.make(ann, h.want("short", "sh", "-c", "exit 0"))
	ahead.Store(int64(-time.Hour))
	// The engine can be reached, and the server has not compared everything yet.
	release := fake.Hang(enginetest.MethodInfo)
	fake.Up()
	h.await(ann, row.ID, "to end", func(c *ent.Container) bool { return c.LastExit != nil })
	release()
	<-h.connected
	row = h.awaitStatus(ann, row.ID, container.StatusExited)
	require.Equal(t, 1, row.Run)
	require.Equal(t, record.ExitCompleted, row.LastExit.Reason)
	h.agrees()
}
