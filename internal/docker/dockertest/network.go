package dockertest

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Network makes a network of the test's own: interfaces, routes and rules of a
// firewall that no other program sees. It goes when the test ends.
func Network(t testing.TB, name string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Fatalf("make a network namespace (needs root and iproute2): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("remove the network namespace: %v: %s", err, out)
		}
	})
	IP(t, name, "link set lo up")
}

// IP runs the ip program in a network.
func IP(t testing.TB, network, line string) {
	t.Helper()
	args := append([]string{"-n", network}, strings.Fields(line)...)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", line, err, out)
	}
}

// Inside does something in a network: what is opened or run in it stays there.
func Inside(t testing.TB, network string, do func()) {
	t.Helper()
	runtime.LockOSThread()
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(home) }()
	there, err := unix.Open(filepath.Join("/var/run/netns", network), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(there) }()
	if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
		t.Fatalf("enter a network (needs root): %v", err)
	}
	defer func() {
		// A thread that cannot go back stays locked, and ends with its goroutine.
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			t.Errorf("leave a network: %v", err)
			return
		}
		runtime.UnlockOSThread()
	}()
	do()
}
