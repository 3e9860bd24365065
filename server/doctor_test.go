package server

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/firewall"
)

func healthy() docker.Facts {
	return docker.Facts{
		Info: engine.Info{
			Version: "20.10.24", APIVersion: "1.41", NanoCPUs: 4e9, Memory: 8 << 30, CgroupVersion: 2, CgroupDriver: "systemd", Local: true, LiveRestore: true,
		},
		SwapLimit: true, Seccomp: true, UsernsRemap: true, Storage: "overlay2 on xfs", Pool: docker.Pool{Free: 1024},
	}
}

// TestJudge: what is wrong with one fact, and only that, is told.
func TestJudge(t *testing.T) {
	t.Parallel()
	for _, f := range judge(healthy()) {
		assert.Equal(t, fine, f.grade, f.part)
		assert.Empty(t, f.do, f.part)
	}
	for _, c := range []struct {
		part, grade, says string
		change            func(*docker.Facts)
	}{
		{"version", broken, "older than 20.10", func(f *docker.Facts) { f.APIVersion = "1.40" }},
		{"version", broken, "older than 20.10", func(f *docker.Facts) { f.APIVersion = "" }},
		{"cgroup", broken, "cannot limit memory, processes", func(f *docker.Facts) { f.Unlimited = []string{"memory", "processes"} }},
		{"swap", weak, "not counted", func(f *docker.Facts) { f.SwapLimit = false }},
		{"seccomp", weak, "not filtered", func(f *docker.Facts) { f.Seccomp = false }},
		{"live-restore", weak, "end when the engine restarts", func(f *docker.Facts) { f.LiveRestore = false }},
		{"userns-remap", weak, "root to the kernel", func(f *docker.Facts) { f.UsernsRemap = false }},
		{"disk-limit", weak, "no quota", func(f *docker.Facts) { f.WhyNoDiskLimit = "no quota" }},
		{"network-pool", weak, "room for 3 more users", func(f *docker.Facts) { f.Pool = docker.Pool{Free: 3, Taken: []string{"the host's 10.201.0.0/24"}} }},
		{"network-pool", weak, "1,024", func(f *docker.Facts) { f.Pool.Around = []string{"the host's 10.0.0.0/8"} }},
		{"network-pool", broken, "room for 0", func(f *docker.Facts) { f.Pool = docker.Pool{} }},
		{"memory", weak, "1GiB", func(f *docker.Facts) { f.Memory = 1 << 30 }},
	} {
		facts := healthy()
		c.change(&facts)
		for _, f := range judge(facts) {
			if f.part != c.part {
				assert.Equal(t, fine, f.grade, f.part)
				continue
			}
			assert.Equal(t, c.grade, f.grade, c.part)
			assert.Contains(t, f.says, c.says)
			assert.NotEmpty(t, f.do, "%s: and what to do?", c.part)
		}
	}
	assert.True(t, atLeast("2.0", 1, 41) && atLeast("1.100", 1, 41) && !atLeast("1.9", 1, 41) && !atLeast("x", 1, 41))
}

// TestFirewallState: what the administrator's page is told.
func TestFirewallState(t *testing.T) {
	t.Parallel()
	kept := protection(firewall.State{Status: firewall.Protected})
	assert.True(t, kept.Protected)
	assert.Empty(t, kept.Commands)
	open := protection(firewall.State{Status: firewall.MayNot, Reason: "elsewhere"})
	assert.False(t, open.Protected)
	assert.Contains(t, open.Message, "elsewhere")
	assert.Contains(t, open.Commands, "iptables -t filter -I INPUT -i mlr-+ -j MLR-IN")
	off := protection(firewall.State{Status: firewall.Off})
	assert.False(t, off.Protected)
	assert.Contains(t, off.Message, "MLRIDE_FIREWALL is off")
	assert.NotEmpty(t, off.Commands)
}

// TestDoctor of an engine that is there: every check has its line, and nothing of
// what is only weaker than it might be fails.
func TestDoctor(t *testing.T) {
	t.Parallel()
	config := Defaults()
	config.Data = filepath.Join(t.TempDir(), "not", "there", "yet")
	var out bytes.Buffer
	require.NoError(t, Doctor(t.Context(), config, &out), out.String())
	for _, part := range []string{
		"engine", "version", "cgroup", "swap", "seccomp", "live-restore", "userns-remap", "disk-limit", "network-pool", "memory", "firewall", "data",
	} {
		assert.Regexp(t, fmt.Sprintf(`(?m)^(ok|warn)   ?%s `, part), strings.ReplaceAll(out.String(), "ok    ", "ok   "))
	}
	require.NoDirExists(t, config.Data, "it changes nothing")
}

// TestDoctorFindsNothing: an engine that is down, an address that is none, and a
// folder that cannot be.
func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for address, says := range map[string]string{
		"unix:///no/such/socket": "fail  engine        it does not answer: ",
		"tcp://127.0.0.1:1":      "fail  engine        it does not answer: ",
		"nonsense":               "fail  engine        engine address: ",
	} {
		config := Defaults()
		config.Data, config.Engine = filepath.Join(file, "data"), address
		var out bytes.Buffer
		require.EqualError(t, Doctor(t.Context(), config, &out), "2 of 2 checks failed")
		require.Contains(t, out.String(), says)
		require.Contains(t, out.String(), "\nfail  data ")
		require.NotContains(t, out.String(), "firewall")
	}
}
