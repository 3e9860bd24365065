package docker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// box makes containers for one test, and reads what they say.
type box struct {
	t        *testing.T
	ctx      context.Context
	engine   *docker.Engine
	instance string
	image    string
	memory   int64
}

func newBox(t *testing.T, instance string) *box {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	b := &box{
		t: t, ctx: ctx, engine: dockertest.Engine(t, instance), instance: instance,
		image: dockertest.ID("img"), memory: 64 << 20,
	}
	_, err := b.engine.Adopt(ctx, b.image, dockertest.Image(t))
	require.NoError(t, err)
	return b
}

func (b *box) start(command ...string) string {
	b.t.Helper()
	id := dockertest.ID("ctr")
	require.NoError(b.t, b.engine.Create(b.ctx, engine.Spec{
		ID: id, Owner: "usr_1", ImageID: b.image, Command: command, Hostname: "box",
		Limits: engine.Limits{NanoCPUs: 500_000_000, Memory: b.memory},
	}))
	require.NoError(b.t, b.engine.Start(b.ctx, id))
	return id
}

// output is all that it wrote, once it has ended.
func (b *box) output(id string) []string {
	b.t.Helper()
	var lines []string
	require.NoError(b.t, b.engine.Logs(b.ctx, id, engine.LogOptions{Tail: -1, Follow: true}, func(l engine.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	}))
	return lines
}

// TestD40Hardened: the process has no added capabilities, no-new-privileges, the
// engine's filter of system calls, a pids limit, and the limits that were asked.
func TestD40Hardened(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sh", "-c", strings.Join([]string{
		"grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status",
		"echo oom $(cat /proc/self/oom_score_adj)",
		"echo pids $(cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null)",
		"echo memory $(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)",
		"echo files $(ulimit -n) $(ulimit -Hn)",
		"echo name $(hostname)",
		"mount -t tmpfs none /tmp 2>/dev/null && echo mounted",
		"chown 1000:1000 /tmp && su user -c 'id -u' || echo cannot work",
		"ls /dev/kmsg /dev/sda /dev/vda 2>/dev/null",
	}, "; "))
	said := strings.Join(b.output(id), "\n")

	// CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7.
	const allowed = "00000000000000fb"
	for _, line := range []string{
		"CapPrm:\t" + allowed, "CapEff:\t" + allowed, "CapBnd:\t" + allowed, "CapAmb:\t0000000000000000",
		"NoNewPrivs:\t1", "Seccomp:\t2", "oom 500", "pids 4096", "memory 67108864", "files 16384 16384", "name box", "\n1000",
	} {
		require.Contains(t, said, line)
	}
	for _, bad := range []string{"mounted", "cannot work", "/dev/"} {
		require.NotContains(t, said, bad)
	}

	raw, err := dockertest.Client(t).ContainerInspect(b.ctx, dockertest.ContainerName(b.instance, id))
	require.NoError(t, err)
	require.False(t, raw.HostConfig.Privileged)
	require.Empty(t, raw.HostConfig.Binds)
	require.Empty(t, raw.Mounts)
	require.Empty(t, raw.HostConfig.Devices)
	require.Empty(t, raw.HostConfig.PortBindings)
	require.Equal(t, container.PidMode(""), raw.HostConfig.PidMode)
	require.Equal(t, []string{"no-new-privileges:true"}, raw.HostConfig.SecurityOpt)
	require.Equal(t, int64(4096), *raw.HostConfig.PidsLimit)
	require.Len(t, raw.NetworkSettings.Networks, 1)
	require.Contains(t, raw.NetworkSettings.Networks, "mlride-"+b.instance+"-usr_1")
	require.Empty(t, raw.NetworkSettings.Ports)
}

// TestD40Strict: the strict profile leaves no capability at all, a user without
// privileges, and two places to write to.
func TestD40Strict(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	b.engine = b.adapter(docker.Options{Strict: true})
	id := b.start("sh", "-c", strings.Join([]string{
		"grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status",
		"echo user $(id -u) $(id -g) $(id -G)",
		"echo at $(pwd) $HOME $(stat -c '%u %a' .)",
		"echo threads $OMP_NUM_THREADS",
		"for at in / /etc /root /var /home /dev /tmp /home/me; do touch $at/x 2>/dev/null && echo wrote $at; done",
	}, "; "))
	said := strings.Join(b.output(id), "\n")
	const none = "0000000000000000"
	for _, line := range []string{
		"CapInh:\t" + none, "CapPrm:\t" + none, "CapEff:\t" + none, "CapBnd:\t" + none, "CapAmb:\t" + none,
		"NoNewPrivs:\t1", "Seccomp:\t2", "user 1000 1000 1000", "at /home/me /home/me 1000 755", "threads 1",
		"\nwrote /tmp\nwrote /home/me",
	} {
		require.Contains(t, said, line)
	}
	require.Equal(t, 2, strings.Count(said, "wrote"), said)
}

// TestStopOfTheDeaf: who ignores the signal is killed after the grace.
func TestStopOfTheDeaf(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sh", "-c", "trap '' TERM; echo ready; while true; do sleep 1; done")
	heard, stop := context.WithCancel(b.ctx)
	require.NoError(t, b.engine.Logs(heard, id, engine.LogOptions{Tail: -1, Follow: true}, func(engine.LogLine) error { stop(); return nil }))
	begin := time.Now()
	require.NoError(t, b.engine.Stop(b.ctx, id, time.Second))
	require.GreaterOrEqual(t, time.Since(begin), time.Second)
	s, err := b.engine.Inspect(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, 137, s.ExitCode)
	require.False(t, s.OOMKilled)
}

// TestLongLines: the engine splits them, and they come out whole.
func TestLongLines(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\n'; printf tail")
	lines := b.output(id)
	for i, want := range []string{strings.Repeat("x", 50000), "a\uFFFDb", "tail"} {
		require.Less(t, i, len(lines))
		require.True(t, lines[i] == want, "line %d: %d bytes, ending in %q", i, len(lines[i]), lines[i][max(0, len(lines[i])-60):])
	}
	require.Len(t, lines, 3)
}

// TestTerminalLog: the image's own shell writes to a terminal, which is one raw
// stream with other line ends.
func TestTerminalLog(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start()
	raw := dockertest.Client(t)
	attached, err := raw.ContainerAttach(b.ctx, dockertest.ContainerName(b.instance, id), container.AttachOptions{Stream: true, Stdin: true})
	require.NoError(t, err)
	defer attached.Close()
	_, err = attached.Conn.Write([]byte("stty -echo; PS1=; head -c 40000 /dev/zero | tr '\\0' z; echo; echo short; exit 4\n"))
	require.NoError(t, err)
	lines := b.output(id)
	require.GreaterOrEqual(t, len(lines), 2)
	require.Contains(t, lines[len(lines)-2], strings.Repeat("z", 40000))
	require.Equal(t, "short", lines[len(lines)-1])
	s, err := b.engine.Inspect(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, 4, s.ExitCode)
}

// TestRenamed: ours is what carries our labels, whatever it is called by now.
func TestRenamed(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	id := b.start("sleep", "3600")
	require.NoError(t, dockertest.Client(t).ContainerRename(b.ctx, dockertest.ContainerName(b.instance, id), dockertest.ID("renamed")))
	s, err := b.engine.Inspect(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, engine.StatusRunning, s.Status)
	require.NoError(t, b.engine.Stop(b.ctx, id, 0))
	require.NoError(t, b.engine.Remove(b.ctx, id))
	states, err := b.engine.List(b.ctx)
	require.NoError(t, err)
	require.Empty(t, states)
}
