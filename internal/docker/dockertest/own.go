package dockertest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/docker"
)

// OwnEngine is a real engine of the test's own, which it may stop, kill and
// start without disturbing others. It runs in a network namespace of its own
// and keeps everything below one folder.
type OwnEngine struct {
	t         testing.TB
	folder    string
	namespace string
	config    map[string]any
	command   *exec.Cmd
	ended     chan error
	// containerd is a process of its own, as a system runs it: one that dockerd
	// starts by itself dies with it.
	containerd *exec.Cmd
}

// Own prepares an engine of the test's own; Start starts it. It needs root, as
// every engine does. liveRestore lets containers outlive the engine.
func Own(t testing.TB, liveRestore bool) *OwnEngine {
	t.Helper()
	// Sockets have short paths, and the test's own folder has a long one.
	folder, err := os.MkdirTemp("", "mlr")
	if err == nil {
		err = os.Chmod(folder, 0o711) // root of a user namespace passes through
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &OwnEngine{t: t, folder: folder, namespace: filepath.Base(folder)}
	o.config = map[string]any{"deprecated-key-path": filepath.Join(folder, "key.json"), "live-restore": liveRestore}
	Network(t, o.namespace)
	t.Cleanup(o.clean)
	o.containerd = o.inside("containerd", "--root", filepath.Join(folder, "containerd"),
		"--state", filepath.Join(folder, "state"), "--address", o.containerdSocket())
	if err := o.containerd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = o.containerd.Wait() }()
	return o
}

func (o *OwnEngine) containerdSocket() string { return filepath.Join(o.folder, "c") }

// inside is a program in the engine's network, writing to the engine's log. A
// signal to the test's group is not for it.
func (o *OwnEngine) inside(name string, args ...string) *exec.Cmd {
	o.t.Helper()
	log, err := os.OpenFile(filepath.Join(o.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = log.Close() })
	c := exec.Command("nsenter", append([]string{"--net=/var/run/netns/" + o.namespace, name}, args...)...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return c
}

// Host is where the engine listens, in the form of DOCKER_HOST.
func (o *OwnEngine) Host() string { return "unix://" + filepath.Join(o.folder, "s") }

// Start starts the engine and waits until it answers.
func (o *OwnEngine) Start() {
	o.t.Helper()
	config, err := json.Marshal(o.config)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.folder, "config.json"), config, 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.command = o.inside("dockerd", "--containerd", o.containerdSocket(),
		"--data-root", filepath.Join(o.folder, "data"), "--exec-root", filepath.Join(o.folder, "exec"),
		"--pidfile", filepath.Join(o.folder, "pid"), "-H", o.Host(), "--config-file", filepath.Join(o.folder, "config.json"))
	if err := o.command.Start(); err != nil {
		o.t.Fatal(err)
	}
	o.ended = make(chan error, 1)
	go func() { o.ended <- o.command.Wait() }()
	c := o.client()
	defer func() { _ = c.Close() }()
	deadline := time.After(patience)
	for {
		_, err := c.Ping(context.Background())
		if err == nil {
			return
		}
		select {
		case <-deadline:
			o.t.Fatalf("the engine of the test's own does not answer: %v\n%s", err, o.log())
		case err := <-o.ended:
			o.t.Fatalf("the engine of the test's own ended: %v\n%s", err, o.log())
		case <-time.After(50 * time.Millisecond): // between two tries; nothing tells when it listens
		}
	}
}

func (o *OwnEngine) client() *client.Client {
	o.t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(o.Host()), client.WithAPIVersionNegotiation())
	if err != nil {
		o.t.Fatal(err)
	}
	return c
}

func (o *OwnEngine) log() string {
	text, err := os.ReadFile(filepath.Join(o.folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// Stop ends the engine politely; without live restore it stops its containers first.
func (o *OwnEngine) Stop() { o.end(syscall.SIGTERM) }

// Kill ends the engine as a crash does; its containers go on.
func (o *OwnEngine) Kill() { o.end(syscall.SIGKILL) }

func (o *OwnEngine) end(signal syscall.Signal) {
	o.t.Helper()
	if o.command == nil {
		return
	}
	if err := o.command.Process.Signal(signal); err != nil {
		o.t.Error(err)
	}
	select {
	case <-o.ended:
	case <-time.After(patience):
		o.t.Errorf("the engine of the test's own does not end\n%s", o.log())
	}
	o.command = nil
}

// Image gives the engine the small busybox image.
func (o *OwnEngine) Image() string {
	o.t.Helper()
	c := o.client()
	defer func() { _ = c.Close() }()
	importImage(o.t, c, busyboxImage, 0)
	return busyboxImage
}

// Set sets an option of the engine's configuration file, before Start.
func (o *OwnEngine) Set(name string, value any) { o.config[name] = value }

// Namespace is the name of the network that the engine is in.
func (o *OwnEngine) Namespace() string { return o.namespace }

// Client is the SDK's own client for the engine.
func (o *OwnEngine) Client() *client.Client {
	o.t.Helper()
	c := o.client()
	o.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Connect is this instance's adapter for the engine. It is closed at the end.
func (o *OwnEngine) Connect(instance string) *docker.Engine {
	o.t.Helper()
	return o.With(docker.Options{Instance: instance})
}

// With is an adapter with these options for the engine. It is closed at the end.
func (o *OwnEngine) With(opts docker.Options) *docker.Engine {
	o.t.Helper()
	opts.Host = o.Host()
	e, err := docker.New(opts)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = e.Close() })
	return e
}

// clean ends everything that the engine started and removes its folder.
func (o *OwnEngine) clean() {
	if o.command != nil {
		o.Kill()
	}
	// Containers, their shims and containerd outlive a killed engine. All have the
	// folder's name in their command line or stand below one that has.
	for range 20 {
		found := o.processes()
		for _, pid := range found {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(found) == 0 {
			break
		}
	}
	o.unmount()
	if err := os.RemoveAll(o.folder); err != nil {
		o.t.Errorf("remove the engine's folder: %v", err)
	}
}

func (o *OwnEngine) processes() []int {
	entries, _ := os.ReadDir("/proc")
	var found []int
	parents := map[int]int{}
	ours := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		ours[pid] = bytes.Contains(line, []byte(o.folder+"/"))
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if i := bytes.LastIndexByte(stat, ')'); i > 0 {
			if fields := strings.Fields(string(stat[i+1:])); len(fields) > 1 {
				parents[pid], _ = strconv.Atoi(fields[1])
			}
		}
	}
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if ours[p] {
				found = append(found, pid)
				break
			}
		}
	}
	return found
}

// unmount takes away what the engine's end left mounted, the innermost first.
func (o *OwnEngine) unmount() {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Split(string(mounts), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if fields := strings.Fields(lines[i]); len(fields) > 4 && strings.HasPrefix(fields[4], o.folder+"/") {
			_ = syscall.Unmount(fields[4], syscall.MNT_DETACH)
		}
	}
}
