package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
)

// What the server does to containers of its own accord, and how an owner takes
// it back. Whoever measures decides; these verbs write, and each looks again in
// its transaction: the owner may have come back since.

// byIdle stands in stopped_by for the server that stopped what nothing used.
// It cannot be anybody's id.
const byIdle = "idle"

// idleWarning begins the message that announces a freeze, and tells it from others.
const idleWarning = "Nothing has used it since "

// cullGrace is between the polite stop and the kill of what nothing used.
const cullGrace = 10 * time.Second

// rarely is how often at most news is written that only says that it is still used.
const rarely = time.Minute

// LeastIdle is the shortest idle timeout: below it a thought is idleness.
const LeastIdle = time.Minute

// IdleRules are what may be asked for as an idle timeout. Zero is none.
type IdleRules struct {
	// Default is of a container that names none, and Max the longest.
	Default, Max time.Duration
	// Least is the shortest; zero takes a minute.
	Least time.Duration
}

// effective is the timeout that comes of what was asked for; zero is for ever.
func (r IdleRules) effective(asked *record.Duration) time.Duration {
	switch {
	case asked != nil:
		return time.Duration(*asked)
	case r.Default == 0:
		return r.Max
	default:
		return r.Default
	}
}

// check says what would be accepted.
func (r IdleRules) check(check *fault.Check, asked *record.Duration) {
	if asked == nil {
		return
	}
	least := r.Least
	if least == 0 {
		least = LeastIdle
	}
	words := fmt.Sprintf("An idle timeout is %s or more, or 0s for ever.", record.Duration(least))
	if r.Max > 0 {
		words = fmt.Sprintf("An idle timeout is %s to %s here.", record.Duration(least), record.Duration(r.Max))
	}
	d := time.Duration(*asked)
	check.That(d == 0 && r.Max == 0 || d >= least && (r.Max == 0 || d <= r.Max), "idleTimeout", "range", "%s", words)
}

// stored is the column's form of a timeout.
func stored(d time.Duration) *record.Duration {
	if d == 0 {
		return nil
	}
	return (*record.Duration)(&d)
}

// editIdle changes the timeout. The clock goes on, and who measures says anew
// when it is up: never unwarned.
func editIdle(row *ent.Container, up *ent.ContainerUpdateOne, asked *record.Duration) {
	if asked != nil && warned(row) {
		up.ClearStatusMessage()
	}
	switch {
	case asked == nil:
	case *asked == 0:
		up.ClearIdleTimeout()
		rewind(up)
	case row.Frozen == container.FrozenNo:
		up.SetIdleTimeout(*asked).ClearCullAt()
	default:
		up.SetIdleTimeout(*asked) // when it is stopped for staying frozen is the operator's
	}
}

// rewind stops the idle clock.
func rewind(up *ent.ContainerUpdateOne) { up.ClearIdleSince().ClearCullAt().ClearActivity() }

// wake lets a frozen container go on at the owner's word. It needs no room: its
// reservation stayed. full is why nothing may be begun now; that the machine's
// disk is nearly full matters to what was frozen for it, and nothing else does.
func (s *Service) wake(row *ent.Container, up *ent.ContainerUpdateOne, full error) (*Wish, error) {
	if row.Frozen == container.FrozenDisk && fault.CodeOf(full) == fault.LowDisk {
		return nil, full
	}
	s.used(row, up)
	return &Wish{Desired: container.DesiredRunning, Run: row.Run}, nil
}

// used puts the idle clock back: its owner is here.
func (s *Service) used(row *ent.Container, up *ent.ContainerUpdateOne) {
	rewind(up)
	up.SetLastActivityAt(s.Now().UTC())
	if row.IdleTimeout != nil {
		up.SetActivity([]string{"owner"})
	}
	if row.Frozen != container.FrozenNo || warned(row) {
		up.ClearStatusMessage()
	}
	up.SetFrozen(container.FrozenNo)
}

func warned(row *ent.Container) bool {
	return row.StatusMessage != nil && strings.HasPrefix(*row.StatusMessage, idleWarning)
}

// Keep puts the idle clock back, and wakes what was frozen for doing nothing.
func (s *Service) Keep(ctx context.Context, id string) (*ent.Container, error) {
	return s.change(ctx, id, "keep", "Its owner is still here.", func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (*Wish, error) {
		wish := wishOf(row)
		switch {
		case row.Desired == container.DesiredPaused && row.Frozen == container.FrozenIdle:
			wish.Desired = container.DesiredRunning
		case row.Status != container.StatusRunning:
			return nil, invalid(row, "be kept", container.StatusRunning)
		}
		s.used(row, up)
		return &wish, nil
	})
}

// Idle records what uses a running container: nothing since an instant (zero:
// something does) and when it is frozen for that, what does, and when something
// last did. It writes only what matters: that something still uses it, no more
// than once a minute.
func (s *Service) Idle(ctx context.Context, id string, since, cullAt time.Time, activity []string, last time.Time) error {
	idle := !since.IsZero()
	news := func(row *ent.Container) bool {
		switch was := row.IdleSince != nil; {
		case row.Status != container.StatusRunning || row.Desired != container.DesiredRunning:
			return false
		case idle && row.LastActivityAt != nil && row.LastActivityAt.After(since):
			return false // its owner came meanwhile
		case idle:
			return !was || !row.IdleSince.Equal(since) || row.CullAt == nil || !row.CullAt.Equal(cullAt)
		default:
			return was || len(row.Activity) == 0 || row.LastActivityAt == nil || last.Sub(*row.LastActivityAt) >= rarely
		}
	}
	return s.serveNews(ctx, id, news, func(_ *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		rewind(up)
		if idle {
			up.SetIdleSince(since.UTC()).SetCullAt(cullAt.UTC())
		} else {
			up.SetActivity(activity)
			if warned(row) {
				up.ClearStatusMessage()
			}
		}
		if !last.IsZero() {
			up.SetLastActivityAt(last.UTC())
		}
		return true, nil
	})
}

// CullWarn announces that a container is frozen unless it is used. It does
// nothing when something has used it since.
func (s *Service) CullWarn(ctx context.Context, id string, since, at time.Time) error {
	return s.serve(ctx, id, func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		if row.Status != container.StatusRunning || row.IdleSince == nil || !row.IdleSince.Equal(since) {
			return false, nil
		}
		message := fmt.Sprintf("%s%s. It is frozen at %s unless it is used or kept.", idleWarning, clock(since), clock(at))
		up.SetCullAt(at.UTC()).SetStatusMessage(message)
		return true, note(ctx, tx, id, Line{"idle-warning", message})
	})
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// Freeze pauses a running container of the server's own accord. All that it
// reserved stays, so that waking it never fails. stopAt is when it is stopped
// for staying frozen; zero is never. What its owner uses again is left alone.
func (s *Service) Freeze(ctx context.Context, id string, reason container.Frozen, message string, stopAt time.Time) error {
	return s.serve(ctx, id, func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		if row.Desired != container.DesiredRunning || row.Status != container.StatusRunning {
			return false, nil
		}
		if reason == container.FrozenIdle && row.IdleSince == nil {
			return false, nil // its owner came meanwhile
		}
		wish := Wish{Desired: container.DesiredPaused, Run: row.Run}
		up.SetDesired(wish.Desired).SetStatus(Status(wish, factOf(row))).SetFrozen(reason).
			SetStatusMessage(message).ClearCullAt().ClearActivity()
		if !stopAt.IsZero() {
			up.SetCullAt(stopAt.UTC())
		}
		return true, s.told(ctx, tx, row, "freeze", message)
	})
}

// CullStop stops what was frozen for doing nothing.
func (s *Service) CullStop(ctx context.Context, id, message string) error {
	return s.serve(ctx, id, func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		if row.Desired != container.DesiredPaused || row.Frozen != container.FrozenIdle {
			return false, nil // woken, or stopped, meanwhile
		}
		wish := Wish{Desired: container.DesiredStopped, Run: row.Run}
		up.SetDesired(wish.Desired).SetStatus(Status(wish, factOf(row))).SetStoppedBy(byIdle).SetStopGrace(seconds(cullGrace)).
			SetFrozen(container.FrozenNo).ClearStatusMessage()
		rewind(up)
		return true, s.told(ctx, tx, row, "cull", message)
	})
}

// serveNews is serve for what is said again and again: where it is no news,
// nobody who writes has to wait for it.
func (s *Service) serveNews(ctx context.Context, id string, news func(*ent.Container) bool, do func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error)) error {
	row, err := s.Client.Container.Get(auth.AsSystem(ctx), id)
	if err != nil || !news(row) {
		return ignoreMissing(err)
	}
	return s.serve(ctx, id, func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error) {
		if !news(row) {
			return false, nil
		}
		return do(tx, row, up)
	})
}

// serve is what the server's own verbs have in common. do changes up and says
// whether there is something to write. What is gone needs nothing.
func (s *Service) serve(ctx context.Context, id string, do func(tx *ent.Client, row *ent.Container, up *ent.ContainerUpdateOne) (bool, error)) error {
	ctx = auth.AsSystem(ctx)
	var row *ent.Container
	changed := false
	err := s.tx(ctx, "serve", func(tx *ent.Client) error {
		now, err := tx.Container.Get(ctx, id)
		if err != nil {
			return err
		}
		up := now.Update()
		if changed, err = do(tx, now, up); err != nil || !changed {
			return err
		}
		row, err = s.save(ctx, up)
		return err
	})
	if err != nil || !changed {
		return ignoreMissing(err)
	}
	s.Feed.Publish(live.Change{Kind: live.Container, ID: id, Owner: row.OwnerID, Op: live.Updated})
	if Decide(wishOf(row), factOf(row)) != Rest {
		s.queue.wake(id, row.OwnerID)
	}
	return nil
}
