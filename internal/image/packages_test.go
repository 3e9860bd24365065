package image_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/image"
)

// TestDockerSystemPackages: the form builds an image with a package of the system,
// from the package sources that this machine itself has, and a container of it uses
// the package.
func TestDockerSystemPackages(t *testing.T) {
	t.Parallel()
	const wait = 5 * time.Minute // the sources are as fast as they are
	debian := dockertest.Jupyter(t)
	h, _ := offering(t, dockertest.Engine(t, dockertest.Instance()), debian, func(o *image.Options) {
		o.Build.Limits = engine.BuildLimits{Limits: engine.Limits{NanoCPUs: 2e9, Memory: 1 << 30}, Pids: 256}
		o.Build.Time = wait
	})
	ann := h.person("ann", roomy)
	row, err := h.BuildImage(ann, image.BuildInput{Name: "numbers", Base: &debian, SystemPackages: []string{"python3-numpy"}})
	require.NoError(t, err)
	ended := func() bool {
		row, err = h.Get(ann, row.ID)
		return err == nil && row.Status != entimage.StatusPending && row.Status != entimage.StatusBuilding
	}
	require.Eventually(t, ended, wait+patience, 50*ms)
	require.Equal(t, entimage.StatusReady, row.Status, h.story(row.ID))
	require.Equal(t, []string{"python3-numpy"}, row.Form.SystemPackages)
	require.Contains(t, h.story(row.ID), "Setting up python3-numpy")

	id := dockertest.ID("ctr")
	require.NoError(t, h.engine.Create(sys, engine.Spec{
		ID: id, Owner: *row.OwnerID, ImageID: row.ID, Hosts: 1, Command: []string{"sleep", "infinity"},
		Limits: engine.Limits{NanoCPUs: 1e9, Memory: 256 << 20},
	}))
	require.NoError(t, h.engine.Start(sys, id))
	said, err := h.engine.Exec(sys, id, []string{"python3", "-c", "import numpy, os; print(numpy.__version__, numpy.arange(5).sum(), os.getcwd())"})
	require.NoError(t, err)
	require.Zero(t, said.Code, string(said.Output))
	require.Regexp(t, `^\d+\.\d+\S* 10 /workspace$`, strings.TrimSpace(string(said.Output)))
}

// TestD29OnlyTheBaseIsPulled: neither another version nor a variant of a base comes
// along, nor what a later build needs.
func TestD29OnlyTheBaseIsPulled(t *testing.T) {
	t.Parallel()
	h, fake, _ := fakeBuilder(t)
	ann := h.person("ann", roomy)
	for _, ref := range []string{"python:3.8", "python:3.8-slim", "python:3.9", "python:latest", "debian:12"} {
		fake.Publish(ref, enginetest.FakeImage{})
	}
	for i, c := range []struct {
		dockerfile string
		pulls      int
	}{
		{"FROM python:3.8\n", 1},
		{"FROM debian:12 AS files\nFROM python:3.9\nCOPY --from=files / /\n", 3},
	} {
		row := h.awaitStatus(ann, h.build(ann, string(rune('a'+i)), c.dockerfile).ID, entimage.StatusReady)
		require.Equal(t, c.pulls, fake.Calls(enginetest.MethodPull))
		require.Nil(t, row.Form)
	}
}
