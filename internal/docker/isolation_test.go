package docker_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/firewall"
)

// The world of the suite: an engine in a network of its own (the host), whose one
// way out leads to a second network (the cloud and the internet behind it).
const (
	hostOutside = "198.51.100.2"
	cloudInside = "198.51.100.1"
	internet    = "203.0.113.1"
	resolver    = "203.0.113.53"
	metadata    = "169.254.169.254"
	docker0     = "172.17.0.1"
	found       = "you reached me"
)

// Patience with a connection: a short one where it is dropped, since all of them
// are waited for to the end, and a long one where it must succeed.
const (
	briefly = 4
	surely  = 45
)

// lab is the world, with users in it.
type lab struct {
	t      *testing.T
	ctx    context.Context
	own    *dockertest.OwnEngine
	raw    *client.Client
	image  string
	engine *docker.Engine // of the default profile
	names  map[string]string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	l := &lab{t: t, ctx: ctx, own: dockertest.Own(t, false), names: map[string]string{}}
	host, cloud := l.own.Namespace(), l.own.Namespace()+"c"
	dockertest.Network(t, cloud)
	dockertest.IP(t, host, "link add up0 type veth peer name down0 netns "+cloud)
	dockertest.IP(t, host, "addr add "+hostOutside+"/24 dev up0")
	dockertest.IP(t, host, "link set up0 up")
	dockertest.IP(t, host, "route add default via "+cloudInside)
	dockertest.IP(t, cloud, "addr add "+cloudInside+"/24 dev down0")
	dockertest.IP(t, cloud, "link set down0 up")
	for _, address := range []string{internet, resolver, metadata} {
		dockertest.IP(t, cloud, "addr add "+address+"/32 dev lo")
	}
	l.own.Set("dns", []string{resolver})
	// The chains are there first: networks that are made later must not get by them.
	l.inside(func() { require.NoError(t, firewall.Install()) })
	l.own.Start()
	l.raw = l.own.Client()
	l.engine = l.own.Connect(dockertest.Instance())
	ref := l.own.Image()
	l.image = dockertest.ID("img")
	_, err := l.engine.Adopt(ctx, l.image, ref)
	require.NoError(t, err)

	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, found) })
	serve := func(network, address string, handler http.Handler) {
		dockertest.Inside(t, network, func() {
			listener, err := net.Listen("tcp", address)
			require.NoError(t, err)
			server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(func() { _ = server.Close() })
		})
	}
	serve(cloud, internet+":80", answer)
	serve(cloud, metadata+":80", answer)
	serve(host, "0.0.0.0:8000", answer)
	serve(host, "0.0.0.0:2375", l.engineAPI())
	dockertest.Inside(t, cloud, func() { l.nameServer() })
	return l
}

func (l *lab) inside(do func()) { dockertest.Inside(l.t, l.own.Namespace(), do) }

// engineAPI hands on what is asked to the engine's socket, as an engine that
// listens on TCP would answer it.
func (l *lab) engineAPI() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pong, err := l.raw.Ping(r.Context())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = fmt.Fprintln(w, found, pong.APIVersion)
	})
}

// nameServer tells that every name is the internet's one address.
func (l *lab) nameServer() {
	conn, err := net.ListenPacket("udp", resolver+":53")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = conn.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			name := 12
			for name < n && question[name] != 0 {
				name += int(question[name]) + 1
			}
			end := name + 5
			if end > n {
				continue
			}
			answer := append([]byte{question[0], question[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, question[12:end]...)
			if question[name+2] == 1 { // an A; of other kinds there are none
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4)
				answer = append(answer, net.ParseIP(internet).To4()...)
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
}

// run makes and starts a container of owner's.
func (l *lab) run(e *docker.Engine, owner string, limits engine.Limits, command ...string) string {
	l.t.Helper()
	id := dockertest.ID("ctr")
	require.NoError(l.t, e.Create(l.ctx, engine.Spec{ID: id, Owner: owner, ImageID: l.image, Command: command, Hostname: "box", Limits: limits}))
	require.NoError(l.t, e.Start(l.ctx, id))
	return id
}

// inspect is the engine's own view of a container with that id of ours.
func (l *lab) inspect(id string) container.InspectResponse {
	l.t.Helper()
	rows, err := l.raw.ContainerList(l.ctx, container.ListOptions{All: true})
	require.NoError(l.t, err)
	for _, row := range rows {
		if row.Labels["mlride.id"] == id {
			found, err := l.raw.ContainerInspect(l.ctx, row.ID)
			require.NoError(l.t, err)
			return found
		}
	}
	require.Fail(l.t, "no container "+id)
	panic("unreachable")
}

// addresses of the container and its gateway.
func (l *lab) addresses(id string) (own, gateway string) {
	l.t.Helper()
	for _, n := range l.inspect(id).NetworkSettings.Networks {
		return n.IPAddress, n.Gateway
	}
	require.Fail(l.t, "on no network")
	return "", ""
}

// does runs a script in the container, as its user, and gives what it printed.
func (l *lab) does(id, script string) (string, error) {
	made, err := l.raw.ContainerExecCreate(l.ctx, l.inspect(id).ID, container.ExecOptions{
		Cmd: []string{"sh", "-c", script}, AttachStdout: true, AttachStderr: true, Tty: true,
	})
	if err != nil {
		return "", err
	}
	attached, err := l.raw.ContainerExecAttach(l.ctx, made.ID, container.ExecAttachOptions{Tty: true})
	if err != nil {
		return "", err
	}
	defer attached.Close()
	said, err := io.ReadAll(attached.Reader)
	return strings.TrimSpace(strings.ReplaceAll(string(said), "\r", "")), err
}

// attempt is something that a user tries. Its script prints one line, the result.
type attempt struct {
	what   string
	script string
	// want is the result with the default profile and with the strict one.
	want, strict string
}

// fetch tries to get a page.
func fetch(address string, patience int) string {
	return fmt.Sprintf("{ timeout %d wget -q -O - http://%s/ | grep -q '%s'; } 2>/dev/null && echo reached || echo 'not reached'", patience, address, found)
}

// refused says whether a command is.
func refused(command string) string {
	return "(" + command + ") >/dev/null 2>&1 && echo done || echo refused"
}

// same is an attempt that ends in the same way with both profiles.
func same(what, script, want string) attempt { return attempt{what, script, want, want} }

// TestIsolation proves by containers that try: each attempt and its result is a
// row of docs/security.md.
func TestIsolation(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	small := engine.Limits{NanoCPUs: 1_000_000_000, Memory: 128 << 20}
	page := []string{"sh", "-c", "mkdir /tmp/w; echo '" + found + "' >/tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"}
	instance := dockertest.Instance()
	strict := l.own.With(docker.Options{Instance: instance, Strict: true})
	_, err := strict.Adopt(l.ctx, l.image, "mlridetest/busybox:1")
	require.NoError(t, err)
	closed := l.own.With(docker.Options{Instance: dockertest.Instance(), NoInternet: true})
	_, err = closed.Adopt(l.ctx, l.image, "mlridetest/busybox:1")
	require.NoError(t, err)

	bob := l.run(l.engine, "usr_bob", small, page...)
	bobs, _ := l.addresses(bob)
	l.published()
	attackers := map[string]string{}
	attempts := map[string][]attempt{}
	for profile, e := range map[string]*docker.Engine{"default": l.engine, "strict": strict} {
		owner := "usr_ann" + profile
		neighbour := l.run(e, owner, small, page...)
		attackers[profile] = l.run(e, owner, small, "sleep", "3600")
		beside, gateway := l.addresses(neighbour)
		name := strings.TrimPrefix(l.inspect(neighbour).Name, "/")
		attempts[profile] = append(overNetwork(beside, name, bobs, gateway), within()...)
	}
	results := map[string]map[string]string{"default": {}, "strict": {}}
	var mu sync.Mutex
	var all, gently errgroup.Group
	all.SetLimit(12)
	gently.SetLimit(1) // the tests beside this one want to get on
	try := func(profile string, a attempt) {
		all.Go(func() error {
			said, err := l.does(attackers[profile], a.script)
			mu.Lock()
			defer mu.Unlock()
			results[profile][a.what] = said
			return err
		})
	}
	for profile, list := range attempts {
		for _, a := range list {
			try(profile, a)
		}
	}
	for _, profile := range []string{"default", "strict"} {
		e := map[string]*docker.Engine{"default": l.engine, "strict": strict}[profile]
		for _, h := range hogs {
			gently.Go(func() error {
				said, err := h.try(l, e)
				mu.Lock()
				defer mu.Unlock()
				results[profile][h.what] = said
				return err
			})
		}
	}
	offline := l.run(closed, "usr_carol", small, "sleep", "3600")
	_, shut := l.addresses(offline)
	all.Go(func() error {
		for _, address := range []string{internet, metadata, hostOutside + ":8000", shut + ":8000", bobs + ":8080"} {
			said, err := l.does(offline, fetch(address, briefly))
			if err != nil {
				return err
			}
			if said != "not reached" {
				return fmt.Errorf("without the internet, %s: %s", address, said)
			}
		}
		return nil
	})
	require.NoError(t, all.Wait())
	require.NoError(t, gently.Wait())

	var table strings.Builder
	table.WriteString("| what a container tries | default | strict |\n|---|---|---|\n")
	rows := attempts["default"]
	for _, h := range hogs {
		rows = append(rows, same(h.what, "", h.want))
	}
	for _, a := range rows {
		got, gotStrict := results["default"][a.what], results["strict"][a.what]
		fmt.Fprintf(&table, "| %s | %s | %s |\n", a.what, oneLine(got), oneLine(gotStrict))
		if got != a.want || gotStrict != a.strict {
			t.Errorf("%s: %q and, strict, %q, want %q and %q", a.what, got, gotStrict, a.want, a.strict)
		}
	}
	text, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	if !strings.Contains(string(text), "\n\n"+table.String()+"\n") {
		t.Errorf("the table of attempts in docs/security.md should be\n%s", table.String())
	}

	// The same attempts reach what they look for when the chains are gone: they
	// are what keeps them from it.
	l.inside(func() { require.NoError(t, firewall.Remove()) })
	_, gateway := l.addresses(attackers["default"])
	for _, address := range []string{gateway + ":8000", hostOutside + ":8000", docker0 + ":2375", metadata, gateway + ":9090"} {
		said, err := l.does(attackers["default"], fetch(address, surely))
		require.NoError(t, err)
		require.Equal(t, "reached", said, "%s without our chains", address)
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// published runs a container of somebody else's that publishes a port.
func (l *lab) published() {
	l.t.Helper()
	made, err := l.raw.ContainerCreate(l.ctx, &container.Config{
		Image: "mlridetest/busybox:1", Cmd: []string{"sh", "-c", "mkdir /w; echo '" + found + "' >/w/index.html; exec httpd -f -p 80 -h /w"},
		ExposedPorts: nat.PortSet{"80/tcp": {}},
	}, &container.HostConfig{PortBindings: nat.PortMap{"80/tcp": {{HostIP: "0.0.0.0", HostPort: "9090"}}}}, nil, nil, "")
	require.NoError(l.t, err)
	require.NoError(l.t, l.raw.ContainerStart(l.ctx, made.ID, container.StartOptions{}))
}

// overNetwork are the attempts to reach something.
func overNetwork(beside, name, bobs, gateway string) []attempt {
	ping := func(address string) string {
		return fmt.Sprintf("ping -c 1 -W %d %s >/dev/null 2>&1 && echo reached || echo 'not reached'", briefly, address)
	}
	lookUp := func(name, address string) string {
		return fmt.Sprintf("timeout %d busybox nslookup %s 2>/dev/null | grep -q %s && echo reached || echo 'not reached'", surely, name, address)
	}
	return []attempt{
		same("reach another container of the same user", fetch(beside+":8080", surely), "reached"),
		same("look up its name", lookUp(name, beside), "reached"),
		same("look up a name of the internet", lookUp("mirror.example", internet), "reached"),
		same("reach the internet", fetch(internet, surely), "reached"),
		same("reach another user's container", fetch(bobs+":8080", briefly), "not reached"),
		same("ping another user's container", ping(bobs), "not reached"),
		same("reach a service of the host at the gateway's address", fetch(gateway+":8000", briefly), "not reached"),
		same("reach a service of the host at the engine's own bridge", fetch(docker0+":8000", briefly), "not reached"),
		same("reach a service of the host at its outside address", fetch(hostOutside+":8000", briefly), "not reached"),
		same("ping the host", ping(gateway), "not reached"),
		same("reach an engine that listens on TCP", fetch(gateway+":2375", briefly), "not reached"),
		same("find the engine's socket", "find / -xdev -name 'docker*.sock' 2>/dev/null | grep -q . && echo found || echo 'not found'", "not found"),
		same("reach the cloud's metadata (169.254.169.254)", fetch(metadata, briefly), "not reached"),
		same("reach a published port of another container at the gateway", fetch(gateway+":9090", briefly), "not reached"),
		same("reach a published port of another container at the host", fetch(hostOutside+":9090", briefly), "not reached"),
	}
}

// within are the attempts upon the kernel. What they try does no harm where it
// should succeed.
func within() []attempt {
	return []attempt{
		same("mount a file system", refused("mount -t tmpfs none /tmp"), "refused"),
		same("mount a cgroup", refused("mkdir -p /tmp/c; mount -t cgroup -o memory none /tmp/c || mount -t cgroup2 none /tmp/c"), "refused"),
		same("change the root folder (chroot)", refused("busybox chroot / true"), "refused"),
		same("make a user namespace", refused("busybox unshare -U true"), "refused"),
		same("make a network namespace", refused("busybox unshare -n true"), "refused"),
		same("enter the first process's namespaces", refused("busybox nsenter -t 1 -m -n true"), "refused"),
		same("make a device of the host's disk", refused("busybox mknod /tmp/disk b 8 0"), "refused"),
		same("find devices of the host", "ls /dev | grep -qE '^(sd|vd|nvme|mem|kmem|kmsg|port|loop|fuse|kvm)' && echo found || echo 'not found'", "not found"),
		same("open a raw socket", refused("busybox arping -c 1 -w 1 -I eth0 127.0.0.1 2>&1 | grep -qv 'not permitted'"), "refused"),
		same("change its network", refused("ip link set eth0 down"), "refused"),
		same("see processes of others", "n=$(ls /proc | grep -c '^[0-9]'); grep -qls '[d]ockerd' /proc/[0-9]*/cmdline && echo seen || { [ $n -lt 200 ] && echo 'only its own'; }", "only its own"),
		{
			"read the memory of a process of another user inside",
			"su user -c 'sleep 60 >/dev/null 2>&1 & echo $!' >/tmp/pid 2>/dev/null || echo 1 >/tmp/pid; " + refused("head -c 1 /proc/$(cat /tmp/pid)/environ | grep -q . && [ $(stat -c %u /proc/$(cat /tmp/pid)) != $(id -u) ]"),
			"refused", "refused",
		},
		same("write to /proc/sys", refused("echo 65536 > /proc/sys/kernel/pid_max"), "refused"),
		same("write to /sys", refused("if [ -d /sys/fs/cgroup/memory ]; then mkdir /sys/fs/cgroup/memory/out; else mkdir /sys/fs/cgroup/out; fi"), "refused"),
		same("press the kernel's keys (sysrq)", refused("echo h > /proc/sysrq-trigger"), "refused"),
		same("read the kernel's memory", refused("[ $(head -c 1 /proc/kcore | wc -c) = 1 ]"), "refused"),
		same("read the kernel's log", refused("busybox dmesg"), "refused"),
		same("set the clock", refused("! date -s @$(date +%s) 2>&1 | grep -q 'not permitted'"), "refused"),
		same("set the host's name", refused("hostname out"), "refused"),
		same("load a module of the kernel", refused("busybox insmod /bin/busybox 2>&1 | grep -qv 'not permitted'"), "refused"),
		same("go before others (nice)", refused("busybox renice -n -5 $$"), "refused"),
		// su says so when it was started setuid and is not: the kernel did not heed the bit.
		same("become root by a setuid program", "cp /bin/busybox $HOME/su 2>/dev/null; mkdir -p /tmp/s; cp /bin/busybox /tmp/s/su; chmod 4755 /tmp/s/su $HOME/su 2>/dev/null; f=/tmp/s/su; [ $(id -u) = 0 ] && f=\"su user -c /tmp/s/su\" || f=$HOME/su; $f 2>&1 </dev/null | grep -q 'must be suid' && echo refused || echo done", "refused"),
		{"act as root inside", refused("[ $(id -u) = 0 ]"), "done", "refused"},
		{"change the container's own system files", refused("echo x > /etc/changed"), "done", "refused"},
		{"run a program from /tmp", refused("cp /bin/busybox /tmp/true && /tmp/true"), "done", "refused"},
		{"run a program from its home folder", refused("cp /bin/busybox $HOME/true && $HOME/true"), "done", "done"},
	}
}

// hog is an attempt to take more than one's share, in a container of its own.
type hog struct {
	what, want string
	try        func(*lab, *docker.Engine) (string, error)
}

var hogs = []hog{
	{"take more memory than its limit", "ended", func(l *lab, e *docker.Engine) (string, error) {
		id := l.run(e, "usr_hog", engine.Limits{NanoCPUs: 1_000_000_000, Memory: 32 << 20}, "sh", "-c", "exec dd if=/dev/zero of=/dev/null bs=256M")
		state, err := l.ended(e, id)
		if state.ExitCode == 137 { // the engine says why only when its notice comes before the end
			return "ended", err
		}
		return fmt.Sprint(state), err
	}},
	{"start processes without end", "no more than 4096", func(l *lab, e *docker.Engine) (string, error) {
		// The shell ends when it cannot start another; the one around it tells how many there are.
		const bomb = "sh -c 'while true; do sleep 3600 & done' 2>/dev/null; " +
			"read n </sys/fs/cgroup/pids/pids.current || read n </sys/fs/cgroup/pids.current; [ $n -le 4096 ] && [ $n -ge 4000 ] && echo 'no more than 4096' || echo $n"
		id := l.run(e, "usr_hog", engine.Limits{NanoCPUs: 1_000_000_000, Memory: 1 << 30}, "sh", "-c", bomb)
		if _, err := l.ended(e, id); err != nil {
			return "", err
		}
		var said []string
		err := e.Logs(l.ctx, id, engine.LogOptions{Tail: 1}, func(line engine.LogLine) error { said = append(said, line.Text); return nil })
		return strings.Join(said, " "), err
	}},
	{"write output without end", "no more than 30 MB kept", func(l *lab, e *docker.Engine) (string, error) {
		id := l.run(e, "usr_hog", engine.Limits{NanoCPUs: 2_000_000_000, Memory: 64 << 20}, "sh", "-c", "yes $(printf %08000d 0) | head -c 50000000")
		if _, err := l.ended(e, id); err != nil {
			return "", err
		}
		files, err := filepath.Glob(l.inspect(id).LogPath + "*")
		var size int64
		for _, file := range files {
			if info, err := os.Stat(file); err == nil {
				size += info.Size()
			}
		}
		if size < 10_000_000 || size > 31_000_000 {
			return fmt.Sprintf("%d bytes in %d files", size, len(files)), err
		}
		return "no more than 30 MB kept", err
	}},
	{"take more of the processor than its limit", "held to it", func(l *lab, e *docker.Engine) (string, error) {
		id := l.run(e, "usr_hog", engine.Limits{NanoCPUs: 250_000_000, Memory: 64 << 20}, "sh", "-c", "while :; do :; done & while :; do :; done")
		var first, last engine.Sample
		ctx, stop := context.WithCancel(l.ctx)
		defer stop()
		err := e.Stats(ctx, id, func(s engine.Sample) {
			if first.At.IsZero() {
				first = s
			}
			if last = s; last.At.Sub(first.At) > 4*time.Second {
				stop()
			}
		})
		share := float64(last.CPUNanos-first.CPUNanos) / float64(last.At.Sub(first.At))
		if share > 0 && share < 0.30 {
			return "held to it", err
		}
		return fmt.Sprintf("%.2f cores", share), err
	}},
}

// ended waits until the container's run has ended.
func (l *lab) ended(e *docker.Engine, id string) (engine.State, error) {
	waited, failed := l.raw.ContainerWait(l.ctx, l.inspect(id).ID, container.WaitConditionNotRunning)
	select {
	case <-waited:
	case err := <-failed:
		return engine.State{}, err
	}
	return e.Inspect(l.ctx, id)
}
