package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
)

const (
	// sweepEvery is how often everything is compared, should every event be lost.
	sweepEvery = 30 * time.Second
	// blameWindow is how long before the engine's stream ended an end is taken for
	// the engine's doing: a stopping engine ends its containers first.
	blameWindow = 30 * time.Second
	// comingBack is how long before the engine is up it may have stopped what its
	// crash left running: it does so first, and grants each its grace.
	comingBack = 15 * time.Second
	// networkUnused is how long a network stays whose owner has no container: a
	// browser on the engine's own machine drops its connections when one goes.
	networkUnused = 10 * time.Minute
	// lookAgain is how long after a look that did not succeed the next one comes.
	lookAgain = time.Second
	// oomPause is how long after a kill for memory the container is looked at.
	oomPause = 300 * time.Millisecond
	// The pauses between tries to reach the engine.
	firstRetry = 100 * time.Millisecond
	lastRetry  = 3 * time.Second
)

// Connection is what is known of the engine. It is read from memory.
type Connection struct {
	Connected bool
	// Since is when it came into that state.
	Since time.Time
	// LastEvent is when it last told of something; zero when it has not.
	LastEvent time.Time
	// Info is what the engine last said of itself.
	Info engine.Info
	// lost is when the stream last ended; zero when it has not since the start.
	lost time.Time
	// losses is how often it ended: clocks may be put back, this is not.
	losses int
}

type connection struct {
	mu  sync.Mutex
	now Connection
}

// Connection tells whether the engine can be reached, from memory.
func (s *Service) Connection() Connection {
	s.connection.mu.Lock()
	defer s.connection.mu.Unlock()
	return s.connection.now
}

func (c *connection) set(change func(*Connection)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.now)
}

// follow keeps an event stream open until ctx ends.
func (s *Service) follow(ctx context.Context) {
	retry := firstRetry
	for ctx.Err() == nil {
		connected, err := s.followOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if connected {
			retry = firstRetry
			s.disconnected(ctx, err)
		} else {
			s.Log.DebugContext(ctx, "the engine cannot be reached", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
		retry = min(retry*2, lastRetry)
	}
}

// followOnce opens the stream first, then lists and compares, and looks at what
// events name all the while: an event that arrives during the comparison is
// looked at after it was named, so nothing falls between.
func (s *Service) followOnce(ctx context.Context) (connected bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opened := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.Engine.Watch(ctx, func() { close(opened) }, s.heard)
	}()
	defer s.triedOnce.Do(func() { close(s.tried) })
	select {
	case err := <-ended:
		return false, err
	case <-opened:
	}
	if err := s.connect(ctx); err != nil {
		cancel()
		return false, errors.Join(err, <-ended)
	}
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return true, err
		case <-ticker.C:
			if err := s.sweep(ctx, nil); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "the comparison with the engine did not succeed", "error", err)
			}
		}
	}
}

func (s *Service) heard(e engine.Event) {
	s.connection.set(func(c *Connection) { c.LastEvent = e.At })
	switch e.Kind {
	case engine.ContainerEvent:
		if e.Action == "oom" {
			// The end of the container, if it was its first process, comes a moment
			// later and then says all.
			s.kills.add(e.ID)
			time.AfterFunc(oomPause, func() { s.hints.add(e.ID) })
			return
		}
		if e.Action == "create" && s.queue.working(e.ID) {
			return // the worker that made it looks at it next
		}
		s.hints.add(e.ID)
	case engine.ImageEvent:
		s.ImageEvent(e.ID)
	}
}

// connect learns what the engine is, compares everything once, and lets waiting
// steps go.
func (s *Service) connect(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	info, err := s.Engine.Info(ctx)
	if err != nil {
		return err
	}
	if err := s.Quota.SetMachine(ctx, record.Cores(info.NanoCPUs/1_000_000), record.Bytes(info.Memory)); err != nil {
		return err
	}
	s.connection.set(func(c *Connection) { c.Info = info })
	restarted, err := s.Quota.SetBoot(ctx, info.Boot)
	if err != nil {
		return err
	}
	lost := s.Connection().lost
	blame := func(seen engine.State) Blame {
		stopping := !lost.IsZero() && seen.Finished.After(lost.Add(-blameWindow))
		return Blame{EngineEnded: restarted && !info.LiveRestore && (stopping || seen.Finished.After(info.Boot.Add(-comingBack)))}
	}
	if err := s.sweep(ctx, blame); err != nil {
		return err
	}
	s.connection.set(func(c *Connection) { c.Connected, c.Since = true, s.Now().UTC() })
	s.Log.InfoContext(ctx, "connected to the engine", "version", info.Version, "api", info.APIVersion)
	s.Connected(ctx, info)
	s.triedOnce.Do(func() { close(s.tried) })
	return nil
}

// disconnected notes that the engine went away, and takes up again what it took
// down with it.
func (s *Service) disconnected(ctx context.Context, cause error) {
	ctx = auth.AsSystem(ctx)
	s.Log.WarnContext(ctx, "the engine went away", "error", cause)
	s.connection.set(func(c *Connection) {
		c.Connected, c.Since, c.lost = false, s.Now().UTC(), s.Now().UTC()
		c.losses++
	})
	if s.Connection().Info.LiveRestore {
		return // such an engine takes nothing down with it
	}
	rows, err := s.Client.Container.Query().Where(
		container.DesiredEQ(container.DesiredStopped), container.ObservedEQ(container.ObservedExited),
		container.StoppedByIsNil(), container.Failed(false), container.FinishedAtGT(s.Now().UTC().Add(-blameWindow)),
	).All(ctx)
	if err != nil {
		s.Log.ErrorContext(ctx, "looking for what the engine ended did not succeed", "error", err)
		return
	}
	for _, row := range rows {
		if err := s.resume(ctx, row.ID); err != nil {
			s.Log.ErrorContext(ctx, "taking up what the engine ended did not succeed", "container", row.ID, "error", err)
		}
	}
}

// resume wants a container running again whose end is put down to the engine.
func (s *Service) resume(ctx context.Context, id string) error {
	defer s.locks.lock(id)()
	var row *ent.Container
	err := s.tx(ctx, "resume", func(tx *ent.Client) error {
		now, err := tx.Container.Get(ctx, id)
		if err != nil {
			return err
		}
		endedByItself := now.LastExit != nil && (now.LastExit.Reason == record.ExitCompleted ||
			now.LastExit.Reason == record.ExitError || now.LastExit.Reason == record.ExitKilled)
		if now.Desired != container.DesiredStopped || now.Observed != container.ObservedExited || !endedByItself || now.StoppedBy != nil {
			return nil
		}
		exit := *now.LastExit
		exit.Reason, exit.Message = record.ExitEngineRestarted, "The container engine ended while it ran."
		w, f := wishOf(now), factOf(now)
		w.Desired, w.Run = container.DesiredRunning, w.Run+1
		up := now.Update().SetDesired(w.Desired).SetRun(w.Run).SetStatus(Status(w, f)).SetLastExit(&exit).ClearStatusMessage()
		if !now.Reserved {
			if _, err := s.Quota.TakeDevices(ctx, tx, id, now.GpuLimit, now.GpuDevices); err != nil {
				return err // its GPU was given to another meanwhile: it rests
			}
			if err := s.Quota.Retake(ctx, tx, now.OwnerID, quota.Of(now)); err != nil {
				return err
			}
			up.SetReserved(true).SetReservedAt(s.Now().UTC())
		}
		if err := note(ctx, tx, id, Line{"restart", "The engine ended it; it is started again when the engine is back."}); err != nil {
			return err
		}
		row, err = s.save(ctx, up)
		return err
	})
	if err != nil || row == nil {
		return ignoreMissing(err)
	}
	s.published(row, live.Updated)
	s.queue.wake(id, row.OwnerID)
	return nil
}

// sweep compares every row with everything that the engine has, looks closely
// at what differs, wakes what is not at rest, and checks the ledger. With blame,
// after the engine was away, it looks closely at everything that runs or ran.
func (s *Service) sweep(ctx context.Context, blame func(engine.State) Blame) error {
	ctx = auth.AsSystem(ctx)
	returned := blame != nil
	if !returned {
		blame = func(engine.State) Blame { return Blame{} }
	}
	listed, err := s.Engine.List(ctx)
	if err != nil {
		return err
	}
	rows, err := s.Client.Container.Query().All(ctx)
	if err != nil {
		return err
	}
	seen := make(map[string]*engine.State, len(listed))
	for i := range listed {
		seen[listed[i].ID] = &listed[i]
	}
	var wrong []error
	look := func(id string) {
		if err := s.observe(ctx, id, blame); err != nil {
			wrong = append(wrong, err)
		}
	}
	for _, row := range rows {
		state := seen[row.ID]
		delete(seen, row.ID)
		if returned && up(row, state) || s.differs(row, state) {
			look(row.ID)
		}
		if Decide(wishOf(row), factOf(row)) != Rest || row.Reserved != reserves(wishOf(row), factOf(row)) || explainsWait(row) {
			s.queue.wake(row.ID, row.OwnerID)
		}
		if len(wrong) > 0 && errors.Is(wrong[len(wrong)-1], engine.ErrUnreachable) {
			return errors.Join(wrong...)
		}
	}
	for id := range seen { // in the engine, and no row when the list was made
		look(id)
	}
	wrong = append(wrong, s.letInWaiting(ctx), s.pruneNetworks(ctx, rows))
	if err := s.Quota.Audit(ctx); err != nil {
		s.Log.ErrorContext(ctx, "the ledger and what exists differ", "error", err)
	}
	return errors.Join(wrong...)
}

// pruneNetworks lets go of the networks of those who have no container any more.
func (s *Service) pruneNetworks(ctx context.Context, rows []*ent.Container) error {
	owners := map[string]bool{}
	for _, row := range rows {
		owners[row.OwnerID] = true
	}
	return s.Engine.PruneNetworks(ctx, func(owner string) bool { return owners[owner] }, networkUnused)
}

func up(row *ent.Container, state *engine.State) bool {
	return row.Observed == container.ObservedRunning || row.Observed == container.ObservedPaused ||
		state != nil && (state.Status == engine.StatusRunning || state.Status == engine.StatusPaused)
}

// differs says whether a listed state is worth a closer look. A list leaves the
// limits out, and a running container's process must be told to the monitor.
func (s *Service) differs(row *ent.Container, state *engine.State) bool {
	if state != nil {
		known := *state
		known.Limits = engine.Limits{NanoCPUs: row.AppliedCPU.Nano(), Memory: int64(row.AppliedMemory)}
		if known.StartedAt == "" { // a list does not tell it
			known.StartedAt, known.Started = row.EngineStartedAt, time.Time{}
		}
		if (known.Status == engine.StatusRunning || known.Status == engine.StatusPaused) && known.Pid == 0 && !s.Watched(row.ID) {
			return true
		}
		state = &known
	}
	return Read(row, state, Blame{}, s.Now()) != nil
}

// look at what events named, until ctx ends.
func (s *Service) observeHints(ctx context.Context) {
	for {
		id, ok := s.hints.take(ctx)
		if !ok {
			return
		}
		err := s.Observe(ctx, id)
		if err == nil || ctx.Err() != nil {
			continue
		}
		// The event is gone, and the next sweep may be half a minute away. An engine
		// that is lost is compared with everything when it comes back.
		time.AfterFunc(lookAgain, func() { s.hints.add(id) })
		if !errors.Is(err, engine.ErrUnreachable) {
			s.Log.WarnContext(ctx, "looking at a container did not succeed", "container", id, "error", err)
		}
	}
}
