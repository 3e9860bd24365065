package image_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/live"
)

func admin(ctx context.Context) context.Context {
	v := auth.Of(ctx)
	v.Admin = true
	return auth.With(ctx, v)
}

func names(people []*ent.User) []string {
	list := []string{}
	for _, u := range people {
		list = append(list, u.Username)
	}
	return list
}

// TestShare: who is named sees the image from then on and hears of it; who is no
// longer named does not, unless a container of theirs is made of it.
func TestShare(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob, eve := h.person("ann", roomy), h.person("bob", roomy), h.person("eve", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	_, err := h.Get(bob, row.ID)
	requireCode(t, fault.NotFound, err)
	_, err = h.Update(bob, row.ID, image.Edit{Usernames: []string{"bob"}})
	requireCode(t, fault.NotFound, err)

	heard, stop := context.WithCancel(bob)
	defer stop()
	news, err := h.Watch(heard, "", false)
	require.NoError(t, err)
	_, err = h.Update(ann, row.ID, image.Edit{Usernames: []string{" Bob ", "ann"}})
	require.NoError(t, err)
	c := <-news
	require.Equal(t, row.ID, c.ID)
	require.NotNil(t, c.Image)
	_, err = h.Get(eve, row.ID)
	requireCode(t, fault.NotFound, err)

	people, err := h.SharedWith(ann, row)
	require.NoError(t, err)
	require.Equal(t, []string{"bob"}, names(people), "its owner sees it anyway")
	require.Nil(t, people[0].Email)
	people, err = h.SharedWith(admin(eve), row)
	require.NoError(t, err)
	require.Equal(t, []string{"bob"}, names(people))
	people, err = h.SharedWith(bob, row)
	require.NoError(t, err)
	require.Empty(t, people)

	yes, no := true, false
	for want, filter := range map[int]image.Filter{1: {SharedWithMe: &yes}, 0: {SharedWithMe: &no}} {
		n, err := h.Count(bob, filter)
		require.NoError(t, err)
		require.Equal(t, want, n)
		n, err = h.Count(ann, filter)
		require.NoError(t, err)
		require.Equal(t, 1-want, n)
	}
	_, err = h.Update(bob, row.ID, image.Edit{Usernames: []string{"eve"}})
	requireCode(t, fault.Forbidden, err)
	_, err = h.Delete(bob, row.ID)
	requireCode(t, fault.Forbidden, err)

	// Replaced: eve by id, and bob is told that it is no longer there for him.
	_, err = h.Update(ann, row.ID, image.Edit{UserIDs: []string{auth.Of(eve).UserID}})
	require.NoError(t, err)
	for c = range news {
		if c.Op == live.Removed {
			break
		}
	}
	require.Equal(t, row.ID, c.ID)
	_, err = h.Get(bob, row.ID)
	requireCode(t, fault.NotFound, err)

	h.container(eve, "box", row.ID)
	_, err = h.Update(ann, row.ID, image.Edit{UserIDs: []string{}})
	require.NoError(t, err)
	_, err = h.Get(eve, row.ID)
	require.NoError(t, err, "she has a container of it")
	people, err = h.SharedWith(ann, row)
	require.NoError(t, err)
	require.Empty(t, people)
	trail, err := h.store.Client.AuditEvent.Query().All(sys)
	require.NoError(t, err)
	require.Equal(t, "no longer shared with bob, shared with eve", *trail[2].Detail)
	h.holds(row.ID)
}

// TestUpdateTellsAllThatIsWrong, of people no more than that they are not there.
func TestUpdateTellsAllThatIsWrong(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	cpu, memory, gpu := 0.001, record.MiB, -1
	_, err := h.Update(ann, row.ID, image.Edit{MinCPU: &cpu, MinMemory: &memory, MinGPU: &gpu, Usernames: make([]string, 101)})
	f := requireCode(t, fault.BadUserInput, err)
	var fields []string
	for _, v := range f.Violations {
		fields = append(fields, v.Field)
	}
	require.Equal(t, []string{"minCpu", "minMemory", "minGpu", "sharedWithUsernames"}, fields)
	_, err = h.Update(ann, row.ID, image.Edit{UserIDs: []string{"usr_none"}, Usernames: []string{"ann", "nobody"}})
	f = requireCode(t, fault.BadUserInput, err)
	require.Len(t, f.Violations, 2)
	require.Equal(t, "sharedWithIds.0", f.Violations[0].Field)
	require.Equal(t, "There is no user named nobody.", f.Violations[1].Message)

	public, private := entimage.VisibilityPublic, entimage.VisibilityPrivate
	_, err = h.Update(ann, row.ID, image.Edit{Visibility: &public})
	requireCode(t, fault.Forbidden, err)
	bob := h.person("bob", roomy)
	_, err = h.Update(admin(bob), row.ID, image.Edit{Visibility: &public})
	require.NoError(t, err)
	_, err = h.Get(bob, row.ID)
	require.NoError(t, err)
	cpu, memory, gpu = 2, record.GiB, 1
	changed, err := h.Update(ann, row.ID, image.Edit{Visibility: &private, MinCPU: &cpu, MinMemory: &memory, MinGPU: &gpu})
	require.NoError(t, err)
	require.Equal(t, []any{record.Cores(2000), record.GiB, 1, private}, []any{changed.MinCPU, changed.MinMemory, changed.MinGpu, changed.Visibility})
	_, err = h.Get(bob, row.ID)
	requireCode(t, fault.NotFound, err)
}
