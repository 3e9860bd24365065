package enginetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// screen collects what a terminal prints.
type screen struct {
	engine.Terminal
	mu   sync.Mutex
	text []byte
	end  chan error
	more chan struct{}
}

// open opens a terminal with a shell in it, and reads it.
func (x *exam) open(id, name string) *screen {
	x.Helper()
	t, err := x.Engine.OpenTerminal(x.ctx, id, engine.TerminalSpec{ID: name, Command: []string{"sh"}, Cols: 100, Rows: 30})
	x.must(err)
	s := &screen{Terminal: t, end: make(chan error, 1), more: make(chan struct{}, 1)}
	x.Cleanup(func() { _ = t.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := t.Read(buffer)
			s.mu.Lock()
			s.text = append(s.text, buffer[:n]...)
			s.mu.Unlock()
			if err != nil {
				s.end <- err
			}
			select {
			case s.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// types sends a line, and waits until text is printed.
func (x *exam) types(s *screen, line, text string) {
	x.Helper()
	_, err := s.Write([]byte(line + "\n"))
	x.must(err)
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		there := bytes.Contains(s.text, []byte(text))
		all := string(s.text)
		s.mu.Unlock()
		if there {
			return
		}
		select {
		case <-s.more:
		case <-deadline:
			x.Fatalf("%q was never printed: %q", text, all)
		}
	}
}

// over waits until the terminal's program has ended, and gives its exit status.
func (x *exam) over(s *screen) int {
	x.Helper()
	select {
	case err := <-s.end:
		if !errors.Is(err, io.EOF) {
			x.Fatalf("reading ended with %v", err)
		}
	case <-time.After(patience):
		x.Fatal("the terminal did not end")
	}
	code, err := s.Wait(x.ctx)
	x.must(err)
	return code
}

// terminal: a shell with a terminal, its size, and its several ends.
func (x *exam) terminal() {
	spec := engine.TerminalSpec{ID: "trm_1", Command: []string{"sh"}, Cols: 80, Rows: 24}
	id := x.created(sleep)
	_, err := x.Engine.OpenTerminal(x.ctx, id, spec)
	x.is(err, engine.ErrRefused)
	x.must(x.Engine.EndTerminal(x.ctx, id, "trm_1"))
	x.must(x.Engine.EndTerminal(x.ctx, x.Host.NewID("ctr"), "trm_1"))
	x.must(x.Engine.Start(x.ctx, id))
	_, err = x.Other.OpenTerminal(x.ctx, id, spec)
	x.is(err, engine.ErrNotFound)
	_, err = x.Engine.OpenTerminal(x.ctx, id, engine.TerminalSpec{ID: "trm_0", Command: []string{"no-such-shell"}, Cols: 80, Rows: 24})
	x.is(err, engine.ErrRefused)
	x.must(x.Engine.EndTerminal(x.ctx, id, "trm_none"))

	one, two := x.open(id, "trm_1"), x.open(id, "trm_2")
	if one.ID() == "" || one.ID() == two.ID() {
		x.Fatalf("the engine's names: %q and %q", one.ID(), two.ID())
	}
	x.types(one, "stty size", "30 100\r\n")
	x.must(one.Resize(x.ctx, 132, 50))
	x.types(one, "stty size", "50 132\r\n")
	x.types(two, "echo from two > /tmp/two; cat /tmp/two", "from two\r\n") // written, and not only typed
	x.types(one, "cat /tmp/two", "from two\r\n")

	x.types(two, "exit 7", "exit 7\r\n")
	equal(x, "exit status", x.over(two), 7)
	x.must(x.Engine.EndTerminal(x.ctx, id, "trm_2"))

	x.must(x.Other.EndTerminal(x.ctx, id, "trm_1")) // not of that instance
	x.types(one, "echo still here > /tmp/one; cat /tmp/one", "still here\r\n")
	three := x.open(id, "trm_3")
	x.must(x.Engine.Pause(x.ctx, id))
	_, err = x.Engine.OpenTerminal(x.ctx, id, spec)
	x.is(err, engine.ErrRefused)
	x.is(x.Engine.EndTerminal(x.ctx, id, "trm_3"), engine.ErrRefused)
	x.must(x.Engine.Unpause(x.ctx, id))
	x.must(x.Engine.EndTerminal(x.ctx, id, "trm_3"))
	if x.over(three) == 0 {
		x.Fatal("it was hung up, and ended in peace")
	}
	x.types(one, "echo me too > /tmp/one; cat /tmp/one", "me too\r\n")
	x.must(x.Engine.Stop(x.ctx, id, 0))
	x.over(one)
	gone, cancel := context.WithCancel(x.ctx)
	cancel()
	_, err = x.Engine.OpenTerminal(gone, id, spec)
	x.is(err, context.Canceled)
}
