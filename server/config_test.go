package server

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := Defaults()
	assert.Equal(t, Address("127.0.0.1:8080"), c.Listen)
	assert.Equal(t, "data/mlride.db", c.DatabasePath())
	assert.Equal(t, Quota{Containers: 5, CPU: 2000, Memory: 4 * record.GiB, Images: 20, Volumes: 10, Disk: 20 * record.GiB}, c.DefaultQuota)
	assert.Equal(t, Reserve{CPU: 500, Memory: record.GiB, Disk: 10 * record.GiB}, c.HostReserve)
	assert.Equal(t, Overcommit{CPU: 2, Memory: 1}, c.Overcommit)
	assert.Equal(t, Size(512*record.MiB), c.MinMemory)
	assert.Equal(t, 7*24*time.Hour, c.Trash.Duration)
	assert.Zero(t, c.BackupEvery.Duration)
	assert.Equal(t, Image("mlride-starter:latest"), c.StarterImage)
	assert.True(t, c.OnLoopback())
	assert.Equal(t, "open", c.RegistrationMode())
	c.Listen = "0.0.0.0:8080"
	assert.Equal(t, "closed", c.RegistrationMode())
}

// forms is what each variable takes and what it refuses; the error always says
// what it takes.
var forms = map[string]struct{ good, bad []string }{
	"MLRIDE_DATA":             {good: []string{"/var/lib/mlride"}},
	"MLRIDE_DATABASE":         {good: []string{"sqlite:/a/b.db", "sqlite:rel.db"}, bad: []string{"postgres://u:hunter2@h/db", "mysql:x", "/a/b.db", "sqlite:"}},
	"MLRIDE_LISTEN":           {good: []string{":8080", "0.0.0.0:0", "[::1]:80", "localhost:1"}, bad: []string{"8080", "a:b", "127.0.0.1", "1.2.3.4:70000"}},
	"MLRIDE_APPS_LISTEN":      {good: []string{":8081"}, bad: []string{"8081"}},
	"MLRIDE_URL":              {good: []string{"https://mlride.example", "http://10.0.0.1:8080/"}, bad: []string{"mlride.example", "https://a/b", "ftp://a", "https://*.a"}},
	"MLRIDE_APPS_URL":         {good: []string{"https://*.apps.example", "http://a:8081"}, bad: []string{"*.apps.example", "https://a.*.b"}},
	"MLRIDE_TRUSTED_PROXIES":  {good: []string{"10.0.0.0/8, ::1", "192.0.2.1"}, bad: []string{"10.0.0.0/40", "proxy"}},
	"MLRIDE_ALLOWED_ORIGINS":  {good: []string{"https://a.example,http://localhost:3000"}, bad: []string{"*", "a.example", "https://a/b"}},
	"MLRIDE_TLS_CERT":         {good: []string{"/etc/a.pem"}},
	"MLRIDE_TLS_KEY":          {good: []string{"/etc/a.key"}},
	"MLRIDE_RATE_LIMIT":       {good: []string{"off", "user=200", "user=1,address=0.5"}, bad: []string{"200", "user=0", "user=x", "host=1"}},
	"DOCKER_HOST":             {good: []string{"unix:///var/run/docker.sock", "tcp://10.0.0.1:2375"}},
	"MLRIDE_INSTANCE":         {good: []string{"team-1"}, bad: []string{"Team", "-a", "a_b", strings.Repeat("a", 33)}},
	"MLRIDE_STARTER_IMAGE":    {good: []string{"python:3.12", "registry.example:5000/a/b:c"}, bad: []string{"UPPER", "a b"}},
	"MLRIDE_GPUS":             {good: []string{"auto", "off", "0=A100,1=A100", "GPU-8f6d"}, bad: []string{"0,0", "a b", "/dev/nvidia0"}},
	"MLRIDE_NETWORK_POOL":     {good: []string{"10.0.0.0/8", "192.168.0.0/26"}, bad: []string{"10.0.0.0", "10.0.0.0/27", "fd00::/16", "x"}},
	"MLRIDE_PROFILE":          {good: []string{"default", "strict"}, bad: []string{"privileged", "Strict"}},
	"MLRIDE_INTERNET":         {good: []string{"on", "off"}, bad: []string{"yes", "false"}},
	"MLRIDE_FIREWALL":         {good: []string{"auto", "off"}, bad: []string{"on", "no"}},
	"MLRIDE_REGISTRATION":     {good: []string{"open", "closed", "invite"}, bad: []string{"yes", "Open"}},
	"MLRIDE_SETUP_CODE":       {good: []string{"a code"}},
	"MLRIDE_CONTACT":          {good: []string{"Ask Zhang Wei, room 4"}},
	"MLRIDE_BUILD":            {good: []string{"cpu=4,memory=8GiB", "pids=4096,time=30m,parallel=2"}, bad: []string{"4", "cpu=0", "pids=1", "time=x", "parallel=0", "memory=1"}},
	"MLRIDE_DEFAULT_QUOTA":    {good: []string{"cpu=4", "containers=0,memory=1.5G,disk=1GiB,gpu=1,images=1,volumes=0"}, bad: []string{"4", "cpu", "cpus=4", "cpu=-1", "cpu=NaN", "memory=lots", "containers=1.5"}},
	"MLRIDE_HOST_RESERVE":     {good: []string{"cpu=0", "disk=5GiB,memory=0"}, bad: []string{"gpu=1", "1GiB"}},
	"MLRIDE_OVERCOMMIT":       {good: []string{"cpu=1.5"}, bad: []string{"cpu=0", "2", "disk=2"}},
	"MLRIDE_MIN_MEMORY":       {good: []string{"6MiB", "6291456"}, bad: []string{"0", "-1", "much"}},
	"MLRIDE_DELETION_GRACE":   {good: []string{"1h", "off"}, bad: []string{"7d", "-1h", "7"}},
	"MLRIDE_IDLE_TIMEOUT":     {good: []string{"off", "8h"}, bad: []string{"a day", "-1h"}},
	"MLRIDE_IDLE_MAX":         {good: []string{"off", "24h"}, bad: []string{"7d"}},
	"MLRIDE_IDLE_STOP":        {good: []string{"off", "24h"}, bad: []string{"never"}},
	"MLRIDE_TRASH":            {good: []string{"1h"}, bad: []string{"a week"}},
	"MLRIDE_AUDIT_KEEP":       {good: []string{"8760h", "off"}, bad: []string{"a year", "-1h"}},
	"MLRIDE_REGISTRY_MIRRORS": {good: []string{"https://m.example,10.0.0.2:5000"}, bad: []string{"https://m.example/v2", "a b", "mirror"}},
	"MLRIDE_CATALOGUE":        {good: []string{"/etc/mlride/catalogue.json"}},
	"MLRIDE_IMAGE_CHECK":      {good: []string{"24h", "off"}, bad: []string{"daily", "-1h"}},
	"MLRIDE_IMAGE_KEEP":       {good: []string{"2160h", "off"}, bad: []string{"90d"}},
	"MLRIDE_PIP_INDEX":        {good: []string{"https://m.example/simple"}, bad: []string{"m.example"}},
	"MLRIDE_APT_MIRROR":       {good: []string{"http://m.example/debian"}, bad: []string{"m.example"}},
	"HTTP_PROXY":              {good: []string{"http://u:p@h:3128", "proxy:3128"}, bad: []string{"ftp://hunter2@h", "http://"}},
	"HTTPS_PROXY":             {good: []string{"socks5://h:1080"}, bad: []string{"gopher://h"}},
	"NO_PROXY":                {good: []string{"localhost,.example"}},
	"MLRIDE_BACKUP_EVERY":     {good: []string{"24h", "off"}, bad: []string{"daily"}},
	"MLRIDE_BACKUP_KEEP":      {good: []string{"1", "30"}, bad: []string{"0", "-1", "many"}},
	"MLRIDE_LOG":              {good: []string{"debug", "info,json", "warn,text"}, bad: []string{"loud", "info,xml", "json", "info,"}},
}

func model(t *testing.T, config *Config) *kong.Kong {
	t.Helper()
	k, err := kong.New(config, kong.Exit(func(int) {}))
	require.NoError(t, err)
	return k
}

func TestEverySettingIsChecked(t *testing.T) {
	t.Parallel()
	k := model(t, &Config{})
	known := map[string]*kong.Flag{}
	collect(k.Model.Node, known)
	for name := range known {
		_, ok := forms[name]
		assert.True(t, ok, "%s needs a row in this table", name)
	}
	for name, form := range forms {
		require.Contains(t, known, name)
		for _, value := range form.good {
			require.NoError(t, CheckEnvironment(k.Model, []string{name + "=" + value}), name+"="+value)
		}
		for _, value := range form.bad {
			err := CheckEnvironment(k.Model, []string{name + "=" + value})
			require.Error(t, err, name+"="+value)
			assert.True(t, strings.HasPrefix(err.Error(), name+" takes "), err.Error())
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "hunter2")
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	k := model(t, &Config{})
	require.NoError(t, CheckEnvironment(k.Model, []string{"PATH=/bin", "OTHER=1", "MLRIDE_URL="}))
	for name, nearest := range map[string]string{"MLRIDE_LISTN": "MLRIDE_LISTEN", "MLRIDE_DEFAULT_QUOTAS": "MLRIDE_DEFAULT_QUOTA", "MLRIDE_DB": "MLRIDE_"} {
		err := CheckEnvironment(k.Model, []string{name + "=1"})
		require.ErrorContains(t, err, name+" is not a setting; the nearest is "+nearest)
	}
	assert.Equal(t, []string{"MLRIDE_URL", "NO_PROXY"}, EmptyVariables([]string{"MLRIDE_URL=", "HOME=", "NO_PROXY=", "MLRIDE_LOG=info"}))
}

func TestFlagsWinOverVariables(t *testing.T) {
	t.Setenv("MLRIDE_LISTEN", "127.0.0.1:1")
	t.Setenv("MLRIDE_MIN_MEMORY", "6MiB")
	var c Config
	_, err := model(t, &c).Parse([]string{"--listen", "127.0.0.1:2", "--default-quota", "cpu=8,memory=16GiB"})
	require.NoError(t, err)
	assert.Equal(t, Address("127.0.0.1:2"), c.Listen)
	assert.Equal(t, Size(6*record.MiB), c.MinMemory)
	assert.Equal(t, Quota{Containers: 5, CPU: 8000, Memory: 16 * record.GiB, Images: 20, Volumes: 10, Disk: 20 * record.GiB}, c.DefaultQuota)
}

func TestSettingsThatDoNotGoTogether(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"MLRIDE_TLS_CERT and MLRIDE_TLS_KEY": {"--tls-cert", "a"},
		"MLRIDE_APPS_LISTEN takes another":   {"--listen", ":1", "--apps-listen", ":1"},
		"MLRIDE_IDLE_TIMEOUT takes 1m0s":     {"--idle-timeout", "30s"},
		"at least MLRIDE_IDLE_TIMEOUT":       {"--idle-timeout", "2h", "--idle-max", "1h"},
		"MLRIDE_IMAGE_CHECK takes 1m0s":      {"--image-check", "1s"},
		"MLRIDE_IMAGE_KEEP takes 1m0s":       {"--image-keep", "1s"},
		"MLRIDE_APPS_URL takes another":      {"--url", "https://a.example", "--apps-url", "https://A.example"},
	} {
		_, err := model(t, &Config{}).Parse(args)
		require.ErrorContains(t, err, want)
	}
	var c Config
	_, err := model(t, &c).Parse([]string{"--listen", "127.0.0.1:0", "--apps-listen", "127.0.0.1:0"})
	require.NoError(t, err)
}

// TestSettingsAreDocumented compares docs/settings.md with the flags.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/settings.md")
	require.NoError(t, err)
	row := regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| `--([a-z-]+)` \\| (?:`([^`]*)`)? ?\\| .+ \\|$")
	documented := map[string][2]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = [2]string{m[2], m[3]}
	}
	known := map[string]*kong.Flag{}
	collect(model(t, &Config{}).Model.Node, known)
	built := map[string][2]string{}
	for name, flag := range known {
		built[name] = [2]string{flag.Name, flag.Default}
		assert.NotEmpty(t, flag.Help, name)
	}
	assert.Equal(t, built, documented)
	assert.Equal(t, reflect.TypeFor[Config]().NumField()-1+2, len(built), "a setting without a variable")
}
