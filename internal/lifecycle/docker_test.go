package lifecycle_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/quota"
)

func TestD04CreateFromReadyImageRuns(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	w := h.want("box") // no command: the image's shell is kept alive
	w.CPU, w.Memory = nil, nil
	row, err := h.Create(ann, w)
	require.NoError(t, err)
	require.Equal(t, container.StatusPending, row.Status)
	require.True(t, row.Reserved)
	row = h.awaitStatus(ann, row.ID, container.StatusRunning)
	require.NotNil(t, row.StartedAt)
	require.Equal(t, 1, row.ObservedRun)

	row, err = h.Stop(ann, row.ID, time.Second)
	require.NoError(t, err)
	require.Equal(t, container.StatusStopping, row.Status)
	require.True(t, row.Reserved, "it counts until its end was seen")
	row = h.awaitStatus(ann, row.ID, container.StatusExited)
	require.False(t, row.Reserved)
	require.Equal(t, record.ExitStoppedByOwner, row.LastExit.Reason)
	h.agrees()
}

func TestD05SumOfLimitsStaysWithinQuota(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	q := roomy
	q.CPU, q.Memory = 100, 48*record.MiB
	ann := h.person("ann", q)
	first, err := h.Create(ann, h.want("one"))
	require.NoError(t, err)
	w := h.want("two")
	cpu := 0.06
	w.CPU = &cpu
	_, err = h.Create(ann, w)
	f := requireCode(t, fault.QuotaExceeded, err)
	require.Equal(t, map[string]any{
		"resource": "cpu", "limit": 0.1, "used": 0.05, "requested": 0.06,
		"containers": []map[string]any{{"id": first.ID, "name": "one"}}, // stopping it would free enough
	}, f.Details)
	cpu = 0.05
	second, err := h.Create(ann, w)
	require.NoError(t, err)
	w = h.want("three")
	cpu2 := 0.01
	w.CPU = &cpu2
	_, err = h.Create(ann, w)
	requireCode(t, fault.QuotaExceeded, err)
	for _, id := range []string{first.ID, second.ID} {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
}

func TestD06ParallelCreatesTakeExactlyWhatThereIs(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	q := roomy
	q.Containers = 5
	ann := h.person("ann", q)
	var (
		wait    sync.WaitGroup
		mu      sync.Mutex
		made    []string
		refused int
	)
	for i := range 100 {
		wait.Go(func() {
			row, err := h.Create(ann, h.want(fmt.Sprintf("c%d", i), "sleep", "1000"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made = append(made, row.ID)
			} else if fault.CodeOf(err) == fault.QuotaExceeded {
				refused++
			}
		})
	}
	wait.Wait()
	require.Len(t, made, 5)
	require.Equal(t, 95, refused)
	for _, id := range made {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	states, err := h.engine.List(ann)
	require.NoError(t, err)
	require.Len(t, states, 5)
	h.agrees()
}

func TestD07StartChecksTheQuotaAgain(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	q := roomy
	q.CPU = 100
	ann := h.person("ann", q)
	run := func(name string) string {
		row, err := h.Create(ann, h.want(name, "sleep", "1000"))
		require.NoError(t, err)
		h.awaitStatus(ann, row.ID, container.StatusRunning)
		return row.ID
	}
	old := []string{run("a"), run("b")}
	for _, id := range old {
		_, err := h.Stop(ann, id, 0)
		require.NoError(t, err)
		h.awaitStatus(ann, id, container.StatusExited)
	}
	run("c")
	run("d")
	for _, id := range old {
		_, err := h.Start(ann, id, false)
		requireCode(t, fault.QuotaExceeded, err)
	}
	h.agrees()
}

func TestD11RemovedIsGoneFromTheEngine(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	for _, remove := range []container.Status{container.StatusPending, container.StatusRunning, container.StatusExited} {
		command := []string{"sleep", "1000"}
		if remove == container.StatusExited {
			command = []string{"true"}
		}
		row, err := h.Create(ann, h.want("box", command...))
		require.NoError(t, err)
		if remove != container.StatusPending {
			h.awaitStatus(ann, row.ID, remove)
		}
		_, err = h.Remove(ann, row.ID)
		require.NoError(t, err)
		h.awaitGone(ann, row.ID)
		states, err := h.engine.List(ann)
		require.NoError(t, err)
		require.Empty(t, states)
		u, err := h.quota.Usage(ann, auth.Of(ann).UserID)
		require.NoError(t, err)
		require.Equal(t, quota.Need{}, u.Need)
	}
	h.agrees()
}

// unsaid makes the engine do what it is asked for and then lose the answer, for
// ever, as a kill of the server between the two would.
type unsaid struct {
	engine.Engine
	done chan string
}

func (u *unsaid) Create(ctx context.Context, spec engine.Spec) error {
	if err := u.Engine.Create(ctx, spec); err != nil {
		return err
	}
	u.done <- spec.ID
	<-ctx.Done()
	return ctx.Err()
}

func TestD12KilledBetweenEngineAndRow(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	real := h.engine
	h.close()
	cut := &unsaid{Engine: real, done: make(chan string, 10)}
	h.engine = cut
	h.open()
	ids := map[string]bool{}
	for i := range 10 {
		row, err := h.Create(ann, h.want(fmt.Sprintf("c%d", i), "sleep", "1000"))
		require.NoError(t, err)
		ids[row.ID] = true
	}
	for range 10 {
		require.True(t, ids[<-cut.done])
	}
	h.close() // the engine has all ten, the rows know of none
	h.engine = real
	// Meanwhile one container of ours is left without a row.
	orphan := dockertest.ID("ctr")
	require.NoError(t, real.Create(ann, engine.Spec{ID: orphan, Owner: "user_x", ImageID: h.image, Limits: engine.Limits{NanoCPUs: 1e8, Memory: 16 << 20}, Command: []string{"sleep", "1"}}))
	h.open()
	for id := range ids {
		h.awaitStatus(ann, id, container.StatusRunning)
	}
	h.agrees() // the orphan is gone too
}

func TestD13TwoSimultaneousCreatesBothSucceed(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann, ben := h.person("ann", roomy), h.person("ben", roomy)
	var wait sync.WaitGroup
	for _, who := range []context.Context{ann, ben} {
		wait.Go(func() {
			row, err := h.Create(who, h.want("same-name", "sleep", "1000"))
			if assertNoError(t, err) {
				h.awaitStatus(who, row.ID, container.StatusRunning)
			}
		})
	}
	wait.Wait()
	h.agrees()
}

func assertNoError(t *testing.T, err error) bool {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func TestD37EndsOutsideAreSeen(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	cli := dockertest.Client(t)
	name := func(id string) string {
		found, err := cli.ContainerList(ann, dockercontainer.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "mlride.id="+id))})
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0].ID
	}
	running := func(label string, command ...string) string {
		row, err := h.Create(ann, h.want(label, command...))
		require.NoError(t, err)
		h.await(ann, row.ID, "to have run", func(c *ent.Container) bool { return c.ObservedRun == 1 })
		return row.ID
	}
	t.Run("by itself", func(t *testing.T) {
		row := h.awaitStatus(ann, running("three", "sh", "-c", "exit 3"), container.StatusExited)
		require.Equal(t, 3, *row.LastExit.Code)
		require.Equal(t, record.ExitError, row.LastExit.Reason)
		require.Equal(t, container.DesiredStopped, row.Desired)
		require.False(t, row.Reserved)
	})
	t.Run("out of memory", func(t *testing.T) {
		row := h.awaitStatus(ann, running("fat", "sh", "-c", "exec tail /dev/zero"), container.StatusExited)
		require.Equal(t, record.ExitOutOfMemory, row.LastExit.Reason)
		require.Equal(t, "Ran out of memory at 16 MiB. Raise the limit and start again.", row.LastExit.Message)
	})
	t.Run("killed by hand", func(t *testing.T) {
		id := running("killed", "sleep", "1000")
		h.awaitStatus(ann, id, container.StatusRunning)
		require.NoError(t, cli.ContainerKill(ann, name(id), "KILL"))
		row := h.awaitStatus(ann, id, container.StatusExited)
		require.Equal(t, record.ExitKilled, row.LastExit.Reason)
		require.Equal(t, 137, *row.LastExit.Code)
	})
	t.Run("removed by hand, and made anew", func(t *testing.T) {
		id := running("lost", "sleep", "1000")
		h.awaitStatus(ann, id, container.StatusRunning)
		require.NoError(t, cli.ContainerRemove(ann, name(id), dockercontainer.RemoveOptions{Force: true}))
		row := h.awaitStatus(ann, id, container.StatusLost)
		require.False(t, row.Reserved)
		require.NotEmpty(t, *row.StatusMessage)
		_, err := h.Start(ann, id, false)
		require.NoError(t, err)
		row = h.awaitStatus(ann, id, container.StatusRunning)
		require.True(t, row.Reserved)
	})
	h.agrees()
}

func TestD38RestartStopsThenStarts(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("box", "sleep", "1000"))
	require.NoError(t, err)
	first := h.awaitStatus(ann, row.ID, container.StatusRunning)
	ctx, cancel := context.WithTimeout(ann, patience)
	defer cancel()
	changes, err := h.Watch(ctx, row.ID, false)
	require.NoError(t, err)
	row, err = h.Restart(ann, row.ID, time.Second)
	require.NoError(t, err)
	require.Equal(t, container.StatusStopping, row.Status)
	var statuses []container.Status
	for c := range changes {
		s := c.Container.Status
		if n := len(statuses); n == 0 || statuses[n-1] != s {
			statuses = append(statuses, s)
		}
		if s == container.StatusRunning && c.Container.ObservedRun == 2 {
			require.True(t, c.Container.StartedAt.After(*first.StartedAt))
			break
		}
	}
	require.Equal(t, []container.Status{container.StatusRunning, container.StatusStopping, container.StatusStarting, container.StatusRunning}, statuses)
	h.agrees()
}

func TestUnknownProgramSaysSo(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("box", "no-such-program"))
	require.NoError(t, err)
	row = h.awaitStatus(ann, row.ID, container.StatusExited)
	require.Equal(t, `The program "no-such-program" is not in the image (code 127). Give another command.`, *row.StatusMessage)
	require.False(t, row.Reserved)
	h.agrees()
}

func TestImageGoneFromTheEngineFailsWithReason(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	require.NoError(t, h.engine.RemoveImage(ann, h.image)) // behind the server's back
	row, err := h.Create(ann, h.want("box"))
	require.NoError(t, err)
	row = h.awaitStatus(ann, row.ID, container.StatusFailed)
	require.Equal(t, "Its image is no longer in the engine. Pull the image again, then start the container.", *row.StatusMessage)
	require.False(t, row.Reserved)
	require.Equal(t, container.DesiredStopped, row.Desired)
	h.agrees()
}

func TestPauseAndUpdateWhileRunning(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("box", "sleep", "1000"))
	require.NoError(t, err)
	id := row.ID
	h.awaitStatus(ann, id, container.StatusRunning)
	_, err = h.Pause(ann, id)
	require.NoError(t, err)
	row = h.awaitStatus(ann, id, container.StatusPaused)
	require.True(t, row.Reserved)
	_, err = h.Unpause(ann, id)
	require.NoError(t, err)
	h.awaitStatus(ann, id, container.StatusRunning)
	cpu, memory, name := 0.1, 32*record.MiB, "renamed"
	_, err = h.Update(ann, id, lifecycle.Edit{Name: &name, CPU: &cpu, Memory: &memory})
	require.NoError(t, err)
	row = h.await(ann, id, "the new limits", func(c *ent.Container) bool { return c.AppliedMemory == memory && c.AppliedCPU == 100 })
	require.Equal(t, "renamed", row.Name)
	seen, err := h.engine.Inspect(ann, id)
	require.NoError(t, err)
	require.Equal(t, engine.Limits{NanoCPUs: 1e8, Memory: 32 << 20}, seen.Limits)
	h.agrees()
}

func TestOnFailureRestartsAtMostFiveTimes(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	w := h.want("crasher", "false")
	w.RestartPolicy = container.RestartPolicyOnFailure
	row, err := h.Create(ann, w)
	require.NoError(t, err)
	row = h.await(ann, row.ID, "to give up", func(c *ent.Container) bool { return c.Desired == container.DesiredStopped })
	require.Equal(t, 5, row.Restarts)
	require.Equal(t, 6, row.ObservedRun)
	require.False(t, row.Reserved)
	h.agrees()
}
