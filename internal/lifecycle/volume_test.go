package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/container"
	entvolume "github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/volume"
)

// said is the whole output of a container that has ended.
func (h *house) said(id string) []string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lines := []string{}
	require.NoError(h.t, h.engine.Logs(ctx, id, engine.LogOptions{Tail: -1}, func(l engine.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	}))
	return lines
}

// TestWorkspaceStaysWhenTheContainerGoes: it is HOME and where the program begins.
func TestWorkspaceStaysWhenTheContainerGoes(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	home := "home"
	w := h.want("one", "sh", "-c", `echo kept > note; echo $HOME; pwd`)
	w.Workspace = &home
	admission, err := h.Admission(ann, w)
	require.NoError(t, err)
	require.Empty(t, admission.Problems)
	one, err := h.Create(ann, w)
	require.NoError(t, err)
	h.awaitStatus(ann, one.ID, container.StatusExited)
	require.Equal(t, []string{"/workspace", "/workspace"}, h.said(one.ID))
	row := h.store.Client.Volume.Query().Where(entvolume.Name(home)).OnlyX(auth.AsSystem(ann))

	_, err = h.volumes.Delete(ann, row.ID)
	requireCode(t, fault.VolumeInUse, err)
	_, err = h.Remove(ann, one.ID)
	require.NoError(t, err)
	h.awaitGone(ann, one.ID)

	w = h.want("two", "sh", "-c", "cat note")
	w.Workspace = &home
	two, err := h.Create(ann, w)
	require.NoError(t, err)
	h.awaitStatus(ann, two.ID, container.StatusExited)
	require.Equal(t, []string{"kept"}, h.said(two.ID))
	h.agrees()
}

// TestVolumesOfARefusedContainer: what stands in the way of a volume stands in the
// way of the container, in the dry run too, and nothing is left of it.
func TestVolumesOfARefusedContainer(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	theirs, err := h.volumes.Create(ann, "data")
	require.NoError(t, err)
	for id, code := range map[string]fault.Code{theirs.ID: fault.NotFound, "/etc": fault.BadUserInput} {
		home := "home"
		w := h.want("box", "sleep", "3600")
		w.Mounts, w.Workspace = []volume.Wanted{{VolumeID: id, Path: "/data", ReadOnly: true}}, &home
		admission, err := h.Admission(bob, w)
		require.NoError(t, err)
		require.Len(t, admission.Problems, 1)
		require.Equal(t, code, admission.Problems[0].Code)
		_, err = h.Create(bob, w)
		requireCode(t, code, err)
	}
	u, err := h.quota.Usage(bob, auth.Of(bob).UserID)
	require.NoError(t, err)
	require.Zero(t, u.Volumes)
	require.Zero(t, u.Containers)
	h.agrees()
}

// TestVolumeOfAStopped stays with the container through stop and start.
func TestVolumeOfAStopped(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	data, err := h.volumes.Create(ann, "data")
	require.NoError(t, err)
	w := h.want("box", "sh", "-c", "echo run >> /data/runs; cat /data/runs; exec sleep 3600")
	w.Mounts = []volume.Wanted{{VolumeID: data.ID, Path: "/data"}}
	row, err := h.Create(ann, w)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	require.Eventually(t, func() bool { return len(h.said(row.ID)) == 1 }, patience, 5*time.Millisecond)
	_, err = h.Stop(ann, row.ID, 0)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusExited)
	_, err = h.Start(ann, row.ID, false)
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	require.Eventually(t, func() bool { return len(h.said(row.ID)) == 3 }, patience, 5*time.Millisecond)
	h.agrees()
}
