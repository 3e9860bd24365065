package enginetest

import (
	"context"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// building is a spec on the host's image.
func (x *exam) building(lines ...string) engine.BuildSpec {
	x.Helper()
	base, err := x.Engine.Adopt(x.ctx, x.Host.NewID("img"), x.Host.Image())
	x.must(err)
	return engine.BuildSpec{
		ID: x.Host.NewID("img"), Owner: "usr_exam", Bases: []string{base.EngineID},
		Dockerfile: "FROM " + base.EngineID + "\n" + strings.Join(lines, "\n") + "\n",
		Limits:     engine.BuildLimits{Limits: small, Pids: 64},
	}
}

func (x *exam) build() {
	spec := x.building("RUN echo hello", "ENV A=b")
	var output strings.Builder
	last := engine.BuildProgress{}
	info, err := x.Engine.Build(x.ctx, spec, func(p engine.BuildProgress) {
		output.Write(p.Output)
		if p.Step > 0 {
			last = p
		}
	})
	x.must(err)
	equal(x, "printed", strings.Contains(output.String(), "hello\n"), true)
	equal(x, "the last step", last.Step > 0 && last.Step == last.Steps, true)
	held, err := x.Engine.InspectImage(x.ctx, spec.ID)
	x.must(err)
	equal(x, "what is held", held.EngineID, info.EngineID)
	box := x.spec(spec.ID, sleep)
	x.must(x.Engine.Create(x.ctx, box)) // containers are made of it
	list, err := x.Engine.List(x.ctx)
	x.must(err)
	equal(x, "steps are nobody's containers", len(list), 1)
}

func (x *exam) buildRefused() {
	spec := x.building("RUN exit 3")
	_, err := x.Engine.Build(x.ctx, spec, func(engine.BuildProgress) {})
	x.is(err, engine.ErrBuild)
	equal(x, "says how", strings.Contains(err.Error(), "returned a non-zero code: 3"), true)
	_, err = x.Engine.InspectImage(x.ctx, spec.ID)
	x.is(err, engine.ErrNotFound)

	spec = x.building()
	spec.Bases = []string{"sha256:" + strings.Repeat("0", 64)}
	_, err = x.Engine.Build(x.ctx, spec, func(engine.BuildProgress) {})
	x.is(err, engine.ErrImageMissing)
	x.must(x.Engine.SweepBuilds(x.ctx, func(string) bool { return false }))
}

func (x *exam) buildCancelled() {
	spec := x.building("RUN echo begun; sleep 3600")
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	_, err := x.Engine.Build(ctx, spec, func(p engine.BuildProgress) {
		if strings.HasPrefix(string(p.Output), "begun") {
			cancel()
		}
	})
	x.is(err, context.Canceled)
	_, err = x.Engine.InspectImage(x.ctx, spec.ID)
	x.is(err, engine.ErrNotFound)
}

func (x *exam) commit() {
	saved := engine.CommitSpec{ID: x.Host.NewID("img"), Owner: "usr_exam", Container: x.Host.NewID("ctr"), Timeout: time.Minute}
	_, err := x.Engine.Commit(x.ctx, saved)
	x.is(err, engine.ErrNotFound)
	saved.Container = x.created(sleep)
	info, err := x.Engine.Commit(x.ctx, saved)
	x.must(err)
	equal(x, "has a command", info.HasCommand, true)
	held, err := x.Engine.InspectImage(x.ctx, saved.ID)
	x.must(err)
	equal(x, "what is held", held.EngineID, info.EngineID)
	_, err = x.Other.Commit(x.ctx, saved)
	x.is(err, engine.ErrNotFound)
}
