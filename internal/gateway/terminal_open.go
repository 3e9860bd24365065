package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/terminal"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Attach connects with the terminal of that name in a container, and opens it
// where there is none. A container that was frozen for doing nothing goes on
// first. cols and rows are the size of the screen, in characters.
func (t *Terminals) Attach(ctx context.Context, containerID, name string, cols, rows int) (*View, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	check.That(ValidName(name), "name", "format", "A terminal's name is 1 to 32 letters, digits, hyphens and underscores.")
	check.That(cols >= 1 && cols <= MaxSize, "cols", "range", "A terminal has 1 to %d columns.", MaxSize)
	check.That(rows >= 1 && rows <= MaxSize, "rows", "range", "A terminal has 1 to %d rows.", MaxSize)
	if err := check.Err(); err != nil {
		return nil, err
	}
	row, err := t.Lifecycle.Get(ctx, containerID)
	if err != nil {
		return nil, err
	}
	if row, err = t.running(ctx, row); err != nil {
		return nil, err
	}
	at := shellKey{containerID, name}
	for {
		s, mine, err := t.take(v, row, at)
		if err != nil {
			return nil, err
		}
		if mine {
			if err := t.open(ctx, s, row, cols, rows); err != nil {
				return nil, err
			}
		} else if err := s.awaitReady(ctx); err != nil {
			return nil, err
		} else if err := t.takenUp(ctx, s, row); err != nil {
			return nil, err
		}
		view := &View{shell: s, who: v, cols: cols, rows: rows, gone: func() { t.publish(row.ID, row.OwnerID) }}
		if s.attach(view, t.greeting(at)) {
			t.publish(row.ID, row.OwnerID)
			return view, nil
		}
		if mine {
			return nil, fault.New(fault.InvalidState, "The shell ended at once.")
		}
		// It ended just now: what is left of it is cleared away, and another opened.
		if err := t.clear(auth.AsSystem(ctx), &ent.Terminal{ID: s.id, ContainerID: at.container, Name: at.name}); err != nil {
			return nil, told(err)
		}
		t.drop(s)
	}
}

const notRunning = "The container does not run. Start it first."

// running is the container once it runs: one that was frozen for doing nothing
// goes on.
func (t *Terminals) running(ctx context.Context, row *ent.Container) (*ent.Container, error) {
	switch {
	case row.Status == container.StatusRunning:
		return row, nil
	case row.Frozen == container.FrozenIdle && row.Desired == container.DesiredPaused:
	case row.Status == container.StatusPaused:
		return nil, fault.New(fault.InvalidState, "The container is paused. Let it go on first.").With("status", string(row.Status))
	default:
		return nil, fault.New(fault.InvalidState, notRunning).With("status", string(row.Status))
	}
	ctx, cancel := context.WithTimeout(ctx, wakeTime)
	defer cancel()
	changes, err := t.Lifecycle.Watch(ctx, row.ID, false)
	if err != nil {
		return nil, err
	}
	if _, err := t.Lifecycle.Keep(ctx, row.ID); err != nil {
		return nil, err
	}
	for c := range changes {
		if c.Op != live.Removed && c.Container.Status == container.StatusRunning {
			return c.Container, nil
		}
	}
	return nil, fault.New(fault.InvalidState, "The container was frozen, and did not go on in time.")
}

// take gives the shell of a place, and whether the caller is the one to open it.
func (t *Terminals) take(v auth.Viewer, row *ent.Container, at shellKey) (*shell, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil, false, fault.New(fault.EngineUnavailable, "The server stops.")
	}
	if s := t.shells[at]; s != nil {
		return s, false, nil
	}
	ofUser, ofContainer := 0, 0
	for other, s := range t.shells {
		if s.user == v.UserID {
			ofUser++
		}
		if other.container == at.container {
			ofContainer++
		}
	}
	if ofUser >= MaxTerminals || ofContainer >= MaxTerminals {
		return nil, false, fault.New(fault.RateLimited, "There are %d terminals already; close some first.", MaxTerminals).
			With("limit", MaxTerminals).Because(ErrTooMany)
	}
	now := t.Now().UTC()
	s := &shell{
		at: at, user: v.UserID, owner: row.OwnerID, containerName: row.Name, opened: now, last: now, now: t.Now,
		touch: func() { t.Touch(at.container, "terminal") },
		ready: make(chan struct{}), news: make(chan struct{}), views: map[*View]struct{}{}, size: make(chan [2]int, 1), typed: make(chan typing, waiting),
	}
	t.shells[at] = s
	return s, true, nil
}

func (s *shell) awaitReady(ctx context.Context) error {
	select {
	case <-s.ready:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// greeting is what the next to look hears of what was here before.
func (t *Terminals) greeting(at shellKey) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.lost[at]
	delete(t.lost, at)
	return text
}

// takenUp records that somebody looks at another's terminal.
func (t *Terminals) takenUp(ctx context.Context, s *shell, row *ent.Container) error {
	if auth.Of(ctx).UserID == s.user {
		return nil
	}
	return audit.Record(ctx, t.Client, audit.Entry{
		Action: "terminal.open", Target: row.ID, TargetName: row.Name, Detail: detail(ctx, row, s.at.name) + "; it was open already",
	})
}

// drop forgets a shell.
func (t *Terminals) drop(s *shell) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shells[s.at] == s {
		delete(t.shells, s.at)
	}
}

// open opens a shell, whatever becomes of the one who asked: others may wait.
func (t *Terminals) open(ctx context.Context, s *shell, row *ent.Container, cols, rows int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wakeTime)
	defer cancel()
	defer context.AfterFunc(t.life, cancel)()
	opened, err := t.begin(ctx, s, row, cols, rows)
	s.mu.Lock()
	s.terminal, s.failed = opened, err
	s.mu.Unlock()
	close(s.ready)
	if err != nil {
		t.drop(s)
		t.poke() // its row, if there is one, is cleared away
		return err
	}
	s.touch()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped { // meanwhile: the next server clears it away
		_ = opened.Close()
		s.ends(stopping)
		return nil
	}
	t.pumps.Go(func() { t.carry(s) })
	return nil
}

// carry moves what is typed and printed until the shell ends.
func (t *Terminals) carry(s *shell) {
	life, done := context.WithCancel(t.life)
	t.pumps.Go(func() {
		s.sizes(life, func(err error) {
			t.Log.DebugContext(life, "resizing a terminal did not succeed", "container", s.at.container, "error", err)
		})
	})
	t.pumps.Go(func() { s.enter(life, func(who auth.Viewer) { t.thaw(life, s, who) }) })
	end := s.pump(life)
	done()
	t.over(s, end)
}

// thaw lets a container go on that was frozen for doing nothing: somebody types.
func (t *Terminals) thaw(ctx context.Context, s *shell, who auth.Viewer) {
	row, err := t.Client.Container.Get(ctx, s.at.container)
	if err == nil && row.Frozen == container.FrozenIdle {
		_, err = t.Lifecycle.Keep(auth.With(ctx, who), row.ID)
	}
	if err != nil && ctx.Err() == nil {
		t.Log.WarnContext(ctx, "a frozen container was not woken by typing", "container", s.at.container, "error", err)
	}
}

// begin writes the row, and opens the terminal.
func (t *Terminals) begin(ctx context.Context, s *shell, row *ent.Container, cols, rows int) (engine.Terminal, error) {
	if err := t.clearPlace(ctx, s.at); err != nil {
		return nil, told(err)
	}
	command, err := t.shellOf(ctx, row.ID)
	if err != nil {
		return nil, told(err)
	}
	var kept *ent.Terminal
	err = store.Tx(ctx, t.Client, func(tx *ent.Client) (err error) {
		kept, err = tx.Terminal.Create().SetContainerID(row.ID).SetUserID(s.user).SetName(s.at.name).
			SetCommand(strings.Join(command, " ")).SetOpenedAt(s.opened).Save(ctx)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "terminal.open", Target: row.ID, TargetName: row.Name, Detail: detail(ctx, row, s.at.name)})
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	s.mu.Lock()
	s.id, s.command = kept.ID, kept.Command // under both: read under either
	s.mu.Unlock()
	t.mu.Unlock()
	opened, err := t.Engine.OpenTerminal(ctx, row.ID, engine.TerminalSpec{ID: kept.ID, Command: command, Cols: cols, Rows: rows})
	if err != nil {
		return nil, told(err)
	}
	if err := t.Client.Terminal.UpdateOneID(kept.ID).SetEngineID(opened.ID()).Exec(auth.AsSystem(ctx)); err != nil {
		_ = opened.Close()
		return nil, fmt.Errorf("keep the terminal: %w", err)
	}
	return opened, nil
}

// clearPlace ends what an earlier server left under the same name.
func (t *Terminals) clearPlace(ctx context.Context, at shellKey) error {
	ctx = auth.AsSystem(ctx)
	left, err := t.Client.Terminal.Query().Where(terminal.ContainerID(at.container), terminal.Name(at.name)).First(ctx)
	if ent.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.clear(ctx, left)
}

// over is what comes after the end of a shell.
func (t *Terminals) over(s *shell, end End) {
	s.ends(end)
	_ = s.terminal.Close()
	t.mu.Lock()
	stopped := t.stopped
	t.mu.Unlock()
	if stopped {
		return // the row stays, for the next server to tell of it
	}
	s.mu.Lock()
	by := *s.end
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.life, endTime)
	defer cancel()
	if by == end { // nobody ended it from here, who would have told
		err := audit.Record(ctx, t.Client, audit.Entry{Action: "terminal.close", Target: s.at.container, TargetName: s.containerName, Detail: s.at.name + ": " + end.Reason})
		if err != nil && ctx.Err() == nil {
			t.Log.WarnContext(ctx, "the end of a terminal was not recorded", "error", err)
		}
	}
	if end.Lost { // the shell may go on where the engine is
		t.mu.Lock()
		t.lost[s.at] = "The engine was lost, and the shell that was here before has ended."
		t.mu.Unlock()
	}
	row := &ent.Terminal{ID: s.id, ContainerID: s.at.container, Name: s.at.name}
	if err := t.clear(ctx, row); err != nil && ctx.Err() == nil {
		t.Log.DebugContext(ctx, "what is left of a terminal is cleared away later", "container", s.at.container, "error", err)
	}
	t.drop(s)
	t.publish(s.at.container, s.owner)
}

// shells are those that an image may have, the best first, each with a call that
// does nothing.
var shells = []struct{ command, probe []string }{
	{[]string{"bash"}, []string{"bash", "-c", ":"}},
	{[]string{"zsh"}, []string{"zsh", "-c", ":"}},
	{[]string{"sh"}, []string{"sh", "-c", "exit 0"}},
	{[]string{"ash"}, []string{"ash", "-c", ":"}},
	{[]string{"busybox", "sh"}, []string{"busybox", "sh", "-c", ":"}},
	{[]string{"python3"}, []string{"python3", "-c", "pass"}},
}

// shellOf finds a shell: one question where the image has sh, as nearly all do.
func (t *Terminals) shellOf(ctx context.Context, id string) ([]string, error) {
	got, err := t.Engine.Exec(ctx, id, []string{"sh", "-c", "for s in bash zsh; do command -v $s >/dev/null 2>&1 && echo $s && exit; done; echo sh"})
	if err != nil {
		return nil, err
	}
	if name := strings.TrimSpace(string(got.Output)); got.Code == 0 && (name == "bash" || name == "zsh" || name == "sh") {
		return []string{name}, nil
	}
	for _, s := range shells {
		if got, err = t.Engine.Exec(ctx, id, s.probe); err != nil {
			return nil, err
		}
		if got.Code == 0 {
			return s.command, nil
		}
	}
	return nil, fault.New(fault.InvalidState, "This image has no shell.").Because(ErrNoShell)
}

// told puts the engine's refusals into words for people.
func told(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrNoShell):
		return err
	case errors.Is(err, engine.ErrBusy):
		return fault.New(fault.InvalidState, "The container has no room for one more process. End some of its programs, or restart it.").Because(errors.Join(ErrNoRoom, err))
	case errors.Is(err, engine.ErrUnreachable), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.EngineUnavailable, "The engine cannot be reached.").Because(err)
	case errors.Is(err, engine.ErrNotFound), errors.Is(err, engine.ErrRefused):
		return fault.New(fault.InvalidState, notRunning).Because(err)
	}
	return err
}
