package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// The classic builder bounds memory and processor time of each step, and the
// number of processes not at all. So where the engine keeps its control groups in
// files of this machine, a build's steps are below a group of our own that bounds
// them all; elsewhere each step's container is bounded when it comes up.

// groupRoot is where control groups are.
const groupRoot = "/sys/fs/cgroup"

// buildGroupName is the group of a build, below the root.
func (e *Engine) buildGroupName(id string) string {
	return "mlride-" + e.opts.Instance + "-build-" + id
}

// buildGroup makes the group, and gives its path for the engine; empty where
// there is no way to.
func (e *Engine) buildGroup(ctx context.Context, spec engine.BuildSpec) (string, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	if !info.Local || info.CgroupDriver != "cgroupfs" || e.remote {
		return "", nil
	}
	name := e.buildGroupName(spec.ID)
	if info.CgroupVersion == 2 {
		err = makeGroup2(filepath.Join(groupRoot, name), spec.Limits)
	} else {
		err = makeGroup1(name, spec.Limits)
	}
	if err != nil { // we may not, or they are elsewhere
		return "", e.removeBuildGroup(spec.ID)
	}
	return "/" + name, nil
}

const groupPeriod = 100_000 // microseconds

func quotaOf(l engine.BuildLimits) string { return strconv.FormatInt(l.NanoCPUs*groupPeriod/1e9, 10) }

func makeGroup1(name string, l engine.BuildLimits) error {
	memory := strconv.FormatInt(l.Memory, 10)
	for _, c := range []struct {
		controller string
		files      [][2]string
	}{
		{"pids", [][2]string{{"pids.max", strconv.FormatInt(l.Pids, 10)}}},
		{"memory", [][2]string{{"memory.use_hierarchy", "1"}, {"memory.limit_in_bytes", memory}}},
		{"cpu", [][2]string{{"cpu.cfs_period_us", strconv.Itoa(groupPeriod)}, {"cpu.cfs_quota_us", quotaOf(l)}}},
	} {
		folder := filepath.Join(groupRoot, c.controller, name)
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, f := range c.files {
			err := os.WriteFile(filepath.Join(folder, f[0]), []byte(f[1]), 0o644)
			if err != nil && f[0] != "memory.use_hierarchy" { // which newer kernels fix to 1
				return err
			}
		}
	}
	return nil
}

func makeGroup2(folder string, l engine.BuildLimits) error {
	const controllers = "+pids +memory +cpu"
	// At the root they are on already where the engine runs anything.
	_ = os.WriteFile(filepath.Join(groupRoot, "cgroup.subtree_control"), []byte(controllers), 0o644)
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for _, f := range [][2]string{
		{"pids.max", strconv.FormatInt(l.Pids, 10)},
		{"memory.max", strconv.FormatInt(l.Memory, 10)},
		{"cpu.max", fmt.Sprintf("%s %d", quotaOf(l), groupPeriod)},
		{"cgroup.subtree_control", controllers},
	} {
		if err := os.WriteFile(filepath.Join(folder, f[0]), []byte(f[1]), 0o644); err != nil {
			return err
		}
	}
	_ = os.WriteFile(filepath.Join(folder, "memory.swap.max"), []byte("0"), 0o644) // not there without swap
	return nil
}

// removeBuildGroup removes the group of a build where there is one.
func (e *Engine) removeBuildGroup(id string) error {
	name := e.buildGroupName(id)
	folders := []string{filepath.Join(groupRoot, name)}
	// The runtime makes it in every controller that there is.
	found, err := filepath.Glob(filepath.Join(groupRoot, "*", name))
	for _, folder := range append(folders, found...) {
		if gone := os.Remove(folder); gone != nil && !errors.Is(gone, fs.ErrNotExist) && !errors.Is(gone, fs.ErrPermission) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

// boundSteps bounds the processes of each step's container when it joins the
// build's network, which no step can pretend, until ctx ends.
func (e *Engine) boundSteps(ctx context.Context, spec engine.BuildSpec) {
	for ctx.Err() == nil {
		_ = e.stream(ctx, openTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
			told, failed := c.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
				filters.Arg("type", string(events.NetworkEventType)), filters.Arg("event", string(events.ActionConnect)),
				filters.Arg("network", networkName(e.opts.Instance, buildNetwork(spec.ID))),
			)})
			opened()
			for {
				select {
				case m := <-told:
					pids := spec.Limits.Pids
					bounded, cancel := context.WithTimeout(ctx, startTimeout)
					// The engine does it when the start is over. One that ended has nothing to bound.
					_, _ = c.ContainerUpdate(bounded, m.Actor.Attributes["container"], container.UpdateConfig{
						Resources: container.Resources{PidsLimit: &pids},
					})
					cancel()
				case err := <-failed:
					return err
				}
			}
		})
		select {
		case <-time.After(time.Second): // the engine is not there, or the build over
		case <-ctx.Done():
		}
	}
}
