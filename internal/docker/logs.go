package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// Logs calls line for each line of output in order.
func (e *Engine) Logs(ctx context.Context, id string, opts engine.LogOptions, line func(engine.LogLine) error) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if _, ran := instant(found.State.StartedAt); !ran {
		return nil // never ran, never wrote
	}
	last, passed := opts.Since, opts.Since.IsZero()
	deliver := func(l engine.LogLine) error {
		// The engine's bound is inclusive. Only what comes before the first later
		// line is left out: a clock may have stepped back after it.
		if passed = passed || l.At.After(opts.Since); !passed {
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
	opts.Since, opts.Follow, passed = last, false, false
	over, err := e.inspect(ctx, found.ID) // whether the run is over decides what an unfinished line is
	if err == nil {
		err = e.readLog(ctx, over, opts, deliver)
	}
	return e.ended(ctx, found.ID, err)
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
	out := &assembler{deliver: deliver, terminal: found.Config.Tty}
	err := e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		body, err := c.ContainerLogs(ctx, found.ID, ask)
		if err != nil {
			return err
		}
		opened()
		defer body.Close()
		if found.Config.Tty {
			return out.readTerminal(body)
		}
		return out.readFrames(body)
	})
	if err != nil || !out.holds() || !opts.Follow && !e.settled(ctx, found) {
		return err
	}
	if err := out.rest(); err != nil {
		return translate(ctx, err)
	}
	return nil
}

// settled says that no run was going on while the log was read, so that a line
// without its end will never have one.
func (e *Engine) settled(ctx context.Context, before container.InspectResponse) bool {
	if before.State.Running {
		return false
	}
	now, err := e.inspect(ctx, before.ID)
	return err == nil && !now.State.Running && now.State.StartedAt == before.State.StartedAt
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

// The engine's frames: one byte for the stream, three empty ones, and the length
// of what follows. Each holds one piece of output with its time before it.
const (
	frameHeader = 8
	frameStderr = 2
	frameError  = 3
)

// readFrames reads the log of a container without a terminal.
func (a *assembler) readFrames(from io.Reader) error {
	r := bufio.NewReaderSize(from, 64<<10)
	var header [frameHeader]byte
	var frame []byte
	for {
		if _, err := io.ReadFull(r, header[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(header[4:]))
		kept := min(size, longestFrame)
		if cap(frame) < kept {
			frame = make([]byte, kept)
		}
		frame = frame[:kept]
		if _, err := io.ReadFull(r, frame); err != nil {
			return err
		}
		if _, err := r.Discard(size - kept); err != nil {
			return err
		}
		if header[0] == frameError {
			return fmt.Errorf("the engine broke the log off: %s", frame)
		}
		at, text := stamped(frame)
		ended := len(text) > 0 && text[len(text)-1] == '\n'
		if ended {
			text = text[:len(text)-1]
		}
		if err := a.piece(header[0] == frameStderr, at, text, ended); err != nil {
			return err
		}
	}
}

// readTerminal reads the log of a container with a terminal, which has no
// frames: each piece follows the last one at once, with its time before it.
func (a *assembler) readTerminal(from io.Reader) error {
	r := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part[:min(len(part), longestFrame-len(line))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := a.terminalLine(line, err == nil); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
		if cap(line) > 64<<10 {
			line = nil
		}
		line = line[:0]
	}
}

// terminalLine cuts what stands before one line end into the engine's pieces: of
// pieceSize bytes each, but for the last one of a line and the last one of a run.
func (a *assembler) terminalLine(line []byte, ended bool) error {
	if ended && len(line) > 0 && line[len(line)-1] == '\n' {
		line = line[:len(line)-1]
	}
	for rest, last := line, (time.Time{}); len(rest) > 0; {
		at, text := stamped(rest)
		if at.IsZero() {
			at = last
		}
		last = at
		n := min(pieceSize, len(text))
		n = laterStamp(text[:n], at)
		rest = text[n:]
		if err := a.piece(false, at, text[:n], ended && len(rest) == 0); err != nil {
			return err
		}
	}
	return nil
}
