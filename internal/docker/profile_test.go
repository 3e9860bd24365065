package docker

import (
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mlride/mlride/internal/engine"
)

// threads are the variables that one with that many cores is given.
func threads(n string, except ...string) []string {
	var env []string
	for _, name := range []string{
		"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
		"NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS",
		"TORCH_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
	} {
		if !slices.Contains(except, name) {
			env = append(env, name+"="+n)
		}
	}
	return env
}

// TestProfile pins what every container is made with. A change here is a change
// of what tenants may do to each other.
func TestProfile(t *testing.T) {
	useInit, pids := true, int64(4096)
	hardened := func(memory, cpu int64) *container.HostConfig {
		return &container.HostConfig{
			NetworkMode:   "mlride-one-usr_1",
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
			config: container.Config{Hostname: "box", Image: "mlride-one/img_1:latest", Labels: labels, Tty: true, OpenStdin: true, Env: threads("1")},
			host:   hardened(1<<29, 5e8),
		},
		"a command of one's own does not": {
			spec: engine.Spec{
				ID: "ctr_1", Owner: "usr_1", ImageID: "img_1", Command: []string{"python", "train.py"}, Environment: []string{"A=1", "OMP_NUM_THREADS=7"},
				Limits: engine.Limits{NanoCPUs: 2_100_000_000, Memory: 4 << 30},
			},
			config: container.Config{Image: "mlride-one/img_1:latest", Labels: labels, Cmd: []string{"python", "train.py"}, Env: append([]string{"A=1", "OMP_NUM_THREADS=7"}, threads("3", "OMP_NUM_THREADS")...)},
			host:   hardened(4<<30, 2_100_000_000),
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
			config, host := profile(c.spec, Options{Instance: "one"})
			require.Equal(t, c.config, *config)
			require.Equal(t, c.host, host)
		})
	}
}

// TestStrictProfile pins in what it differs.
func TestStrictProfile(t *testing.T) {
	spec := engine.Spec{ID: "ctr_1", Owner: "usr_1", ImageID: "img_1", Limits: engine.Limits{NanoCPUs: 1, Memory: 1 << 29}}
	config, host := profile(spec, Options{Instance: "one"})
	config.User, config.WorkingDir, config.Env = "1000:1000", "/home/me", append(config.Env, "HOME=/home/me")
	host.CapAdd, host.ReadonlyRootfs = nil, true
	host.Tmpfs = map[string]string{
		"/tmp":     "rw,nosuid,nodev,noexec,size=256m,mode=1777",
		"/home/me": "rw,nosuid,nodev,exec,size=1g,uid=1000,gid=1000",
	}
	strictConfig, strictHost := profile(spec, Options{Instance: "one", Strict: true})
	require.Equal(t, config, strictConfig)
	require.Equal(t, host, strictHost)
}

// TestP01NothingOfTheHost: whatever the spec and the settings, no container is
// made with anything of the host's. Every field that is not named here is zero,
// also those that a later version of the SDK brings.
func TestP01NothingOfTheHost(t *testing.T) {
	set := map[string][]string{
		"Config":     {"Hostname", "Image", "Cmd", "Env", "Tty", "OpenStdin", "Labels", "User", "WorkingDir"},
		"HostConfig": {"NetworkMode", "CapDrop", "CapAdd", "SecurityOpt", "Init", "IpcMode", "OomScoreAdj", "RestartPolicy", "LogConfig", "Resources", "ReadonlyRootfs", "Tmpfs"},
		"Resources":  {"NanoCPUs", "Memory", "MemorySwap", "PidsLimit", "Ulimits"},
	}
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
			"--privileged", "/:/host", "/var/run/docker.sock:/s", "host", "container:x", "seccomp=unconfined", "LABEL=x", "HOME=/",
		})), 0, 4)
		word := rapid.OneOf(rapid.String(), rapid.Just("host"), rapid.Just("../../etc"))
		spec := engine.Spec{
			ID: word.Draw(t, "id"), Owner: word.Draw(t, "owner"), ImageID: word.Draw(t, "image"), Hostname: word.Draw(t, "hostname"),
			Command: words.Draw(t, "command"), Environment: words.Draw(t, "environment"), Hosts: rapid.Int().Draw(t, "hosts"),
			Limits: engine.Limits{NanoCPUs: rapid.Int64().Draw(t, "cpu"), Memory: rapid.Int64().Draw(t, "memory")},
		}
		strict := rapid.Bool().Draw(t, "strict")
		config, host := profile(spec, Options{Instance: "one", Strict: strict, NoInternet: rapid.Bool().Draw(t, "internet"), NetworkPool: netip.MustParsePrefix("10.0.0.0/8")})
		for _, made := range []any{*config, *host, host.Resources} {
			v := reflect.ValueOf(made)
			for i := range v.NumField() {
				if name := v.Type().Field(i).Name; !slices.Contains(set[v.Type().Name()], name) && !v.Field(i).IsZero() {
					t.Fatalf("%s.%s is %v", v.Type().Name(), name, v.Field(i))
				}
			}
		}
		if got := string(host.NetworkMode); got != "mlride-one-"+spec.Owner {
			t.Fatalf("network %q", got)
		}
		if host.IpcMode != "private" || !slices.Equal(host.SecurityOpt, []string{"no-new-privileges:true"}) || !slices.Equal(host.CapDrop, []string{"ALL"}) {
			t.Fatalf("%+v", host)
		}
		if allowed := strict != slices.Equal(host.CapAdd, neededCapabilities); !allowed {
			t.Fatalf("strict %t: capabilities %v", strict, host.CapAdd)
		}
		if *host.PidsLimit != 4096 || host.MemorySwap != host.Memory {
			t.Fatalf("%+v", host.Resources)
		}
	})
}

// flags is the profile as the engine's command line would have it, one line each.
func flags(strict bool) []string {
	config, host := profile(engine.Spec{Limits: engine.Limits{NanoCPUs: 1e9, Memory: 1 << 30}}, Options{Instance: "one", Strict: strict})
	var list []string
	add := func(parts ...string) { list = append(list, "`"+strings.Join(parts, " ")+"`") }
	for _, name := range host.CapDrop {
		add("--cap-drop", name)
	}
	for _, name := range host.CapAdd {
		add("--cap-add", name)
	}
	for _, option := range host.SecurityOpt {
		add("--security-opt", option)
	}
	if config.User != "" {
		add("--user", config.User)
	}
	if host.ReadonlyRootfs {
		add("--read-only")
	}
	for _, place := range slices.Sorted(maps.Keys(host.Tmpfs)) {
		add("--tmpfs", place+":"+host.Tmpfs[place])
	}
	if config.WorkingDir != "" {
		add("--workdir", config.WorkingDir)
	}
	if *host.Init {
		add("--init")
	}
	add("--ipc", string(host.IpcMode))
	add("--pids-limit", strconv.FormatInt(*host.PidsLimit, 10))
	for _, limit := range host.Ulimits {
		add("--ulimit", limit.String())
	}
	add("--oom-score-adj", strconv.Itoa(host.OomScoreAdj))
	add("--restart", string(host.RestartPolicy.Name))
	add("--log-driver", host.LogConfig.Type)
	for _, name := range slices.Sorted(maps.Keys(host.LogConfig.Config)) {
		add("--log-opt", name+"="+host.LogConfig.Config[name])
	}
	return append(list, "`--network` of the owner", "`--cpus`, `--memory` and `--memory-swap` as asked for")
}

// TestFlagsAreDocumented: docs/security.md has each flag of both profiles, and
// no other.
func TestFlagsAreDocumented(t *testing.T) {
	usual, strict := flags(false), flags(true)
	all := slices.Clone(usual)
	for _, flag := range strict {
		if !slices.Contains(all, flag) {
			all = append(all, flag)
		}
	}
	var table strings.Builder
	table.WriteString("| flag | default | strict |\n|---|---|---|\n")
	for _, flag := range all {
		mark := map[bool]string{true: "yes", false: ""}
		table.WriteString("| " + flag + " | " + mark[slices.Contains(usual, flag)] + " | " + mark[slices.Contains(strict, flag)] + " |\n")
	}
	text, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	require.True(t, strings.Contains(string(text), "\n\n"+table.String()+"\n"), "the table of flags in docs/security.md should be\n%s", table.String())
}
