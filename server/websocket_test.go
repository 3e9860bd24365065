package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/auth"
)

// client is one socket, as a client sees it.
type client struct {
	t    *testing.T
	conn *websocket.Conn
}

func (h *rig) dial(t *testing.T, token, protocol string, header ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	options := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if protocol != "" {
		options.Subprotocols = []string{protocol}
	}
	if token != "" {
		options.HTTPHeader.Set("Cookie", cookieName+"="+token)
	}
	for i := 0; i < len(header); i += 2 {
		options.HTTPHeader.Set(header[i], header[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return websocket.Dial(ctx, h.URL+"/graphql", options) //nolint:bodyclose // the library closes it
}

// socket opens one and, where init, goes through its beginning.
func (h *rig) socket(t *testing.T, token, protocol string, init bool) client {
	t.Helper()
	conn, _, err := h.dial(t, token, protocol)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	c := client{t, conn}
	if init {
		c.send(`{"type":"connection_init"}`)
		require.Equal(t, "connection_ack", c.read().Type)
		if protocol == legacyWS {
			require.Equal(t, "ka", c.read().Type)
		}
	}
	return c
}

func (c client) send(text string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.Write(c.t.Context(), websocket.MessageText, []byte(text)))
}

func (c client) subscribe(id, query string) {
	c.t.Helper()
	kind := "subscribe"
	if c.conn.Subprotocol() == legacyWS {
		kind = "start"
	}
	text, err := json.Marshal(map[string]any{"id": id, "type": kind, "payload": map[string]any{"query": query}})
	require.NoError(c.t, err)
	c.send(string(text))
}

func (c client) read() message {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	require.NoError(c.t, err)
	var m message
	require.NoError(c.t, json.Unmarshal(text, &m))
	return m
}

// closed is the code with which the server ends the socket; messages before it
// are read over.
func (c client) closed() (websocket.StatusCode, string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, _, err := c.conn.Read(ctx)
		if err == nil {
			continue
		}
		var e websocket.CloseError
		require.ErrorAs(c.t, err, &e)
		return e.Code, e.Reason
	}
}

const forever = "subscription{usageChanged{containers}}"

func TestSocketCarriesOperations(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for protocol, w := range vocabularies {
		c := h.socket(t, aliceToken, protocol, true)
		c.subscribe("1", `subscription{containerStats(id:"ctr_1"){pids}}`)
		for pids := 1; pids <= 2; pids++ {
			assert.Equal(t, message{Type: w.next, ID: "1", Payload: json.RawMessage(fmt.Sprintf(`{"data":{"containerStats":{"pids":%d}}}`, pids))}, c.read())
		}
		assert.Equal(t, message{Type: "complete", ID: "1"}, c.read(), protocol)
		c.subscribe("1", "{viewer{username}}") // the id is free again
		assert.Equal(t, `{"data":{"viewer":{"username":"alice"}}}`, string(c.read().Payload))
		assert.Equal(t, "complete", c.read().Type)

		c.subscribe("2", "{none}")
		m := c.read()
		assert.Equal(t, "error", m.Type)
		assert.Contains(t, string(m.Payload), "GRAPHQL_VALIDATION_FAILED")
		c.subscribe("3", "{system{version}}") // the next message is of this one: no complete came after the error
		m = c.read()
		assert.Equal(t, w.next, m.Type)
		assert.Contains(t, string(m.Payload), `"FORBIDDEN"`)
		assert.Equal(t, message{Type: "complete", ID: "3"}, c.read())
		c.subscribe("4", `subscription{containerStats(id:"ctr_none"){pids}}`)
		m = c.read()
		assert.Contains(t, string(m.Payload), "NOT_FOUND")
		assert.NotContains(t, string(m.Payload), `"data"`)
		assert.Equal(t, message{Type: "complete", ID: "4"}, c.read())
	}
}

func TestSocketStopsAnOperation(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for protocol, w := range vocabularies {
		c := h.socket(t, aliceToken, protocol, true)
		for range 20 { // the same id again and again, at once
			c.subscribe("a", forever)
			m := c.read()
			require.Equal(t, w.next, m.Type)
			c.send(`{"type":"` + w.stop + `","id":"a"}`)
			if protocol == legacyWS {
				require.Equal(t, "complete", c.read().Type)
			}
		}
		c.send(`{"type":"` + w.stop + `","id":"unknown"}`)
		require.Eventually(t, func() bool { return h.resolver.streams.Load() == 0 }, 5*time.Second, time.Millisecond)
		c.subscribe("b", "{viewer{username}}")
		require.Equal(t, "b", c.read().ID)
	}
}

func TestSocketPings(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(_ *Deps, h *Handler) {
		if h != nil {
			h.api.viewers.ping = time.Millisecond
		}
	})
	c := h.socket(t, aliceToken, transportWS, true)
	c.send(`{"type":"ping","payload":{"a":1}}`)
	assert.Equal(t, message{Type: "pong", Payload: json.RawMessage(`{"a":1}`)}, c.read())
	c.send(`{"type":"pong"}`)
	c.subscribe("1", "{viewer{username}}")
	assert.Equal(t, "next", c.read().Type)
	old := h.socket(t, aliceToken, legacyWS, true)
	assert.Equal(t, "ka", old.read().Type)
	old.send(`{"type":"connection_terminate"}`)
	code, _ := old.closed()
	assert.Equal(t, websocket.StatusNormalClosure, code)
}

// TestCloseCodes is what graphql-transport-ws asks of a server.
func TestCloseCodes(t *testing.T) {
	t.Parallel()
	short := func(_ *Deps, h *Handler) {
		if h != nil {
			h.api.sockets.initTimeout = 50 * time.Millisecond
		}
	}
	const init = `{"type":"connection_init"}`
	sub := func(id string) string {
		return `{"type":"subscribe","id":"` + id + `","payload":{"query":"` + forever + `"}}`
	}
	for name, c := range map[string]struct {
		protocol string
		messages []string
		code     websocket.StatusCode
		reason   string
	}{
		"no subprotocol":            {protocol: "-", code: 4406, reason: "Subprotocol not acceptable"},
		"unknown subprotocol":       {protocol: "soap", code: 4406, reason: "Subprotocol not acceptable"},
		"no init":                   {code: 4408, reason: "Connection initialisation timeout"},
		"subscribe before init":     {messages: []string{sub("1")}, code: 4401, reason: "Unauthorized"},
		"start before init":         {protocol: legacyWS, messages: []string{strings.Replace(sub("1"), "subscribe", "start", 1)}, code: 4401},
		"second init":               {messages: []string{init, init}, code: 4429, reason: "Too many initialisation requests"},
		"duplicate id":              {messages: []string{init, sub("1"), sub("1")}, code: 4409, reason: "Subscriber for 1 already exists"},
		"long duplicate id":         {messages: []string{init, sub(strings.Repeat("x", 500)), sub(strings.Repeat("x", 500))}, code: 4409},
		"bad JSON":                  {messages: []string{init, "{"}, code: 4400, reason: "Invalid message"},
		"bad JSON before init":      {messages: []string{"no"}, code: 4400},
		"unknown type":              {messages: []string{init, `{"type":"dance"}`}, code: 4400},
		"message of a server":       {messages: []string{init, `{"type":"next","id":"1"}`}, code: 4400},
		"no id":                     {messages: []string{init, `{"type":"subscribe","payload":{"query":"{viewer{id}}"}}`}, code: 4400},
		"no payload":                {messages: []string{init, `{"type":"subscribe","id":"1"}`}, code: 4400},
		"query no text":             {messages: []string{init, `{"type":"subscribe","id":"1","payload":{"query":7}}`}, code: 4400},
		"init with a token":         {messages: []string{`{"type":"connection_init","payload":{"Authorization":"Bearer mlr_x"}}`}, code: 4401},
		"init that is no object":    {messages: []string{`{"type":"connection_init","payload":[1]}`}, code: 4400},
		"words of the other":        {protocol: legacyWS, messages: []string{init, sub("1")}, code: 4400},
		"a message that is too big": {messages: []string{init, `{"type":"ping","payload":{"a":"` + strings.Repeat("x", maxBody) + `"}}`}, code: websocket.StatusMessageTooBig},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newRig(t)
			if name == "no init" {
				h = newRig(t, short)
			}
			protocol := c.protocol
			switch protocol {
			case "":
				protocol = transportWS
			case "-":
				protocol = ""
			}
			s := h.socket(t, aliceToken, protocol, false)
			for _, m := range c.messages {
				if s.conn.Write(t.Context(), websocket.MessageText, []byte(m)) != nil {
					break // the server has ended it already
				}
			}
			code, reason := s.closed()
			assert.Equal(t, c.code, code)
			if c.reason != "" {
				assert.Equal(t, c.reason, reason)
			}
			require.Eventually(t, func() bool { return h.resolver.streams.Load() == 0 }, 5*time.Second, time.Millisecond)
		})
	}
}

func TestSocketsEndWithTheSignIn(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	var sockets []client
	for protocol := range vocabularies {
		c := h.socket(t, aliceToken, protocol, true)
		c.subscribe("1", forever)
		c.read()
		sockets = append(sockets, c)
	}
	idle := h.socket(t, aliceToken, transportWS, false)
	other := h.socket(t, adminToken, transportWS, true)
	began := time.Now()
	h.accounts.end(aliceToken)
	for _, c := range append(sockets, idle) {
		code, _ := c.closed()
		assert.Equal(t, closeSignedOut, code)
	}
	assert.Less(t, time.Since(began), time.Second)
	require.Eventually(t, func() bool { return h.resolver.streams.Load() == 0 }, 5*time.Second, time.Millisecond)
	other.subscribe("1", "{viewer{username}}")
	assert.Contains(t, string(other.read().Payload), "admin")
}

func TestSocketAsksAgainWhoItIs(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	c := h.socket(t, aliceToken, transportWS, true)
	c.subscribe("1", "{viewer{username}}")
	assert.Contains(t, string(c.read().Payload), "alice")
	c.read()
	h.accounts.change(aliceToken, func(v *auth.Viewer) { v.Username = "alicia" })
	c.subscribe("2", "{viewer{username}}")
	assert.Contains(t, string(c.read().Payload), "alicia")
	visitor := h.socket(t, "", transportWS, true)
	visitor.subscribe("1", "{viewer{username}}")
	assert.Equal(t, `{"data":{"viewer":null}}`, string(visitor.read().Payload))
	visitor.read()
	visitor.subscribe("2", `mutation{login(input:{login:"a",password:"b"}){user{id}}}`)
	assert.Contains(t, string(visitor.read().Payload), "Sign in by POST.", "a socket cannot set the cookie")
}

func TestSocketsEndWithTheServer(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	c := h.socket(t, aliceToken, transportWS, true)
	c.subscribe("1", forever)
	c.read()
	done := make(chan error, 1)
	go func() { done <- h.handler.Goodbye(context.Background()) }()
	code, _ := c.closed()
	assert.Equal(t, websocket.StatusServiceRestart, code)
	err, _ := next(t, done)
	require.NoError(t, err)
	assert.Zero(t, h.resolver.streams.Load())
}

func TestBoundsOfSockets(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	c := h.socket(t, aliceToken, transportWS, true)
	for i := range maxOperations {
		c.subscribe(fmt.Sprint(i), forever)
		require.Equal(t, "next", c.read().Type)
	}
	c.subscribe("more", forever)
	m := c.read()
	assert.Equal(t, "error", m.Type)
	assert.Equal(t, "more", m.ID)
	assert.Contains(t, string(m.Payload), "RATE_LIMITED")
	c.send(`{"type":"complete","id":"0"}`)
	require.Eventually(t, func() bool { return h.resolver.streams.Load() == maxOperations-1 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { // its place is free a moment after its stream has ended
		c.subscribe("again", "{viewer{username}}")
		m := c.read()
		if m.Type == "next" {
			c.read()
		}
		return m.Type == "next"
	}, 5*time.Second, time.Millisecond)

	var opened sync.WaitGroup
	for range maxStreams - 1 {
		opened.Go(func() {
			conn, _, err := h.dial(t, aliceToken, transportWS)
			if assert.NoError(t, err) {
				t.Cleanup(func() { _ = conn.CloseNow() })
			}
		})
	}
	opened.Wait()
	_, answered, err := h.dial(t, aliceToken, transportWS)
	require.Error(t, err)
	assert.Equal(t, http.StatusTooManyRequests, answered.StatusCode)
	h.socket(t, adminToken, transportWS, true) // others are not held back
}

func TestSocketOrigins(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(d *Deps, _ *Handler) {
		d.Config.AllowedOrigins = Origins{"https://tools.example"}
		d.Config.URL = "https://mlride.example"
	})
	for origin, ok := range map[string]bool{
		h.URL: true, "https://tools.example": true, "https://mlride.example": true,
		"https://evil.example": false, "http://127.0.0.1:1": false, "null": false,
	} {
		conn, answered, err := h.dial(t, aliceToken, transportWS, "Origin", origin)
		if ok {
			require.NoError(t, err, origin)
			_ = conn.CloseNow()
			continue
		}
		require.Error(t, err, origin)
		assert.Equal(t, http.StatusForbidden, answered.StatusCode, origin)
	}
	_, answered, err := h.dial(t, "", transportWS, "Authorization", "Bearer mlr_x")
	require.Error(t, err)
	assert.Equal(t, http.StatusUnauthorized, answered.StatusCode)
}

func TestUpgradeToSomethingElseIsIgnored(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.do(t, request{
		method: "POST", path: "/graphql", body: `{"query":"{serverInfo{version}}"}`,
		header: map[string]string{"Content-Type": typeJSON, "Upgrade": "h2c", "Connection": "Upgrade"},
	})
	assert.Equal(t, 200, got.status)
	require.Empty(t, got.Errors)
}
