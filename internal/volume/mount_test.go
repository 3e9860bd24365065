package volume_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/mount"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/volume"
)

// TestP01NothingOfTheHostCanBeMounted: neither an id nor a path can say a folder
// of the machine, and nothing takes the place of the image's own programs.
func TestP01NothingOfTheHostCanBeMounted(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	own := h.create(ann, "data").ID
	for _, id := range []string{
		"", "/", "/etc", "/var/run/docker.sock", "..", "../../etc", "data", "vol_", "vol_/etc", "vol_a/../../etc", "vol_a:/etc", "vol_a,src=/etc",
		"VOL_a", "vol_a\x00", "mlride-a-vol_a", own + ":/x", "./data",
	} {
		requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: id, Path: "/data"}}, nil), "volumes.0.volumeId format")
	}
	for _, path := range []string{
		"", "/", "data", "./data", "../data", "/data/", "/data/.", "/data/..", "/data/../../etc", "//data", "/data//x", "/a/./b", "~", "C:\\data",
		"/proc", "/proc/1/root", "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm", "/etc", "/etc/ld.so.preload", "/bin", "/bin/sh", "/sbin/x",
		"/lib", "/lib/x", "/lib64", "/usr", "/usr/bin", "/usr/bin/env", "/usr/lib", "/usr/lib/x", "/usr/lib64", "/usr/sbin", "/run", "/var",
		"/data\x00", "/" + strings.Repeat("a", 255),
	} {
		requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: own, Path: path}}, nil), "volumes.0.path format")
	}
	for _, path := range []string{"/data", "/workspace", "/home/jovyan/work", "/usr/share/data", "/usr/local/data", "/var/data", "/opt", "/a..b", "/etcetera", "/library", "/" + strings.Repeat("a", 254)} {
		require.NoError(t, h.check(ann, []volume.Wanted{{VolumeID: own, Path: path}}, nil), path)
	}
}

// TestAllThatIsWrongIsToldAtOnce with volumes that overlap, are there twice, or are too many.
func TestAllThatIsWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	a, b, c := h.create(ann, "a").ID, h.create(ann, "b").ID, h.create(ann, "c").ID
	requireRules(t, h.check(ann, []volume.Wanted{
		{VolumeID: a, Path: "/data"}, {VolumeID: a, Path: "/data/sub"}, {VolumeID: "/etc", Path: "etc"}, {VolumeID: b, Path: "/workspace"}, {VolumeID: c, Path: "/data"},
	}, ptr("No Name")),
		"workspace format", "volumes.1.volumeId unique", "volumes.1.path unique", "volumes.2.volumeId format", "volumes.2.path format",
		"volumes.3.path unique", "volumes.4.path unique", "volumes.4.path unique")
	requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: a, Path: "/data/sub"}, {VolumeID: b, Path: "/data"}}, nil), "volumes.1.path unique")
	require.NoError(t, h.check(ann, []volume.Wanted{{VolumeID: a, Path: "/data"}, {VolumeID: b, Path: "/data2"}}, nil))

	many := []volume.Wanted{}
	for i := range 17 {
		many = append(many, volume.Wanted{VolumeID: fmt.Sprint("vol_", i), Path: fmt.Sprint("/data/", i)})
	}
	requireRules(t, h.check(ann, many, nil), "volumes size")
}

// TestP03AnothersVolumeIsNotThere in one's own create call, whoever asks; and
// neither the dry run nor the call leaves anything behind.
func TestP03AnothersVolumeIsNotThere(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	theirs := h.create(ann, "secret")
	inTrash := h.create(bob, "old")
	_, err := h.Delete(bob, inTrash.ID)
	require.NoError(t, err)
	publicInTrash := h.public(ann, admin, "shared-once")
	_, err = h.Delete(ann, publicInTrash.ID)
	require.NoError(t, err)
	for _, who := range []context.Context{bob, admin} {
		for _, id := range []string{theirs.ID, inTrash.ID, publicInTrash.ID, "vol_nothere"} {
			for _, readOnly := range []bool{true, false} {
				_, err := h.container(who, "box", []volume.Wanted{{VolumeID: id, Path: "/data", ReadOnly: readOnly}}, ptr("home"))
				require.Equal(t, fault.NoSuch("volume", id), requireCode(t, fault.NotFound, err))
			}
		}
	}
	require.Zero(t, h.store.Client.Mount.Query().CountX(sys))
	require.Zero(t, h.store.Client.Container.Query().CountX(sys))
	require.Equal(t, 1, h.usage(bob).Volumes, "no workspace was made")
	require.NoError(t, h.quota.Audit(sys))
}

// TestPublicIsToRead: somebody else's public volume is had only to read, and stays
// with the containers that have it when it is public no more.
func TestPublicIsToRead(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	shared := h.public(ann, admin, "shared")
	for _, who := range []context.Context{bob, admin} {
		_, err := h.container(who, "box", []volume.Wanted{{VolumeID: shared.ID, Path: "/data"}}, nil)
		requireRules(t, err, "volumes.0.readOnly readOnly")
	}
	require.NoError(t, h.check(ann, []volume.Wanted{{VolumeID: shared.ID, Path: "/data"}}, nil), "its owner writes")
	box := h.having(bob, "box", volume.Wanted{VolumeID: shared.ID, Path: "/data", ReadOnly: true})
	mine := h.having(ann, "box", volume.Wanted{VolumeID: shared.ID, Path: "/data"})

	for who, want := range map[string]struct {
		ctx context.Context
		ids []string
	}{"ann": {ann, []string{mine.ID}}, "bob": {bob, []string{box.ID}}, "admin": {admin, []string{box.ID, mine.ID}}} {
		rows, err := h.MountedBy(want.ctx, shared.ID)
		require.NoError(t, err)
		got := []string{}
		for _, row := range rows {
			got = append(got, row.ID)
		}
		require.Equal(t, want.ids, got, who)
	}

	_, err := h.Update(admin, shared.ID, volume.Edit{Public: ptr(false)})
	require.NoError(t, err)
	_, err = h.Get(bob, shared.ID)
	require.NoError(t, err, "one sees what one's containers have")
	mounts, err := h.Of(bob, box.ID)
	require.NoError(t, err)
	require.Len(t, mounts, 1)
	require.Equal(t, "shared", mounts[0].Edges.Volume.Name)
	require.True(t, mounts[0].ReadOnly)
	_, err = h.container(bob, "again", []volume.Wanted{{VolumeID: shared.ID, Path: "/data", ReadOnly: true}}, nil)
	requireCode(t, fault.NotFound, err)
	h.gone(box)
	_, err = h.Get(bob, shared.ID)
	requireCode(t, fault.NotFound, err)
}

// TestWorkspaceIsMadeOnce and had again by the next container.
func TestWorkspaceIsMadeOnce(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	data := h.create(ann, "data")
	first, err := h.container(ann, "one", []volume.Wanted{{VolumeID: data.ID, Path: "/data"}}, ptr("home"))
	require.NoError(t, err)
	mounts, err := h.Of(ann, first.ID)
	require.NoError(t, err)
	require.Len(t, mounts, 2)
	home := mounts[1]
	require.Equal(t, volume.Home, home.Path)
	require.False(t, home.ReadOnly)
	require.Equal(t, "home", home.Edges.Volume.Name)
	require.Equal(t, []string{"volume.create"}, h.trail(home.VolumeID))

	second, err := h.container(ann, "two", nil, ptr("home"))
	require.NoError(t, err)
	mounts, err = h.Of(ann, second.ID)
	require.NoError(t, err)
	require.Equal(t, home.VolumeID, mounts[0].VolumeID)
	require.Equal(t, 2, h.usage(ann).Volumes)

	// Of the same name, everybody has their own: administrators too.
	for _, who := range []context.Context{bob, admin} {
		other, err := h.container(who, "one", nil, ptr("home"))
		require.NoError(t, err)
		mounts, err = h.Of(who, other.ID)
		require.NoError(t, err)
		require.NotEqual(t, home.VolumeID, mounts[0].VolumeID)
		require.Equal(t, auth.Of(who).UserID, mounts[0].Edges.Volume.OwnerID)
	}

	requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: data.ID, Path: "/workspace"}}, ptr("home")), "volumes.0.path unique")
	requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: data.ID, Path: "/workspace/data"}}, ptr("home")), "volumes.0.path unique")
	requireRules(t, h.check(ann, []volume.Wanted{{VolumeID: home.VolumeID, Path: "/mnt"}}, ptr("home")), "volumes.0.volumeId unique")
	require.NoError(t, h.check(ann, []volume.Wanted{{VolumeID: data.ID, Path: "/workspace"}}, nil))
	require.NoError(t, h.quota.Audit(sys))
}

// TestWorkspaceTakesAPlace in the quota, in the transaction of the container.
func TestWorkspaceTakesAPlace(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	q := roomy
	q.Volumes = 0
	ann := h.person("ann", q)
	_, err := h.container(ann, "one", nil, ptr("home"))
	require.Equal(t, "volumes", requireCode(t, fault.QuotaExceeded, err).Details["resource"])
	require.Zero(t, h.store.Client.Container.Query().CountX(sys))
	require.NoError(t, h.quota.Audit(sys))
}

// TestDeleteRacesWithMount: a container that is being made and the deletion of its
// volume never both succeed.
func TestDeleteRacesWithMount(t *testing.T) {
	t.Parallel()
	h, _ := onFake(t)
	ann := h.person("ann", roomy)
	for i := range 15 {
		row := h.create(ann, fmt.Sprint("v", i))
		var both sync.WaitGroup
		var made, deleted error
		both.Go(func() { _, deleted = h.Delete(ann, row.ID) })
		both.Go(func() {
			_, made = h.container(ann, fmt.Sprint("box", i), []volume.Wanted{{VolumeID: row.ID, Path: "/data"}}, nil)
		})
		both.Wait()
		mounted := h.store.Client.Mount.Query().Where(mount.VolumeID(row.ID)).CountX(sys)
		if deleted == nil {
			requireCode(t, fault.NotFound, made)
			require.Zero(t, mounted)
		} else {
			requireCode(t, fault.VolumeInUse, deleted)
			require.NoError(t, made)
			require.Equal(t, 1, mounted)
		}
	}
	require.NoError(t, h.quota.Audit(sys))
}
