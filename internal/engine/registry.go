package engine

import (
	"context"
	"errors"
	"time"
)

// ErrPlatform says that the registry has the reference, but not for this machine's
// processor. Its text names the platforms.
var ErrPlatform = errors.New("not for this machine's processor")

// Contents tells what images are made of and where they stand, and lets go of
// what is left of them.
type Contents interface {
	// RemoteDigest asks the registry of ref for the digest that it names now, with
	// the credentials that a pull would have. Nothing is fetched. Errors as of Pull.
	RemoteDigest(ctx context.Context, ref string) (string, error)
	// Layers is what the image held for id is made of, newest first; ErrNotFound
	// when there is none.
	Layers(ctx context.Context, id string) ([]Layer, error)
	// Leftovers are contents that this instance pulled or built and that are no
	// image of its any more: a newer pull took the place, or a build came to nothing.
	// What a container is made of is not among them.
	Leftovers(ctx context.Context) ([]Leftover, error)
	// RemoveLeftover lets go of one of those. Missing is success; ErrBusy when a
	// container is made of it since.
	RemoveLeftover(ctx context.Context, ref string) error
	// Freed is how many bytes of disk are free once the images held for ids and the
	// leftovers are let go of and all else stays: what several of them share counts
	// once, and not at all where something else needs it.
	Freed(ctx context.Context, ids, leftovers []string) (int64, error)
}

// Layer is one step of an image's making.
type Layer struct {
	// Command made it, as the engine keeps it.
	Command string
	// Size is what it added, in bytes.
	Size      int64
	CreatedAt time.Time
}

// Leftover is content that is no image any more.
type Leftover struct {
	// Ref is what RemoveLeftover and Freed know it by.
	Ref string
	// Step says that it is a step of a build, which a later build may go on from.
	Step bool
	// Since is when it was left over; of a step, when it was made.
	Since time.Time
}
