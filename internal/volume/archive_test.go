package volume_test

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/volume"
)

func filesIn(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestArchive writes the owner's volumes, those in the trash too, and may be done again.
func TestArchive(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann, bob := h.person("ann", roomy), h.person("bob", roomy)
	data, old, never := h.create(ann, "data"), h.create(ann, "old"), h.create(ann, "never")
	for who, id := range map[string]string{"one": data.ID, "two": old.ID} {
		box := h.having(ann, who, volume.Wanted{VolumeID: id, Path: "/data"})
		h.made(box, "sh", "-c", "echo kept > /data/note; head -c 3000000 /dev/zero > /data/zeros")
		require.NoError(t, h.engine.Start(sys, box.ID))
		h.said(box, "echo more")
		h.gone(box)
	}
	_, err := h.Delete(ann, old.ID)
	require.NoError(t, err)
	h.create(bob, "secret")
	folder := filepath.Join(t.TempDir(), "archive", "ann-2026-11-24")
	want := []string{data.Name + "-" + data.ID + ".tar", old.Name + "-" + old.ID + ".tar"}
	annID := auth.Of(ann).UserID

	// What a crash left half written is in nobody's way.
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, want[0]+".part"), []byte("half"), 0o600))
	for range 2 {
		files, err := h.Archive(sys, annID, folder)
		require.NoError(t, err)
		require.Len(t, files, 2)
		require.ElementsMatch(t, want, filesIn(t, folder))
		for _, f := range files {
			require.Greater(t, f.Bytes, record.Bytes(3_000_000))
			found, err := os.Stat(filepath.Join(folder, f.Name))
			require.NoError(t, err)
			require.EqualValues(t, f.Bytes, found.Size())
			require.Equal(t, os.FileMode(0o600), found.Mode().Perm())
			require.NotContains(t, f.Name, never.ID)
		}
	}
	f, err := os.Open(filepath.Join(folder, want[0]))
	require.NoError(t, err)
	defer func() { _ = f.Close() }()
	r := tar.NewReader(f)
	first, err := r.Next()
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "note kept\n", first.Name+" "+string(text))
	second, err := r.Next()
	require.NoError(t, err)
	zeros, err := io.ReadAll(r)
	require.NoError(t, err, "what was left out as a hole is there")
	require.Equal(t, "zeros", second.Name)
	require.Empty(t, strings.Trim(string(zeros), "\x00"))

	// What cannot be archived leaves nothing half.
	fresh := filepath.Join(t.TempDir(), "archive", "again")
	h.Free = func(string) (record.Bytes, error) { return record.MiB, nil }
	_, err = h.Archive(sys, annID, fresh)
	requireCode(t, fault.LowDisk, err)
	require.Empty(t, filesIn(t, fresh))
	h.Free = nil
	fake.Fail(enginetest.MethodArchiveVolume, engine.ErrUnreachable, 1)
	_, err = h.Archive(sys, annID, fresh)
	require.ErrorIs(t, err, engine.ErrUnreachable)
	requireCode(t, fault.EngineUnavailable, err)
	require.Empty(t, filesIn(t, fresh))
}
