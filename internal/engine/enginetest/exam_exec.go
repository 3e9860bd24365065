package enginetest

import (
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// exec: a program in a running container, and what it said.
func (x *exam) exec() {
	id := x.created(sleep)
	_, err := x.Engine.Exec(x.ctx, id, []string{"sh", "-c", "echo hello"})
	x.is(err, engine.ErrRefused)
	_, err = x.Engine.Exec(x.ctx, x.Host.NewID("ctr"), []string{"sh", "-c", "echo hello"})
	x.is(err, engine.ErrNotFound)
	_, err = x.Other.Exec(x.ctx, id, []string{"sh", "-c", "echo hello"})
	x.is(err, engine.ErrNotFound)

	x.must(x.Engine.Start(x.ctx, id))
	ran := func(want int, said string, command ...string) {
		x.Helper()
		got, err := x.Engine.Exec(x.ctx, id, command)
		x.must(err)
		equal(x, "exit status", got.Code, want)
		equal(x, "cut", got.Cut, false)
		if said != "" {
			equal(x, "output", string(got.Output), said)
		}
	}
	ran(0, "hello\n", "sh", "-c", "echo hello")
	ran(3, "oh no\n", "sh", "-c", "echo oh no >&2; exit 3")
	ran(127, "", "no-such-program")
	ran(0, "", "sh", "-c", "echo kept > /tmp/exam")
	ran(0, "kept\n", "sh", "-c", "cat /tmp/exam")
	equal(x, "lines in the container's own log", len(x.read(id, engine.LogOptions{Tail: -1})), 0)

	x.must(x.Engine.Pause(x.ctx, id))
	_, err = x.Engine.Exec(x.ctx, id, []string{"sh", "-c", "echo hello"})
	x.is(err, engine.ErrRefused)
	x.must(x.Engine.Unpause(x.ctx, id))
	x.must(x.Engine.Stop(x.ctx, id, time.Second))
	_, err = x.Engine.Exec(x.ctx, id, []string{"sh", "-c", "echo hello"})
	x.is(err, engine.ErrRefused)
}
