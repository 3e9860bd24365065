package docker

import (
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

// TestProfile pins what every container is made with. A change here is a change
// of what tenants may do to each other.
func TestProfile(t *testing.T) {
	useInit, pids := true, int64(4096)
	hardened := func(memory, cpu int64) *container.HostConfig {
		return &container.HostConfig{
			CapDrop:       []string{"ALL"},
			CapAdd:        []string{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID", "KILL"},
			SecurityOpt:   []string{"no-new-privileges:true"},
			Init:          &useInit,
			IpcMode:       "private",
			OomScoreAdj:   500,
			RestartPolicy: container.RestartPolicy{Name: "no"},
			LogConfig:     container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "10m", "max-file": "3"}},
			Resources: container.Resources{
				NanoCPUs: cpu, Memory: memory, MemorySwap: memory, PidsLimit: &pids,
				Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 16384, Hard: 16384}},
			},
		}
	}
	labels := map[string]string{"mlride.instance": "one", "mlride.owner": "usr_1", "mlride.id": "ctr_1"}
	for name, c := range map[string]struct {
		spec   engine.Spec
		config container.Config
		host   *container.HostConfig
	}{
		"the image's own command gets a terminal": {
			spec:   engine.Spec{ID: "ctr_1", Owner: "usr_1", ImageID: "img_1", Hostname: "box", Limits: engine.Limits{NanoCPUs: 5e8, Memory: 1 << 29}},
			config: container.Config{Hostname: "box", Image: "mlride-one/img_1:latest", Labels: labels, Tty: true, OpenStdin: true},
			host:   hardened(1<<29, 5e8),
		},
		"a command of one's own does not": {
			spec: engine.Spec{
				ID: "ctr_1", Owner: "usr_1", ImageID: "img_1", Command: []string{"python", "train.py"}, Environment: []string{"A=1"},
				Limits: engine.Limits{NanoCPUs: 2e9, Memory: 4 << 30},
			},
			config: container.Config{Image: "mlride-one/img_1:latest", Labels: labels, Cmd: []string{"python", "train.py"}, Env: []string{"A=1"}},
			host:   hardened(4<<30, 2e9),
		},
		"volumes by name, GPUs by id": {
			spec: engine.Spec{
				ID: "ctr_1", Owner: "usr_1", ImageID: "img_1", Command: []string{"sh"}, WorkingDir: "/workspace", Devices: []string{"GPU-1"},
				Mounts: []engine.Mount{{VolumeID: "vol_1", Owner: "usr_1", Path: "/workspace"}, {VolumeID: "vol_2", Owner: "usr_2", Path: "/data", ReadOnly: true}},
			},
			config: container.Config{Image: "mlride-one/img_1:latest", Labels: labels, Cmd: []string{"sh"}, WorkingDir: "/workspace"},
			host: func() *container.HostConfig {
				h := hardened(0, 0)
				h.Mounts = []mount.Mount{
					{Type: "volume", Source: "mlride-one-vol_1", Target: "/workspace", VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
					{Type: "volume", Source: "mlride-one-vol_2", Target: "/data", ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}},
				}
				h.DeviceRequests = []container.DeviceRequest{{DeviceIDs: []string{"GPU-1"}, Capabilities: [][]string{{"gpu"}}}}
				return h
			}(),
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, host := profile(c.spec, "one")
			require.Equal(t, c.config, *config)
			require.Equal(t, c.host, host)
		})
	}
}
