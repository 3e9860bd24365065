package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

// output is what one container wrote, count lines of it, made up while it is read.
type output struct {
	count int
	// pad is at the end of each line.
	pad string
	// during is called before each line.
	during func(i int)
	broken error
	ended  sync.WaitGroup
}

func (o *output) Output(ctx context.Context, id string) (string, func(context.Context, func(engine.LogLine) error) error, error) {
	if auth.Of(ctx).Username != "alice" || id != "ctr_1" {
		return "", nil, fault.NoSuch("container", id)
	}
	o.ended.Add(1)
	return "päd 1", func(_ context.Context, line func(engine.LogLine) error) error {
		defer o.ended.Done()
		for i := range o.count {
			if o.during != nil {
				o.during(i)
			}
			at := time.Unix(1_700_000_000, int64(i)*1000).UTC()
			if err := line(engine.LogLine{At: at, Stderr: i%2 == 1, Text: fmt.Sprint("line ", i) + o.pad}); err != nil {
				return err
			}
		}
		return o.broken
	}, nil
}

func TestLogsAsAFile(t *testing.T) {
	t.Parallel()
	o := &output{count: 4}
	h := newRig(t, func(d *Deps, _ *Handler) { d.Outputs = o })
	get := func(method, path, token string) answerOf {
		return h.do(t, request{method: method, path: path, token: token})
	}
	got := get(http.MethodGet, "/logs/ctr_1", aliceToken)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "line 0\nline 1\nline 2\nline 3\n", got.body)
	require.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"))
	require.Equal(t, "attachment; filename*=utf-8''p%C3%A4d%201.log", got.header.Get("Content-Disposition"))
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.Contains(t, got.header.Get("Content-Security-Policy"), "sandbox")

	got = get(http.MethodGet, "/logs/ctr_1?stream=stderr&timestamps=1", aliceToken)
	require.Equal(t, "2023-11-14T22:13:20.000001000Z line 1\n2023-11-14T22:13:20.000003000Z line 3\n", got.body)
	require.Equal(t, "line 0\nline 2\n", get(http.MethodGet, "/logs/ctr_1?stream=stdout", aliceToken).body)
	got = get(http.MethodGet, "/logs/ctr_1?stream=both&timestamps=2", aliceToken)
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Len(t, got.Errors[0].Extensions["violations"], 2)

	got = get(http.MethodHead, "/logs/ctr_1", aliceToken)
	o.ended.Done() // it reads nothing
	require.Equal(t, http.StatusOK, got.status)
	require.Empty(t, got.body)
	require.NotEmpty(t, got.header.Get("Content-Disposition"))

	require.Equal(t, http.StatusUnauthorized, get(http.MethodGet, "/logs/ctr_1", "").status)
	require.Equal(t, http.StatusNotFound, get(http.MethodGet, "/logs/ctr_1", adminToken).status, "P05: as if it did not exist")
	require.Equal(t, http.StatusNotFound, get(http.MethodGet, "/logs/ctr_2", aliceToken).status)
	require.Equal(t, http.StatusMethodNotAllowed, get(http.MethodDelete, "/logs/ctr_1", aliceToken).status)

	o.broken = fault.New(fault.EngineUnavailable, "away")
	o.count = 0
	got = get(http.MethodGet, "/logs/ctr_1", aliceToken)
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Empty(t, got.header.Get("Content-Disposition"))
	require.Equal(t, "ENGINE_UNAVAILABLE", got.code())
	h.accounts.change(aliceToken, func(v *auth.Viewer) { v.MustChange = true })
	require.Equal(t, http.StatusForbidden, get(http.MethodGet, "/logs/ctr_1", aliceToken).status)
}

// TestD44LogsStream: a large file is not held, one that breaks off does not end as
// a whole one, and one that nobody reads ends.
func TestD44LogsStream(t *testing.T) {
	o := &output{count: 150_000, pad: strings.Repeat("x", 250)}
	h := newRig(t, func(d *Deps, _ *Handler) { d.Outputs = o })
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, most := memory(), uint64(0)
	o.during = func(i int) {
		if i%30_000 == 0 {
			most = max(most, memory())
		}
	}
	open := func() *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/logs/ctr_1", nil)
		require.NoError(t, err)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: aliceToken})
		answered, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		return answered
	}
	answered := open()
	n, err := io.Copy(io.Discard, answered.Body)
	require.NoError(t, err)
	require.NoError(t, answered.Body.Close())
	require.Greater(t, n, int64(30<<20))
	o.ended.Wait()
	require.Less(t, most, before+10<<20, "a file of %d bytes", n)

	o.count, o.during, o.broken = 10_000, nil, fault.New(fault.EngineUnavailable, "away")
	answered = open()
	text, err := io.ReadAll(answered.Body)
	require.Error(t, err)
	require.True(t, strings.HasPrefix(string(text), "line 0x"))
	require.NoError(t, answered.Body.Close())

	o.count = 1 << 40 // without end, for a caller who goes
	answered = open()
	require.NoError(t, answered.Body.Close())
	o.ended.Wait()
}
