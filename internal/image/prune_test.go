package image_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
)

// TestPrune: what came to nothing and what nobody used goes; the dry run says the
// same and does nothing; what a container is made of stays.
func TestPrune(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t, func(o *image.Options) { o.Keep = time.Hour })
	ann := h.person("ann", roomy)
	root := admin(h.person("root", roomy))
	for _, ref := range []string{"old:1", "used:1", "fresh:1", "lately:1"} {
		fake.Publish(ref, enginetest.FakeImage{Size: 3 << 20})
	}
	failed := h.refused(ann, "none:1", false)
	old, used := h.ready(ann, "old:1", false), h.ready(ann, "used:1", false)
	fresh, lately := h.ready(ann, "fresh:1", false), h.ready(ann, "lately:1", false)
	box := h.container(ann, "box", used.ID)
	db := h.store.Client
	for _, id := range []string{old.ID, used.ID, lately.ID} { // the column is immutable to ent
		_, err := db.ExecContext(sys, "UPDATE images SET created_at = ? WHERE id = ?", time.Now().UTC().Add(-2*time.Hour), id)
		require.NoError(t, err)
	}
	require.NoError(t, db.Image.UpdateOneID(lately.ID).SetLastUsedAt(time.Now().UTC()).Exec(sys))

	_, err := h.Prune(ann, true)
	requireCode(t, fault.Forbidden, err)
	would, err := h.Prune(root, true)
	require.NoError(t, err)
	require.Equal(t, 3*record.MiB, would.Bytes)
	require.Len(t, would.Images, 2)
	h.holds(old.ID, used.ID, fresh.ID, lately.ID)
	did, err := h.Prune(root, false)
	require.NoError(t, err)
	require.Equal(t, would.Bytes, did.Bytes)
	require.Len(t, did.Images, 2)
	for _, id := range []string{failed.ID, old.ID} {
		h.awaitGone(ann, id)
	}
	h.holds(used.ID, fresh.ID, lately.ID)
	require.NoError(t, db.Container.DeleteOneID(box.ID).Exec(sys))
}

// TestNothingOfPeoplesGoesByItself unless the operator says so.
func TestNothingOfPeoplesGoesByItself(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("old:1", small)
	old, failed := h.ready(ann, "old:1", false), h.refused(ann, "none:1", false)
	_, err := h.store.Client.ExecContext(sys, "UPDATE images SET created_at = ?", time.Now().UTC().Add(-10_000*time.Hour))
	require.NoError(t, err)
	h.close()
	h.open() // which cleans
	require.Eventually(t, func() bool { return fake.Calls(enginetest.MethodLeftovers) >= 4 }, patience, ms, "both starts cleaned and measured")
	for _, id := range []string{old.ID, failed.ID} {
		_, err := h.Get(ann, id)
		require.NoError(t, err)
	}
	h.holds(old.ID)
}

// TestDockerRefreshLeavesNothing: the old content goes with a refresh; while a
// container is made of it, with the container and the next cleaning.
func TestDockerRefreshLeavesNothing(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann, root := h.person("ann", roomy), admin(h.person("root", roomy))
	ref := r.Push("team/app:1", 1<<20)
	first := h.ready(ann, ref, false)
	require.NotEmpty(t, first.Layers)
	r.Push("team/app:1", 1<<20)
	refresh := func(was string) string {
		t.Helper()
		_, err := h.Refresh(ann, first.ID)
		require.NoError(t, err)
		now := h.awaitStatus(ann, first.ID, entimage.StatusReady)
		require.NotEqual(t, was, *now.EngineID)
		return *now.EngineID
	}
	second := refresh(*first.EngineID)
	gone(t, *first.EngineID)

	spec := engine.Spec{ID: dockertest.ID("ctr"), Owner: "usr_1", ImageID: first.ID, Hosts: 1, Limits: engine.Limits{NanoCPUs: 1e8, Memory: 32 << 20}}
	require.NoError(t, h.engine.Create(sys, spec))
	r.Push("team/app:1", 1<<20)
	refresh(second)
	_, err := dockertest.Client(t).ImageInspect(sys, second)
	require.NoError(t, err, "the container keeps it")
	require.NoError(t, h.engine.Remove(sys, spec.ID))
	would, err := h.Prune(root, true)
	require.NoError(t, err)
	require.Equal(t, 1, would.Untagged)
	require.Positive(t, would.Bytes)
	did, err := h.Prune(root, false)
	require.NoError(t, err)
	require.Equal(t, []any{1, would.Bytes}, []any{did.Untagged, did.Bytes})
	gone(t, second)
	h.holds(first.ID)
}

// TestUpdateAvailable: a tag that has moved at its registry is told, once for all
// who have it; a refresh brings it up to date, and a registry that is away changes
// nothing.
func TestUpdateAvailable(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	h, fake := onFake(t, func(o *image.Options) {
		o.CheckEvery = time.Second
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:3", small)
	row, his := h.ready(ann, "python:3", false), h.ready(bob, "python:3", false)
	require.False(t, row.UpdateAvailable)
	fake.Publish("python:3", small)
	ahead.Store(int64(time.Hour))
	h.awaitUpdate(row.ID, true)
	h.awaitUpdate(his.ID, true)
	_, err := h.Refresh(bob, row.ID)
	requireCode(t, fault.NotFound, err)
	_, err = h.Refresh(ann, row.ID)
	require.NoError(t, err)
	h.awaitUpdate(row.ID, false)
	h.awaitUpdate(his.ID, true)

	fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
		if m == enginetest.MethodRemoteDigest {
			return enginetest.Fault{Err: engine.ErrRegistry}
		}
		return enginetest.Fault{}
	})
	asked := fake.Calls(enginetest.MethodRemoteDigest)
	ahead.Store(int64(2 * time.Hour))
	require.Eventually(t, func() bool { return fake.Calls(enginetest.MethodRemoteDigest) > asked }, patience, ms)
	now, err := h.Get(bob, his.ID)
	require.NoError(t, err)
	require.True(t, now.UpdateAvailable)
}

func (h *house) awaitUpdate(id string, available bool) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		row, err := h.Get(sys, id)
		return err == nil && row.Status == entimage.StatusReady && row.UpdateAvailable == available
	}, patience, 10*ms)
}
