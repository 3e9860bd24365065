package docker_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// unpacked is what is in a tar, by name, with the content of files.
func unpacked(t *testing.T, from io.Reader) (headers map[string]*tar.Header, texts map[string]string) {
	t.Helper()
	headers, texts = map[string]*tar.Header{}, map[string]string{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, texts
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		headers[h.Name], texts[h.Name] = h, string(content)
	}
}

// TestArchiveHasWhatIsInTheVolume and nothing else, whether the engine's folders
// are in reach or not: a link out of it stays a link.
func TestArchiveHasWhatIsInTheVolume(t *testing.T) {
	t.Parallel()
	for _, remote := range []bool{false, true} {
		t.Run(fmt.Sprintf("remote=%v", remote), func(t *testing.T) {
			t.Parallel()
			b := newBox(t, dockertest.Instance())
			if remote {
				docker.Remote(b.engine)
			}
			id := dockertest.ID("vol")
			require.ErrorIs(t, b.engine.ArchiveVolume(b.ctx, id, io.Discard), engine.ErrNotFound)
			at := engine.Mount{VolumeID: id, Owner: "usr_1", Path: "/data"}
			b.with(b.image, []engine.Mount{at}, "mkdir -p sub/deep '名 字'", "echo kept > sub/deep/note", "chown 1234:4321 sub/deep/note",
				"chmod 4750 sub/deep/note", "ln -s /etc/passwd passwd", "ln -s /etc etc", "ln -s nowhere dangling", "ln sub/deep/note twin",
				"mkfifo pipe", "echo x > '名 字/y'", "chmod 700 sub", "dd if=/dev/zero of=sparse bs=1 count=0 seek=3000000 2>/dev/null")
			var packed bytes.Buffer
			require.NoError(t, b.engine.ArchiveVolume(b.ctx, id, &packed))
			headers, texts := unpacked(t, &packed)
			names := []string{}
			for name := range headers {
				names = append(names, name)
			}
			require.ElementsMatch(t, []string{"sub/", "sub/deep/", "名 字/", "名 字/y", "sub/deep/note", "twin", "passwd", "etc", "dangling", "sparse"}, names)
			for name, target := range map[string]string{"passwd": "/etc/passwd", "etc": "/etc", "dangling": "nowhere"} {
				require.EqualValues(t, tar.TypeSymlink, headers[name].Typeflag, name)
				require.Equal(t, target, headers[name].Linkname)
				require.Empty(t, texts[name])
			}
			note, twin := headers["sub/deep/note"], headers["twin"]
			require.Equal(t, "kept\n", texts["sub/deep/note"]+texts["twin"], "each file is there once")
			require.True(t, note.Linkname == "twin" || twin.Linkname == "sub/deep/note")
			require.Equal(t, []int64{0o4750, 1234, 4321}, []int64{note.Mode & 0o7777, int64(note.Uid), int64(note.Gid)})
			require.EqualValues(t, 0o700, headers["sub/"].Mode&0o7777)
			require.Len(t, texts["sparse"], 3_000_000)

			full := errors.New("the disk is full")
			require.ErrorIs(t, b.engine.ArchiveVolume(b.ctx, id, refuser{full}), full)
			list, err := b.engine.List(b.ctx)
			require.NoError(t, err)
			for _, s := range list {
				require.NoError(t, b.engine.Remove(b.ctx, s.ID))
			}
			require.NoError(t, b.engine.RemoveVolume(b.ctx, id), "nothing holds it any more")
		})
	}
}

type refuser struct{ err error }

func (r refuser) Write([]byte) (int, error) { return 0, r.err }
