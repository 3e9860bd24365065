package docker_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// along is an engine at the other end of a line.
func along(t *testing.T, line *dockertest.Line, instance string) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Options{Host: line.Host, Instance: instance})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, opts := range []docker.Options{
		{},
		{Instance: "Upper"},
		{Instance: "a--b"},
		{Instance: "a/b"},
		{Instance: "a", Host: "nonsense"},
		{Instance: "a", Host: "ssh://somewhere"},
	} {
		_, err := docker.New(opts)
		require.Error(t, err, "%+v", opts)
	}
}

// TestEngineComesAndGoes: down at the start, up, cut in mid-stream, and up again.
func TestEngineComesAndGoes(t *testing.T) {
	t.Parallel()
	line := dockertest.NewLine(t)
	e := along(t, line, dockertest.Instance())
	ctx := context.Background()
	require.ErrorIs(t, e.Ping(ctx), engine.ErrUnreachable)
	_, err := e.List(ctx)
	require.ErrorIs(t, err, engine.ErrUnreachable)
	require.ErrorIs(t, e.Watch(ctx, func() { t.Error("ready without an engine") }, func(engine.Event) {}), engine.ErrUnreachable)

	line.Mend()
	require.NoError(t, e.Ping(ctx))
	info, err := e.Info(ctx)
	require.NoError(t, err)
	require.True(t, info.Local, "a unix socket to our own kernel")

	ready, ended := make(chan struct{}), make(chan error)
	go func() { ended <- e.Watch(ctx, func() { close(ready) }, func(engine.Event) {}) }()
	<-ready
	line.Cut()
	require.ErrorIs(t, <-ended, engine.ErrUnreachable)
	require.ErrorIs(t, e.Ping(ctx), engine.ErrUnreachable)

	line.Mend()
	require.NoError(t, e.Ping(ctx))
	_, err = e.List(ctx)
	require.NoError(t, err)
}

// TestLogsOfALostEngine: the end of the line is not the end of the output.
func TestLogsOfALostEngine(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	b := newBox(t, instance)
	id := b.start("sh", "-c", "echo here; exec sleep 3600")
	line := dockertest.NewLine(t)
	line.Mend()
	e := along(t, line, instance)
	err := e.Logs(b.ctx, id, engine.LogOptions{Tail: -1, Follow: true}, func(engine.LogLine) error {
		line.Cut()
		return nil
	})
	require.ErrorIs(t, err, engine.ErrUnreachable)
}

// TestHungEngine: an engine that takes connections and says nothing costs a
// bounded time, and nothing of a caller who has left.
func TestHungEngine(t *testing.T) {
	t.Parallel()
	line := dockertest.NewLine(t)
	line.Mend()
	e := along(t, line, dockertest.Instance())
	require.NoError(t, e.Ping(context.Background()))
	line.Silence()

	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := e.Inspect(short, "ctr_1")
	require.ErrorIs(t, err, context.DeadlineExceeded)

	begin := time.Now()
	require.ErrorIs(t, e.Ping(context.Background()), engine.ErrUnreachable)
	require.Less(t, time.Since(begin), 10*time.Second)

	line.Mend()
	require.NoError(t, e.Ping(context.Background()))
}
