package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
)

// TestPorts has one container with one program, and goes at it from all sides.
func TestPorts(t *testing.T) {
	t.Parallel()
	w := newTower(t, towerConfig(t), dockertest.Instance())
	owner, as := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	row := w.runs(as, "program", w.program(), 8000, 8001)
	at := w.url(row, 8000)
	b := w.newBrowser(token)
	b.up(at)

	t.Run("ABrowserIsLetInAndTheAddressIsClean", func(t *testing.T) {
		b := w.newBrowser(token)
		got := b.visit(at + "a%2Fb//c?x=%20y&z")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, at+"a%2Fb//c?x=%20y&z", got.url)
		require.Equal(t, fmt.Sprintf("/c/%s/8000/a%%2Fb//c?x=%%20y&z", row.ID), got.json(t)["uri"])
		require.Len(t, b.seen, 3, "to the site, back with a ticket, and to where it wanted to go")

		// The ticket was good once, and only for this browser.
		ticket := b.seen[1]
		require.Contains(t, ticket, "ticket=")
		require.Equal(t, http.StatusForbidden, b.visit(ticket).status)
		stranger := w.newBrowser("")
		stolen := w.newBrowser(token)
		stolen.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			stolen.seen = append(stolen.seen, r.URL.String())
			if strings.Contains(r.URL.RawQuery, "ticket=") {
				return http.ErrUseLastResponse
			}
			return nil
		}
		stolen.visit(at)
		fresh := stolen.seen[len(stolen.seen)-1]
		require.Contains(t, fresh, "ticket=")
		require.Equal(t, http.StatusForbidden, stranger.visit(fresh).status, "another browser has another door")
		require.Equal(t, http.StatusForbidden, stolen.visit(fresh).status, "and it was taken by that")
		require.NotContains(t, w.log.String(), strings.TrimPrefix(fresh[strings.Index(fresh, "ticket="):], "ticket="))
	})

	t.Run("D16OthersSeeNothing", func(t *testing.T) {
		other, _ := w.person(t, "other", user.RoleUser)
		theirs, _ := w.signIn(other, time.Hour)
		o := w.newBrowser(theirs)
		for _, path := range []string{"", "x", "-mlride/start", "../" + row.ID + "/8000/"} {
			got := o.visit(at + path)
			require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest}, got.status, path)
			require.NotContains(t, got.body, "uri", path)
		}
		// Nor with the pass of another container of their own, at whatever path.
		require.Equal(t, http.StatusUnauthorized, o.ask(http.MethodGet, at, "", "Sec-Fetch-Mode", "cors", "Cookie", "mlride_pass=x.99999999999.y").status)
		require.Equal(t, http.StatusNotFound, o.visit(w.URL+"/open?door="+strings.Repeat("a", 64)+"&to="+url.QueryEscape(row.ID+"/8000/")).status)
	})

	t.Run("OnlyAWindowGetsATicket", func(t *testing.T) {
		open := w.URL + "/open?door=" + strings.Repeat("a", 64) + "&to=" + url.QueryEscape(row.ID+"/8000/")
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodGet, open, "", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty").status)
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodGet, open, "", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe").status)
		require.Equal(t, http.StatusBadRequest, b.visit(w.URL+"/open?to=https%3A%2F%2Felsewhere.example%2F&door="+strings.Repeat("a", 64)).status)
	})

	t.Run("SignInComesFirst", func(t *testing.T) {
		nobody := w.newBrowser("")
		got := nobody.visit(at)
		require.Contains(t, got.url, w.URL+"/?then=%2Fopen")
	})

	t.Run("AdministratorsAreAskedAndWrittenDown", func(t *testing.T) {
		first := w.client().User.Query().Where(user.Username("first")).OnlyX(theSystem)
		theirs, _ := w.signIn(first, time.Hour)
		a := w.newBrowser(theirs)
		got := a.visit(at)
		require.Contains(t, got.body, "not yours", "asked first")
		require.Contains(t, got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
		got = a.ask(http.MethodPost, got.url, "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.True(t, w.client().AuditEvent.Query().Where(auditevent.Action("port.open"), auditevent.ActorID(first.ID), auditevent.Target(row.ID)).ExistX(theSystem))
	})

	t.Run("NothingOfOursReachesTheProgram", func(t *testing.T) {
		got := b.ask(http.MethodGet, at+"who", "", "Sec-Fetch-Mode", "cors", "Cookie", "its=own; mlride_session=x;mlride_other=1")
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.body, "its=own")
		require.NotContains(t, strings.ToLower(got.body), "mlride_")
		headers, _ := got.json(t)["headers"].(map[string]any)
		require.Equal(t, "localhost:8000", headers["Host"])
		require.Equal(t, strings.TrimPrefix(w.apps.URL, "http://"), headers["X-Forwarded-Host"])
		require.Equal(t, strings.TrimSuffix(strings.TrimPrefix(at, w.apps.URL), "/"), headers["X-Forwarded-Prefix"])
		require.Equal(t, "127.0.0.1", headers["X-Forwarded-For"])
	})

	t.Run("DSetCookieOfAProgramIsConfined", func(t *testing.T) {
		got := b.ask(http.MethodGet, at+"cookies", "")
		prefix := strings.TrimPrefix(at, w.apps.URL)
		require.ElementsMatch(t, []string{"mine=1; HttpOnly; Path=" + prefix, "deep=2; Path=" + prefix + "cookies"}, got.header.Values("Set-Cookie"))
		for _, name := range []string{"Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security"} {
			require.Empty(t, got.header.Get(name), name)
		}
		require.Equal(t, http.StatusOK, b.visit(at).status, "still let in")
	})

	t.Run("RedirectsStayInside", func(t *testing.T) {
		nofollow := *b.Client
		nofollow.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		quiet := &browser{Client: &nofollow, t: t}
		prefix := strings.TrimPrefix(at, w.apps.URL)
		for to, want := range map[string]string{
			"/login": prefix + "login", prefix + "x": prefix + "x", "http://localhost:8000/y?z=1": prefix + "y?z=1",
			"https://elsewhere.example/": "https://elsewhere.example/", "here": "here",
		} {
			require.Equal(t, want, quiet.ask(http.MethodGet, at+"redirect?to="+url.QueryEscape(to), "").header.Get("Location"), to)
		}
	})

	t.Run("TraversalAndSmuggling", func(t *testing.T) {
		pass := cookieOf(t, b, at)
		prefix := strings.TrimPrefix(at, w.apps.URL)
		for _, path := range []string{"../x", "a/../../b", "%2e%2e/x", "..%2fx", "a/%2E./b", `..%5cx`, "./x"} {
			require.Contains(t, w.raw(t, "GET "+prefix+path+" HTTP/1.1\r\nHost: a\r\nCookie: "+pass+"\r\nConnection: close\r\n\r\n"), "400 Bad Request", path)
		}
		both := "POST " + prefix + "who HTTP/1.1\r\nHost: a\r\nCookie: " + pass + "\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\nGET " + prefix + "smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
		require.NotContains(t, w.raw(t, both), "smuggled")
		require.Contains(t, w.raw(t, "GET "+prefix+"who HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"), "400")
		require.Contains(t, w.raw(t, "GET "+prefix+"who HTTP/1.1\r\nHost: a\r\nX-A : b\r\nConnection: close\r\n\r\n"), "400")
		injected := w.raw(t, "GET "+prefix+"redirect?to=%0d%0aSet-Cookie:%20mlride_session=x HTTP/1.1\r\nHost: a\r\nCookie: "+pass+"\r\nConnection: close\r\n\r\n")
		require.NotContains(t, injected, "\r\nSet-Cookie")
	})

	t.Run("PagesOfOthersChangeNothing", func(t *testing.T) {
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, at+"who", "x", "Sec-Fetch-Site", "same-site").status)
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, at+"who", "x", "Origin", w.URL).status)
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, at+"who", "x", "Origin", w.apps.URL).status)
		_, answer, err := websocket.Dial(t.Context(), at+"ws", &websocket.DialOptions{HTTPClient: b.Client, HTTPHeader: http.Header{"Origin": {"http://elsewhere.example"}}})
		require.Error(t, err)
		require.Equal(t, http.StatusForbidden, answer.StatusCode)
	})

	t.Run("PortsThatAreNotDeclaredOrClosed", func(t *testing.T) {
		require.Equal(t, http.StatusNotFound, b.visit(w.url(row, 8002)).status)
		got := b.visit(w.url(row, 8001))
		require.Equal(t, http.StatusBadGateway, got.status)
		require.Contains(t, got.body, "Nothing listens there")
		got = b.ask(http.MethodGet, w.url(row, 8001), "", "Accept", "text/html", "Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8")
		require.Contains(t, got.body, "没有程序在监听")
		require.NotContains(t, got.body, "<script")
	})

	t.Run("EventsComeOneByOne", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"events", nil)
		require.NoError(t, err)
		stream, err := b.Do(r)
		require.NoError(t, err)
		defer func() { _ = stream.Body.Close() }()
		lines := bufio.NewScanner(stream.Body)
		next := func() string {
			for lines.Scan() {
				if lines.Text() != "" {
					return lines.Text()
				}
			}
			return ""
		}
		require.Equal(t, "data: first", next(), "seen before the second is written")
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, at+"next", "").status)
		require.Equal(t, "data: second", next())
	})

	t.Run("UploadsAndDownloadsStream", func(t *testing.T) {
		const size = 64 << 20
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at+"upload", io.LimitReader(zeros{}, size))
		require.NoError(t, err)
		r.Header.Set("Expect", "100-continue")
		got := b.send(r)
		require.Equal(t, fmt.Sprint(size), got.body)
		r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%sdownload?n=%d", at, size), nil)
		require.NoError(t, err)
		answer, err := b.Do(r)
		require.NoError(t, err)
		defer func() { _ = answer.Body.Close() }()
		n, err := io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		require.EqualValues(t, size, n)
	})

	t.Run("AccessTokensWork", func(t *testing.T) {
		full := w.accessToken(as, "full", false)
		reads := w.accessToken(as, "reads", true)
		nobody := w.newBrowser("")
		got := nobody.ask(http.MethodPost, at+"who", "x", "Authorization", "Bearer "+full)
		require.Equal(t, http.StatusOK, got.status)
		require.NotContains(t, got.body, "mlr_")
		require.Equal(t, http.StatusOK, nobody.ask(http.MethodGet, at+"who", "", "Authorization", "Bearer "+reads).status)
		require.Equal(t, http.StatusForbidden, nobody.ask(http.MethodPost, at+"who", "x", "Authorization", "Bearer "+reads).status)
		require.Equal(t, http.StatusUnauthorized, nobody.ask(http.MethodGet, at+"who", "", "Authorization", "Bearer mlr_none").status)
		require.Contains(t, b.ask(http.MethodGet, at+"who", "", "Authorization", "Bearer its-own").body, "Bearer its-own", "the program's own")
	})

	t.Run("TheEndOfASignInEndsSocketsAndStreams", func(t *testing.T) {
		token, session := w.signIn(owner, time.Hour)
		b := w.newBrowser(token)
		require.Equal(t, http.StatusOK, b.visit(at).status)
		socket, _, err := websocket.Dial(t.Context(), at+"ws", &websocket.DialOptions{HTTPClient: b.Client, HTTPHeader: http.Header{"Origin": {w.apps.URL}}})
		require.NoError(t, err)
		defer func() { _ = socket.CloseNow() }()
		_, said, err := socket.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "origin http://localhost:8000", string(said), "the program finds that its own page asks")
		require.NoError(t, socket.Write(t.Context(), websocket.MessageBinary, []byte("hello")))
		_, said, err = socket.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "hello", string(said))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"events", nil)
		require.NoError(t, err)
		stream, err := b.Do(r)
		require.NoError(t, err)
		defer func() { _ = stream.Body.Close() }()

		require.Contains(t, w.post(t, token, "mutation{logout}", nil).body, "true")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, _, err = socket.Read(ctx)
		require.Error(t, err)
		require.NoError(t, ctx.Err(), "closed, and not waited out")
		_, err = io.ReadAll(stream.Body)
		require.Error(t, err)
		require.Equal(t, http.StatusUnauthorized, b.ask(http.MethodGet, at, "", "Sec-Fetch-Mode", "cors").status, session.ID)
	})

	t.Run("AStoppedContainerOffersToBeStarted", func(t *testing.T) {
		_, err := w.house.lifecycle.Stop(as, row.ID, 0)
		require.NoError(t, err)
		w.await(as, row.ID, container.StatusExited)
		got := b.visit(at)
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Contains(t, got.body, "Start it")
		_, after, _ := strings.Cut(got.body, `name="proof" value="`)
		proof, _, _ := strings.Cut(after, `"`)
		require.Equal(t, http.StatusForbidden, b.ask(http.MethodPost, at+"-mlride/start", "proof=x", "Content-Type", "application/x-www-form-urlencoded").status)
		b.ask(http.MethodPost, at+"-mlride/start", url.Values{"proof": {proof}}.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		w.await(as, row.ID, container.StatusRunning)
		require.Equal(t, http.StatusOK, b.up(at).status)
	})

	t.Run("AFrozenOneIsWoken", func(t *testing.T) {
		w.client().Container.UpdateOneID(row.ID).SetIdleSince(time.Now().UTC()).ExecX(theSystem)
		require.NoError(t, w.house.lifecycle.Freeze(theSystem, row.ID, container.FrozenIdle, "test", time.Time{}))
		w.await(as, row.ID, container.StatusPaused)
		require.Equal(t, http.StatusOK, b.visit(at).status)
		require.Equal(t, container.StatusRunning, w.client().Container.GetX(theSystem, row.ID).Status)
	})
}

// TestProgramsThatKnowNoPrefix answer at / only, and are reached all the same.
func TestProgramsThatKnowNoPrefix(t *testing.T) {
	t.Parallel()
	w := newTower(t, towerConfig(t), dockertest.Instance())
	owner, as := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	row := w.runs(as, "plain", []string{"sh", "-c", "mkdir /tmp/w && cd /tmp/w && echo $MLRIDE_PORT_PREFIX_8000 > told && exec python3 -m http.server 8000"}, 8000)
	b := w.newBrowser(token)
	at := w.url(row, 8000)
	require.Equal(t, http.StatusOK, b.up(at).status)
	require.Equal(t, strings.TrimPrefix(at, w.apps.URL)+"\n", b.visit(at+"told").body, "the program is told where it is reached")
	require.Equal(t, http.StatusNotFound, b.visit(at+"none").status)
	require.Equal(t, http.StatusNotImplemented, b.ask(http.MethodPost, at+"told", "x").status, "its own word")
}

// TestPortsByHostName gives each port an origin of its own.
func TestPortsByHostName(t *testing.T) {
	t.Parallel()
	config := towerConfig(t)
	config.AppsURL = "http://*.apps.example:8081"
	w := newTower(t, config, dockertest.Instance())
	owner, as := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	row := w.runs(as, "program", w.program(), 8000)
	at := w.url(row, 8000)
	require.Equal(t, "http://8000-"+strings.ReplaceAll(row.ID, "_", "-")+".apps.example:8081/", at)
	b := w.newBrowser(token)
	b.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		if strings.HasSuffix(address, ".apps.example:8081") {
			address = w.apps.Listener.Addr().String()
		}
		return d.DialContext(ctx, network, address)
	}}
	w.house.ports.Site = w.URL // as MLRIDE_URL would say
	got := b.up(at + "x/y")
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Equal(t, "/x/y", got.json(t)["uri"])
	require.Equal(t, http.StatusNotFound, b.visit("http://nobody.apps.example:8081/").status)
	require.Contains(t, w.post(t, token, "{serverInfo{appsShareOrigin}}", nil).body, "false")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// raw sends bytes to the second origin and reads until it closes.
func (w *tower) raw(t *testing.T, text string) string {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", w.apps.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(c, text)
	require.NoError(t, err)
	answer, _ := io.ReadAll(c)
	return string(answer)
}

// cookieOf is the pass of a browser, as a header holds it.
func cookieOf(t *testing.T, b *browser, at string) string {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "mlride_pass" {
			return c.Name + "=" + c.Value
		}
	}
	require.Fail(t, "it has no pass")
	return ""
}

func (w *tower) accessToken(as context.Context, name string, readOnly bool) string {
	w.t.Helper()
	v := auth.Of(as)
	v.SessionID = "ses_test"
	_, secret, err := w.house.accounts.CreateToken(auth.With(w.t.Context(), v), account.NewToken{Name: name, ReadOnly: readOnly})
	require.NoError(w.t, err)
	return secret
}
