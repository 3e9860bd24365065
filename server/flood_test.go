package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// TestTenThousandSubscriptionsOfOneSocket: those beyond the bound are refused one
// by one, those before it go on, and the socket takes more when they have ended.
func TestTenThousandSubscriptionsOfOneSocket(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	c := h.socket(t, aliceToken, transportWS, true)
	const asked = 10_000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range asked {
			text := fmt.Sprintf(`{"id":"%d","type":"subscribe","payload":{"query":"%s"}}`, i, forever)
			if err := c.conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	begun, refused := 0, 0
	for begun+refused < asked {
		switch m := c.read(); m.Type {
		case "next":
			begun++
		case "error":
			require.Contains(t, string(m.Payload), "RATE_LIMITED")
			refused++
		}
	}
	<-sent
	require.Equal(t, maxOperations, begun)
	require.EqualValues(t, maxOperations, h.resolver.streams.Load())
}

// TestSocketCutInMidFrame: its operations end, and its place is free again.
func TestSocketCutInMidFrame(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	address := strings.TrimPrefix(h.URL, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "GET /graphql HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nCookie: %s=%s\r\n\r\n", address, transportWS, cookieName, aliceToken)
	require.NoError(t, err)
	frame := func(text string) []byte { // masked with zeros: as it is
		head := []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}
		if len(text) > 125 {
			head = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
		}
		return append(head, text...)
	}
	write := func(b []byte) {
		_, err := conn.Write(b)
		require.NoError(t, err)
	}
	write(frame(`{"type":"connection_init"}`))
	write(frame(`{"type":"subscribe","id":"1","payload":{"query":"` + forever + `"}}`))
	require.Eventually(t, func() bool { return h.resolver.streams.Load() == 1 }, time.Minute, time.Millisecond)
	whole := frame(`{"type":"subscribe","id":"2","payload":{"query":"` + forever + `"}}`)
	write(whole[:len(whole)/2])
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return h.resolver.streams.Load() == 0 }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		h.handler.api.census.mu.Lock()
		defer h.handler.api.census.mu.Unlock()
		return len(h.handler.api.census.n) == 0
	}, time.Minute, time.Millisecond)
}
