package image_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
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
