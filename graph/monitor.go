package graph

import (
	"context"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/graph/scalar"
	"github.com/mlride/mlride/internal/monitor"
)

func stats(s monitor.Sample) *generated.ContainerStats {
	return &generated.ContainerStats{
		ContainerID: s.ID, ReadAt: s.At, CPUPercent: s.CPUPercent,
		MemoryUsage: s.Memory, MemoryLimit: s.MemoryLimit, MemoryPercent: s.MemoryPercent,
		NetworkRx: s.NetworkRx, NetworkTx: s.NetworkTx, BlockRead: s.BlockRead, BlockWrite: s.BlockWrite, Pids: s.Pids,
		Gpus: gpuStats(s.GPUs),
	}
}

// Stats resolves Container.stats from memory.
func (r container) Stats(_ context.Context, c *ent.Container) (*generated.ContainerStats, error) {
	s, known := r.Monitor.Look(c.ID)
	if !known {
		return nil, nil
	}
	return stats(s), nil
}

// ContainerStats resolves Subscription.containerStats.
func (r subscription) ContainerStats(ctx context.Context, id string, interval *record.Duration) (<-chan *generated.ContainerStats, error) {
	every := time.Second
	if interval != nil {
		every = time.Duration(*interval)
	}
	return monitor.Watch(ctx, r.Monitor, id, every, stats)
}

// ContainersStats resolves Subscription.containersStats.
func (r subscription) ContainersStats(ctx context.Context, ids []string) (<-chan *generated.ContainerStats, error) {
	return monitor.WatchAll(ctx, r.Monitor, ids, stats)
}

func logLine(l monitor.Line) *generated.LogLine {
	line := &generated.LogLine{At: scalar.Moment(l.At), Stream: generated.LogStreamStdout, Text: l.Text}
	if l.Stderr {
		line.Stream = generated.LogStreamStderr
	}
	if l.Dropped != 0 {
		line.Dropped = &l.Dropped
	}
	return line
}

// Logs resolves Container.logs.
func (r container) Logs(ctx context.Context, c *ent.Container, tail *int, since *time.Time) ([]*generated.LogLine, error) {
	n := 200
	if tail != nil {
		n = *tail
	}
	lines, err := r.Monitor.Logs(ctx, c.ID, n, value(since))
	if err != nil {
		return nil, err
	}
	out := make([]*generated.LogLine, len(lines))
	for i, l := range lines {
		out[i] = logLine(l)
	}
	return out, nil
}

// ContainerLogs resolves Subscription.containerLogs.
func (r subscription) ContainerLogs(ctx context.Context, id string, tail *int, since *time.Time) (<-chan *generated.LogLine, error) {
	n := 100
	if tail != nil {
		n = *tail
	}
	lines, err := r.Monitor.Follow(ctx, id, n, value(since))
	if err != nil {
		return nil, err
	}
	return convert(ctx, lines, logLine), nil
}
