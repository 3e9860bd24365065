package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/crash"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/volume"
)

const (
	// workers is how many steps may be under way at once. Most of a worker's time
	// is waiting: a stop waits out its grace.
	workers = 32
	// observers look at what events name; apart from the workers, so that news is
	// not kept waiting by a grace.
	observers = 4
	// maxTries is after how many failures in a row, about a minute, an error that
	// might have passed is taken for one that does not.
	maxTries = 10
	// maxGPUTries is the same for a container with GPUs: an engine without a runtime
	// for them fails each start, in words that no code stands for.
	maxGPUTries = 3
)

// work carries out steps until ctx ends.
func (s *Service) work(ctx context.Context) {
	for {
		id, ok := s.queue.take(ctx)
		if !ok {
			return
		}
		err := s.advance(ctx, id)
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "a step did not succeed", "container", id, "error", err)
		}
		s.queue.done(id, err != nil)
	}
}

// advance loads, decides, asks the engine for one step and observes. An error
// means that it is to be tried again later.
func (s *Service) advance(ctx context.Context, id string) error {
	ctx = auth.AsSystem(ctx)
	row, err := s.Client.Container.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	step := Decide(wishOf(row), factOf(row))
	if step == Rest {
		if unsettled(row) {
			return s.settle(ctx, id)
		}
		return nil
	}
	crash.Point("step." + string(step) + ".ask")
	err = s.perform(ctx, row, step)
	crash.Point("step." + string(step) + ".done")
	if err != nil {
		return s.failed(ctx, row, step, err)
	}
	if step == Remove {
		return s.forget(ctx, id)
	}
	if err := s.Observe(ctx, id); err != nil {
		return err
	}
	s.queue.wake(id, row.OwnerID) // look again: there may be a next step
	return nil
}

// perform asks the engine for one step.
func (s *Service) perform(ctx context.Context, row *ent.Container, step Step) error {
	switch step {
	case Create:
		spec, err := s.spec(ctx, row)
		if err != nil {
			return err
		}
		return s.Engine.Create(ctx, spec)
	case Start:
		return s.Engine.Start(ctx, row.ID)
	case Stop:
		return s.Engine.Stop(ctx, row.ID, time.Duration(row.StopGrace)*time.Second)
	case Pause:
		return s.Engine.Pause(ctx, row.ID)
	case Unpause:
		return s.Engine.Unpause(ctx, row.ID)
	case Update:
		return s.Engine.Update(ctx, row.ID, limits(row))
	case Remove:
		return s.Engine.Remove(ctx, row.ID)
	case Rest:
	}
	return nil
}

func limits(row *ent.Container) engine.Limits {
	return engine.Limits{NanoCPUs: row.CPULimit.Nano(), Memory: int64(row.MemoryLimit)}
}

func (s *Service) spec(ctx context.Context, row *ent.Container) (engine.Spec, error) {
	mounts, err := s.Volumes.Of(ctx, row.ID)
	if err != nil {
		return engine.Spec{}, err
	}
	q, err := s.Quota.ByUser(ctx, row.OwnerID)
	if err != nil {
		return engine.Spec{}, err
	}
	spec := engine.Spec{
		ID: row.ID, Hosts: q.MaxContainers, LayerLimit: int64(q.MaxDisk), Owner: row.OwnerID, ImageID: row.ImageID,
		Limits: limits(row), Command: row.Command, Hostname: row.Name, Devices: row.GpuDevices,
	}
	for _, m := range mounts {
		if m.Path == volume.Home {
			spec.Environment = append(spec.Environment, "HOME="+volume.Home) // one that the owner gave comes later and wins
			spec.WorkingDir = volume.Home
		}
		spec.Mounts = append(spec.Mounts, engine.Mount{
			VolumeID: m.VolumeID, Owner: m.Edges.Volume.OwnerID, Path: m.Path, ReadOnly: m.ReadOnly,
		})
	}
	spec.Environment = append(spec.Environment, s.portEnvironment(row)...)
	for _, v := range row.Environment {
		spec.Environment = append(spec.Environment, v.Name+"="+v.Value)
	}
	return spec, nil
}

// failed decides what an error of a step means: nothing to be done about it
// (FAILED, with the reason), or try again.
func (s *Service) failed(ctx context.Context, row *ent.Container, step Step, err error) error {
	if ctx.Err() != nil {
		return err
	}
	begins := step == Create || step == Start
	switch {
	case errors.Is(err, engine.ErrUnreachable):
		return errors.Join(err, s.explainWait(ctx, row, engineAway))
	case errors.Is(err, engine.ErrNotFound):
		return s.Observe(ctx, row.ID) // it is gone: that is a fact, not a failure
	case step == Update && errors.Is(err, engine.ErrRefused):
		return s.revertLimits(ctx, row.ID, err)
	case begins && errors.Is(err, engine.ErrImageMissing):
		s.ImageMissing(row.ImageID)
		return s.fail(ctx, row, "Its image is no longer in the engine. Pull the image again, then start the container.")
	case begins && errors.Is(err, engine.ErrDiskFull):
		return s.fail(ctx, row, "The machine's disk is full. Ask the administrator to make room, then start it again.")
	case begins && errors.Is(err, engine.ErrRefused):
		return s.fail(ctx, row, fmt.Sprintf("The engine will not %s it: %s", step, reason(err)))
	case begins && row.GpuLimit > 0 && s.queue.failures(row.ID)+1 >= maxGPUTries:
		return s.fail(ctx, row, fmt.Sprintf("The engine did not manage to give it its GPU; this machine may lack the driver or the engine's GPU runtime. Ask the administrator. The engine says: %s", reason(err)))
	case begins && s.queue.failures(row.ID)+1 >= maxTries:
		return s.fail(ctx, row, fmt.Sprintf("The engine did not manage to %s it in %d tries: %s", step, maxTries, reason(err)))
	default:
		return errors.Join(err, s.explainWait(ctx, row, fmt.Sprintf("%s%s it and is asked again: %s", askedAgain, step, reason(err))))
	}
}

// reason is the engine's own text, short enough for a page.
func reason(err error) string {
	text := err.Error()
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
}

// What explainWait says: told from other messages, since it ends with the wait.
const (
	engineAway = "The container engine cannot be reached. This goes on by itself when it can."
	askedAgain = "The engine did not manage to "
)

// explainsWait says whether the row tells that a step is being waited for.
func explainsWait(row *ent.Container) bool {
	m := row.StatusMessage
	return m != nil && (*m == engineAway || strings.HasPrefix(*m, askedAgain) && strings.Contains(*m, " and is asked again: "))
}

// explainWait shows why a step is being waited for.
func (s *Service) explainWait(ctx context.Context, row *ent.Container, message string) error {
	if row.StatusMessage != nil && *row.StatusMessage == message {
		return nil
	}
	err := s.Client.Container.UpdateOneID(row.ID).SetStatusMessage(message).Exec(ctx)
	if ent.IsNotFound(err) {
		return nil
	}
	if err == nil {
		s.published(row, live.Updated)
	}
	return err
}

// fail records that it could not be made or started, and gives back what it
// reserved. The wish must still be the one that failed.
func (s *Service) fail(ctx context.Context, tried *ent.Container, message string) error {
	defer s.locks.lock(tried.ID)()
	var row *ent.Container
	err := s.tx(ctx, "fail", func(tx *ent.Client) error {
		now, err := tx.Container.Get(ctx, tried.ID)
		if err != nil {
			return err
		}
		if wishOf(now) != wishOf(tried) {
			return nil // asked for something else meanwhile: woken for it
		}
		w, f := wishOf(now), factOf(now)
		w.Desired, f.Failed = container.DesiredStopped, true
		up := now.Update().SetDesired(w.Desired).SetFailed(true).SetStatus(Status(w, f)).SetStatusMessage(message)
		if now.Reserved {
			if err := s.release(ctx, tx, now, up); err != nil {
				return err
			}
		}
		if err := note(ctx, tx, now.ID, Line{"failed", message}); err != nil {
			return err
		}
		row, err = s.save(ctx, up)
		return err
	})
	if err != nil || row == nil {
		return ignoreMissing(err)
	}
	s.published(row, live.Updated)
	return nil
}

// unsettled says that a container at rest still holds or says what it needs no more.
func unsettled(row *ent.Container) bool {
	return row.Reserved && !reserves(wishOf(row), factOf(row)) || explainsWait(row)
}

// settle gives back a reservation that nothing needs any more, though no end
// was seen: a start that was taken back before it began. It takes back too what
// was said while a step was waited for. The worker holds the container, so no
// step is under way, and the engine was asked.
func (s *Service) settle(ctx context.Context, id string) error {
	if err := s.Observe(ctx, id); err != nil {
		return err
	}
	defer s.locks.lock(id)()
	var row *ent.Container
	err := s.tx(ctx, "settle", func(tx *ent.Client) error {
		now, err := tx.Container.Get(ctx, id)
		if err != nil {
			return err
		}
		if !unsettled(now) || Decide(wishOf(now), factOf(now)) != Rest {
			return nil
		}
		up := now.Update()
		if explainsWait(now) {
			up.ClearStatusMessage()
		}
		if now.Reserved && !reserves(wishOf(now), factOf(now)) {
			if err := s.release(ctx, tx, now, up); err != nil {
				return err
			}
		}
		row, err = s.save(ctx, up)
		return err
	})
	if err != nil || row == nil {
		return ignoreMissing(err)
	}
	s.published(row, live.Updated)
	return nil
}

// revertLimits takes back limits that the engine refused.
func (s *Service) revertLimits(ctx context.Context, id string, refused error) error {
	if err := s.Observe(ctx, id); err != nil {
		return err
	}
	defer s.locks.lock(id)()
	var row *ent.Container
	err := s.tx(ctx, "revert", func(tx *ent.Client) error {
		now, err := tx.Container.Get(ctx, id)
		if err != nil {
			return err
		}
		if now.AppliedCPU == 0 || now.AppliedMemory == 0 {
			return fmt.Errorf("the limits in force are not known: %w", refused)
		}
		back := quota.Amounts{CPU: now.AppliedCPU, Memory: now.AppliedMemory, GPU: now.GpuLimit}
		if now.Reserved {
			if err := s.Quota.Release(ctx, tx, now.OwnerID, quota.Need{Amounts: quota.Of(now)}); err != nil {
				return err
			}
			if err := s.Quota.Retake(ctx, tx, now.OwnerID, back); err != nil {
				return err
			}
		}
		message := fmt.Sprintf("The new limits (%s cores, %s) were refused and the old ones stay: %s", now.CPULimit, now.MemoryLimit, reason(refused))
		if err := note(ctx, tx, id, Line{"update-refused", message}); err != nil {
			return err
		}
		row, err = s.save(ctx, now.Update().SetCPULimit(record.Cores(back.CPU)).SetMemoryLimit(back.Memory).SetStatusMessage(message))
		return err
	})
	if err != nil {
		return ignoreMissing(err)
	}
	s.published(row, live.Updated)
	return nil
}

// forget deletes the row of a container that is gone from the engine, and gives
// back all that it held.
func (s *Service) forget(ctx context.Context, id string) error {
	defer s.locks.lock(id)()
	var row *ent.Container
	err := s.tx(ctx, "forget", func(tx *ent.Client) error {
		var err error
		if row, err = tx.Container.Get(ctx, id); err != nil {
			return err
		}
		if row.Reserved {
			if err := s.release(ctx, tx, row, nil); err != nil {
				return err
			}
		}
		if err := s.Quota.Release(ctx, tx, row.OwnerID, quota.Need{Containers: 1}); err != nil {
			return err
		}
		return tx.Container.DeleteOneID(id).Exec(ctx)
	})
	if err != nil {
		return ignoreMissing(err)
	}
	s.Ended(id)
	s.published(row, live.Removed)
	return nil
}

func ignoreMissing(err error) error {
	if ent.IsNotFound(err) {
		return nil
	}
	return err
}
