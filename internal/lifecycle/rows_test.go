package lifecycle_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/volume"
)

// admin is somebody who administers, with the quota.
func (h *house) admin(q quota.Limits) context.Context {
	v := auth.Of(h.person("root", q))
	v.Admin = true
	return auth.With(context.Background(), v)
}

// uses is what somebody uses.
func (h *house) uses(ctx context.Context) quota.Usage {
	h.t.Helper()
	u, err := h.quota.Usage(ctx, auth.Of(ctx).UserID)
	require.NoError(h.t, err)
	return u
}

// The quota is the caller's for what they make, and the owner's for what an
// administrator starts; whose it is stays as it is.
func TestD08WhoseQuotaIsUsed(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	small := roomy
	small.CPU = 1000
	ann, root := h.person("ann", small), h.admin(roomy)
	own, err := h.Create(root, h.sized("of-root", 2))
	require.NoError(t, err)
	require.Equal(t, auth.Of(root).UserID, own.OwnerID)
	h.awaitStatus(root, own.ID, container.StatusRunning)
	require.Equal(t, record.Cores(2000), h.uses(root).CPU)
	require.Zero(t, h.uses(ann).Need)

	w := h.sized("of-ann", 1)
	w.Start, w.Queue = false, false
	row := h.make(ann, w)
	h.awaitStatus(ann, row.ID, container.StatusCreated)
	_, err = h.Start(root, row.ID, false)
	require.NoError(t, err)
	row = h.awaitStatus(ann, row.ID, container.StatusRunning)
	require.Equal(t, auth.Of(ann).UserID, row.OwnerID)
	require.Equal(t, record.Cores(1000), h.uses(ann).CPU)
	require.Equal(t, record.Cores(2000), h.uses(root).CPU, "hers was used and not his")

	two := 2.0
	_, err = h.Update(root, row.ID, lifecycle.Edit{CPU: &two})
	requireCode(t, fault.QuotaExceeded, err) // hers too
	name := "renamed"
	row, err = h.Update(root, row.ID, lifecycle.Edit{Name: &name})
	require.NoError(t, err)
	require.Equal(t, auth.Of(ann).UserID, row.OwnerID)
	_, err = h.Stop(root, row.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusExited)
	another := h.make(ann, h.sized("another", 1))
	h.awaitStatus(ann, another.ID, container.StatusRunning)
	_, err = h.Start(root, row.ID, false)
	requireCode(t, fault.QuotaExceeded, err)
	h.agrees()
}

// What is somebody else's and private is not there.
func TestD09OthersPrivateImage(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	sys := auth.AsSystem(ann)
	require.NoError(t, h.quota.ReserveImage(sys, h.store.Client, auth.Of(ben).UserID))
	private := h.store.Client.Image.Create().SetReference("ben/own:1").SetRequestedReference("ben/own:1").SetOwnerID(auth.Of(ben).UserID).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPrivate).SetMinMemory(16 * record.MiB).SaveX(sys)
	_, err := h.engine.Adopt(sys, private.ID, fakeImage)
	require.NoError(t, err)
	w := h.want("box", "sleep", "1000")
	w.ImageID = private.ID
	_, err = h.Create(ann, w)
	f := requireCode(t, fault.NotFound, err)
	w.ImageID = "img_none"
	_, err = h.Create(ann, w)
	require.Equal(t, strings.ReplaceAll(f.Message, private.ID, "img_none"), requireCode(t, fault.NotFound, err).Message, "the words tell nothing")
	w.ImageID = private.ID
	a, err := h.Admission(ann, w)
	require.NoError(t, err)
	require.Len(t, a.Problems, 1)
	require.Equal(t, fault.NotFound, a.Problems[0].Code)
	require.Zero(t, h.uses(ann).Need)
	row := h.make(ben, w)
	h.awaitStatus(ben, row.ID, container.StatusRunning)
	h.agrees()
}

// What the image needs and what the quota allows is asked alike whenever
// something is made, started or changed.
func TestD10MinimaAndQuotaAlike(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	q := roomy
	q.CPU = 3000
	ann := h.person("ann", q)
	sys := auth.AsSystem(ann)
	minima := func(cpu record.Cores, memory record.Bytes) {
		h.store.Client.Image.UpdateOneID(h.image).SetMinCPU(cpu).SetMinMemory(memory).ExecX(sys)
	}
	low := func(err error, fields ...string) {
		t.Helper()
		f := requireCode(t, fault.BadUserInput, err)
		var broken []string
		for _, v := range f.Violations {
			require.Equal(t, "imageMinimum", v.Rule)
			broken = append(broken, v.Field)
		}
		require.Equal(t, fields, broken)
	}
	minima(1000, 32*record.MiB)
	_, err := h.Create(ann, h.sized("small", 0.5))
	low(err, "cpuLimit", "memoryLimit")
	memory := 32 * record.MiB
	w := h.sized("box", 1)
	w.Memory = &memory
	row := h.make(ann, w)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	half, little := 0.5, 16*record.MiB
	_, err = h.Update(ann, row.ID, lifecycle.Edit{CPU: &half, Memory: &little})
	low(err, "cpuLimit", "memoryLimit")
	_, err = h.Stop(ann, row.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusExited)

	minima(2000, 64*record.MiB) // a newer pull needs more
	_, err = h.Start(ann, row.ID, false)
	low(err, "cpuLimit", "memoryLimit")
	_, err = h.Restart(ann, row.ID, 0)
	low(err, "cpuLimit", "memoryLimit")
	two, more := 2.0, 64*record.MiB
	_, err = h.Update(ann, row.ID, lifecycle.Edit{CPU: &two, Memory: &more})
	require.NoError(t, err)
	_, err = h.Start(ann, row.ID, false)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)

	// And the quota: one that would be the second of two cores each.
	w = h.sized("second", 2)
	w.Memory = &more
	_, err = h.Create(ann, w)
	requireCode(t, fault.QuotaExceeded, err)
	four := 4.0
	_, err = h.Update(ann, row.ID, lifecycle.Edit{CPU: &four})
	requireCode(t, fault.QuotaExceeded, err)
	w.Start, w.Queue = false, false
	second := h.make(ann, w)
	h.awaitStatus(ann, second.ID, container.StatusCreated)
	_, err = h.Start(ann, second.ID, false)
	requireCode(t, fault.QuotaExceeded, err)
	require.Equal(t, record.Cores(2000), h.uses(ann).CPU)
	h.agrees()
}

// Whatever ended while the server was away shows its end when it is back.
func TestD42NoRunStaysRunningForEver(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	ends := map[string]func(id string){
		"completed": func(id string) { fake.Exit(id, 0) },
		"error":     func(id string) { fake.Exit(id, 3) },
		"killed":    fake.Kill,
		"memory":    fake.OOM,
		"removed":   fake.Destroy,
	}
	reasons := map[string]record.ExitReason{
		"completed": record.ExitCompleted, "error": record.ExitError, "killed": record.ExitKilled,
		"memory": record.ExitOutOfMemory, "removed": record.ExitUnknown,
	}
	ids := map[string]string{}
	for name := range ends {
		ids[name] = h.make(ann, h.want(name, "sleep", "1000")).ID
	}
	stays := h.make(ann, h.want("stays", "sleep", "1000"))
	for _, id := range ids {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	before := h.awaitStatus(ann, stays.ID, container.StatusRunning)
	h.close()
	for name, end := range ends {
		end(ids[name])
	}
	h.open()
	for name, id := range ids {
		row := h.await(ann, id, "to show its end", func(c *ent.Container) bool {
			return c.Status == container.StatusExited || c.Status == container.StatusLost
		})
		require.NotNil(t, row.LastExit, name)
		require.Equal(t, reasons[name], row.LastExit.Reason, name)
		require.NotNil(t, row.FinishedAt, name)
		require.False(t, row.Reserved, name)
		require.Equal(t, container.DesiredStopped, row.Desired, name)
	}
	after, err := h.Get(ann, stays.ID)
	require.NoError(t, err)
	require.Equal(t, container.StatusRunning, after.Status)
	require.True(t, before.StartedAt.Equal(*after.StartedAt))
	h.agrees()
}

// The number of containers is bounded whatever they are called, and however many
// are asked for at once.
func TestP06CountHoldsForEveryName(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	q := roomy
	q.Containers = 2
	ann := h.person("ann", q)
	first := h.make(ann, h.want("first", "sleep", "1000"))
	h.make(ann, h.want("second", "sleep", "1000"))
	w := h.want("third", "sleep", "1000")
	for _, start := range []bool{true, false} {
		w.Start = start
		_, err := h.Create(ann, w)
		require.Equal(t, "containers", requireCode(t, fault.QuotaExceeded, err).Details["resource"])
	}
	_, err := h.Stop(ann, first.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, first.ID, container.StatusExited)
	_, err = h.Create(ann, w)
	requireCode(t, fault.QuotaExceeded, err) // one that is stopped is one still
	_, err = h.Remove(ann, first.ID)
	require.NoError(t, err)
	h.awaitGone(ann, first.ID)

	var wait sync.WaitGroup
	var mu sync.Mutex
	codes := map[fault.Code]int{}
	for i := range 20 {
		wait.Go(func() {
			_, err := h.Create(ann, h.want(fmt.Sprintf("at-once-%d", i%10), "sleep", "1000"))
			mu.Lock()
			defer mu.Unlock()
			codes[fault.CodeOf(err)]++
		})
	}
	wait.Wait()
	require.Equal(t, 1, codes[""], "%v", codes)
	require.Equal(t, 19, codes[fault.QuotaExceeded]+codes[fault.Conflict], "%v", codes)
	require.Equal(t, 2, h.uses(ann).Containers)
	for _, id := range h.store.Client.Container.Query().IDsX(auth.AsSystem(ann)) {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	h.agrees()
}

// A new name, or new minima of the image, leave every limit as it is.
func TestP09NamesAndMinimaKeepLimits(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	ann := h.person("ann", roomy)
	w := h.sized("box", 2)
	memory, idle := 48*record.MiB, record.Duration(time.Hour)
	w.Memory, w.IdleTimeout, w.RestartPolicy = &memory, &idle, container.RestartPolicyOnFailure
	row := h.make(ann, w)
	before := h.awaitStatus(ann, row.ID, container.StatusRunning)
	limits := func(c *ent.Container) []any {
		return []any{c.CPULimit, c.MemoryLimit, c.GpuLimit, c.AppliedCPU, c.AppliedMemory, c.RestartPolicy, *c.IdleTimeout, c.Reserved, c.ReservedAt, c.Run}
	}
	inEngine, err := h.engine.Inspect(ann, row.ID)
	require.NoError(t, err)
	name := "renamed"
	after, err := h.Update(ann, row.ID, lifecycle.Edit{Name: &name})
	require.NoError(t, err)
	require.Equal(t, name, after.Name)
	require.Equal(t, limits(before), limits(after))
	h.store.Client.Image.UpdateOneID(h.image).SetMinCPU(4000).SetMinMemory(record.GiB).ExecX(auth.AsSystem(ann))
	name = "again"
	after, err = h.Update(ann, row.ID, lifecycle.Edit{Name: &name})
	require.NoError(t, err, "a name has nothing to do with what the image needs")
	require.Equal(t, limits(before), limits(after))
	seen, err := h.engine.Inspect(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, inEngine, seen)
	require.Equal(t, quota.Amounts{CPU: 2000, Memory: memory}, h.uses(ann).Amounts)
	h.agrees()
}

// Whatever is wrong with what is asked for is said, all of it at once, and
// nothing comes of it.
func TestBadInputIsRefusedInFull(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	foreign, err := h.volumes.Create(ben, "data")
	require.NoError(t, err)
	number, size, pieces, text := func(f float64) *float64 { return &f }, func(b record.Bytes) *record.Bytes { return &b }, func(n int) *int { return &n }, func(s string) *string { return &s }
	at := func(path string) func(*lifecycle.Wanted) {
		return func(w *lifecycle.Wanted) { w.Mounts = []volume.Wanted{{VolumeID: foreign.ID, Path: path}} }
	}
	named := func(name string) func(*lifecycle.Wanted) { return func(w *lifecycle.Wanted) { w.Name = name } }
	cores := func(f float64) func(*lifecycle.Wanted) { return func(w *lifecycle.Wanted) { w.CPU = &f } }
	memory := func(b record.Bytes) func(*lifecycle.Wanted) { return func(w *lifecycle.Wanted) { w.Memory = &b } }
	for field, breaks := range map[string][]func(*lifecycle.Wanted){
		"name":      {named(""), named("-a"), named("a-"), named("A"), named("a.b"), named("a b"), named("ä"), named("a\x00"), named("../a"), named(strings.Repeat("a", 64))},
		"cpuLimit":  {cores(0), cores(-1), cores(math.NaN()), cores(math.Inf(1)), cores(math.Inf(-1)), cores(1e300), cores(0.001)},
		"gpuLimit":  {func(w *lifecycle.Wanted) { w.GPU = pieces(-1) }},
		"command.0": {func(w *lifecycle.Wanted) { w.Command = []string{"sl\x00eep"} }, func(w *lifecycle.Wanted) { w.Command = []string{""} }},
		"command":   {func(w *lifecycle.Wanted) { w.Command = []string{"echo", strings.Repeat("a", 1<<20)} }},
		"memoryLimit": {
			memory(0), memory(-1), memory(math.MinInt64), memory(math.MaxInt64), memory(4 * record.MiB), memory(16*record.MiB - 1),
		},
		"environment": {func(w *lifecycle.Wanted) {
			w.Environment = []record.EnvVar{{Name: "A", Value: strings.Repeat("a", 1<<20)}}
		}},
		"environment.0.name": {
			func(w *lifecycle.Wanted) { w.Environment = []record.EnvVar{{Name: ""}} },
			func(w *lifecycle.Wanted) { w.Environment = []record.EnvVar{{Name: "A=B"}} },
		},
		"environment.0.value": {func(w *lifecycle.Wanted) { w.Environment = []record.EnvVar{{Name: "A", Value: "\x00"}} }},
		"environment.1.name":  {func(w *lifecycle.Wanted) { w.Environment = []record.EnvVar{{Name: "A"}, {Name: "A"}} }},
		"volumes.0.path": {
			at(""), at("/"), at("/proc"), at("/proc/sys"), at("/sys"), at("/dev"), at("/etc"), at("/usr/bin"), at(".."), at("/.."), at("/a/../etc"), at("/a/"), at("//a"), at("a"),
			at("/a\x00b"), at("/" + strings.Repeat("a", 300)),
		},
		"volumes.0.volumeId": {func(w *lifecycle.Wanted) {
			w.Mounts = []volume.Wanted{{VolumeID: "/var/run/docker.sock", Path: "/data"}}
		}},
		"workspace":    {func(w *lifecycle.Wanted) { w.Workspace = text("../home") }},
		"ports.0.port": {func(w *lifecycle.Wanted) { w.Ports = []record.Port{{Name: "a", Port: 0}} }, func(w *lifecycle.Wanted) { w.Ports = []record.Port{{Name: "a", Port: 65536}} }},
		"ports.1.port": {func(w *lifecycle.Wanted) { w.Ports = []record.Port{{Name: "a", Port: 1}, {Name: "b", Port: 1}} }},
		"ports.1.name": {func(w *lifecycle.Wanted) { w.Ports = []record.Port{{Name: "a", Port: 1}, {Name: "a", Port: 2}} }},
		"ports.0.name": {portNamed(""), portNamed(" a"), portNamed("a\x00"), portNamed(strings.Repeat("名", 33))},
		"ports": {func(w *lifecycle.Wanted) {
			for i := range 21 {
				w.Ports = append(w.Ports, record.Port{Name: strconv.Itoa(i), Port: i + 1})
			}
		}},
		"idempotencyKey": {func(w *lifecycle.Wanted) { w.IdempotencyKey = text("") }, func(w *lifecycle.Wanted) { w.IdempotencyKey = text(strings.Repeat("k", 129)) }},
		"idleTimeout":    {func(w *lifecycle.Wanted) { d := record.Duration(-time.Hour); w.IdleTimeout = &d }},
	} {
		for i, brk := range breaks {
			w := h.want("fine", "sleep", "1000")
			brk(&w)
			_, err := h.Create(ann, w)
			f := requireCode(t, fault.BadUserInput, err)
			require.NotEmpty(t, f.Violations)
			for _, v := range f.Violations {
				require.Equal(t, field, v.Field, "%d: %v", i, f)
				require.NotEmpty(t, v.Message)
			}
			a, err := h.Admission(ann, w)
			require.NoError(t, err)
			require.Equal(t, fault.BadUserInput, a.Problems[0].Code)
		}
	}
	_, err = h.Create(ann, lifecycle.Wanted{
		Name: "-", ImageID: h.image, CPU: number(math.NaN()), Memory: size(-1), GPU: pieces(-1), Command: []string{"\x00"},
		Environment: []record.EnvVar{{Name: "A"}, {Name: "A"}}, Mounts: []volume.Wanted{{VolumeID: foreign.ID, Path: "/proc"}}, Start: true,
	})
	f := requireCode(t, fault.BadUserInput, err)
	broken := map[string]bool{}
	for _, v := range f.Violations {
		broken[v.Field] = true
	}
	for _, field := range []string{"name", "cpuLimit", "memoryLimit", "gpuLimit", "command.0", "environment.1.name", "volumes.0.path"} {
		require.True(t, broken[field], "%s is not among %v", field, f.Violations)
	}
	w := h.want("fine", "sleep", "1000")
	at("/data")(&w)
	_, err = h.Create(ann, w)
	requireCode(t, fault.NotFound, err) // somebody else's volume

	row := h.make(ann, h.want("there", "sleep", "1000"))
	for _, e := range []lifecycle.Edit{
		{Name: text("-")}, {CPU: number(math.NaN())}, {CPU: number(-1)}, {CPU: number(1e300)}, {Memory: size(math.MaxInt64)}, {Memory: size(1)},
	} {
		_, err := h.Update(ann, row.ID, e)
		require.Len(t, requireCode(t, fault.BadUserInput, err).Violations, 1)
	}
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	require.Equal(t, 1, h.uses(ann).Containers)
	h.agrees()
}

// An image that went between the check and the making is told, and nothing stays
// reserved; with the image back it starts.
func TestImageGoneBetweenCheckAndStart(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	release := fake.Hang(enginetest.MethodCreate)
	row := h.make(ann, h.want("box", "sleep", "1000"))
	fake.Forget(h.image)
	release()
	row = h.awaitStatus(ann, row.ID, container.StatusFailed)
	require.Contains(t, *row.StatusMessage, "Pull the image again")
	require.Zero(t, h.uses(ann).Amounts)
	h.agrees()
	_, err := h.engine.Adopt(ann, h.image, fakeImage)
	require.NoError(t, err)
	_, err = h.Start(ann, row.ID, false)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	// The row of an image on its way out is looked at too.
	h.store.Client.Image.UpdateOneID(h.image).SetStatus(image.StatusDeleting).ExecX(auth.AsSystem(ann))
	_, err = h.Create(ann, h.want("late", "sleep", "1000"))
	requireCode(t, fault.ImageNotReady, err)
	h.agrees()
}

// An engine that fails every third call gets everything done in the end, once.
func TestEveryThirdCallFails(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann := h.person("ann", roomy)
	var mu sync.Mutex
	calls := 0
	fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls%3 == 0 {
			return enginetest.Fault{Err: errors.New("500: internal error")}
		}
		return enginetest.Fault{}
	})
	var ids []string
	for i := range 6 {
		ids = append(ids, h.make(ann, h.want(fmt.Sprintf("c%d", i), "sleep", "1000")).ID)
	}
	for _, id := range ids {
		row := h.awaitStatus(ann, id, container.StatusRunning)
		require.Equal(t, 1, row.ObservedRun)
	}
	for _, id := range ids[:3] {
		_, err := h.Stop(ann, id, 0)
		require.NoError(t, err)
		h.awaitStatus(ann, id, container.StatusExited)
		_, err = h.Remove(ann, id)
		require.NoError(t, err)
		h.awaitGone(ann, id)
	}
	fake.OnCall(nil)
	require.Equal(t, 3, h.uses(ann).Containers)
	h.agrees()
}

// A creation that the engine never answers keeps nobody else waiting, and can be
// taken back when it does.
func TestEngineHangsOnOneCreation(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, 8)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	gate, entered := make(chan struct{}), make(chan string, 1)
	var once sync.Once
	fake.OnCall(func(m enginetest.Method, id string) enginetest.Fault {
		if m == enginetest.MethodCreate {
			once.Do(func() {
				entered <- id
				<-gate
			})
		}
		return enginetest.Fault{}
	})
	hung := h.make(ann, h.want("hung", "sleep", "1000"))
	require.Equal(t, hung.ID, <-entered)
	fake.OnCall(nil)
	for _, who := range []context.Context{ann, ben} {
		row := h.make(who, h.want("goes-on", "sleep", "1000"))
		h.awaitStatus(who, row.ID, container.StatusRunning)
		_, err := h.Remove(who, row.ID)
		require.NoError(t, err)
		h.awaitGone(who, row.ID)
	}
	row, err := h.Get(ann, hung.ID)
	require.NoError(t, err)
	require.Equal(t, container.StatusPending, row.Status)
	_, err = h.Remove(ann, hung.ID)
	require.NoError(t, err)
	close(gate)
	h.awaitGone(ann, hung.ID)
	require.Zero(t, h.uses(ann).Need)
	h.agrees()
}

// While another has the database, a verb waits its turn or says that it did not
// succeed, and then nothing came of it; the same key makes one container.
func TestDatabaseBusy(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	ann := h.person("ann", roomy)
	other, err := sql.Open("sqlite3", "file:"+h.path+"?_txlock=immediate&_busy_timeout=60000")
	require.NoError(t, err)
	defer other.Close()
	key := "once"
	w := h.want("box", "sleep", "1000")
	w.IdempotencyKey = &key

	tx, err := other.BeginTx(ann, nil)
	require.NoError(t, err)
	soon, cancel := context.WithTimeout(ann, 50*time.Millisecond)
	defer cancel()
	_, err = h.Create(soon, w)
	require.Error(t, err)
	require.NoError(t, tx.Rollback())
	require.Zero(t, h.store.Client.Container.Query().CountX(auth.AsSystem(ann)), "it said that nothing came of it")

	tx, err = other.BeginTx(ann, nil)
	require.NoError(t, err)
	var wait sync.WaitGroup
	var mu sync.Mutex
	made := map[string]int{}
	for range 5 {
		wait.Go(func() {
			if row, err := h.Create(ann, w); assertNoError(t, err) {
				mu.Lock()
				defer mu.Unlock()
				made[row.ID]++
			}
		})
	}
	require.NoError(t, tx.Rollback())
	wait.Wait()
	require.Len(t, made, 1)
	for id := range made {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	require.Equal(t, 1, h.uses(ann).Containers)
	h.agrees()
}

func portNamed(name string) func(*lifecycle.Wanted) {
	return func(w *lifecycle.Wanted) { w.Ports = []record.Port{{Name: name, Port: 1}} }
}

// TestPortsTakeThePlaceOfThoseThatWere, and stay when nothing is said of them.
func TestPortsTakeThePlaceOfThoseThatWere(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t, 8)
	ann := h.person("ann", roomy)
	w := h.want("fine", "sleep", "1000")
	w.Ports = []record.Port{{Name: "网页", Port: 80}}
	row, err := h.Create(ann, w)
	require.NoError(t, err)
	require.Equal(t, w.Ports, row.Ports)
	name := "other"
	row, err = h.Update(ann, row.ID, lifecycle.Edit{Name: &name})
	require.NoError(t, err)
	require.Equal(t, w.Ports, row.Ports)
	_, err = h.Update(ann, row.ID, lifecycle.Edit{Ports: &[]record.Port{{Name: "", Port: 0}, {Name: "a", Port: 1}, {Name: "a", Port: 1}}})
	require.Len(t, requireCode(t, fault.BadUserInput, err).Violations, 4, "all at once")
	row, err = h.Update(ann, row.ID, lifecycle.Edit{Ports: &[]record.Port{}})
	require.NoError(t, err)
	require.Empty(t, row.Ports)
}
