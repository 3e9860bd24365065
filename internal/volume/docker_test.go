package volume_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/volume"
)

// said runs a script in the container and gives all that it wrote.
func (h *house) said(row *ent.Container, script ...string) []string {
	h.t.Helper()
	h.made(row, "sh", "-c", strings.Join(script, "; ")+"; :")
	require.NoError(h.t, h.engine.Start(sys, row.ID))
	ctx, cancel := context.WithTimeout(sys, patience)
	defer cancel()
	lines := []string{}
	require.NoError(h.t, h.engine.Logs(ctx, row.ID, engine.LogOptions{Tail: -1, Follow: true}, func(l engine.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	}))
	return lines
}

// TestVolumeOutlivesItsContainers and is gone from the engine with the last of it.
func TestVolumeOutlivesItsContainers(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	one, err := h.container(ann, "one", nil, ptr("home"))
	require.NoError(t, err)
	require.Equal(t, []string{"777"}, h.said(one, "echo kept > /workspace/note", "head -c 3000000 /dev/zero > /workspace/three", "stat -c %a /workspace"))
	mounts, err := h.Of(ann, one.ID)
	require.NoError(t, err)
	id := mounts[0].VolumeID
	h.awaitSize(ann, id, func(n record.Bytes) bool { return n > 2_900_000 && n < 3_500_000 })
	require.Greater(t, h.usage(ann).Disk, record.Bytes(2_900_000))
	h.gone(one)

	two, err := h.container(ann, "two", nil, ptr("home"))
	require.NoError(t, err)
	require.Equal(t, []string{"kept"}, h.said(two, "cat /workspace/note"))
	_, err = h.Delete(ann, id)
	requireCode(t, fault.VolumeInUse, err)
	h.gone(two)
	_, err = h.Delete(ann, id)
	require.NoError(t, err)
	kept, err := h.engine.ListVolumes(sys)
	require.NoError(t, err)
	require.Equal(t, []string{id}, kept)
	_, err = h.Restore(ann, id)
	require.NoError(t, err)
	three := h.having(ann, "three", volume.Wanted{VolumeID: id, Path: "/mnt"})
	require.Equal(t, []string{"kept"}, h.said(three, "cat /mnt/note"), "restored with all that is in it")
	h.gone(three)
	_, err = h.Delete(ann, id)
	require.NoError(t, err)
	require.NoError(t, h.Purge(ann, id))
	h.awaitPurged(id)
	require.Zero(t, h.usage(ann).Disk)
}

// TestPublicCannotBeWrittenByOthers, not even by root in their containers.
func TestPublicCannotBeWrittenByOthers(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann, bob, admin := h.person("ann", roomy), h.person("bob", roomy), h.admin()
	shared := h.public(ann, admin, "shared")
	h.said(h.having(ann, "box", volume.Wanted{VolumeID: shared.ID, Path: "/data"}), "echo truth > /data/note")
	said := h.said(h.having(bob, "box", volume.Wanted{VolumeID: shared.ID, Path: "/data", ReadOnly: true}),
		"cat /data/note", "(echo lies > /data/note) 2>/dev/null || echo refused", "rm /data/note 2>/dev/null || echo refused",
		"chmod 700 /data 2>/dev/null || echo refused", "mount -o remount,rw /data 2>/dev/null || echo refused", "cat /data/note")
	require.Equal(t, []string{"truth", "refused", "refused", "refused", "refused", "truth"}, said)
}

// TestP05AnotherPersonsFilesAreOutOfReach: a container has the volumes that it was
// made with, and no way to the folder where the engine keeps the others.
func TestP05AnotherPersonsFilesAreOutOfReach(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	secret, own := h.create(ann, "data"), h.create(bob, "data")
	h.said(h.having(ann, "box", volume.Wanted{VolumeID: secret.ID, Path: "/data"}), "echo secret-of-ann > /data/secret")
	said := strings.Join(h.said(h.having(bob, "box", volume.Wanted{VolumeID: own.ID, Path: "/data"}),
		"ls -a /data /data/..", "cat /data/../data/secret /var/lib/docker/volumes/*/_data/secret 2>/dev/null",
		"ln -s /var/lib/docker /data/out", "ls /data/out/ 2>/dev/null", "find / -xdev -name secret 2>/dev/null", "find /data", "cat /proc/mounts"), "\n")
	require.NotContains(t, said, "secret")
	require.NotContains(t, said, secret.ID)

	// A link that leads out of the volume is followed by nobody who measures it.
	size := h.awaitSize(bob, own.ID, func(record.Bytes) bool { return true })
	require.Less(t, size, 100*record.KiB)
}

// TestWhoeverTheImageRunsAs writes in a fresh volume and in a fresh workspace.
func TestWhoeverTheImageRunsAs(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	ref := dockertest.Variant(t, "USER 1000:1000")
	row := h.store.Client.Image.Create().SetReference(ref).SetRequestedReference(ref).
		SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).SaveX(sys)
	_, err := h.engine.Adopt(sys, row.ID, ref)
	require.NoError(t, err)
	h.image = row.ID
	data := h.create(ann, "data")
	box, err := h.container(ann, "box", []volume.Wanted{{VolumeID: data.ID, Path: "/srv/data"}}, ptr("home"))
	require.NoError(t, err)
	require.Equal(t, []string{"1000", "a", "b"},
		h.said(box, "id -u", "echo a > /srv/data/a", "mkdir /workspace/sub", "echo b > /workspace/sub/b", "cat /srv/data/a /workspace/sub/b"))
}

// TestSizesAreMeasuredWhileItRuns, about once a minute: here as often as is asked.
func TestSizesAreMeasuredWhileItRuns(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	row := h.create(ann, "data")
	box := h.having(ann, "box", volume.Wanted{VolumeID: row.ID, Path: "/data"})
	h.made(box, "sh", "-c", "i=0; while true; do i=$((i+1)); head -c 300000 /dev/zero > /data/$((i % 5)); usleep 20000; done")
	require.NoError(t, h.engine.Start(sys, box.ID))
	h.awaitSize(ann, row.ID, func(n record.Bytes) bool { return n > record.MiB })
	require.NoError(t, h.engine.Stop(sys, box.ID, 0))
	h.eventually("nothing is left to measure", func(c *assert.CollectT) {
		h.EngineUp()
		got, err := h.Get(ann, row.ID)
		assert.NoError(c, err)
		assert.NotNil(c, got.MeasuredAt)
	})
}
