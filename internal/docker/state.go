package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"golang.org/x/sync/errgroup"

	"github.com/mlride/mlride/internal/engine"
)

// Inspect tells the present state; ErrNotFound when there is none.
func (e *Engine) Inspect(ctx context.Context, id string) (engine.State, error) {
	found, err := e.find(ctx, id)
	if err != nil {
		return engine.State{}, err
	}
	return state(found), nil
}

// List tells the state of every container of this instance, in any state.
func (e *Engine) List(ctx context.Context) ([]engine.State, error) {
	var rows []container.Summary
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		rows, err = c.ContainerList(ctx, container.ListOptions{All: true, Filters: e.mine()})
		return err
	})
	if err != nil {
		return nil, err
	}
	var (
		mu     sync.Mutex
		states = make([]engine.State, 0, len(rows))
	)
	// The list has no start times, so what runs is looked at; a few at a time, so
	// that a sweep leaves room for what users wait for. What is at rest is told by
	// the list alone: a look at each of a thousand costs seconds of a processor.
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(max(1, e.opts.MaxConcurrent/4))
	for _, row := range rows {
		if e.ofBuild(row) {
			continue
		}
		if s := status(row.State); s != engine.StatusRunning && s != engine.StatusPaused {
			mu.Lock()
			states = append(states, engine.State{ID: row.Labels[labelID], Owner: row.Labels[labelOwner], Status: s, EngineID: row.ID})
			mu.Unlock()
			continue
		}
		all.Go(func() error {
			found, err := e.inspect(ctx, row.ID)
			if errors.Is(err, engine.ErrNotFound) {
				return nil // removed meanwhile
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, state(found))
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(states, func(a, b engine.State) int { return strings.Compare(a.ID, b.ID) })
	return states, nil
}

// find looks our container up by its name, or by its labels where somebody
// renamed it. One that has the name but not our labels is not ours: ErrNotFound.
func (e *Engine) find(ctx context.Context, id string) (container.InspectResponse, error) {
	found, err := e.inspect(ctx, containerName(e.opts.Instance, id))
	if err == nil && found.Config.Labels[labelID] == id {
		return found, nil
	}
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return found, err
	}
	missing := err
	if missing == nil {
		missing = notOurs(id)
	}
	var rows []container.Summary
	err = e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		filter := e.mine()
		filter.Add("label", labelID+"="+id)
		rows, err = c.ContainerList(ctx, container.ListOptions{All: true, Filters: filter})
		return err
	})
	if err != nil {
		return found, err
	}
	rows = slices.DeleteFunc(rows, e.ofBuild)
	if len(rows) == 0 {
		return found, missing
	}
	return e.inspect(ctx, rows[0].ID)
}

// ofBuild says that a container is a step of a build: it may carry our labels, from
// its base or for the image that it becomes, and is nobody's container.
func (e *Engine) ofBuild(row container.Summary) bool {
	return strings.HasPrefix(row.HostConfig.NetworkMode, networkName(e.opts.Instance, buildNetwork("")))
}

// inspect looks at one of our containers by the engine's name or id. One without
// our instance's label is ErrNotFound.
func (e *Engine) inspect(ctx context.Context, name string) (container.InspectResponse, error) {
	found, err := e.look(ctx, name)
	if err == nil && found.Config.Labels[labelInstance] != e.opts.Instance {
		return container.InspectResponse{}, notOurs(name)
	}
	return found, err
}

// look looks at any container, whoever's.
func (e *Engine) look(ctx context.Context, name string) (container.InspectResponse, error) {
	var found container.InspectResponse
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.ContainerInspect(ctx, name)
		return err
	})
	if err == nil && (found.ContainerJSONBase == nil || found.State == nil || found.Config == nil || found.HostConfig == nil) {
		err = fmt.Errorf("%w: an answer without a state, about %s", engine.ErrUnreachable, name)
	}
	return found, err
}

// mine selects what carries our instance's label.
func (e *Engine) mine() filters.Args { return labelled(labelInstance, e.opts.Instance) }

// labelled selects what carries a label of that value.
func labelled(name, value string) filters.Args {
	return filters.NewArgs(filters.Arg("label", name+"="+value))
}

// state puts the engine's word about a container into ours.
func state(c container.InspectResponse) engine.State {
	s := engine.State{
		ID:        c.Config.Labels[labelID],
		Owner:     c.Config.Labels[labelOwner],
		Status:    status(c.State.Status),
		EngineID:  c.ID,
		Pid:       c.State.Pid,
		ExitCode:  c.State.ExitCode,
		OOMKilled: c.State.OOMKilled,
		Error:     c.State.Error,
		Limits:    engine.Limits{NanoCPUs: c.HostConfig.NanoCPUs, Memory: c.HostConfig.Memory},
	}
	if at, ok := instant(c.State.StartedAt); ok {
		s.StartedAt, s.Started = c.State.StartedAt, at
	}
	// While it runs, the engine still tells the end of the run before.
	if at, ok := instant(c.State.FinishedAt); ok && s.Status != engine.StatusRunning && s.Status != engine.StatusPaused {
		s.Finished = at
	}
	return s
}

func status(s container.ContainerState) engine.Status {
	switch s {
	case container.StateCreated:
		return engine.StatusCreated
	case container.StateRunning, container.StateRestarting:
		return engine.StatusRunning
	case container.StatePaused:
		return engine.StatusPaused
	case container.StateRemoving, container.StateDead: // dead: its removal failed half-way
		return engine.StatusRemoving
	default:
		return engine.StatusExited
	}
}

// instant reads the engine's time; the year 1 stands for none.
func instant(s string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || at.Year() <= 1 {
		return time.Time{}, false
	}
	return at, true
}
