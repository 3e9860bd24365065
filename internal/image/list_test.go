package image_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

func order(column string, desc bool) store.Order { return store.Order{Column: column, Desc: desc} }

func page(n int) store.Page { return store.Page{First: &n} }

// TestList: filters, orders and pages, for whoever may see.
func TestList(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("a/my_tool:1", enginetest.FakeImage{Size: 3 << 20})
	fake.Publish("b/mytool:1", enginetest.FakeImage{Size: 2 << 20})
	h.ready(ann, "a/my_tool:1", false)
	h.ready(ann, "b/mytool:1", false)
	h.refused(ann, "c/percent:1", false)
	h.ready(bob, "a/my_tool:1", false)
	public, err := h.store.Client.Image.Create().SetReference("docker.io/library/starter:1").SetRequestedReference("starter:1").
		SetStatus(entimage.StatusFailed).SetVisibility(entimage.VisibilityPublic).SetMinMemory(record.MiB).Save(sys)
	require.NoError(t, err)

	list := func(ctx context.Context, f image.Filter, o store.Order) []string {
		t.Helper()
		var all []string
		p := page(2)
		for {
			slice, err := h.List(ctx, f, o, p, true)
			require.NoError(t, err)
			for _, row := range slice.Items {
				all = append(all, row.RequestedReference)
				require.Equal(t, row.OwnerID == nil, row.Edges.Owner == nil)
			}
			if !slice.HasNext {
				break
			}
			p.After = &slice.Cursors[len(slice.Cursors)-1]
		}
		n, err := h.Count(ctx, f)
		require.NoError(t, err)
		require.Equal(t, len(all), n)
		return all
	}
	contains := func(text string) image.Filter { return image.Filter{ReferenceContains: &text} }
	byName, bySize := order(entimage.FieldReference, false), order(entimage.FieldSize, true)
	require.Equal(t, []string{"a/my_tool:1", "b/mytool:1", "c/percent:1", "starter:1"}, list(ann, image.Filter{}, byName))
	require.Equal(t, []string{"a/my_tool:1", "starter:1"}, list(bob, image.Filter{}, byName))
	require.Len(t, list(sys, image.Filter{}, byName), 5)
	sizes := list(ann, image.Filter{}, bySize)
	require.Equal(t, []string{"a/my_tool:1", "b/mytool:1"}, sizes[:2], "those not known come last")
	newest := list(ann, image.Filter{}, order(entimage.FieldCreatedAt, true))
	oldest := list(ann, image.Filter{}, order(entimage.FieldCreatedAt, false))
	slices.Reverse(oldest)
	require.Equal(t, newest, oldest)

	require.Equal(t, []string{"a/my_tool:1"}, list(ann, contains("Y_T"), byName), "an underscore is an underscore")
	require.Empty(t, list(ann, contains("%"), byName))
	require.Empty(t, list(ann, contains(`\`), byName))
	require.Equal(t, []string{"a/my_tool:1", "b/mytool:1"}, list(ann, image.Filter{Status: []entimage.Status{entimage.StatusReady}}, byName))
	require.Empty(t, list(ann, image.Filter{Status: []entimage.Status{}}, byName))
	visible, source, owner := entimage.VisibilityPublic, entimage.SourcePull, auth.Of(ann).UserID
	require.Equal(t, []string{"starter:1"}, list(ann, image.Filter{Visibility: &visible}, byName))
	require.Len(t, list(ann, image.Filter{Source: &source}, byName), 4)
	require.Len(t, list(ann, image.Filter{OwnerID: &owner}, byName), 3)
	require.Empty(t, list(bob, image.Filter{OwnerID: &owner}, byName))

	_, err = h.Get(bob, public.ID)
	require.NoError(t, err)
}

// collect gathers the changes of a watch until it ends.
func collect(t *testing.T, changes <-chan image.Change, until func(image.Change) bool) []image.Change {
	t.Helper()
	var all []image.Change
	deadline := time.After(patience)
	for {
		select {
		case c, open := <-changes:
			if !open {
				return all
			}
			all = append(all, c)
			if until != nil && until(c) {
				return all
			}
		case <-deadline:
			require.Failf(t, "the change did not come", "%+v", all)
		}
	}
}

// TestWatchOne begins with what is so and ends with the removal.
func TestWatchOne(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	_, err := h.Watch(bob, row.ID, false)
	requireCode(t, fault.NotFound, err)
	_, err = h.Watch(ann, "img_nosuch", false)
	requireCode(t, fault.NotFound, err)
	ctx, cancel := context.WithCancel(ann)
	defer cancel()
	changes, err := h.Watch(ctx, row.ID, false)
	require.NoError(t, err)
	first := collect(t, changes, func(image.Change) bool { return true })
	require.Equal(t, live.Updated, first[0].Op)
	require.Equal(t, entimage.StatusReady, first[0].Image.Status)
	_, err = h.Delete(ann, row.ID)
	require.NoError(t, err)
	rest := collect(t, changes, nil)
	last := rest[len(rest)-1]
	require.Equal(t, live.Removed, last.Op)
	require.Nil(t, last.Image)
}

// TestWatchShared: whom an image is shared with hears of it from then on, and
// when it is theirs no more; everybody else hears nothing.
func TestWatchShared(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob, eve := h.person("ann", roomy), h.person("bob", roomy), h.person("eve", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watch := func(who context.Context) <-chan image.Change {
		changes, err := h.Watch(auth.With(ctx, auth.Of(who)), "", false)
		require.NoError(t, err)
		return changes
	}
	theirs, nobodys := watch(bob), watch(eve)
	tell := func() {
		h.feed.Publish(live.Change{Kind: live.Image, ID: row.ID, Owner: auth.Of(ann).UserID, Op: live.Updated})
	}
	tell() // before it is shared: nothing comes of it
	share := h.store.Client.ImageShare.Create().SetImageID(row.ID).SetUserID(auth.Of(bob).UserID).SaveX(sys)
	tell()
	seen := collect(t, theirs, func(image.Change) bool { return true })
	require.Equal(t, live.Created, seen[0].Op)
	require.Equal(t, row.ID, seen[0].Image.ID)
	tell()
	seen = collect(t, theirs, func(image.Change) bool { return true })
	require.Equal(t, live.Updated, seen[0].Op)
	h.store.Client.ImageShare.DeleteOne(share).ExecX(sys)
	tell()
	seen = collect(t, theirs, func(image.Change) bool { return true })
	require.Equal(t, live.Removed, seen[0].Op)
	require.Nil(t, seen[0].Image)

	// Eve hears of her own next, and of nothing before it.
	fake.Publish("python:4", small)
	own := h.ready(eve, "python:4", false)
	seen = collect(t, nobodys, func(c image.Change) bool { return c.ID == own.ID })
	require.Len(t, seen, 1)
}

// TestWatchAll: one's own and the public ones; everybody's for administrators.
func TestWatchAll(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	v := auth.Of(ann)
	v.Admin = true
	admin := auth.With(context.Background(), v)
	fake.Publish("python:3", small)
	fake.Publish("python:4", small)
	_, err := h.Watch(bob, "", true)
	requireCode(t, fault.Forbidden, err)
	_, err = h.Watch(auth.With(context.Background(), auth.Viewer{}), "", false)
	requireCode(t, fault.Unauthenticated, err)

	watch := func(ctx context.Context, all bool) <-chan image.Change {
		ctx, cancel := context.WithCancel(ctx)
		t.Cleanup(cancel)
		changes, err := h.Watch(ctx, "", all)
		require.NoError(t, err)
		return changes
	}
	own, everybody := watch(ann, false), watch(admin, true)
	theirs := h.ready(bob, "python:4", false)
	mine := h.ready(ann, "python:3", false)
	ready := func(id string) func(image.Change) bool {
		return func(c image.Change) bool {
			return c.ID == id && c.Image != nil && c.Image.Status == entimage.StatusReady
		}
	}
	seen := collect(t, own, ready(mine.ID))
	require.Equal(t, live.Created, seen[0].Op)
	for _, c := range seen {
		require.Equal(t, mine.ID, c.ID)
	}
	seen = collect(t, everybody, ready(mine.ID))
	require.True(t, slices.ContainsFunc(seen, ready(theirs.ID)))

	_, err = h.Delete(ann, mine.ID)
	require.NoError(t, err)
	collect(t, own, func(c image.Change) bool { return c.ID == mine.ID && c.Op == live.Removed })
}
