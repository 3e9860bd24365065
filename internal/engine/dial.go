package engine

import (
	"context"
	"errors"
	"net"
)

// ErrClosedPort says that the container runs, and nothing in it listens on the port.
var ErrClosedPort = errors.New("nothing listens on the port")

// Dialer reaches what listens in containers.
type Dialer interface {
	// Dial opens a TCP connection to a port of a running container, at an address
	// that is that container's own and nobody else's. ErrClosedPort when nothing
	// listens there; ErrRefused when the container does not run, is frozen or has
	// no address of its own; ErrUnreachable when its address did not answer, as
	// that of a container on another machine does not.
	Dial(ctx context.Context, id string, port int) (net.Conn, error)
}

// Launcher starts programs beside a container's own.
type Launcher interface {
	// Launch starts a program in a running container and does not wait for it. It
	// ends with the container. Its variables come after the container's, and are
	// not in the list of processes. ErrRefused when the container does not run, or
	// the program cannot be started at all; that a shell's script fails is not told.
	Launch(ctx context.Context, id string, command, environment []string) error
}
