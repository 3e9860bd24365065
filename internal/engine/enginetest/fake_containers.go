package enginetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// box is a container.
type box struct {
	engine.State
	instance  string // empty: a stranger's
	image     string
	broken    bool
	program   program
	devices   []string
	log       []engine.LogLine
	used      int64 // memory
	cpu       int64
	mounts    []engine.Mount
	layer     map[string]file // outside of its volumes
	terminals []*fakeTerminal
}

// program is what a command does when it is started.
type program struct {
	does       []deed
	ends       bool
	code       int
	ignoresEnd bool  // as a shell before a terminal does
	memory     int64 // that it takes
	port       int   // that it listens on
}

func (b *box) runs() bool {
	return b.Status == engine.StatusRunning || b.Status == engine.StatusPaused
}

// parse reads a command of the exam's.
func parse(command []string) program {
	p := program{memory: 1 << 20}
	switch {
	case len(command) == 0:
		p.ignoresEnd = true
		return p
	case command[0] == "sleep":
		return p
	case command[0] == "httpd" && len(command) == 4: // httpd -f -p PORT
		p.port, _ = strconv.Atoi(command[3])
		return p
	case command[0] == "sh" && len(command) == 3 && command[1] == "-c":
		for _, line := range strings.Split(command[2], ";") {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "exec "))
			if len(words) == 0 {
				continue
			}
			switch words[0] {
			case "sleep":
				return p
			case "dd":
				mib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(words[len(words)-1], "bs="), "M"), 10, 64)
				p.memory = mib << 20
				return p
			case "echo", "head", "cat":
				p.does = append(p.does, parseDeed(words))
			case "exit":
				p.ends = true
				p.code, _ = strconv.Atoi(words[1])
				return p
			default:
				p.ends, p.code = true, 127
			}
		}
		p.ends = true
		return p
	}
	p.ends, p.code = true, 127
	return p
}

func (f *Fake) name(id string) string     { return "mlride-" + f.instance + "-" + id }
func (f *Fake) imageTag(id string) string { return "mlride-" + f.instance + "/" + id + ":latest" }

// own finds our container. The lock is held.
func (f *Fake) own(id string) (*box, error) {
	b := f.boxes[f.name(id)]
	if b == nil || b.instance != f.instance {
		return nil, fmt.Errorf("%w: no container %s", engine.ErrNotFound, id)
	}
	return b, nil
}

// change does a verb with our container, unless it is on its way out.
func (f *Fake) change(ctx context.Context, m Method, id string, do func(*box) error) error {
	return f.act(ctx, m, id, func() error {
		b, err := f.own(id)
		if err != nil {
			return err
		}
		if b.Status == engine.StatusRemoving {
			return fmt.Errorf("%w: its removal is under way", engine.ErrBusy)
		}
		return do(b)
	})
}

// Create makes a container.
func (f *Fake) Create(ctx context.Context, spec engine.Spec) error {
	return f.act(ctx, MethodCreate, spec.ID, func() error {
		if there := f.boxes[f.name(spec.ID)]; there != nil {
			switch {
			case there.instance != f.instance:
				return fmt.Errorf("%w: the name is taken", engine.ErrRefused)
			case there.Status == engine.StatusRemoving:
				return fmt.Errorf("%w: its removal is under way", engine.ErrBusy)
			}
			return nil
		}
		image, held := f.tags[f.imageTag(spec.ImageID)]
		if !held {
			return fmt.Errorf("%w: %s", engine.ErrImageMissing, spec.ImageID)
		}
		if len(spec.Command) == 0 && f.images[image].Silent {
			return fmt.Errorf("%w: no command specified", engine.ErrRefused)
		}
		if err := f.ensure(spec.Mounts); err != nil {
			return err
		}
		b := &box{
			State: engine.State{
				ID: spec.ID, Owner: spec.Owner, Status: engine.StatusCreated, EngineID: f.hash(), Limits: spec.Limits,
			},
			instance: f.instance, image: image, broken: f.images[image].Broken, program: parse(spec.Command),
			devices: spec.Devices, mounts: spec.Mounts, layer: map[string]file{},
		}
		f.boxes[f.name(spec.ID)] = b
		f.join(spec.Owner)
		f.tell(b, "create")
		return nil
	})
}

// Start starts it, and runs its program as far as it goes.
func (f *Fake) Start(ctx context.Context, id string) error {
	return f.change(ctx, MethodStart, id, func(b *box) error {
		switch {
		case b.Status == engine.StatusRunning:
			return nil
		case b.Status == engine.StatusPaused:
			return fmt.Errorf("%w: it is paused", engine.ErrRefused)
		case b.broken:
			b.Error = "unable to find user nobody"
			return fmt.Errorf("%w: %s", engine.ErrRefused, b.Error)
		}
		f.join(b.Owner)
		f.start(b)
		return nil
	})
}

func (w *world) start(b *box) {
	at := w.clock()
	w.serial++
	b.Status, b.Started, b.StartedAt, b.Finished = engine.StatusRunning, at, at.Format(time.RFC3339Nano), time.Time{}
	b.Pid, b.ExitCode, b.OOMKilled, b.Error = 1000+w.serial, 0, false, ""
	b.used = b.program.memory
	w.tell(b, "start")
	code := 0
	for _, d := range b.program.does {
		code = w.perform(b, d)
	}
	switch {
	case b.used > b.Limits.Memory && b.Limits.Memory > 0:
		w.end(b, 137, true)
	case b.program.ends:
		w.end(b, max(b.program.code, code), false)
	}
}

// write adds a line to the log. The lock is held.
func (w *world) write(b *box, l engine.LogLine) {
	l.At = w.clock()
	b.log = append(b.log, l)
	w.announce()
}

// end ends its run. The lock is held.
func (w *world) end(b *box, code int, oom bool) {
	if oom {
		w.tell(b, "oom")
	}
	b.Status, b.Pid, b.ExitCode, b.OOMKilled, b.Finished, b.used = engine.StatusExited, 0, code, oom, w.clock(), 0
	w.tell(b, "die")
}

// Stop ends it: 143, or 137 where the program does not heed the signal.
func (f *Fake) Stop(ctx context.Context, id string, _ time.Duration) error {
	return f.change(ctx, MethodStop, id, func(b *box) error {
		if !b.runs() {
			return nil
		}
		code := 143
		if b.program.ignoresEnd {
			code = 137
		}
		f.end(b, code, false)
		f.tell(b, "stop")
		return nil
	})
}

// Pause freezes it.
func (f *Fake) Pause(ctx context.Context, id string) error {
	return f.freeze(ctx, MethodPause, id, engine.StatusPaused, "pause")
}

// Unpause lets it go on.
func (f *Fake) Unpause(ctx context.Context, id string) error {
	return f.freeze(ctx, MethodUnpause, id, engine.StatusRunning, "unpause")
}

func (f *Fake) freeze(ctx context.Context, m Method, id string, wanted engine.Status, action string) error {
	return f.change(ctx, m, id, func(b *box) error {
		if !b.runs() {
			return fmt.Errorf("%w: it does not run", engine.ErrRefused)
		}
		if b.Status != wanted {
			b.Status = wanted
			f.tell(b, action)
		}
		return nil
	})
}

// Update changes its limits.
func (f *Fake) Update(ctx context.Context, id string, limits engine.Limits) error {
	return f.change(ctx, MethodUpdate, id, func(b *box) error {
		if b.used > limits.Memory {
			return fmt.Errorf("%w: %d bytes of memory are in use", engine.ErrRefused, b.used)
		}
		b.Limits = limits
		f.tell(b, "update")
		return nil
	})
}

// Remove kills and removes it.
func (f *Fake) Remove(ctx context.Context, id string) error {
	return f.act(ctx, MethodRemove, id, func() error {
		b, err := f.own(id)
		if err != nil {
			return nil
		}
		if b.Status == engine.StatusRemoving {
			return fmt.Errorf("%w: its removal is under way", engine.ErrBusy)
		}
		f.destroy(b)
		return nil
	})
}

func (w *world) destroy(b *box) {
	if b.runs() {
		w.end(b, 137, false)
	}
	for name, other := range w.boxes {
		if other == b {
			delete(w.boxes, name)
		}
	}
	b.Status = engine.StatusRemoving // for streams that still hold it
	w.tell(b, "destroy")
}

// Inspect tells its state.
func (f *Fake) Inspect(ctx context.Context, id string) (state engine.State, err error) {
	err = f.act(ctx, MethodInspect, id, func() error {
		b, err := f.own(id)
		if err == nil {
			state = b.State
		}
		return err
	})
	return state, err
}

// List tells the state of all of this instance's, sorted by id.
func (f *Fake) List(ctx context.Context) (states []engine.State, err error) {
	err = f.act(ctx, MethodList, "", func() error {
		states = []engine.State{}
		for _, name := range f.names() {
			if b := f.boxes[name]; b.instance == f.instance {
				states = append(states, b.State)
			}
		}
		return nil
	})
	return states, err
}

// Logs reads the log.
func (f *Fake) Logs(ctx context.Context, id string, opts engine.LogOptions, line func(engine.LogLine) error) error {
	var b *box
	next, passed := 0, opts.Since.IsZero()
	if err := f.act(ctx, MethodLogs, id, func() (err error) {
		if b, err = f.own(id); err == nil && opts.Tail >= 0 {
			next = max(0, len(b.log)-opts.Tail)
		}
		return err
	}); err != nil {
		return err
	}
	for {
		f.mu.Lock()
		fresh, runs, changed, gone := slices.Clone(b.log[next:]), b.runs(), f.changed, f.reachable()
		f.mu.Unlock()
		if gone != nil {
			return gone
		}
		for _, l := range fresh {
			if ctx.Err() != nil {
				return nil
			}
			if passed = passed || l.At.After(opts.Since); !passed {
				continue
			}
			if err := line(l); err != nil {
				return err
			}
		}
		next += len(fresh)
		if !opts.Follow || !runs {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Stats gives a sample at once and every StatsPeriod.
func (f *Fake) Stats(ctx context.Context, id string, sample func(engine.Sample)) error {
	var b *box
	if err := f.act(ctx, MethodStats, id, func() (err error) { b, err = f.own(id); return err }); err != nil {
		return err
	}
	period := time.NewTicker(StatsPeriod)
	defer period.Stop()
	for {
		f.mu.Lock()
		runs, gone := b.runs(), f.reachable()
		b.cpu += int64(time.Millisecond)
		read := engine.Sample{At: f.clock(), CPUNanos: b.cpu, Memory: b.used, MemoryLimit: b.Limits.Memory, Pids: 1}
		f.mu.Unlock()
		switch {
		case gone != nil:
			return gone
		case !runs, ctx.Err() != nil:
			return nil
		}
		sample(read)
		select {
		case <-period.C:
		case <-ctx.Done():
			return nil
		}
	}
}
