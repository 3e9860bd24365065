package volume_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/volume"
)

// TestDeleteInUse names the containers that the viewer sees and counts the others.
func TestDeleteInUse(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	shared := h.public(ann, admin, "shared")
	at := volume.Wanted{VolumeID: shared.ID, Path: "/data", ReadOnly: true}
	mine, theirs := h.having(ann, "box", at), h.having(bob, "theirs", at)

	_, err := h.Delete(ann, shared.ID)
	f := requireCode(t, fault.VolumeInUse, err)
	require.Equal(t, "Containers have this volume: box, 1 of other people. Remove them first.", f.Message)
	require.Equal(t, []fault.Named{{ID: mine.ID, Name: "box"}}, f.Details["containers"])
	require.Equal(t, 1, f.Details["others"])
	_, err = h.Delete(admin, shared.ID)
	f = requireCode(t, fault.VolumeInUse, err)
	require.Len(t, f.Details["containers"], 2)
	require.Equal(t, 0, f.Details["others"])
	require.Equal(t, fault.InvalidState, fault.CodeOf(h.Purge(ann, shared.ID)), "only what is in the trash")

	h.gone(mine)
	_, err = h.Delete(ann, shared.ID)
	require.Empty(t, requireCode(t, fault.VolumeInUse, err).Details["containers"])
	h.gone(theirs)
	row, err := h.Delete(ann, shared.ID)
	require.NoError(t, err)
	require.NotNil(t, row.DeletedAt)
	again, err := h.Delete(ann, shared.ID) // again is the same
	require.NoError(t, err)
	require.True(t, row.DeletedAt.Equal(*again.DeletedAt))
}

func TestRestore(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	first := h.create(ann, "data")
	_, err := h.Restore(ann, first.ID) // it is there: as asked
	require.NoError(t, err)
	_, err = h.Delete(ann, first.ID)
	require.NoError(t, err)
	second := h.create(ann, "data") // the name is free meanwhile
	_, err = h.Restore(ann, first.ID)
	require.Equal(t, "name", requireCode(t, fault.Conflict, err).Details["field"])
	_, err = h.Delete(ann, second.ID)
	require.NoError(t, err)
	row, err := h.Restore(ann, first.ID)
	require.NoError(t, err)
	require.Nil(t, row.DeletedAt)
	require.Nil(t, h.PurgeAt(row))
	_, err = h.Restore(ann, second.ID)
	requireCode(t, fault.Conflict, err)
	_, err = h.Update(ann, second.ID, volume.Edit{Name: ptr("data-2")}) // in the trash a name can be changed
	require.NoError(t, err)
	_, err = h.Restore(ann, second.ID)
	require.NoError(t, err)
	_, err = h.Create(ann, "data-2")
	requireCode(t, fault.Conflict, err)
	require.NoError(t, h.check(ann, []volume.Wanted{{VolumeID: first.ID, Path: "/a"}, {VolumeID: second.ID, Path: "/b"}}, nil))
	require.NoError(t, h.quota.Audit(sys))
}

// TestTrashIsEmptiedInTime: not before, and with everything in it.
func TestTrashIsEmptiedInTime(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	kept, old := h.create(ann, "kept"), h.create(ann, "old")
	box := h.having(ann, "box", volume.Wanted{VolumeID: old.ID, Path: "/data"})
	h.made(box, "sleep", "9")
	h.gone(box)
	_, err := h.Delete(ann, old.ID)
	require.NoError(t, err)

	measured := fake.Calls(enginetest.MethodVolumeSize)
	h.pass(trash - time.Hour)
	h.having(ann, "next", volume.Wanted{VolumeID: kept.ID, Path: "/data"})
	h.EngineUp()
	h.eventually("a look through the trash", func(c *assert.CollectT) {
		assert.Greater(c, fake.Calls(enginetest.MethodVolumeSize), measured)
	})
	_, err = h.Get(ann, old.ID)
	require.NoError(t, err)
	h.pass(2 * time.Hour)
	h.awaitPurged(old.ID)
	require.Equal(t, []string{"volume.create", "volume.delete", "volume.purge"}, h.trail(old.ID))
	_, err = h.Get(ann, kept.ID)
	require.NoError(t, err)
	require.Equal(t, 1, h.usage(ann).Volumes)
}

// TestPurgeWithoutEngine goes on when the engine is back, even by another life of
// the server; and nothing brings the volume back meanwhile.
func TestPurgeWithoutEngine(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	row, other := h.create(ann, "data"), h.create(ann, "other")
	box := h.having(ann, "box", volume.Wanted{VolumeID: row.ID, Path: "/data"}, volume.Wanted{VolumeID: other.ID, Path: "/other"})
	h.made(box, "sleep", "9")
	h.gone(box)
	for _, id := range []string{row.ID, other.ID} {
		_, err := h.Delete(ann, id)
		require.NoError(t, err)
	}
	fake.Down()
	require.NoError(t, h.Purge(ann, row.ID))
	require.NoError(t, h.Purge(ann, row.ID)) // again is the same
	still, err := h.Get(ann, row.ID)
	require.NoError(t, err)
	require.True(t, still.Purging)
	require.Equal(t, 2, h.usage(ann).Volumes, "it counts until it is gone")
	_, err = h.Restore(ann, row.ID)
	requireCode(t, fault.InvalidState, err)
	_, err = h.Update(ann, row.ID, volume.Edit{Name: ptr("x")})
	requireCode(t, fault.InvalidState, err)
	_, err = h.container(ann, "again", []volume.Wanted{{VolumeID: row.ID, Path: "/data"}}, nil)
	requireCode(t, fault.NotFound, err)
	fake.Up()
	h.EngineUp()
	h.awaitPurged(row.ID)

	// The server dies before the engine was asked.
	fake.Down()
	require.NoError(t, h.Purge(ann, other.ID))
	h.close()
	fake.Up()
	h.open()
	h.awaitPurged(other.ID)
	require.Zero(t, h.usage(ann).Volumes)
}

// TestPurgeAfterACrashInBetween: the engine has removed it, and the row is left.
func TestPurgeAfterACrashInBetween(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	row := h.create(ann, "data")
	box := h.having(ann, "box", volume.Wanted{VolumeID: row.ID, Path: "/data"})
	h.made(box, "sleep", "9")
	h.gone(box)
	_, err := h.Delete(ann, row.ID)
	require.NoError(t, err)
	// For as long as this server lives: its first look through the trash may be late.
	fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
		return enginetest.Fault{AnswerLost: m == enginetest.MethodRemoveVolume}
	})
	require.NoError(t, h.Purge(ann, row.ID))
	ids, err := fake.ListVolumes(sys)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.Equal(t, 1, h.usage(ann).Volumes)
	h.close()
	fake.OnCall(nil)
	h.open()
	h.awaitPurged(row.ID)
	require.Zero(t, h.usage(ann).Volumes)
	require.Equal(t, fault.NotFound, fault.CodeOf(h.Purge(ann, row.ID)))
}

// TestPurgeIsTriedAgain when the engine refuses for a while, and others are not held up.
func TestPurgeIsTriedAgain(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	stuck, other := h.create(ann, "stuck"), h.create(ann, "other")
	for _, id := range []string{stuck.ID, other.ID} {
		_, err := h.Delete(ann, id)
		require.NoError(t, err)
	}
	fake.OnCall(func(m enginetest.Method, id string) enginetest.Fault {
		if m == enginetest.MethodRemoveVolume && id == stuck.ID {
			return enginetest.Fault{Err: engine.ErrBusy}
		}
		return enginetest.Fault{}
	})
	h.pass(2 * trash)
	h.awaitPurged(other.ID)
	row, err := h.Get(ann, stuck.ID)
	require.NoError(t, err)
	require.True(t, row.Purging)
	fake.OnCall(nil)
	h.EngineUp()
	h.awaitPurged(stuck.ID)
}

// awaitSize waits until the volume's size was measured to be what is asked for.
func (h *house) awaitSize(ctx context.Context, id string, is func(record.Bytes) bool) record.Bytes {
	h.t.Helper()
	var size record.Bytes
	h.eventually("measured", func(c *assert.CollectT) {
		h.EngineUp()
		row, err := h.Get(ctx, id)
		if assert.NoError(c, err) && assert.NotNil(c, row.Size) {
			size = *row.Size
			assert.True(c, is(size), "%s", size)
		}
	})
	return size
}

// TestD46EmptyingTheTrashFreesTheDiskQuota: what is in volumes counts, in the
// trash too, and the refusal says what fills it.
func TestD46EmptyingTheTrashFreesTheDiskQuota(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	q := roomy
	q.Disk = 10 * record.MiB
	ann := h.person("ann", q)
	owner := auth.Of(ann).UserID
	small, big := h.create(ann, "small"), h.create(ann, "big")
	box := h.having(ann, "box", volume.Wanted{VolumeID: small.ID, Path: "/small"}, volume.Wanted{VolumeID: big.ID, Path: "/big"})
	h.made(box, "sleep", "9")
	h.store.Client.Container.UpdateOneID(box.ID).SetDiskUsed(record.MiB).ExecX(sys)
	require.NoError(t, h.quota.CheckDisk(ann, owner))
	fake.Fill(small.ID, 2<<20)
	fake.Fill(big.ID, 8<<20)
	h.awaitSize(ann, small.ID, func(n record.Bytes) bool { return n > 2*record.MiB })
	h.awaitSize(ann, big.ID, func(n record.Bytes) bool { return n > 8*record.MiB })
	require.Greater(t, h.usage(ann).Disk, 11*record.MiB)
	message := requireCode(t, fault.QuotaExceeded, h.quota.CheckDisk(ann, owner)).Message
	require.Regexp(t, `10 MiB of disk and 11.* are in use: volumes 10.*, files in containers outside of volumes 1 MiB\. Delete something first\.`, message)

	h.gone(box)
	_, err := h.Delete(ann, big.ID)
	require.NoError(t, err)
	f := requireCode(t, fault.QuotaExceeded, h.quota.CheckDisk(ann, owner))
	require.Equal(t, "disk", f.Details["resource"])
	require.Regexp(t, `volumes 2.*, volumes in the trash 8.*empty the trash\.`, f.Message)
	require.NoError(t, h.Purge(ann, big.ID))
	require.NoError(t, h.quota.CheckDisk(ann, owner))
	require.Less(t, h.usage(ann).Disk, 3*record.MiB)
	require.NoError(t, h.quota.Audit(sys))
}

// TestWhatWasWrittenLastIsMeasured though the container is gone by then; what
// nothing can write in is not asked about again and again.
func TestWhatWasWrittenLastIsMeasured(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	row := h.create(ann, "data")
	usage, err := h.quota.Watch(ann)
	require.NoError(t, err)
	box := h.having(ann, "box", volume.Wanted{VolumeID: row.ID, Path: "/data"})
	h.made(box, "sleep", "9")
	fake.Fill(row.ID, 5<<20)
	h.gone(box)
	h.EngineUp()
	var told record.Bytes
	for told == 0 {
		select {
		case u := <-usage:
			told = u.Disk
		case <-time.After(patience):
			require.Fail(t, "the owner heard nothing of it")
		}
	}
	require.Greater(t, told, 5*record.MiB)

	measured := func() int { return fake.Calls(enginetest.MethodVolumeSize) }
	before := measured()
	other := h.create(ann, "other")
	h.made(h.having(ann, "next", volume.Wanted{VolumeID: other.ID, Path: "/data"}), "sleep", "9")
	first := h.awaitSize(ann, other.ID, func(record.Bytes) bool { return true })
	at, err := h.Get(ann, other.ID)
	require.NoError(t, err)
	fake.OnCall(func(m enginetest.Method, id string) enginetest.Fault {
		if m == enginetest.MethodVolumeSize {
			assert.Equal(t, other.ID, id)
		}
		return enginetest.Fault{}
	})
	before = max(before, measured())
	h.eventually("measured again", func(c *assert.CollectT) {
		h.EngineUp()
		assert.Greater(c, measured(), before+1)
	})
	again, err := h.Get(ann, other.ID)
	require.NoError(t, err)
	require.Equal(t, first, *again.Size)
	require.Equal(t, at.MeasuredAt, again.MeasuredAt, "it is written only when it is another")
}

// TestSizesSurviveAnEngineThatIsAway, or that does not manage to tell: the last
// ones stay, and are made up for, though nothing has the volumes any more.
func TestSizesSurviveAnEngineThatIsAway(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	ids := []string{h.create(ann, "one").ID, h.create(ann, "two").ID}
	for i, fail := range []func() (back func()){
		func() func() { fake.Down(); return fake.Up },
		func() func() {
			fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
				if m == enginetest.MethodVolumeSize {
					return enginetest.Fault{Err: engine.ErrRefused}
				}
				return enginetest.Fault{}
			})
			return func() { fake.OnCall(nil) }
		},
	} {
		least := record.Bytes(5*(i+1)) * record.MiB
		box := h.having(ann, "box", volume.Wanted{VolumeID: ids[0], Path: "/one"}, volume.Wanted{VolumeID: ids[1], Path: "/two"})
		h.made(box, "sleep", "9")
		for _, id := range ids {
			h.awaitSize(ann, id, func(record.Bytes) bool { return true })
		}
		back := fail()
		for _, id := range ids {
			fake.Fill(id, int64(least))
		}
		before := fake.Calls(enginetest.MethodVolumeSize)
		h.goneFromTheLedger(box)
		h.eventually("asked in vain", func(c *assert.CollectT) {
			h.EngineUp()
			assert.Greater(c, fake.Calls(enginetest.MethodVolumeSize), before+4)
		})
		for _, id := range ids {
			still, err := h.Get(ann, id)
			require.NoError(t, err)
			require.Less(t, *still.Size, least)
		}
		back()
		require.NoError(t, fake.Remove(sys, box.ID))
		for _, id := range ids {
			h.awaitSize(ann, id, func(n record.Bytes) bool { return n > least })
		}
	}
}
