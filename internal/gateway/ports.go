package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/lifecycle"
)

// Reach is what the ports need of an engine.
type Reach interface {
	engine.Dialer
	engine.Launcher
	Exec(ctx context.Context, id string, command []string) (engine.ExecResult, error)
}

// Accounts knows who is signed in. account.Service is one.
type Accounts interface {
	// Authenticate is who holds a token.
	Authenticate(ctx context.Context, token string) (auth.Viewer, error)
	// Holder is whose session it is.
	Holder(ctx context.Context, session string) (auth.Viewer, error)
	// Ended is closed when the session or access token ends.
	Ended(credential string) <-chan struct{}
}

// PortOptions are what the ports need of the rest.
type PortOptions struct {
	Client    *ent.Client
	Lifecycle *lifecycle.Service
	Engine    Reach
	Accounts  Accounts
	// Touch says that something uses a container just now.
	Touch func(id, what string)
	// Key makes passes and Jupyter's secrets; 32 random bytes that stay.
	Key []byte
	// Site and Apps are the two origins as the settings name them; empty: from the
	// listeners. A "*" in Apps stands for a container's port.
	Site, Apps string
	// TLS says that both listeners speak it.
	TLS bool
	// Reached is the host that a request came to and whether by TLS, as far as
	// trusted proxies tell.
	Reached func(r *http.Request) (host string, secure bool)
	Now     func() time.Time
	Log     *slog.Logger
}

// Ports are the programs in containers, reached through a second origin. It is
// the handler of that origin; Open is the site's part of signing in there.
type Ports struct {
	PortOptions
	listening atomic.Pointer[listening]
	transport *http.Transport
	fit       *fit
	proxy     *httputil.ReverseProxy
	tickets   tickets
	jupyters  jupyters
	sockets   sockets
	noted     noted
}

// listening are the ports of the two listeners.
type listening struct{ site, apps string }

const (
	dialTime   = 5 * time.Second
	headerTime = 60 * time.Second
	// keepTime is how long a connection to a program is kept for the next request.
	keepTime = 30 * time.Second
	// maxResponseHeader is what a program may say before its content, in bytes.
	maxResponseHeader = 256 << 10
)

// NewPorts returns the ports.
func NewPorts(o PortOptions) *Ports {
	p := &Ports{PortOptions: o}
	p.listening.Store(&listening{"8080", "8081"})
	p.transport = &http.Transport{
		// No proxy and no redirects: what is dialled is that container and nothing else.
		DialContext:            p.dial,
		DisableCompression:     true, // what is compressed stays so
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        keepTime,
		ResponseHeaderTimeout:  headerTime,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		WriteBufferSize:        32 << 10,
		ReadBufferSize:         32 << 10,
	}
	p.fit = newFit(p.transport, o.Now)
	p.tickets.open = map[string]ticket{}
	p.jupyters.init()
	p.sockets.init()
	p.noted.at = map[string]time.Time{}
	p.proxy = p.newProxy()
	return p
}

// Listening says where the two origins listen, for those that are not named in
// the settings.
func (p *Ports) Listening(site, apps net.Addr) {
	p.listening.Store(&listening{portOf(site), portOf(apps)})
}

func portOf(a net.Addr) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	return port
}

// Share says whether all programs share one origin.
func (p *Ports) Share() bool { return !strings.Contains(p.Apps, "://*.") }

// Prefix is the path under which a port of a container is reached.
func (p *Ports) Prefix(id string, port int) string {
	if !p.Share() {
		return "/"
	}
	return fmt.Sprintf("/c/%s/%d/", id, port)
}

// URL is where a port of a container is reached by whoever reaches the site at
// that origin.
func (p *Ports) URL(site, id string, port int) string {
	return p.origin(site, id, port) + p.Prefix(id, port)
}

func (p *Ports) origin(site, id string, port int) string {
	switch {
	case p.Apps == "":
		return p.beside(site, p.listening.Load().apps)
	case p.Share():
		return p.Apps
	default:
		return strings.Replace(p.Apps, "*", fmt.Sprintf("%d-%s", port, strings.ReplaceAll(id, "_", "-")), 1)
	}
}

// site is the site's origin for somebody who came to the second one.
func (p *Ports) site(r *http.Request) string {
	if p.Site != "" {
		return p.Site
	}
	return p.beside(p.self(r), p.listening.Load().site)
}

// beside is another port of the host of an origin.
func (p *Ports) beside(origin, port string) string {
	host := "127.0.0.1"
	if u, err := url.Parse(origin); err == nil && u.Hostname() != "" {
		host = u.Hostname()
	}
	scheme := "http://"
	if p.TLS {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// self is the origin that a request came to.
func (p *Ports) self(r *http.Request) string {
	host, secure := p.Reached(r)
	if secure {
		return "https://" + host
	}
	return "http://" + host
}

// place is a port of a container, and what is asked of it.
type place struct {
	id   string
	port int
	// prefix is the path before rest, beginning and ending with a slash; rest is
	// raw, as the browser sent it.
	prefix, rest string
	// unended says that the slash after the port is missing.
	unended bool
}

var (
	containerID = regexp.MustCompile(`^ctr_[0-9a-z]{1,40}$`)
	portNumber  = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
)

// locate says what a request is for; false where the address names nothing.
func (p *Ports) locate(r *http.Request) (place, bool) {
	raw, rooted := strings.CutPrefix(r.URL.EscapedPath(), "/")
	if !rooted || hasDots(raw) {
		return place{}, false
	}
	if !p.Share() {
		host, _ := p.Reached(r)
		return p.locateHost(host, raw)
	}
	under, ok := strings.CutPrefix(raw, "c/")
	if !ok {
		return place{}, false
	}
	id, after, _ := strings.Cut(under, "/")
	port, rest, ended := strings.Cut(after, "/")
	at, ok := placeOf(id, port)
	at.rest, at.unended, at.prefix = rest, !ended, p.Prefix(at.id, at.port)
	return at, ok
}

func (p *Ports) locateHost(host, rest string) (place, bool) {
	_, domain, _ := strings.Cut(p.Apps, "://*.")
	label, ok := strings.CutSuffix(strings.ToLower(host), "."+domain)
	if !ok {
		return place{}, false
	}
	port, id, _ := strings.Cut(label, "-")
	at, ok := placeOf(strings.Replace(id, "-", "_", 1), port)
	at.prefix, at.rest = "/", rest
	return at, ok
}

func placeOf(id, port string) (place, bool) {
	if !containerID.MatchString(id) || !portNumber.MatchString(port) {
		return place{}, false
	}
	n, _ := strconv.Atoi(port)
	return place{id: id, port: n}, n <= 65535
}

// hasDots says whether a raw path has a segment that would lead out of it.
func hasDots(raw string) bool {
	text, err := url.PathUnescape(raw)
	if err != nil {
		return true
	}
	for _, segment := range strings.FieldsFunc(text, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// dial is the transport's way: the host of its address is a container's id.
func (p *Ports) dial(ctx context.Context, _, address string) (net.Conn, error) {
	id, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return p.Engine.Dial(ctx, id, n)
}

// sign is a keyed hash of the words, each of which counts by itself.
func (p *Ports) sign(words ...string) string {
	mac := hmac.New(sha256.New, p.Key)
	for _, w := range words {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(w), w)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// same compares secrets in constant time.
func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// sockets are the connections without an end, which a stopping server ends, and
// how much each person has open.
type sockets struct {
	mu      sync.Mutex
	stopped bool
	n       int
	cancels map[int]context.CancelCauseFunc
	open    map[string]int
}

// maxOpen is how much a person has open at once.
const maxOpen = 300

func (s *sockets) init() { s.cancels, s.open = map[int]context.CancelCauseFunc{}, map[string]int{} }

// enter counts one more of a person's; false when there are too many.
func (s *sockets) enter(user string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[user] >= maxOpen {
		return nil, false
	}
	s.open[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[user]--; s.open[user] <= 0 {
			delete(s.open, user)
		}
	}, true
}

// long remembers how to end what has no end of its own.
func (s *sockets) long(cancel context.CancelCauseFunc) (forget func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		cancel(errStopping)
	}
	s.n++
	n := s.n
	s.cancels[n] = cancel
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.cancels, n)
	}
}

// Goodbye ends sockets and event streams. What is being answered beside them is
// the listener's to wait for.
func (p *Ports) Goodbye(context.Context) error {
	p.sockets.mu.Lock()
	defer p.sockets.mu.Unlock()
	p.sockets.stopped = true
	for _, cancel := range p.sockets.cancels {
		cancel(errStopping)
	}
	p.transport.CloseIdleConnections()
	return nil
}
