package monitor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/live"
)

const firstGPU = "GPU-8f6d3c1e-2a5b-4f3e-9c1d-0a1b2c3d4e5f"

// TestGPUsAsTheToolPrintsThem: by id and by number, what the driver does not know is 0.
func TestGPUsAsTheToolPrintsThem(t *testing.T) {
	text, err := os.ReadFile("testdata/gpus.txt")
	require.NoError(t, err)
	got := parseGPUs(text)
	require.Len(t, got, 4)
	require.Equal(t, GPU{Device: firstGPU, Utilisation: 37, MemoryUsed: record.GiB, MemoryTotal: 80 * record.GiB}, got[firstGPU])
	require.Equal(t, GPU{Device: "1", MemoryUsed: 3 * record.MiB, MemoryTotal: 80 * record.GiB}, got["1"])
	require.Empty(t, parseGPUs(nil))
}

// TestGPUsAreAskedOnlyForWhomTheyAreOf: not while nobody looks, once for all, and
// a tool that fails leaves the other figures alone.
func TestGPUsAreAskedOnlyForWhomTheyAreOf(t *testing.T) {
	text, err := os.ReadFile("testdata/gpus.txt")
	require.NoError(t, err)
	var asked atomic.Int64
	var broken atomic.Bool
	var watched atomic.Bool
	s := New(Options{
		Feed: &live.Feed{}, Log: slog.New(slog.DiscardHandler), Local: func() bool { return true }, Now: time.Now,
		GPUs: func(context.Context) ([]byte, error) {
			if !watched.Load() {
				t.Error("asked while nobody looks")
			}
			asked.Add(1)
			if broken.Load() {
				return nil, errors.New("the driver is in trouble")
			}
			return text, nil
		},
	})
	ctx, cancel := context.WithCancel(sys)
	ended := make(chan struct{})
	go func() { defer close(ended); s.gpuLoop(ctx) }()
	defer func() { cancel(); <-ended }()
	sample := func(id string) Sample {
		s.mu.Lock()
		defer s.mu.Unlock()
		t := s.targets[id]
		now := reading{at: time.Now(), cpu: t.last.cpu + 1}
		t.last.at = now.at.Add(-time.Second)
		s.noted(t, now)
		return t.newest
	}
	s.mu.Lock()
	s.targets["with"] = &target{Target: Target{ID: "with", GPUs: []string{firstGPU, "1", "unknown"}}}
	s.targets["without"] = &target{Target: Target{ID: "without"}}
	s.mu.Unlock()
	_, known := s.Look("without") // holds none
	require.False(t, known)
	require.Empty(t, sample("with").GPUs)
	watched.Store(true)
	s.Look("with")
	require.Eventually(t, func() bool { return len(sample("with").GPUs) == 2 }, time.Minute, 10*time.Millisecond)
	require.Empty(t, sample("without").GPUs)
	broken.Store(true)
	before := asked.Load()
	require.Eventually(t, func() bool { return asked.Load() > before }, time.Minute, 10*time.Millisecond)
	require.Equal(t, "with", sample("with").ID)
}
