package image_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
)

const python = "docker.io/library/python:"

var small = enginetest.FakeImage{}

// TestD27SlimFirst: the slim variant is tried first, then the regular one, and
// the record says which.
func TestD27SlimFirst(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3.12", small)
	fake.Publish("python:3.12-slim", small)
	fake.Publish("python:3.11", small)
	fake.Publish("python:3.10", small)
	fake.Publish("python:3.10-slim", small)
	fake.Publish("python:3.10-alpine", small)

	row := h.ready(ann, "python:3.12", true)
	require.Equal(t, python+"3.12-slim", row.Reference)
	require.False(t, row.UsedFallback)
	require.Equal(t, "python:3.12", row.RequestedReference)
	require.NotEmpty(t, row.Digest)
	require.Equal(t, record.MiB, *row.Size)

	row = h.ready(ann, "python:3.11", true)
	require.Equal(t, python+"3.11", row.Reference)
	require.True(t, row.UsedFallback)

	row = h.ready(ann, "python:3.10-alpine", true)
	require.Equal(t, python+"3.10-alpine", row.Reference)
	require.False(t, row.UsedFallback)

	plain := h.ready(ann, "python:3.12", false)
	require.Equal(t, python+"3.12", plain.Reference)
	require.False(t, plain.UsedFallback)

	// A mirror that lacks the tag answers as if it had failed.
	fake.Fail(enginetest.MethodPull, engine.ErrRegistry, 1)
	row = h.ready(ann, "python:3.10", true)
	require.Equal(t, python+"3.10", row.Reference)
	require.True(t, row.UsedFallback)
}

// TestD26NeverAnotherVersion: what was asked for and is not to be had fails; no
// other version is taken, nor (D25) what lies about in the engine.
func TestD26NeverAnotherVersion(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	for _, other := range []string{"python:3.10", "python:3.10-slim", "python:latest", "python:slim", "python:3.9-alpine"} {
		fake.Publish(other, small)
	}
	for _, local := range []string{"evil/python:3.9-x", "evil/python:3.9", "python:3.9"} {
		fake.Load(local, small)
	}
	row := h.refused(ann, "python:3.9", true)
	require.Equal(t, "docker.io has neither python:3.9-slim nor python:3.9. Check the name and the tag.", *row.StatusMessage)
	require.Equal(t, python+"3.9", row.Reference)
	require.Nil(t, row.Digest)
	require.Nil(t, row.EngineID)
	require.Nil(t, row.Size)
	row = h.refused(ann, "python:3.9", false)
	require.Contains(t, *row.StatusMessage, "docker.io has no python:3.9. ")
	h.holds()
}

// TestD28ReadableReason: a pull that fails says why, and what to do.
func TestD28ReadableReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{engine.ErrNotFound, "docker.io has no pytorch/pytorch:latest. Check the name and the tag."},
		{fmt.Errorf("%w: no matching manifest for linux/s390x", engine.ErrPlatform), "docker.io has pytorch/pytorch:latest, but not for this machine's processor (no matching manifest for linux/s390x). Ask for another tag or image."},
		{engine.ErrUnauthorized, "docker.io does not hand out pytorch/pytorch:latest: it is private, or there is no such image. Check the name, or ask the administrator for access to it."},
		{fmt.Errorf("%w: dial tcp: connection refused", engine.ErrRegistry), "docker.io could not be reached, or failed while pytorch/pytorch:latest was pulled (dial tcp: connection refused). Pull again later, or ask the administrator for a mirror."},
		{engine.ErrDiskFull, "The machine's disk is full, so pytorch/pytorch:latest could not be pulled. Delete images that you do not need, or ask the administrator to make room; then pull again."},
		{engine.ErrBusy, "Something else in the engine is busy with pytorch/pytorch:latest. Pull again."},
		{fmt.Errorf("%w: no", engine.ErrRefused), "The engine would not pull pytorch/pytorch:latest (no). Ask the administrator."},
		{errors.New("strange"), "The engine would not pull pytorch/pytorch:latest (strange). Ask the administrator."},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			t.Parallel()
			h, fake := onFake(t)
			fake.Fail(enginetest.MethodPull, c.err, 1)
			row := h.refused(h.person("ann", roomy), "pytorch/pytorch", false)
			require.Equal(t, c.want, *row.StatusMessage)
			h.holds()
		})
	}
}

// TestD22NamesDoNotMix: user "a-b" with image "c" and user "a" with "b-c" get two
// images, and so does everybody, whatever their name.
func TestD22NamesDoNotMix(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ids := []string{}
	for _, c := range [][2]string{{"a-b", "c:1"}, {"a", "b-c:1"}, {"Bob", "c:1"}, {"王小明", "c:1"}} {
		fake.Publish(c[1], small)
		row := h.ready(h.person(c[0], roomy), c[1], false)
		require.NotContains(t, ids, row.ID)
		ids = append(ids, row.ID)
	}
	h.holds(ids...)
}

func TestPullRefusesBadInput(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	cpu, memory, gpu := 0.001, record.MiB, -1
	_, err := h.Pull(ann, image.Input{Reference: "Python 3", MinCPU: &cpu, MinMemory: &memory, MinGPU: &gpu})
	f := requireCode(t, fault.BadUserInput, err)
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	require.Equal(t, []string{"reference", "minCpu", "minMemory", "minGpu"}, fields)
	_, err = h.Pull(auth.With(context.Background(), auth.Viewer{}), image.Input{Reference: "python"})
	requireCode(t, fault.Unauthenticated, err)
	n, err := h.Total(sys)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestPullKeepsMinima(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	fake.Publish("python:3", small)
	ann := h.person("ann", roomy)
	row := h.ready(ann, "python:3", false)
	require.Equal(t, []any{record.Cores(10), 16 * record.MiB, 0}, []any{row.MinCPU, row.MinMemory, row.MinGpu})
	cpu, memory, gpu := 0.5, record.GiB, 1
	again, err := h.Pull(ann, image.Input{Reference: "python:3", MinCPU: &cpu, MinMemory: &memory, MinGPU: &gpu})
	require.NoError(t, err)
	require.Equal(t, row.ID, again.ID)
	again = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Equal(t, []any{record.Cores(500), record.GiB, 1}, []any{again.MinCPU, again.MinMemory, again.MinGpu})
}

// TestPullAgainRefreshes: the same reference again is the image that is there,
// brought up to date, in whatever way it is written.
func TestPullAgainRefreshes(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:latest", small)
	first := h.ready(ann, "python", false)
	fake.Publish("python:latest", enginetest.FakeImage{Size: 3 << 20})
	for _, same := range []string{"python:latest", "docker.io/library/python", "python"} {
		require.Equal(t, first.ID, h.pull(ann, same, false).ID, same)
	}
	row := h.await(ann, first.ID, "refreshed", func(i *ent.Image) bool { return i.Status == entimage.StatusReady && *i.EngineID != *first.EngineID })
	require.NotEqual(t, first.Digest, row.Digest)
	require.Equal(t, 3*record.MiB, *row.Size)
	require.NotEqual(t, first.ID, h.ready(bob, "python", false).ID, "each has their own")
	slice, err := h.List(ann, image.Filter{}, order(entimage.FieldCreatedAt, true), page(10), false)
	require.NoError(t, err)
	require.Len(t, slice.Items, 1)
}

// TestFailedRefreshTakesNothing: what is there stays when it cannot be refreshed,
// when that is given up, and fails only when it is gone too.
func TestFailedRefreshTakesNothing(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)

	fake.Fail(enginetest.MethodPull, engine.ErrRegistry, 1)
	h.pull(ann, "python:3", false)
	again := h.await(ann, row.ID, "kept", func(i *ent.Image) bool { return i.Status == entimage.StatusReady && i.StatusMessage != nil })
	require.Contains(t, *again.StatusMessage, "It could not be refreshed and is as it was. docker.io could not be reached")
	require.Equal(t, row.EngineID, again.EngineID)

	// Not released before the end: what was given up must not end well in the last moment.
	defer fake.Hang(enginetest.MethodPull)()
	h.pull(ann, "python:3", false)
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	again, err := h.Cancel(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, entimage.StatusReady, again.Status)
	require.Contains(t, *again.StatusMessage, "cancelled")
	h.holds(row.ID)

	fake.Forget(row.ID)
	fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
		if m == enginetest.MethodPull {
			return enginetest.Fault{Err: engine.ErrNotFound}
		}
		return enginetest.Fault{}
	})
	row = h.refused(ann, "python:3", false)
	require.Contains(t, *row.StatusMessage, "docker.io has no python:3")
	require.Nil(t, row.Size, "what is gone takes no disk")
}

// TestQuotaOfImages: any number of pulls at once against a quota of K make
// exactly K images, and what is there is refreshed all the same.
func TestQuotaOfImages(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	q := roomy
	q.Images = 2
	ann := h.person("ann", q)
	var all sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		ref := fmt.Sprintf("tool:%d", i/2) // each twice: one image
		fake.Publish(ref, small)
		all.Go(func() { _, errs[i] = h.Pull(ann, image.Input{Reference: ref}) })
	}
	all.Wait()
	made := map[int]bool{}
	for i, err := range errs {
		if err == nil {
			made[i/2] = true
			continue
		}
		f := requireCode(t, fault.QuotaExceeded, err)
		require.Equal(t, "images", f.Details["resource"])
	}
	require.Len(t, made, 2)
	n, err := h.Total(sys)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	for i := range made {
		h.ready(ann, fmt.Sprintf("tool:%d", i), false)
	}
	require.NoError(t, h.quota.Audit(sys))
}

func TestQuotaOfDisk(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	q := roomy
	q.Disk = 2 * record.MiB
	ann := h.person("ann", q)
	fake.Publish("big:1", enginetest.FakeImage{Size: 5 << 20})
	h.ready(ann, "big:1", false)
	_, err := h.Pull(ann, image.Input{Reference: "big:2"})
	f := requireCode(t, fault.QuotaExceeded, err)
	require.Equal(t, "disk", f.Details["resource"])
}

// TestTurns: so many pulls are under way at once, and the rest wait their turn.
func TestTurns(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	release := fake.Hang(enginetest.MethodPull)
	ids := []string{}
	for i := range 5 {
		ref := fmt.Sprintf("tool:%d", i)
		fake.Publish(ref, small)
		ids = append(ids, h.pull(ann, ref, false).ID)
	}
	require.Eventually(t, func() bool { return fake.Calls(enginetest.MethodPull) == 2 }, patience, time.Millisecond)
	pulling := func() int {
		n, err := h.Count(ann, image.Filter{Status: []entimage.Status{entimage.StatusPulling}})
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool { return pulling() == 2 }, patience, time.Millisecond)
	waiting := 0
	for _, id := range ids { // one that waits for its turn is cancelled without having had it
		row, err := h.Get(ann, id)
		require.NoError(t, err)
		if row.Status == entimage.StatusPending && waiting == 0 {
			_, err = h.Cancel(ann, id)
			require.NoError(t, err)
			waiting++
		}
	}
	require.Equal(t, 1, waiting)
	require.Equal(t, 2, fake.Calls(enginetest.MethodPull))
	release()
	for _, id := range ids {
		h.await(ann, id, "done", func(i *ent.Image) bool {
			return i.Status == entimage.StatusReady || i.Status == entimage.StatusCancelled
		})
	}
	require.Equal(t, 4, fake.Calls(enginetest.MethodPull))
}

// TestSharedPull: who pulls the same looks on; who gives up does not take it from
// the others, and holds nothing in the end.
func TestSharedPull(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	fake.Publish("python:3", small)
	release := fake.Hang(enginetest.MethodPull)
	ann := h.person("ann", roomy)
	lead := h.pull(ann, "python:3", false)
	h.awaitStatus(ann, lead.ID, entimage.StatusPulling)
	people, ids := []context.Context{}, []string{}
	for i := range 9 {
		p := h.person(fmt.Sprintf("p%d", i), roomy)
		id := h.pull(p, "python:3", false).ID
		h.awaitStatus(p, id, entimage.StatusPulling)
		people, ids = append(people, p), append(ids, id)
	}
	require.Equal(t, 1, fake.Calls(enginetest.MethodPull))
	_, err := h.Cancel(ann, lead.ID)
	require.NoError(t, err)
	_, err = h.Cancel(people[0], ids[0])
	require.NoError(t, err)
	release()
	for i, p := range people[1:] {
		h.awaitStatus(p, ids[i+1], entimage.StatusReady)
	}
	h.holds(ids[1:]...)
	require.Equal(t, 9, fake.Calls(enginetest.MethodPull), "one download and eight takings")

	// The same for a failure: it is everybody's, at once.
	release = fake.Hang(enginetest.MethodPull)
	before := fake.Calls(enginetest.MethodPull)
	for _, p := range people[:3] {
		h.awaitStatus(p, h.pull(p, "no/such:1", false).ID, entimage.StatusPulling)
	}
	release()
	for _, p := range people[:3] {
		h.refused(p, "no/such:1", false)
	}
	require.LessOrEqual(t, fake.Calls(enginetest.MethodPull), before+4, "one for all, and one for each who asked again")
}

// TestCancel: in every state.
func TestCancel(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:3", small)
	release := fake.Hang(enginetest.MethodPull)
	row := h.pull(ann, "python:3", false)
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	_, err := h.Cancel(bob, row.ID)
	requireCode(t, fault.NotFound, err)
	got, err := h.Cancel(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, entimage.StatusCancelled, got.Status)
	_, underWay := h.Progress(row.ID)
	require.False(t, underWay)
	_, err = h.Cancel(ann, row.ID)
	f := requireCode(t, fault.InvalidState, err)
	require.Equal(t, "CANCELLED", f.Details["status"])
	require.Equal(t, []string{"PENDING", "PULLING", "BUILDING"}, f.Details["allowed"])
	release()
	h.holds()

	row = h.ready(ann, "python:3", false) // asking again takes it up again
	_, err = h.Cancel(ann, row.ID)
	requireCode(t, fault.InvalidState, err)
	_, err = h.Cancel(ann, "img_nosuch")
	requireCode(t, fault.NotFound, err)
}

// TestCancelInTheLastMoment: the engine has it already when the word comes.
func TestCancelInTheLastMoment(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	release := fake.Hang(enginetest.MethodPull)
	row := h.pull(ann, "python:3", false)
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	// As the row says so first, and the job hears of it when the pull has ended.
	require.NoError(t, h.store.Client.Image.UpdateOneID(row.ID).SetStatus(entimage.StatusCancelled).Exec(sys))
	h.Observe(row.ID)
	release()
	require.Eventually(t, func() bool { return fake.Calls(enginetest.MethodRemoveImage) > 0 }, patience, ms)
	h.holds()
	row, err := h.Get(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, entimage.StatusCancelled, row.Status)
}

// TestP11PullOutlivesItsRequest, and the server: it is the server's own.
func TestP11PullOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	release := fake.Hang(enginetest.MethodPull)
	request, end := context.WithCancel(ann)
	row := h.pull(request, "python:3", false)
	end()
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	h.close()
	release()
	require.False(t, fake.Holds("python:3"))
	h.open()
	row = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	h.holds(row.ID)
}

// TestEngineAway: a pull waits for the engine and says so, whether it was away
// from the beginning or went in the middle.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	fake.Down()
	row := h.pull(ann, "python:3", true)
	h.await(ann, row.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	fake.Up()
	h.EngineUp()
	row = h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Nil(t, row.StatusMessage)

	fake.Publish("python:4", small)
	release := fake.Hang(enginetest.MethodPull)
	row = h.pull(ann, "python:4", false)
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	fake.Down()
	release()
	row = h.await(ann, row.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	require.Equal(t, entimage.StatusPulling, row.Status)
	require.Equal(t, "The container engine cannot be reached. This goes on by itself when it can.", *row.StatusMessage)
	fake.Up()
	h.EngineUp()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)

	fake.Publish("python:5", small)
	fake.LoseAnswer(enginetest.MethodPull, 1)
	row = h.pull(ann, "python:5", false)
	h.await(ann, row.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	h.EngineUp()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)
}

// TestDeadline: a registry that never ends has one pull end, and the next begin.
func TestDeadline(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, func(o *image.Options) { o.Deadline = 50 * time.Millisecond })
	ann := h.person("ann", roomy)
	release := fake.Hang(enginetest.MethodPull)
	defer release()
	row := h.refused(ann, "slow.example/team/tool:1", false)
	require.Equal(t, "The pull of team/tool:1 took longer than 50ms and was given up. slow.example may be very slow or down. Pull again later.", *row.StatusMessage)
	h.holds()
}

// TestDeadlineOverAttempts: what keeps failing half-way as if the engine were
// away does not go on for ever.
func TestDeadlineOverAttempts(t *testing.T) {
	t.Parallel()
	var ahead, attempts atomic.Int64
	h, fake := onFake(t, func(o *image.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	ann := h.person("ann", roomy)
	fake.OnCall(func(m enginetest.Method, id string) enginetest.Fault {
		if m != enginetest.MethodPull {
			return enginetest.Fault{}
		}
		if attempts.Add(1) <= 2 {
			// Its beginning is noted, before the row says that it goes on.
			assert.Eventually(t, func() bool {
				row, err := h.Get(sys, id)
				return err == nil && row.Status == entimage.StatusPulling && row.StatusMessage == nil
			}, patience, ms)
			ahead.Add(int64(40 * time.Minute))
		}
		return enginetest.Fault{Err: engine.ErrUnreachable}
	})
	row := h.pull(ann, "python:3", false)
	require.Eventually(t, func() bool {
		h.EngineUp()
		row, err := h.Get(ann, row.ID)
		require.NoError(t, err)
		return row.Status == entimage.StatusFailed
	}, patience, 5*time.Millisecond)
	require.LessOrEqual(t, fake.Calls(enginetest.MethodPull), 3)
	row, err := h.Get(ann, row.ID)
	require.NoError(t, err)
	require.Contains(t, *row.StatusMessage, "took longer than 1h0m0s")
}
