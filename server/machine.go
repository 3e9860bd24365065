package server

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/firewall"
	"github.com/mlride/mlride/internal/quota"
)

// readyTime bounds the look at each part.
const readyTime = 2 * time.Second

// ready tells of the parts that requests need. An engine that cannot be reached
// is told and no reason not to answer: wishes are kept until it can.
func (h *house) ready(ctx context.Context) (status any, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	database := "ok"
	if err := h.store.Ping(ctx); err != nil {
		database = "unreachable"
	}
	return map[string]string{"database": database, "engine": string(h.engineState())}, database == "ok"
}

func (h *house) engineState() generated.EngineState {
	if h.lifecycle.Connection().Connected {
		return generated.EngineStateConnected
	}
	return generated.EngineStateUnreachable
}

// ServerInfo implements graph.Machine.
func (h *house) ServerInfo(ctx context.Context) (*generated.ServerInfo, error) {
	open, needsCode, err := h.accounts.RegistrationOpen(ctx)
	if err != nil {
		return nil, err
	}
	info := &generated.ServerInfo{
		Version: h.version, RegistrationOpen: open, RegistrationNeedsCode: needsCode,
		PasswordRules: account.PasswordRules(), EngineState: h.engineState(),
		MinMemory: record.Bytes(h.config.MinMemory), Time: time.Now().UTC(),
	}
	if h.config.Contact != "" {
		info.Contact = &h.config.Contact
	}
	return info, nil
}

// System implements graph.Machine.
func (h *house) System(ctx context.Context) (*generated.System, error) {
	capacity, reserved, err := h.quota.Machine(ctx)
	if err != nil {
		return nil, err
	}
	users, err := h.accounts.Total(ctx)
	if err != nil {
		return nil, err
	}
	images, err := h.images.Total(ctx)
	if err != nil {
		return nil, err
	}
	containers, err := h.byStatus(ctx)
	if err != nil {
		return nil, err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(h.config.Data, &disk); err != nil {
		return nil, err
	}
	block := uint64(disk.Bsize) //nolint:gosec // the kernel's block size is positive
	return &generated.System{
		Version: h.version, Engine: h.engineInfo(),
		Capacity: amounts(capacity.Together), Reserved: amounts(reserved), UsedMemory: h.monitor.TotalMemory(),
		Users: users, Images: images, Containers: containers,
		DiskFree: record.Bytes(disk.Bavail * block), DiskUsed: record.Bytes((disk.Blocks - disk.Bfree) * block),
		Firewall: firewallState(h.firewall.State()),
	}, nil
}

func firewallState(s firewall.State) *generated.Firewall {
	f := &generated.Firewall{Commands: []string{}, State: map[firewall.Status]generated.FirewallState{
		firewall.Protected: generated.FirewallStateProtected,
		firewall.MayNot:    generated.FirewallStateMayNot,
		firewall.Off:       generated.FirewallStateOff,
	}[s.Status]}
	if s.Reason != "" {
		f.Reason = &s.Reason
	}
	if s.Status != firewall.Protected {
		f.Commands = firewall.Commands()
	}
	return f
}

func amounts(a quota.Amounts) *generated.ResourceAmounts {
	return &generated.ResourceAmounts{CPU: a.CPU.Float(), Memory: a.Memory, Gpu: a.GPU}
}

func (h *house) engineInfo() *generated.Engine {
	c := h.lifecycle.Connection()
	e := &generated.Engine{
		Name: c.Info.Name, Version: c.Info.Version, APIVersion: c.Info.APIVersion,
		State: h.engineState(), Since: c.Since,
	}
	if !c.LastEvent.IsZero() {
		e.LastEventAt = &c.LastEvent
	}
	return e
}

func (h *house) byStatus(ctx context.Context) ([]*generated.StatusCount, error) {
	counts, err := h.lifecycle.CountByStatus(ctx)
	if err != nil {
		return nil, err
	}
	list := []*generated.StatusCount{}
	for _, status := range []container.Status{
		container.StatusPending, container.StatusQueued, container.StatusCreated, container.StatusStarting, container.StatusRunning,
		container.StatusPaused, container.StatusStopping, container.StatusExited, container.StatusFailed, container.StatusLost, container.StatusRemoving,
	} {
		if n := counts[status]; n > 0 {
			list = append(list, &generated.StatusCount{Status: status, Count: n})
		}
	}
	return list, nil
}
