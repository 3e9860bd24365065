package enginetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/mlride/mlride/internal/engine"
)

// holds fails unless e holds just these images.
func (x *exam) holds(e engine.Engine, want ...string) {
	x.Helper()
	got, err := e.ListImages(x.ctx)
	x.must(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		x.Fatalf("images held: got %v, want %v", got, want)
	}
}

func (x *exam) pull() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	_, err := x.Engine.InspectImage(x.ctx, id)
	x.is(err, engine.ErrNotFound)

	var told []engine.PullProgress
	info, err := x.Engine.Pull(x.ctx, id, ref, func(p engine.PullProgress) { told = append(told, p) })
	x.must(err)
	equal(x, "told of progress", len(told) > 0, true)
	last := told[len(told)-1]
	equal(x, "layers", len(last.Layers) > 0, true)
	for _, l := range last.Layers {
		equal(x, "layer has an id, a state and a size", l.ID != "" && l.State != "" && l.Total > 0, true)
		equal(x, "layer is there", l.Current, l.Total)
	}
	equal(x, "digest", strings.HasPrefix(info.Digest, "sha256:"), true)
	equal(x, "engine id", strings.HasPrefix(info.EngineID, "sha256:"), true)
	equal(x, "size", info.Size > 0, true)
	equal(x, "has a command", info.HasCommand, true)
	equal(x, "the host has the plain reference", x.Host.Has(ref), false)

	held, err := x.Engine.InspectImage(x.ctx, id)
	x.must(err)
	equal(x, "engine id", held.EngineID, info.EngineID)
	x.holds(x.Engine, id)

	spec := x.spec(id, sleep)
	x.must(x.Engine.Create(x.ctx, spec))
	x.must(x.Engine.Start(x.ctx, spec.ID))
	x.must(x.Engine.Remove(x.ctx, spec.ID))

	x.must(x.Engine.RemoveImage(x.ctx, id))
	x.must(x.Engine.RemoveImage(x.ctx, id))
	_, err = x.Engine.InspectImage(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.holds(x.Engine)
}

func (x *exam) pullRefused() {
	id := x.Host.NewID("img")
	_, err := x.Engine.Pull(x.ctx, id, x.Host.NoSuchImage(), engine.Discard)
	x.is(err, engine.ErrNotFound)
	_, err = x.Engine.Pull(x.ctx, id, x.Host.DeadRegistry(), engine.Discard)
	x.is(err, engine.ErrRegistry)
	_, err = x.Engine.Pull(x.ctx, id, "Not A Reference", engine.Discard)
	x.is(err, engine.ErrRefused)
	x.holds(x.Engine)
}

func (x *exam) pullTwice() {
	together := func(pulls ...func() error) {
		x.Helper()
		var all sync.WaitGroup
		errs := make([]error, len(pulls))
		for i, pull := range pulls {
			all.Go(func() { errs[i] = pull() })
		}
		all.Wait()
		for _, err := range errs {
			x.must(err)
		}
	}
	pull := func(e engine.Engine, id, ref string) func() error {
		return func() error {
			_, err := e.Pull(x.ctx, id, ref, engine.Discard)
			return err
		}
	}
	ref, a, b, c := x.Host.Publish(), x.Host.NewID("img"), x.Host.NewID("img"), x.Host.NewID("img")
	together(pull(x.Engine, a, ref), pull(x.Engine, b, ref))
	x.holds(x.Engine, a, b)
	equal(x, "the host has the plain reference", x.Host.Has(ref), false)

	x.must(x.Engine.RemoveImage(x.ctx, a))
	_, err := x.Engine.InspectImage(x.ctx, b)
	x.must(err)
	x.must(pull(x.Engine, b, ref)()) // what is there can be pulled again
	x.holds(x.Engine, b)

	fresh := x.Host.Publish() // of two instances, each gets its own
	together(pull(x.Engine, a, fresh), pull(x.Other, c, fresh))
	x.holds(x.Engine, a, b)
	x.holds(x.Other, c)
}

func (x *exam) pullCancelled() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	ctx, cancel := context.WithCancel(x.ctx)
	defer cancel()
	_, err := x.Engine.Pull(ctx, id, ref, func(engine.PullProgress) { cancel() })
	x.is(err, context.Canceled)
	x.holds(x.Engine)
	equal(x, "the host has the plain reference", x.Host.Has(ref), false)
	_, err = x.Engine.Pull(x.ctx, id, ref, engine.Discard)
	x.must(err)
}

func (x *exam) pullOfWhatWasThere() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	x.Host.Hold(ref)
	_, err := x.Engine.Pull(x.ctx, id, ref, engine.Discard)
	x.must(err)
	equal(x, "the host still has its reference", x.Host.Has(ref), true)
	x.must(x.Engine.RemoveImage(x.ctx, id))
	equal(x, "the host still has its reference", x.Host.Has(ref), true)
}

func (x *exam) adopt() {
	id := x.Host.NewID("img")
	_, err := x.Engine.Adopt(x.ctx, id, x.Host.NoSuchImage())
	x.is(err, engine.ErrNotFound)
	info, err := x.Engine.Adopt(x.ctx, id, x.Host.Image())
	x.must(err)
	equal(x, "has a command", info.HasCommand, true)
	again, err := x.Engine.Adopt(x.ctx, id, x.Host.Image())
	x.must(err)
	equal(x, "adopted again", again, info)
	x.holds(x.Engine, id)
	x.must(x.Engine.RemoveImage(x.ctx, id))
	equal(x, "the host still has its reference", x.Host.Has(x.Host.Image()), true)
}

func (x *exam) removeImageInUse() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	_, err := x.Engine.Pull(x.ctx, id, ref, engine.Discard)
	x.must(err)
	spec := x.spec(id, sleep)
	x.must(x.Engine.Create(x.ctx, spec))
	x.is(x.Engine.RemoveImage(x.ctx, id), engine.ErrBusy)
	x.holds(x.Engine, id)

	second := x.Host.NewID("img")
	_, err = x.Engine.Pull(x.ctx, second, ref, engine.Discard)
	x.must(err)
	x.must(x.Engine.RemoveImage(x.ctx, id)) // the second tag holds the content
	x.must(x.Engine.Remove(x.ctx, spec.ID))
	x.must(x.Engine.RemoveImage(x.ctx, second))
	x.holds(x.Engine)
}

func (x *exam) imagesOfTwoInstances() {
	id := x.image(x.Engine)
	x.holds(x.Other)
	_, err := x.Other.InspectImage(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.must(x.Other.RemoveImage(x.ctx, id))
	x.holds(x.Engine, id)
	x.is(x.Other.Create(x.ctx, x.spec(id, sleep)), engine.ErrImageMissing)
}

func (x *exam) imageEvents() {
	early := x.image(x.Engine) // held before the watch begins
	told := x.follow(x.Engine)
	id := x.Host.NewID("img")
	_, err := x.Engine.Pull(x.ctx, id, x.Host.Publish(), engine.Discard)
	x.must(err)
	x.await(told, "tag", func() bool { return slices.Contains(told.of(id), "tag") })
	x.must(x.Engine.RemoveImage(x.ctx, id))
	x.await(told, "untag", func() bool { return slices.Contains(told.of(id), "untag") })
	x.must(x.Engine.RemoveImage(x.ctx, early))
	x.await(told, "untag", func() bool { return slices.Contains(told.of(early), "untag") })
}
