package docker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/mlride/mlride/internal/engine"
)

const (
	// longestLine bounds what is kept of one line.
	longestLine = 1 << 20
	cutNote     = " … (cut: the line is longer than 1 MiB)"
)

// Logs calls line for each line of output in order. The engine counts a line of
// more than 16 KiB as several, so Tail may give fewer lines than asked for there.
func (e *Engine) Logs(ctx context.Context, id string, opts engine.LogOptions, line func(engine.LogLine) error) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if _, ran := instant(found.State.StartedAt); !ran {
		return nil // never ran, never wrote
	}
	last := opts.Since
	deliver := func(l engine.LogLine) error {
		if !opts.Since.IsZero() && !l.At.After(opts.Since) { // the engine's bound is inclusive
			return nil
		}
		last = l.At
		if err := line(l); err != nil {
			return &callerError{err}
		}
		return nil
	}
	if err := e.readLog(ctx, found, opts, deliver); err != nil || !opts.Follow || ctx.Err() != nil {
		return e.ended(ctx, found.ID, err)
	}
	// The engine may end a followed log before it has written the last words of a
	// container that did not end its line (7 of 30 runs). They are in the log, so
	// what came after the last line that was told is read once more.
	if last.After(opts.Since) {
		opts.Tail = -1
	}
	opts.Since, opts.Follow = last, false
	return e.ended(ctx, found.ID, e.readLog(ctx, found, opts, deliver))
}

// readLog reads the engine's log once, or follows it.
func (e *Engine) readLog(ctx context.Context, found container.InspectResponse, opts engine.LogOptions, deliver func(engine.LogLine) error) error {
	ask := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: opts.Follow, Tail: "all"}
	if opts.Tail >= 0 {
		ask.Tail = strconv.Itoa(opts.Tail)
	}
	if !opts.Since.IsZero() {
		ask.Since = opts.Since.Format(time.RFC3339Nano)
	}
	return e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		body, err := c.ContainerLogs(ctx, found.ID, ask)
		if err != nil {
			return err
		}
		opened()
		defer body.Close()
		out := &lineWriter{deliver: deliver, terminal: found.Config.Tty}
		if found.Config.Tty { // a terminal is one raw stream
			if _, err := io.Copy(out, body); err != nil {
				return err
			}
			return out.flush()
		}
		stderr := &lineWriter{deliver: deliver, stderr: true}
		if _, err := stdcopy.StdCopy(out, stderr, body); err != nil {
			return err
		}
		return errors.Join(out.flush(), stderr.flush())
	})
}

// ended makes nothing of an error that only says that the caller has enough, or
// that the container was removed under the stream.
func (e *Engine) ended(ctx context.Context, engineID string, err error) error {
	if err != nil && ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, engine.ErrUnreachable) && e.open.Err() == nil {
		if _, look := e.inspect(ctx, engineID); errors.Is(look, engine.ErrNotFound) {
			return nil
		}
	}
	return err
}

// lineWriter puts lines together from what the engine writes: pieces of up to
// 16 KiB, each with a timestamp before it, and a line end after the last one of
// a line. The pieces of one line bear the same timestamp, to the nanosecond.
type lineWriter struct {
	deliver          func(engine.LogLine) error
	stderr, terminal bool
	line             []byte
	cut              bool
}

// Write takes what the engine sends next.
func (w *lineWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		piece, after, complete := bytes.Cut(rest, []byte{'\n'})
		if room := longestLine - len(w.line); len(piece) > room {
			piece, w.cut = piece[:room], true
		}
		w.line = append(w.line, piece...)
		rest = after
		if complete {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// flush delivers the line that was collected, also one without a line end.
func (w *lineWriter) flush() error {
	if len(w.line) == 0 {
		return nil
	}
	stamp, text, _ := bytes.Cut(w.line, []byte{' '})
	prefix := string(stamp) + " "
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	l := engine.LogLine{At: at, Stderr: w.stderr}
	if err != nil { // the tail of a line whose beginning the engine has rotated away
		text, prefix = w.line, ""
	}
	l.Text = string(text)
	if prefix != "" {
		l.Text = strings.ReplaceAll(l.Text, prefix, "")
	}
	if w.terminal {
		l.Text = strings.TrimSuffix(l.Text, "\r")
	}
	l.Text = strings.ToValidUTF8(l.Text, "\uFFFD")
	if w.cut {
		l.Text += cutNote
	}
	if cap(w.line) > 64<<10 { // do not hold a long line's memory for the stream's life
		w.line = nil
	}
	w.line, w.cut = w.line[:0], false
	return w.deliver(l)
}
