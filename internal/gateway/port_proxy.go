package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

// tokenPrefix is how an access token of ours begins.
const tokenPrefix = "mlr_"

// visit is one request that was let in.
type visit struct {
	place
	run int
	// self is the origin that the request came to, host its host; inner is the host
	// that the program is told.
	self, host, inner string
	secure            bool
	// jupyter says that the program is the server's own Jupyter; token is its secret.
	jupyter bool
	token   string
	touch   func()
	cancel  context.CancelCauseFunc
	// forget is set once the answer turned out to have no end of its own.
	forget func()
}

type visitContext struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitContext{}).(*visit)
	return v
}

// ServeHTTP answers everything that the second origin is asked.
func (p *Ports) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, ok := p.locate(r)
	switch {
	case r.Method == http.MethodConnect || r.Method == http.MethodTrace:
		p.say(w, r, http.StatusMethodNotAllowed, page{kind: pageForbidden})
	case !ok && hasDots(r.URL.EscapedPath()):
		p.say(w, r, http.StatusBadRequest, page{kind: pageBadLink})
	case !ok:
		p.say(w, r, http.StatusNotFound, page{kind: pageNoSuch})
	case at.rest == enterPath:
		p.enter(w, r, at)
	case at.unended:
		to := at.prefix
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, to, http.StatusPermanentRedirect)
	default:
		p.visit(w, r, at)
	}
}

// visit lets in who may, sees to it that the container runs, and hands on.
func (p *Ports) visit(w http.ResponseWriter, r *http.Request, at place) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	viewer, byToken, err := p.who(ctx, r, at, cancel)
	switch {
	case err != nil && fault.CodeOf(err) == fault.Internal:
		p.fail(w, r, err)
		return
	case err != nil && byToken:
		w.Header().Set("WWW-Authenticate", `Bearer realm="MLRide"`)
		p.say(w, r, http.StatusUnauthorized, page{kind: pageBadToken})
		return
	case err != nil && navigates(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !upgrades(r):
		p.knock(w, r, at)
		return
	case err != nil:
		p.say(w, r, http.StatusUnauthorized, page{kind: pageSignedOut})
		return
	}
	if byToken && viewer.ReadOnly && (changes(r) || upgrades(r)) || viewer.MustChange || !byToken && p.foreign(r) {
		p.say(w, r, http.StatusForbidden, page{kind: pageForbidden})
		return
	}
	leave, ok := p.sockets.enter(viewer.UserID)
	if !ok {
		p.say(w, r, http.StatusTooManyRequests, page{kind: pageTooMany})
		return
	}
	defer leave()
	r = r.WithContext(auth.With(ctx, viewer))
	row, err := p.Lifecycle.Get(r.Context(), at.id)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if at.rest == startPath {
		p.start(w, r, at, row)
		return
	}
	if strings.HasPrefix(at.rest, ourPath) {
		p.say(w, r, http.StatusNotFound, page{kind: pageNoSuch})
		return
	}
	if row, ok = p.running(w, r, at, row); !ok {
		return
	}
	declared := slices.ContainsFunc(row.Ports, func(o record.Port) bool { return o.Port == at.port })
	jupyter := p.isJupyter(r.Context(), row, at.port, declared)
	if !declared && !jupyter {
		p.say(w, r, http.StatusNotFound, page{kind: pageNoPort})
		return
	}
	if byToken && row.OwnerID != viewer.UserID && p.noted.first(viewer.TokenID+" "+at.id+" "+strconv.Itoa(at.port), p.Now()) {
		if err := p.note(r.Context(), row, at.port); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	p.forward(w, r, p.visitTo(r, at, row, jupyter, cancel))
}

func (p *Ports) visitTo(r *http.Request, at place, row *ent.Container, jupyter bool, cancel context.CancelCauseFunc) *visit {
	host, secure := p.Reached(r)
	v := &visit{
		place: at, run: row.Run, self: p.self(r), host: host, secure: secure, jupyter: jupyter, cancel: cancel,
		inner: net.JoinHostPort("localhost", strconv.Itoa(at.port)), touch: p.toucher(at.id), forget: func() {},
	}
	if jupyter {
		v.token = p.jupyterToken(row, at.port)
	}
	return v
}

// who is the viewer of the access token or pass of a request. The request ends
// with what it came with.
func (p *Ports) who(ctx context.Context, r *http.Request, at place, cancel context.CancelCauseFunc) (v auth.Viewer, byToken bool, err error) {
	token, byToken := accessToken(r)
	find := func() (auth.Viewer, error) { return p.Accounts.Authenticate(ctx, token) }
	if !byToken {
		session, ok := p.passed(r, at)
		if !ok {
			return v, false, fault.New(fault.Unauthenticated, "Sign in first.")
		}
		find = func() (auth.Viewer, error) { return p.Accounts.Holder(ctx, session) }
	}
	if v, err = find(); err != nil {
		return v, byToken, err
	}
	ended := p.Accounts.Ended(v.Credential())
	if v, err = find(); err != nil { // once more: an end before Ended is not told
		return v, byToken, err
	}
	go func() {
		select {
		case <-ended:
			cancel(errEnded)
		case <-ctx.Done():
		}
	}()
	from := auth.Of(r.Context())
	v.IP, v.UserAgent, v.RequestID = from.IP, from.UserAgent, from.RequestID
	return v, byToken, nil
}

// accessToken is one of ours in the header. Any other is the program's business.
func accessToken(r *http.Request) (string, bool) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	ours := (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "Token")) && strings.HasPrefix(token, tokenPrefix)
	return token, ours
}

func changes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// foreign says whether a page of another origin asks for a change or a socket on
// the account of the browser's pass.
func (p *Ports) foreign(r *http.Request) bool {
	if !changes(r) && !upgrades(r) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	given := r.Header.Get("Origin")
	if given == "" {
		return false
	}
	u, err := url.Parse(given)
	host, _ := p.Reached(r)
	return err != nil || !strings.EqualFold(u.Host, host)
}

// running sees to it that the container runs: one that was frozen for doing
// nothing is woken. Where it does not, that is said.
func (p *Ports) running(w http.ResponseWriter, r *http.Request, at place, row *ent.Container) (*ent.Container, bool) {
	row, err := p.awake(r.Context(), row)
	if err != nil {
		p.fail(w, r, err)
		return row, false
	}
	if row.Status == container.StatusRunning {
		return row, true
	}
	w.Header().Set("Retry-After", "2")
	p.say(w, r, http.StatusServiceUnavailable, p.asleep(r, at, row))
	return row, false
}

// awake wakes a container that is frozen for doing nothing.
func (p *Ports) awake(ctx context.Context, row *ent.Container) (*ent.Container, error) {
	if row.Status != container.StatusPaused || row.Frozen != container.FrozenIdle {
		return row, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	changes, err := p.Lifecycle.Watch(ctx, row.ID, false)
	if err != nil {
		return row, err
	}
	if row, err = p.Lifecycle.Start(ctx, row.ID, false); err != nil {
		return row, err
	}
	for c := range changes {
		if c.Container == nil {
			return row, fault.NoSuch("container", row.ID)
		}
		if row = c.Container; row.Status != container.StatusPaused && row.Status != container.StatusStarting {
			break
		}
	}
	return row, nil
}

// start is the button of the page that a container that does not run gives.
func (p *Ports) start(w http.ResponseWriter, r *http.Request, at place, row *ent.Container) {
	if r.Method != http.MethodPost {
		p.say(w, r, http.StatusMethodNotAllowed, page{kind: pageForbidden})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxTo)
	if !same(r.PostFormValue("proof"), p.proof(r, at)) {
		p.say(w, r, http.StatusForbidden, page{kind: pageForbidden})
		return
	}
	if startable(row) {
		if _, err := p.Lifecycle.Start(r.Context(), row.ID, false); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	unkept(w.Header())
	w.Header().Set("Location", at.prefix)
	w.WriteHeader(http.StatusSeeOther)
}

// proof binds the button to the pass of the browser that was shown it.
func (p *Ports) proof(r *http.Request, at place) string {
	session, _ := p.passed(r, at)
	return p.sign("start", session, at.id)
}

// newProxy is the part that speaks HTTP with programs. Go's own parses each request
// and writes it anew, which is what keeps smuggled ones out.
func (p *Ports) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      p.fit,
		FlushInterval:  -1, // what a program says is passed on as it says it
		BufferPool:     &buffers{},
		ModifyResponse: p.answered,
		ErrorHandler:   p.broken,
		ErrorLog:       slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug), // connections that break off are many and tell little
	}
}

func rewrite(pr *httputil.ProxyRequest) {
	v := visitOf(pr.In.Context())
	out := pr.Out
	out.URL.Scheme, out.URL.Host = "http", v.id+":"+strconv.Itoa(v.port)
	setPath(out.URL, pr.In.URL.EscapedPath())
	out.URL.RawQuery = pr.In.URL.RawQuery
	out.Host = v.inner
	h := out.Header
	if _, ours := accessToken(pr.In); ours {
		h.Del("Authorization")
	}
	stripCookies(h)
	v.inside(h, "Origin")
	v.inside(h, "Referer")
	h.Set("X-Forwarded-Host", v.host)
	h.Set("X-Forwarded-For", auth.Of(pr.In.Context()).IP)
	h.Set("X-Forwarded-Proto", "http")
	if v.secure {
		h.Set("X-Forwarded-Proto", "https")
	}
	h.Del("X-Forwarded-Prefix")
	if v.prefix != "/" {
		h.Set("X-Forwarded-Prefix", strings.TrimSuffix(v.prefix, "/"))
	}
	if v.jupyter {
		h.Set("Authorization", "token "+v.token)
	}
}

func (p *Ports) forward(w http.ResponseWriter, r *http.Request, v *visit) {
	// A page that is open asks Jupyter every few seconds how it is, and its socket
	// pings: that is no work. What is typed and run goes over the socket, or changes.
	if !v.jupyter || changes(r) || r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		v.touch()
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &usedBody{ReadCloser: r.Body, touch: v.touch}
	}
	defer func() { v.forget() }()
	p.proxy.ServeHTTP(finalOnly{w}, r.WithContext(context.WithValue(r.Context(), visitContext{}, v)))
}

// answered looks after what a program answers.
func (p *Ports) answered(res *http.Response) error {
	v := visitOf(res.Request.Context())
	confine(res.Header, v)
	upgraded := res.StatusCode == http.StatusSwitchingProtocols
	if upgraded || strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		v.forget = p.sockets.long(v.cancel)
	}
	if socket, ok := res.Body.(io.ReadWriteCloser); ok && upgraded {
		res.Body = &usedSocket{ReadWriteCloser: socket, touch: v.touch}
	} else if !v.jupyter {
		res.Body = &usedBody{ReadCloser: res.Body, touch: v.touch}
	}
	return nil
}

// broken says why a program did not answer.
func (p *Ports) broken(w http.ResponseWriter, r *http.Request, err error) {
	var network net.Error
	switch {
	case r.Context().Err() != nil:
		if errors.Is(context.Cause(r.Context()), errEnded) {
			p.say(w, r, http.StatusUnauthorized, page{kind: pageSignedOut})
			return
		}
		p.say(w, r, http.StatusBadGateway, page{kind: pageBroken})
	case errors.Is(err, engine.ErrClosedPort):
		p.say(w, r, http.StatusBadGateway, page{kind: pageClosed, port: visitOf(r.Context()).port})
	case errors.As(err, &network) && network.Timeout():
		p.say(w, r, http.StatusGatewayTimeout, page{kind: pageSlow})
	case errors.Is(err, engine.ErrUnreachable):
		p.Log.WarnContext(r.Context(), "a container's port does not answer", "error", err)
		p.say(w, r, http.StatusGatewayTimeout, page{kind: pageUnreached})
	default:
		p.Log.DebugContext(r.Context(), "a program did not answer", "error", err)
		p.say(w, r, http.StatusBadGateway, page{kind: pageBroken})
	}
}

// finalOnly keeps a program's provisional answers (1xx) back: they carry headers
// that were not looked at.
type finalOnly struct{ http.ResponseWriter }

func (f finalOnly) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		f.ResponseWriter.WriteHeader(status)
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (f finalOnly) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// toucher says that the container is used, as often as it is called but not more
// than once a second.
func (p *Ports) toucher(id string) func() {
	var mu sync.Mutex
	var last time.Time
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if now := p.Now(); last.IsZero() || now.Sub(last) >= touchEvery {
			last = now
			p.Touch(id, "port")
		}
	}
}

// usedBody touches while it is read.
type usedBody struct {
	io.ReadCloser
	touch func()
}

func (b *usedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.touch()
	}
	return n, err
}

// usedSocket touches when a WebSocket carries something, which its pings are not.
type usedSocket struct {
	io.ReadWriteCloser
	touch func()
}

func (s *usedSocket) Read(p []byte) (int, error) {
	n, err := s.ReadWriteCloser.Read(p)
	if n > 0 && !isPing(p[:n]) {
		s.touch()
	}
	return n, err
}

func (s *usedSocket) Write(p []byte) (int, error) {
	if !isPing(p) {
		s.touch()
	}
	return s.ReadWriteCloser.Write(p)
}

// isPing says whether a piece is one ping or pong frame of a WebSocket, and
// nothing else.
func isPing(p []byte) bool {
	if len(p) < 2 || p[0] != 0x89 && p[0] != 0x8a {
		return false
	}
	length := 2 + int(p[1]&0x7f)
	if p[1]&0x80 != 0 {
		length += 4
	}
	return length == len(p)
}

// buffers are those that the proxy copies with.
type buffers struct{ pool sync.Pool }

const bufferSize = 32 << 10

// Get implements httputil.BufferPool, as does Put.
func (b *buffers) Get() []byte {
	if kept, ok := b.pool.Get().(*[]byte); ok {
		return *kept
	}
	return make([]byte, bufferSize)
}

// Put takes a buffer back.
func (b *buffers) Put(buffer []byte) { b.pool.Put(&buffer) }
