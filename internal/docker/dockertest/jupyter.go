package dockertest

import (
	"context"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
)

// jupyterImage is what scripts/jupyter-image.sh makes, for scripts/test-deps.sh.
const jupyterImage = "mlride-jupyter:test"

// Jupyter gives the reference of a Debian with a real Jupyter, Python and Tornado
// in the engine. It takes minutes to make, so that is not done here.
func Jupyter(t testing.TB) string {
	t.Helper()
	c := Client(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := c.ImageInspect(ctx, jupyterImage)
	if cerrdefs.IsNotFound(err) {
		t.Fatalf("these tests need the image %s (once: scripts/jupyter-image.sh)", jupyterImage)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jupyterImage
}
