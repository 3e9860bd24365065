package server

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
)

// termPatience bounds what a test of terminals waits for.
const termPatience = 60 * time.Second

// screenOf is one connection to a terminal.
type screenOf struct {
	t    *testing.T
	conn *websocket.Conn
	text strings.Builder
}

func (c *castle) dialTerminal(t *testing.T, path, token string, header ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	options := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if token != "" {
		options.HTTPHeader.Set("Cookie", cookieName+"="+token)
	}
	for i := 0; i < len(header); i += 2 {
		options.HTTPHeader.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), termPatience)
	defer cancel()
	return websocket.Dial(ctx, c.URL+"/terminal/"+path, options) //nolint:bodyclose // the library closes it
}

func (c *castle) screen(t *testing.T, path, token string, header ...string) *screenOf {
	t.Helper()
	conn, _, err := c.dialTerminal(t, path, token, header...) //nolint:bodyclose // the library closes it
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &screenOf{t: t, conn: conn}
}

func (s *screenOf) send(kind websocket.MessageType, text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), termPatience)
	defer cancel()
	require.NoError(s.t, s.conn.Write(ctx, kind, []byte(text)))
}

// sees reads until text was shown.
func (s *screenOf) sees(text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), termPatience)
	defer cancel()
	for !strings.Contains(s.text.String(), text) {
		kind, data, err := s.conn.Read(ctx)
		require.NoError(s.t, err, "waiting for %q in %q", text, s.text.String())
		require.Equal(s.t, websocket.MessageBinary, kind)
		s.text.Write(data)
	}
}

// ends reads until the connection ends, and gives the code and the reason.
func (s *screenOf) ends() (websocket.StatusCode, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), termPatience)
	defer cancel()
	for {
		_, _, err := s.conn.Read(ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		require.ErrorAs(s.t, err, &closed)
		return closed.Code, closed.Reason
	}
}

// tenant is somebody with a running container and a sign-in.
func (c *castle) tenant(t *testing.T) (o *things, id, token string, session *ent.Session) {
	t.Helper()
	o = c.things(t)
	token, session = c.signIn(o.owner, time.Hour)
	return o, o.fill("<running>"), token, session
}

func TestTerminalOverTheSocket(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	_, id, token, _ := c.tenant(t)
	first := c.screen(t, id+"?cols=100&rows=30&name=work", token)
	first.send(websocket.MessageBinary, "stty size\n")
	first.sees("30 100\r\n")
	first.send(websocket.MessageText, `{"cols":120,"rows":40}`)
	require.Eventually(t, func() bool {
		first.send(websocket.MessageBinary, "stty size\n")
		first.sees("stty size\r\n")
		second := c.screen(t, id+"?cols=120&rows=40&name=work", token)
		defer func() { _ = second.conn.CloseNow() }()
		second.sees("stty size")
		return strings.Contains(second.text.String(), "40 120\r\n")
	}, termPatience, 50*time.Millisecond)
	answer := c.post(t, token, `{containers{edges{node{terminals{name command connections}}}}}`, nil)
	require.Contains(t, answer.body, `"name":"work"`)
	require.Contains(t, answer.body, `"command":"sh"`)

	third := c.screen(t, id+"?name=work", token)
	third.sees("30 100") // the last of what was printed
	third.send(websocket.MessageBinary, "exit 4\n")
	for _, s := range []*screenOf{first, third} {
		code, reason := s.ends()
		require.Equal(t, websocket.StatusNormalClosure, code)
		require.Equal(t, "The shell ended with 4.", reason)
	}

	again := c.screen(t, id+"?name=work", token)
	again.send(websocket.MessageBinary, "echo hello\n")
	again.sees("hello\r\n")
	answer = c.post(t, token, `mutation{closeTerminal(id:"`+id+`",name:"work"){container{terminals{name}}}}`, nil)
	require.Contains(t, answer.body, `"terminals":[]`)
	code, reason := again.ends()
	require.Equal(t, websocket.StatusNormalClosure, code)
	require.Equal(t, "The terminal was closed.", reason)
}

func TestTerminalRefusedBeforeTheSocket(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	_, id, token, _ := c.tenant(t)
	refused := func(want int, token string, header ...string) {
		t.Helper()
		_, response, err := c.dialTerminal(t, id, token, header...)
		require.Error(t, err)
		require.NotNil(t, response)
		require.Equal(t, want, response.StatusCode)
	}
	refused(http.StatusUnauthorized, "")
	refused(http.StatusUnauthorized, "not-a-session")
	refused(http.StatusForbidden, token, "Origin", "https://elsewhere.example")
	refused(http.StatusUnauthorized, "", "Authorization", "Bearer mlr_nothing")
	made := c.post(t, token, `mutation{createAccessToken(input:{name:"reads",readOnly:true,expiresAt:"2100-01-01T00:00:00Z"}){secret}}`, nil)
	reads := secretIn(made.body)
	require.NotEmpty(t, reads, made.body)
	refused(http.StatusForbidden, "", "Authorization", "Bearer "+reads)

	made = c.post(t, token, `mutation{createAccessToken(input:{name:"writes",expiresAt:"2100-01-01T00:00:00Z"}){secret}}`, nil)
	writes := c.screen(t, id, "", "Authorization", "Bearer "+secretIn(made.body))
	writes.send(websocket.MessageBinary, "echo by token\n")
	writes.sees("by token\r\n")

	plain, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/terminal/"+id, nil)
	require.NoError(t, err)
	plain.AddCookie(&http.Cookie{Name: cookieName, Value: token})
	response, err := http.DefaultClient.Do(plain)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusUpgradeRequired, response.StatusCode)

	beginner, _ := c.person(t, "beginner", user.RoleUser)
	c.client().User.UpdateOne(beginner).SetMustChangePassword(true).ExecX(theSystem)
	token, _ = c.signIn(beginner, time.Hour)
	refused(http.StatusForbidden, token)
}

func secretIn(body string) string {
	_, rest, _ := strings.Cut(body, `"secret":"`)
	secret, _, _ := strings.Cut(rest, `"`)
	return secret
}

func TestTerminalCodes(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	o, id, token, _ := c.tenant(t)
	other, _ := c.person(t, "other", user.RoleUser)
	othersToken, _ := c.signIn(other, time.Hour)
	code := func(want websocket.StatusCode, path, token string) string {
		t.Helper()
		got, reason := c.screen(t, path, token).ends()
		require.Equal(t, want, got, reason)
		require.NotEmpty(t, reason)
		return reason
	}
	// somebody else's looks as if it were not there
	require.Equal(t, strings.ReplaceAll(code(closeNotFound, id, othersToken), id, "X"),
		strings.ReplaceAll(code(closeNotFound, "ctr_01h00000000000000000000000", othersToken), "ctr_01h00000000000000000000000", "X"))
	code(closeBadTerminal, id+"?name=a/b", token)
	code(closeBadTerminal, id+"?cols=0", token)
	code(closeBadTerminal, id+"?rows=many", token)
	require.Contains(t, code(closeNotRunning, o.fill("<container>"), token), "Start it first")
	c.fake.Fail(enginetest.MethodOpenTerminal, engine.ErrBusy, 1)
	code(closeNoProcess, id, token)
	c.fake.Fail(enginetest.MethodExec, engine.ErrUnreachable, 1)
	code(closeNoEngine, id, token)

	s := c.screen(t, id, token)
	s.send(websocket.MessageText, `{"cols":80,"rows":1001}`)
	got, _ := s.ends()
	require.Equal(t, closeBadTerminal, got)
	s = c.screen(t, id, token)
	s.send(websocket.MessageBinary, strings.Repeat("x", maxTyped+1))
	got, _ = s.ends()
	require.Equal(t, websocket.StatusMessageTooBig, got)
}

// TestTerminalEndsWithTheSignIn, and not with the shell; and with the server.
func TestTerminalEndsWithTheSignIn(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	o, id, token, _ := c.tenant(t)
	s := c.screen(t, id, token)
	s.send(websocket.MessageBinary, "echo first\n")
	s.sees("first\r\n")
	require.Contains(t, c.post(t, token, `mutation{logout}`, nil).body, "true")
	code, _ := s.ends()
	require.Equal(t, closeSignedOut, code)

	token, _ = c.signIn(o.owner, time.Hour)
	s = c.screen(t, id, token)
	s.sees("first\r\n") // the same shell
	ctx, cancel := context.WithTimeout(t.Context(), termPatience)
	defer cancel()
	said := make(chan error, 1)
	go func() { said <- c.handler.Goodbye(ctx) }()
	code, _ = s.ends()
	require.Equal(t, websocket.StatusServiceRestart, code)
	require.NoError(t, <-said)
}
