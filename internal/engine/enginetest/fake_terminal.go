package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/mlride/mlride/internal/engine"
)

// fakeTerminal is a shell that knows the commands of scripts, and "stty size". It
// lives in its container: the world's lock guards it.
type fakeTerminal struct {
	fake       *Fake
	box        *box
	id, mark   string
	run        string // of its container
	cols, rows int
	typed      []byte
	printed    []byte
	ended      bool
	closed     bool
	code       int
}

// OpenTerminal begins a shell.
func (f *Fake) OpenTerminal(ctx context.Context, id string, spec engine.TerminalSpec) (opened engine.Terminal, err error) {
	err = f.change(ctx, MethodOpenTerminal, id, func(b *box) error {
		switch {
		case b.Status != engine.StatusRunning:
			return fmt.Errorf("%w: it does not run, or is paused", engine.ErrRefused)
		case len(spec.Command) == 0 || spec.Command[0] != "sh":
			return fmt.Errorf("%w: it has no such program", engine.ErrRefused)
		}
		t := &fakeTerminal{fake: f, box: b, id: f.hash(), mark: spec.ID, run: b.StartedAt, cols: spec.Cols, rows: spec.Rows}
		b.terminals = append(b.terminals, t)
		opened = t
		return nil
	})
	return opened, err
}

// EndTerminal ends it.
func (f *Fake) EndTerminal(ctx context.Context, id, terminalID string) error {
	return f.act(ctx, MethodEndTerminal, id, func() error {
		b, err := f.own(id)
		if err != nil {
			return nil
		}
		if b.Status == engine.StatusPaused {
			return fmt.Errorf("%w: it is paused", engine.ErrRefused)
		}
		for _, t := range b.terminals {
			if t.mark == terminalID {
				t.end(129)
			}
		}
		return nil
	})
}

func (t *fakeTerminal) end(code int) {
	if !t.over() {
		t.ended, t.code = true, code
	}
	t.fake.announce()
}

// over says whether its shell has ended, by itself or with its container.
func (t *fakeTerminal) over() bool {
	return t.ended || !t.box.runs() || t.box.StartedAt != t.run
}

// ID is the engine's own name for it.
func (t *fakeTerminal) ID() string { return t.id }

// Read waits for what is printed.
func (t *fakeTerminal) Read(p []byte) (int, error) {
	for {
		t.fake.mu.Lock()
		n := copy(p, t.printed)
		t.printed = t.printed[n:]
		over, gone, changed := t.over() || t.closed, t.fake.reachable(), t.fake.changed
		t.fake.mu.Unlock()
		switch {
		case n > 0:
			return n, nil
		case over:
			return 0, io.EOF
		case gone != nil:
			return 0, gone
		}
		<-changed
	}
}

// Write types; each line is carried out when it is complete.
func (t *fakeTerminal) Write(p []byte) (int, error) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	if err := t.fake.reachable(); err != nil {
		return 0, err
	}
	t.typed = append(t.typed, p...)
	t.printed = append(t.printed, bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))...)
	for !t.over() {
		line, rest, complete := strings.Cut(string(t.typed), "\n")
		if !complete {
			break
		}
		t.typed = []byte(rest)
		t.do(line)
	}
	t.fake.announce()
	return len(p), nil
}

func (t *fakeTerminal) do(line string) {
	if line == "stty size" {
		t.printed = append(t.printed, fmt.Sprintf("%d %d\r\n", t.rows, t.cols)...)
		return
	}
	does := parse([]string{"sh", "-c", line})
	inside := &box{mounts: t.box.mounts, layer: t.box.layer}
	for _, d := range does.does {
		t.fake.perform(inside, d)
	}
	for _, l := range inside.log {
		t.printed = append(t.printed, l.Text+"\r\n"...)
	}
	if strings.HasPrefix(strings.TrimSpace(line), "exit") {
		t.end(does.code)
	}
}

// Close lets go of it.
func (t *fakeTerminal) Close() error {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	t.closed = true
	t.fake.announce()
	return nil
}

// Resize tells the size.
func (t *fakeTerminal) Resize(ctx context.Context, cols, rows int) error {
	return t.fake.act(ctx, MethodResizeTerminal, t.box.ID, func() error { t.cols, t.rows = cols, rows; return nil })
}

// Wait gives the exit status.
func (t *fakeTerminal) Wait(context.Context) (int, error) {
	t.fake.mu.Lock()
	defer t.fake.mu.Unlock()
	if !t.over() {
		return 0, fmt.Errorf("%w: it goes on", engine.ErrBusy)
	}
	if !t.ended {
		return 137, nil
	}
	return t.code, nil
}
