package server

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/disk"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/firewall"
	"github.com/mlride/mlride/internal/monitor"
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
		RegistrationMode: registrationModes[h.accounts.Mode],
		DeletionGrace:    record.Duration(h.config.DeletionGrace.Duration), MaxAvatarSize: account.MaxAvatar,
		MinMemory: record.Bytes(h.config.MinMemory), Time: time.Now().UTC(), AppsShareOrigin: h.ports.Share(),
	}
	if d := h.idleDefault(); d != 0 {
		info.IdleTimeout = &d
	}
	if d := record.Duration(h.config.IdleMax.Duration); d != 0 {
		info.MaxIdleTimeout = &d
	}
	if h.config.Contact != "" {
		info.Contact = &h.config.Contact
	}
	return info, nil
}

var registrationModes = map[account.Mode]generated.RegistrationMode{
	account.Open: generated.RegistrationModeOpen, account.Closed: generated.RegistrationModeClosed, account.Invite: generated.RegistrationModeInvite,
}

// idleDefault is the idle timeout of a container that names none.
func (h *house) idleDefault() record.Duration {
	return record.Duration(cmp.Or(h.config.IdleTimeout.Duration, h.config.IdleMax.Duration))
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
	var data unix.Statfs_t
	if err := unix.Statfs(h.config.Data, &data); err != nil {
		return nil, err
	}
	gpus, err := h.gpus(ctx)
	if err != nil {
		return nil, err
	}
	byOwner, used := h.monitor.InUse()
	people, err := h.people(ctx, byOwner)
	if err != nil {
		return nil, err
	}
	block := uint64(data.Bsize) //nolint:gosec // the kernel's block size is positive
	var engineFree *record.Bytes
	if root := h.lifecycle.Connection().Info.DataRoot; root != "" {
		if free, err := disk.Free(root); err == nil {
			engineFree = &free
		}
	}
	return &generated.System{
		Version: h.version, Engine: h.engineInfo(),
		Capacity: amounts(capacity.Together), Reserved: amounts(reserved), UsedMemory: used.Memory, UsedCPU: used.CPU, People: people,
		Users: users, Images: images, Containers: containers,
		Gpus: gpus, Queued: queued(containers), HostProtection: protection(h.firewall.State()),
		DiskFree: record.Bytes(data.Bavail * block), DiskUsed: record.Bytes((data.Blocks - data.Bfree) * block),
		EngineDiskFree: engineFree, DiskReserve: h.config.HostReserve.Disk, DiskReclaimable: h.images.Reclaimable(),
	}, nil
}

// people are those who have containers, most reserved memory first.
func (h *house) people(ctx context.Context, used map[string]monitor.Used) ([]*generated.PersonUse, error) {
	quotas, running, err := h.quota.People(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*generated.PersonUse, len(quotas))
	for i, q := range quotas {
		list[i] = &generated.PersonUse{
			User: q.Edges.User, Running: running[q.UserID],
			Reserved: amounts(quota.Amounts{CPU: q.UsedCPU, Memory: q.UsedMemory, GPU: q.UsedGpu}),
			UsedCPU:  used[q.UserID].CPU, UsedMemory: used[q.UserID].Memory,
		}
	}
	return list, nil
}

func protection(s firewall.State) *generated.HostProtection {
	p := &generated.HostProtection{Protected: s.Status == firewall.Protected, Commands: []string{}}
	switch s.Status {
	case firewall.Protected:
		p.Message = "Containers are kept from this machine's services, from other people's containers and from the cloud's metadata."
		return p
	case firewall.Off:
		p.Message = "MLRIDE_FIREWALL is off: unless somebody else made such rules, containers reach this machine's services."
	case firewall.MayNot:
		p.Message = "Containers reach this machine's services unless somebody else made such rules: " + s.Reason
	}
	p.Commands = firewall.Commands()
	return p
}

func (h *house) gpus(ctx context.Context) ([]*generated.GpuDevice, error) {
	rows, err := h.quota.Devices(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]*generated.GpuDevice, len(rows))
	for i, row := range rows {
		list[i] = &generated.GpuDevice{ID: row.Device, Name: row.Name, Present: row.Present}
		if row.ContainerID == nil {
			continue
		}
		if list[i].HeldBy, err = h.lifecycle.Get(ctx, *row.ContainerID); err != nil && fault.CodeOf(err) != fault.NotFound {
			return nil, err
		}
	}
	return list, nil
}

func queued(counts []*generated.StatusCount) int {
	for _, c := range counts {
		if c.Status == container.StatusQueued {
			return c.Count
		}
	}
	return 0
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
