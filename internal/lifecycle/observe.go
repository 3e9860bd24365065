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
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
)

// Observe writes what the engine shows for one container. It is safe to call
// at any time, any number of times: an event, a step, the sweep and start-up
// all end here. It writes only when something changed. What is ours in the
// engine and has no row is removed there: a row always comes first.
func (s *Service) Observe(ctx context.Context, id string) error {
	return s.observe(ctx, id, func(engine.State) Blame { return Blame{} })
}

func (s *Service) observe(ctx context.Context, id string, blame func(engine.State) Blame) error {
	ctx = auth.AsSystem(ctx)
	before := s.Connection().losses
	ended, err := s.observeLocked(ctx, id, blame)
	if err != nil || !ended {
		return err
	}
	// An engine that went away while the end was being written was not seen to take
	// this one down: it was not in the list yet.
	if c := s.Connection(); !c.Connected && !c.Info.LiveRestore && c.losses != before {
		return s.resume(ctx, id)
	}
	return nil
}

// observeLocked is observe under the container's lock; ended says that it wrote an end.
func (s *Service) observeLocked(ctx context.Context, id string, blame func(engine.State) Blame) (ended bool, err error) {
	defer s.locks.lock(id)()
	seen, err := s.look(ctx, id)
	if err != nil {
		return false, err
	}
	row, err := s.Client.Container.Get(ctx, id)
	if ent.IsNotFound(err) {
		return false, s.removeStranger(ctx, id, seen)
	}
	if err != nil {
		return false, err
	}
	var why Blame
	if seen != nil {
		why = blame(*seen)
		why.OutOfMemory = s.kills.take(id)
		if peak, known := s.MemoryPeak(id); known {
			why.Peak = &peak
		}
	}
	first := Read(row, seen, why, s.Now())
	if first == nil {
		s.tellMonitor(row, seen)
		return false, nil
	}
	if first.Exit != nil && seen != nil && row.Desired != container.DesiredRemoved { // of what is going nobody reads them
		why.LastLines = s.lastLines(ctx, id) // before the transaction: it asks the engine
	}
	var news *News
	err = s.tx(ctx, "observe", func(tx *ent.Client) error {
		row, err = tx.Container.Get(ctx, id) // a verb may have changed the wish
		if err != nil {
			return err
		}
		if news = Read(row, seen, why, s.Now()); news == nil {
			return nil
		}
		row, err = s.write(ctx, tx, row, news)
		return err
	})
	if ent.IsNotFound(err) {
		return false, nil // removed meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("write what was seen of %s: %w", id, err)
	}
	s.tellMonitor(row, seen)
	if news == nil {
		return false, nil
	}
	s.published(row, live.Updated)
	if news.Again {
		s.queue.wakeAfter(id, row.OwnerID, restartPause(news.Restarts))
	} else if Decide(wishOf(row), factOf(row)) != Rest || row.Reserved != reserves(wishOf(row), factOf(row)) || explainsWait(row) {
		s.queue.wake(id, row.OwnerID)
	}
	return news.Exit != nil, nil
}

// restartPause grows with each restart by ON_FAILURE: 1, 2, 4, 8, 16 s.
func restartPause(restarts int) time.Duration { return time.Second << max(restarts-1, 0) }

// look asks the engine; nil when it has no such container.
func (s *Service) look(ctx context.Context, id string) (*engine.State, error) {
	seen, err := s.Engine.Inspect(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", id, err)
	}
	return &seen, nil
}

func (s *Service) removeStranger(ctx context.Context, id string, seen *engine.State) error {
	s.Ended(id)
	if seen == nil {
		return nil
	}
	s.Log.WarnContext(ctx, "removing a container of this instance that has no row", "container", id)
	return s.Engine.Remove(ctx, id)
}

// tellMonitor says whether there is something to measure.
func (s *Service) tellMonitor(row *ent.Container, seen *engine.State) {
	if seen != nil && (seen.Status == engine.StatusRunning || seen.Status == engine.StatusPaused) {
		s.Running(Process{
			ID: row.ID, EngineID: seen.EngineID, Pid: seen.Pid, Started: seen.Started, MemoryLimit: row.MemoryLimit,
			Owner: row.OwnerID, GPUs: row.GpuDevices,
		})
	} else {
		s.Ended(row.ID)
	}
}

// write puts the news into the row, and into the ledger what follows from it.
func (s *Service) write(ctx context.Context, tx *ent.Client, row *ent.Container, n *News) (*ent.Container, error) {
	up := row.Update().
		SetDesired(n.Desired).SetRun(n.Wish.Run).SetRestarts(n.Restarts).
		SetObserved(n.Observed).SetObservedRun(n.Fact.Run).SetFailed(n.Failed).
		SetStatus(Status(n.Wish, n.Fact)).
		SetAppliedCPU(record.Cores(n.Applied.NanoCPUs / 1_000_000)).SetAppliedMemory(record.Bytes(n.Applied.Memory)).
		SetEngineStartedAt(n.EngineStartedAt).SetOomTold(n.OOMTold)
	setMessage(up, n.Message)
	if !n.Started.IsZero() {
		up.SetStartedAt(n.Started.UTC()).ClearFinishedAt()
		if n.Desired == container.DesiredRunning || n.Desired == container.DesiredPaused {
			up.ClearStoppedBy()
		}
	}
	if !n.Started.IsZero() || n.Exit != nil || n.Observed == container.ObservedLost {
		rewind(up.SetFrozen(container.FrozenNo)) // a run starts with a clean idle clock, and what is down has none
	}
	if n.Exit != nil {
		if n.Exit.At.IsZero() {
			n.Exit.At = s.Now().UTC()
		}
		up.SetLastExit(n.Exit).SetFinishedAt(n.Exit.At)
	}
	if (n.Exit != nil || n.Observed == container.ObservedLost) && row.Reserved && !reserves(n.Wish, n.Fact) {
		if err := s.release(ctx, tx, row, up); err != nil {
			return nil, err
		}
	}
	for _, line := range n.Events {
		if err := note(ctx, tx, row.ID, line); err != nil {
			return nil, err
		}
	}
	if n.Exit != nil {
		err := audit.Record(ctx, tx, audit.Entry{Action: "container.exited", Target: row.ID, TargetName: row.Name, Detail: string(n.Exit.Reason)})
		if err != nil {
			return nil, err
		}
	}
	return s.save(ctx, up)
}

func (s *Service) save(ctx context.Context, up *ent.ContainerUpdateOne) (*ent.Container, error) {
	row, err := up.Save(ctx)
	if err != nil {
		return nil, err
	}
	return row, nil
}

// What of a run's output is kept with its end.
const (
	keptLines   = 10
	keptLine    = 300
	linesWithin = time.Second
)

// lastLines are the last lines of output, none where they cannot be had soon.
func (s *Service) lastLines(ctx context.Context, id string) []string {
	ctx, cancel := context.WithTimeout(ctx, linesWithin)
	defer cancel()
	var lines []string
	err := s.Engine.Logs(ctx, id, engine.LogOptions{Tail: keptLines}, func(l engine.LogLine) error {
		if len(l.Text) > keptLine {
			l.Text = strings.ToValidUTF8(l.Text[:keptLine], "") + "…"
		}
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil {
		s.Log.DebugContext(ctx, "the last lines could not be read", "container", id, "error", err)
	}
	return lines
}

// release gives back what the container reserved, notes who had it how long,
// and says so in up, the update of the same transaction.
func (s *Service) release(ctx context.Context, tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) error {
	if err := s.Quota.Release(ctx, tx, row.OwnerID, quota.Need{Amounts: quota.Of(row)}); err != nil {
		return err
	}
	if row.GpuLimit > 0 {
		if err := s.Quota.ReleaseDevices(ctx, tx, row.ID); err != nil {
			return err
		}
	}
	if up != nil {
		up.SetReserved(false).ClearReservedAt()
	}
	return s.noteUsage(ctx, tx, row)
}

func (s *Service) noteUsage(ctx context.Context, tx *ent.Client, row *ent.Container) error {
	ctx = auth.AsSystem(ctx)
	img, err := tx.Image.Get(ctx, row.ImageID)
	if err != nil {
		return err
	}
	from := row.CreatedAt
	if row.ReservedAt != nil {
		from = *row.ReservedAt
	}
	return tx.UsageRecord.Create().
		SetOwnerID(row.OwnerID).SetContainerID(row.ID).SetContainer(row.Name).SetImage(img.Reference).
		SetCPU(row.CPULimit).SetMemory(row.MemoryLimit).SetGpu(row.GpuLimit).
		SetFrom(from).SetTo(s.Now().UTC()).Exec(ctx)
}

func note(ctx context.Context, tx *ent.Client, id string, line Line) error {
	create := tx.ContainerEvent.Create().SetContainerID(id).SetKind(line.Kind).SetMessage(line.Message)
	if v := auth.Of(ctx); v.SignedIn() && !v.IsSystem() {
		create.SetActorID(v.UserID)
	}
	return create.Exec(ctx)
}

func setMessage(up *ent.ContainerUpdateOne, message string) {
	if message == "" {
		up.ClearStatusMessage()
	} else {
		up.SetStatusMessage(message)
	}
}

// published tells whoever listens, after the commit.
func (s *Service) published(row *ent.Container, op live.Op) {
	s.Feed.Publish(
		live.Change{Kind: live.Container, ID: row.ID, Owner: row.OwnerID, Op: op},
		live.Change{Kind: live.Usage, ID: row.OwnerID, Owner: row.OwnerID, Op: live.Updated},
	)
}
