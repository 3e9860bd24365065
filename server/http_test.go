package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/frontend"
	"github.com/mlride/mlride/internal/auth"
)

type durationOf = record.Duration

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func TestPages(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for _, c := range []struct {
		path, accept string
		status       int
		body         string
		header       map[string]string
	}{
		{path: "/", status: 200, body: "<title>site</title>", header: map[string]string{"Cache-Control": "no-cache", "Content-Type": "text/html; charset=utf-8"}},
		{path: "/containers/ctr_1", status: 200, body: "<title>site</title>"},
		{path: "/graphiql", status: 200, body: "<title>GraphiQL</title>"},
		{path: "/assets/app-1a2b.js", status: 200, body: "plain()", header: map[string]string{"Cache-Control": "public, max-age=31536000, immutable", "Content-Type": "text/javascript; charset=utf-8"}},
		{path: "/assets/big-3c.js", accept: "br, gzip", status: 200, body: string(packed("packed()")), header: map[string]string{"Content-Encoding": "gzip"}},
		{path: "/assets/big-3c.js", accept: "gzip;q=0", status: 200, body: "packed()", header: map[string]string{"Content-Encoding": ""}},
		{path: "/assets/big-3c.js.gz", accept: "identity", status: 404},
		{path: "/assets/none.js", status: 404},
		{path: "/../../etc/passwd.txt", status: 307}, // to the path it means, which is none
		{path: "/etc/passwd.txt", status: 404},
		{path: "/assets", status: 200, body: "<title>site</title>"},
	} {
		got := h.do(t, request{method: "GET", path: c.path, header: map[string]string{"Accept-Encoding": c.accept}})
		assert.Equal(t, c.status, got.status, c.path)
		if c.body != "" {
			assert.Equal(t, c.body, got.body, c.path)
		}
		for name, value := range c.header {
			assert.Equal(t, value, got.header.Get(name), c.path)
		}
	}
	first := h.do(t, request{method: "GET", path: "/"})
	again := h.do(t, request{method: "GET", path: "/", header: map[string]string{"If-None-Match": first.header.Get("ETag")}})
	assert.Equal(t, http.StatusNotModified, again.status)
	assert.Equal(t, http.StatusMethodNotAllowed, h.do(t, request{method: "POST", path: "/containers"}).status)
	moved := h.do(t, request{method: "GET", path: "/playground"})
	assert.Equal(t, "/graphiql", moved.header.Get("Location"))
}

func TestPagesBeforeTheyAreBuilt(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(d *Deps, _ *Handler) {
		d.Assets = fstest.MapFS{unbuilt: {Data: []byte("run make build")}}
	})
	got := h.do(t, request{method: "GET", path: "/"})
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Contains(t, got.body, "make build")
	assert.Equal(t, 200, h.post(t, "", "{serverInfo{version}}", nil).status)
}

// TestAssetsAreThere holds package frontend to its two shapes, of which this
// program was compiled with one.
func TestAssetsAreThere(t *testing.T) {
	t.Parallel()
	want := unbuilt
	if newPages(frontend.Assets()).built {
		want = "graphiql.html"
	}
	_, err := fs.Stat(frontend.Assets(), want)
	require.NoError(t, err)
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/healthz", "/readyz", "/graphql", "/schema.graphql", "/none.txt"} {
		got := h.do(t, request{method: "GET", path: path})
		id := got.header.Get("X-Request-Id")
		assert.Len(t, id, 26, path)
		assert.False(t, seen[id], "an id of its own")
		seen[id] = true
		assert.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'self'", path)
		assert.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), path)
		assert.Empty(t, got.header.Get("Strict-Transport-Security"), "only over TLS")
		assert.Contains(t, h.log.String(), id, "in the log")
	}
}

func TestHealthAndReadiness(t *testing.T) {
	t.Parallel()
	ready := true
	h := newRig(t, func(d *Deps, _ *Handler) {
		d.Ready = func(context.Context) (any, bool) {
			return map[string]any{"database": ready, "engine": "unreachable"}, ready
		}
	})
	assert.Equal(t, 200, h.do(t, request{method: "GET", path: "/healthz"}).status)
	got := h.do(t, request{method: "GET", path: "/readyz"})
	assert.Equal(t, 200, got.status)
	assert.JSONEq(t, `{"database":true,"engine":"unreachable"}`, got.body)
	ready = false
	assert.Equal(t, 503, h.do(t, request{method: "GET", path: "/readyz"}).status)
}

func TestSchemaIsForThoseSignedIn(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.do(t, request{method: "GET", path: "/schema.graphql"})
	assert.Equal(t, 401, got.status)
	assert.Equal(t, "UNAUTHENTICATED", got.code())
	got = h.do(t, request{method: "GET", path: "/schema.graphql", token: aliceToken})
	assert.Equal(t, 200, got.status)
	assert.Contains(t, got.body, "type Container implements Node {")
	assert.Contains(t, got.body, "enum Access {")
}

func TestSignInCookie(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(d *Deps, _ *Handler) { d.Config.TrustedProxies = Networks{netip.MustParsePrefix("127.0.0.0/8")} })
	login := `{"query":"mutation($in: LoginInput!){login(input:$in){user{username}}}","variables":{"in":{"login":"bob","password":"x"}}}`
	got := h.do(t, request{method: "POST", path: "/graphql", body: login, header: map[string]string{"Content-Type": typeJSON}})
	require.Empty(t, got.Errors)
	cookie := got.header.Get("Set-Cookie")
	for _, part := range []string{"mlride_session=fresh-token", "Path=/", "Expires=", "HttpOnly", "SameSite=Lax"} {
		assert.Contains(t, cookie, part)
	}
	assert.NotContains(t, cookie, "Secure")
	got = h.do(t, request{
		method: "POST", path: "/graphql", body: login,
		header: map[string]string{"Content-Type": typeJSON, "X-Forwarded-Proto": "https"},
	})
	assert.Contains(t, got.header.Get("Set-Cookie"), "Secure")
	assert.NotEmpty(t, got.header.Get("Strict-Transport-Security"))

	out := h.post(t, aliceToken, "mutation{logout}", nil)
	require.Empty(t, out.Errors)
	assert.Contains(t, out.header.Get("Set-Cookie"), "Max-Age=0")
	assert.NotContains(t, h.log.String(), "fresh-token")
	assert.NotContains(t, h.log.String(), aliceToken)
}

func TestWhoAsks(t *testing.T) {
	t.Parallel()
	seen := make(chan auth.Viewer, 1)
	proxied := func(d *Deps, _ *Handler) { d.Config.TrustedProxies = Networks{netip.MustParsePrefix("127.0.0.0/8")} }
	for name, c := range map[string]struct {
		trusted bool
		header  map[string]string
		token   string
		ip      string
		user    string
	}{
		"a visitor":                     {ip: "127.0.0.1"},
		"signed in":                     {token: aliceToken, ip: "127.0.0.1", user: "alice"},
		"an old cookie":                 {token: "old", ip: "127.0.0.1"},
		"forwarded, not trusted":        {header: map[string]string{"X-Forwarded-For": "192.0.2.9"}, ip: "127.0.0.1"},
		"forwarded, trusted":            {trusted: true, header: map[string]string{"X-Forwarded-For": "192.0.2.9"}, ip: "192.0.2.9"},
		"a claim before the real one":   {trusted: true, header: map[string]string{"X-Forwarded-For": "10.9.9.9, 192.0.2.9, 127.0.0.3"}, ip: "192.0.2.9"},
		"nonsense from a trusted proxy": {trusted: true, header: map[string]string{"X-Forwarded-For": "me"}, ip: "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			change := func(*Deps, *Handler) {}
			if c.trusted {
				change = proxied
			}
			h := newRig(t, change)
			h.resolver.viewer = func(v auth.Viewer) { seen <- v }
			header := map[string]string{"Content-Type": typeJSON, "User-Agent": "a browser"}
			for k, v := range c.header {
				header[k] = v
			}
			got := h.do(t, request{method: "POST", path: "/graphql", token: c.token, body: `{"query":"{viewer{username}}"}`, header: header})
			require.Empty(t, got.Errors)
			v := <-seen
			assert.Equal(t, c.ip, v.IP)
			assert.Equal(t, c.user, v.Username)
			assert.Equal(t, "a browser", v.UserAgent)
			assert.Equal(t, got.header.Get("X-Request-Id"), v.RequestID)
		})
	}
}

func TestTokensAreRefusedNotIgnored(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for _, scheme := range []string{"Bearer mlr_x", "token mlr_x", "Bearer"} {
		got := h.do(t, request{
			method: "POST", path: "/graphql", body: `{"query":"{serverInfo{version}}"}`,
			header: map[string]string{"Content-Type": typeJSON, "Authorization": scheme},
		})
		assert.Equal(t, 401, got.status, scheme)
		assert.Equal(t, "UNAUTHENTICATED", got.code(), scheme)
	}
	got := h.do(t, request{
		method: "POST", path: "/graphql", body: `{"query":"{serverInfo{version}}"}`,
		header: map[string]string{"Content-Type": typeJSON, "Authorization": "Basic cHJveHk6eA=="},
	})
	assert.Empty(t, got.Errors, "that of a proxy in front")
}

func TestAccountsThatCannotAnswer(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	h.accounts.broken = errors.New("disk on fire")
	got := h.post(t, aliceToken, "{serverInfo{version}}", nil)
	assert.Equal(t, 500, got.status)
	assert.Equal(t, "INTERNAL", got.code())
	assert.NotContains(t, got.body, "fire")
	assert.Contains(t, h.log.String(), "disk on fire")
}

func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(d *Deps, _ *Handler) { d.Config.AllowedOrigins = Origins{"https://tools.example"} })
	post := func(header map[string]string) answerOf {
		header["Content-Type"] = typeJSON
		return h.do(t, request{method: "POST", path: "/graphql", body: `{"query":"{serverInfo{version}}"}`, header: header})
	}
	got := post(map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"})
	assert.Equal(t, 403, got.status)
	assert.Equal(t, "FORBIDDEN", got.code())
	assert.Empty(t, got.header.Get("Access-Control-Allow-Origin"))
	// the second origin, on another port of the same host, is a stranger too
	assert.Equal(t, 403, post(map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8081"}).status)
	assert.Equal(t, 200, post(map[string]string{"Sec-Fetch-Site": "same-origin"}).status)
	got = post(map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://tools.example"})
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "https://tools.example", got.header.Get("Access-Control-Allow-Origin"))
	got = h.do(t, request{method: "OPTIONS", path: "/graphql", header: map[string]string{
		"Origin": "https://tools.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type",
	}})
	assert.Equal(t, "https://tools.example", got.header.Get("Access-Control-Allow-Origin"))
}

func TestPanicsAreSurvived(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(d *Deps, _ *Handler) {
		d.Ready = func(context.Context) (any, bool) { panic("secret of the panic") }
	})
	got := h.do(t, request{method: "GET", path: "/readyz"})
	assert.Equal(t, 500, got.status)
	assert.Equal(t, "INTERNAL", got.code())
	assert.Equal(t, got.header.Get("X-Request-Id"), got.Errors[0].Extensions["requestId"])
	assert.NotContains(t, got.body, "secret")
	assert.Contains(t, h.log.String(), "secret of the panic")
}

func TestServeStopsCleanly(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	config := Defaults()
	config.Listen = "127.0.0.1:0"
	l, err := Listen(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, h.handler, config, h.handler.api.log) }()
	h.URL = "http://" + l.Addr().String()
	assert.Equal(t, 200, h.do(t, request{method: "GET", path: "/healthz"}).status)
	cancel()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("it did not stop")
	}
	_, err = Listen(t.Context(), Config{Listen: "127.0.0.1:99999"})
	require.ErrorContains(t, err, "MLRIDE_LISTEN")
}

func TestLogLineTellsNoQuery(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.do(t, request{method: "GET", path: "/graphql?query=%7BserverInfo%7Bversion%7D%7D&variables=%7B%22p%22:%22hunter2%22%7D", token: aliceToken})
	require.Equal(t, 200, got.status, got.body)
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), `"path":"/graphql"`) }, 5*time.Second, time.Millisecond)
	assert.Contains(t, h.log.String(), `"user":"alice"`)
	assert.NotContains(t, h.log.String(), "hunter2")
}
