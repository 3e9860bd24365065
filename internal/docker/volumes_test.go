package docker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// with runs a command in a container with these volumes and gives all that it said.
func (b *box) with(image string, mounts []engine.Mount, command ...string) []string {
	b.t.Helper()
	id := dockertest.ID("ctr")
	spec := engine.Spec{
		ID: id, Owner: "usr_1", ImageID: image, Command: []string{"sh", "-c", strings.Join(command, "; ")}, Hostname: "box",
		Limits: engine.Limits{NanoCPUs: 500_000_000, Memory: b.memory}, Mounts: mounts, WorkingDir: mounts[0].Path,
	}
	require.NoError(b.t, b.engine.Create(b.ctx, spec))
	require.NoError(b.t, b.engine.Create(b.ctx, spec)) // again, as after a lost answer
	require.NoError(b.t, b.engine.Start(b.ctx, id))
	return b.output(id)
}

// variant holds the image with one instruction more.
func (b *box) variant(change string) string {
	b.t.Helper()
	id := dockertest.ID("img")
	_, err := b.engine.Adopt(b.ctx, id, dockertest.Variant(b.t, change))
	require.NoError(b.t, err)
	return id
}

// TestWhoeverTheImageRunsAsCanWrite: a fresh volume is open to the image's user,
// whether the engine's folders are in reach or not, also where the image has a
// folder of another mode at the path; and what its owner made of it stays.
func TestWhoeverTheImageRunsAsCanWrite(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		for _, path := range []string{"/workspace", "/some/where/deep", "/tmp"} {
			t.Run(fmt.Sprintf("remote=%v%s", remote, path), func(t *testing.T) {
				t.Parallel()
				b := newBox(t, dockertest.Instance())
				if remote {
					docker.Remote(b.engine)
				}
				user := b.variant("USER 1000:1000")
				at := engine.Mount{VolumeID: dockertest.ID("vol"), Owner: "usr_1", Path: path}
				reader := at
				reader.ReadOnly = true
				said := b.with(user, []engine.Mount{at}, "id -u", "pwd", "stat -c %a .", "echo kept > note", "cat note")
				require.Equal(t, []string{"1000", path, "777", "kept"}, said)
				said = b.with(b.image, []engine.Mount{at}, "chmod 700 .", "stat -c %a .")
				require.Equal(t, []string{"700"}, said)
				said = b.with(b.image, []engine.Mount{at}, "stat -c %a .")
				require.Equal(t, []string{"700"}, said)
				said = b.with(b.image, []engine.Mount{reader}, "stat -c %a .", "cat note")
				require.Equal(t, []string{"700", "kept"}, said)
			})
		}
	}
}

// TestOnlyWhatIsFreshIsOpenedUp: empty, and as the engine made it.
func TestOnlyWhatIsFreshIsOpenedUp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode, want os.FileMode
		files      bool
	}{{0o755, 0o777, false}, {0o755, 0o755, true}, {0o700, 0o700, false}, {0o777, 0o777, false}} {
		root := t.TempDir()
		require.NoError(t, os.Chmod(root, c.mode))
		if c.files {
			require.NoError(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
		}
		require.NoError(t, docker.OpenUp(root))
		got, err := os.Stat(root)
		require.NoError(t, err)
		require.Equal(t, c.want, got.Mode().Perm(), "%+v", c)
	}
}

// TestLinkInTheImage: where the image has a link at the path, the volume is where
// it leads, and the link stays.
func TestLinkInTheImage(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	docker.Remote(b.engine)
	raw := dockertest.Client(t)
	made := b.start("ln", "-s", "/home/elsewhere", "/workspace")
	b.output(made)
	ref := "mlridetest/" + dockertest.Instance() + ":1"
	_, err := raw.ContainerCommit(b.ctx, dockertest.ContainerName(b.instance, made), container.CommitOptions{
		Reference: ref, Changes: []string{"USER 1000:1000"},
	})
	require.NoError(t, err)
	h := &host{t: t, c: raw}
	t.Cleanup(func() { h.forget(ref) })
	image := dockertest.ID("img")
	_, err = b.engine.Adopt(b.ctx, image, ref)
	require.NoError(t, err)
	at := engine.Mount{VolumeID: dockertest.ID("vol"), Owner: "usr_1", Path: "/workspace"}
	said := b.with(image, []engine.Mount{at}, "readlink /workspace || ls -ld /workspace", "echo kept > /workspace/note && cat /home/elsewhere/note")
	require.Contains(t, said[0], "/home/elsewhere")
	require.Equal(t, "kept", said[1])
}

// TestVolumesAreNothingOfTheHosts: what the engine was asked for is a volume by
// name, of its own driver without options, with our labels.
func TestVolumesAreNothingOfTheHosts(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := dockertest.ID("vol")
	b.with(b.image, []engine.Mount{{VolumeID: id, Owner: "usr_2", Path: "/data"}}, "true")
	name := dockertest.ContainerName(b.instance, id)
	made, err := dockertest.Client(t).VolumeInspect(b.ctx, name)
	require.NoError(t, err)
	require.Equal(t, "local", made.Driver)
	require.Empty(t, made.Options)
	require.Equal(t, map[string]string{"mlride.instance": b.instance, "mlride.owner": "usr_2", "mlride.id": id}, made.Labels)
	states, err := b.engine.List(b.ctx)
	require.NoError(t, err)
	raw, err := dockertest.Client(t).ContainerInspect(b.ctx, dockertest.ContainerName(b.instance, states[0].ID))
	require.NoError(t, err)
	require.Empty(t, raw.HostConfig.Binds)
	require.Len(t, raw.Mounts, 1)
	require.Equal(t, name, raw.Mounts[0].Name)

	info, err := b.engine.Info(b.ctx)
	require.NoError(t, err)
	require.True(t, info.Local)
	require.True(t, strings.HasPrefix(made.Mountpoint, info.DataRoot+"/"), "%s below %s", made.Mountpoint, info.DataRoot)
}

// TestSizeByTheEngine: where the folder is out of reach, the engine measures.
func TestSizeByTheEngine(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	at := engine.Mount{VolumeID: dockertest.ID("vol"), Owner: "usr_1", Path: "/data"}
	b.with(b.image, []engine.Mount{at}, "head -c 2000000 /dev/zero > /data/two", "ln /data/two /data/again")
	size, err := b.engine.VolumeSize(b.ctx, at.VolumeID)
	require.NoError(t, err)
	require.InDelta(t, 2_000_000, size, 100_000, "a file with two names counts once")
	docker.Remote(b.engine)
	size, err = b.engine.VolumeSize(b.ctx, at.VolumeID)
	require.NoError(t, err)
	require.GreaterOrEqual(t, size, int64(2_000_000))
}

// TestAllocated: blocks count, not lengths; links lead nowhere; what nests without
// end is told and not followed to the end.
func TestAllocated(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	outside, root := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "big"), make([]byte, 1<<20), 0o600))
	empty, err := docker.Allocated(ctx, root)
	require.NoError(t, err)

	hole, err := os.Create(filepath.Join(root, "hole"))
	require.NoError(t, err)
	require.NoError(t, hole.Truncate(1<<30))
	require.NoError(t, hole.Close())
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "link")))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "a", "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "a", "b", "file"), make([]byte, 64<<10), 0o600))
	require.NoError(t, os.Link(filepath.Join(root, "a", "b", "file"), filepath.Join(root, "again")))
	size, err := docker.Allocated(ctx, root)
	require.NoError(t, err)
	require.InDelta(t, empty+64<<10, size, 32<<10)

	_, err = docker.Allocated(ctx, filepath.Join(root, "link"))
	require.Error(t, err, "the root may not be a link either")
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	_, err = docker.Allocated(stopped, root)
	require.ErrorIs(t, err, context.Canceled)

	deep := root
	for range 40 {
		deep = filepath.Join(deep, strings.Repeat("x/", 15))
		require.NoError(t, os.MkdirAll(deep, 0o700))
	}
	_, err = docker.Allocated(ctx, root)
	require.ErrorContains(t, err, "nested")
}
