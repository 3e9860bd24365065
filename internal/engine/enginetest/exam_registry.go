package enginetest

import (
	"github.com/mlride/mlride/internal/engine"
)

func (x *exam) layers() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	_, err := x.Engine.Layers(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	info, err := x.Engine.Pull(x.ctx, id, ref, engine.Discard)
	x.must(err)
	layers, err := x.Engine.Layers(x.ctx, id)
	x.must(err)
	sum := int64(0)
	for _, l := range layers {
		sum += l.Size
		equal(x, "layer has a time", l.CreatedAt.IsZero(), false)
	}
	equal(x, "sizes of all layers", sum, info.Size)
}

func (x *exam) remoteDigest() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	first, err := x.Engine.RemoteDigest(x.ctx, ref)
	x.must(err)
	x.holds(x.Engine) // nothing is fetched
	info, err := x.Engine.Pull(x.ctx, id, ref, engine.Discard)
	x.must(err)
	equal(x, "digest", info.Digest, first)
	x.Host.PublishNewer(ref)
	second, err := x.Engine.RemoteDigest(x.ctx, ref)
	x.must(err)
	equal(x, "the digest moved", second != first, true)

	_, err = x.Engine.RemoteDigest(x.ctx, x.Host.NoSuchImage())
	x.is(err, engine.ErrNotFound)
	_, err = x.Engine.RemoteDigest(x.ctx, x.Host.DeadRegistry())
	x.is(err, engine.ErrRegistry)
	_, err = x.Engine.RemoteDigest(x.ctx, "Not A Reference")
	x.is(err, engine.ErrRefused)
}

// leftovers: what a newer pull took the place of stays while a container is made
// of it, and is told and let go of then. Without a container it goes at once.
func (x *exam) leftovers() {
	ref, id := x.Host.Publish(), x.Host.NewID("img")
	pull := func() engine.ImageInfo {
		x.Helper()
		info, err := x.Engine.Pull(x.ctx, id, ref, engine.Discard)
		x.must(err)
		return info
	}
	left := func(e engine.Engine) []engine.Leftover {
		x.Helper()
		found, err := e.Leftovers(x.ctx)
		x.must(err)
		return found
	}
	pull()
	x.Host.PublishNewer(ref)
	second := pull()
	equal(x, "leftovers", len(left(x.Engine)), 0)

	spec := x.spec(id, sleep)
	x.must(x.Engine.Create(x.ctx, spec))
	x.Host.PublishNewer(ref)
	third := pull()
	equal(x, "it is another", third.EngineID != second.EngineID, true)
	x.holds(x.Engine, id)
	equal(x, "leftovers while a container is made of it", len(left(x.Engine)), 0)
	x.must(x.Engine.Start(x.ctx, spec.ID)) // it has what it needs
	x.must(x.Engine.Remove(x.ctx, spec.ID))

	equal(x, "of the other instance", len(left(x.Other)), 0)
	found := left(x.Engine)
	equal(x, "leftovers", len(found), 1)
	equal(x, "left over since", found[0].Since.IsZero(), false)
	equal(x, "is a step of a build", found[0].Step, false)
	x.is(x.Other.RemoveLeftover(x.ctx, found[0].Ref), engine.ErrRefused)
	x.is(x.Engine.RemoveLeftover(x.ctx, x.Host.Image()), engine.ErrRefused)
	freed, err := x.Engine.Freed(x.ctx, nil, []string{found[0].Ref})
	x.must(err)
	equal(x, "something is freed", freed > 0 && freed <= second.Size, true)
	x.must(x.Engine.RemoveLeftover(x.ctx, found[0].Ref))
	x.must(x.Engine.RemoveLeftover(x.ctx, found[0].Ref))
	equal(x, "leftovers", len(left(x.Engine)), 0)
	freed, err = x.Engine.Freed(x.ctx, nil, []string{found[0].Ref})
	x.must(err)
	equal(x, "freed again", freed, int64(0))
	x.holds(x.Engine, id)
}

func (x *exam) freed() {
	freed := func(want int64, ids ...string) {
		x.Helper()
		got, err := x.Engine.Freed(x.ctx, ids, nil)
		x.must(err)
		equal(x, "freed", got, want)
	}
	ref, a, b := x.Host.Publish(), x.Host.NewID("img"), x.Host.NewID("img")
	info, err := x.Engine.Pull(x.ctx, a, ref, engine.Discard)
	x.must(err)
	freed(0)
	freed(info.Size, a)
	_, err = x.Engine.Pull(x.ctx, b, ref, engine.Discard)
	x.must(err)
	freed(0, a)            // b holds it too
	freed(info.Size, a, b) // and it counts once
	freed(info.Size, a, b, x.Host.NewID("img"))
	spec := x.spec(a, sleep)
	x.must(x.Engine.Create(x.ctx, spec))
	freed(0, a, b)
	x.must(x.Engine.Remove(x.ctx, spec.ID))
	freed(info.Size, a, b)
}
