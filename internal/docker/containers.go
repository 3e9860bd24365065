package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// How long to wait for what somebody else began with the same container, and how
// often to look.
const (
	othersWithin = 20 * time.Second
	othersEvery  = 50 * time.Millisecond
)

// notOurs is the answer for what somebody else made: as if it were not there.
func notOurs(name string) error {
	return fmt.Errorf("%w: no container %s of this instance", engine.ErrNotFound, name)
}

// Create makes the container with its volumes; one of ours that is already there
// is adopted.
func (e *Engine) Create(ctx context.Context, spec engine.Spec) error {
	if _, err := e.network(ctx, spec.Owner, spec.Hosts); err != nil {
		return err
	}
	var closed []engine.Mount
	for _, m := range spec.Mounts {
		opened, err := e.ensure(ctx, m)
		if err != nil {
			return err
		}
		if !opened {
			closed = append(closed, m)
		}
	}
	if err := e.create(ctx, spec); err != nil {
		return err
	}
	return e.openThrough(ctx, containerName(e.opts.Instance, spec.ID), closed)
}

func (e *Engine) create(ctx context.Context, spec engine.Spec) error {
	config, host := profile(spec, e.opts)
	bounded, err := e.boundsLayers(ctx)
	if err != nil {
		return err
	}
	host.StorageOpt = layerLimit(spec, bounded)
	name := containerName(e.opts.Instance, spec.ID)
	// Again while the name is taken by something that is not there: a container
	// that is just being made, or just being removed.
	return e.until(ctx, func() (done bool, err error) {
		var conflict bool
		err = e.call(ctx, createTimeout, func(ctx context.Context, c *client.Client) error {
			_, err := c.ContainerCreate(ctx, config, host, nil, nil, name)
			if cerrdefs.IsNotFound(err) {
				return as(engine.ErrImageMissing, err)
			}
			conflict = cerrdefs.IsConflict(err)
			return err
		})
		if !conflict {
			return true, err
		}
		found, err := e.look(ctx, name)
		switch {
		case errors.Is(err, engine.ErrNotFound):
			return false, nil
		case err != nil:
			return true, err
		case found.Config.Labels[labelInstance] != e.opts.Instance || found.Config.Labels[labelID] != spec.ID:
			return true, fmt.Errorf("%w: the name %s is taken by a container that this instance did not make", engine.ErrRefused, name)
		default:
			return status(found.State.Status) != engine.StatusRemoving, nil
		}
	})
}

// Start starts it; one that runs is left as it is.
func (e *Engine) Start(ctx context.Context, id string) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if found.State.Paused {
		return fmt.Errorf("%w: it is paused, and goes on by unpausing", engine.ErrRefused)
	}
	err = e.start(ctx, found.ID)
	if !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	// The container or its network is no more: somebody prunes networks that
	// nothing runs on.
	mended, mendErr := e.reconnect(ctx, found)
	if !mended {
		return errors.Join(mendErr, err)
	}
	return e.start(ctx, found.ID)
}

func (e *Engine) start(ctx context.Context, engineID string) error {
	return e.call(ctx, startTimeout, func(ctx context.Context, c *client.Client) error {
		err := c.ContainerStart(ctx, engineID, container.StartOptions{}) // 304 is success
		if isRuntimeRefusal(err) {
			return as(engine.ErrRefused, err)
		}
		return err
	})
}

// Stop asks its program to end and kills it after grace.
func (e *Engine) Stop(ctx context.Context, id string, grace time.Duration) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	seconds := max(0, int((grace+time.Second-1)/time.Second))
	// As a stream, which takes no slot: a stop waits out its grace, and sixteen
	// patient ones must not keep every other call waiting.
	return e.stream(ctx, time.Duration(seconds)*time.Second+stopMargin, func(ctx context.Context, c *client.Client, _ func()) error {
		return c.ContainerStop(ctx, found.ID, container.StopOptions{Timeout: &seconds}) // 304 is success
	})
}

// Pause freezes it; one that is paused is left as it is.
func (e *Engine) Pause(ctx context.Context, id string) error {
	return e.freeze(ctx, id, engine.StatusPaused, (*client.Client).ContainerPause)
}

// Unpause lets it go on; one that runs is left as it is.
func (e *Engine) Unpause(ctx context.Context, id string) error {
	return e.freeze(ctx, id, engine.StatusRunning, (*client.Client).ContainerUnpause)
}

// freeze does verb unless the container is already as wanted. The engine's answer
// to a needless verb differs by verb (409, 500), so the state is asked, also
// after a refusal: somebody else may have been faster.
func (e *Engine) freeze(ctx context.Context, id string, wanted engine.Status, verb func(*client.Client, context.Context, string) error) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	switch status(found.State.Status) {
	case wanted:
		return nil
	case engine.StatusRunning, engine.StatusPaused:
	case engine.StatusCreated, engine.StatusExited, engine.StatusRemoving:
		return fmt.Errorf("%w: it does not run", engine.ErrRefused)
	}
	err = e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		return verb(c, ctx, found.ID)
	})
	if err == nil || errors.Is(err, engine.ErrUnreachable) || ctx.Err() != nil {
		return err
	}
	if now, lookErr := e.inspect(ctx, found.ID); lookErr == nil && status(now.State.Status) == wanted {
		return nil
	}
	return err
}

// Update changes the limits at once. Lowering memory below what is in use is
// refused beforehand: a kernel with cgroup v2 would obey, and kill.
func (e *Engine) Update(ctx context.Context, id string, limits engine.Limits) error {
	found, err := e.find(ctx, id)
	if err != nil {
		return err
	}
	if found.State.Running && limits.Memory < found.HostConfig.Memory {
		used, err := e.memoryInUse(ctx, found.ID)
		if err != nil {
			return err
		}
		if used > limits.Memory {
			return fmt.Errorf("%w: %d bytes of memory are in use", engine.ErrRefused, used)
		}
	}
	return e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		_, err := c.ContainerUpdate(ctx, found.ID, container.UpdateConfig{Resources: container.Resources{
			NanoCPUs:   limits.NanoCPUs,
			Memory:     limits.Memory,
			MemorySwap: limits.Memory, // together, else the engine refuses to raise one above the other
		}})
		if isMemoryInUse(err) { // grew since we looked
			return as(engine.ErrRefused, err)
		}
		return err
	})
}

// memoryInUse is what the container could not give back, in bytes.
func (e *Engine) memoryInUse(ctx context.Context, engineID string) (int64, error) {
	var read container.StatsResponse
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		got, err := c.ContainerStatsOneShot(ctx, engineID)
		if err != nil {
			return err
		}
		defer got.Body.Close()
		return json.NewDecoder(got.Body).Decode(&read)
	})
	return memoryUsed(read.MemoryStats), err
}

// Remove kills and removes it with its anonymous volumes. When it returns nil
// the container is gone.
func (e *Engine) Remove(ctx context.Context, id string) error {
	found, err := e.find(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.call(ctx, removeTimeout, func(ctx context.Context, c *client.Client) error {
		return c.ContainerRemove(ctx, found.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return nil
	case errors.Is(err, engine.ErrBusy): // another removal is under way
		return e.waitGone(ctx, found.ID)
	}
	return err
}

// waitGone waits a bounded time until the container is no more; then ErrBusy.
func (e *Engine) waitGone(ctx context.Context, engineID string) error {
	return e.until(ctx, func() (bool, error) {
		_, err := e.inspect(ctx, engineID)
		if errors.Is(err, engine.ErrNotFound) {
			return true, nil
		}
		return err != nil, err
	})
}

// until tries again and again, for a bounded time, until try says that it is
// done. A time that runs out is ErrBusy.
func (e *Engine) until(ctx context.Context, try func() (done bool, err error)) error {
	patience := time.NewTimer(othersWithin)
	defer patience.Stop()
	tick := time.NewTicker(othersEvery)
	defer tick.Stop()
	for {
		if done, err := try(); done {
			return err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return fmt.Errorf("%w: another operation on this container is still under way", engine.ErrBusy)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
