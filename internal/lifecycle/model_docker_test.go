package lifecycle_test

import (
	"context"
	"slices"
	"testing"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/quota"
)

// dockerHands do by hand what an administrator of the machine might, and stop and
// kill the engine.
type dockerHands struct {
	own      *dockertest.OwnEngine
	raw      *client.Client
	instance string
	// restarts is how often the engine may go away yet: that takes seconds.
	restarts int
	// missed says that the server may not have noticed yet that it was away.
	missed bool
}

func (d *dockerHands) act(h *house, s step, id string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name := dockertest.ContainerName(d.instance, id)
	// That there is no such container, or that it is not in the state for it, is no matter.
	switch s.Do {
	case "kill by hand":
		_ = d.raw.ContainerKill(ctx, name, "KILL")
	case "start by hand":
		_ = d.raw.ContainerStart(ctx, name, dockercontainer.StartOptions{})
	case "remove by hand":
		_ = d.raw.ContainerRemove(ctx, name, dockercontainer.RemoveOptions{Force: true})
	case "pause by hand":
		if s.N%2 == 0 {
			_ = d.raw.ContainerPause(ctx, name)
		} else {
			_ = d.raw.ContainerUnpause(ctx, name)
		}
	case "engine":
		if d.restarts == 0 {
			return true
		}
		d.restarts--
		d.missed = true
		select {
		case <-h.connected: // of an earlier coming
		default:
		}
		if s.N%2 == 0 {
			d.own.Stop()
		} else {
			d.own.Kill()
		}
		d.own.Start()
	default:
		return false
	}
	return true
}

func (d *dockerHands) heal(h *house) {
	if !d.missed {
		return
	}
	d.missed = false
	select {
	case <-h.connected:
	case <-time.After(patience):
		require.Fail(h.t, "the engine came back, and the server has not noticed")
	}
}

// TestModelOnDocker: the same on real engines of the test's own, one that takes
// its containers down with it and one that does not.
func TestModelOnDocker(t *testing.T) {
	t.Parallel()
	deeds := slices.Concat(verbs, outside, outside, []string{"engine"})
	// One shorter would take as long again: here nothing is made smaller.
	seed := int(time.Now().UnixNano())
	for i, name := range []string{"ends with its engine", "live restore"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := dockertest.Own(t, i == 1)
			own.Start()
			hands := &dockerHands{own: own, raw: own.Client(), instance: dockertest.Instance(), restarts: 2}
			h := newHouse(t, database(t), own.Connect(hands.instance))
			h.policy = quota.Policy{OvercommitCPU: 4, OvercommitMemory: 1}
			h.close()
			h.open()
			h.adopt(own.Image())
			m := &model{}
			m.begin(t, h, hands)
			defer func() {
				if t.Failed() {
					t.Logf("this has happened, drawn from %d:\n%s", seed+i, m.told())
				}
			}()
			script := steps(deeds, 150, 150).Example(seed + i)
			require.Len(t, script, 150)
			m.run(script, 15)
		})
	}
}
