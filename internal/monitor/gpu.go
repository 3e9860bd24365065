package monitor

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/mlride/mlride/ent/record"
)

// GPUQuery is what is asked of the vendor's tool, as parseGPUs reads it.
var GPUQuery = []string{
	"--query-gpu=uuid,index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits",
}

const (
	// gpuWanted is for how long after somebody looked at a container with GPUs
	// they are measured.
	gpuWanted = 15 * time.Second
	// gpuFresh is how old a figure may be that is still given.
	gpuFresh = 10 * time.Second
)

// GPU is what one GPU does at one instant.
type GPU struct {
	// Device is its id, as the container holds it.
	Device string
	// Utilisation is how busy it is, in percent.
	Utilisation float64
	// MemoryUsed and MemoryTotal are of the GPU's own memory.
	MemoryUsed, MemoryTotal record.Bytes
}

// parseGPUs reads lines of the vendor's tool such as
// "GPU-8f6d…, 0, 37, 1024, 81920": percent and MiB. Each GPU is found by its id
// and by its number, since an operator may have listed either. A figure that the
// driver does not have, as "[N/A]", is 0; a line that is no GPU is passed over.
func parseGPUs(text []byte) map[string]GPU {
	found := map[string]GPU{}
	for line := range bytes.Lines(text) {
		fields := strings.Split(string(bytes.TrimSpace(line)), ",")
		if len(fields) != 5 {
			continue
		}
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if fields[0] == "" {
			continue
		}
		figure := func(i int) float64 {
			n, err := strconv.ParseFloat(fields[i], 64)
			if err != nil || n < 0 || n > 1e9 { // a NaN parses, and compares with nothing
				return 0
			}
			return n
		}
		g := GPU{
			Utilisation: min(figure(2), 100),
			MemoryUsed:  record.Bytes(figure(3)) * record.MiB, MemoryTotal: record.Bytes(figure(4)) * record.MiB,
		}
		for _, name := range fields[:2] {
			g.Device = name
			found[name] = g
		}
	}
	return found
}

// gpuLoop asks the tool at most once a second, for all containers together, and
// only while somebody looks at one that holds GPUs.
func (s *Service) gpuLoop(ctx context.Context) {
	if s.GPUs == nil {
		return
	}
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		wanted := s.gpuLooked()
		s.mu.Unlock()
		if !wanted {
			continue
		}
		text, err := s.GPUs(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.Log.DebugContext(ctx, "the GPUs' figures are not to be had", "error", err)
			}
			continue
		}
		found := parseGPUs(text)
		s.mu.Lock()
		s.gpus, s.gpusAt = found, s.Now()
		s.mu.Unlock()
	}
}

// gpuLooked says whether somebody looks at a running container that holds GPUs.
// The caller holds mu.
func (s *Service) gpuLooked() bool {
	for id, t := range s.targets {
		if len(t.GPUs) > 0 && (len(s.watching[id]) > 0 || recent(s.Now(), t.looked, gpuWanted)) {
			return true
		}
	}
	return false
}

// recent is false also for what lies ahead, after a clock stepped back.
func recent(now, then time.Time, within time.Duration) bool {
	age := now.Sub(then)
	return !then.IsZero() && age >= 0 && age < within
}

// gpusOf are the figures of the GPUs that the container holds. The caller holds mu.
func (s *Service) gpusOf(t *target) []GPU {
	if len(t.GPUs) == 0 || !recent(s.Now(), s.gpusAt, gpuFresh) {
		return nil
	}
	var list []GPU
	for _, device := range t.GPUs {
		if g, known := s.gpus[device]; known {
			list = append(list, g)
		}
	}
	return list
}
