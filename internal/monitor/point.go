package monitor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mlride/mlride/ent/record"
)

// This file is the arithmetic of the history: pure.

// point is what a container used over one step. It is kept by the thousand, so
// it is small.
type point struct {
	// at is when the step begins, in whole seconds since 1970.
	at int64
	// n is how many samples it is made of; 0 is no point.
	n uint32
	// cpu and cpuMax are in hundredths of a percent of one core.
	cpu, cpuMax uint32
	pids        uint32
	memory      int64
	memoryMax   int64
	limit       int64
	// The totals are those at its end.
	rx, tx, read, written int64
}

func pointOf(s Sample) point {
	cpu := uint32(min(math.Round(max(s.CPUPercent, 0)*100), math.MaxUint32))
	return point{
		at: s.At.Unix(), n: 1, cpu: cpu, cpuMax: cpu, pids: uint32(min(max(s.Pids, 0), math.MaxInt32)),
		memory: int64(s.Memory), memoryMax: int64(s.Memory), limit: int64(s.MemoryLimit),
		rx: int64(s.NetworkRx), tx: int64(s.NetworkTx), read: int64(s.BlockRead), written: int64(s.BlockWrite),
	}
}

// sum gathers points into one.
type sum struct {
	last              point
	n                 uint64
	cpu, memory, pids float64
	cpuMax            uint32
	memoryMax         int64
}

func (s *sum) add(p point) {
	weight := float64(p.n)
	s.n += uint64(p.n)
	s.cpu += weight * float64(p.cpu)
	s.memory += weight * float64(p.memory)
	s.pids += weight * float64(p.pids)
	s.cpuMax, s.memoryMax = max(s.cpuMax, p.cpuMax), max(s.memoryMax, p.memoryMax)
	s.last = p
}

// point is the sum as the step that begins at; false when nothing was added.
func (s *sum) point(at int64) (point, bool) {
	if s.n == 0 {
		return point{}, false
	}
	p, n := s.last, float64(s.n)
	p.at, p.n = at, uint32(min(s.n, math.MaxUint32))
	p.cpu, p.cpuMax = uint32(math.Round(s.cpu/n)), s.cpuMax
	p.memory, p.memoryMax = int64(math.Round(s.memory/n)), s.memoryMax
	p.pids = uint32(math.Round(s.pids / n))
	return p, true
}

// begin is when the step of so many seconds that at lies in begins.
func begin(at, step int64) int64 { return at - ((at%step)+step)%step }

// steps puts points, oldest first, into steps of so many seconds.
func steps(points []point, step int64) []point {
	var out []point
	var s sum
	var at int64
	for _, p := range points {
		if b := begin(p.at, step); b != at {
			if whole, ok := s.point(at); ok {
				out = append(out, whole)
			}
			s, at = sum{}, b
		}
		s.add(p)
	}
	if whole, ok := s.point(at); ok {
		out = append(out, whole)
	}
	return out
}

// merge is both, oldest first; where both have one, both together: a server that
// was restarted in the middle of a minute, or a clock that stepped back.
func merge(older, newer []point) []point {
	out := make([]point, 0, len(older)+len(newer))
	for len(older) > 0 && len(newer) > 0 {
		switch {
		case older[0].at < newer[0].at:
			out, older = append(out, older[0]), older[1:]
		case older[0].at > newer[0].at:
			out, newer = append(out, newer[0]), newer[1:]
		default:
			var both sum
			both.add(older[0])
			both.add(newer[0])
			p, _ := both.point(newer[0].at)
			out, older, newer = append(out, p), older[1:], newer[1:]
		}
	}
	return append(append(out, older...), newer...)
}

// History is what a container used over one step.
type History struct {
	// Sample has the means over the step, the totals at its end, and its beginning
	// as the instant.
	Sample
	// CPUPercentMax and MemoryMax are the most over the step.
	CPUPercentMax float64
	MemoryMax     record.Bytes
}

func (p point) history(id string) History {
	h := History{
		Sample: Sample{
			ID: id, At: time.Unix(p.at, 0).UTC(), CPUPercent: float64(p.cpu) / 100,
			Memory: record.Bytes(p.memory), MemoryLimit: record.Bytes(p.limit),
			NetworkRx: record.Bytes(p.rx), NetworkTx: record.Bytes(p.tx),
			BlockRead: record.Bytes(p.read), BlockWrite: record.Bytes(p.written), Pids: int(p.pids),
		},
		CPUPercentMax: float64(p.cpuMax) / 100, MemoryMax: record.Bytes(p.memoryMax),
	}
	if p.limit > 0 {
		h.MemoryPercent = 100 * float64(p.memory) / float64(p.limit)
	}
	return h
}

// The packed form of points: a version, how many, and each as variable-length
// numbers, most of them the difference from the one before. A minute of a
// container at rest takes about 12 bytes.
const (
	packedVersion = 1
	// maxPacked bounds what one piece may say that it holds: minutes of a day.
	maxPacked = 24 * 60
)

var errPacked = errors.New("monitor: not a packed history")

// pack writes points, oldest first and at whole multiples of step seconds.
func pack(points []point, step int64) []byte {
	out := append(make([]byte, 0, 8+16*len(points)), packedVersion)
	out = binary.AppendUvarint(out, uint64(len(points)))
	var before point
	for _, p := range points {
		out = binary.AppendVarint(out, p.at/step-before.at/step)
		for _, n := range [...]uint32{p.n, p.cpu, p.cpuMax - p.cpu, p.pids} {
			out = binary.AppendUvarint(out, uint64(n))
		}
		now, then := p.sizes(), before.sizes()
		for i, n := range now {
			out = binary.AppendVarint(out, *n-*then[i])
		}
		before = p
	}
	return out
}

func (p *point) sizes() [7]*int64 {
	return [...]*int64{&p.memory, &p.memoryMax, &p.limit, &p.rx, &p.tx, &p.read, &p.written}
}

// unpack reads what pack wrote; anything else is an error.
func unpack(data []byte, step int64) ([]point, error) {
	if len(data) == 0 || data[0] != packedVersion {
		return nil, fmt.Errorf("%w of version %d", errPacked, packedVersion)
	}
	r := unpacker{rest: data[1:]}
	count := r.natural(maxPacked)
	points := make([]point, 0, count)
	var p point
	for range count {
		at := p.at/step + r.integer()
		p.at = at * step
		p.n, p.cpu = uint32(r.natural(math.MaxUint32)), uint32(r.natural(math.MaxUint32))
		p.cpuMax = uint32(r.natural(uint64(math.MaxUint32-p.cpu))) + p.cpu
		p.pids = uint32(r.natural(math.MaxUint32))
		for _, n := range p.sizes() {
			*n += r.integer()
		}
		if r.wrong || p.n == 0 || len(points) > 0 && p.at <= points[len(points)-1].at {
			return nil, errPacked
		}
		points = append(points, p)
	}
	if r.wrong || len(r.rest) > 0 {
		return nil, errPacked
	}
	return points, nil
}

// unpacker takes numbers off a packed text. Once wrong, it gives zeros.
type unpacker struct {
	rest  []byte
	wrong bool
}

func (r *unpacker) natural(most uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	return take(r, n, size, n <= most)
}

func (r *unpacker) integer() int64 {
	n, size := binary.Varint(r.rest)
	return take(r, n, size, true)
}

func take[T int64 | uint64](r *unpacker, n T, size int, fits bool) T {
	if r.wrong || size <= 0 || !fits {
		r.wrong = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}
