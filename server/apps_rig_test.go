package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// patience is how long a test waits for what must come; nothing waits it out unless
// it fails.
const patience = 90 * time.Second

// tower is the whole site with both origins, on a real engine.
type tower struct {
	*castle
	t     *testing.T
	apps  *httptest.Server
	image string
}

// newTower makes one. The restart of its server is another one with the same
// config and instance.
func newTower(t *testing.T, config Config, instance string) *tower {
	t.Helper()
	c := &castle{feed: &live.Feed{}}
	log := &lockedBuffer{}
	c.house = &house{
		config: config, version: "test", instance: instance, engine: dockertest.Engine(t, instance),
		here: func(context.Context) (bool, string, error) { return false, "a test", nil },
		log:  slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	var err error
	c.house.store, err = store.Open(theSystem, config.DatabasePath())
	require.NoError(t, err)
	require.NoError(t, c.house.features(theSystem, c.feed))
	life, end := context.WithCancel(theSystem)
	var running sync.WaitGroup
	for _, run := range c.house.loops {
		running.Go(func() { run(life) })
	}
	<-c.house.lifecycle.FirstTry()
	handler := NewHandler(Deps{
		Resolver: c.house.resolver, Accounts: c.house.accounts, Ready: c.house.ready, Config: config,
		Trail: c.house.audit, Assets: page, Log: c.house.log, Open: c.house.ports.Open,
	})
	c.rig = &rig{handler: handler, log: log, Server: httptest.NewServer(handler)}
	w := &tower{castle: c, t: t, apps: httptest.NewServer(NewApps(c.house.ports, handler))}
	c.house.ports.Listening(c.Listener.Addr(), w.apps.Listener.Addr())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		assert.NoError(t, c.house.ports.Goodbye(ctx))
		assert.NoError(t, handler.Goodbye(ctx))
		w.apps.Close()
		c.Close()
		end()
		running.Wait()
		assert.NoError(t, c.house.close())
	})
	if n := c.client().User.Query().CountX(theSystem); n == 0 {
		answer := c.post(t, "", fmt.Sprintf(`mutation{register(input:{username:"first",email:"first@example.org",password:%q}){user{role}}}`, thePassword), nil)
		require.Contains(t, answer.body, "ADMIN")
	}
	c.hash = c.client().User.Query().Where(user.Username("first")).OnlyX(theSystem).PasswordHash
	w.image = w.adopt(dockertest.Jupyter(t))
	return w
}

func towerConfig(t *testing.T) Config {
	t.Helper()
	config := Defaults()
	config.Data, config.Firewall, config.MinMemory = t.TempDir(), "off", Size(16*record.MiB)
	config.HostReserve, config.Overcommit = Reserve{}, Overcommit{CPU: 1000, Memory: 1000}
	config.Registration = string(account.Open)
	config.DefaultQuota = Quota{Containers: 100, CPU: 100_000, Memory: 64 * record.GiB, Images: 100, Volumes: 100, Disk: record.GiB}
	return config
}

func (w *tower) adopt(ref string) string {
	w.t.Helper()
	row, err := w.client().Image.Query().Where(image.Reference(ref)).Only(theSystem)
	if ent.IsNotFound(err) {
		row = w.client().Image.Create().SetReference(ref).SetRequestedReference(ref).
			SetStatus(image.StatusReady).SetVisibility(image.VisibilityPublic).SetMinMemory(16 * record.MiB).SaveX(theSystem)
		_, err = w.house.engine.Adopt(theSystem, row.ID, ref)
	}
	require.NoError(w.t, err)
	return row.ID
}

// runs makes a container of somebody's and waits until it runs.
func (w *tower) runs(ctx context.Context, name string, command []string, ports ...int) *ent.Container {
	w.t.Helper()
	cpu, memory := 2.0, 512*record.MiB
	wanted := lifecycle.Wanted{
		Name: name, ImageID: w.image, CPU: &cpu, Memory: &memory, Command: command, Start: true,
		RestartPolicy: container.RestartPolicyNever,
	}
	for _, p := range ports {
		wanted.Ports = append(wanted.Ports, record.Port{Name: fmt.Sprint("p", p), Port: p})
	}
	row, err := w.house.lifecycle.Create(ctx, wanted)
	require.NoError(w.t, err)
	return w.await(ctx, row.ID, container.StatusRunning)
}

func (w *tower) await(ctx context.Context, id string, status container.Status) *ent.Container {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := w.house.lifecycle.Watch(ctx, id, false)
	require.NoError(w.t, err)
	for c := range changes {
		if c.Container != nil && c.Container.Status == status {
			return c.Container
		}
	}
	require.Failf(w.t, "it did not come to that", "%s", status)
	return nil
}

// program is the one of testdata, which answers at every path.
func (w *tower) program() []string { return []string{"python3", "-c", theProgram, "8000"} }

// url is where a port is reached, as the API tells it.
func (w *tower) url(row *ent.Container, port int) string {
	return w.house.ports.URL(w.URL, row.ID, port)
}

// browser goes where a person goes: it keeps cookies, which know no ports, and
// follows redirects.
type browser struct {
	*http.Client
	t *testing.T
	// seen are the addresses that it was sent to.
	seen []string
}

// newBrowser is signed in with the token of a sign-in; with none it is nobody's.
func (w *tower) newBrowser(token string) *browser {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(w.t, err)
	b := &browser{t: w.t}
	b.Client = &http.Client{Jar: jar, Timeout: patience, Transport: &http.Transport{}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		b.seen = append(b.seen, r.URL.String())
		r.Header.Set("Accept", "text/html")
		if len(via) > 10 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	w.t.Cleanup(b.CloseIdleConnections)
	if token != "" {
		at, err := url.Parse(w.URL)
		require.NoError(w.t, err)
		jar.SetCookies(at, []*http.Cookie{{Name: cookieName, Value: token, Path: "/"}})
	}
	return b
}

type shown struct {
	status int
	header http.Header
	body   string
	url    string
}

// json reads the answer's body.
func (a shown) json(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &out), a.body)
	return out
}

func (b *browser) ask(method, address, body string, header ...string) shown {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	require.NoError(b.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.send(r)
}

func (b *browser) send(r *http.Request) shown {
	b.t.Helper()
	answer, err := b.Do(r)
	require.NoError(b.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	require.NoError(b.t, err)
	return shown{answer.StatusCode, answer.Header, string(text), answer.Request.URL.String()}
}

// visit goes to an address with the whole window.
func (b *browser) visit(address string) shown {
	b.t.Helper()
	return b.ask(http.MethodGet, address, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")
}

// up visits until the program listens.
func (b *browser) up(address string) shown {
	b.t.Helper()
	var got shown
	require.Eventually(b.t, func() bool {
		got = b.visit(address)
		return got.status != http.StatusBadGateway
	}, patience, 50*time.Millisecond)
	return got
}

// theProgram answers at every path by its last part. It is told its port.
const theProgram = `
import asyncio, json, sys, tornado.web, tornado.websocket, tornado.iostream
goon = asyncio.Event()
class Base(tornado.web.RequestHandler):
    def check_xsrf_cookie(self): pass
class Who(Base):
    def any(self):
        self.set_header('Content-Type', 'application/json')
        self.write(json.dumps({'method': self.request.method, 'uri': self.request.uri, 'body': self.request.body.decode(),
            'headers': dict(self.request.headers.get_all())}))
    get = post = put = delete = any
class Cookies(Base):
    def get(self):
        for c in ['mlride_session=stolen; Path=/', 'mlride_pass=stolen', '__Host-mlride_session=x; Path=/; Secure',
                  '=mlride_session=nameless', 'MLRIDE_DOOR=x', 'mine=1; Domain=127.0.0.1; Path=/; HttpOnly', 'deep=2; Path=%s' % self.request.path]:
            self.add_header('Set-Cookie', c)
        self.set_header('Clear-Site-Data', '"*"')
        self.set_header('Service-Worker-Allowed', '/')
        self.set_header('Strict-Transport-Security', 'max-age=9')
        self.write('set')
class Redirect(Base):
    def get(self): self.redirect(self.get_argument('to'))
class Events(Base):
    async def get(self):
        self.set_header('Content-Type', 'text/event-stream')
        self.write('data: first\n\n'); await self.flush()
        await goon.wait()
        self.write('data: second\n\n'); await self.flush()
        await asyncio.Event().wait()
class Next(Base):
    def get(self): goon.set(); self.write('ok')
class Never(Base):
    async def get(self): await asyncio.Event().wait()
@tornado.web.stream_request_body
class Upload(Base):
    def initialize(self): self.n = 0
    def prepare(self): self.request.connection.set_max_body_size(1 << 40)
    def data_received(self, chunk): self.n += len(chunk)
    def put(self): self.write(str(self.n))
class Download(Base):
    async def get(self):
        n, piece = int(self.get_argument('n')), b'x' * 65536
        self.set_header('Content-Length', str(n))
        while n > 0:
            self.write(piece[:n]); n -= len(piece[:n])
            await self.flush()
class Echo(tornado.websocket.WebSocketHandler):
    def open(self): self.write_message('origin ' + str(self.request.headers.get('Origin')))
    def on_message(self, m): self.write_message(m, isinstance(m, bytes))
app = tornado.web.Application([(r'.*/cookies', Cookies), (r'.*/redirect', Redirect), (r'.*/events', Events), (r'.*/next', Next),
    (r'.*/never', Never), (r'.*/upload', Upload), (r'.*/download', Download), (r'.*/ws', Echo), (r'.*', Who)])
async def main():
    app.listen(int(sys.argv[1]), max_body_size=1 << 40)
    await asyncio.Event().wait()
asyncio.run(main())
`
