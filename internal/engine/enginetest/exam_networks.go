package enginetest

import (
	"slices"
	"time"
)

// of makes a container of that owner's, and gives its id.
func (x *exam) of(owner, image string) string {
	x.Helper()
	spec := x.spec(image, sleep)
	spec.Owner = owner
	x.must(x.Engine.Create(x.ctx, spec))
	return spec.ID
}

func (x *exam) has(owners ...string) {
	x.Helper()
	if got := x.Host.Networks(); !slices.Equal(got, owners) {
		x.Fatalf("networks: got those of %q, want those of %q", got, owners)
	}
}

func (x *exam) networks() {
	image := x.image(x.Engine)
	x.has()
	ann, _, bob := x.of("usr_ann", image), x.of("usr_ann", image), x.of("usr_bob", image)
	x.has("usr_ann", "usr_bob")
	x.must(x.Engine.Start(x.ctx, bob))

	// What somebody has a container on stays, running or not.
	x.must(x.Engine.PruneNetworks(x.ctx, nil, 0))
	x.has("usr_ann", "usr_bob")
	x.must(x.Engine.Remove(x.ctx, bob))
	x.must(x.Engine.Remove(x.ctx, ann))

	// What nobody does stays a while, or because it is wanted; another instance's does not count.
	x.must(x.Engine.PruneNetworks(x.ctx, nil, time.Hour))
	x.must(x.Engine.PruneNetworks(x.ctx, nil, time.Hour))
	x.must(x.Engine.PruneNetworks(x.ctx, func(owner string) bool { return owner == "usr_bob" }, 0))
	x.must(x.Other.PruneNetworks(x.ctx, nil, 0))
	x.has("usr_ann", "usr_bob")
	x.must(x.Engine.PruneNetworks(x.ctx, nil, 0))
	x.has("usr_ann")
	x.must(x.Engine.PruneNetworks(x.ctx, nil, 0))
	x.has("usr_ann")

	// It is there again with the next container.
	x.must(x.Engine.Start(x.ctx, x.of("usr_bob", image)))
	x.has("usr_ann", "usr_bob")
}

// networkGone: somebody prunes the engine while containers stand still.
func (x *exam) networkGone() {
	image := x.image(x.Engine)
	fresh, used := x.of("usr_ann", image), x.of("usr_ann", image)
	x.must(x.Engine.Start(x.ctx, used))
	x.must(x.Engine.Stop(x.ctx, used, 0))
	x.Host.DropNetwork("usr_ann")
	x.has()

	x.must(x.Engine.Start(x.ctx, used))
	x.has("usr_ann")
	x.must(x.Engine.Start(x.ctx, fresh)) // it is another than the one that it was made with
	for _, id := range []string{fresh, used} {
		equal(x, "status", x.inspect(id).Status, "running")
		x.must(x.Engine.Stop(x.ctx, id, 0))
		x.must(x.Engine.Start(x.ctx, id))
	}
}
