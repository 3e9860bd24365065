package docker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// Facts are what an operator should know of an engine, beside what the contract
// tells.
type Facts struct {
	engine.Info
	// Unlimited names what the engine's kernel cannot limit: memory, cpu, processes.
	Unlimited []string
	// SwapLimit says that containers cannot use more memory by swapping.
	SwapLimit bool
	// Seccomp filters system calls; UsernsRemap makes root inside nobody outside.
	Seccomp, UsernsRemap bool
	// Storage is the driver and what it stands on. WhyNoDiskLimit says why the engine
	// cannot bound what a container writes; empty where it can.
	Storage, WhyNoDiskLimit string
	// Folder is where the engine keeps its files; told for a local one.
	Folder string
	Pool   Pool
}

// Pool is how the network pool stands.
type Pool struct {
	// Free is for how many more users there is a network, counted up to 1,024.
	Free int
	// Taken are networks of others within the pool, Around those that hold all of it
	// and more, where ours go before them.
	Taken, Around []string
}

// Facts asks the engine.
func (e *Engine) Facts(ctx context.Context) (Facts, error) {
	info, err := e.Info(ctx)
	if err != nil {
		return Facts{}, err
	}
	var (
		told system.Info
		nets []network.Summary
	)
	err = e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		if told, err = c.Info(ctx); err != nil {
			return err
		}
		nets, err = c.NetworkList(ctx, network.ListOptions{})
		return err
	})
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		Info: info, SwapLimit: told.SwapLimit,
		Seccomp: hasSecurity(told, "seccomp"), UsernsRemap: hasSecurity(told, "userns"),
		Storage: storage(told), WhyNoDiskLimit: whyNoDiskLimit(told, info.Local), Pool: e.pool(nets, info.Local),
	}
	if info.Local {
		f.Folder = told.DockerRootDir
	}
	for name, can := range map[string]bool{"memory": told.MemoryLimit, "cpu": told.CPUCfsQuota, "processes": told.PidsLimit} {
		if !can {
			f.Unlimited = append(f.Unlimited, name)
		}
	}
	slices.Sort(f.Unlimited)
	return f, nil
}

// hasSecurity reads entries such as "name=seccomp,profile=default".
func hasSecurity(info system.Info, name string) bool {
	return slices.ContainsFunc(info.SecurityOptions, func(option string) bool {
		return slices.Contains(strings.Split(option, ","), "name="+name)
	})
}

func backing(info system.Info) string {
	for _, pair := range info.DriverStatus {
		if pair[0] == "Backing Filesystem" {
			return pair[1]
		}
	}
	return ""
}

func storage(info system.Info) string {
	if on := backing(info); on != "" {
		return info.Driver + " on " + on
	}
	return info.Driver
}

// whyNoDiskLimit says why --storage-opt size= will be refused. The engine tells
// only when it is tried; what it wants is a kind of file system, mounted so.
func whyNoDiskLimit(info system.Info, local bool) string {
	switch {
	case slices.Contains([]string{"btrfs", "zfs"}, info.Driver):
		return ""
	case info.Driver != "overlay2" || backing(info) != "xfs":
		return "the engine's files are not in overlay2 on XFS"
	case !local:
		return "whether its XFS is mounted with pquota is not to be seen from here"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err.Error()
	}
	if !quotaMounted(string(mounts), info.DockerRootDir) {
		return "its XFS is not mounted with pquota"
	}
	return ""
}

// quotaMounted says whether the innermost mount that holds folder keeps project
// quotas. The fifth column is where it is mounted; its file system's own options
// are the last.
func quotaMounted(mountinfo, folder string) bool {
	best, kept := "", false
	for line := range strings.Lines(mountinfo) {
		columns := strings.Fields(line)
		if len(columns) < 10 {
			continue
		}
		at := columns[4]
		if rel, err := filepath.Rel(at, folder); err != nil || rel == ".." || strings.HasPrefix(rel, "../") || len(at) < len(best) {
			continue
		}
		options := strings.Split(columns[len(columns)-1], ",")
		best, kept = at, slices.Contains(options, "prjquota") || slices.Contains(options, "pquota")
	}
	return kept
}

// pool tells how the network pool stands.
func (e *Engine) pool(nets []network.Summary, local bool) Pool {
	var p Pool
	var held, ours []netip.Prefix
	note := func(what string, block netip.Prefix) {
		switch {
		case !block.Overlaps(e.opts.NetworkPool) || block.Bits() == 0 || slices.Contains(ours, block):
		case block.Bits() < e.opts.NetworkPool.Bits():
			p.Around = append(p.Around, fmt.Sprintf("%s %s", what, block))
		default:
			p.Taken = append(p.Taken, fmt.Sprintf("%s %s", what, block))
		}
	}
	for _, n := range nets {
		for _, block := range subnets(n) {
			held = append(held, block)
			if n.Labels[labelInstance] == "" {
				note("the engine's network "+n.Name, block)
			}
			ours = append(ours, block) // its route and address are nothing else
		}
	}
	if local {
		for _, block := range hostRoutes() {
			note("the host's", block)
		}
		held = append(held, hostNetworks(e.opts.NetworkPool)...)
	}
	slices.Sort(p.Taken)
	p.Taken, p.Around = slices.Compact(p.Taken), slices.Compact(p.Around)
	for range freeBlocks(e.opts.NetworkPool, smallestBlock, held) {
		if p.Free++; p.Free == 1024 {
			break
		}
	}
	return p
}

// boundsLayers says whether the engine can bound what a container writes.
func (e *Engine) boundsLayers(ctx context.Context) (bool, error) {
	if known := e.layers.Load(); known != nil {
		return *known, nil
	}
	var bounds bool
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		told, err := c.Info(ctx)
		bounds = whyNoDiskLimit(told, local(c, told)) == ""
		return err
	})
	if err != nil {
		return false, err
	}
	e.layers.Store(&bounds)
	return bounds, nil
}
