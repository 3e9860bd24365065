package server

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// cookieName is the sign-in cookie, as the contract names it.
const cookieName = "mlride_session"

var (
	errSignedOut = errors.New("the sign-in has ended")
	errStopping  = errors.New("the server stops")
)

// Accounts knows who holds a token. account.Service is one.
type Accounts interface {
	// Authenticate is who holds the token of a sign-in or an access token; a
	// fault when nobody does (any more).
	Authenticate(ctx context.Context, token string) (auth.Viewer, error)
	// Ended is closed when the session or access token ends, by whatever cause. An end before
	// the call need not be told: Authenticate is asked once more after it.
	Ended(credential string) <-chan struct{}
}

// viewers finds out who asks, and from where.
type viewers struct {
	accounts Accounts
	config   Config
	// ping is how often an open stream is looked after.
	ping time.Duration
}

// origin is where a request comes from, as far as trusted proxies tell.
type origin struct {
	ip     string
	host   string
	secure bool
}

func (v *viewers) origin(r *http.Request) origin {
	o := origin{host: r.Host, secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		o.ip, _, _ = net.SplitHostPort(r.RemoteAddr)
		return o
	}
	ip := peer.Addr().Unmap()
	o.ip = ip.String()
	if !v.config.proxied(ip) {
		return o
	}
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		o.secure = strings.EqualFold(proto, "https")
	}
	if host := r.Header.Get("X-Forwarded-Host"); host != "" {
		o.host = host
	}
	// each proxy appended who it heard; what stands left of the first stranger
	// is the stranger's own claim
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		o.ip = ip.Unmap().String()
		if !v.config.proxied(ip) {
			break
		}
	}
	return o
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

// requestID is the id that a trusted proxy gave, or a new one.
func (v *viewers) requestID(r *http.Request) string {
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil && v.config.proxied(peer.Addr()) {
		if id := r.Header.Get("X-Request-Id"); requestIDForm.MatchString(id) {
			return id
		}
	}
	return rand.Text()
}

// visitor is the viewer of a request before it is known who asks.
func (v *viewers) visitor(r *http.Request, requestID string) auth.Viewer {
	agent := r.UserAgent()
	if len(agent) > 256 {
		agent = strings.ToValidUTF8(agent[:256], "")
	}
	return auth.Viewer{IP: v.origin(r).ip, UserAgent: agent, RequestID: requestID}
}

// token is what a request came with: the access token of its header or the
// sign-in of its cookie. An access token in a cookie is none: a cookie is sent
// by whatever page a browser is on, which is guarded for sign-ins only.
func token(r *http.Request) string {
	if text, ok := r.Context().Value(presentedKey{}).(string); ok {
		return text
	}
	if scheme, text := authorization(r.Header.Get("Authorization")); scheme {
		return text
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil || strings.HasPrefix(cookie.Value, account.TokenPrefix) {
		return ""
	}
	return cookie.Value
}

// presentedKey holds the token that a socket came with in its first message.
type presentedKey struct{}

func withPresented(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, presentedKey{}, token)
}

// site is the origin under which the caller reaches the site.
func (v *viewers) site(r *http.Request) string {
	if v.config.URL != "" {
		return string(v.config.URL)
	}
	o := v.origin(r)
	if o.secure {
		return "https://" + o.host
	}
	return "http://" + o.host
}

// identify is who asks. A token that nobody holds makes a visitor: a browser
// with an old cookie must be able to sign in. Any error is not the caller's.
func (v *viewers) identify(ctx context.Context, r *http.Request) (auth.Viewer, error) {
	visitor := auth.Of(ctx)
	visitor = auth.Viewer{IP: visitor.IP, UserAgent: visitor.UserAgent, RequestID: visitor.RequestID}
	text := token(r)
	if text == "" {
		return visitor, nil
	}
	known, err := v.accounts.Authenticate(auth.With(ctx, visitor), text)
	switch {
	case err == nil:
		known.IP, known.UserAgent, known.RequestID = visitor.IP, visitor.UserAgent, visitor.RequestID
		return known, nil
	case fault.CodeOf(err) == fault.Internal:
		return visitor, err
	default:
		return visitor, nil
	}
}

// owner is on whose account a request's streams count.
func (v *viewers) owner(r *http.Request) string {
	viewer := auth.Of(r.Context())
	if viewer.SignedIn() {
		return viewer.UserID
	}
	return "visitor " + viewer.IP
}

// watch looks after an open stream until ctx ends: it calls ping regularly,
// one at a time and beside itself, since one that waits for a dead peer must
// not hold back the end of a sign-in. It calls end with the cause when the
// sign-in is over or the server stops. When it returns no ping is running.
func (v *viewers) watch(ctx context.Context, r *http.Request, stopping <-chan struct{}, ping func(), end func(error)) {
	viewer := auth.Of(r.Context())
	var ended <-chan struct{}
	if viewer.SignedIn() {
		ended = v.accounts.Ended(viewer.Credential())
	}
	ticker := time.NewTicker(v.ping)
	defer ticker.Stop()
	var pings sync.WaitGroup
	defer pings.Wait()
	pinging := make(chan struct{}, 1)
	for {
		// the first look covers an end between the request's beginning and Ended
		if viewer.SignedIn() {
			if now, err := v.identify(ctx, r); err == nil && !now.SignedIn() {
				end(errSignedOut)
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
			end(errSignedOut)
			return
		case <-stopping:
			end(errStopping)
			return
		case <-ticker.C:
			select {
			case pinging <- struct{}{}:
				pings.Go(func() {
					ping()
					<-pinging
				})
			default:
			}
		}
	}
}

// authorization says whether a header carries an access token, by the schemes
// that are ours, and which: "" for what cannot be one. Basic and others may
// belong to a proxy.
func authorization(header string) (ours bool, token string) {
	scheme, text, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "Token") {
		return false, ""
	}
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, account.TokenPrefix) || len(text) > maxToken {
		return true, ""
	}
	return true, text
}

// maxToken bounds what is looked up, in bytes.
const maxToken = 256

var errBadToken = fault.New(fault.Unauthenticated, "This access token does not hold: it was revoked, is over or was never made.")

// sameOrigin says whether a page of the request's Origin may open a socket.
// Requests that do not come from a browser name none.
func (v *viewers) sameOrigin(r *http.Request) bool {
	given := r.Header.Get("Origin")
	if given == "" || slices.Contains(v.config.AllowedOrigins, given) || given == string(v.config.URL) {
		return true
	}
	u, err := url.Parse(given)
	return err == nil && strings.EqualFold(u.Host, v.origin(r).host)
}

// cookies sets and clears the sign-in cookie of one answer.
func (v *viewers) cookies(w http.ResponseWriter, r *http.Request) cookieWriter {
	return cookieWriter{w: w, secure: v.origin(r).secure || strings.HasPrefix(string(v.config.URL), "https://")}
}

type cookieWriter struct {
	w      http.ResponseWriter
	secure bool
}

// SetSession makes the browser keep token until expires.
func (c cookieWriter) SetSession(token string, expires time.Time) {
	c.set(&http.Cookie{Value: token, Expires: expires.UTC()})
}

// ClearSession makes the browser forget its token.
func (c cookieWriter) ClearSession() { c.set(&http.Cookie{MaxAge: -1}) }

func (c cookieWriter) set(cookie *http.Cookie) {
	cookie.Name, cookie.Path = cookieName, "/"
	cookie.HttpOnly, cookie.SameSite, cookie.Secure = true, http.SameSiteLaxMode, c.secure
	http.SetCookie(c.w, cookie)
}

// census counts what is open for each owner.
type census struct {
	mu sync.Mutex
	n  map[string]int
}

func newCensus() *census { return &census{n: map[string]int{}} }

// enter counts one more for owner, unless there are limit already.
func (c *census) enter(owner string, limit int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[owner] >= limit {
		return nil, false
	}
	c.n[owner]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.n[owner]--; c.n[owner] <= 0 {
			delete(c.n, owner)
		}
	}, true
}
