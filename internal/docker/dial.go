package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// dialTimeout bounds the opening of a connection to a container's port. On a
// bridge of this machine it takes no time at all.
const dialTimeout = 5 * time.Second

// Dial opens a connection to a port of a running container. An address belongs
// to whoever has it now, so the container is looked at before and after: one that
// ended in between, and whose address another may have got, is not connected to.
func (e *Engine) Dial(ctx context.Context, id string, port int) (net.Conn, error) {
	before, err := e.find(ctx, id)
	if err != nil {
		return nil, err
	}
	address, err := e.address(before)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address.String(), strconv.Itoa(port)))
	switch {
	case err == nil:
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %d", engine.ErrClosedPort, port)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	default:
		return nil, as(engine.ErrUnreachable, err)
	}
	after, err := e.inspect(ctx, before.ID)
	if err == nil && (!after.State.Running || after.State.StartedAt != before.State.StartedAt) {
		err = fmt.Errorf("%w: it has ended", engine.ErrRefused)
	}
	if err != nil {
		_ = conn.Close() // nothing was said on it
		return nil, err
	}
	return conn, nil
}

// address is the container's own in its owner's network.
func (e *Engine) address(c container.InspectResponse) (netip.Addr, error) {
	if !c.State.Running || c.State.Paused {
		return netip.Addr{}, fmt.Errorf("%w: it does not run", engine.ErrRefused)
	}
	if c.NetworkSettings != nil {
		name := networkName(e.opts.Instance, c.Config.Labels[labelOwner])
		if n := c.NetworkSettings.Networks[name]; n != nil {
			if ip, err := netip.ParseAddr(n.IPAddress); err == nil && !ip.IsLoopback() && !ip.IsUnspecified() {
				return ip, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: it has no address in its owner's network", engine.ErrRefused)
}

// Launch starts a program in a running container.
func (e *Engine) Launch(ctx context.Context, id string, command, environment []string) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if !found.State.Running || found.State.Paused {
		return fmt.Errorf("%w: it does not run", engine.ErrRefused)
	}
	return e.call(ctx, startTimeout, func(ctx context.Context, c *client.Client) error {
		made, err := c.ContainerExecCreate(ctx, found.ID, container.ExecOptions{Cmd: command, Env: environment})
		if err != nil {
			return err
		}
		err = c.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true})
		if isRuntimeRefusal(err) {
			return as(engine.ErrRefused, err)
		}
		return err
	})
}
