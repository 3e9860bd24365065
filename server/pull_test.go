package server

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/docker/dockertest"
)

// trickle hands out a layer in pieces, one at each tick.
type trickle struct {
	io.ReadCloser
	piece int64
	left  int64
	tick  *time.Ticker
}

func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.tick.C
		b.left = b.piece
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// shownPull is what a subscription tells of a pull.
type shownPull struct {
	Data struct {
		ImageChanged struct {
			Image struct {
				Status   string
				Progress *struct{ CurrentBytes, TotalBytes int64 }
			}
		}
	}
}

// TestP11PullOutlastsTheLimits of the HTTP layer: behind a listener whose limits of
// time are a third of what the pull takes, both kinds of stream show it all along,
// to its good end.
func TestP11PullOutlastsTheLimits(t *testing.T) {
	t.Parallel()
	const limit, pieces = time.Second, 12
	w := newTower(t, towerConfig(t), dockertest.Instance())
	r := dockertest.Registry(t)
	r.Push("team/slow:1", 2<<20)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	proxy.FlushInterval, proxy.ErrorLog = -1, log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(a *http.Response) error {
		if a.Request.Method == http.MethodGet && a.ContentLength > 1<<20 {
			tick := time.NewTicker(3 * limit / pieces)
			t.Cleanup(tick.Stop)
			a.Body = &trickle{ReadCloser: a.Body, piece: a.ContentLength/pieces + 1, tick: tick}
		}
		return nil
	}
	door := httptest.NewServer(proxy)
	t.Cleanup(door.Close)
	front := httptest.NewUnstartedServer(w.handler)
	front.Config.ReadTimeout, front.Config.WriteTimeout, front.Config.IdleTimeout = limit, limit, limit
	front.Start()
	t.Cleanup(front.Close)
	strict := &rig{Server: front}

	owner, _ := w.person(t, "owner", user.RoleUser)
	token, _ := w.signIn(owner, time.Hour)
	const watch = `subscription{imageChanged{image{status progress{currentBytes totalBytes}}}}`
	events, _ := strict.events(t, token, http.MethodPost, watch)
	socket := strict.socket(t, token, transportWS, true)
	socket.subscribe("1", watch)
	socket.subscribe("2", "{viewer{username}}") // answered when the first one is taken up
	for socket.read().ID != "2" {
	}
	answer := w.post(t, token, `mutation($r:String!){pullImage(input:{reference:$r,preferSlim:false}){image{id}}}`,
		map[string]any{"r": strings.TrimPrefix(door.URL, "http://") + "/team/slow:1"})
	require.Empty(t, answer.Errors, answer.body)

	for name, read := range map[string]func() string{
		"socket": func() string {
			for {
				if m := socket.read(); m.Type == "next" && m.ID == "1" {
					return string(m.Payload)
				}
			}
		},
		"events": func() string {
			got, open := next(t, events)
			require.True(t, open, "the stream ended")
			return got.data
		},
	} {
		had := map[int64]bool{}
		last, told := int64(0), ""
		for status := ""; status != "READY"; {
			told = read()
			var p shownPull
			require.NoError(t, json.Unmarshal([]byte(told), &p), told)
			status = p.Data.ImageChanged.Image.Status
			require.NotEqual(t, "FAILED", status, told)
			if now := p.Data.ImageChanged.Image.Progress; now != nil {
				require.GreaterOrEqual(t, now.CurrentBytes, last, name)
				last = now.CurrentBytes
				had[last] = true
			}
		}
		require.Greater(t, len(had), pieces/2, fmt.Sprint(name, ": it is told of each piece, also after the limit"))
	}
}
