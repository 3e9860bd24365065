package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/graph/scalar"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// rig is a site whose transport is real and whose resolvers are stubs.
type rig struct {
	*httptest.Server
	handler  *Handler
	accounts *accounts
	resolver *resolver
	log      *lockedBuffer
}

// The tokens that accounts knows at first.
const (
	aliceToken = "token-of-alice"
	adminToken = "token-of-admin"
)

func newRig(t *testing.T, change ...func(*Deps, *Handler)) *rig {
	t.Helper()
	h := &rig{accounts: newAccounts(), resolver: newResolver(), log: &lockedBuffer{}}
	deps := Deps{
		Resolver: h.resolver,
		Accounts: h.accounts,
		Ready:    func(context.Context) (any, bool) { return map[string]string{"database": "ok"}, true },
		Config:   Defaults(),
		Assets:   page,
		Log:      slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&deps, nil)
	}
	h.handler = NewHandler(deps)
	for _, c := range change {
		c(&deps, h.handler)
	}
	h.Server = httptest.NewServer(h.handler)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, h.handler.Goodbye(ctx))
		h.Close()
	})
	return h
}

var page fs.FS = fstest.MapFS{
	"index.html":          {Data: []byte("<title>site</title>")},
	"graphiql.html":       {Data: []byte("<title>GraphiQL</title>")},
	"assets/app-1a2b.js":  {Data: []byte("plain()")},
	"favicon.svg":         {Data: []byte("<svg/>")},
	"assets/big-3c.js.gz": {Data: packed("packed()")},
}

// answerOf is one HTTP answer.
type answerOf struct {
	status int
	header http.Header
	body   string
	Data   map[string]any `json:"data"`
	Errors []shownError   `json:"errors"`
}

type shownError struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}

// code is that of the first error; empty when there is none.
func (a answerOf) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	text, _ := a.Errors[0].Extensions["code"].(string)
	return text
}

type request struct {
	method, path, token, body string
	header                    map[string]string
}

func (h *rig) do(t *testing.T, q request) answerOf {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, h.URL+q.path, strings.NewReader(q.body))
	require.NoError(t, err)
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	if q.token != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: q.token})
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answered, err := client.Do(r)
	require.NoError(t, err)
	defer func() { _ = answered.Body.Close() }()
	body, err := io.ReadAll(answered.Body)
	require.NoError(t, err)
	a := answerOf{status: answered.StatusCode, header: answered.Header, body: string(body)}
	if strings.Contains(answered.Header.Get("Content-Type"), "json") {
		require.NoError(t, json.Unmarshal(body, &a), a.body)
	}
	return a
}

// post sends one operation as JSON.
func (h *rig) post(t *testing.T, token, query string, variables map[string]any) answerOf {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(t, err)
	return h.do(t, request{
		method: http.MethodPost, path: "/graphql", token: token, body: string(body),
		header: map[string]string{"Content-Type": typeJSON},
	})
}

// accounts knows a few sign-ins.
type accounts struct {
	mu      sync.Mutex
	viewers map[string]auth.Viewer
	ended   map[string]chan struct{}
	broken  error
}

func newAccounts() *accounts {
	return &accounts{
		viewers: map[string]auth.Viewer{
			aliceToken: {UserID: "user_alice", Username: "alice", SessionID: "ses_alice"},
			adminToken: {UserID: "user_admin", Username: "admin", SessionID: "ses_admin", Admin: true},
		},
		ended: map[string]chan struct{}{"ses_alice": make(chan struct{}), "ses_admin": make(chan struct{})},
	}
}

func (a *accounts) Authenticate(_ context.Context, token string) (auth.Viewer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken != nil {
		return auth.Viewer{}, a.broken
	}
	v, ok := a.viewers[token]
	if !ok {
		return v, fault.New(fault.Unauthenticated, "Sign in first.")
	}
	return v, nil
}

func (a *accounts) Ended(sessionID string) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ended, ok := a.ended[sessionID]; ok {
		return ended
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// end signs a token's session out.
func (a *accounts) end(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	session := a.viewers[token].SessionID
	delete(a.viewers, token)
	close(a.ended[session])
	delete(a.ended, session)
}

// change replaces who holds a token, without ending the session.
func (a *accounts) change(token string, to func(*auth.Viewer)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := a.viewers[token]
	to(&v)
	a.viewers[token] = v
}

// resolver stubs what the tests of the transport ask for. A root field that is
// not stubbed panics when it is reached, which is how access_test.go knows.
type resolver struct {
	calls   atomic.Int64
	streams atomic.Int64
	// create decides what createContainer gives.
	create func(ctx context.Context, in generated.CreateContainerInput) (*generated.ContainerPayload, error)
	// viewer is told who asked for `viewer`.
	viewer func(auth.Viewer)
}

func newResolver() *resolver {
	return &resolver{
		create: func(context.Context, generated.CreateContainerInput) (*generated.ContainerPayload, error) {
			return nil, errors.New("secret detail of the database")
		},
		viewer: func(auth.Viewer) {},
	}
}

type (
	stubQuery struct {
		generated.QueryResolver
		*resolver
	}
	stubMutation struct {
		generated.MutationResolver
		*resolver
	}
	stubSubscription struct {
		generated.SubscriptionResolver
		*resolver
	}
)

func (r *resolver) AuditEvent() generated.AuditEventResolver         { return nil }
func (r *resolver) Invitation() generated.InvitationResolver         { return nil }
func (r *resolver) QuotaRequest() generated.QuotaRequestResolver     { return nil }
func (r *resolver) Container() generated.ContainerResolver           { return nil }
func (r *resolver) ContainerEvent() generated.ContainerEventResolver { return nil }
func (r *resolver) Image() generated.ImageResolver                   { return nil }
func (r *resolver) Session() generated.SessionResolver               { return nil }
func (r *resolver) User() generated.UserResolver                     { return nil }
func (r *resolver) Volume() generated.VolumeResolver                 { return nil }
func (r *resolver) VolumeMount() generated.VolumeMountResolver       { return nil }
func (r *resolver) Query() generated.QueryResolver                   { return stubQuery{resolver: r} }

func (r *resolver) Mutation() generated.MutationResolver { return stubMutation{resolver: r} }

func (r *resolver) Subscription() generated.SubscriptionResolver {
	return stubSubscription{resolver: r}
}

func (q stubQuery) ServerInfo(context.Context) (*generated.ServerInfo, error) {
	q.calls.Add(1)
	return &generated.ServerInfo{Version: "test", Time: time.Unix(0, 0), EngineState: generated.EngineStateConnected, RegistrationMode: generated.RegistrationModeOpen}, nil
}

func (q stubQuery) Viewer(ctx context.Context) (*ent.User, error) {
	q.calls.Add(1)
	v := auth.Of(ctx)
	q.viewer(v)
	if !v.SignedIn() {
		return nil, nil
	}
	return &ent.User{ID: v.UserID, Username: v.Username}, nil
}

func (q stubQuery) Containers(context.Context, *string, *int, *string, *int, *generated.ContainerFilter, *generated.ContainerOrder) (*generated.ContainerConnection, error) {
	q.calls.Add(1)
	return &generated.ContainerConnection{PageInfo: &generated.PageInfo{}}, nil
}

func (q stubQuery) Nodes(_ context.Context, _ []string) ([]scalar.Node, error) {
	q.calls.Add(1)
	return nil, &ent.NotFoundError{}
}

func (m stubMutation) Login(ctx context.Context, in generated.LoginInput) (*generated.UserPayload, error) {
	m.calls.Add(1)
	c, ok := graph.CookiesOf(ctx)
	if !ok {
		return nil, fault.New(fault.BadUserInput, "Sign in by POST.")
	}
	c.SetSession("fresh-token", time.Now().Add(time.Hour))
	return &generated.UserPayload{User: &ent.User{ID: "user_x", Username: in.Login}}, nil
}

func (m stubMutation) Logout(ctx context.Context) (bool, error) {
	m.calls.Add(1)
	if c, ok := graph.CookiesOf(ctx); ok {
		c.ClearSession()
	}
	return true, nil
}

func (m stubMutation) CreateContainer(ctx context.Context, in generated.CreateContainerInput) (*generated.ContainerPayload, error) {
	m.calls.Add(1)
	return m.create(ctx, in)
}

// UsageChanged tells at once and then waits for the end.
func (s stubSubscription) UsageChanged(ctx context.Context) (<-chan *generated.Usage, error) {
	s.calls.Add(1)
	s.streams.Add(1)
	out := make(chan *generated.Usage, 1)
	out <- &generated.Usage{Containers: 3}
	context.AfterFunc(ctx, func() {
		s.streams.Add(-1)
		close(out)
	})
	return out, nil
}

// ContainerStats tells twice and completes.
func (s stubSubscription) ContainerStats(_ context.Context, id string, _ *durationOf) (<-chan *generated.ContainerStats, error) {
	s.calls.Add(1)
	if id == "ctr_none" {
		return nil, fault.NoSuch("container", id)
	}
	out := make(chan *generated.ContainerStats, 2)
	out <- &generated.ContainerStats{ContainerID: id, Pids: 1}
	out <- &generated.ContainerStats{ContainerID: id, Pids: 2}
	close(out)
	return out, nil
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
