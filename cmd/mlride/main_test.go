package main

import (
	"bytes"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestCommandLine runs commands in this process; none of them serves.
func TestCommandLine(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		name        string
		args        []string
		environment map[string]string
		status      int
		out, errs   string
	}{
		{name: "version", args: []string{"version"}, out: "mlride dev, commit "},
		{name: "version whatever the settings", args: []string{"version"}, environment: map[string]string{"MLRIDE_NONE": "1"}, out: "mlride dev"},
		{name: "help", args: []string{"--help"}, out: "migrate"},
		{name: "help of a command", args: []string{"serve", "--help"}, out: "MLRIDE_DEFAULT_QUOTA"},
		{name: "dry run", args: []string{"migrate", "--dry-run"}, environment: map[string]string{"MLRIDE_DATA": data}, out: "CREATE TABLE"},
		{name: "migrate", args: []string{"migrate", "--data", data}},
		{name: "no command", args: nil, status: 2, errs: "mlride: expected one of"},
		{name: "no such command", args: []string{"sevre"}, status: 2, errs: "mlride: "},
		{name: "no such flag", args: []string{"serve", "--lisen", "x"}, status: 2, errs: "mlride: unknown flag --lisen"},
		{name: "ill-formed flag", args: []string{"serve", "--listen", "x"}, status: 2, errs: "--listen: takes an address such as 127.0.0.1:8080"},
		{name: "ill-formed registration", args: []string{"serve", "--registration", "maybe"}, status: 2, errs: "--registration must be one of"},
		{
			name: "ill-formed variable", args: []string{"serve"}, environment: map[string]string{"MLRIDE_MIN_MEMORY": "lots"}, status: 2,
			errs: `mlride: MLRIDE_MIN_MEMORY takes bytes such as 536870912, 512MiB or 2GiB, not "lots"`,
		},
		{
			name: "unknown variable", args: []string{"serve"}, environment: map[string]string{"MLRIDE_LISTN": ":80"}, status: 2,
			errs: "mlride: MLRIDE_LISTN is not a setting; the nearest is MLRIDE_LISTEN",
		},
		{name: "an empty variable is none", args: []string{"version"}, environment: map[string]string{"MLRIDE_URL": ""}, out: "mlride"},
		{name: "settings that do not go together", args: []string{"serve", "--tls-cert", "a"}, status: 2, errs: "MLRIDE_TLS_CERT and MLRIDE_TLS_KEY"},
		{
			name: "doctor of no engine", args: []string{"doctor"}, environment: map[string]string{"DOCKER_HOST": "unix:///no/such/socket"}, status: 1,
			out: "fail  engine        it does not answer", errs: "mlride: 1 of 2 checks failed",
		},
		{
			name: "doctor of settings that are wrong", args: []string{"doctor"}, environment: map[string]string{"MLRIDE_FIREWALL": "on"}, status: 2,
			errs: `mlride: MLRIDE_FIREWALL takes one of auto,off, not "on"`,
		},
		{
			name: "firewall without iptables", args: []string{"firewall", "install"}, environment: map[string]string{"PATH": data}, status: 1,
			errs: "mlride: iptables is not installed",
		},
		{
			name: "firewall that cannot be seen", args: []string{"firewall", "show"}, environment: map[string]string{"PATH": data}, status: 1,
			out: "iptables -t filter -N MLR-IN", errs: "mlride: iptables is not installed",
		},
		{
			name: "a database that is not built", args: []string{"migrate"}, environment: map[string]string{"MLRIDE_DATABASE": "postgres://u:hunter2@h/d"}, status: 2,
			errs: "MLRIDE_DATABASE takes sqlite:PATH; postgres is not built yet",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.environment {
				t.Setenv(name, value)
			}
			var out, errs bytes.Buffer
			assert.Equal(t, c.status, run(c.args, &out, &errs), errs.String())
			assert.Contains(t, out.String(), c.out)
			if c.errs == "" {
				assert.Empty(t, errs.String())
				return
			}
			require.Contains(t, errs.String(), c.errs)
			assert.Equal(t, 1, strings.Count(errs.String(), "\n"), "exactly one line: %s", errs.String())
			assert.NotContains(t, errs.String(), "hunter2")
		})
	}
}

// TestFirewall installs, shows and removes in a network of this test's own, which
// goes with its thread.
func TestFirewall(t *testing.T) {
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET), "this test needs root")
	for _, step := range []struct{ verb, out string }{
		{"show", "Missing:\niptables: the chain MLR-IN"},
		{"install", ""},
		{"show", "All chains are in place.\n\nThe commands that make them:\niptables -t filter -N MLR-IN\n"},
		{"install", ""},
		{"remove", ""},
		{"show", "Missing:\niptables: the chain MLR-IN"},
	} {
		var out, errs bytes.Buffer
		require.Zero(t, run([]string{"firewall", step.verb}, &out, &errs), errs.String())
		require.Empty(t, errs.String())
		require.Contains(t, out.String(), step.out)
	}
}
