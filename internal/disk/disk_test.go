package disk_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/disk"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/store"
)

// world is what a test lets containers write, and what of the disk is left.
type world struct {
	*clock
	mu     sync.Mutex
	layers map[string]record.Bytes
	asked  map[string]int
	left   record.Bytes
}

func (w *world) write(id string, n record.Bytes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.layers[id] += n
}

func (w *world) leave(n record.Bytes) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = n
}

func (w *world) free() record.Bytes {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

func (w *world) LayerSize(_ context.Context, id string) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[id]++
	return int64(w.layers[id]), nil
}

func (w *world) VolumeSize(_ context.Context, id string) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(w.layers[id]), nil
}

func (w *world) measured(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[id]
}

func fakeHouse(t *testing.T, quota record.Bytes) (*house, *world) {
	t.Helper()
	w := &world{clock: newClock(), layers: map[string]record.Bytes{}, asked: map[string]int{}, left: 100 * record.GiB}
	fake := enginetest.NewFake("a")
	fake.SetClock(w.Now)
	fake.Load("tools/busybox:1", enginetest.FakeImage{})
	h := newHouse(t, fake, "tools/busybox:1", setup{
		now: w.Now, sizes: w, free: w.free, disk: quota,
		latest: func(string) (monitor.Sample, bool) { return monitor.Sample{}, false },
	})
	return h, w
}

// pass lets time go by, with a look every two seconds.
func (h *house) pass(w *world, looks int) {
	h.t.Helper()
	for range looks {
		w.forward(2 * time.Second)
		require.NoError(h.t, h.disk.Look(context.Background()))
	}
}

func (h *house) get(id string) *ent.Container {
	h.t.Helper()
	row, err := h.Get(sys, id)
	require.NoError(h.t, err)
	return row
}

func requireLow(t *testing.T, free record.Bytes, err error) {
	t.Helper()
	require.Equal(t, fault.LowDisk, fault.CodeOf(err), "%v", err)
	require.Equal(t, int64(free), fault.Of(err).Details["free"])
}

func TestFastestWriterIsFrozen(t *testing.T) {
	t.Parallel()
	h, w := fakeHouse(t, 100*record.GiB)
	ann, ben := h.person("ann"), h.person("ben")
	fast, slow := h.runs(ann, "fast", "sleep", "1000"), h.runs(ann, "slow", "sleep", "1000")
	silent := h.runs(ben, "silent", "sleep", "1000")
	h.pass(w, 1)
	step := func() {
		w.write(fast, 200*record.MiB)
		w.write(slow, 20*record.MiB)
		h.pass(w, 1)
	}
	step()
	require.Equal(t, container.StatusRunning, h.get(fast).Status, "there is room")

	w.leave(reserve - record.GiB)
	step()
	row := h.awaitStatus(ann, fast, container.StatusPaused)
	require.Equal(t, container.FrozenDisk, row.Frozen)
	require.True(t, row.Reserved)
	require.Contains(t, *row.StatusMessage, "unpause it")
	require.Equal(t, 400*record.MiB, *row.DiskUsed)
	step()
	require.Equal(t, container.StatusRunning, h.get(slow).Status, "what the first did must be seen first")
	h.pass(w, 1)

	_, err := h.Create(ben, h.want("new", "sleep", "1"))
	requireLow(t, reserve-record.GiB, err)
	a, err := h.Admission(ben, h.want("new", "sleep", "1"))
	require.NoError(t, err)
	require.Equal(t, fault.LowDisk, a.Problems[0].Code)
	for _, verb := range []func() error{
		func() error { _, err := h.Unpause(ann, fast); return err },
		func() error { _, err := h.Start(ann, fast, false); return err },
		func() error { _, err := h.Restart(ann, fast, 0); return err },
	} {
		requireLow(t, reserve-record.GiB, verb())
	}
	_, err = h.Stop(ben, silent, 0)
	require.NoError(t, err)
	h.awaitStatus(ben, silent, container.StatusExited)
	_, err = h.Start(ben, silent, false)
	requireLow(t, reserve-record.GiB, err)

	w.write(slow, 20*record.MiB)
	h.pass(w, 1)
	h.awaitStatus(ann, slow, container.StatusPaused)

	w.leave(100 * record.GiB)
	h.pass(w, 5)
	require.Equal(t, container.StatusPaused, h.get(fast).Status, "its owner says when")
	_, err = h.Unpause(ann, fast)
	require.NoError(t, err)
	row = h.awaitStatus(ann, fast, container.StatusRunning)
	require.Equal(t, container.FrozenNo, row.Frozen)
	require.Nil(t, row.StatusMessage)
	_, err = h.Start(ben, silent, false)
	require.NoError(t, err)
	require.NoError(t, h.quota.Audit(sys))
}

// TestWhoFillsAVolumeIsFrozen: what is written in a volume is in no layer.
func TestWhoFillsAVolumeIsFrozen(t *testing.T) {
	t.Parallel()
	h, w := fakeHouse(t, 100*record.GiB)
	ann := h.person("ann")
	reader, writer, slow := h.runs(ann, "reader", "sleep", "1000"), h.runs(ann, "writer", "sleep", "1000"), h.runs(ann, "slow", "sleep", "1000")
	volume := h.store.Client.Volume.Create().SetName("data").SetOwnerID(h.get(writer).OwnerID).SaveX(sys).ID
	h.store.Client.Mount.Create().SetContainerID(writer).SetVolumeID(volume).SetPath("/data").ExecX(sys)
	h.store.Client.Mount.Create().SetContainerID(reader).SetVolumeID(volume).SetPath("/data").SetReadOnly(true).ExecX(sys)
	w.leave(0)
	for range 2 {
		w.write(volume, record.GiB)
		w.write(slow, 10*record.MiB)
		h.pass(w, 1)
	}
	h.awaitStatus(ann, writer, container.StatusPaused)
	require.Equal(t, container.StatusRunning, h.get(reader).Status)
}

func TestNobodyIsFrozenForNothing(t *testing.T) {
	t.Parallel()
	h, w := fakeHouse(t, 100*record.GiB)
	ann := h.person("ann")
	id := h.runs(ann, "silent", "sleep", "1000")
	w.write(id, record.GiB)
	w.leave(0)
	for range 20 {
		w.write(id, 4*record.KiB) // a log
		h.pass(w, 1)
	}
	require.Equal(t, container.StatusRunning, h.get(id).Status)
	// What an idle one was frozen for is not the disk: waking it never fails.
	require.NoError(t, h.Idle(sys, id, w.Now(), w.Now().Add(time.Hour), nil, time.Time{}))
	require.NoError(t, h.Freeze(sys, id, container.FrozenIdle, "idle", time.Time{}))
	h.awaitStatus(ann, id, container.StatusPaused)
	_, err := h.Unpause(ann, id)
	require.NoError(t, err)
	h.awaitStatus(ann, id, container.StatusRunning)
}

func TestLayersAreMeasuredCheaply(t *testing.T) {
	t.Parallel()
	h, w := fakeHouse(t, 100*record.GiB)
	ann := h.person("ann")
	id := h.runs(ann, "box", "sleep", "1000")
	w.write(id, 5*record.MiB)
	h.pass(w, 30)
	require.Equal(t, 5*record.MiB, *h.get(id).DiskUsed)
	before := w.measured(id)
	w.write(id, 10*record.KiB)
	h.pass(w, 30)
	require.Equal(t, before+2, w.measured(id), "of what is silent, twice a minute")
	require.Equal(t, 5*record.MiB, *h.get(id).DiskUsed, "that is no news")
	w.write(id, 50*record.MiB)
	h.pass(w, 15)
	require.Equal(t, 55*record.MiB+10*record.KiB, *h.get(id).DiskUsed)
	usage, err := h.quota.Usage(ann, h.get(id).OwnerID)
	require.NoError(t, err)
	require.Equal(t, 55*record.MiB+10*record.KiB, usage.Disk)

	w.write(id, 5*record.MiB)
	_, err = h.Stop(ann, id, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, id, container.StatusExited)
	before = w.measured(id)
	h.pass(w, 60)
	require.Equal(t, before+1, w.measured(id), "once after its end")
	require.Equal(t, 60*record.MiB+10*record.KiB, *h.get(id).DiskUsed)
}

func TestFullQuotaWarnsAndRefuses(t *testing.T) {
	t.Parallel()
	h, w := fakeHouse(t, record.GiB)
	ann, ben := h.person("ann"), h.person("ben")
	id, other := h.runs(ann, "box", "sleep", "1000"), h.runs(ann, "other", "sleep", "1000")
	_, err := h.Stop(ann, other, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, other, container.StatusExited)
	h.pass(w, 1)
	w.write(id, 2*record.GiB)
	h.pass(w, 45)
	row := h.get(id)
	require.Equal(t, container.StatusRunning, row.Status)
	require.Contains(t, *row.StatusMessage, "Your quota is 1 GiB of disk")
	lines, err := h.Events(ann, id, 100)
	require.NoError(t, err)
	told := 0
	for _, l := range lines {
		if l.Kind == "disk-full" {
			told++
		}
	}
	require.Equal(t, 1, told)

	_, create := h.Create(ann, h.want("new", "sleep", "1"))
	_, start := h.Start(ann, other, false)
	for _, err := range []error{create, start} {
		require.Equal(t, fault.QuotaExceeded, fault.CodeOf(err), "%v", err)
		require.Equal(t, "disk", fault.Of(err).Details["resource"])
	}
	a, err := h.Admission(ann, h.want("new", "sleep", "1"))
	require.NoError(t, err)
	require.Len(t, a.Problems, 1)
	require.Equal(t, "disk", a.Problems[0].Resource)
	_, err = h.Restart(ann, id, 0) // what runs may go on
	require.NoError(t, err)
	h.await(ann, id, "its second run", func(c *ent.Container) bool { return c.ObservedRun == 2 })
	h.runs(ben, "new", "sleep", "1000")

	w.write(id, -2*record.GiB)
	h.pass(w, 20)
	require.Nil(t, h.get(id).StatusMessage)
	_, err = h.Start(ann, other, false)
	require.NoError(t, err)
}

// real asks the engine itself for sizes.
type real struct {
	*client.Client
	instance string
}

func (r real) LayerSize(ctx context.Context, id string) (int64, error) {
	c, _, err := r.ContainerInspectWithRaw(ctx, dockertest.ContainerName(r.instance, id), true)
	if err != nil || c.SizeRw == nil {
		return 0, err
	}
	return *c.SizeRw, nil
}

func (real) VolumeSize(context.Context, string) (int64, error) { return 0, nil }

// TestOnDocker: a program that writes for ever is frozen, its neighbour is not,
// and lists are answered all the while.
func TestOnDocker(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	eng := dockertest.Engine(t, instance)
	var left atomic.Int64
	left.Store(int64(reserve) * 2)
	h := newHouse(t, eng, dockertest.Image(t), setup{
		now: time.Now, sizes: real{dockertest.Client(t), instance}, disk: 100 * record.GiB,
		free: func() record.Bytes { return record.Bytes(left.Load()) },
	})
	h.live(h.monitor.Run)
	h.live(h.disk.Run)
	ann, ben := h.person("ann"), h.person("ben")
	// For ever, but should nobody freeze it, not more than a test may take.
	writer := h.runs(ann, "writer", "sh", "-c",
		"i=0; while [ $i -lt 1000 ]; do head -c 1048576 /dev/zero >> /written; i=$((i+1)); sleep 0.1; done; sleep 1000")
	neighbour := h.runs(ben, "neighbour", "sh", "-c", "while :; do date > /now; sleep 1; done")
	h.await(ann, writer, "measured", func(c *ent.Container) bool { return c.DiskUsed != nil && *c.DiskUsed > record.MiB })

	left.Store(int64(reserve) / 2)
	row := h.awaitStatus(ann, writer, container.StatusPaused)
	require.Equal(t, container.FrozenDisk, row.Frozen)
	_, err := h.Unpause(ann, writer)
	requireLow(t, reserve/2, err)
	for _, who := range []context.Context{ann, ben} {
		page, err := h.List(who, lifecycle.Filter{}, store.Order{Column: container.FieldCreatedAt}, store.Page{}, lifecycle.Load{})
		require.NoError(t, err)
		require.Len(t, page.Items, 1)
	}
	require.Equal(t, container.StatusRunning, h.get(neighbour).Status)

	left.Store(int64(reserve) * 2)
	_, err = h.Unpause(ann, writer)
	require.NoError(t, err)
	h.awaitStatus(ann, writer, container.StatusRunning)
}

func TestFreeSpaceOfTheKernel(t *testing.T) {
	t.Parallel()
	free, err := disk.Free(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, free)
	_, err = disk.Free("/no/such/folder")
	require.Error(t, err)
}
