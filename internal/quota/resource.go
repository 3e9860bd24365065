package quota

import (
	"fmt"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
)

// resource is one thing that is counted, so that the arithmetic is written once.
type resource struct {
	name  string
	of    func(Need) int64
	quota func(*ent.Quota) (limit, used int64)
	// host is nil for what the machine does not run out of.
	host func(*ent.Host, Capacity) (together, alone, used int64)
	// float is the amount in the API's unit.
	float func(int64) float64
	// say prints an amount for a person.
	say func(int64) string
	// noun names it in a sentence: "of memory".
	noun string
}

var (
	places = resource{
		name: "containers", noun: "containers",
		of:    func(n Need) int64 { return int64(n.Containers) },
		quota: func(q *ent.Quota) (int64, int64) { return int64(q.MaxContainers), int64(q.UsedContainers) },
		float: whole, say: count,
	}
	cpu = resource{
		name: "cpu", noun: "cores",
		of:    func(n Need) int64 { return int64(n.CPU) },
		quota: func(q *ent.Quota) (int64, int64) { return int64(q.MaxCPU), int64(q.UsedCPU) },
		host: func(h *ent.Host, c Capacity) (int64, int64, int64) {
			return int64(c.Together.CPU), int64(c.Alone.CPU), int64(h.UsedCPU)
		},
		float: func(n int64) float64 { return record.Cores(n).Float() },
		say:   func(n int64) string { return record.Cores(n).String() },
	}
	memory = resource{
		name: "memory", noun: "of memory",
		of:    func(n Need) int64 { return int64(n.Memory) },
		quota: func(q *ent.Quota) (int64, int64) { return int64(q.MaxMemory), int64(q.UsedMemory) },
		host: func(h *ent.Host, c Capacity) (int64, int64, int64) {
			return int64(c.Together.Memory), int64(c.Alone.Memory), int64(h.UsedMemory)
		},
		float: whole,
		say:   func(n int64) string { return record.Bytes(n).String() },
	}
	gpu = resource{
		name: "gpu", noun: "GPUs",
		of:    func(n Need) int64 { return int64(n.GPU) },
		quota: func(q *ent.Quota) (int64, int64) { return int64(q.MaxGpu), int64(q.UsedGpu) },
		host: func(h *ent.Host, c Capacity) (int64, int64, int64) {
			return int64(c.Together.GPU), int64(c.Alone.GPU), int64(h.UsedGpu)
		},
		float: whole, say: count,
	}
	resources = []resource{places, cpu, memory, gpu}
)

func whole(n int64) float64 { return float64(n) }
func count(n int64) string  { return fmt.Sprint(n) }

func (r resource) quotaMessage(limit, used, asked int64) string {
	if r.name == places.name {
		return fmt.Sprintf("Your quota is %d containers and you have %d. Remove one first.", limit, used)
	}
	return fmt.Sprintf("Your quota is %s %s; %s are in use and this asks for %s. Stop a container, or ask for less.",
		r.say(limit), r.noun, r.say(used), r.say(asked))
}

func (r resource) tooLarge(alone, asked int64) string {
	if alone == 0 && r.name == gpu.name {
		return "This machine has no GPU that containers can use."
	}
	return fmt.Sprintf("One container can have at most %s %s on this machine; this asks for %s.", r.say(alone), r.noun, r.say(asked))
}

func (r resource) machineFull(together, used, asked int64) string {
	return fmt.Sprintf("The machine is full: of %s %s for containers %s are reserved or kept for those who wait, and this asks for %s. Wait for room, or ask for less.",
		r.say(together), r.noun, r.say(used), r.say(asked))
}
