package docker_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

func TestSharesNetwork(t *testing.T) {
	t.Parallel()
	// This machine's engine, whichever network this test is started in.
	e := dockertest.Engine(t, dockertest.Instance())
	_, bridge := exec.Command("ip", "link", "show", "docker0").CombinedOutput()
	shares, why, err := e.SharesNetwork(ctx)
	require.NoError(t, err)
	require.Equal(t, bridge == nil, shares, why)
	require.Equal(t, shares, why == "")

	line := dockertest.NewLine(t)
	_, _, err = along(t, line, dockertest.Instance()).SharesNetwork(ctx)
	require.ErrorIs(t, err, engine.ErrUnreachable)

	remote, err := docker.New(docker.Options{Instance: "a", Host: "tcp://127.0.0.1:1"})
	require.NoError(t, err)
	defer remote.Close()
	_, _, err = remote.SharesNetwork(ctx)
	require.ErrorIs(t, err, engine.ErrUnreachable)
}

// TestSharesNetworkNot: an engine in a network of its own.
func TestSharesNetworkNot(t *testing.T) {
	t.Parallel()
	own := dockertest.Own(t, false)
	own.Start()
	shares, why, err := own.Connect(dockertest.Instance()).SharesNetwork(ctx)
	require.NoError(t, err)
	require.False(t, shares)
	require.True(t, strings.HasPrefix(why, "the engine's network is not that of the server"), why)
}
