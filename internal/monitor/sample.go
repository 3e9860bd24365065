package monitor

import (
	"time"

	"github.com/mlride/mlride/ent/record"
)

// This file is the arithmetic: pure.

// Sample is what a container used at one instant.
type Sample struct {
	ID string
	At time.Time
	// CPUPercent is of one core since the sample before: 200 is two busy cores.
	CPUPercent float64
	// CPUTime is what it took of processors since its start.
	CPUTime time.Duration
	// Memory is what is in use less the inactive page cache, as the docker command
	// line prints it.
	Memory, MemoryLimit record.Bytes
	MemoryPercent       float64
	// Totals since the container's start.
	NetworkRx, NetworkTx, BlockRead, BlockWrite record.Bytes
	Pids                                        int
	// GPUs that it holds, where their figures are to be had.
	GPUs []GPU
}

// reading is one look at the kernel's counters.
type reading struct {
	at                    time.Time
	cpu                   int64 // nanoseconds
	memory                int64
	pids                  int64
	rx, tx, read, written int64
}

// shortest is the least time between two readings that says something about
// the processor: the kernel accounts in ticks of up to 10 ms.
const shortest = 100 * time.Millisecond

// longest is the most time between two readings that are compared: of what lies
// further apart the mean would be of the past.
const longest = time.Minute

// apart says whether two readings are not to be compared: of different runs, or
// with a clock that was set, or an engine that was away, in between.
func apart(before, now reading) bool {
	elapsed := now.at.Sub(before.at)
	return elapsed < 0 || elapsed > longest || now.cpu < before.cpu
}

// between makes a sample of two readings; false when they are too close
// together, or apart.
func between(id string, limit record.Bytes, before, now reading) (Sample, bool) {
	elapsed := now.at.Sub(before.at)
	if elapsed < shortest || apart(before, now) {
		return Sample{}, false
	}
	s := Sample{
		ID: id, At: now.at.UTC(),
		CPUPercent: 100 * float64(now.cpu-before.cpu) / float64(elapsed), CPUTime: time.Duration(now.cpu),
		Memory: record.Bytes(max(now.memory, 0)), MemoryLimit: limit,
		NetworkRx: record.Bytes(now.rx), NetworkTx: record.Bytes(now.tx),
		BlockRead: record.Bytes(now.read), BlockWrite: record.Bytes(now.written),
		Pids: int(now.pids),
	}
	if limit > 0 {
		s.MemoryPercent = 100 * float64(s.Memory) / float64(limit)
	}
	return s, true
}
