package docker_test

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// termPatience bounds what a test of terminals waits for.
const termPatience = 60 * time.Second

// tty is an open terminal, and all that it printed.
type tty struct {
	engine.Terminal
	t    *testing.T
	mu   sync.Mutex
	text bytes.Buffer
	over chan error
}

func (b *box) tty(id, name string) *tty {
	b.t.Helper()
	opened, err := b.engine.OpenTerminal(b.ctx, id, engine.TerminalSpec{ID: name, Command: []string{"sh"}, Cols: 200, Rows: 50})
	require.NoError(b.t, err)
	w := &tty{Terminal: opened, t: b.t, over: make(chan error, 1)}
	b.t.Cleanup(func() { _ = opened.Close() })
	go func() {
		_, err := io.Copy(lockedWriter{w}, opened)
		w.over <- err
	}()
	return w
}

type lockedWriter struct{ *tty }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

// sees waits until text was printed, and gives everything that was.
func (w *tty) sees(text string) string {
	w.t.Helper()
	var all string
	require.Eventually(w.t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		all = w.text.String()
		return strings.Contains(all, text)
	}, termPatience, 10*time.Millisecond, "waiting for %q", text)
	return all
}

func (w *tty) types(line string) {
	w.t.Helper()
	_, err := w.Write([]byte(line))
	require.NoError(w.t, err)
}

// statusLines are what the kernel says of a process without privileges.
var statusLines = []string{"CapPrm:\t00000000000000fb", "CapEff:\t00000000000000fb", "CapBnd:\t00000000000000fb", "NoNewPrivs:\t1", "Seccomp:\t2"}

// TestD40Terminal: what is run in a container by us has no more rights than its
// own program, and is its user.
func TestD40Terminal(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sleep", "3600")
	w := b.tty(id, "trm_1")
	w.types("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; mount -t tmpfs none /tmp; echo done-$((1+1))\n")
	printed := strings.ReplaceAll(w.sees("done-2"), "\r", "")
	got, err := b.engine.Exec(b.ctx, id, []string{"cat", "/proc/self/status"})
	require.NoError(t, err)
	for _, line := range statusLines {
		require.Contains(t, printed, line)
		require.Contains(t, string(got.Output), line)
	}
	require.Contains(t, printed, "permission denied")

	user := newBox(t, dockertest.Instance())
	_, err = user.engine.Adopt(user.ctx, user.image, dockertest.Variant(t, "USER 1000"))
	require.NoError(t, err)
	w = user.tty(user.start("sleep", "3600"), "trm_1")
	w.types("echo user-$(id -u)\n")
	w.sees("user-1000")

	strict := newBox(t, dockertest.Instance())
	strict.engine = strict.adapter(docker.Options{Strict: true})
	id = strict.start("sleep", "3600")
	w = strict.tty(id, "trm_1")
	w.types("echo at-$(id -u):$(pwd):$HOME:$(grep CapBnd /proc/self/status | cut -f 2)\n")
	w.sees("at-1000:/home/me:/home/me:0000000000000000")
	require.NoError(t, strict.engine.EndTerminal(strict.ctx, id, "trm_1"))
	require.NoError(t, <-w.over)
}

// TestNoKeyLetsGoOfATerminal: the engine's own keys for it reach the program, at once.
func TestNoKeyLetsGoOfATerminal(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	w := b.tty(b.start("sleep", "3600"), "trm_1")
	w.types("stty raw -echo; echo ready-$((1+1)); head -c 1 | od -c\n")
	w.sees("ready-2")
	w.types("\x10") // ctrl-p
	w.sees("020")
}

// TestEndTerminalFromInside: where the kernel's files do not tell of the container,
// a shell inside does it, and leaves what was meant to stay.
func TestEndTerminalFromInside(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	docker.Remote(b.engine)
	id := b.start("sleep", "3600")
	w, other := b.tty(id, "trm_1"), b.tty(id, "trm_2")
	w.types("sh -c 'trap \"\" HUP; exec sleep 1001' & sh -c 'trap \"echo deaf\" HUP; echo set-$((1+1)); while :; do sleep 1; done'\n")
	w.sees("set-2")
	other.types("echo here-$((1+1))\n")
	other.sees("here-2")
	require.NoError(t, b.engine.EndTerminal(b.ctx, id, "trm_1"))
	require.NoError(t, <-w.over)
	got, err := b.engine.Exec(b.ctx, id, []string{"ps"})
	require.NoError(t, err)
	require.Contains(t, string(got.Output), "sleep 1001")
	require.NotContains(t, string(got.Output), "echo deaf")
	other.types("echo still-$((1+1))\n")
	other.sees("still-2")
}

// TestExecOutputIsBounded, and the program ends all the same.
func TestExecOutputIsBounded(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sleep", "3600")
	got, err := b.engine.Exec(b.ctx, id, []string{"sh", "-c", "head -c 3000000 /dev/zero; exit 5"})
	require.NoError(t, err)
	require.Equal(t, 5, got.Code)
	require.True(t, got.Cut)
	require.Len(t, got.Output, engine.MaxExecOutput)
}
