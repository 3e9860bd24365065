package docker_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// TestBuildOfPackages: an image is built on a Debian system with apt-get and pip,
// started, and its Python imports what was asked for.
func TestBuildOfPackages(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	b.ctx = ctx
	raw := dockertest.Client(t)
	ref := "mlridetest/" + dockertest.Instance() + ":1"
	body, err := raw.ImageImport(ctx, image.ImportSource{Source: debian(t), SourceName: "-"}, ref, image.ImportOptions{
		Changes: []string{"ENV PATH=/usr/sbin:/usr/bin"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { (&host{t: t, c: raw}).forget(ref) })
	_, err = io.Copy(io.Discard, body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	base, err := raw.ImageInspect(ctx, ref)
	require.NoError(t, err)
	spec := buildSpec(t)
	spec.Bases, spec.Limits.Memory, spec.Limits.Pids = []string{base.ID}, 512<<20, 256
	spec.Dockerfile = "FROM " + base.ID + "\n" +
		"RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends mlride-probe && rm -rf /var/lib/apt/lists/*\n" +
		"RUN PIP_BREAK_SYSTEM_PACKAGES=1 python3 /pip.whl/pip install --no-cache-dir --no-index --find-links /wheels 'probe-mlride'\n" +
		"ENV HOME=/workspace\nWORKDIR /workspace\n"
	var p printed
	_, err = b.engine.Build(ctx, spec, p.told)
	require.NoError(t, err, p.String())
	b.image, b.memory = spec.ID, 512<<20
	id := b.start("sh", "-c", "probe && python3 -c 'import probe_mlride' && pwd")
	require.Equal(t, []string{"the probe runs", "the module runs", "/workspace"}, b.output(id))
	state, err := b.engine.Inspect(ctx, id)
	require.NoError(t, err)
	require.Equal(t, engine.StatusExited, state.Status)
	require.Zero(t, state.ExitCode)
}
