package engine

import (
	"context"
	"errors"
	"time"
)

// ErrBuild says that a step of the build failed, or that the builder does not take
// the Dockerfile. The text says which and how.
var ErrBuild = errors.New("the build failed")

// Builds makes images here.
type Builds interface {
	// Build builds the Dockerfile and holds the result under our own tag for the
	// spec's ID, which stays as it was until then. told is called from one
	// goroutine, often. Steps run as what a container may, on a network of the
	// build's own, within the limits all together; nothing of the host is reached. It
	// ends early when ctx does. Whatever comes of it, when it returns nothing of the
	// build runs any more, and its network is gone; layers of steps that succeeded
	// stay, to be reused. A step that fails is ErrBuild, a base that is not there
	// ErrImageMissing, one that brings steps of its own that are not allowed ErrRefused.
	Build(ctx context.Context, spec BuildSpec, told func(BuildProgress)) (ImageInfo, error)
	// Commit holds what the container has written outside of its volumes, on top of
	// its image, under our own tag for the spec's ID. The container goes on. Its
	// variables, labels, mounts and ports are not in the image. ErrNotFound when there
	// is no such container.
	Commit(ctx context.Context, spec CommitSpec) (ImageInfo, error)
	// SweepBuilds removes what is left running of builds that a crash ended: of all
	// whose id underWay does not name.
	SweepBuilds(ctx context.Context, underWay func(id string) bool) error
}

// BuildSpec is an image to build.
type BuildSpec struct {
	// ID and Owner become labels.
	ID, Owner string
	// Dockerfile is one instruction a line, as package image writes it: every FROM
	// is scratch, an earlier stage or one of Bases.
	Dockerfile string
	// Bases are the engine's ids of the images that it begins from.
	Bases []string
	// Args are build arguments. Only the names of proxies stay out of the history.
	Args map[string]string
	// Fresh does every step again, also those whose layers are there.
	Fresh  bool
	Limits BuildLimits
}

// BuildLimits bound all steps of a build together where the engine can do so, and
// else each.
type BuildLimits struct {
	Limits
	// Pids is how many processes and threads.
	Pids int64
}

// BuildProgress is news of a build.
type BuildProgress struct {
	// Step of Steps has begun, when not 0.
	Step, Steps int
	// Output is a piece of what the build printed, of any length. It is the
	// receiver's only during the call.
	Output []byte
}

// CommitSpec is a container to save as an image.
type CommitSpec struct {
	// ID and Owner of the image become labels.
	ID, Owner string
	// Container is our id of it.
	Container string
	// Timeout bounds it: a large layer takes long.
	Timeout time.Duration
}
