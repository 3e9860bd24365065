package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/firewall"
)

// TestServerKeepsTheFirewall: a server in its engine's network makes the chains,
// puts them back when something flushes them, and leaves them when it ends. All
// of it happens in a network of the test's own.
func TestServerKeepsTheFirewall(t *testing.T) {
	own := dockertest.Own(t, false)
	own.Start()
	p := build(t)
	inside := func(do func()) { dockertest.Inside(t, own.Namespace(), do) }
	missing := func() (list []string) {
		inside(func() {
			var err error
			if list, err = firewall.Missing(); err != nil {
				list = []string{err.Error()} // asked from goroutines, where a test must not end
			}
		})
		return list
	}
	inPlace := func() bool { return len(missing()) == 0 }

	require.NotEmpty(t, missing())
	inside(func() { p.start("MLRIDE_FIREWALL=auto", "DOCKER_HOST="+own.Host()) })
	require.Eventually(t, inPlace, patience, 100*time.Millisecond, "%s", p.written())
	inside(func() {
		for _, line := range []string{"iptables -F", "iptables -t mangle -F", "ip6tables -F INPUT"} {
			words := strings.Fields(line)
			out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	})
	require.Eventually(t, inPlace, patience, 100*time.Millisecond, "%s", p.written())
	require.Eventually(t, func() bool { return strings.Contains(p.written(), "were gone, and were put back") }, patience, 100*time.Millisecond)
	p.end(syscall.SIGTERM)
	require.Empty(t, missing())
}

// TestServerBesideTheFirewall: a server that is not in its engine's network says
// that it cannot help, and changes nothing here.
func TestServerBesideTheFirewall(t *testing.T) {
	own := dockertest.Own(t, false)
	own.Start()
	p := build(t)
	network := "mlr" + dockertest.Instance()
	dockertest.Network(t, network)
	dockertest.Inside(t, network, func() { p.start("MLRIDE_FIREWALL=auto", "DOCKER_HOST="+own.Host()) })
	require.Eventually(t, func() bool {
		return strings.Contains(p.written(), "containers reach the host's services")
	}, patience, 100*time.Millisecond, "%s", p.written())
	require.Contains(t, p.written(), "the engine's network is not that of the server")
	dockertest.Inside(t, network, func() {
		missing, err := firewall.Missing()
		require.NoError(t, err)
		require.Len(t, missing, 6)
	})
}
