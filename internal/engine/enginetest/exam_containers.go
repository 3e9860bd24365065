package enginetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

func (x *exam) life() {
	told := x.follow(x.Engine)
	spec := x.spec(x.image(x.Engine), sleep)
	id := spec.ID

	x.must(x.Engine.Create(x.ctx, spec))
	s := x.inspect(id)
	equal(x, "id", s.ID, id)
	equal(x, "owner", s.Owner, spec.Owner)
	equal(x, "status", s.Status, engine.StatusCreated)
	equal(x, "pid", s.Pid, 0)
	equal(x, "start", s.StartedAt, "")
	equal(x, "started", s.Started.IsZero() && s.Finished.IsZero(), true)

	other := spec
	other.Owner = "usr_other"
	x.must(x.Engine.Create(x.ctx, other)) // adopted as it is
	equal(x, "adopted as it is", x.inspect(id), s)

	x.must(x.Engine.Start(x.ctx, id))
	first := x.inspect(id)
	equal(x, "status", first.Status, engine.StatusRunning)
	equal(x, "engine id", first.EngineID, s.EngineID)
	equal(x, "has a pid", first.Pid > 0, true)
	equal(x, "started", first.StartedAt != "" && !first.Started.IsZero() && first.Finished.IsZero(), true)
	x.must(x.Engine.Start(x.ctx, id))
	equal(x, "started twice", x.inspect(id), first)

	x.must(x.Engine.Stop(x.ctx, id, 10*time.Second))
	stopped := x.inspect(id)
	equal(x, "status", stopped.Status, engine.StatusExited)
	equal(x, "exit code of a sleep that heard TERM", stopped.ExitCode, 143)
	equal(x, "finished", !stopped.Finished.Before(first.Started), true)
	equal(x, "same run", stopped.StartedAt, first.StartedAt)
	equal(x, "pid", stopped.Pid, 0)
	x.must(x.Engine.Stop(x.ctx, id, time.Second))
	equal(x, "stopped twice", x.inspect(id), stopped)

	x.must(x.Engine.Start(x.ctx, id))
	second := x.inspect(id)
	equal(x, "status", second.Status, engine.StatusRunning)
	equal(x, "another run", second.StartedAt != first.StartedAt, true)
	equal(x, "not finished", second.Finished.IsZero(), true)

	list, err := x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "listed", len(list), 1)
	equal(x, "listed as inspected", list[0], second)

	x.must(x.Engine.Remove(x.ctx, id))
	x.must(x.Engine.Remove(x.ctx, id))
	_, err = x.Engine.Inspect(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	list, err = x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "listed", len(list), 0)
	x.awaitEvents(told, id, "create", "start", "die", "stop", "start", "die", "destroy")

	never := x.created(sleep)
	x.must(x.Engine.Stop(x.ctx, never, time.Second)) // does not run: as asked
	equal(x, "status", x.inspect(never).Status, engine.StatusCreated)
	x.must(x.Engine.Remove(x.ctx, never))
}

func (x *exam) exitCodes() {
	told := x.follow(x.Engine)
	for _, c := range []struct {
		command []string
		code    int
	}{
		{script("exit 0"), 0},
		{script("exit 3"), 3},
		{[]string{"/no/such/program"}, 127}, // the engine's init starts, and then does not find it
	} {
		id := x.started(c.command)
		s := x.awaitStatus(told, id, engine.StatusExited)
		equal(x, "exit code", s.ExitCode, c.code)
		equal(x, "out of memory", s.OOMKilled, false)
		equal(x, "finished", s.Finished.IsZero(), false)
		x.awaitEvents(told, id, "create", "start", "die")
		x.must(x.Engine.Start(x.ctx, id)) // what ended can be started again
		x.awaitEvents(told, id, "create", "start", "die", "start", "die")
	}
}

func (x *exam) pause() {
	told := x.follow(x.Engine)
	id := x.created(sleep)
	x.is(x.Engine.Pause(x.ctx, id), engine.ErrRefused)
	x.is(x.Engine.Unpause(x.ctx, id), engine.ErrRefused)
	x.must(x.Engine.Start(x.ctx, id))
	x.must(x.Engine.Unpause(x.ctx, id)) // runs: as asked
	x.must(x.Engine.Pause(x.ctx, id))
	x.must(x.Engine.Pause(x.ctx, id))
	s := x.inspect(id)
	equal(x, "status", s.Status, engine.StatusPaused)
	equal(x, "has a pid", s.Pid > 0, true)
	x.is(x.Engine.Start(x.ctx, id), engine.ErrRefused)
	x.must(x.Engine.Unpause(x.ctx, id))
	equal(x, "status", x.inspect(id).Status, engine.StatusRunning)
	x.must(x.Engine.Pause(x.ctx, id))
	x.must(x.Engine.Stop(x.ctx, id, 0))
	equal(x, "status", x.awaitStatus(told, id, engine.StatusExited).Pid, 0)
	x.is(x.Engine.Pause(x.ctx, id), engine.ErrRefused)

	frozen := x.started(sleep)
	x.must(x.Engine.Pause(x.ctx, frozen))
	x.must(x.Engine.Remove(x.ctx, frozen))
	_, err := x.Engine.Inspect(x.ctx, frozen)
	x.is(err, engine.ErrNotFound)
	x.awaitEvents(told, frozen, "create", "start", "pause", "die", "destroy")
}

func (x *exam) outOfMemory() {
	told := x.follow(x.Engine)
	id := x.started(hungry(64))
	s := x.awaitStatus(told, id, engine.StatusExited)
	equal(x, "out of memory", s.OOMKilled, true)
	equal(x, "exit code", s.ExitCode, 137)
	x.awaitEvents(told, id, "create", "start", "oom", "die")
}

func (x *exam) brokenStart() {
	image := x.Host.NewID("img")
	_, err := x.Engine.Adopt(x.ctx, image, x.Host.BrokenImage())
	x.must(err)
	spec := x.spec(image, sleep)
	x.must(x.Engine.Create(x.ctx, spec))
	for range 2 {
		x.is(x.Engine.Start(x.ctx, spec.ID), engine.ErrRefused)
		s := x.inspect(spec.ID)
		equal(x, "status", s.Status, engine.StatusCreated)
		equal(x, "says why", s.Error != "", true)
		equal(x, "start", s.StartedAt, "")
	}
	x.must(x.Engine.Remove(x.ctx, spec.ID))
}

func (x *exam) createRefused() {
	x.is(x.Engine.Create(x.ctx, x.spec(x.Host.NewID("img"), sleep)), engine.ErrImageMissing)

	silent := x.Host.NewID("img")
	info, err := x.Engine.Adopt(x.ctx, silent, x.Host.SilentImage())
	x.must(err)
	equal(x, "has a command", info.HasCommand, false)
	x.is(x.Engine.Create(x.ctx, x.spec(silent, nil)), engine.ErrRefused)
	x.must(x.Engine.Create(x.ctx, x.spec(silent, sleep)))

	list, err := x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "only what could be made is there", len(list), 1)
}

func (x *exam) missing() {
	x.nothingThere(x.Host.NewID("ctr"))
}

// nothingThere asks every verb about a container that is not ours or not there.
func (x *exam) nothingThere(id string) {
	x.Helper()
	e := x.Engine
	_, err := e.Inspect(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.is(e.Start(x.ctx, id), engine.ErrNotFound)
	x.is(e.Stop(x.ctx, id, 0), engine.ErrNotFound)
	x.is(e.Pause(x.ctx, id), engine.ErrNotFound)
	x.is(e.Unpause(x.ctx, id), engine.ErrNotFound)
	x.is(e.Update(x.ctx, id, small), engine.ErrNotFound)
	x.is(e.Logs(x.ctx, id, engine.LogOptions{Tail: -1}, func(engine.LogLine) error { return nil }), engine.ErrNotFound)
	x.is(e.Stats(x.ctx, id, func(engine.Sample) {}), engine.ErrNotFound)
	x.must(e.Remove(x.ctx, id))
}

func (x *exam) behindOurBack() {
	told := x.follow(x.Engine)
	id := x.started(sleep)
	x.Host.Kill(id)
	s := x.awaitStatus(told, id, engine.StatusExited)
	equal(x, "exit code", s.ExitCode, 137)
	equal(x, "out of memory", s.OOMKilled, false)

	x.must(x.Engine.Start(x.ctx, id))
	x.Host.Destroy(id)
	x.awaitEvents(told, id, "create", "start", "die", "start", "die", "destroy")
	x.nothingThere(id)
}

func (x *exam) stranger() {
	told := x.follow(x.Engine)
	spec := x.spec(x.image(x.Engine), sleep)
	untouched := x.Host.Stranger(spec.ID)
	x.nothingThere(spec.ID)
	x.is(x.Engine.Create(x.ctx, spec), engine.ErrRefused)
	list, err := x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "listed", len(list), 0)
	equal(x, "untouched", untouched(), true)

	mine := x.started(sleep) // events come in order: the stranger's would have been first
	x.awaitEvents(told, mine, "create", "start")
	equal(x, "told of the stranger", len(told.of(spec.ID)), 0)
}

func (x *exam) twoInstances() {
	told := x.follow(x.Other)
	id := x.started(sleep)
	_, err := x.Other.Inspect(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.must(x.Other.Remove(x.ctx, id))
	equal(x, "still runs", x.inspect(id).Status, engine.StatusRunning)

	spec := x.spec(x.image(x.Other), sleep)
	spec.ID = id // the same id in both is two containers
	x.must(x.Other.Create(x.ctx, spec))
	list, err := x.Other.List(x.ctx)
	x.must(err)
	equal(x, "listed", len(list), 1)
	equal(x, "another container", list[0].EngineID != x.inspect(id).EngineID, true)
	x.must(x.Engine.Remove(x.ctx, id))
	_, err = x.Other.Inspect(x.ctx, id)
	x.must(err)
	x.must(x.Other.Remove(x.ctx, id))
	x.awaitEvents(told, id, "create", "destroy")
}

func (x *exam) atOnce() {
	spec := x.spec(x.image(x.Engine), sleep)
	together := func(verb string, do func() error) {
		x.Helper()
		var all sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			all.Go(func() { errs[i] = do() })
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				x.Fatalf("%s at once: %v", verb, err)
			}
		}
	}
	together("create", func() error { return x.Engine.Create(x.ctx, spec) })
	list, err := x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "listed", len(list), 1)
	together("start", func() error { return x.Engine.Start(x.ctx, spec.ID) })
	together("pause", func() error { return x.Engine.Pause(x.ctx, spec.ID) })
	together("unpause", func() error { return x.Engine.Unpause(x.ctx, spec.ID) })
	together("stop", func() error { return x.Engine.Stop(x.ctx, spec.ID, time.Second) })
	together("remove", func() error { return x.Engine.Remove(x.ctx, spec.ID) })
	_, err = x.Engine.Inspect(x.ctx, spec.ID)
	x.is(err, engine.ErrNotFound)
}

// interactive: the image's own shell stays, as it has an open input and a terminal.
func (x *exam) interactive() {
	told := x.follow(x.Engine)
	id := x.started(nil)
	mark := x.started(script("exit 0")) // had the shell ended, that would have been told before this
	x.awaitStatus(told, mark, engine.StatusExited)
	equal(x, "status", x.inspect(id).Status, engine.StatusRunning)
	x.must(x.Engine.Stop(x.ctx, id, 0))
	equal(x, "status", x.inspect(id).Status, engine.StatusExited)
}

func (x *exam) update() {
	id := x.started(hungry(24))
	enough, cancel := context.WithCancel(x.ctx)
	defer cancel()
	x.must(x.Engine.Stats(enough, id, func(s engine.Sample) {
		if s.Memory > 20<<20 {
			cancel()
		}
	}))
	x.must(x.ctx.Err())
	limit := func() (limit int64) {
		x.Helper()
		ctx, cancel := context.WithCancel(x.ctx)
		defer cancel()
		x.must(x.Engine.Stats(ctx, id, func(s engine.Sample) { limit = s.MemoryLimit; cancel() }))
		return limit
	}
	x.must(x.Engine.Update(x.ctx, id, engine.Limits{NanoCPUs: 250_000_000, Memory: 64 << 20}))
	equal(x, "memory limit", limit(), 64<<20)
	x.is(x.Engine.Update(x.ctx, id, engine.Limits{NanoCPUs: 250_000_000, Memory: 12 << 20}), engine.ErrRefused)
	equal(x, "memory limit", limit(), 64<<20)
	equal(x, "still runs", x.inspect(id).Status, engine.StatusRunning)
	x.must(x.Engine.Update(x.ctx, id, engine.Limits{NanoCPUs: 500_000_000, Memory: 48 << 20}))
	equal(x, "memory limit", limit(), 48<<20)
	x.must(x.Engine.Stop(x.ctx, id, 0))
	x.must(x.Engine.Update(x.ctx, id, small)) // one that does not run can be changed too
}

func (x *exam) stats() {
	id := x.created(sleep)
	x.must(x.Engine.Stats(x.ctx, id, func(engine.Sample) { x.Error("a sample of what does not run") }))
	x.must(x.Engine.Start(x.ctx, id))

	// Until the caller has enough.
	var samples []engine.Sample
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	x.must(x.Engine.Stats(ctx, id, func(s engine.Sample) {
		if samples = append(samples, s); len(samples) == 2 {
			cancel()
		}
	}))
	equal(x, "samples", len(samples) >= 2, true)
	a, b := samples[0], samples[1]
	equal(x, "newer", b.At.After(a.At), true)
	equal(x, "totals grow", b.CPUNanos >= a.CPUNanos, true)
	equal(x, "limit", b.MemoryLimit, small.Memory)
	equal(x, "memory", b.Memory > 0 && b.Memory <= small.Memory, true)
	equal(x, "processes", b.Pids > 0, true)

	// Until the container ends.
	ended, first := make(chan error, 1), make(chan struct{})
	var once sync.Once
	go func() {
		ended <- x.Engine.Stats(x.ctx, id, func(engine.Sample) { once.Do(func() { close(first) }) })
	}()
	<-first
	x.must(x.Engine.Stop(x.ctx, id, 0))
	x.must(<-ended)
}

func (x *exam) watch() {
	told := x.follow(x.Engine)
	second := x.follow(x.Engine) // everybody who watches hears everything
	id := x.started(sleep)
	x.awaitEvents(told, id, "create", "start")
	x.awaitEvents(second, id, "create", "start")
	told.mu.Lock()
	defer told.mu.Unlock()
	for _, e := range told.events {
		if e.ID == id {
			equal(x, "kind", e.Kind, engine.ContainerEvent)
			equal(x, "has a time", e.At.IsZero(), false)
		}
	}
}

func (x *exam) callerGivesUp() {
	id := x.started(sleep)
	ctx, cancel := context.WithCancel(x.ctx)
	cancel()
	_, err := x.Engine.Inspect(ctx, id)
	x.is(err, context.Canceled)
	_, err = x.Engine.List(ctx)
	x.is(err, context.Canceled)
	x.is(x.Engine.Stop(ctx, id, 0), context.Canceled)
	x.is(x.Engine.Ping(ctx), context.Canceled)
	x.is(x.Engine.Watch(ctx, func() {}, func(engine.Event) {}), context.Canceled)
	equal(x, "status", x.inspect(id).Status, engine.StatusRunning)
}

func (x *exam) info() {
	x.must(x.Engine.Ping(x.ctx))
	info, err := x.Engine.Info(x.ctx)
	x.must(err)
	equal(x, "named", info.Name != "" && info.Version != "" && info.APIVersion != "", true)
	equal(x, "sized", info.NanoCPUs > 0 && info.Memory > 0, true)
	equal(x, "cgroups", slices.Contains([]int{1, 2}, info.CgroupVersion), true)
}

func (x *exam) closed() {
	ended, ready := make(chan error, 1), make(chan struct{})
	go func() {
		ended <- x.Engine.Watch(x.ctx, func() { close(ready) }, func(engine.Event) {})
	}()
	<-ready
	x.must(x.Engine.Close())
	x.is(<-ended, engine.ErrUnreachable)
	x.is(x.Engine.Ping(x.ctx), engine.ErrUnreachable)
	x.must(x.Other.Ping(x.ctx))
}
