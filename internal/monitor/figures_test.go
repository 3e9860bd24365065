package monitor_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/monitor"
)

// one is the engine's next sample.
func (h *house) one(id string) engine.Sample {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.ann, patience)
	defer cancel()
	var got engine.Sample
	require.NoError(h.t, h.engine.Stats(ctx, id, func(s engine.Sample) { got = s; cancel() }))
	return got
}

// TestFiguresAreTheEngines to the last digit, for a load that stands still: what
// both see at rest before and after is compared.
func TestFiguresAreTheEngines(t *testing.T) {
	h := open(t, true)
	id := h.make("sh", "-c", "head -c 8000000 /dev/zero > /tmp/f; cat /tmp/f > /dev/null; sleep 1000 & sleep 1000")
	h.start(id)
	samples, err := h.Watch(h.ann, id, time.Second)
	require.NoError(t, err)
	first, _ := next(t, samples)
	require.Positive(t, first.CPUTime)
	figures := func(s monitor.Sample) engine.Sample {
		return engine.Sample{
			CPUNanos: int64(s.CPUTime), Memory: int64(s.Memory), MemoryLimit: int64(s.MemoryLimit), Pids: int64(s.Pids),
			NetworkRx: int64(s.NetworkRx), NetworkTx: int64(s.NetworkTx), BlockRead: int64(s.BlockRead), BlockWrite: int64(s.BlockWrite),
		}
	}
	deadline := time.Now().Add(patience)
	for {
		before, _ := next(t, samples)
		theirs := h.one(id)
		var after monitor.Sample
		for after, _ = next(t, samples); after.At.Before(theirs.At); after, _ = next(t, samples) {
		}
		a, b := figures(before), figures(after)
		// Its init looks around once a second, so the processor's time does not stand
		// still: the engine's lies between ours.
		require.LessOrEqual(t, a.CPUNanos, theirs.CPUNanos)
		require.GreaterOrEqual(t, b.CPUNanos, theirs.CPUNanos)
		a.CPUNanos, b.CPUNanos, theirs.CPUNanos, theirs.At = 0, 0, 0, time.Time{}
		if a == b { // the rest stood still meanwhile
			require.Equal(t, theirs, b)
			return
		}
		require.True(t, time.Now().Before(deadline), "it never stood still")
	}
}

// TestStreamOfAnEngineThatComesBack: where the kernel's files are not to be had,
// samples go on after the engine was away.
func TestStreamOfAnEngineThatComesBack(t *testing.T) {
	own := dockertest.Own(t, true)
	own.Start()
	image := own.Image()
	h := on(t, false, own.Connect(dockertest.Instance()), image)
	id := h.make("sleep", "1000")
	h.start(id)
	samples, err := h.Watch(h.ann, id, time.Second)
	require.NoError(t, err)
	_, open := next(t, samples)
	require.True(t, open)
	require.Equal(t, monitor.Stream, h.Source(id))
	own.Kill()
	own.Start()
	back := time.Now()
	for {
		s, open := next(t, samples)
		require.True(t, open)
		if s.At.After(back) {
			return
		}
	}
}

// TestOneDoesNotWaitForAnother: who does not read costs the others nothing, and
// whoever leaves is forgotten.
func TestOneDoesNotWaitForAnother(t *testing.T) {
	h := open(t, true)
	id := h.make("sleep", "1000")
	h.start(id)
	ctx, leave := context.WithCancel(h.ann)
	for range 50 {
		_, err := h.Watch(ctx, id, time.Second) // nobody reads it
		require.NoError(t, err)
	}
	quick, err := h.Watch(h.ann, id, time.Second)
	require.NoError(t, err)
	for range 3 {
		_, open := next(t, quick)
		require.True(t, open)
	}
	require.Equal(t, 51, h.Watchers(id))
	leave()
	require.Eventually(t, func() bool { return h.Watchers(id) == 1 }, patience, 10*time.Millisecond)
	h.changed(id, live.Removed)
	for open := true; open; {
		_, open = next(t, quick)
	}
	require.Eventually(t, func() bool { return h.Watchers(id) == 0 }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return h.feed.Subscribers() == 0 }, patience, 10*time.Millisecond)
}
