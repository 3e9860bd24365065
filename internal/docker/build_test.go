package docker_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// printed collects what a build tells.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) told(b engine.BuildProgress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(b.Output)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// buildSpec is of the test's own base with these instructions.
func buildSpec(t *testing.T, lines ...string) engine.BuildSpec {
	t.Helper()
	base, err := dockertest.Client(t).ImageInspect(t.Context(), dockertest.Image(t))
	require.NoError(t, err)
	return engine.BuildSpec{
		ID: dockertest.ID("img"), Owner: "usr_ann", Bases: []string{base.ID},
		Dockerfile: "FROM " + base.ID + "\n" + strings.Join(lines, "\n") + "\n",
		Limits:     engine.BuildLimits{Limits: engine.Limits{NanoCPUs: 1e9, Memory: 128 << 20}, Pids: 64},
	}
}

// nothingLeft checks that no container, network or control group of the build is there.
func nothingLeft(t *testing.T, instance, id string) {
	t.Helper()
	c, name := dockertest.Client(t), "mlride-"+instance+"-build-"+id
	rows, err := c.ContainerList(context.Background(), container.ListOptions{All: true})
	require.NoError(t, err)
	for _, row := range rows {
		require.NotEqual(t, name, row.HostConfig.NetworkMode)
	}
	_, err = c.NetworkInspect(context.Background(), name, network.InspectOptions{})
	require.Error(t, err)
	groups, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
	require.NoError(t, err)
	require.Empty(t, groups)
	_, err = os.Stat("/sys/fs/cgroup/" + name)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestBuildBounds: processes, memory and the network of a build are bounded,
// whatever its steps do.
func TestBuildBounds(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	e := dockertest.Engine(t, instance)
	var p printed
	spec := buildSpec(t,
		`RUN i=0; while [ $i -lt 200 ]; do sleep 30 & i=$((i+1)); done; true`)
	_, err := e.Build(t.Context(), spec, p.told)
	require.ErrorIs(t, err, engine.ErrBuild, p.String())
	require.Contains(t, p.String(), "can't fork")
	nothingLeft(t, instance, spec.ID)

	spec = buildSpec(t, `RUN head -c 400000000 /dev/zero | tail -c 300000000 | wc -c`)
	var hungry printed
	_, err = e.Build(t.Context(), spec, hungry.told)
	require.NoError(t, err) // the shell goes by the last of the pipe
	require.Contains(t, hungry.String(), "Killed")
	nothingLeft(t, instance, spec.ID)
}

// TestBuildCancelled: closing the connection ends the running step, and nothing is left.
func TestBuildCancelled(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	e := dockertest.Engine(t, instance)
	spec := buildSpec(t, "RUN echo begun && sleep 3600")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := e.Build(ctx, spec, func(b engine.BuildProgress) {
		if strings.HasPrefix(string(b.Output), "begun") {
			cancel()
		}
	})
	require.ErrorIs(t, err, context.Canceled)
	nothingLeft(t, instance, spec.ID)
	_, err = e.InspectImage(t.Context(), spec.ID)
	require.ErrorIs(t, err, engine.ErrNotFound)
}

// TestBuildAsContainers: no step of a build is taken for somebody's container,
// whatever labels it carries.
func TestBuildAsContainers(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	e := dockertest.Engine(t, instance)
	spec := buildSpec(t, "LABEL mlride.instance="+instance+" mlride.id=ctr_of_nobody", "RUN echo begun && sleep 3600")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	_, err := e.Build(ctx, spec, func(b engine.BuildProgress) {
		if !strings.HasPrefix(string(b.Output), "begun") {
			return
		}
		defer cancel()
		listed, err := e.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, listed)
		_, err = e.Inspect(t.Context(), "ctr_of_nobody")
		require.ErrorIs(t, err, engine.ErrNotFound)
	})
	require.ErrorIs(t, err, context.Canceled)
}

// TestBuildSwept: what is left of a build whose server lost the engine is removed,
// and what is under way stays.
func TestBuildSwept(t *testing.T) {
	t.Parallel()
	instance, line := dockertest.Instance(), dockertest.NewLine(t)
	e, c := dockertest.Engine(t, instance), dockertest.Client(t)
	line.Mend()
	lost, err := docker.New(docker.Options{Host: line.Host, Instance: instance})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lost.Close()) })
	spec := buildSpec(t, "RUN echo begun && sleep 3600")
	var once sync.Once
	_, err = lost.Build(t.Context(), spec, func(b engine.BuildProgress) {
		if strings.HasPrefix(string(b.Output), "begun") {
			once.Do(line.Cut)
		}
	})
	require.ErrorIs(t, err, engine.ErrUnreachable)
	name := "mlride-" + instance + "-build-" + spec.ID
	// An engine that dies itself leaves the container of the step, too.
	made, err := c.ContainerCreate(t.Context(), &container.Config{Image: dockertest.Image(t), Cmd: []string{"sleep", "3600"}},
		&container.HostConfig{NetworkMode: container.NetworkMode(name)}, nil, nil, "")
	require.NoError(t, err)
	require.NoError(t, c.ContainerStart(t.Context(), made.ID, container.StartOptions{}))
	require.NoError(t, e.SweepBuilds(t.Context(), func(id string) bool { return id == spec.ID }))
	_, err = c.ContainerInspect(t.Context(), made.ID)
	require.NoError(t, err)
	require.NoError(t, e.SweepBuilds(t.Context(), func(string) bool { return false }))
	nothingLeft(t, instance, spec.ID)
}

// TestBuildOfTriggers: a base may not have its builders fetch from the host's network.
func TestBuildOfTriggers(t *testing.T) {
	t.Parallel()
	e, c := dockertest.Engine(t, dockertest.Instance()), dockertest.Client(t)
	base, err := c.ImageInspect(t.Context(), dockertest.Variant(t, "ONBUILD ADD http://127.0.0.1/x /x"))
	require.NoError(t, err)
	spec := buildSpec(t)
	spec.Bases, spec.Dockerfile = []string{base.ID}, "FROM "+base.ID+"\n"
	_, err = e.Build(t.Context(), spec, func(engine.BuildProgress) {})
	require.ErrorIs(t, err, engine.ErrRefused)
}

// TestCommit: what was written is kept; the variables, labels and command of the
// container are not.
func TestCommit(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	e, c := dockertest.Engine(t, instance), dockertest.Client(t)
	image, id, saved := dockertest.ID("img"), dockertest.ID("ctr"), dockertest.ID("img")
	_, err := e.Adopt(t.Context(), image, dockertest.Image(t))
	require.NoError(t, err)
	limits := engine.Limits{NanoCPUs: 5e8, Memory: 32 << 20}
	require.NoError(t, e.Create(t.Context(), engine.Spec{
		ID: id, Owner: "usr_ann", ImageID: image, Limits: limits, Hosts: 4,
		Command:     []string{"sh", "-c", "echo kept > /note; sleep 3600"},
		Environment: []string{"API_KEY=hunter2", "PATH=/bin:/own"},
	}))
	require.NoError(t, e.Start(t.Context(), id))
	require.Eventually(t, func() bool {
		size, err := e.LayerSize(t.Context(), id)
		return err == nil && size > 0
	}, time.Minute, 50*time.Millisecond)
	info, err := e.Commit(t.Context(), engine.CommitSpec{ID: saved, Owner: "usr_ann", Container: id, Timeout: time.Minute})
	require.NoError(t, err)
	found, err := c.ImageInspect(t.Context(), info.EngineID)
	require.NoError(t, err)
	whole := strings.Join(found.Config.Env, "\n")
	require.NotContains(t, whole, "hunter2")
	require.Contains(t, found.Config.Env, "PATH=/bin")
	require.Equal(t, saved, found.Config.Labels["mlride.id"])
	require.Equal(t, []string{"sh"}, []string(found.Config.Cmd))
	require.NoError(t, e.Remove(t.Context(), id))

	second := dockertest.ID("ctr")
	require.NoError(t, e.Create(t.Context(), engine.Spec{
		ID: second, Owner: "usr_ann", ImageID: saved, Limits: limits, Hosts: 4, Command: []string{"sh", "-c", "cat /note; env"},
	}))
	require.NoError(t, e.Start(t.Context(), second))
	var said []string
	require.NoError(t, e.Logs(t.Context(), second, engine.LogOptions{Tail: -1, Follow: true}, func(l engine.LogLine) error {
		said = append(said, l.Text)
		return nil
	}))
	require.Contains(t, said, "kept")
	require.NotContains(t, strings.Join(said, "\n"), "API_KEY")

	_, err = e.Commit(t.Context(), engine.CommitSpec{ID: saved, Owner: "usr_ann", Container: dockertest.ID("ctr"), Timeout: time.Minute})
	require.ErrorIs(t, err, engine.ErrNotFound)
}
