package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// noEscape replaces the keys by which the engine lets go of a terminal, ctrl-p
// ctrl-q: they are also "the line before" in every shell, which would come only
// with the next key. There must be some; these nobody types, and the first of
// them, which is held back like that, only sets a mark.
const noEscape = "ctrl-@,ctrl-^,ctrl-@,ctrl-^,ctrl-@,ctrl-^,ctrl-@,ctrl-^"

// OpenTerminal begins a program in a running container with a terminal.
func (e *Engine) OpenTerminal(ctx context.Context, id string, spec engine.TerminalSpec) (engine.Terminal, error) {
	found, err := e.find(ctx, id)
	if err != nil {
		return nil, err
	}
	size := [2]uint{uint(max(spec.Rows, 1)), uint(max(spec.Cols, 1))}
	env := append([]string{"TERM=xterm-256color"}, spec.Env...)
	execID, err := e.prepareExec(ctx, found, container.ExecOptions{
		Cmd: spec.Command, Env: append(env, engine.TerminalVariable+"="+spec.ID),
		Tty: true, AttachStdin: true, AttachStdout: true, AttachStderr: true, ConsoleSize: &size, DetachKeys: noEscape,
	})
	if err != nil {
		return nil, err
	}
	var conn types.HijackedResponse
	err = e.call(ctx, openTimeout, func(ctx context.Context, c *client.Client) (err error) {
		conn, err = attachExec(ctx, c, execID, container.ExecAttachOptions{Tty: true, ConsoleSize: &size})
		return notNow(err)
	})
	if err != nil {
		return nil, err
	}
	t := &terminal{engine: e, execID: execID, conn: conn}
	if err := e.begun(ctx, t); err != nil {
		conn.Close()
		return nil, err
	}
	// Engines before 1.42 take no size at the beginning. One that has ended by now
	// says so when it is read.
	_ = t.Resize(ctx, spec.Cols, spec.Rows)
	return t, nil
}

// attachExec begins a prepared program and is connected with it. The client
// heeds ctx only until it has dialled; a connection that comes too late is let go.
func attachExec(ctx context.Context, c *client.Client, execID string, opts container.ExecAttachOptions) (types.HijackedResponse, error) {
	type answer struct {
		conn types.HijackedResponse
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		conn, err := c.ContainerExecAttach(ctx, execID, opts)
		answers <- answer{conn, err}
	}()
	select {
	case got := <-answers:
		return got.conn, got.err
	case <-ctx.Done():
		go func() {
			if late := <-answers; late.err == nil {
				late.conn.Close()
			}
		}()
		return types.HijackedResponse{}, ctx.Err()
	}
}

// begun waits until the program runs, or has ended already. One that could not be
// begun is told by what the runtime wrote in its place.
func (e *Engine) begun(ctx context.Context, t *terminal) error {
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	tick := time.NewTicker(exitEvery)
	defer tick.Stop()
	for {
		told, err := e.inspectExec(ctx, t.execID)
		switch {
		case err != nil:
			return err
		case told.Running && told.Pid != 0: // it says Running before it is so
			return nil
		case !told.Running && told.ExitCode != 0:
			// The connection ends too, but not always: only what is there is read.
			text := make([]byte, 4096)
			_ = t.conn.Conn.SetReadDeadline(time.Now().Add(pingTimeout))
			n, _ := io.ReadAtLeast(t.conn.Reader, text, len(text))
			_ = t.conn.Conn.SetReadDeadline(time.Time{})
			if why, failed := neverRan(string(text[:n]), told.ExitCode); failed {
				return why
			}
			return fmt.Errorf("%w: the program ended at once, with %d", engine.ErrRefused, told.ExitCode)
		case !told.Running && told.Pid != 0:
			return nil // it has done all that it wanted
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return fmt.Errorf("%w: the program does not begin", engine.ErrUnreachable)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// terminal is a program with a terminal, by the engine's exec.
type terminal struct {
	engine *Engine
	execID string
	conn   types.HijackedResponse
}

// ID is the engine's id of the exec.
func (t *terminal) ID() string { return t.execID }

// Read gives what it prints. That the engine went away is ErrUnreachable.
func (t *terminal) Read(p []byte) (int, error) {
	n, err := t.conn.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = as(engine.ErrUnreachable, err)
	}
	return n, err
}

// Write types.
func (t *terminal) Write(p []byte) (int, error) {
	n, err := t.conn.Conn.Write(p)
	if err != nil {
		err = as(engine.ErrUnreachable, err)
	}
	return n, err
}

// Close lets go of the terminal; the program goes on.
func (t *terminal) Close() error {
	t.conn.Close()
	return nil
}

// Resize tells the program the size of the window.
func (t *terminal) Resize(ctx context.Context, cols, rows int) error {
	return t.engine.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		return notNow(c.ContainerExecResize(ctx, t.execID, container.ResizeOptions{
			Width: uint(max(cols, 1)), Height: uint(max(rows, 1)),
		}))
	})
}

// Wait gives the exit status of a program that has ended.
func (t *terminal) Wait(ctx context.Context) (int, error) {
	told, err := t.engine.execEnd(ctx, t.execID)
	return told.ExitCode, err
}
