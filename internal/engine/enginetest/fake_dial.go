package enginetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// Dial gives a connection to a program that listens.
func (f *Fake) Dial(ctx context.Context, id string, port int) (conn net.Conn, err error) {
	err = f.act(ctx, MethodDial, id, func() error {
		b, err := f.own(id)
		if err != nil {
			return err
		}
		if b.Status != engine.StatusRunning {
			return fmt.Errorf("%w: it does not run", engine.ErrRefused)
		}
		if b.program.port != port {
			return fmt.Errorf("%w: %d", engine.ErrClosedPort, port)
		}
		conn = &answering{answer: strings.NewReader("HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")}
		return nil
	})
	return conn, err
}

// Launch runs a program as far as it goes.
func (f *Fake) Launch(ctx context.Context, id string, command, _ []string) error {
	return f.change(ctx, MethodLaunch, id, func(b *box) error {
		if b.Status != engine.StatusRunning {
			return fmt.Errorf("%w: it does not run", engine.ErrRefused)
		}
		for _, d := range parse(command).does {
			f.perform(b, d)
		}
		return nil
	})
}

// answering is a connection to a program that says the same whatever it hears.
type answering struct {
	net.Conn
	answer io.Reader
}

func (a *answering) Read(p []byte) (int, error)       { return a.answer.Read(p) }
func (a *answering) Write(p []byte) (int, error)      { return len(p), nil }
func (a *answering) Close() error                     { return nil }
func (a *answering) SetDeadline(time.Time) error      { return nil }
func (a *answering) SetReadDeadline(time.Time) error  { return nil }
func (a *answering) SetWriteDeadline(time.Time) error { return nil }
