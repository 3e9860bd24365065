package volume_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	entvolume "github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

func TestNamesAreDNSLabels(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	for _, name := range []string{"", "-a", "a-", "A", "a_b", "a/b", "../a", "/etc", "ä", "a b", strings.Repeat("a", 64)} {
		_, err := h.Create(ann, name)
		requireRules(t, err, "name format")
	}
	for _, name := range []string{"a", "0", "a-b", strings.Repeat("a", 63)} {
		row := h.create(ann, name)
		require.Equal(t, name, row.Name)
		require.Equal(t, entvolume.VisibilityPrivate, row.Visibility)
		require.Nil(t, row.Size)
	}
	_, err := h.Create(auth.With(context.Background(), auth.Viewer{}), "a")
	requireCode(t, fault.Unauthenticated, err)
}

func TestANameIsTakenOncePerOwner(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	first, second := h.create(ann, "data"), h.create(ann, "other")
	h.create(bob, "data")
	_, err := h.Create(ann, "data")
	require.Equal(t, "name", requireCode(t, fault.Conflict, err).Details["field"])
	_, err = h.Update(ann, second.ID, volume.Edit{Name: ptr("data")})
	requireCode(t, fault.Conflict, err)
	_, err = h.Update(ann, second.ID, volume.Edit{Name: ptr("Not A Name")})
	requireRules(t, err, "name format")

	row, err := h.Update(ann, first.ID, volume.Edit{Name: ptr("renamed")})
	require.NoError(t, err)
	require.Equal(t, "renamed", row.Name)
	_, err = h.Update(ann, first.ID, volume.Edit{Name: ptr("renamed")}) // nothing to do
	require.NoError(t, err)
	require.Equal(t, []string{"volume.create", "volume.update"}, h.trail(first.ID))
	h.create(ann, "data")
	require.Equal(t, 3, h.usage(ann).Volumes)
	require.NoError(t, h.quota.Audit(sys))
}

// TestQuotaOfVolumesIsExact: fifty at once against five.
func TestQuotaOfVolumesIsExact(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	q := roomy
	q.Volumes = 5
	ann := h.person("ann", q)
	var made, refused atomic.Int32
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			_, err := h.Create(ann, fmt.Sprint("v", i))
			if err == nil {
				made.Add(1)
			} else if refused.Add(1); fault.CodeOf(err) != fault.QuotaExceeded {
				t.Errorf("create: %v", err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 5, made.Load())
	require.EqualValues(t, 45, refused.Load())
	require.Equal(t, 5, h.usage(ann).Volumes)
	require.NoError(t, h.quota.Audit(sys))

	_, err := h.Create(ann, "more")
	f := requireCode(t, fault.QuotaExceeded, err)
	require.Equal(t, map[string]any{"resource": "volumes", "limit": 5.0, "used": 5.0, "requested": 1.0}, f.Details)
	requireCode(t, fault.QuotaExceeded, h.check(ann, nil, ptr("home")))
	require.NoError(t, h.check(ann, nil, ptr(h.first(ann).Name)), "one that is there takes no place")

	// In the trash it still counts, until it is gone for good.
	row := h.first(ann)
	_, err = h.Delete(ann, row.ID)
	require.NoError(t, err)
	_, err = h.Create(ann, "more")
	requireCode(t, fault.QuotaExceeded, err)
	require.NoError(t, h.Purge(ann, row.ID))
	h.create(ann, "more")
	require.NoError(t, h.quota.Audit(sys))
}

// first is the newest volume that the viewer sees.
func (h *house) first(ctx context.Context) *ent.Volume {
	h.t.Helper()
	page, err := h.List(ctx, false, store.Page{First: ptr(1)})
	require.NoError(h.t, err)
	require.Len(h.t, page.Items, 1)
	return page.Items[0]
}

// TestWhoMayChange: what is not seen is not there; what is seen and another's is
// refused; administrators may.
func TestWhoMayChange(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	row := h.create(ann, "data")
	verbs := map[string]func(context.Context) error{
		"update": func(ctx context.Context) error {
			_, err := h.Update(ctx, row.ID, volume.Edit{Name: ptr("data2")})
			return err
		},
		"delete":  func(ctx context.Context) error { _, err := h.Delete(ctx, row.ID); return err },
		"restore": func(ctx context.Context) error { _, err := h.Restore(ctx, row.ID); return err },
		"purge":   func(ctx context.Context) error { return h.Purge(ctx, row.ID) },
	}
	visitor := auth.With(context.Background(), auth.Viewer{})
	for name, verb := range verbs {
		require.Equal(t, fault.NotFound, fault.CodeOf(verb(bob)), name)
		require.Equal(t, fault.Unauthenticated, fault.CodeOf(verb(visitor)), name)
	}
	_, err := h.Get(bob, row.ID)
	requireCode(t, fault.NotFound, err)

	_, err = h.Update(ann, row.ID, volume.Edit{Public: ptr(true)})
	requireCode(t, fault.Forbidden, err)
	_, err = h.Update(admin, row.ID, volume.Edit{Public: ptr(true)})
	require.NoError(t, err)
	for name, verb := range verbs {
		require.Equal(t, fault.Forbidden, fault.CodeOf(verb(bob)), name)
	}
	_, err = h.Update(bob, row.ID, volume.Edit{Public: ptr(true)})
	requireCode(t, fault.Forbidden, err)
	_, err = h.Get(bob, row.ID)
	require.NoError(t, err)
	back, err := h.Update(ann, row.ID, volume.Edit{Public: ptr(false)}) // one's own is taken back by oneself
	require.NoError(t, err)
	require.Equal(t, entvolume.VisibilityPrivate, back.Visibility)

	for _, verb := range []string{"update", "delete", "restore", "delete", "purge"} {
		require.NoError(t, verbs[verb](admin), verb)
	}
	h.awaitPurged(row.ID)
	require.Equal(t, []string{
		"volume.create", "volume.update", "volume.update", "volume.update",
		"volume.delete", "volume.restore", "volume.delete", "volume.purge",
	}, h.trail(row.ID))
}

func TestListsAreNewestFirstAndOnesOwn(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	names := func(ctx context.Context, trash bool) []string {
		t.Helper()
		got, cursor := []string{}, (*string)(nil)
		for {
			page, err := h.List(ctx, trash, store.Page{First: ptr(2), After: cursor})
			require.NoError(t, err)
			for _, row := range page.Items {
				got = append(got, row.Name)
			}
			if !page.HasNext {
				n, err := h.Count(ctx, trash)
				require.NoError(t, err)
				require.Equal(t, len(got), n)
				return got
			}
			cursor = &page.Cursors[len(page.Cursors)-1]
		}
	}
	h.create(ann, "one")
	h.create(ann, "two")
	three := h.create(ann, "three")
	h.create(bob, "bobs")
	shared := h.public(bob, admin, "shared")
	require.Equal(t, []string{"shared", "three", "two", "one"}, names(ann, false))
	require.Equal(t, []string{"shared", "bobs", "three", "two", "one"}, names(admin, false))

	for _, id := range []string{three.ID, shared.ID} {
		_, err := h.Delete(admin, id)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"two", "one"}, names(ann, false))
	require.Equal(t, []string{"three"}, names(ann, true))
	require.Equal(t, []string{"shared", "three"}, names(admin, true))
	require.Empty(t, names(auth.With(context.Background(), auth.Viewer{}), false))
	row, err := h.Get(ann, three.ID)
	require.NoError(t, err)
	require.Equal(t, row.DeletedAt.Add(trash), *h.PurgeAt(row))
}
