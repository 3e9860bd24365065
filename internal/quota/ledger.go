package quota

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

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

// Books are what a decision is made on: the owner's quota, the machine, and what
// of its room is kept for those who wait ahead.
type Books struct {
	Quota    *ent.Quota
	Host     *ent.Host
	Capacity Capacity
	Held     Amounts
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
		// In thousandths, as cores are counted: floats do not subtract so.
		return f.With("free", math.Round(1000*max(p.Limit-p.Used, 0))/1000).With("limit", p.Limit)
	}
	return f.With("limit", p.Limit).With("used", p.Used)
}

// Problems says everything that stands in the way of need, in the owner's quota
// and on the machine. It is the one place that decides: the dry run, every real
// call and the queue ask it.
func (b Books) Problems(need Need) []Problem {
	found := b.ofQuota(need)
	return append(found, b.ofMachine(need)...)
}

// ofQuota says what stands in the way in the owner's quota.
func (b Books) ofQuota(need Need) []Problem {
	var found []Problem
	for _, r := range resources {
		asked := r.of(need)
		if asked == 0 {
			continue
		}
		limit, used := r.quota(b.Quota)
		if used+asked > limit {
			found = append(found, Problem{
				Code: fault.QuotaExceeded, Resource: r.name, Message: r.quotaMessage(limit, used, asked),
				Limit: r.float(limit), Used: r.float(used), Requested: r.float(asked), Never: asked > limit,
			})
		}
	}
	return found
}

// ofMachine says what stands in the way on the machine.
func (b Books) ofMachine(need Need) []Problem {
	if need.Amounts == (Amounts{}) {
		return nil
	}
	if !b.Capacity.Known {
		return []Problem{{
			Code: fault.EngineUnavailable, Resource: "machine",
			Message: "The container engine has not been reached yet, so nobody knows what fits. Try again in a moment.",
		}}
	}
	var found []Problem
	held := Need{Amounts: b.Held}
	for _, r := range resources {
		asked := r.of(need)
		if asked == 0 || r.host == nil {
			continue
		}
		together, alone, used := r.host(b.Host, b.Capacity)
		used += r.of(held)
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

// Waits says whether waiting for others to end would let need in: nothing but the
// machine's present fullness stands in the way.
func Waits(problems []Problem) bool {
	for _, p := range problems {
		if p.Code != fault.CapacityExceeded || p.Never {
			return false
		}
	}
	return len(problems) > 0
}

// Largest is the most that one container could have now.
func (b Books) Largest() Amounts {
	held := Need{Amounts: b.Held}
	left := func(r resource) int64 {
		limit, used := r.quota(b.Quota)
		together, alone, taken := r.host(b.Host, b.Capacity)
		return max(0, min(limit-used, together-taken-r.of(held), alone))
	}
	if !b.Capacity.Known || b.Quota.UsedContainers >= b.Quota.MaxContainers {
		return Amounts{}
	}
	return Amounts{CPU: record.Cores(left(cpu)), Memory: record.Bytes(left(memory)), GPU: int(left(gpu))}
}

// Owned is a running container of the asker's, and what it would free.
type Owned struct {
	ID string
	Amounts
}

// Freeing chooses those of the asker's own containers that would free enough for
// need if they were stopped: one if one will do, and the smallest such, else the
// largest first and no more than it takes. None when stopping does not help.
func (b Books) Freeing(need Need, own []Owned) []Owned {
	if len(b.Problems(need)) == 0 {
		return nil
	}
	bySize := slices.Clone(own)
	slices.SortStableFunc(bySize, func(x, y Owned) int {
		return cmp.Or(cmp.Compare(x.GPU, y.GPU), cmp.Compare(x.Memory, y.Memory), cmp.Compare(x.CPU, y.CPU), cmp.Compare(x.ID, y.ID))
	})
	for _, one := range bySize {
		if len(b.without(one.Amounts).Problems(need)) == 0 {
			return []Owned{one}
		}
	}
	slices.Reverse(bySize)
	var freed []Owned
	left := b
	for _, one := range bySize {
		left, freed = left.without(one.Amounts), append(freed, one)
		if len(left.Problems(need)) == 0 {
			return spare(b, need, freed)
		}
	}
	return nil
}

// spare leaves out what is not needed after all.
func spare(b Books, need Need, freed []Owned) []Owned {
	for i := 0; i < len(freed); {
		others := slices.Delete(slices.Clone(freed), i, i+1)
		left := b
		for _, one := range others {
			left = left.without(one.Amounts)
		}
		if len(left.Problems(need)) == 0 {
			freed = others
		} else {
			i++
		}
	}
	return freed
}

// without are the books after something was given back.
func (b Books) without(a Amounts) Books {
	q, h := *b.Quota, *b.Host
	q.UsedCPU, q.UsedMemory, q.UsedGpu = q.UsedCPU-a.CPU, q.UsedMemory-a.Memory, q.UsedGpu-a.GPU
	h.UsedCPU, h.UsedMemory, h.UsedGpu = h.UsedCPU-a.CPU, h.UsedMemory-a.Memory, h.UsedGpu-a.GPU
	b.Quota, b.Host = &q, &h
	return b
}

// plus adds amounts.
func (a Amounts) plus(o Amounts) Amounts {
	return Amounts{CPU: a.CPU + o.CPU, Memory: a.Memory + o.Memory, GPU: a.GPU + o.GPU}
}

// Waiter is a container that waits for room.
type Waiter struct {
	ID, Owner string
	Since     time.Time
	Amounts
	// Stuck says that its owner's own quota stands in the way: it waits, and keeps
	// nobody else waiting.
	Stuck bool
}

// Line puts those who wait in the order in which they get in: whoever's owner has
// the fewest running, counting those ahead in the line, then the oldest. Those
// whose own quota stands in the way come last.
func Line(waiting []Waiter, running map[string]int) []Waiter {
	left := slices.Clone(waiting)
	slices.SortStableFunc(left, func(a, b Waiter) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	counts := maps.Clone(running)
	if counts == nil {
		counts = map[string]int{}
	}
	line := make([]Waiter, 0, len(left))
	for len(left) > 0 {
		next := 0
		for i, w := range left {
			if better(w, left[next], counts) {
				next = i
			}
		}
		counts[left[next].Owner]++
		line = append(line, left[next])
		left = slices.Delete(left, next, next+1)
	}
	return line
}

// better says whether w comes before best, which is at least as old.
func better(w, best Waiter, running map[string]int) bool {
	if w.Stuck != best.Stuck {
		return best.Stuck
	}
	return running[w.Owner] < running[best.Owner]
}
