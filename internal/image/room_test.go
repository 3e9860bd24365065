package image_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/image"
)

// TestNothingIsPulledOntoAFullDisk: while the machine has no room, nothing is
// begun; then it goes as ever.
func TestNothingIsPulledOntoAFullDisk(t *testing.T) {
	t.Parallel()
	var full error = fault.New(fault.LowDisk, "The machine's disk is nearly full.")
	h, fake := onFake(t, func(o *image.Options) { o.Room = func() error { return full } })
	ann := h.person("ann", roomy)
	fake.Publish("python:3.12", small)
	_, err := h.Pull(ann, image.Input{Reference: "python:3.12"})
	require.Equal(t, fault.LowDisk, fault.CodeOf(err))
	full = nil
	require.Equal(t, entimage.StatusReady, h.ready(ann, "python:3.12", false).Status)
}

// TestNothingIsMadeOnAFullDisk: neither a refresh nor a build nor a saving is begun,
// and none takes a place; then they go as ever.
func TestNothingIsMadeOnAFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	h, fake, from := fakeBuilder(t, func(o *image.Options) {
		o.Room = func() error {
			if full.Load() {
				return fault.New(fault.LowDisk, "The machine's disk is nearly full.")
			}
			return nil
		}
	})
	ann := h.person("ann", roomy)
	fake.Publish("python:3.12", small)
	pulled := h.ready(ann, "python:3.12", false)
	c := h.container(ann, "box", pulled.ID)
	require.NoError(t, h.engine.Create(sys, engine.Spec{ID: c.ID, Owner: c.OwnerID, ImageID: pulled.ID, Limits: engine.Limits{NanoCPUs: 1e8, Memory: 16 << 20}, Command: []string{"sleep", "1"}}))
	require.NoError(t, h.store.Client.Container.UpdateOneID(c.ID).SetObserved(container.ObservedCreated).Exec(sys))

	full.Store(true)
	deeds := map[string]func() (*ent.Image, error){
		"refresh": func() (*ent.Image, error) { return h.Refresh(ann, pulled.ID) },
		"build": func() (*ent.Image, error) {
			return h.BuildImage(ann, image.BuildInput{Name: "built", Dockerfile: &from})
		},
		"commit": func() (*ent.Image, error) { return h.CommitContainer(ann, c.ID, "saved") },
	}
	for name, deed := range deeds {
		_, err := deed()
		require.Equal(t, fault.LowDisk, fault.CodeOf(err), "%s: %v", name, err)
	}
	require.Equal(t, 1, fake.Calls(enginetest.MethodPull))
	require.Zero(t, fake.Calls(enginetest.MethodBuild)+fake.Calls(enginetest.MethodCommit))
	require.Equal(t, 1, h.store.Client.Image.Query().Where(entimage.OwnerID(*pulled.OwnerID)).CountX(sys))
	require.NoError(t, h.quota.Audit(sys))

	full.Store(false)
	for name, deed := range deeds {
		row, err := deed()
		require.NoError(t, err, name)
		h.awaitStatus(ann, row.ID, entimage.StatusReady)
	}
}
