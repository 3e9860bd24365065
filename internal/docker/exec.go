package docker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mlride/mlride/internal/engine"
)

const (
	// exitTold is how long the engine may take to tell the exit status of a program
	// whose output has ended, and exitEvery how often it is asked.
	exitTold  = 20 * time.Second
	exitEvery = 20 * time.Millisecond
)

// Exec runs command in a running container and waits for its end.
func (e *Engine) Exec(ctx context.Context, id string, command []string) (engine.ExecResult, error) {
	found, err := e.find(ctx, id)
	if err != nil {
		return engine.ExecResult{}, err
	}
	execID, err := e.prepareExec(ctx, found, container.ExecOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return engine.ExecResult{}, err
	}
	var out bounded
	// As a stream, which takes no slot: a program runs for as long as it likes.
	err = e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		conn, err := attachExec(ctx, c, execID, container.ExecAttachOptions{})
		if err != nil {
			return notNow(err)
		}
		opened()
		defer conn.Close()
		defer context.AfterFunc(ctx, conn.Close)() // the client lets go of the connection when it is opened
		_, err = stdcopy.StdCopy(&out, &out, conn.Reader)
		return err
	})
	if err != nil {
		return engine.ExecResult{}, err
	}
	ended, err := e.execEnd(ctx, execID)
	if err != nil {
		return engine.ExecResult{}, err
	}
	result := engine.ExecResult{Code: ended.ExitCode, Output: out.kept, Cut: out.cut}
	why, failed := neverRan(string(out.kept), ended.ExitCode)
	switch {
	case !failed:
		return result, nil
	case errors.Is(why, errNoProgram):
		result.Code = noProgramCode
		return result, nil
	default:
		return engine.ExecResult{}, why
	}
}

// prepareExec tells the engine what is to run in a container. It runs as the
// container's own user, and never privileged.
func (e *Engine) prepareExec(ctx context.Context, found container.InspectResponse, opts container.ExecOptions) (string, error) {
	if status(found.State.Status) != engine.StatusRunning {
		return "", fmt.Errorf("%w: the container does not run, or is paused", engine.ErrRefused)
	}
	opts.Privileged, opts.User, opts.WorkingDir = false, "", ""
	var execID string
	err := e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		made, err := c.ContainerExecCreate(ctx, found.ID, opts)
		execID = made.ID
		return notNow(err)
	})
	return execID, err
}

// notNow makes a conflict a refusal: the container does not run any more, or is
// paused, which asking again does not change.
func notNow(err error) error {
	if cerrdefs.IsConflict(err) {
		return as(engine.ErrRefused, err)
	}
	return err
}

// execEnd waits until the engine tells how a program ended: the end of the
// output comes first.
func (e *Engine) execEnd(ctx context.Context, execID string) (container.ExecInspect, error) {
	patience := time.NewTimer(exitTold)
	defer patience.Stop()
	tick := time.NewTicker(exitEvery)
	defer tick.Stop()
	for {
		told, err := e.inspectExec(ctx, execID)
		if err != nil || !told.Running {
			return told, err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return told, fmt.Errorf("%w: the program closed its output and goes on", engine.ErrBusy)
		case <-ctx.Done():
			return told, ctx.Err()
		}
	}
}

func (e *Engine) inspectExec(ctx context.Context, execID string) (container.ExecInspect, error) {
	var told container.ExecInspect
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		told, err = c.ContainerExecInspect(ctx, execID)
		return err
	})
	return told, err
}

// noProgramCode is what a shell tells where there is no such program.
const noProgramCode = 127

// errNoProgram: the container has no such program.
var errNoProgram = fmt.Errorf("%w: the container has no such program", engine.ErrRefused)

// neverRan tells why a program was not begun at all. The engine answers 200 and
// writes the runtime's text to the program's output, with the status 126 (127
// from newer ones): there is nothing else to tell it by.
func neverRan(output string, code int) (error, bool) { //nolint:revive // the error is the answer
	text := strings.TrimSpace(output)
	if code != 126 && code != 127 || !strings.HasPrefix(text, "OCI runtime exec failed: ") {
		return nil, false
	}
	switch {
	case strings.Contains(text, "executable file not found"),
		strings.Contains(text, "no such file or directory") && !strings.Contains(text, "chdir to cwd"):
		return errNoProgram, true
	case strings.Contains(text, "resource temporarily unavailable"), strings.Contains(text, "cannot allocate memory"),
		// The runtime's own helper died: what it says where the processes are used up.
		strings.Contains(text, "read init-p: "):
		return fmt.Errorf("%w: the container has no room for one more process", engine.ErrBusy), true
	}
	return fmt.Errorf("%w: %s", engine.ErrRefused, text), true
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	kept []byte
	cut  bool
}

// Write never fails, so that the program is not held up by what nobody keeps.
func (b *bounded) Write(p []byte) (int, error) {
	room := engine.MaxExecOutput - len(b.kept)
	if len(p) > room {
		b.cut = true
	}
	b.kept = append(b.kept, p[:min(room, len(p))]...)
	return len(p), nil
}
