package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
)

// A program may print this much a second before it has to wait, in bytes: more
// than anybody reads, and little for the server. pace is how it is shared out.
const (
	printRate = 16 << 20
	pace      = 50 * time.Millisecond
)

// End is how a terminal ended.
type End struct {
	// Reason is for the person.
	Reason string
	// Unwelcome says that the account lost its right to the terminal.
	Unwelcome bool
	// Lost says that the engine was lost, and with it the terminal.
	Lost bool
	// Restart says that the server stops, and comes back.
	Restart bool
}

// stopping is how it ends with the server.
var stopping = End{Reason: "The server stops.", Restart: true}

// shell is a terminal that this server opened.
type shell struct {
	id            string // of its row
	at            shellKey
	user, owner   string
	containerName string
	command       string
	opened        time.Time
	now           func() time.Time
	touch         func()
	// ready is closed when the opening has ended, one way or the other.
	ready chan struct{}

	mu       sync.Mutex
	terminal engine.Terminal // nil before ready, and where the opening failed
	failed   error
	tape     tape
	news     chan struct{} // closed and replaced with everything new
	views    map[*View]struct{}
	end      *End
	last     time.Time // when something was last typed or printed
	touched  time.Time
	size     chan [2]int // the newest wish
	typed    chan typing
}

// typing is what somebody typed.
type typing struct {
	who  auth.Viewer
	text []byte
}

// waiting is how much of what was typed waits for a program that does not read,
// in messages; whoever types more waits too.
const waiting = 16

// open says whether it can be looked at. The lock of Terminals is held, or not.
func (s *shell) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terminal != nil && s.end == nil
}

// going says whether it is being opened, or is open.
func (s *shell) going() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed == nil && s.end == nil
}

func (s *shell) told() *Terminal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Terminal{Name: s.at.name, Command: s.command, OpenedAt: s.opened, LastActivityAt: s.last, Connections: len(s.views)}
}

// changed wakes whoever waits. The lock is held.
func (s *shell) changed() {
	close(s.news)
	s.news = make(chan struct{})
}

// ends records how it ended; the first word counts.
func (s *shell) ends(end End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		s.end = &end
		s.changed()
	}
}

// active notes that something was typed or printed. The lock is held.
func (s *shell) active() {
	now := s.now().UTC()
	s.last = now
	if now.Sub(s.touched) >= touchEvery || now.Before(s.touched) {
		s.touched = now
		s.touch()
	}
}

// print is what the program printed.
func (s *shell) print(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tape.write(p)
	s.active()
	s.changed()
}

// pump reads what the program prints until it ends, and says how it ended.
func (s *shell) pump(ctx context.Context) End {
	defer context.AfterFunc(ctx, func() { _ = s.terminal.Close() })()
	buffer := make([]byte, 32<<10)
	window := time.NewTicker(pace)
	defer window.Stop()
	room := int(printRate * pace / time.Second)
	left := room
	for {
		n, err := s.terminal.Read(buffer)
		if n > 0 {
			s.print(buffer[:n])
		}
		if err != nil {
			return s.ended(ctx, err)
		}
		select {
		case <-window.C:
			left = room
		default:
		}
		if left -= n; left <= 0 { // the program waits, as before a slow screen
			select {
			case <-window.C:
				left = room
			case <-ctx.Done():
			}
		}
	}
}

func (s *shell) ended(ctx context.Context, why error) End {
	if ctx.Err() != nil {
		return stopping
	}
	code, err := s.terminal.Wait(ctx)
	switch {
	case err == nil:
		return End{Reason: fmt.Sprintf("The shell ended with %d.", code)}
	case errors.Is(why, io.EOF) && errors.Is(err, engine.ErrNotFound):
		return End{Reason: "The shell ended with its container."}
	}
	return End{Reason: "The engine was lost, and the terminal with it.", Lost: true}
}

// sizes carries out the newest wish for a size, until ctx ends.
func (s *shell) sizes(ctx context.Context, failed func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case size := <-s.size:
			if err := s.terminal.Resize(ctx, size[0], size[1]); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// fit makes it as large as fits on every screen that shows it. The lock is held.
func (s *shell) fit() {
	cols, rows := MaxSize+1, MaxSize+1
	for v := range s.views {
		cols, rows = min(cols, v.cols), min(rows, v.rows)
	}
	if len(s.views) == 0 {
		return
	}
	select {
	case <-s.size:
	default:
	}
	s.size <- [2]int{cols, rows} // never blocks: one place, just emptied, filled under the lock
}

// enter types what was typed until ctx ends, and says before who does.
func (s *shell) enter(ctx context.Context, before func(auth.Viewer)) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.typed:
			before(t.who)
			if _, err := s.terminal.Write(t.text); err != nil {
				return // its end is told by what it prints
			}
		}
	}
}

// people are all who have to do with it.
func (s *shell) people() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := []string{s.user}
	for v := range s.views {
		ids = append(ids, v.who.UserID)
	}
	return ids
}

// expel ends connections.
func (s *shell) expel(which func(*View) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.views {
		if which(v) {
			v.expelled = true
		}
	}
	s.changed()
}

// View is one connection to a terminal.
type View struct {
	shell      *shell
	who        auth.Viewer
	cols, rows int
	place      int64
	greeting   []byte
	expelled   bool
	gone       func()
	once       sync.Once
}

// attach adds a view, which first gets the last of what was printed; false when
// the shell has ended.
func (s *shell) attach(v *View, greeting string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal == nil || s.end != nil {
		return false
	}
	if greeting != "" {
		v.greeting = []byte("[" + greeting + "]\r\n")
	}
	v.place = s.tape.end
	v.greeting = append(v.greeting, s.tape.whole(keptOutput)...)
	s.views[v] = struct{}{}
	s.fit()
	return true
}

// Next waits for what is printed. Once the terminal has ended and everything was
// given, it gives how it ended.
func (v *View) Next(ctx context.Context) ([]byte, *End, error) {
	s := v.shell
	for {
		s.mu.Lock()
		out := v.greeting
		v.greeting = nil
		if len(out) == 0 && v.place < s.tape.end {
			out = s.tape.from(v.place)
			v.place = s.tape.end
		}
		end, news := s.end, s.news
		if v.expelled {
			out, end = nil, &unwelcome
		}
		s.mu.Unlock()
		if len(out) > 0 {
			return out, nil, nil
		}
		if end != nil {
			return nil, end, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// Type types. It waits, until ctx ends, where the program does not read.
func (v *View) Type(ctx context.Context, text []byte) error {
	v.shell.mu.Lock()
	v.shell.active()
	may := !v.expelled && v.shell.end == nil
	v.shell.mu.Unlock()
	if !may {
		return nil // Next says why
	}
	select {
	case v.shell.typed <- typing{v.who, text}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resize says how large this connection's screen is, 1 to MaxSize each way. Where
// several look, the terminal is as large as fits on all their screens.
func (v *View) Resize(cols, rows int) {
	v.shell.mu.Lock()
	defer v.shell.mu.Unlock()
	v.cols, v.rows = clamp(cols), clamp(rows)
	v.shell.fit()
}

func clamp(n int) int { return min(max(n, 1), MaxSize) }

// Close ends the connection; the terminal goes on.
func (v *View) Close() {
	v.once.Do(func() {
		v.shell.mu.Lock()
		delete(v.shell.views, v)
		v.shell.fit()
		v.shell.mu.Unlock()
		v.gone()
	})
}
