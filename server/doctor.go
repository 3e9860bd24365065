package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/firewall"
)

// finding is one line of the doctor's.
type finding struct {
	grade, part, says string
	// do is what to do about it, a line each.
	do []string
}

// The grades. What is only weaker than it might be is a warning.
const (
	fine   = "ok"
	weak   = "warn"
	broken = "fail"
)

// Doctor looks at what a server with these settings finds, and prints it with what
// to do. It changes nothing. Anything that keeps the server from working is an error.
func Doctor(ctx context.Context, config Config, out io.Writer) error {
	findings := append(examineEngine(ctx, config), examineData(config))
	failed := 0
	for _, f := range findings {
		if f.grade == broken {
			failed++
		}
		if _, err := fmt.Fprintf(out, "%-4s  %-12s  %s\n", f.grade, f.part, f.says); err != nil {
			return err
		}
		for _, line := range f.do {
			if _, err := fmt.Fprintf(out, "      %-12s    %s\n", "", line); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(findings))
	}
	return nil
}

// examineEngine asks the engine; of one that does not answer nothing more is known.
func examineEngine(ctx context.Context, config Config) []finding {
	e, err := docker.New(engineOptions(config, "doctor"))
	if err != nil {
		return []finding{{broken, "engine", err.Error(), []string{"DOCKER_HOST takes an address such as unix:///var/run/docker.sock"}}}
	}
	defer func() { _ = e.Close() }()
	facts, err := e.Facts(ctx)
	if err != nil {
		return []finding{{broken, "engine", "it does not answer: " + err.Error(), []string{
			"start it (systemctl start docker), or name another in DOCKER_HOST;",
			"who runs the server needs to read and write its socket (the group docker, as a rule)",
		}}}
	}
	return append(judge(facts), judgeFirewall(ctx, config, e))
}

// judge is what the facts of an engine mean.
func judge(f docker.Facts) []finding {
	list := []finding{{part: "engine", grade: fine, says: fmt.Sprintf("Docker %s, API %s, %s", f.Version, f.APIVersion, place(f))}}
	add := func(good bool, bad, part, yes, no string, do ...string) {
		if good {
			list = append(list, finding{fine, part, yes, nil})
		} else {
			list = append(list, finding{bad, part, no, do})
		}
	}
	add(atLeast(f.APIVersion, 1, 41), broken, "version", "new enough", "older than 20.10, for which this was built", "install Docker 20.10 or newer")
	groups := fmt.Sprintf("version %d, %s", f.CgroupVersion, f.CgroupDriver)
	add(len(f.Unlimited) == 0, broken, "cgroup", groups, groups+": cannot limit "+strings.Join(f.Unlimited, ", "),
		"turn on these controllers in the kernel of the engine's machine: containers would not be held to their limits")
	add(f.SwapLimit, weak, "swap", "counted against memory limits", "not counted against memory limits",
		"containers may swap beyond their memory; add swapaccount=1 to the kernel's command line")
	add(f.Seccomp, weak, "seccomp", "system calls are filtered", "system calls are not filtered",
		"the engine was started without its filter, or its kernel has none: a hole in the kernel is easier to reach")
	add(f.LiveRestore, weak, "live-restore", "containers outlive a restart of the engine", "containers end when the engine restarts",
		`put "live-restore": true into /etc/docker/daemon.json`)
	add(f.UsernsRemap, weak, "userns-remap", "root inside is nobody outside", "root in a container is root to the kernel, without its powers",
		`put "userns-remap": "default" into /etc/docker/daemon.json; images must be pulled anew then`)
	add(f.WhyNoDiskLimit == "", weak, "disk-limit", f.Storage, f.Storage+": what a container writes is not bounded: "+f.WhyNoDiskLimit,
		"keep the engine's files on XFS that is mounted with pquota, or watch the disk")
	return append(list, judgePool(f.Pool), judgeMemory(f))
}

func place(f docker.Facts) string {
	if f.Local {
		return "on this machine"
	}
	return "on another machine"
}

// atLeast compares a version such as 1.41.
func atLeast(version string, major, minor int) bool {
	var gotMajor, gotMinor int
	if n, err := fmt.Sscanf(version, "%d.%d", &gotMajor, &gotMinor); n != 2 || err != nil {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}

func judgePool(p docker.Pool) finding {
	f := finding{fine, "network-pool", fmt.Sprintf("room for %d more users", p.Free), nil}
	if p.Free == 1024 {
		f.says = "room for 1,024 more users or above"
	}
	for _, taken := range p.Taken {
		f.grade = weak
		f.do = append(f.do, taken+" is in it, and is left out")
	}
	for _, around := range p.Around {
		f.grade = weak
		f.do = append(f.do, around+" goes around it: addresses there that users' networks take cannot be reached from the host any more")
	}
	if p.Free == 0 {
		f.grade = broken
	}
	if f.grade != fine {
		f.do = append(f.do, "name a network that nobody uses in MLRIDE_NETWORK_POOL, such as 10.201.0.0/16 or 172.30.0.0/16")
	}
	return f
}

// leastMemory is what an engine, a server and one small container can live in.
const leastMemory = 2 << 30

func judgeMemory(f docker.Facts) finding {
	says := fmt.Sprintf("%s, %d cores", units.BytesSize(float64(f.Memory)), f.NanoCPUs/1e9)
	if f.Memory < leastMemory {
		return finding{weak, "memory", says, []string{"little for containers beside the engine: lower MLRIDE_HOST_RESERVE and MLRIDE_MIN_MEMORY"}}
	}
	return finding{fine, "memory", says, nil}
}

// judgeFirewall tells whether containers reach the host's services.
func judgeFirewall(ctx context.Context, config Config, e *docker.Engine) finding {
	open := func(why string, do ...string) finding {
		do = append(do, "As root on the engine's machine: mlride firewall install, or type:")
		return finding{weak, "firewall", "containers reach the host's services: " + why, append(do, firewall.Commands()...)}
	}
	here, why, err := e.SharesNetwork(ctx)
	switch {
	case err != nil:
		return open("where the engine is cannot be told: " + err.Error())
	case !here:
		return open(why)
	}
	missing, err := firewall.Missing()
	switch {
	case err != nil:
		return open("or they do not, which cannot be seen: "+err.Error(), "Run this as root to see.")
	case len(missing) > 0 && config.Firewall == "off":
		return open("MLRIDE_FIREWALL is off, and the chains are not there")
	case len(missing) > 0:
		return open("the chains are not there", "A server that is started as root makes them and keeps them.")
	}
	if own := ownResolver(); own != "" {
		return finding{weak, "firewall", "the host's services are shielded, its name server at " + own + " too", []string{
			"containers look names up there themselves; to let them: iptables -t mangle -I PREROUTING -i mlr-+ -d " + own + " -p udp --dport 53 -j ACCEPT",
			"and iptables -I INPUT -i mlr-+ -d " + own + " -p udp --dport 53 -j ACCEPT",
		}}
	}
	return finding{fine, "firewall", "the host's services are shielded", nil}
}

// ownResolver is the address of a name server that this machine itself is, not on
// loopback: the engine asks one on loopback for its containers.
func ownResolver() string {
	text, _ := os.ReadFile("/etc/resolv.conf")
	addresses, _ := net.InterfaceAddrs()
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		server := net.ParseIP(words[1])
		for _, a := range addresses {
			if own, is := a.(*net.IPNet); is && own.IP.Equal(server) && !server.IsLoopback() {
				return words[1]
			}
		}
	}
	return ""
}

// examineData looks at the disk of the data folder, or of where it will be made.
func examineData(config Config) finding {
	folder, err := filepath.Abs(config.Data)
	for err == nil {
		if _, err = os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
			break
		}
		folder, err = filepath.Dir(folder), nil
	}
	var disk unix.Statfs_t
	if err == nil {
		err = unix.Access(folder, unix.W_OK)
	}
	if err == nil {
		err = unix.Statfs(folder, &disk)
	}
	if err != nil {
		return finding{broken, "data", fmt.Sprintf("%s: %v", folder, err), []string{"name a folder that the server may write to in MLRIDE_DATA"}}
	}
	free := disk.Bavail * uint64(disk.Bsize) //nolint:gosec // the kernel's block size is positive
	says := fmt.Sprintf("%s, %s free", folder, units.BytesSize(float64(free)))
	if reserve := config.HostReserve.Disk; free < uint64(reserve) {
		return finding{weak, "data", says, []string{fmt.Sprintf("that is less than the reserve of %s (MLRIDE_HOST_RESERVE): make room, or lower it", units.BytesSize(float64(reserve)))}}
	}
	return finding{fine, "data", says, nil}
}

// Firewall does what `mlride firewall` says: install, remove or show.
func Firewall(verb string, out io.Writer) error {
	switch verb {
	case "install":
		return firewall.Install()
	case "remove":
		return firewall.Remove()
	}
	missing, err := firewall.Missing()
	says := []string{"All chains are in place."}
	switch {
	case err != nil:
		says = []string{"What there is cannot be seen: " + err.Error()}
	case len(missing) > 0:
		says = append([]string{"Missing:"}, missing...)
	}
	says = append(says, "", "The commands that make them:")
	_, printErr := fmt.Fprintln(out, strings.Join(append(says, firewall.Commands()...), "\n"))
	return errors.Join(err, printErr)
}
