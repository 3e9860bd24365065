package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/terminal"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// The bounds of terminals. docs/terminal.md tells them.
const (
	// MaxTerminals is how many one person has open, and how many one container has.
	MaxTerminals = 20
	// MaxSize is the most columns and rows.
	MaxSize = 1000
	// DefaultTerminal is the name where none is given.
	DefaultTerminal = "main"
)

const (
	// tendEvery is how often leftovers are cleared away and rights looked at again,
	// besides whenever there is news.
	tendEvery = 5 * time.Second
	// hangUpTime bounds the hanging up of all shells when the server stops.
	hangUpTime = 15 * time.Second
	// endTime bounds the end of one.
	endTime = 30 * time.Second
)

// Why an opening is refused, besides what is wrong with the request.
var (
	// ErrNoShell: the image has none.
	ErrNoShell = errors.New("no shell")
	// ErrTooMany: there are as many terminals as may be.
	ErrTooMany = errors.New("too many terminals")
	// ErrNoRoom: the container cannot begin one more process.
	ErrNoRoom = errors.New("no room for one more process")
)

// Engine is the part of the engine's contract that terminals need.
type Engine interface {
	engine.Terminals
	engine.Execs
}

// TerminalOptions build Terminals.
type TerminalOptions struct {
	Client    *ent.Client
	Engine    Engine
	Lifecycle *lifecycle.Service
	Feed      *live.Feed
	// Touch is told that something uses a container, again and again while it does.
	Touch func(id, what string)
	Now   func() time.Time
	Log   *slog.Logger
}

// Terminals holds all terminals that are open.
type Terminals struct {
	TerminalOptions
	life context.Context //nolint:containedctx // of the shells, which outlive every request
	end  context.CancelFunc
	// began is when this server did: rows from before are another's.
	began time.Time
	// wake makes Run look at leftovers and rights now.
	wake chan struct{}

	mu      sync.Mutex
	shells  map[shellKey]*shell
	lost    map[shellKey]string // what the next to open it hears
	stopped bool
	pumps   sync.WaitGroup
}

// shellKey is where a terminal is.
type shellKey struct{ container, name string }

// NewTerminals returns none; those of an earlier server are cleared away by Run.
func NewTerminals(o TerminalOptions) *Terminals {
	if o.Touch == nil {
		o.Touch = func(string, string) {}
	}
	t := &Terminals{TerminalOptions: o, began: o.Now().UTC(), wake: make(chan struct{}, 1), shells: map[shellKey]*shell{}, lost: map[shellKey]string{}}
	t.life, t.end = context.WithCancel(auth.AsSystem(context.Background()))
	return t
}

// Of are the terminals that are open in a container, oldest first. It asks
// nobody: whoever sees the container sees them.
func (t *Terminals) Of(containerID string) []*Terminal {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := []*Terminal{}
	for at, s := range t.shells {
		if at.container == containerID && s.open() {
			list = append(list, s.told())
		}
	}
	slices.SortFunc(list, func(a, b *Terminal) int {
		return cmp.Or(a.OpenedAt.Compare(b.OpenedAt), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// Close ends a terminal and what runs in it.
func (t *Terminals) Close(ctx context.Context, containerID, name string) (*ent.Container, error) {
	if _, err := auth.Require(ctx); err != nil {
		return nil, err
	}
	row, err := t.Lifecycle.Get(ctx, containerID)
	if err != nil {
		return nil, err
	}
	at := shellKey{containerID, name}
	there, err := t.Client.Terminal.Query().Where(terminal.ContainerID(containerID), terminal.Name(name)).First(ctx)
	if ent.IsNotFound(err) {
		return nil, fault.New(fault.NotFound, "There is no terminal of that name in the container.").With("name", name)
	}
	if err != nil {
		return nil, err
	}
	err = store.Tx(ctx, t.Client, func(tx *ent.Client) error {
		return audit.Record(ctx, tx, audit.Entry{Action: "terminal.close", Target: row.ID, TargetName: row.Name, Detail: detail(ctx, row, name)})
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	s := t.shells[at]
	delete(t.lost, at)
	t.mu.Unlock()
	if s != nil && s.id == there.ID {
		s.ends(End{Reason: "The terminal was closed."})
	}
	if err := t.clear(auth.AsSystem(ctx), there); err != nil { // Run goes on trying
		t.Log.WarnContext(ctx, "ending a terminal did not succeed yet", "container", containerID, "terminal", name, "error", err)
	}
	return row, nil
}

// detail names a terminal for the audit, and says where somebody is in another's
// container.
func detail(ctx context.Context, row *ent.Container, name string) string {
	if v := auth.Of(ctx); v.SignedIn() && v.UserID != row.OwnerID {
		return name + ", as an administrator in somebody else's container"
	}
	return name
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// ValidName says whether a terminal may have that name.
func ValidName(name string) bool { return nameForm.MatchString(name) }

// publish tells that a container's terminals are others now.
func (t *Terminals) publish(containerID, owner string) {
	t.Feed.Publish(live.Change{Kind: live.Container, ID: containerID, Owner: owner, Op: live.Updated})
}

// Run clears away what an earlier server left, ends the terminals of people who
// lost their right to them, and hangs all up when ctx ends: a terminal is held by
// the server, and nobody else could take it up.
func (t *Terminals) Run(ctx context.Context) {
	ctx = auth.AsSystem(ctx)
	news := t.Feed.Subscribe(ctx, func(c live.Change) bool {
		return c.Kind == live.User || c.Kind == live.Container && c.Op == live.Removed
	})
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			c, err := news.Next(ctx)
			if err != nil {
				return
			}
			if c.Kind == live.Container {
				t.forget(c.ID)
			}
			t.poke()
		}
	})
	defer t.hangUp(ctx)
	defer reading.Wait()
	ticker := time.NewTicker(tendEvery)
	defer ticker.Stop()
	for {
		if err := errors.Join(t.clearLeftovers(ctx), t.checkRights(ctx)); err != nil && ctx.Err() == nil {
			t.Log.WarnContext(ctx, "tending terminals did not succeed", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		case <-ticker.C:
		}
	}
}

func (t *Terminals) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// forget drops what would be told in a container that is gone.
func (t *Terminals) forget(containerID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for at := range t.lost {
		if at.container == containerID {
			delete(t.lost, at)
		}
	}
}

// hangUp ends all shells. Their rows stay, so that the next server tells what
// became of them.
func (t *Terminals) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangUpTime)
	defer cancel()
	t.mu.Lock()
	t.stopped = true
	open := map[shellKey]string{}
	for at, s := range t.shells {
		if s.id != "" {
			open[at] = s.id
		}
	}
	t.mu.Unlock()
	var ending sync.WaitGroup
	for at, id := range open {
		ending.Go(func() {
			if err := t.Engine.EndTerminal(ctx, at.container, id); err != nil {
				t.Log.WarnContext(ctx, "hanging up a terminal did not succeed", "container", at.container, "terminal", at.name, "error", err)
			}
		})
	}
	ending.Wait()
	t.end()
	t.pumps.Wait()
}

// clearLeftovers ends the shells of rows that nobody holds: of an earlier server,
// or such as could not be ended before.
func (t *Terminals) clearLeftovers(ctx context.Context) error {
	rows, err := t.Client.Terminal.Query().All(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, row := range rows {
		if t.holds(row) {
			continue
		}
		if err := t.clear(ctx, row); err != nil && !errors.Is(err, engine.ErrRefused) { // a paused one's turn comes
			wrong = append(wrong, err)
		}
	}
	return errors.Join(wrong...)
}

// holds says whether a row's shell is one of ours that goes on.
func (t *Terminals) holds(row *ent.Terminal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.shells[shellKey{row.ContainerID, row.Name}]
	return s != nil && s.id == row.ID && s.going()
}

// clear makes sure that a row's shell is no more, and then removes the row.
func (t *Terminals) clear(ctx context.Context, row *ent.Terminal) error {
	ctx, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	if err := t.Engine.EndTerminal(ctx, row.ContainerID, row.ID); err != nil {
		return err
	}
	n, err := t.Client.Terminal.Delete().Where(terminal.ID(row.ID)).Exec(ctx)
	if err != nil || n == 0 {
		return err
	}
	t.mu.Lock()
	at := shellKey{row.ContainerID, row.Name}
	if s := t.shells[at]; s != nil && s.id == row.ID {
		delete(t.shells, at)
	} else if row.OpenedAt.Before(t.began) {
		t.lost[at] = "The server has restarted, and the shell that was here before has ended."
	}
	t.mu.Unlock()
	if owner, err := t.Client.Container.Query().Where(container.ID(row.ContainerID)).Select(container.FieldOwnerID).String(ctx); err == nil {
		t.publish(row.ContainerID, owner)
	}
	return nil
}

// checkRights ends the terminals of people who may not have them any more, and
// the connections of those who may not look any more.
func (t *Terminals) checkRights(ctx context.Context) error {
	all := t.going()
	if len(all) == 0 {
		return nil
	}
	ids := map[string]bool{}
	for _, s := range all {
		for _, id := range s.people() {
			ids[id] = true
		}
	}
	people, err := t.Client.User.Query().Where(user.IDIn(slices.Collect(maps.Keys(ids))...)).All(ctx)
	if err != nil {
		return err
	}
	now := t.Now()
	for _, s := range all {
		may := func(id string) bool {
			i := slices.IndexFunc(people, func(p *ent.User) bool { return p.ID == id })
			return i >= 0 && mayHave(people[i], s.owner, now)
		}
		if !may(s.user) {
			t.finish(ctx, s, unwelcome)
			continue
		}
		s.expel(func(v *View) bool { return ids[v.who.UserID] && !may(v.who.UserID) })
	}
	return nil
}

// unwelcome is how it ends for somebody who lost the right to it.
var unwelcome = End{Reason: "The account may not use this terminal any more.", Unwelcome: true}

// going are the shells that go on.
func (t *Terminals) going() []*shell {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*shell
	for _, s := range t.shells {
		if s.id != "" && s.going() {
			all = append(all, s)
		}
	}
	return all
}

// mayHave says whether a person may have a terminal in an owner's container.
func mayHave(p *ent.User, owner string, now time.Time) bool {
	over := p.ExpiresAt != nil && !p.ExpiresAt.After(now)
	return p.SuspendedAt == nil && p.DeletionScheduledAt == nil && !over && (p.ID == owner || p.Role == user.RoleAdmin)
}

// finish ends a shell of the server's own accord, and what runs in it.
func (t *Terminals) finish(ctx context.Context, s *shell, end End) {
	s.ends(end)
	err := audit.Record(ctx, t.Client, audit.Entry{Action: "terminal.close", Target: s.at.container, TargetName: s.containerName, Detail: s.at.name + ": " + end.Reason})
	// Its row may be gone already, with the account.
	err = errors.Join(err, t.clear(ctx, &ent.Terminal{ID: s.id, ContainerID: s.at.container, Name: s.at.name, OpenedAt: s.opened}))
	if err != nil {
		t.Log.WarnContext(ctx, "ending a terminal did not succeed yet", "container", s.at.container, "terminal", s.at.name, "error", err)
	}
}
