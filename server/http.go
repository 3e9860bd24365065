package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/cors"

	"github.com/mlride/mlride/graph"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/gateway"
)

// contentPolicy lets the pages run only what this server sent them. Style
// elements are written by the component library, the editor and the terminal.
const contentPolicy = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; " +
	"worker-src 'self'; connect-src 'self'; font-src 'self' data:; base-uri 'none'; object-src 'none'; " +
	"frame-ancestors 'none'; form-action 'self'"

// Deps are what the HTTP side needs of the rest.
type Deps struct {
	// Resolver is the API's root; *graph.Resolver is one.
	Resolver generated.ResolverRoot
	Accounts Accounts
	// Terminals connects with terminals in containers; *gateway.Terminals is one.
	Terminals Terminals
	// Ready tells the state of each part, as JSON can hold it, and whether
	// requests can be answered.
	Ready  func(ctx context.Context) (status any, ok bool)
	Config Config
	// Trail is told of what is refused; *audit.Service is one. Nobody is when nil.
	Trail Trail
	// Open lets browsers in on the second origin; nobody comes there when nil.
	Open http.HandlerFunc
	// Outputs gives containers' logs as files; there are none when nil.
	Outputs Outputs
	// Assets are the files of the front-end.
	Assets fs.FS
	Log    *slog.Logger
}

// Handler answers everything that the site's address is asked.
type Handler struct {
	chain http.Handler
	api   *api
	site  *site

	mu sync.Mutex
	// open is how many requests to the API are being answered.
	open int
	// stopping is closed when the server begins to stop, idle when nothing was
	// open any more after that.
	stopping, idle chan struct{}
	stop, rest     sync.Once
}

// NewHandler puts the routes together.
func NewHandler(deps Deps) *Handler {
	h := &Handler{stopping: make(chan struct{}), idle: make(chan struct{})}
	viewers := &viewers{accounts: deps.Accounts, config: deps.Config, ping: pingEvery}
	h.api = newAPI(deps.Resolver, viewers, deps.Trail, deps.Log, h.stopping)
	site := &site{log: deps.Log, viewers: viewers}

	mux := http.NewServeMux()
	mux.Handle("/graphql", site.asViewer(h.counted(h.api)))
	terminals := &terminals{
		to: deps.Terminals, viewers: viewers, census: newCensus(), stopping: h.stopping, log: deps.Log, present: presenter{deps.Log},
	}
	mux.Handle("GET /terminal/{container}", site.asViewer(h.counted(terminals)))
	mux.Handle("GET /schema.graphql", site.asViewer(http.HandlerFunc(h.schema)))
	mux.Handle("GET /playground", http.RedirectHandler("/graphiql", http.StatusMovedPermanently))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		status, ok := deps.Ready(r.Context())
		code := http.StatusOK
		if !ok {
			code = http.StatusServiceUnavailable
		}
		answer(w, code, status)
	})
	mux.Handle("GET /avatars/{name}", avatars(filepath.Join(deps.Config.Data, avatarFolder)))
	if deps.Open != nil {
		mux.Handle(gateway.OpenPath, site.asViewer(deps.Open))
	}
	if deps.Outputs != nil {
		mux.Handle("GET /logs/{container}", site.asViewer(logs(deps.Outputs, presenter{deps.Log})))
	}
	mux.Handle("/", newPages(deps.Assets))

	var chain http.Handler = mux
	chain = crossOrigin(deps.Config, chain)
	if len(deps.Config.AllowedOrigins) > 0 {
		chain = cors.New(cors.Options{
			AllowedOrigins:   deps.Config.AllowedOrigins,
			AllowedMethods:   []string{http.MethodGet, http.MethodPost},
			AllowedHeaders:   []string{"Content-Type", "Accept", "Authorization", "Apollo-Require-Preflight", "X-Requested-With"},
			ExposedHeaders:   []string{"X-Request-Id"},
			AllowCredentials: true,
			MaxAge:           600,
		}).Handler(chain)
	}
	h.site = site
	h.chain = site.outermost(chain)
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.chain.ServeHTTP(w, r) }

// Goodbye ends every socket with 1012 and every event stream, so that clients
// come back to whoever listens next, and waits for what is being answered
// until ctx ends.
func (h *Handler) Goodbye(ctx context.Context) error {
	h.stop.Do(func() { close(h.stopping) })
	h.count(0)
	select {
	case <-h.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("requests were still open: %w", ctx.Err())
	}
}

// counted remembers what is being answered: the server's own Shutdown does not
// know sockets.
func (h *Handler) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.count(1)
		defer h.count(-1)
		next.ServeHTTP(w, r)
	})
}

func (h *Handler) count(more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open += more
	select {
	case <-h.stopping:
		if h.open == 0 {
			h.rest.Do(func() { close(h.idle) })
		}
	default:
	}
}

func (h *Handler) schema(w http.ResponseWriter, r *http.Request) {
	if !auth.Of(r.Context()).SignedIn() {
		refuse(w, r, http.StatusUnauthorized, fault.New(fault.Unauthenticated, "Sign in to read the schema."))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = io.WriteString(w, h.api.sdl())
}

// crossOrigin refuses what pages of other origins would change here.
func crossOrigin(config Config, next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	origins := config.AllowedOrigins
	if config.URL != "" {
		origins = append(origins[:len(origins):len(origins)], string(config.URL))
	}
	for _, origin := range origins {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			panic("server: an origin that the settings let through: " + err.Error())
		}
	}
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, http.StatusForbidden, fault.New(fault.Forbidden, "Pages of other origins may not change anything here."))
	}))
	return protection.Handler(next)
}

// site is what surrounds every route.
type site struct {
	log     *slog.Logger
	viewers *viewers
}

// outermost gives a request its id, its headers, its line in the log, and
// survives what panics below.
func (s *site) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := s.viewers.requestID(r)
		note := &note{}
		ctx := context.WithValue(auth.With(r.Context(), s.viewers.visitor(r, id)), noteKey{}, note)
		r = r.WithContext(ctx)
		header := w.Header()
		header.Set("X-Request-Id", id)
		header.Set("Content-Security-Policy", contentPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		if s.viewers.origin(r).secure {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		out := &counter{ResponseWriter: w}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // the server's own sentinel, compared as it is there
					panic(v)
				}
				s.log.ErrorContext(ctx, "panic", "error", fmt.Sprint(v), "stack", string(debug.Stack()), "request", id)
				if out.status == 0 {
					refuse(out, r, http.StatusInternalServerError, fault.New(fault.Internal, ""))
				}
			}
			s.logLine(r, out, note, time.Since(began))
		}()
		next.ServeHTTP(out, r)
	})
}

// logLine writes what was answered. Neither the address's query, which may
// hold variables, nor any header or body is in it.
func (s *site) logLine(r *http.Request, out *counter, note *note, took time.Duration) {
	level := slog.LevelInfo
	if !note.api && out.status < http.StatusInternalServerError {
		level = slog.LevelDebug // files and probes are many and tell little
	}
	s.log.Log(r.Context(), level, "request", "method", r.Method, "path", r.URL.Path, "status", out.status, "bytes", out.bytes,
		"took", took.Round(time.Microsecond), "ip", auth.Of(r.Context()).IP, "user", note.user, "request", auth.Of(r.Context()).RequestID)
}

// note is what routes add to the log line.
type note struct {
	user string
	api  bool
}

type noteKey struct{}

// asViewer finds out who asks, for the routes that need it.
func (s *site) asViewer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note, _ := r.Context().Value(noteKey{}).(*note)
		if note != nil {
			note.api = true
		}
		viewer, err := s.viewers.identify(r.Context(), r)
		if err != nil {
			presenter{s.log}.note(r.Context(), fault.Of(err), nil)
			refuse(w, r, http.StatusInternalServerError, fault.Of(err))
			return
		}
		// an old cookie makes a visitor, who may sign in; a program whose token
		// does not hold must hear so
		if ours, _ := authorization(r.Header.Get("Authorization")); ours && !viewer.SignedIn() {
			w.Header().Set("WWW-Authenticate", `Bearer realm="MLRide"`)
			refuse(w, r, http.StatusUnauthorized, errBadToken)
			return
		}
		if note != nil {
			note.user = viewer.Username
		}
		next.ServeHTTP(w, r.WithContext(graph.WithSite(auth.With(r.Context(), viewer), s.viewers.site(r))))
	})
}

// counter remembers what was answered.
type counter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter, as does Write.
func (c *counter) WriteHeader(status int) {
	if c.status == 0 || c.status < http.StatusOK && c.status != http.StatusSwitchingProtocols {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	n, err := c.ResponseWriter.Write(p)
	c.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController and the socket library reach the
// connection.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", typeJSON+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
