package firewall

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-iptables/iptables"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// inside runs a test in a network of its own, which goes with its thread.
func inside(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		runtime.LockOSThread() // and never unlocked: the thread ends with the test
		require.NoError(t, unix.Unshare(unix.CLONE_NEWNET), "these tests need root")
		test(t)
	})
}

// sh runs a program in the network of this thread.
func sh(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

func rules(t *testing.T) string {
	t.Helper()
	return sh(t, "iptables -S") + sh(t, "iptables -t mangle -S") + sh(t, "ip6tables -S") + sh(t, "ip6tables -t mangle -S")
}

func keeper() *Keeper { return New(Options{Log: slog.New(slog.DiscardHandler)}) }

func TestChains(t *testing.T) {
	inside(t, "installed, shown and removed", func(t *testing.T) {
		empty := rules(t)
		missing, err := Missing()
		require.NoError(t, err)
		require.Len(t, missing, 6)
		require.Contains(t, missing, "iptables: the chain MLR-IN in the way of INPUT of the table filter")

		require.NoError(t, Install())
		made := rules(t)
		for _, line := range []string{
			"-A INPUT -i mlr-+ -j MLR-IN", "-A MLR-IN -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", "-A MLR-IN -j DROP",
			"-A PREROUTING -i mlr-+ -j MLR-PRE", "-A MLR-PRE -m addrtype --dst-type LOCAL -j DROP", "-A MLR-PRE -d 169.254.0.0/16 -j DROP",
			"-A FORWARD -o mlr-+ -j MLR-OUT", "-A MLR-OUT -j DROP",
		} {
			require.Contains(t, made, line)
		}
		missing, err = Missing()
		require.NoError(t, err)
		require.Empty(t, missing)
		require.NoError(t, Install())
		require.Equal(t, made, rules(t), "once and not twice")

		require.NoError(t, Remove())
		require.Equal(t, empty, rules(t))
		require.NoError(t, Remove())
	})
	inside(t, "the commands do the same", func(t *testing.T) {
		require.NoError(t, Install())
		made := rules(t)
		require.NoError(t, Remove())
		for _, line := range Commands() {
			sh(t, line)
		}
		require.Equal(t, made, rules(t))
	})
	inside(t, "what was there stays", func(t *testing.T) {
		sh(t, "iptables -A INPUT -p tcp --dport 22 -j ACCEPT")
		sh(t, "iptables -t mangle -A FORWARD -j ACCEPT")
		before := rules(t)
		require.NoError(t, Install())
		lines := strings.Split(sh(t, "iptables -S INPUT"), "\n")
		require.Contains(t, lines[1], "MLR-IN", "before what others accept")
		require.NoError(t, Remove())
		require.Equal(t, before, rules(t))
	})
}

// TestBridged: the match that would load br_netfilter is used only where it is.
func TestBridged(t *testing.T) {
	for bridged, want := range map[bool]int{true: 3, false: 2} {
		out := chains(iptables.ProtocolIPv4, bridged)[2]
		require.Equal(t, "MLR-OUT", out.name)
		require.Len(t, out.rules, want)
		require.Equal(t, bridged, strings.Contains(strings.Join(out.rules[0], " "), "physdev"))
	}
}

func TestKeeper(t *testing.T) {
	inside(t, "puts back", func(t *testing.T) {
		k := keeper()
		require.Equal(t, State{Status: Protected}, k.Look(t.Context()))
		made := rules(t)
		for _, harm := range []string{
			"iptables -F INPUT", "iptables -F", "iptables -F MLR-IN", "iptables -t mangle -F", "ip6tables -t mangle -F PREROUTING",
			"iptables -D MLR-IN 2", "iptables -I MLR-IN -j ACCEPT", "iptables -t mangle -R MLR-PRE 2 -j ACCEPT",
		} {
			sh(t, harm)
			require.NotEqual(t, made, rules(t), harm)
			require.Equal(t, State{Status: Protected}, k.Look(t.Context()))
			require.Equal(t, made, rules(t), harm)
		}
		require.NoError(t, Remove())
		k.Look(t.Context())
		require.Equal(t, made, rules(t))
	})
	inside(t, "several at once", func(t *testing.T) {
		home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(home)
		var all errgroup.Group
		for range 4 {
			all.Go(func() error {
				runtime.LockOSThread()
				if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
					return err
				}
				if state := keeper().Look(context.Background()); state.Status != Protected {
					return errors.New(state.Reason)
				}
				return nil
			})
		}
		require.NoError(t, all.Wait())
		made := rules(t)
		require.NoError(t, Remove())
		require.NoError(t, Install())
		require.Equal(t, rules(t), made)
	})
	inside(t, "leaves them when it ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		k := keeper()
		k.Keep(ctx)
		require.Equal(t, Protected, k.State().Status)
		missing, err := Missing()
		require.NoError(t, err)
		require.Empty(t, missing)
	})
	inside(t, "off", func(t *testing.T) {
		empty := rules(t)
		k := New(Options{Off: true})
		k.Keep(t.Context())
		require.Equal(t, State{Status: Off}, k.Look(t.Context()))
		require.Equal(t, empty, rules(t))
	})
	inside(t, "elsewhere", func(t *testing.T) {
		k := keeper()
		require.Equal(t, MayNot, k.State().Status)
		k.Here = func(context.Context) (bool, string, error) { return false, "", errors.New("down") }
		require.Equal(t, State{MayNot, "the engine was not reached yet"}, k.Look(t.Context()))
		k.Here = func(context.Context) (bool, string, error) { return false, "another machine", nil }
		require.Equal(t, State{MayNot, "another machine"}, k.Look(t.Context()))
		require.NotContains(t, rules(t), "MLR")
	})
}

// TestMayNot: without the right, or without the program.
func TestMayNot(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("PATH", folder)
	require.ErrorContains(t, Install(), "iptables is not installed")
	require.Equal(t, State{MayNot, "iptables is not installed"}, keeper().Look(t.Context()))

	const script = "#!/bin/sh\ncase \"$*\" in --version) echo 'iptables v1.8.9 (nf_tables)';; *) echo 'iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)' >&2; exit 4;; esac\n"
	require.NoError(t, os.WriteFile(filepath.Join(folder, "iptables"), []byte(script), 0o755))
	k := keeper()
	state := k.Look(t.Context())
	require.Equal(t, MayNot, state.Status)
	require.Contains(t, state.Reason, "Permission denied (you must be root)")
	require.NotContains(t, state.Reason, "\n")
	_, err := Missing()
	require.Error(t, err)
	require.Error(t, Remove())
}

// TestRest: a look at chains that are whole is cheap, as it is taken all day.
func TestRest(t *testing.T) {
	inside(t, "rest", func(t *testing.T) {
		k := keeper()
		k.Look(t.Context())
		begin := time.Now()
		k.Look(t.Context())
		require.Less(t, time.Since(begin), period)
		t.Logf("%s a look", time.Since(begin))
	})
}
