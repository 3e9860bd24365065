package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

// Every verb works alike: it loads what the viewer may see, checks everything,
// records the wish and what it reserves in one short transaction, and wakes the
// reconciler, which does the rest. None asks the engine.

// keyLife is how long an idempotency key is remembered.
const keyLife = 24 * time.Hour

func requireSignedIn(ctx context.Context) (auth.Viewer, error) { return auth.Require(ctx) }

// Create records a new container of the viewer's, reserves what it needs, and
// returns. The same idempotency key within a day gives the first one's.
func (s *Service) Create(ctx context.Context, w Wanted) (*ent.Container, error) {
	v, err := requireSignedIn(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, w)
	if err != nil {
		return nil, err
	}
	full := s.space(ctx, v.UserID)
	var row *ent.Container
	fresh := false
	err = s.tx(ctx, "create", func(tx *ent.Client) error {
		if row, err = s.byKey(ctx, tx, v.UserID, w.IdempotencyKey); row != nil || err != nil {
			return err
		}
		if full != nil {
			return full
		}
		fresh = true
		row, err = s.insert(ctx, tx, v, p)
		return err
	})
	if ent.IsConstraintError(err) {
		return nil, fault.New(fault.Conflict, "%s", nameTaken(w.Name)).With("field", "name").Because(err)
	}
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	if !fresh {
		return row, nil
	}
	s.published(row, live.Created)
	s.queue.wake(row.ID, row.OwnerID)
	return s.placed(ctx, row)
}

// byKey is the container that the same key made within a day; an older one
// gives the key up.
func (s *Service) byKey(ctx context.Context, tx *ent.Client, owner string, key *string) (*ent.Container, error) {
	if key == nil {
		return nil, nil
	}
	row, err := tx.Container.Query().Where(container.OwnerID(owner), container.IdempotencyKey(*key)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil || row.CreatedAt.After(s.Now().Add(-keyLife)) {
		return row, err
	}
	return nil, row.Update().ClearIdempotencyKey().Exec(ctx)
}

func (s *Service) insert(ctx context.Context, tx *ent.Client, v auth.Viewer, p plan) (*ent.Container, error) {
	img, err := tx.Image.Get(ctx, p.ImageID) // again: it may be on its way out since
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("image", p.ImageID)
	}
	if err != nil {
		return nil, err
	}
	if err := ready(img); err != nil {
		return nil, err
	}
	taken, err := tx.Container.Query().Where(container.OwnerID(v.UserID), container.Name(p.Name)).Exist(ctx)
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, fault.New(fault.Conflict, "%s", nameTaken(p.Name)).With("field", "name")
	}
	got, err := s.take(ctx, tx, asking{owner: v.UserID, need: p.need(), queue: p.Queue})
	if err != nil {
		return nil, err
	}
	w, f := Wish{Desired: container.DesiredStopped, Unbound: p.limits.GPU > 0}, Fact{Observed: container.ObservedAbsent}
	create := tx.Container.Create()
	switch {
	case got.queued:
		w = Wish{Desired: container.DesiredRunning, Run: 1, Queued: true}
		create.SetQueued(true).SetQueuedAt(s.Now().UTC())
	case p.Start:
		w = Wish{Desired: container.DesiredRunning, Run: 1}
		create.SetReserved(true).SetReservedAt(s.Now().UTC())
	}
	row, err := create.
		SetName(p.Name).SetOwnerID(v.UserID).SetImageID(img.ID).
		SetDesired(w.Desired).SetRun(w.Run).SetObserved(f.Observed).SetStatus(Status(w, f)).
		SetCPULimit(p.limits.CPU).SetMemoryLimit(p.limits.Memory).SetGpuLimit(p.limits.GPU).
		SetCommand(orEmpty(p.Command)).SetEnvironment(orEmpty(p.Environment)).
		SetRestartPolicy(p.RestartPolicy).SetNillableIdempotencyKey(p.IdempotencyKey).
		SetNillableIdleTimeout(stored(s.Idleness.effective(p.IdleTimeout))).
		SetPorts(orEmpty(p.Ports)).
		Save(ctx)
	if err != nil {
		return nil, err
	}
	if row.Reserved && p.limits.GPU > 0 {
		devices, err := s.Quota.TakeDevices(ctx, tx, row.ID, p.limits.GPU, nil)
		if err != nil {
			return nil, err
		}
		if row, err = row.Update().SetGpuDevices(devices).Save(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.Volumes.Attach(ctx, tx, row.ID, p.Mounts, p.Workspace); err != nil {
		return nil, err
	}
	if err := s.usesImage(ctx, tx, img.ID); err != nil {
		return nil, err
	}
	message := fmt.Sprintf("Asked for, of %s with %s cores and %s.", img.Reference, p.limits.CPU, p.limits.Memory)
	return row, s.told(ctx, tx, row, "create", message)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// told writes the timeline and the audit trail of a verb.
func (s *Service) told(ctx context.Context, tx *ent.Client, row *ent.Container, verb, message string) error {
	if err := note(ctx, tx, row.ID, Line{verb, message}); err != nil {
		return err
	}
	return audit.Record(ctx, tx, audit.Entry{Action: "container." + verb, Target: row.ID, TargetName: row.Name})
}

// change is what all verbs on an existing container have in common. do changes
// up and returns the wish, or a nil wish when there is nothing to do.
func (s *Service) change(ctx context.Context, id, verb, message string, do func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error)) (*ent.Container, error) {
	if _, err := requireSignedIn(ctx); err != nil {
		return nil, err
	}
	var row *ent.Container
	changed := false
	err := s.tx(ctx, verb, func(tx *ent.Client) error {
		var err error
		if row, err = tx.Container.Get(ctx, id); err != nil {
			return err
		}
		up := row.Update()
		wish, err := do(tx, row, up)
		if err != nil || wish == nil {
			return err
		}
		changed = true
		fact := factOf(row)
		if failed, set := up.Mutation().Failed(); set {
			fact.Failed = failed
		}
		up.SetDesired(wish.Desired).SetRun(wish.Run).SetStatus(Status(*wish, fact)).SetQueued(wish.Queued)
		switch {
		case !wish.Queued:
			up.ClearQueuedAt().ClearQueuePosition()
		case !row.Queued:
			up.SetQueuedAt(s.Now().UTC())
		}
		if err := s.told(ctx, tx, row, verb, message); err != nil {
			return err
		}
		row, err = up.Save(ctx)
		return err
	})
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("container", id)
	}
	if err != nil {
		return nil, err
	}
	row = row.Unwrap()
	if !changed {
		return row, nil
	}
	s.published(row, live.Updated)
	s.queue.wake(row.ID, row.OwnerID)
	return s.placed(ctx, row)
}

// Start wants it running. One that runs, or is about to, or waits already, is left
// alone; a frozen one goes on. With queue it waits where the machine is full.
func (s *Service) Start(ctx context.Context, id string, queue bool) (*ent.Container, error) {
	full := s.spaceOf(ctx, id)
	return s.change(ctx, id, "start", "Start was asked for.", func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		switch row.Desired {
		case container.DesiredRunning:
			return nil, nil
		case container.DesiredPaused:
			return s.wake(row, up, full)
		case container.DesiredRemoved:
			return nil, invalid(row, "start")
		case container.DesiredStopped:
		}
		if full != nil {
			return nil, full
		}
		return s.again(ctx, tx, row, up, queue)
	})
}

// usesImage notes that the image is in use. Whoever may use it may not change it otherwise.
func (s *Service) usesImage(ctx context.Context, tx *ent.Client, id string) error {
	return tx.Image.UpdateOneID(id).SetLastUsedAt(s.Now().UTC()).Exec(auth.AsSystem(ctx))
}

// again wants a new run, and reserves for it.
func (s *Service) again(ctx context.Context, tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne, queue bool) (*Wish, error) {
	img, err := tx.Image.Get(ctx, row.ImageID)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	checkMinima(&check, img, quota.Of(row))
	if err := check.Err(); err != nil {
		return nil, err
	}
	if err := s.usesImage(ctx, tx, img.ID); err != nil {
		return nil, err
	}
	wish := &Wish{Desired: container.DesiredRunning, Run: row.Run + 1}
	if !made(row) {
		if err := ready(img); err != nil {
			return nil, err // it has to be made anew from the image
		}
	}
	if !row.Reserved {
		got, err := s.take(ctx, tx, asking{owner: row.OwnerID, need: quota.Need{Amounts: quota.Of(row)}, queue: queue, row: row})
		if err != nil {
			return nil, err
		}
		if wish.Queued = got.queued; !got.queued {
			up.SetReserved(true).SetReservedAt(s.Now().UTC())
			if row.GpuLimit > 0 {
				up.SetGpuDevices(got.devices)
			}
		}
	}
	up.SetFailed(false).SetRestarts(0).ClearStatusMessage()
	if row.Observed != container.ObservedRunning && row.Observed != container.ObservedPaused {
		up.ClearStoppedBy()
	}
	return wish, nil
}

// Stop wants it stopped: its program is asked to end, and killed after grace. One
// that waits for room leaves the queue.
func (s *Service) Stop(ctx context.Context, id string, grace time.Duration) (*ent.Container, error) {
	if err := checkGrace(grace); err != nil {
		return nil, err
	}
	return s.change(ctx, id, "stop", "Stop was asked for.", func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		switch row.Desired {
		case container.DesiredStopped:
			if row.Observed != container.ObservedExited || row.StoppedBy != nil {
				return nil, nil
			}
			// It has ended by itself. Should that turn out to be the engine's doing, it
			// is not started again: its owner has said that it is to be stopped.
			wish := wishOf(row)
			up.SetStoppedBy(auth.Of(ctx).UserID)
			return &wish, nil
		case container.DesiredRemoved:
			return nil, invalid(row, "stop")
		case container.DesiredRunning, container.DesiredPaused:
		}
		up.SetStopGrace(seconds(grace)).ClearStatusMessage()
		if !row.Queued {
			up.SetStoppedBy(auth.Of(ctx).UserID)
		}
		return &Wish{Desired: container.DesiredStopped, Run: row.Run, Unbound: wishOf(row).Unbound}, nil
	})
}

// Restart wants a new run: the present one ends first, politely.
func (s *Service) Restart(ctx context.Context, id string, grace time.Duration) (*ent.Container, error) {
	if err := checkGrace(grace); err != nil {
		return nil, err
	}
	full := s.spaceOf(ctx, id)
	return s.change(ctx, id, "restart", "Restart was asked for.", func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		if row.Desired == container.DesiredRemoved {
			return nil, invalid(row, "restart")
		}
		if row.Queued {
			return nil, nil // it will be started as it is
		}
		if begins := row.Desired == container.DesiredStopped || row.Frozen == container.FrozenDisk; begins && full != nil {
			return nil, full
		}
		wish, err := s.again(ctx, tx, row, up, false)
		if err == nil && (row.Observed == container.ObservedRunning || row.Observed == container.ObservedPaused) {
			up.SetStoppedBy(auth.Of(ctx).UserID).SetStopGrace(seconds(grace))
		}
		return wish, err
	})
}

// Pause wants a running container frozen. Its reservation stays.
func (s *Service) Pause(ctx context.Context, id string) (*ent.Container, error) {
	return s.change(ctx, id, "pause", "Pause was asked for.", func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		switch {
		case row.Desired == container.DesiredPaused:
			return nil, nil
		case row.Status != container.StatusRunning:
			return nil, invalid(row, "pause", container.StatusRunning)
		}
		s.used(row, up)
		return &Wish{Desired: container.DesiredPaused, Run: row.Run}, nil
	})
}

// Unpause wants a frozen container to go on.
func (s *Service) Unpause(ctx context.Context, id string) (*ent.Container, error) {
	full := s.Room()
	return s.change(ctx, id, "unpause", "Unpause was asked for.", func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		switch {
		case row.Desired == container.DesiredRunning && row.Status == container.StatusRunning:
			return nil, nil
		case row.Desired != container.DesiredPaused:
			return nil, invalid(row, "unpause", container.StatusPaused)
		}
		return s.wake(row, up, full)
	})
}

// Remove wants it gone, in whatever state it is.
func (s *Service) Remove(ctx context.Context, id string) (*ent.Container, error) {
	return s.change(ctx, id, "remove", "Removal was asked for.", func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		if row.Desired == container.DesiredRemoved {
			return nil, nil
		}
		up.SetStoppedBy(auth.Of(ctx).UserID).ClearStatusMessage()
		return &Wish{Desired: container.DesiredRemoved, Run: row.Run}, nil
	})
}

// Edit is what of a container is to change; nil stays.
type Edit struct {
	Name          *string
	CPU           *float64
	Memory        *record.Bytes
	RestartPolicy *container.RestartPolicy
	// IdleTimeout zero is for ever.
	IdleTimeout *record.Duration
	// Ports take the place of those that were.
	Ports *[]record.Port
}

// Update changes a container. New limits reach a running one at once.
func (s *Service) Update(ctx context.Context, id string, e Edit) (*ent.Container, error) {
	var check fault.Check
	check.That(e.Name == nil || dnsLabel.MatchString(*e.Name), "name", "format", nameRule)
	checkCPU(&check, e.CPU)
	checkMemory(&check, e.Memory, s.MinMemory)
	s.Idleness.check(&check, e.IdleTimeout)
	if e.Ports != nil {
		checkPorts(&check, *e.Ports)
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	row, err := s.change(ctx, id, "update", e.describe(), func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		if row.Desired == container.DesiredRemoved {
			return nil, invalid(row, "update")
		}
		up.SetNillableName(e.Name).SetNillableRestartPolicy(e.RestartPolicy)
		editIdle(row, up, e.IdleTimeout)
		if e.Ports != nil {
			up.SetPorts(orEmpty(*e.Ports))
		}
		wish := wishOf(row)
		return &wish, s.editLimits(ctx, tx, row, up, e)
	})
	if ent.IsConstraintError(err) {
		return nil, fault.New(fault.Conflict, "%s", nameTaken(*e.Name)).With("field", "name").Because(err)
	}
	return row, err
}

func (e Edit) describe() string {
	var parts []string
	if e.Name != nil {
		parts = append(parts, "name "+*e.Name)
	}
	if e.CPU != nil {
		parts = append(parts, record.CoresOf(*e.CPU).String()+" cores")
	}
	if e.Memory != nil {
		parts = append(parts, e.Memory.String())
	}
	if e.RestartPolicy != nil {
		parts = append(parts, "restart policy "+string(*e.RestartPolicy))
	}
	if e.IdleTimeout != nil {
		parts = append(parts, "idle timeout "+e.IdleTimeout.String())
	}
	if e.Ports != nil {
		parts = append(parts, "ports "+describePorts(*e.Ports))
	}
	return "A change was asked for: " + strings.Join(parts, ", ") + "."
}

// editLimits moves the reservation with the limits, in the same transaction.
func (s *Service) editLimits(ctx context.Context, tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne, e Edit) error {
	old := quota.Of(row)
	now := old
	if e.CPU != nil {
		now.CPU = record.CoresOf(*e.CPU)
	}
	if e.Memory != nil {
		now.Memory = *e.Memory
	}
	if now == old {
		return nil
	}
	img, err := tx.Image.Get(ctx, row.ImageID)
	if err != nil {
		return err
	}
	var check fault.Check
	checkMinima(&check, img, quota.Amounts{CPU: now.CPU, Memory: now.Memory, GPU: max(now.GPU, img.MinGpu)}) // GPUs cannot be changed
	if used, known := s.MemoryInUse(row.ID); known {
		check.That(now.Memory >= used, "memoryLimit", "inUse", "It uses %s now, which is more than %s. Stop it first, or free memory in it.", used, now.Memory)
	}
	if err := check.Err(); err != nil {
		return err
	}
	if row.Reserved {
		more, less := difference(now, old)
		if _, err := s.take(ctx, tx, asking{owner: row.OwnerID, need: quota.Need{Amounts: more}, row: row}); err != nil {
			return err
		}
		if err := s.Quota.Release(ctx, tx, row.OwnerID, quota.Need{Amounts: less}); err != nil {
			return err
		}
		if err := s.noteUsage(ctx, tx, row); err != nil { // what was held until now
			return err
		}
		up.SetReservedAt(s.Now().UTC())
	}
	up.SetCPULimit(now.CPU).SetMemoryLimit(now.Memory)
	return nil
}

// difference is what now has more and less than old.
func difference(now, old quota.Amounts) (more, less quota.Amounts) {
	more = quota.Amounts{CPU: max(now.CPU-old.CPU, 0), Memory: max(now.Memory-old.Memory, 0)}
	less = quota.Amounts{CPU: max(old.CPU-now.CPU, 0), Memory: max(old.Memory-now.Memory, 0)}
	return more, less
}

func invalid(row *ent.Container, verb string, allowed ...container.Status) error {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	message := fmt.Sprintf("A container that is %s cannot %s.", row.Status, verb)
	if len(words) > 0 {
		message += fmt.Sprintf(" It must be %s.", strings.Join(words, " or "))
	}
	return fault.New(fault.InvalidState, "%s", message).With("status", string(row.Status)).With("allowed", words)
}

func checkGrace(grace time.Duration) error {
	var check fault.Check
	check.That(grace >= 0 && grace <= maxGraceSeconds*time.Second, "timeout", "range", "A timeout is 0s to 5m.")
	return check.Err()
}

// seconds rounds up: the engine's unit of grace.
func seconds(grace time.Duration) int { return int((grace + time.Second - 1) / time.Second) }

// Result is what became of one of several.
type Result struct {
	ID        string
	Container *ent.Container
	Err       error
}

// Each does verb to several containers and says what became of each, in order.
func Each(ctx context.Context, ids []string, verb func(context.Context, string) (*ent.Container, error)) ([]Result, error) {
	var check fault.Check
	check.That(len(ids) <= store.MaxPage, "ids", "size", "At most %d at once.", store.MaxPage)
	if err := check.Err(); err != nil {
		return nil, err
	}
	results := make([]Result, len(ids))
	for i, id := range ids {
		if first := slices.Index(ids, id); first < i {
			results[i] = results[first]
			continue
		}
		row, err := verb(ctx, id)
		results[i] = Result{ID: id, Container: row, Err: err}
	}
	return results, nil
}
