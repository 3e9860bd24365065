package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
)

// asking is somebody who asks for room.
type asking struct {
	owner string
	need  quota.Need
	// queue says to wait where the machine is full though the quota is not.
	queue bool
	// row is the container that it is for; nil for one that is being made.
	row *ent.Container
}

// given is what became of it.
type given struct {
	queued  bool
	devices []string
}

// made says that the engine has the container.
func made(row *ent.Container) bool {
	return row.Observed != container.ObservedAbsent && row.Observed != container.ObservedLost
}

// take reserves what is asked for, or says that it waits, or refuses and names
// what would free enough. GPUs are taken for a container that is there; one that
// is being made takes its own once it has a row.
func (s *Service) take(ctx context.Context, tx *ent.Client, a asking) (given, error) {
	books, err := s.Quota.Books(ctx, tx, a.owner)
	if err != nil {
		return given{}, err
	}
	if problems := books.Problems(a.need); len(problems) > 0 {
		if a.queue && quota.Waits(problems) {
			return given{queued: true}, s.Quota.Reserve(ctx, tx, a.owner, quota.Need{Containers: a.need.Containers})
		}
		return given{}, s.refuse(ctx, tx, a, books, problems)
	}
	if err := s.Quota.Reserve(ctx, tx, a.owner, a.need); err != nil {
		return given{}, err
	}
	if a.row == nil || a.need.GPU == 0 {
		return given{}, nil
	}
	devices, err := s.Quota.TakeDevices(ctx, tx, a.row.ID, a.need.GPU, madeWith(a.row))
	if a.queue && fault.CodeOf(err) == fault.CapacityExceeded {
		return given{queued: true}, s.Quota.Release(ctx, tx, a.owner, quota.Need{Amounts: a.need.Amounts})
	}
	return given{devices: devices}, err
}

// madeWith are the GPUs that the engine has bound the container to.
func madeWith(row *ent.Container) []string {
	if made(row) {
		return row.GpuDevices
	}
	return nil
}

// refuse says what stands in the way, and which of the owner's own containers
// would free enough.
func (s *Service) refuse(ctx context.Context, tx *ent.Client, a asking, books quota.Books, problems []quota.Problem) error {
	f := quota.Refusal(problems)
	except := ""
	if a.row != nil {
		except = a.row.ID
	}
	rows, err := s.freeing(ctx, tx, a.owner, books, a.need, except)
	if err != nil || len(rows) == 0 {
		return errors.Join(err, f)
	}
	names, list := make([]string, len(rows)), make([]map[string]any, len(rows))
	for i, row := range rows {
		names[i], list[i] = row.Name, map[string]any{"id": row.ID, "name": row.Name}
	}
	f = f.With("containers", list)
	f.Message += fmt.Sprintf(" Stopping %s would free enough.", strings.Join(names, ", "))
	return f
}

// freeing are the owner's containers whose end would let need in.
func (s *Service) freeing(ctx context.Context, client *ent.Client, owner string, books quota.Books, need quota.Need, except string) ([]*ent.Container, error) {
	if len(books.Problems(need)) == 0 {
		return []*ent.Container{}, nil
	}
	rows, err := client.Container.Query().Where(
		container.OwnerID(owner), container.Reserved(true), container.IDNEQ(except), container.DesiredNEQ(container.DesiredRemoved),
	).All(auth.AsSystem(ctx))
	if err != nil {
		return nil, err
	}
	own, byID := make([]quota.Owned, len(rows)), map[string]*ent.Container{}
	for i, row := range rows {
		own[i], byID[row.ID] = quota.Owned{ID: row.ID, Amounts: quota.Of(row)}, row
	}
	freed := []*ent.Container{}
	for _, one := range books.Freeing(need, own) {
		freed = append(freed, byID[one.ID])
	}
	return freed, nil
}

// placed gives a container that has just begun to wait its place in the line, or
// lets it in. Whatever else waits is looked at too: a change may have made room.
func (s *Service) placed(ctx context.Context, row *ent.Container) (*ent.Container, error) {
	if !row.Queued {
		return row, nil
	}
	if err := s.letInWaiting(ctx); err != nil {
		return nil, err
	}
	return s.Get(ctx, row.ID)
}

// usher lets in those who wait as room is made, until ctx ends.
func (s *Service) usher(ctx context.Context) {
	room := s.Feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Usage })
	for {
		if _, err := room.Next(ctx); err != nil {
			return
		}
		if err := s.letInWaiting(ctx); err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "letting in those who wait did not succeed", "error", err)
		}
	}
}

// letInWaiting lets in everybody for whom there is room, in their turn, and tells
// the others their places. Room is kept for those ahead: a small one gets in
// before a large one only where that takes nothing the large one waits for.
func (s *Service) letInWaiting(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	s.door.Lock()
	defer s.door.Unlock()
	for {
		waits, err := s.Client.Container.Query().Where(container.Queued(true)).Exist(ctx)
		if err != nil || !waits {
			return err
		}
		row, line, err := s.letInNext(ctx)
		switch {
		case err != nil:
			return err
		case row == nil:
			return s.tellPlaces(ctx, line)
		}
		s.published(row.Unwrap(), live.Updated)
		s.queue.wake(row.ID, row.OwnerID)
	}
}

// letInNext lets in the first in the line for whom there is room, or sends it away
// where waiting cannot help: row is nil when there is none. The line is formed in
// the transaction that takes the room, so that nobody gets in by an older line.
func (s *Service) letInNext(ctx context.Context) (row *ent.Container, line []quota.Waiter, err error) {
	low := s.Room() != nil // nothing begins while the disk is nearly full
	err = s.tx(ctx, "queue", func(tx *ent.Client) error {
		waiting, err := s.Quota.Waiting(ctx, tx)
		if err != nil {
			return err
		}
		running, err := s.Quota.Running(ctx, tx)
		if err != nil {
			return err
		}
		line = quota.Line(waiting, running)
		if low {
			return nil
		}
		var ahead quota.Amounts
		for _, w := range line {
			if row, err = s.letIn(ctx, tx, w, ahead); err != nil || row != nil {
				return err
			}
			if !w.Stuck {
				ahead = ahead.Plus(w.Amounts)
			}
		}
		return nil
	})
	return row, line, err
}

// letIn takes for one that waits what it needs, or sends it away; nil when it
// goes on waiting.
func (s *Service) letIn(ctx context.Context, tx *ent.Client, w quota.Waiter, ahead quota.Amounts) (*ent.Container, error) {
	now, err := tx.Container.Get(ctx, w.ID)
	if err != nil {
		return nil, err
	}
	free, err := s.Quota.DevicesFree(ctx, tx, now.GpuLimit, madeWith(now))
	if err != nil || !free {
		return nil, err
	}
	problems, err := s.Quota.ReserveInTurn(ctx, tx, w, ahead)
	if err != nil {
		return nil, err
	}
	up, wish, fact := now.Update(), wishOf(now), factOf(now)
	wish.Queued = false
	up.SetQueued(false).ClearQueuedAt().ClearQueuePosition()
	line := Line{"admitted", "There is room for it now; it is started."}
	switch {
	case len(problems) == 0:
		devices, err := s.Quota.TakeDevices(ctx, tx, now.ID, now.GpuLimit, madeWith(now))
		if err != nil {
			return nil, err
		}
		if now.GpuLimit > 0 {
			up.SetGpuDevices(devices)
			wish.Unbound = false
		}
		if fact.Run >= wish.Run { // somebody ran it by hand meanwhile
			wish.Run = fact.Run + 1
		}
		up.SetReserved(true).SetReservedAt(s.Now().UTC()).SetRun(wish.Run).ClearStatusMessage()
	case never(problems) != nil:
		why := never(problems).Message
		wish.Desired = container.DesiredStopped
		line = Line{"refused", "It does not wait any longer: " + why}
		up.SetStatusMessage(why)
	default:
		return nil, nil
	}
	if err := note(ctx, tx, now.ID, line); err != nil {
		return nil, err
	}
	return s.save(ctx, up.SetDesired(wish.Desired).SetStatus(Status(wish, fact)))
}

// never is the first problem that waiting does not end; nil when there is none.
func never(problems []quota.Problem) *quota.Problem {
	for _, p := range problems {
		if p.Never {
			return &p
		}
	}
	return nil
}

// tellPlaces writes each one's place, and why it waits, where they are news.
// Only those who really keep it waiting are ahead of it.
func (s *Service) tellPlaces(ctx context.Context, line []quota.Waiter) error {
	ahead := 0
	for _, w := range line {
		place := ahead + 1
		message := "It waits for room on the machine."
		if w.Stuck {
			message = "It waits, and your own quota stands in its way too. Stop another container, or ask for less."
		} else {
			ahead++
		}
		n, err := s.Client.Container.Update().Where(
			container.ID(w.ID), container.Queued(true),
			container.Or(container.QueuePositionIsNil(), container.QueuePositionNEQ(place), container.StatusMessageIsNil(), container.StatusMessageNEQ(message)),
		).SetQueuePosition(place).SetStatusMessage(message).Save(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			s.Feed.Publish(live.Change{Kind: live.Container, ID: w.ID, Owner: w.Owner, Op: live.Updated})
		}
	}
	return nil
}
