// Package quota is the ledger: who may use what, and what of it is taken. Usage
// is kept in columns of the quota row and of the host's row, raised by a
// conditional update and given back in the transaction of the cause, so that it
// is exact under any concurrency and after any crash.
package quota

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/device"
	"github.com/mlride/mlride/ent/host"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// hostName is the row of the one engine that there is today.
const hostName = "local"

// Limits are what one person may use.
type Limits struct {
	Containers int
	CPU        record.Cores
	Memory     record.Bytes
	GPU        int
	Images     int
	Volumes    int
	Disk       record.Bytes
}

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	// Default is the quota of a new account.
	Default Limits
	Policy  Policy
	Log     *slog.Logger
	Now     func() time.Time
}

// Service keeps the ledger.
type Service struct{ Options }

// New returns the ledger on an open database; it makes the host's row.
func New(ctx context.Context, o Options) (*Service, error) {
	ctx = auth.AsSystem(ctx)
	err := o.Client.Host.Create().SetName(hostName).OnConflictColumns(host.FieldName).Ignore().Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the host's ledger: %w", err)
	}
	return &Service{o}, nil
}

// Give makes the default quota of a new account, with tx, the client of the
// transaction that makes the account.
func (s *Service) Give(ctx context.Context, tx *ent.Client, userID string) error {
	return s.GiveOther(ctx, tx, userID, nil)
}

// GiveOther is Give with other limits than the default's, where they say something.
func (s *Service) GiveOther(ctx context.Context, tx *ent.Client, userID string, instead *record.Limits) error {
	d, l := s.Default, record.Limits{}
	if instead != nil {
		l = *instead
	}
	if l.MaxCPU != nil {
		d.CPU = record.CoresOf(*l.MaxCPU)
	}
	return tx.Quota.Create().SetUserID(userID).
		SetMaxContainers(or(l.MaxContainers, d.Containers)).SetMaxCPU(d.CPU).SetMaxMemory(or(l.MaxMemory, d.Memory)).
		SetMaxGpu(or(l.MaxGPU, d.GPU)).SetMaxImages(or(l.MaxImages, d.Images)).SetMaxVolumes(or(l.MaxVolumes, d.Volumes)).
		SetMaxDisk(or(l.MaxDisk, d.Disk)).
		Exec(auth.AsSystem(ctx))
}

func or[T any](given *T, otherwise T) T {
	if given != nil {
		return *given
	}
	return otherwise
}

// SetMachine notes what the engine says that its machine has.
func (s *Service) SetMachine(ctx context.Context, cpus record.Cores, memory record.Bytes) error {
	err := s.Client.Host.Update().Where(host.Name(hostName)).
		SetCPU(cpus).SetMemory(memory).Exec(auth.AsSystem(ctx))
	if err == nil {
		s.roomChanged()
	}
	return err
}

// roomChanged tells those who let in whoever waits: it is nobody's own usage.
func (s *Service) roomChanged() { s.Feed.Publish(live.Change{Kind: live.Usage, Op: live.Updated}) }

// SetBoot notes when the engine began, and says whether that is news: whether
// it restarted since it was last noted. A zero time is not known and no news.
func (s *Service) SetBoot(ctx context.Context, boot time.Time) (restarted bool, err error) {
	ctx = auth.AsSystem(ctx)
	if boot.IsZero() {
		return false, nil
	}
	h, err := s.Client.Host.Query().Where(host.Name(hostName)).Only(ctx)
	if err != nil || h.EngineBoot != nil && h.EngineBoot.Equal(boot) {
		return false, err
	}
	return h.EngineBoot != nil, h.Update().SetEngineBoot(boot.UTC()).Exec(ctx)
}

// Machine is the capacity and what of it is reserved.
func (s *Service) Machine(ctx context.Context) (Capacity, Amounts, error) {
	h, err := s.Client.Host.Query().Where(host.Name(hostName)).Only(auth.AsSystem(ctx))
	if err != nil {
		return Capacity{}, Amounts{}, err
	}
	return s.Policy.CapacityOf(h), Amounts{CPU: h.UsedCPU, Memory: h.UsedMemory, GPU: h.UsedGpu}, nil
}

// Admit says what stands in the way of need for the owner now, and the most
// that one container could have. client may be that of a transaction.
func (s *Service) Admit(ctx context.Context, client *ent.Client, owner string, need Need) ([]Problem, Amounts, error) {
	b, err := s.Books(ctx, client, owner)
	if err != nil {
		return nil, Amounts{}, err
	}
	return b.Problems(need), b.Largest(), nil
}

// Books reads what a decision about the owner is made on. Room is kept for all
// who wait: whoever does not wait comes after them.
func (s *Service) Books(ctx context.Context, client *ent.Client, owner string) (Books, error) {
	ctx = auth.AsSystem(ctx)
	b := Books{}
	var err error
	if b.Quota, err = client.Quota.Query().Where(quota.UserID(owner)).Only(ctx); err != nil {
		return b, fmt.Errorf("read quota of %s: %w", owner, err)
	}
	if b.Host, err = client.Host.Query().Where(host.Name(hostName)).Only(ctx); err != nil {
		return b, fmt.Errorf("read the host's ledger: %w", err)
	}
	b.Capacity = s.Policy.CapacityOf(b.Host)
	waiting, err := s.Waiting(ctx, client)
	if err != nil {
		return b, err
	}
	for _, w := range waiting {
		if !w.Stuck {
			b.Held = b.Held.plus(w.Amounts)
		}
	}
	return b, nil
}

// Reserve takes need from the owner's quota and the machine, or takes nothing
// and says why not. tx is the client of the transaction of the cause.
func (s *Service) Reserve(ctx context.Context, tx *ent.Client, owner string, need Need) error {
	b, err := s.Books(ctx, tx, owner)
	if err != nil {
		return err
	}
	return s.reserve(ctx, tx, owner, need, b)
}

func (s *Service) reserve(ctx context.Context, tx *ent.Client, owner string, need Need, b Books) error {
	if problems := b.Problems(need); len(problems) > 0 {
		return Refusal(problems)
	}
	return s.take(ctx, tx, owner, need, true)
}

// Retake takes amounts again for a run that goes on through no wish of its
// owner's (the engine restarted): it is not refused, even where meanwhile a
// limit was lowered or the room was given to others, so that what ran runs on.
// The ledger stays exact, and no more is admitted until there is room.
func (s *Service) Retake(ctx context.Context, tx *ent.Client, owner string, a Amounts) error {
	return s.take(ctx, tx, owner, Need{Amounts: a}, false)
}

// Refusal is all problems as one error.
func Refusal(problems []Problem) *fault.Fault {
	f := problems[0].Fault()
	for _, p := range problems[1:] {
		f.Message += " " + p.Message
	}
	return f
}

// take raises the columns. On a database with one writer the check before has
// settled the matter; where there are several, the condition in the statement does.
func (s *Service) take(ctx context.Context, tx *ent.Client, owner string, n Need, bounded bool) error {
	ctx = auth.AsSystem(ctx)
	up := tx.Quota.Update().Where(quota.UserID(owner)).
		AddUsedContainers(n.Containers).AddUsedCPU(n.CPU).AddUsedMemory(n.Memory).AddUsedGpu(n.GPU)
	if bounded {
		up.Where(
			within(quota.FieldUsedContainers, quota.FieldMaxContainers, int64(n.Containers)),
			within(quota.FieldUsedCPU, quota.FieldMaxCPU, int64(n.CPU)),
			within(quota.FieldUsedMemory, quota.FieldMaxMemory, int64(n.Memory)),
			within(quota.FieldUsedGpu, quota.FieldMaxGpu, int64(n.GPU)),
		)
	}
	changed, err := up.Save(ctx)
	if err != nil {
		return fmt.Errorf("reserve for %s: %w", owner, err)
	}
	if changed != 1 {
		return fault.New(fault.QuotaExceeded, "Somebody else of your account took the last of your quota. Try again.")
	}
	if n.Amounts == (Amounts{}) {
		return nil
	}
	err = tx.Host.Update().Where(host.Name(hostName)).
		AddUsedCPU(n.CPU).AddUsedMemory(n.Memory).AddUsedGpu(n.GPU).Exec(ctx)
	if err != nil {
		return fmt.Errorf("reserve on the machine: %w", err)
	}
	return nil
}

// within holds where used + n is at most the limit; a limit that was lowered
// below what is used does not matter to what takes none of it.
func within(used, limit string, n int64) func(*sql.Selector) {
	return func(s *sql.Selector) {
		if n > 0 {
			s.Where(sql.ExprP(fmt.Sprintf("%s + ? <= %s", s.C(used), s.C(limit)), n))
		}
	}
}

// taken holds where at least one is used.
func taken(used string) func(*sql.Selector) {
	return func(s *sql.Selector) { s.Where(sql.GT(s.C(used), 0)) }
}

// Release gives need back, with tx, the client of the transaction of the cause.
// Giving back more than is taken is an error of the program and fails.
func (s *Service) Release(ctx context.Context, tx *ent.Client, owner string, n Need) error {
	ctx = auth.AsSystem(ctx)
	changed, err := tx.Quota.Update().
		Where(quota.UserID(owner), quota.UsedContainersGTE(n.Containers), quota.UsedCPUGTE(n.CPU), quota.UsedMemoryGTE(n.Memory), quota.UsedGpuGTE(n.GPU)).
		AddUsedContainers(-n.Containers).AddUsedCPU(-n.CPU).AddUsedMemory(-n.Memory).AddUsedGpu(-n.GPU).
		Save(ctx)
	if err != nil {
		return fmt.Errorf("give back to %s: %w", owner, err)
	}
	if changed != 1 {
		return fmt.Errorf("give back to %s: more than is taken: %+v", owner, n)
	}
	if n.Amounts == (Amounts{}) {
		return nil
	}
	changed, err = tx.Host.Update().
		Where(host.Name(hostName), host.UsedCPUGTE(n.CPU), host.UsedMemoryGTE(n.Memory), host.UsedGpuGTE(n.GPU)).
		AddUsedCPU(-n.CPU).AddUsedMemory(-n.Memory).AddUsedGpu(-n.GPU).
		Save(ctx)
	if err != nil {
		return fmt.Errorf("give back to the machine: %w", err)
	}
	if changed != 1 {
		return fmt.Errorf("give back to the machine: more than is taken: %+v", n)
	}
	return nil
}

// Usage is what one person uses now.
type Usage struct {
	Need
	Images  int
	Volumes int
	Disk    record.Bytes
}

// Usage tells what the person uses; NOT_FOUND where the viewer may not see them.
func (s *Service) Usage(ctx context.Context, userID string) (Usage, error) {
	q, err := s.ByUser(ctx, userID)
	if err != nil {
		return Usage{}, err
	}
	disk, err := s.disk(ctx, userID)
	if err != nil {
		return Usage{}, err
	}
	return Usage{
		Need:   Need{Containers: q.UsedContainers, Amounts: Amounts{CPU: q.UsedCPU, Memory: q.UsedMemory, GPU: q.UsedGpu}},
		Images: q.UsedImages, Volumes: q.UsedVolumes, Disk: disk.sum(),
	}, nil
}

// ByUser is the quota of a person.
func (s *Service) ByUser(ctx context.Context, userID string) (*ent.Quota, error) {
	q, err := s.Client.Quota.Query().Where(quota.UserID(userID)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("user", userID)
	}
	return q, err
}

// Get is a quota by its id.
func (s *Service) Get(ctx context.Context, id string) (*ent.Quota, error) {
	q, err := s.Client.Quota.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("quota", id)
	}
	return q, err
}

// Change is what of a quota is to change; nil stays.
type Change = record.Limits

// maxPieces and maxCores bound what a quota can say: far above any machine, and
// far below where arithmetic would end.
const (
	maxPieces = 10_000
	maxCores  = 10_000
)

// Set changes a person's quota; for administrators. Only what is given changes.
// Lowering a limit below what is used stops nothing and refuses more.
func (s *Service) Set(ctx context.Context, userID string, c Change) (*ent.Quota, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	if err := Check(c); err != nil {
		return nil, err
	}
	var row *ent.Quota
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		row, err = s.Change(ctx, tx, userID, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Changed(userID)
	return row.Unwrap(), nil
}

// Changed tells that a person's limits are others, once that is committed.
func (s *Service) Changed(userID string) {
	s.Feed.Publish(live.Change{Kind: live.Usage, ID: userID, Owner: userID, Op: live.Updated})
}

// Change is Set within the transaction of its cause, with limits that Check lets
// through.
func (s *Service) Change(ctx context.Context, tx *ent.Client, userID string, c Change) (*ent.Quota, error) {
	q, err := tx.Quota.Query().Where(quota.UserID(userID)).WithUser().Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("user", userID)
	}
	if err != nil {
		return nil, err
	}
	up := q.Update().SetNillableMaxContainers(c.MaxContainers).SetNillableMaxGpu(c.MaxGPU).
		SetNillableMaxImages(c.MaxImages).SetNillableMaxVolumes(c.MaxVolumes).
		SetNillableMaxMemory(c.MaxMemory).SetNillableMaxDisk(c.MaxDisk).
		SetUpdatedAt(s.Now().UTC())
	if c.MaxCPU != nil {
		up.SetMaxCPU(record.CoresOf(*c.MaxCPU))
	}
	row, err := up.Save(ctx)
	if err != nil {
		return nil, err
	}
	return row, audit.Record(ctx, tx, audit.Entry{
		Action: "quota.set", Target: userID, TargetName: q.Edges.User.Username, Detail: describe(q, row),
	})
}

// Check says whether limits can be set.
func Check(c Change) error {
	var check fault.Check
	pieces := func(field string, n *int) {
		check.That(n == nil || *n >= 0 && *n <= maxPieces, field, "range", "%s takes 0 to %d.", field, maxPieces)
	}
	pieces("maxContainers", c.MaxContainers)
	pieces("maxGpu", c.MaxGPU)
	pieces("maxImages", c.MaxImages)
	pieces("maxVolumes", c.MaxVolumes)
	check.That(c.MaxCPU == nil || *c.MaxCPU >= 0 && *c.MaxCPU <= maxCores, "maxCpu", "range", "maxCpu takes 0 to %d cores.", maxCores)
	size := func(field string, n *record.Bytes) {
		check.That(n == nil || *n >= 0 && *n <= record.MaxBytes, field, "range", "%s takes 0 bytes to 2^53.", field)
	}
	size("maxMemory", c.MaxMemory)
	size("maxDisk", c.MaxDisk)
	return check.Err()
}

func describe(old, now *ent.Quota) string {
	text := ""
	add := func(name string, a, b any) {
		if a != b {
			text += fmt.Sprintf("%s %v → %v; ", name, a, b)
		}
	}
	add("containers", old.MaxContainers, now.MaxContainers)
	add("cpu", old.MaxCPU, now.MaxCPU)
	add("memory", old.MaxMemory, now.MaxMemory)
	add("gpu", old.MaxGpu, now.MaxGpu)
	add("images", old.MaxImages, now.MaxImages)
	add("volumes", old.MaxVolumes, now.MaxVolumes)
	add("disk", old.MaxDisk, now.MaxDisk)
	return text
}

// Audit compares the ledger with the sum over what exists. A difference is a
// defect: it is told, and not mended in silence.
func (s *Service) Audit(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	var wrong error
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		quotas, err := tx.Quota.Query().All(ctx)
		if err != nil {
			return err
		}
		containers, err := tx.Container.Query().
			Select(container.FieldID, container.FieldOwnerID, container.FieldReserved, container.FieldCPULimit, container.FieldMemoryLimit, container.FieldGpuLimit).All(ctx)
		if err != nil {
			return err
		}
		images, err := tx.Image.Query().Where(image.OwnerIDNotNil()).Select(image.FieldOwnerID).All(ctx)
		if err != nil {
			return err
		}
		volumes, err := tx.Volume.Query().Select(volume.FieldOwnerID).All(ctx)
		if err != nil {
			return err
		}
		h, err := tx.Host.Query().Where(host.Name(hostName)).Only(ctx)
		if err != nil {
			return err
		}
		devices, err := tx.Device.Query().Where(device.ContainerIDNotNil()).All(ctx)
		if err != nil {
			return err
		}
		wrong = errors.Join(difference(quotas, h, containers, images, volumes), misheld(containers, devices))
		return nil
	})
	if err != nil {
		return err
	}
	return wrong
}

func difference(quotas []*ent.Quota, h *ent.Host, containers []*ent.Container, images []*ent.Image, volumes []*ent.Volume) error {
	type sum struct {
		Need
		images, volumes int
	}
	sums, whole := map[string]sum{}, Amounts{}
	for _, c := range containers {
		u := sums[c.OwnerID]
		u.Containers++
		if c.Reserved {
			u.CPU, u.Memory, u.GPU = u.CPU+c.CPULimit, u.Memory+c.MemoryLimit, u.GPU+c.GpuLimit
			whole = Amounts{whole.CPU + c.CPULimit, whole.Memory + c.MemoryLimit, whole.GPU + c.GpuLimit}
		}
		sums[c.OwnerID] = u
	}
	for _, i := range images {
		u := sums[*i.OwnerID]
		u.images++
		sums[*i.OwnerID] = u
	}
	for _, v := range volumes {
		u := sums[v.OwnerID]
		u.volumes++
		sums[v.OwnerID] = u
	}
	for _, q := range quotas {
		booked := sum{Need{q.UsedContainers, Amounts{q.UsedCPU, q.UsedMemory, q.UsedGpu}}, q.UsedImages, q.UsedVolumes}
		if booked != sums[q.UserID] {
			return fmt.Errorf("quota: the ledger of %s says %+v, what exists is %+v", q.UserID, booked, sums[q.UserID])
		}
	}
	if booked := (Amounts{h.UsedCPU, h.UsedMemory, h.UsedGpu}); booked != whole {
		return fmt.Errorf("quota: the machine's ledger says %+v, what is reserved is %+v", booked, whole)
	}
	return nil
}
