package graph

import (
	"cmp"
	"context"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/monitor"
)

// StatsSource resolves Container.statsSource.
func (r container) StatsSource(_ context.Context, c *ent.Container) (*generated.StatsSource, error) {
	var source generated.StatsSource
	switch r.Monitor.Source(c.ID) {
	case monitor.Kernel:
		source = generated.StatsSourceKernel
	case monitor.Stream:
		source = generated.StatsSourceEngine
	default:
		return nil, nil
	}
	return &source, nil
}

// StatsHistory resolves Container.statsHistory from memory and the database.
func (r container) StatsHistory(ctx context.Context, c *ent.Container, since *time.Time, step *record.Duration) ([]*generated.ContainerStats, error) {
	var length time.Duration
	if step != nil {
		length = cmp.Or(time.Duration(*step), -1) // a step of nothing is refused, not the default
	}
	past, err := r.Monitor.History(ctx, c.ID, value(since), length)
	if err != nil {
		return nil, err
	}
	out := make([]*generated.ContainerStats, len(past))
	for i, h := range past {
		out[i] = stats(h.Sample)
		out[i].CPUPercentMax, out[i].MemoryUsageMax = &h.CPUPercentMax, &h.MemoryMax
	}
	return out, nil
}

func gpuStats(gpus []monitor.GPU) []*generated.GpuStats {
	out := make([]*generated.GpuStats, len(gpus))
	for i, g := range gpus {
		out[i] = &generated.GpuStats{Device: g.Device, Utilisation: g.Utilisation, MemoryUsed: g.MemoryUsed, MemoryTotal: g.MemoryTotal}
	}
	return out
}
