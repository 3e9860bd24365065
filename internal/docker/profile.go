package docker

import (
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"github.com/mlride/mlride/internal/engine"
)

// neededCapabilities are what is left to root inside a container: what apt, pip
// and conda need to install as root, and no more. None of them reaches beyond
// the container's own files and processes. Left out of the engine's usual set:
// MKNOD, NET_RAW (forging packets to neighbours), NET_BIND_SERVICE (the kernel
// lets everybody bind low ports in here), SETPCAP, SETFCAP, SYS_CHROOT, AUDIT_WRITE.
var neededCapabilities = []string{
	"CHOWN",        // dpkg gives files to their owners
	"DAC_OVERRIDE", // root writes in folders of other users, as installers assume
	"FOWNER",       // dpkg sets modes and times on files it gave away
	"FSETID",       // set-group-id folders (/var/mail, /var/local) keep that bit
	"SETGID",       // apt downloads as its own group,
	"SETUID",       // and its own user (_apt)
	"KILL",         // root ends processes of other users: a service it had started
}

const (
	// pidsLimit counts threads too. A training run of 16 loader processes on a
	// machine of 64 cores has over a thousand, so 1,024 would break honest work;
	// at 4,096 a fork bomb still leaves the machine's others (pid_max is 32,768 at
	// the least) room to work, and its memory counts against its own limit.
	pidsLimit = 4096
	// openFiles is enough for data loaders and notebooks. It must not be above the
	// engine's own hard limit, which an engine that is itself confined cannot raise
	// (20,000 was met: every start failed at 65,536).
	openFiles = 16384
	// oomScore makes the kernel end tenants before the host's own services, when
	// the machine as a whole runs out of memory.
	oomScore = 500
)

const (
	// strictUser has no name in most images, and needs none.
	strictUser = "1000:1000"
	// strictHome is the one place besides /tmp where the strict profile lets a
	// program write. Both are memory, within the container's limit, and are empty
	// after each start.
	strictHome = "/home/me"
)

// threadCounts are what numeric libraries ask for how many threads to start. By
// themselves they count the machine's cores, so that a container with one of 64
// would have 64 threads take turns.
var threadCounts = []string{
	"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
	"NUMEXPR_NUM_THREADS", "NUMEXPR_MAX_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS",
	"TORCH_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
}

// environment is the user's own, and what the container's limits make sensible
// where the user says nothing. It is fixed with the container: a limit that is
// changed later does not change it.
func environment(spec engine.Spec, strict bool) []string {
	env := slices.Clone(spec.Environment)
	add := func(name, value string) {
		if !slices.ContainsFunc(env, func(own string) bool { return strings.HasPrefix(own, name+"=") }) {
			env = append(env, name+"="+value)
		}
	}
	if nano := spec.Limits.NanoCPUs; nano > 0 {
		for _, name := range threadCounts {
			add(name, strconv.FormatInt((nano+1e9-1)/1e9, 10))
		}
	}
	if strict {
		add("HOME", strictHome)
	}
	return env
}

// profile is the one description of how a tenant's container is made. Nothing
// in spec can loosen it: no folder, port, namespace or privilege of the host is
// ever asked for, no device but the GPUs that were given out, and the engine's
// default seccomp filter stays on.
func profile(spec engine.Spec, opts Options) (*container.Config, *container.HostConfig) {
	instance := opts.Instance
	interactive := len(spec.Command) == 0
	useInit, pids := true, int64(pidsLimit)
	config := &container.Config{
		Hostname:   spec.Hostname,
		WorkingDir: spec.WorkingDir,
		Image:      imageTag(instance, spec.ImageID),
		Cmd:        spec.Command,
		Env:        environment(spec, opts.Strict),
		// An image whose own command is a shell or an interpreter ends at once
		// unless somebody seems to sit there.
		Tty:       interactive,
		OpenStdin: interactive,
		Labels: map[string]string{
			labelInstance: instance,
			labelOwner:    spec.Owner,
			labelID:       spec.ID,
		},
	}
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(networkName(instance, spec.Owner)),
		CapDrop:     []string{"ALL"},
		CapAdd:      neededCapabilities,
		SecurityOpt: []string{"no-new-privileges:true"},
		// Without it a shell as first process ignores TERM, and every stop takes
		// its whole grace.
		Init:        &useInit,
		IpcMode:     container.IPCModePrivate,
		Mounts:      mounts(spec, instance),
		OomScoreAdj: oomScore,
		// Who runs again is decided by the reconciler, in one place.
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		// The newest file and two full ones: what is let go of is beyond engine.LogHeld.
		LogConfig: container.LogConfig{
			Type:   "json-file",
			Config: map[string]string{"max-size": "10m", "max-file": "3"},
		},
		Resources: container.Resources{
			NanoCPUs: spec.Limits.NanoCPUs,
			Memory:   spec.Limits.Memory,
			// Memory and swap together: none beyond.
			MemorySwap:     spec.Limits.Memory,
			PidsLimit:      &pids,
			DeviceRequests: devices(spec),
			Ulimits:        []*units.Ulimit{{Name: "nofile", Soft: openFiles, Hard: openFiles}},
		},
	}
	if opts.Strict {
		config.User = strictUser
		if config.WorkingDir == "" {
			config.WorkingDir = strictHome
		}
		host.CapAdd = nil
		host.ReadonlyRootfs = true
		host.Tmpfs = map[string]string{
			"/tmp": "rw,nosuid,nodev,noexec,size=256m,mode=1777",
			// Its owner is named, and not a mode for everybody, since the engine makes the
			// working folder before it mounts this: the runtime ignores mode= then.
			strictHome: "rw,nosuid,nodev,exec,size=1g,uid=1000,gid=1000",
		}
	}
	return config, host
}

// devices asks the runtime for these GPUs and no other.
func devices(spec engine.Spec) []container.DeviceRequest {
	if len(spec.Devices) == 0 {
		return nil
	}
	return []container.DeviceRequest{{DeviceIDs: spec.Devices, Capabilities: [][]string{{"gpu"}}}}
}

// layerLimit bounds what is written outside of volumes, where the engine can. It
// refuses every create that asks for it elsewhere.
func layerLimit(spec engine.Spec, bounded bool) map[string]string {
	if !bounded || spec.LayerLimit <= 0 {
		return nil
	}
	return map[string]string{"size": strconv.FormatInt(spec.LayerLimit, 10)}
}

// containerName is the engine's name for our container.
func containerName(instance, id string) string { return "mlride-" + instance + "-" + id }

// imageTag is our own tag for an image.
func imageTag(instance, id string) string { return imageNamespace(instance) + id + ":latest" }

// imageNamespace is what all our tags begin with.
func imageNamespace(instance string) string { return "mlride-" + instance + "/" }
