package dockertest

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Line is a way to the engine that a test can cut and mend, so that an engine
// that goes away can be tested without disturbing the real one.
type Line struct {
	// Host is what to give as docker.Options.Host.
	Host string

	t        testing.TB
	socket   string
	target   string
	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	silent   bool
	running  sync.WaitGroup
}

// NewLine makes a line that is cut. Mend opens it; it ends with the test.
func NewLine(t testing.TB) *Line {
	t.Helper()
	target, local := strings.CutPrefix(Client(t).DaemonHost(), "unix://")
	if !local {
		t.Fatalf("this test needs the engine at a unix socket, not at %s", target)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l := &Line{Host: "unix://" + socket, t: t, socket: socket, target: target, open: map[net.Conn]bool{}}
	t.Cleanup(l.Cut)
	return l
}

// Mend lets connections through again.
func (l *Line) Mend() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = false
	if l.listener != nil {
		return
	}
	listener, err := net.Listen("unix", l.socket)
	if err != nil {
		l.t.Fatal(err)
	}
	l.listener = listener
	l.running.Go(func() { l.accept(listener) })
}

// Cut ends all connections at once and refuses new ones.
func (l *Line) Cut() {
	l.mu.Lock()
	if l.listener != nil {
		_ = l.listener.Close()
		l.listener = nil
	}
	l.hangUp()
	l.mu.Unlock()
	l.running.Wait()
}

// Silence ends all connections, and takes new ones without ever answering: an
// engine that hangs. Mend ends it for connections made afterwards.
func (l *Line) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = true
	l.hangUp()
}

func (l *Line) hangUp() {
	for c := range l.open {
		_ = c.Close()
		delete(l.open, c)
	}
}

func (l *Line) accept(listener net.Listener) {
	for {
		from, err := listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		if l.listener != listener {
			l.mu.Unlock()
			_ = from.Close()
			return
		}
		l.open[from] = true
		silent := l.silent
		l.mu.Unlock()
		if !silent {
			l.running.Go(func() { l.join(from) })
		}
	}
}

// join copies both ways until one side ends.
func (l *Line) join(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("unix", l.target)
	if err != nil {
		return
	}
	defer to.Close()
	l.mu.Lock()
	alive := l.open[from]
	l.open[to] = alive
	l.mu.Unlock()
	if !alive {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			_ = way[0].Close()
			_ = way[1].Close()
		})
	}
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, from)
	delete(l.open, to)
}
