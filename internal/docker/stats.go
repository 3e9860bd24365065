package docker

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// Stats calls sample with each reading that the engine sends, about one a second.
func (e *Engine) Stats(ctx context.Context, id string, sample func(engine.Sample)) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if !found.State.Running { // also true while paused
		return nil
	}
	err = e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		got, err := c.ContainerStats(ctx, found.ID, true)
		if err != nil {
			return err
		}
		opened()
		defer got.Body.Close()
		for decoder := json.NewDecoder(got.Body); ; {
			var read container.StatsResponse
			if err := decoder.Decode(&read); err != nil {
				return err
			}
			if read.Read.IsZero() {
				return nil // how the engine says that it does not run any more
			}
			sample(reading(read))
		}
	})
	return e.ended(ctx, found.ID, err)
}

// reading puts the engine's figures into ours.
func reading(r container.StatsResponse) engine.Sample {
	s := engine.Sample{
		At:          r.Read,
		CPUNanos:    int64(r.CPUStats.CPUUsage.TotalUsage),
		Memory:      memoryUsed(r.MemoryStats),
		MemoryLimit: int64(r.MemoryStats.Limit),
		Pids:        int64(r.PidsStats.Current),
	}
	for _, n := range r.Networks {
		s.NetworkRx += int64(n.RxBytes)
		s.NetworkTx += int64(n.TxBytes)
	}
	for _, b := range r.BlkioStats.IoServiceBytesRecursive {
		switch strings.ToLower(b.Op) { // "Read" with cgroup v1, "read" with v2
		case "read":
			s.BlockRead += int64(b.Value)
		case "write":
			s.BlockWrite += int64(b.Value)
		}
	}
	return s
}

// memoryUsed is the usage less the page cache that the kernel would drop first,
// as `docker stats` prints it.
func memoryUsed(m container.MemoryStats) int64 {
	cache, ok := m.Stats["total_inactive_file"] // cgroup v1
	if !ok {
		cache = m.Stats["inactive_file"] // cgroup v2
	}
	if cache > m.Usage {
		return int64(m.Usage)
	}
	return int64(m.Usage - cache)
}
