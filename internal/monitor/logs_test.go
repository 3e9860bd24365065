package monitor_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/monitor"
)

// manyLines is how many TestEveryLineOnce writes; MLRIDE_TEST_LOG_LINES raises it.
const manyLines = 60_000

// exited waits until a run has ended, and says so as the lifecycle does.
func (h *house) exited(id string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool {
		seen, err := h.engine.Inspect(h.ann, id)
		return err == nil && seen.Status == engine.StatusExited
	}, 10*patience, 50*time.Millisecond)
	h.Stopped(id)
	h.changed(id, live.Updated)
}

// held is all that the engine has of a log.
func (h *house) held(id string) (lines []engine.LogLine) {
	h.t.Helper()
	require.NoError(h.t, h.engine.Logs(h.ann, id, engine.LogOptions{Tail: -1}, func(l engine.LogLine) error {
		lines = append(lines, l)
		return nil
	}))
	return lines
}

// TestEveryLineOnce: a log is followed across five restarts of the container and two
// of the server, whose client comes back with since. Every line comes once and in
// order; what the engine let go of before it was read is told.
func TestEveryLineOnce(t *testing.T) {
	total := manyLines
	if text := os.Getenv("MLRIDE_TEST_LOG_LINES"); text != "" {
		var err error
		total, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	const runs = 6
	each := total / runs
	h := open(t, true)
	id := h.make("sh", "-c", fmt.Sprintf(`n=$(cat /n 2>/dev/null || echo 0); echo $((n+%d)) >/n; seq $((n+1)) $((n+%d))`, each, each))
	begin := sync.OnceFunc(func() {
		go func() { // the lifecycle, and no part of the test's own flow
			for range runs {
				h.start(id)
				h.exited(id)
			}
		}()
	})
	var since time.Time
	last, gaps, got := 0, 0, 0
	for server := range 3 {
		service := monitor.New(h.Options)
		ctx, stop := context.WithCancel(h.ann)
		lines, err := service.Follow(ctx, id, 100, since)
		require.NoError(t, err)
		begin()
		upTo := each * runs * (server + 1) / 3
		for last < upTo {
			l, open := next(t, lines)
			require.True(t, open)
			n, err := strconv.Atoi(l.Text)
			require.NoError(t, err)
			if l.Dropped == 0 {
				require.Equal(t, last+1, n)
			} else {
				require.Greater(t, n, last)
				gaps++
			}
			last, since = n, l.At
			got++
		}
		stop()
		require.Eventually(t, func() bool { return service.Followers() == 0 }, patience, 10*time.Millisecond)
	}
	require.Equal(t, each*runs, last)
	if total == manyLines { // all of it fits into what the engine keeps
		require.Equal(t, each*runs, got)
		require.Zero(t, gaps)
	}
	t.Logf("%d of %d lines, %d gaps told", got, each*runs, gaps)
}

// TestSlowReaderIsToldWhatIsGone: nothing is held for it but its place, and the
// engine rotates 40 MB past it.
func TestSlowReaderIsToldWhatIsGone(t *testing.T) {
	h := open(t, true)
	const written = 5000
	id := h.make("sh", "-c", fmt.Sprintf(`pad=$(head -c 8000 /dev/zero | tr '\0' x); i=0; while [ $i -lt %d ]; do i=$((i+1)); echo "$i $pad"; done`, written))
	lines, err := h.Follow(h.ann, id, 100, time.Time{})
	require.NoError(t, err)
	h.start(id)
	number := func(l engine.LogLine) int {
		n, err := strconv.Atoi(strings.Fields(l.Text)[0])
		require.NoError(t, err)
		return n
	}
	first, _ := next(t, lines)
	require.Equal(t, 1, number(first.LogLine))
	h.exited(id)
	oldest := number(h.held(id)[0])
	require.Greater(t, oldest, 100, "the engine let go of the oldest")
	last, gaps := 1, 0
	for last < written {
		l, open := next(t, lines)
		require.True(t, open)
		n := number(l.LogLine)
		if l.Dropped != 0 {
			require.Equal(t, monitor.Uncounted, l.Dropped)
			require.Equal(t, oldest, n, "all that is held comes")
			gaps++
		} else {
			require.Equal(t, last+1, n)
		}
		last = n
	}
	require.Equal(t, 1, gaps)
}

// TestLinesOfEveryKind: long, far too long, without an end, of bytes that are no
// text, coloured, and of both streams; in the snapshot, followed, and as a file.
func TestLinesOfEveryKind(t *testing.T) {
	h := open(t, true)
	id := h.make("sh", "-c", `head -c 40000 /dev/zero | tr '\0' a; echo
head -c 20000000 /dev/zero | tr '\0' b; echo
printf '\377\376 \033[31mred\033[0m\n'
echo error >&2
sleep 1
printf 'no end'`)
	lines, err := h.Follow(h.ann, id, 0, time.Time{})
	require.NoError(t, err)
	want := []string{strings.Repeat("a", 40000), strings.Repeat("b", 1<<20), "\uFFFD\uFFFD \x1b[31mred\x1b[0m", "error", "no end"}
	check := func(i int, l engine.LogLine) {
		t.Helper()
		require.True(t, strings.HasPrefix(l.Text, want[i]), "line %d of %d bytes", i, len(l.Text))
		require.Less(t, len(l.Text), len(want[i])+60)
		require.Equal(t, i == 3, l.Stderr)
	}
	h.start(id)
	h.exited(id)
	held := h.held(id)
	require.Len(t, held, len(want))
	if held[2].Stderr { // the streams are two, and come as they come
		want[2], want[3] = want[3], want[2]
	}
	for i := range want {
		l, _ := next(t, lines)
		require.Equal(t, strings.TrimRight(held[i].Text, "\n"), l.Text)
		require.Zero(t, l.Dropped)
		if !held[2].Stderr {
			check(i, l.LogLine)
		}
	}
	snapshot, err := h.Logs(h.ann, id, 2, time.Time{})
	require.NoError(t, err)
	require.Len(t, snapshot, 2)
	require.Equal(t, "no end", snapshot[1].Text)
	snapshot, err = h.Logs(h.ann, id, 100, held[1].At)
	require.NoError(t, err)
	require.Len(t, snapshot, 3)

	h.start(id) // a run after one whose last line had no end
	again, _ := next(t, lines)
	require.Equal(t, strings.Repeat("a", 40000), again.Text)
	h.exited(id)
}

// TestAReaderThatGoes, or never reads, leaves nothing behind.
func TestAReaderThatGoes(t *testing.T) {
	h := open(t, true)
	id := h.make("sh", "-c", "while :; do echo x; sleep 0.01; done")
	h.start(id)
	for range 5 {
		ctx, leave := context.WithCancel(h.ann)
		lines, err := h.Follow(ctx, id, 10, time.Time{})
		require.NoError(t, err)
		next(t, lines)
		leave()
		require.Eventually(t, func() bool { return h.Followers() == 0 }, patience, 10*time.Millisecond)
	}
	_, err := h.Follow(h.ann, id, 10, time.Time{})
	require.NoError(t, err)
	require.Equal(t, 1, h.Followers())
}

// TestFollowAcrossAnEngine that is killed and comes back, with the container alive.
func TestFollowAcrossAnEngine(t *testing.T) {
	own := dockertest.Own(t, true)
	own.Start()
	h := on(t, true, own.Connect(dockertest.Instance()), own.Image())
	id := h.make("sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done")
	lines, err := h.Follow(h.ann, id, 100, time.Time{})
	require.NoError(t, err)
	h.start(id)
	last := 0
	read := func(more int) {
		for upTo := last + more; last < upTo; last++ {
			l, open := next(t, lines)
			require.True(t, open)
			require.Equal(t, fmt.Sprint(last+1), l.Text)
		}
	}
	read(10)
	own.Kill()
	own.Start()
	read(60)
}

// TestP05OthersLogs are not there; an administrator's reading is recorded.
func TestP05OthersLogs(t *testing.T) {
	h := open(t, true)
	id := h.make("echo", "secret")
	h.start(id)
	h.exited(id)
	ben := auth.With(context.Background(), auth.Viewer{UserID: "user_ben"})
	_, _, err := h.Output(ben, id)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, err = h.Follow(ben, id, 1, time.Time{})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	require.Zero(t, h.Followers())

	read := func(ctx context.Context) (texts []string) {
		name, read, err := h.Output(ctx, id)
		require.NoError(t, err)
		require.NotEmpty(t, name)
		require.NoError(t, read(ctx, func(l engine.LogLine) error { texts = append(texts, l.Text); return nil }))
		return texts
	}
	records := func() int {
		return h.store.Client.AuditEvent.Query().Where(auditevent.Action("container.logs"), auditevent.Target(id)).CountX(auth.AsSystem(context.Background()))
	}
	require.Equal(t, []string{"secret"}, read(h.ann))
	require.Zero(t, records())
	require.Equal(t, []string{"secret"}, read(auth.With(context.Background(), auth.Viewer{UserID: "user_root", Username: "root", Admin: true})))
	require.Equal(t, 1, records())
}

// TestD45LogsAreBounded: each container's files rotate and have a cap.
func TestD45LogsAreBounded(t *testing.T) {
	h := open(t, true)
	id := h.make("true")
	seen, err := h.engine.Inspect(h.ann, id)
	require.NoError(t, err)
	raw, err := dockertest.Client(t).ContainerInspect(h.ann, seen.EngineID)
	require.NoError(t, err)
	require.Equal(t, "json-file", raw.HostConfig.LogConfig.Type)
	require.Equal(t, map[string]string{"max-size": "10m", "max-file": "3"}, raw.HostConfig.LogConfig.Config)
}
