package server

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
)

// gpuTool is the vendor's own tool, which knows the GPUs by the ids that the
// engine's runtime takes.
const gpuTool = "nvidia-smi"

// gpuPatience bounds the look: a driver in trouble hangs the tool.
const gpuPatience = 10 * time.Second

// GPUs says which GPUs containers may have.
type GPUs struct {
	// Found says to ask the vendor's tool; List is then empty.
	Found bool
	List  []quota.Device
}

var gpuID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// UnmarshalText reads "auto", "off" or ids with names: 0=A100,1=A100.
func (g *GPUs) UnmarshalText(text []byte) error {
	*g = GPUs{}
	switch string(text) {
	case "auto":
		g.Found = true
		return nil
	case "off":
		return nil
	}
	known := map[string]bool{}
	for _, part := range parts(text) {
		id, name, named := strings.Cut(part, "=")
		if !gpuID.MatchString(id) || known[id] || named && name == "" {
			return fmt.Errorf("takes auto, off, or GPUs as the engine's runtime knows them such as 0=A100,1=A100, each once; %q is not understood", part)
		}
		if !named {
			name = "GPU " + id
		}
		known[id] = true
		g.List = append(g.List, quota.Device{ID: id, Name: name})
	}
	return nil
}

// findGPUs notes which GPUs there are, now that the engine is known to be there.
// The tool tells of this machine, so it is asked only where the engine is too.
func (h *house) findGPUs(ctx context.Context, info engine.Info) {
	list := h.config.GPUs.List
	if h.config.GPUs.Found {
		if !info.Local {
			return
		}
		found, err := askGPUTool(ctx)
		if err != nil {
			h.log.WarnContext(ctx, "the GPUs could not be looked up; those known before stay", "error", err)
			return
		}
		list = found
	}
	if err := h.quota.SetDevices(ctx, list); err != nil {
		h.log.ErrorContext(ctx, "noting the GPUs did not succeed", "error", err)
	}
}

// askGPUTool asks the vendor's tool; none where it is not installed.
func askGPUTool(ctx context.Context) ([]quota.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, gpuPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, gpuTool, "--query-gpu=uuid,name", "--format=csv,noheader").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gpuTool, err)
	}
	return parseGPUs(string(out))
}

// gpuFigures runs the vendor's tool for the figures of GPUs; nothing where it is
// not installed, or the engine's machine is another.
func (h *house) gpuFigures(ctx context.Context) ([]byte, error) {
	if !h.lifecycle.Connection().Info.Local {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, gpuPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, gpuTool, monitor.GPUQuery...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", gpuTool, err)
	}
	return out, nil
}

// parseGPUs reads lines such as "GPU-8f6d…, NVIDIA A100-SXM4-80GB".
func parseGPUs(text string) ([]quota.Device, error) {
	var list []quota.Device
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		id, name, ok := strings.Cut(line, ", ")
		if !ok || !gpuID.MatchString(id) {
			return nil, fmt.Errorf("%s printed %q, which is no GPU", gpuTool, line)
		}
		list = append(list, quota.Device{ID: id, Name: name})
	}
	return list, nil
}
