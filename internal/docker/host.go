package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/internal/engine"
)

// SharesNetwork says whether the engine's bridges are in the network of this
// process, and why not: rules of a firewall that is kept here hold only then. An
// engine behind a socket may be in a virtual machine, and we may be in a container.
func (e *Engine) SharesNetwork(ctx context.Context) (shares bool, why string, err error) {
	info, err := e.Info(ctx)
	if err != nil {
		return false, "", err
	}
	if !info.Local {
		return false, "the engine is on another machine", nil
	}
	var host string
	err = e.call(ctx, pingTimeout, func(_ context.Context, c *client.Client) error {
		host = c.DaemonHost()
		return nil
	})
	if err != nil {
		return false, "", err
	}
	pid, err := peer(ctx, strings.TrimPrefix(host, "unix://"))
	switch {
	case err != nil:
		return false, "", fmt.Errorf("%w: %w", engine.ErrUnreachable, err)
	case pid <= 0: // not to be seen from here
		return false, "the server runs in a container and the engine does not", nil
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return false, "", err
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return true, "", nil // and who may not look may not change either
	case err != nil:
		return false, "", err
	case own != theirs:
		return false, "the engine's network is not that of the server", nil
	}
	return true, "", nil
}

// peer is the process that listens on a unix socket; 0 when it is not to be seen.
func peer(ctx context.Context, socket string) (int, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var (
		credentials *unix.Ucred
		asked       error
	)
	err = raw.Control(func(fd uintptr) {
		credentials, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return 0, err
	}
	return int(credentials.Pid), nil
}
