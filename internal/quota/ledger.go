package quota

import (
	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/fault"
)

// This file is the arithmetic: pure, without a clock or a database.

// Amounts are what a container reserves while it is wanted running.
type Amounts struct {
	CPU    record.Cores
	Memory record.Bytes
	GPU    int
}

// Need is what a change takes in all: amounts, and places for containers.
type Need struct {
	Containers int
	Amounts
}

// Of are the amounts that a container reserves.
func Of(c *ent.Container) Amounts {
	return Amounts{CPU: c.CPULimit, Memory: c.MemoryLimit, GPU: c.GpuLimit}
}

// Capacity is what containers may have: together, and the largest one alone.
type Capacity struct {
	Together, Alone Amounts
	// Known is false until the engine has been reached once.
	Known bool
}

// Policy is how capacity follows from the machine: what containers may not have
// together, and by how much more than there is may be promised.
type Policy struct {
	ReserveCPU       record.Cores
	ReserveMemory    record.Bytes
	OvercommitCPU    float64
	OvercommitMemory float64
}

// CapacityOf is the machine less the reserve, times the overcommit. No single
// container gets more than the machine has: the engine refuses more processors
// than there are, and more memory than there is would only end in an
// out-of-memory kill of somebody.
func (p Policy) CapacityOf(h *ent.Host) Capacity {
	c := Capacity{
		Known: h.CPU > 0,
		Together: Amounts{
			CPU:    record.Cores(float64(max(h.CPU-p.ReserveCPU, 0)) * p.OvercommitCPU),
			Memory: record.Bytes(float64(max(h.Memory-p.ReserveMemory, 0)) * p.OvercommitMemory),
			GPU:    h.Gpu,
		},
	}
	c.Alone = Amounts{CPU: min(h.CPU, c.Together.CPU), Memory: min(max(h.Memory-p.ReserveMemory, 0), c.Together.Memory), GPU: h.Gpu}
	return c
}

// Problem is one thing that stands in the way of a need.
type Problem struct {
	Code     fault.Code
	Message  string
	Resource string
	// Limit, Used and Requested are in cores, bytes or pieces.
	Limit, Used, Requested float64
	// Never says that waiting does not help: not even an empty machine and an
	// unused quota would do.
	Never bool
}

// Fault is the problem as an error.
func (p Problem) Fault() *fault.Fault {
	f := fault.New(p.Code, "%s", p.Message).With("resource", p.Resource).With("requested", p.Requested)
	if p.Code == fault.CapacityExceeded {
		return f.With("free", max(p.Limit-p.Used, 0)).With("limit", p.Limit)
	}
	return f.With("limit", p.Limit).With("used", p.Used)
}

// Problems says everything that stands in the way of need, in the owner's quota
// and on the machine. It is the one place that decides: the dry run and every
// real call ask it.
func Problems(q *ent.Quota, h *ent.Host, c Capacity, need Need) []Problem {
	var found []Problem
	for _, r := range resources {
		asked := r.of(need)
		if asked == 0 {
			continue
		}
		limit, used := r.quota(q)
		if used+asked > limit {
			found = append(found, Problem{
				Code: fault.QuotaExceeded, Resource: r.name, Message: r.quotaMessage(limit, used, asked),
				Limit: r.float(limit), Used: r.float(used), Requested: r.float(asked), Never: asked > limit,
			})
		}
	}
	if !c.Known && need.Amounts != (Amounts{}) {
		return append(found, Problem{
			Code: fault.EngineUnavailable, Resource: "machine",
			Message: "The container engine has not been reached yet, so nobody knows what fits. Try again in a moment.",
		})
	}
	for _, r := range resources {
		asked := r.of(need)
		if asked == 0 || r.host == nil {
			continue
		}
		together, alone, used := r.host(h, c)
		switch {
		case asked > alone:
			found = append(found, Problem{
				Code: fault.CapacityExceeded, Resource: r.name, Message: r.tooLarge(alone, asked),
				Limit: r.float(alone), Used: 0, Requested: r.float(asked), Never: true,
			})
		case used+asked > together:
			found = append(found, Problem{
				Code: fault.CapacityExceeded, Resource: r.name, Message: r.machineFull(together, used, asked),
				Limit: r.float(together), Used: r.float(used), Requested: r.float(asked),
			})
		}
	}
	return found
}

// Largest is the most that one container could have now.
func Largest(q *ent.Quota, h *ent.Host, c Capacity) Amounts {
	left := func(r resource) int64 {
		limit, used := r.quota(q)
		together, alone, taken := r.host(h, c)
		return max(0, min(limit-used, together-taken, alone))
	}
	if !c.Known || q.UsedContainers >= q.MaxContainers {
		return Amounts{}
	}
	return Amounts{CPU: record.Cores(left(cpu)), Memory: record.Bytes(left(memory)), GPU: int(left(gpu))}
}
