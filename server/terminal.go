package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/gateway"
)

// The codes with which connections to terminals end, besides 1000 when the shell
// has ended, 1012 and 4403. docs/terminal.md tells them.
const (
	closeBadTerminal = websocket.StatusCode(4400)
	closeNotFound    = websocket.StatusCode(4404)
	closeNotRunning  = websocket.StatusCode(4409)
	closeNoShell     = websocket.StatusCode(4415)
	closeTooMany     = websocket.StatusCode(4429)
	closeNoEngine    = websocket.StatusCode(4503)
	closeNoProcess   = websocket.StatusCode(4508)
)

const (
	// maxTyped is the bytes of one message; a longer paste comes in several.
	maxTyped = 64 << 10
	// maxPrinted is the bytes of one message to the screen.
	maxPrinted = 32 << 10
	// maxReason is what a close frame takes, in bytes.
	maxReason = 120
	// The size where none is given.
	defaultCols, defaultRows = 80, 24
)

// Terminals connects with terminals. *gateway.Terminals is one.
type Terminals interface {
	// Attach connects with the terminal of that name, and opens it where there is none.
	Attach(ctx context.Context, containerID, name string, cols, rows int) (*gateway.View, error)
}

// terminals answers /terminal/{container}.
type terminals struct {
	to       Terminals
	viewers  *viewers
	census   *census
	stopping <-chan struct{}
	log      *slog.Logger
	present  presenter
}

// ServeHTTP carries one connection to a terminal.
func (t *terminals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	viewer := auth.Of(r.Context())
	switch {
	case !t.viewers.sameOrigin(r):
		refuse(w, r, http.StatusForbidden, fault.New(fault.Forbidden, "Pages of this origin may not open a terminal here."))
		return
	case !viewer.SignedIn():
		refuse(w, r, http.StatusUnauthorized, fault.New(fault.Unauthenticated, "Sign in first."))
		return
	case viewer.ReadOnly:
		refuse(w, r, http.StatusForbidden, fault.New(fault.Forbidden, "This access token only reads."))
		return
	case viewer.MustChange:
		refuse(w, r, http.StatusForbidden, fault.New(fault.Forbidden, "Choose a password of your own first."))
		return
	case !isWebSocket(r):
		w.Header().Set("Upgrade", "websocket")
		refuse(w, r, http.StatusUpgradeRequired, fault.New(fault.BadUserInput, "A terminal is reached by a WebSocket."))
		return
	}
	leave, ok := t.census.enter(viewer.UserID, maxStreams)
	if !ok {
		refuse(w, r, http.StatusTooManyRequests, fault.New(fault.RateLimited,
			"There are %d connections to terminals already; close some first.", maxStreams).With("limit", maxStreams))
		return
	}
	defer leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // the origin was checked above
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxTyped)
	s := &terminalSocket{terminals: t, conn: conn}
	s.ctx, s.cancel = context.WithCancel(r.Context())
	s.serve(r)
}

// terminalSocket is one connection.
type terminalSocket struct {
	*terminals
	conn    *websocket.Conn
	ctx     context.Context //nolint:containedctx // the connection's own life
	cancel  context.CancelFunc
	closing sync.Once
	running sync.WaitGroup
}

func (s *terminalSocket) serve(r *http.Request) {
	defer func() {
		s.cancel()
		s.running.Wait()
		_ = s.conn.CloseNow()
	}()
	typed := make(chan frame)
	s.running.Go(func() { s.read(typed) })
	s.running.Go(func() {
		s.viewers.watch(s.ctx, r, s.stopping, s.ping, func(cause error) {
			if errors.Is(cause, errSignedOut) {
				s.end(closeSignedOut, "Signed out")
				return
			}
			s.end(closeRestart, "The server restarts")
		})
	})
	query := r.URL.Query()
	cols, colsOK := screenSize(query.Get("cols"), defaultCols)
	rows, rowsOK := screenSize(query.Get("rows"), defaultRows)
	if !colsOK || !rowsOK {
		s.end(closeBadTerminal, "cols and rows are numbers")
		return
	}
	name := query.Get("name")
	if name == "" {
		name = gateway.DefaultTerminal
	}
	view, err := s.to.Attach(s.ctx, r.PathValue("container"), name, cols, rows)
	if err != nil {
		s.refused(err)
		return
	}
	defer view.Close()
	s.running.Go(func() { s.enter(view, typed) })
	s.show(view)
}

// frame is what the client sent.
type frame struct {
	kind websocket.MessageType
	data []byte
}

// read takes messages all the time: the library answers pings, and notices the
// other side's end, only while somebody reads.
func (s *terminalSocket) read(typed chan<- frame) {
	defer s.cancel()
	for {
		kind, data, err := s.conn.Read(s.ctx)
		if err != nil {
			return
		}
		select {
		case typed <- frame{kind, data}:
		case <-s.ctx.Done():
			return
		}
	}
}

// enter hands on what is typed, and sizes.
func (s *terminalSocket) enter(view *gateway.View, typed <-chan frame) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case m := <-typed:
			if m.kind == websocket.MessageBinary {
				if view.Type(s.ctx, m.data) != nil {
					return
				}
				continue
			}
			var size struct{ Cols, Rows int }
			if json.Unmarshal(m.data, &size) != nil || size.Cols < 1 || size.Rows < 1 || size.Cols > gateway.MaxSize || size.Rows > gateway.MaxSize {
				s.end(closeBadTerminal, "A text message is a size: {\"cols\":80,\"rows\":24}, 1 to 1000 each")
				return
			}
			view.Resize(size.Cols, size.Rows)
		}
	}
}

// show sends what is printed until the terminal or the connection ends.
func (s *terminalSocket) show(view *gateway.View) {
	for {
		printed, end, err := view.Next(s.ctx)
		if err != nil {
			return
		}
		if end != nil {
			s.over(*end)
			return
		}
		for len(printed) > 0 {
			n := min(len(printed), maxPrinted)
			ctx, cancel := context.WithTimeout(s.ctx, writeTime)
			err := s.conn.Write(ctx, websocket.MessageBinary, printed[:n])
			cancel()
			if err != nil {
				return
			}
			printed = printed[n:]
		}
	}
}

// over tells how the terminal ended.
func (s *terminalSocket) over(end gateway.End) {
	switch {
	case end.Restart:
		s.end(closeRestart, "The server restarts")
	case end.Unwelcome:
		s.end(closeSignedOut, end.Reason)
	case end.Lost:
		s.end(closeNoEngine, end.Reason)
	default:
		s.end(websocket.StatusNormalClosure, end.Reason)
	}
}

// refused tells why there is no terminal.
func (s *terminalSocket) refused(err error) {
	if s.ctx.Err() != nil {
		return
	}
	f := fault.Of(err)
	reason := f.Message
	if len(f.Violations) > 0 {
		reason = f.Violations[0].Message
	}
	s.present.note(s.ctx, f, nil)
	s.end(refusalCode(f), reason)
}

func refusalCode(f *fault.Fault) websocket.StatusCode {
	switch {
	case errors.Is(f, gateway.ErrNoShell):
		return closeNoShell
	case errors.Is(f, gateway.ErrTooMany):
		return closeTooMany
	case errors.Is(f, gateway.ErrNoRoom):
		return closeNoProcess
	}
	switch f.Code { //nolint:exhaustive // the others are no refusals of a terminal
	case fault.NotFound:
		return closeNotFound
	case fault.BadUserInput:
		return closeBadTerminal
	case fault.InvalidState:
		return closeNotRunning
	case fault.EngineUnavailable, fault.EngineError:
		return closeNoEngine
	case fault.Unauthenticated, fault.Forbidden:
		return closeSignedOut
	}
	return websocket.StatusInternalError
}

// ping asks for a sign of life, and keeps the connection open in proxies.
func (s *terminalSocket) ping() {
	ctx, cancel := context.WithTimeout(s.ctx, pingEvery)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		s.cancel()
	}
}

// end closes the connection with a code, once; the first code counts. It waits
// for the closing handshake, whose other half the reader takes.
func (s *terminalSocket) end(code websocket.StatusCode, reason string) {
	s.closing.Do(func() {
		if len(reason) > maxReason {
			reason = strings.ToValidUTF8(reason[:maxReason], "")
		}
		_ = s.conn.Close(code, reason)
	})
	s.cancel()
}

// screenSize reads a size; false where it is none. What is out of bounds is refused
// later, with the bounds.
func screenSize(text string, otherwise int) (int, bool) {
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
