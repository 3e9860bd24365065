package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/fault"
)

// onOwn is a house on a real engine of the test's own.
func onOwn(t *testing.T, liveRestore bool) (*house, *dockertest.OwnEngine) {
	t.Helper()
	own := dockertest.Own(t, liveRestore)
	own.Start()
	h := newHouse(t, database(t), own.Connect(dockertest.Instance()))
	h.adopt(own.Image())
	return h, own
}

func TestEngineNotThereAtStart(t *testing.T) {
	t.Parallel()
	own := dockertest.Own(t, false)
	h := newHouse(t, database(t), own.Connect(dockertest.Instance()))
	<-h.FirstTry()
	require.False(t, h.Connection().Connected)
	ann := h.person("ann", roomy)
	_, err := h.Create(ann, h.want("box"))
	requireCode(t, fault.NotFound, err) // there is no image yet, and lists answer
	own.Start()
	h.adopt(own.Image()) // waits until the server has found it
	require.True(t, h.Connection().Connected)
	row, err := h.Create(ann, h.want("box", "sleep", "1000"))
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	h.agrees()
}

// TestEngineRestarts: what the engine's end stopped and its owner wants running
// is started again; what had ended by itself, or was stopped, is not.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*dockertest.OwnEngine){
		"stopped": (*dockertest.OwnEngine).Stop,
		"killed":  (*dockertest.OwnEngine).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, own := onOwn(t, false)
			ann := h.person("ann", roomy)
			run := func(name string, command ...string) string {
				row, err := h.Create(ann, h.want(name, command...))
				require.NoError(t, err)
				h.await(ann, row.ID, "to have run", func(c *ent.Container) bool { return c.ObservedRun == 1 })
				return row.ID
			}
			stays := run("stays", "sleep", "1000")
			stopped := run("stopped", "sleep", "1000")
			_, err := h.Stop(ann, stopped, 0)
			require.NoError(t, err)
			h.awaitStatus(ann, stopped, container.StatusExited)
			end(own)
			own.Start()
			row := h.await(ann, stays, "its second run", func(c *ent.Container) bool {
				return c.Status == container.StatusRunning && c.ObservedRun == 2
			})
			require.True(t, row.Reserved)
			require.Equal(t, record.ExitEngineRestarted, row.LastExit.Reason)
			row = h.awaitStatus(ann, stopped, container.StatusExited)
			require.Equal(t, record.ExitStoppedByOwner, row.LastExit.Reason)
			h.agrees()
		})
	}
}

// TestLiveRestore: a container that the engine keeps running through its own
// restart is left alone.
func TestLiveRestore(t *testing.T) {
	t.Parallel()
	h, own := onOwn(t, true)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("training", "sleep", "1000"))
	require.NoError(t, err)
	before := h.awaitStatus(ann, row.ID, container.StatusRunning)
	own.Kill()
	own.Start()
	<-h.connected
	after, err := h.Get(ann, row.ID)
	require.NoError(t, err)
	require.Equal(t, container.StatusRunning, after.Status)
	require.Equal(t, before.StartedAt, after.StartedAt)
	h.agrees()
}

// TestKilledServerAndEngine: the engine crashes while the server is away too.
func TestKilledServerAndEngine(t *testing.T) {
	t.Parallel()
	h, own := onOwn(t, false)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("stays", "sleep", "1000"))
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	ended, err := h.Create(ann, h.want("ends", "sh", "-c", "exit 0"))
	require.NoError(t, err)
	h.awaitStatus(ann, ended.ID, container.StatusExited)
	h.close()
	own.Kill()
	own.Start()
	h.open()
	h.await(ann, row.ID, "its second run", func(c *ent.Container) bool {
		return c.Status == container.StatusRunning && c.ObservedRun == 2
	})
	last := h.awaitStatus(ann, ended.ID, container.StatusExited)
	require.Equal(t, 1, last.ObservedRun)
	require.Equal(t, record.ExitCompleted, last.LastExit.Reason)
	h.agrees()
}

// TestServerAwayWhileRunEnds: what ends by itself while only the server is away
// is not started again.
func TestServerAwayWhileRunEnds(t *testing.T) {
	t.Parallel()
	h := onDocker(t)
	ann := h.person("ann", roomy)
	row, err := h.Create(ann, h.want("ends", "sleep", "2"))
	require.NoError(t, err)
	h.awaitStatus(ann, row.ID, container.StatusRunning)
	h.close()
	wait, err := time.ParseDuration("100ms")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		seen, err := h.engine.Inspect(ann, row.ID)
		return err == nil && !seen.Finished.IsZero()
	}, patience, wait)
	h.open()
	last := h.awaitStatus(ann, row.ID, container.StatusExited)
	require.Equal(t, 1, last.ObservedRun)
	require.Equal(t, container.DesiredStopped, last.Desired)
	require.False(t, last.Reserved)
	h.agrees()
}
