package image_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

func (h *house) admin() context.Context {
	h.t.Helper()
	v := auth.Of(h.person("admin", roomy))
	v.Admin = true
	return auth.With(context.Background(), v)
}

// TestD24DeleteInUse: deleting an image in use is refused, telling by what, and
// the row, its place in the quota and what the engine holds go together.
func TestD24DeleteInUse(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	require.NoError(t, h.store.Client.Image.UpdateOneID(row.ID).SetVisibility(entimage.VisibilityPublic).Exec(sys))
	mine, theirs := h.container(ann, "box", row.ID), h.container(bob, "theirs", row.ID)

	_, err := h.Delete(ann, row.ID)
	f := requireCode(t, fault.ImageInUse, err)
	require.Equal(t, "Containers are made of this image: box, 1 of other people. Remove them first.", f.Message)
	require.Equal(t, []fault.Named{{ID: mine.ID, Name: "box"}}, f.Details["containers"])
	require.Equal(t, 1, f.Details["others"])
	_, err = h.Delete(admin, row.ID)
	require.Len(t, requireCode(t, fault.ImageInUse, err).Details["containers"], 2)

	remove := func(c *ent.Container) {
		require.NoError(t, h.store.Client.Container.DeleteOne(c).Exec(sys))
		require.NoError(t, h.quota.Release(sys, h.store.Client, c.OwnerID, quota.Need{Containers: 1}))
	}
	remove(mine)
	_, err = h.Delete(ann, row.ID)
	f = requireCode(t, fault.ImageInUse, err)
	require.Equal(t, "Containers are made of this image: 1 of other people. Remove them first.", f.Message)
	require.Empty(t, f.Details["containers"])
	got, err := h.Get(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, entimage.StatusReady, got.Status)
	h.holds(row.ID)

	remove(theirs)
	got, err = h.Delete(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, entimage.StatusDeleting, got.Status)
	h.awaitGone(ann, row.ID)
	h.holds()
	usage, err := h.quota.Usage(ann, auth.Of(ann).UserID)
	require.NoError(t, err)
	require.Zero(t, usage.Images)
	require.Zero(t, usage.Disk)
}

// TestWhoMayDelete: what is not seen is not there; what is seen and another's is
// refused; administrators may.
func TestWhoMayDelete(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	_, err := h.Delete(bob, row.ID)
	requireCode(t, fault.NotFound, err)
	_, err = h.Delete(auth.With(context.Background(), auth.Viewer{}), row.ID)
	requireCode(t, fault.Unauthenticated, err)
	require.NoError(t, h.store.Client.Image.UpdateOneID(row.ID).SetVisibility(entimage.VisibilityPublic).Exec(sys))
	_, err = h.Delete(bob, row.ID)
	requireCode(t, fault.Forbidden, err)
	_, err = h.Delete(admin, row.ID)
	require.NoError(t, err)
	h.awaitGone(ann, row.ID)
	h.holds()
}

// TestDeleteWhilePulling: the pull is given up first.
func TestDeleteWhilePulling(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:3", small)
	release := fake.Hang(enginetest.MethodPull)
	row := h.pull(ann, "python:3", false)
	h.awaitStatus(ann, row.ID, entimage.StatusPulling)
	other := h.pull(bob, "python:3", false) // its pull in the engine goes on for bob
	h.awaitStatus(bob, other.ID, entimage.StatusPulling)
	_, err := h.Delete(ann, row.ID)
	require.NoError(t, err)
	h.awaitGone(ann, row.ID)
	release()
	h.awaitStatus(bob, other.ID, entimage.StatusReady)
	h.holds(other.ID)
}

// TestDeleteWithoutEngine is finished when the engine is back, even by another
// life of the server.
func TestDeleteWithoutEngine(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	fake.Publish("python:4", small)
	first, second := h.ready(ann, "python:3", false), h.ready(ann, "python:4", false)
	fake.Fail(enginetest.MethodRemoveImage, engine.ErrBusy, 1)
	_, err := h.Delete(ann, first.ID)
	require.NoError(t, err)
	row := h.await(ann, first.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	require.Contains(t, *row.StatusMessage, "still uses it")
	fake.Down()
	_, err = h.Delete(ann, second.ID)
	require.NoError(t, err)
	row = h.await(ann, second.ID, "told", func(i *ent.Image) bool { return i.StatusMessage != nil })
	require.Equal(t, entimage.StatusDeleting, row.Status)
	require.Contains(t, *row.StatusMessage, "cannot be reached")
	_, err = h.Delete(ann, second.ID) // again is the same
	require.NoError(t, err)
	// While the old one goes, the same reference can be asked for anew.
	anew := h.pull(ann, "python:4", false)
	require.NotEqual(t, second.ID, anew.ID)

	h.close()
	fake.Up()
	h.open()
	h.awaitGone(ann, first.ID)
	h.awaitGone(ann, second.ID)
	h.awaitStatus(ann, anew.ID, entimage.StatusReady)
	h.holds(anew.ID)
}

// TestDeleteRacesWithCreate: a container that is being made and the deletion of
// its image never both succeed.
func TestDeleteRacesWithCreate(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	won := map[string]int{}
	for range 15 {
		row := h.ready(ann, "python:3", false)
		var both sync.WaitGroup
		var made *ent.Container
		var deleteErr error
		both.Go(func() { _, deleteErr = h.Delete(ann, row.ID) })
		both.Go(func() {
			// As the transaction that makes a container does it.
			err := store.Tx(ann, h.store.Client, func(tx *ent.Client) error {
				i, err := tx.Image.Get(ann, row.ID)
				if ent.IsNotFound(err) || err == nil && i.Status != entimage.StatusReady {
					return nil
				}
				if err != nil {
					return err
				}
				if err := h.quota.Reserve(ann, tx, auth.Of(ann).UserID, quota.Need{Containers: 1}); err != nil {
					return err
				}
				made, err = newContainer(tx, auth.Of(ann).UserID, "box", row.ID).Save(ann)
				return err
			})
			if err != nil {
				t.Errorf("make the container: %v", err)
			}
		})
		both.Wait()
		if made == nil {
			require.NoError(t, deleteErr)
			won["delete"]++
			h.awaitGone(ann, row.ID)
			continue
		}
		requireCode(t, fault.ImageInUse, deleteErr)
		won["create"]++
		require.NoError(t, h.store.Client.Container.DeleteOneID(made.ID).Exec(sys))
		require.NoError(t, h.quota.Release(sys, h.store.Client, made.OwnerID, quota.Need{Containers: 1}))
	}
	t.Logf("%v", won)
	require.NoError(t, h.quota.Audit(sys))
}

// TestSweep: what vanished is noticed, what came back too, and what nobody asked
// for goes; other instances' images do not matter.
func TestSweep(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	fake.Publish("python:4", small)
	fake.Load("somebody/else:1", small)
	sibling := fake.Sibling("b")
	_, err := sibling.Adopt(sys, "img_theirs", "somebody/else:1")
	require.NoError(t, err)
	row, other := h.ready(ann, "python:3", false), h.ready(ann, "python:4", false)

	fake.Forget(row.ID)
	h.EngineUp()
	gone := h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Equal(t, "It is no longer in the engine. Pull it again.", *gone.StatusMessage)
	require.Nil(t, gone.Size)
	fake.Forget(other.ID)
	h.Observe(other.ID) // a hint does the same at once
	h.awaitStatus(ann, other.ID, entimage.StatusFailed)
	h.ready(ann, "python:4", false)

	_, err = fake.Pull(sys, row.ID, "python:3", engine.Discard) // another engine was connected for a while
	require.NoError(t, err)
	h.EngineUp()
	back := h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Nil(t, back.StatusMessage)
	require.Equal(t, row.EngineID, back.EngineID)

	_, err = fake.Adopt(sys, "img_stray", "somebody/else:1")
	require.NoError(t, err)
	h.EngineUp()
	h.holds(row.ID, other.ID)
	require.True(t, fake.Holds("somebody/else:1"))
	theirs, err := sibling.ListImages(sys)
	require.NoError(t, err)
	require.Equal(t, []string{"img_theirs"}, theirs)
}

// TestStarter: the engine's local image is offered to everybody, by each
// installation for itself, and followed as it changes.
func TestStarter(t *testing.T) {
	t.Parallel()
	starting := func(o *image.Options) { o.Starter = "mlride-starter" }
	h, fake := onFake(t, starting)
	ann := h.person("ann", roomy)
	starters := func(h *house, ctx context.Context) []*ent.Image {
		slice, err := h.List(ctx, image.Filter{}, order(entimage.FieldCreatedAt, true), page(10), false)
		require.NoError(t, err)
		return slice.Items
	}
	h.EngineUp() // without the image there is none
	require.Eventually(t, func() bool { return fake.Calls(enginetest.MethodAdopt) > 0 }, patience, ms)
	require.Empty(t, starters(h, ann))

	fake.Load("mlride-starter:latest", small)
	h.EngineUp()
	require.Eventually(t, func() bool { return len(starters(h, ann)) == 1 }, patience, ms)
	row := starters(h, ann)[0]
	require.Equal(t, []any{entimage.StatusReady, entimage.VisibilityPublic}, []any{row.Status, row.Visibility})
	require.Nil(t, row.OwnerID)
	require.Equal(t, "docker.io/library/mlride-starter:latest", row.Reference)
	_, err := h.Delete(ann, row.ID)
	requireCode(t, fault.Forbidden, err)

	second := newHouse(t, fake.Sibling("b"), starting)
	bob := second.person("bob", roomy)
	require.Eventually(t, func() bool { return len(starters(second, bob)) == 1 }, patience, ms)
	require.NotEqual(t, row.ID, starters(second, bob)[0].ID)

	fake.Load("mlride-starter:latest", enginetest.FakeImage{Size: 2 << 20})
	h.EngineUp()
	changed := h.await(ann, row.ID, "followed", func(i *ent.Image) bool { return *i.EngineID != *row.EngineID })
	require.Equal(t, entimage.StatusReady, changed.Status)

	fake.Forget(row.ID)
	h.Observe(row.ID)
	gone := h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Contains(t, *gone.StatusMessage, "Only the operator")
	h.EngineUp()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)
	h.close()
	h.open()
	h.EngineUp()
	h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Len(t, starters(h, ann), 1)
	h.holds(row.ID)
}
