package enginetest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/mlride/mlride/internal/engine"
)

// The verbs of builds.
const (
	MethodBuild       Method = "Build"
	MethodCommit      Method = "Commit"
	MethodSweepBuilds Method = "SweepBuilds"
)

// Build understands FROM, and of RUN what a container's shell does: echo, exit,
// and sleep, which stays until the build is given up. Other instructions are taken
// as they are.
func (f *Fake) Build(ctx context.Context, spec engine.BuildSpec, told func(engine.BuildProgress)) (engine.ImageInfo, error) {
	fault, err := f.enter(ctx, MethodBuild, spec.ID)
	if err == nil {
		err = fault.Err
	}
	if err != nil {
		return engine.ImageInfo{}, err
	}
	lines := strings.Split(strings.TrimSpace(spec.Dockerfile), "\n")
	for i, line := range lines {
		f.mu.Lock()
		err := f.buildable(spec)
		f.mu.Unlock()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return engine.ImageInfo{}, err
		}
		told(engine.BuildProgress{Step: i + 1, Steps: len(lines), Output: fmt.Appendf(nil, "Step %d/%d : %s\n", i+1, len(lines), line)})
		command, runs := strings.CutPrefix(line, "RUN ")
		if !runs {
			continue
		}
		if err := f.buildStep(ctx, command, told); err != nil {
			return engine.ImageInfo{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(spec.Dockerfile+spec.ID)))
	f.images[id] = FakeImage{}
	f.tag(id, f.imageTag(spec.ID))
	if fault.AnswerLost {
		return engine.ImageInfo{}, fmt.Errorf("%w: the answer was lost", engine.ErrUnreachable)
	}
	return f.info(id), nil
}

// buildable says why a build cannot go on. The lock is held.
func (f *Fake) buildable(spec engine.BuildSpec) error {
	if err := f.reachable(); err != nil {
		return err
	}
	for _, base := range spec.Bases {
		if _, there := f.images[base]; !there {
			return fmt.Errorf("%w: no such image: %s", engine.ErrImageMissing, base)
		}
	}
	return nil
}

func (f *Fake) buildStep(ctx context.Context, command string, told func(engine.BuildProgress)) error {
	for part := range strings.SplitSeq(command, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "echo":
			told(engine.BuildProgress{Output: []byte(strings.Join(words[1:], " ") + "\n")})
		case "exit":
			if words[1] != "0" {
				return fmt.Errorf("%w: The command '/bin/sh -c %s' returned a non-zero code: %s", engine.ErrBuild, command, words[1])
			}
		case "sleep":
			for {
				f.mu.Lock()
				changed, gone := f.changed, f.reachable()
				f.mu.Unlock()
				if gone != nil {
					return gone
				}
				select {
				case <-changed:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		default:
			return fmt.Errorf("%w: The command '/bin/sh -c %s' returned a non-zero code: 127", engine.ErrBuild, command)
		}
	}
	return nil
}

// Commit makes an image of the container's.
func (f *Fake) Commit(ctx context.Context, spec engine.CommitSpec) (info engine.ImageInfo, err error) {
	err = f.act(ctx, MethodCommit, spec.ID, func() error {
		b := f.boxes[f.name(spec.Container)]
		if b == nil || b.instance != f.instance {
			return fmt.Errorf("%w: no container %s", engine.ErrNotFound, spec.Container)
		}
		id := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(spec.ID)))
		made := f.images[b.image]
		made.digest = ""
		f.images[id] = made
		f.tag(id, f.imageTag(spec.ID))
		info = f.info(id)
		return nil
	})
	return info, err
}

// SweepBuilds has nothing to do: nothing of the fake's builds outlives a call.
func (f *Fake) SweepBuilds(ctx context.Context, _ func(id string) bool) error {
	return f.act(ctx, MethodSweepBuilds, "", func() error { return nil })
}

var _ engine.Builds = (*Fake)(nil)
