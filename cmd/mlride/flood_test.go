package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// peak is the most memory that the server ever had, in MiB.
func (p *product) peak() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(p.t, err)
	_, after, found := strings.Cut(string(status), "VmHWM:")
	require.True(p.t, found)
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	require.NoError(p.t, err)
	return kib / 1024
}

// TestLoginFlood: 1,000 sign-ins with wrong passwords by 50 clients at once.
// Memory stays bounded, others are answered, and nobody is locked out for good.
func TestLoginFlood(t *testing.T) {
	const (
		clients, tries = 50, 20
		// cores is how many passwords the server hashes at once, each in the 19 MiB
		// of its argon2id. A collection counts what lives while it runs: twice as
		// many, as some end and others begin meanwhile, and 16 MiB that a busy
		// server holds. Garbage may grow to five times that (GOGC=400). 64 MiB are
		// the program itself. Fifty at once would live in 950 MiB, without garbage.
		cores  = 2
		atMost = 5*(2*cores*19+16) + 64
	)
	p := build(t)
	p.start(fmt.Sprint("GOMAXPROCS=", cores))
	ann, ben := p.client(), p.client()
	ann.register("ann")
	ben.register("ben")
	atRest := p.peak()
	login := func(c *client, name, password string) (answer, error) {
		return c.try(`mutation($input: LoginInput!) { login(input: $input) { user { id } } }`,
			map[string]any{"input": map[string]any{"login": name, "password": password}})
	}

	// Half goes at one account, where the throttle refuses most before they are
	// hashed; half at names that nobody has, and each of these is hashed.
	var flood, others sync.WaitGroup
	var wrong, slowed, lists atomic.Int64
	for i := range clients {
		c := p.client()
		flood.Go(func() {
			for try := range tries {
				name := "ann"
				if try >= tries/2 {
					name = fmt.Sprintf("nobody%d-%d", i, try)
				}
				a, err := login(c, name, "a flood of wrong words")
				if !assert.NoError(t, err) {
					return
				}
				switch a.code() {
				case "UNAUTHENTICATED":
					wrong.Add(1)
				case "RATE_LIMITED":
					slowed.Add(1)
					assert.Positive(t, a.Errors[0].Extensions["retryAfter"])
				default:
					assert.Fail(t, "a wrong password was answered otherwise", "%+v", a)
				}
			}
		})
	}
	over := make(chan struct{})
	for _, c := range []*client{ann, ben} { // the attacked one goes on in the session it has
		others.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				a, err := c.try(listQuery, nil)
				if !assert.NoError(t, err) || !assert.Empty(t, a.Errors) {
					return
				}
				lists.Add(1)
			}
		})
	}
	// Another account signs in amid it, from the same address.
	a, err := login(p.client(), "ben", "correct horse battery")
	require.NoError(t, err)
	require.Empty(t, a.Errors)
	flood.Wait()
	close(over)
	others.Wait()

	most := p.peak()
	t.Logf("%d wrong, %d slowed, %d lists beside them; %d MiB before, %d MiB at most", wrong.Load(), slowed.Load(), lists.Load(), atRest, most)
	require.LessOrEqual(t, most, atMost)
	require.EqualValues(t, clients*tries, wrong.Load()+slowed.Load())
	require.GreaterOrEqual(t, wrong.Load(), int64(clients*tries/2), "names that nobody has are answered as others are")
	require.Positive(t, slowed.Load())
	require.Greater(t, lists.Load(), int64(2), "others are answered")

	// The attacked one comes in again as soon as the wait that it is told is over.
	a, err = login(p.client(), "ann", "correct horse battery")
	require.NoError(t, err)
	if a.code() == "RATE_LIMITED" {
		wait, ok := a.Errors[0].Extensions["retryAfter"].(float64)
		require.True(t, ok)
		require.LessOrEqual(t, wait, 60.0)
		<-time.After(time.Duration(wait) * time.Second)
		a, err = login(p.client(), "ann", "correct horse battery")
		require.NoError(t, err)
	}
	require.Empty(t, a.Errors)
}
