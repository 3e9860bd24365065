package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// The bounds of sockets. Clients may rely on a hundred of each; beyond what
// stands here they are refused.
const (
	// maxStreams is how many sockets, and how many event streams, one user or
	// one visitor's address has open.
	maxStreams = 200
	// maxOperations is how many operations run on one socket.
	maxOperations = 200
)

// The codes with which sockets end, as graphql-transport-ws and the graphql-ws
// library know them. 4403 and 1012 make that client come back; the others end
// it for good.
const (
	closeRestart      = websocket.StatusServiceRestart
	closeBadMessage   = websocket.StatusCode(4400)
	closeUnauthorized = websocket.StatusCode(4401)
	closeSignedOut    = websocket.StatusCode(4403)
	closeProtocol     = websocket.StatusCode(4406)
	closeInitTimeout  = websocket.StatusCode(4408)
	closeDuplicate    = websocket.StatusCode(4409)
	closeTwoInits     = websocket.StatusCode(4429)
)

const (
	transportWS = "graphql-transport-ws"
	legacyWS    = "graphql-ws"
)

// socketBounds are what tests make shorter.
type socketBounds struct {
	initTimeout time.Duration
	operations  int
	perOwner    int
}

var defaultSocketBounds = socketBounds{initTimeout: 10 * time.Second, operations: maxOperations, perOwner: maxStreams}

// words are the message types of one subprotocol.
type words struct{ subscribe, next, stop string }

var vocabularies = map[string]words{
	transportWS: {subscribe: "subscribe", next: "next", stop: "complete"},
	legacyWS:    {subscribe: "start", next: "data", stop: "stop"},
}

type message struct {
	Type    string          `json:"type"`
	ID      string          `json:"id,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

func isWebSocket(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// serveSocket carries operations over one WebSocket until either side ends it.
func (a *api) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !a.viewers.sameOrigin(r) {
		refuse(w, r, http.StatusForbidden, fault.New(fault.Forbidden, "Pages of this origin may not open a socket here."))
		return
	}
	leave, ok := a.census.enter("sockets "+a.viewers.owner(r), a.sockets.perOwner)
	if !ok {
		refuse(w, r, http.StatusTooManyRequests, fault.New(fault.RateLimited,
			"There are %d open sockets already; close some first.", a.sockets.perOwner).With("limit", a.sockets.perOwner))
		return
	}
	defer leave()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{transportWS, legacyWS},
		InsecureSkipVerify: true, // the origin was checked above, against what the operator allows
	})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(maxBody)
	s := &socket{
		api: a, request: r, conn: conn,
		legacy: conn.Subprotocol() == legacyWS, words: vocabularies[conn.Subprotocol()],
		live: map[string]*operation{},
	}
	s.ctx, s.cancel = context.WithCancel(r.Context())
	s.work, s.stopWork = context.WithCancel(s.ctx)
	s.serve()
}

// socket is one connection. Its read loop starts operations, each in a
// goroutine of its own; coder/websocket lets them write at the same time.
type socket struct {
	api     *api
	request *http.Request
	conn    *websocket.Conn
	legacy  bool
	words   words
	// ctx is the life of the connection, work that of its operations: those end
	// first, while the closing handshake still needs the connection.
	ctx, work        context.Context //nolint:containedctx // the socket's own life
	cancel, stopWork context.CancelFunc

	running sync.WaitGroup
	closing sync.Once
	closed  sync.WaitGroup

	// ready is set once the client has introduced itself.
	ready atomic.Bool
	mu    sync.Mutex
	live  map[string]*operation
	// count is how many operations have not ended, given up ones included.
	count int
}

// operation is one subscribe of the client.
type operation struct {
	id     string
	cancel context.CancelFunc
	mu     sync.Mutex
	// silent is set once the client has given it up: nothing more is said.
	silent bool
}

func (s *socket) serve() {
	defer func() {
		s.stopWork()
		s.closing.Do(func() {}) // whoever would end it now comes too late
		s.closed.Wait()
		s.cancel()
		s.running.Wait()
		_ = s.conn.CloseNow()
	}()
	if s.conn.Subprotocol() == "" {
		s.end(closeProtocol, "Subprotocol not acceptable")
		return
	}
	late := time.AfterFunc(s.api.sockets.initTimeout, func() { s.end(closeInitTimeout, "Connection initialisation timeout") })
	defer late.Stop()
	request := s.request // an access token may put another in its place
	s.running.Go(func() {
		s.api.viewers.watch(s.work, request, s.api.stopping, s.ping, func(cause error) {
			if errors.Is(cause, errSignedOut) {
				s.end(closeSignedOut, "Signed out")
				return
			}
			s.end(closeRestart, "The server restarts")
		})
	})
	for {
		kind, data, err := s.conn.Read(s.ctx)
		if err != nil {
			return
		}
		var m message
		if kind != websocket.MessageText || decode(bytes.NewReader(data), &m) != nil {
			s.end(closeBadMessage, "Invalid message")
			return
		}
		if !s.handle(m, late) {
			return
		}
	}
}

// handle acts on one message; false ends the socket.
func (s *socket) handle(m message, late *time.Timer) bool {
	switch {
	case m.Type == "connection_init":
		return s.init(m, late)
	case m.Type == "connection_terminate" && s.legacy:
		s.end(websocket.StatusNormalClosure, "")
		return false
	case m.Type == "ping" && !s.legacy:
		s.send(message{Type: "pong", Payload: m.Payload})
	case m.Type == "pong" && !s.legacy:
	case m.Type == s.words.subscribe && m.ID != "":
		return s.subscribe(m)
	case m.Type == s.words.stop && m.ID != "":
		s.stop(m.ID)
	default:
		s.end(closeBadMessage, "Invalid message")
		return false
	}
	return true
}

func (s *socket) init(m message, late *time.Timer) bool {
	if s.ready.Load() {
		s.end(closeTwoInits, "Too many initialisation requests")
		return false
	}
	var payload map[string]any
	if len(m.Payload) > 0 && json.Unmarshal(m.Payload, &payload) != nil {
		s.end(closeBadMessage, "Invalid message")
		return false
	}
	for key, value := range payload {
		text, _ := value.(string)
		if ours, token := authorization(text); ours && strings.EqualFold(key, "Authorization") && !s.present(token) {
			return false
		}
	}
	late.Stop()
	s.send(message{Type: "connection_ack"})
	if s.legacy {
		s.send(message{Type: "ka"})
	}
	s.ready.Store(true)
	return true
}

// present makes the holder of an access token the one who asks from now on;
// false ends the socket.
func (s *socket) present(token string) bool {
	ctx := withPresented(s.request.Context(), token)
	viewer, err := s.api.viewers.identify(ctx, s.request.WithContext(ctx))
	if err != nil || !viewer.SignedIn() {
		s.end(closeUnauthorized, "This access token does not hold")
		return false
	}
	request := s.request.WithContext(auth.With(ctx, viewer))
	s.request = request
	s.running.Go(func() {
		s.api.viewers.watch(s.work, request, nil, func() {}, func(error) { s.end(closeSignedOut, "Signed out") })
	})
	return true
}

func (s *socket) subscribe(m message) bool {
	if !s.ready.Load() {
		s.end(closeUnauthorized, "Unauthorized")
		return false
	}
	params := &graphql.RawParams{Headers: s.request.Header, ReadTime: graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}}
	if decode(bytes.NewReader(m.Payload), params) != nil {
		s.end(closeBadMessage, "Invalid message")
		return false
	}
	ctx, cancel := context.WithCancel(s.work)
	op := &operation{id: m.ID, cancel: cancel}
	s.mu.Lock()
	_, taken := s.live[m.ID]
	full := s.count >= s.api.sockets.operations
	if !taken && !full {
		s.live[m.ID] = op
		s.count++
	}
	s.mu.Unlock()
	switch {
	case taken:
		cancel()
		s.end(closeDuplicate, "Subscriber for "+cutReason(m.ID)+" already exists")
		return false
	case full:
		cancel()
		s.fail(op, s.faults(fault.New(fault.RateLimited, "This socket carries %d operations already; end some first.", s.api.sockets.operations).
			With("limit", s.api.sockets.operations)))
		return true
	}
	s.running.Go(func() {
		defer cancel()
		s.run(ctx, op, params)
		s.forget(op, true)
	})
	return true
}

// stop gives an operation up. Its id is free at once.
func (s *socket) stop(id string) {
	s.mu.Lock()
	op := s.live[id]
	delete(s.live, id)
	s.mu.Unlock()
	if op == nil {
		return
	}
	op.mu.Lock()
	op.silent = !s.legacy // the old protocol answers a stop with complete
	op.mu.Unlock()
	op.cancel()
}

// forget frees the operation's id, and its place when it has ended.
func (s *socket) forget(op *operation, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[op.id] == op {
		delete(s.live, op.id)
	}
	if ended {
		s.count--
	}
}

// run carries an operation to its end.
func (s *socket) run(ctx context.Context, op *operation, params *graphql.RawParams) {
	defer func() {
		if v := recover(); v != nil {
			s.fail(op, s.faults(fault.Of(recovered(ctx, v))))
		}
	}()
	// a role may have changed, or the sign-in ended, since the last operation
	viewer, err := s.api.viewers.identify(ctx, s.request)
	if err != nil {
		s.fail(op, s.faults(fault.Of(err)))
		return
	}
	if auth.Of(s.request.Context()).SignedIn() && !viewer.SignedIn() {
		s.end(closeSignedOut, "Signed out")
		return
	}
	ctx = graphql.StartOperationTrace(auth.With(ctx, viewer))
	operation, errs := s.api.exec.CreateOperationContext(ctx, params)
	if errs != nil {
		response := s.api.exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
		s.fail(op, response.Errors)
		return
	}
	responses, ctx := s.api.exec.DispatchOperation(ctx, operation)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		var payload bytes.Buffer
		encode(&payload, response)
		s.say(op, message{Type: s.words.next, ID: op.id, Payload: payload.Bytes()})
		if operation.Operation.Operation != ast.Subscription {
			break
		}
	}
	if s.work.Err() == nil { // a socket that ends says so by its code
		s.forget(op, false) // before the client hears of it, and may use the id again
		s.say(op, message{Type: "complete", ID: op.id})
	}
}

// faults logs and presents a fault of ours as errors.
func (s *socket) faults(f *fault.Fault) gqlerror.List {
	ctx := s.request.Context()
	s.api.present.note(ctx, f, nil)
	text, extensions := publish(ctx, f)
	return gqlerror.List{{Message: text, Extensions: extensions}}
}

// fail refuses an operation; no complete follows.
func (s *socket) fail(op *operation, errs gqlerror.List) {
	payload, err := json.Marshal(errs)
	if err != nil {
		payload = []byte(`[{"message":"Something went wrong on our side.","extensions":{"code":"INTERNAL"}}]`)
	}
	s.forget(op, false)
	s.say(op, message{Type: "error", ID: op.id, Payload: payload})
}

// say sends a message of an operation, unless the client has given it up.
func (s *socket) say(op *operation, m message) {
	op.mu.Lock()
	defer op.mu.Unlock()
	if !op.silent {
		s.send(m)
	}
}

// send writes one message. A client that does not take it in time is let go.
func (s *socket) send(m message) {
	text, err := json.Marshal(m)
	if err == nil {
		ctx, cancel := context.WithTimeout(s.ctx, writeTime)
		defer cancel()
		err = s.conn.Write(ctx, websocket.MessageText, text)
	}
	if err != nil {
		s.cancel()
	}
}

// ping asks for a sign of life, which every WebSocket library gives by itself,
// and keeps the connection open in proxies. The old protocol has a message too.
func (s *socket) ping() {
	if s.legacy && s.ready.Load() {
		s.send(message{Type: "ka"})
	}
	ctx, cancel := context.WithTimeout(s.ctx, pingEvery)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		s.cancel()
	}
}

// end closes the socket with a code, once; the first code counts. The
// handshake goes on beside the read loop, which takes the client's part of it.
func (s *socket) end(code websocket.StatusCode, reason string) {
	s.closing.Do(func() {
		s.stopWork()
		s.closed.Go(func() {
			_ = s.conn.Close(code, reason)
			s.cancel()
		})
	})
}

// cutReason keeps a close reason within the 123 bytes that a frame takes.
func cutReason(id string) string {
	if len(id) > 60 {
		return strings.ToValidUTF8(id[:60], "") + "…"
	}
	return id
}
