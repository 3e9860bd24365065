package gateway

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Some programs are told the path under which they are reached and answer there,
// as Jupyter does; others answer at / only. Which is so is told by whether a
// program has anything at its whole path: one that answers 404 there, and something
// else at /, is asked without the prefix from then on.

// fit is a transport that gives each program the path it understands.
type fit struct {
	next http.RoundTripper
	now  func() time.Time
	mu   sync.Mutex
	// known are what programs take, by container, run and port.
	known map[visitKey]fitted
}

type visitKey struct {
	id   string
	run  int
	port int
}

type fitted struct {
	bare  bool
	until time.Time
}

const (
	// fitTime is how long is believed what was found out: another program may
	// listen by then.
	fitTime  = time.Minute
	maxFits  = 4096
	maxDrain = 64 << 10
)

func newFit(next http.RoundTripper, now func() time.Time) *fit {
	return &fit{next: next, now: now, known: map[visitKey]fitted{}}
}

// RoundTrip implements http.RoundTripper.
func (f *fit) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r.Context())
	if v == nil || v.prefix == "/" || v.jupyter {
		return f.next.RoundTrip(r)
	}
	key := visitKey{v.id, v.run, v.port}
	bare, known := f.lookup(key)
	switch {
	case known && bare:
		return f.next.RoundTrip(withoutPrefix(r, v.prefix))
	case known:
		return f.next.RoundTrip(r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead || r.Body != nil && r.Body != http.NoBody:
		return f.afterAsking(r, v, key)
	}
	whole, err := f.next.RoundTrip(r)
	if err != nil {
		return whole, err
	}
	if whole.StatusCode != http.StatusNotFound {
		f.learn(key, false)
		return whole, nil
	}
	short, err := f.next.RoundTrip(withoutPrefix(r, v.prefix))
	if err != nil || short.StatusCode == http.StatusNotFound {
		discard(short)
		return whole, nil //nolint:nilerr // the program has answered, and that is its answer
	}
	discard(whole)
	f.learn(key, true)
	return short, nil
}

// afterAsking finds out first: what has content is sent once.
func (f *fit) afterAsking(r *http.Request, v *visit, key visitKey) (*http.Response, error) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+r.URL.Host+v.prefix, nil)
	if err != nil {
		return nil, err
	}
	ask.Host = r.Host
	answer, err := f.next.RoundTrip(ask)
	if err != nil {
		return nil, err
	}
	discard(answer)
	bare := answer.StatusCode == http.StatusNotFound
	f.learn(key, bare)
	if bare {
		r = withoutPrefix(r, v.prefix)
	}
	return f.next.RoundTrip(r)
}

func discard(r *http.Response) {
	if r != nil {
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
		_ = r.Body.Close()
	}
}

// withoutPrefix is the request with the path that comes after the prefix.
func withoutPrefix(r *http.Request, prefix string) *http.Request {
	short := r.Clone(r.Context())
	setPath(short.URL, "/"+strings.TrimPrefix(r.URL.EscapedPath(), prefix))
	return short
}

// setPath has a raw path sent as it is.
func setPath(u *url.URL, raw string) {
	if text, err := url.PathUnescape(raw); err == nil {
		u.Path, u.RawPath = text, raw
	}
}

func (f *fit) lookup(key visitKey) (bare, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	got, ok := f.known[key]
	return got.bare, ok && f.now().Before(got.until)
}

func (f *fit) learn(key visitKey, bare bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.known) >= maxFits {
		clear(f.known)
	}
	f.known[key] = fitted{bare, f.now().Add(fitTime)}
}
