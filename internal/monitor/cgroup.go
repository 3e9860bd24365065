package monitor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// counters are the kernel's files about one container, kept open: reading one
// again costs a pread.
type counters struct {
	v2      bool
	cpu     *os.File
	memory  *os.File
	detail  *os.File // memory.stat
	pids    *os.File
	block   *os.File
	network *os.File
	buffer  []byte
}

// openCounters finds the files of the process's cgroup. root is "/" but in
// tests. The paths are read from the kernel rather than guessed: the engine may
// itself run in a cgroup, and drivers name theirs differently.
func openCounters(root string, pid int) (*counters, error) {
	proc := filepath.Join(root, "proc", strconv.Itoa(pid))
	groups, err := os.ReadFile(filepath.Join(proc, "cgroup"))
	if err != nil {
		return nil, err
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, err
	}
	paths := cgroupPaths(string(groups), string(mounts))
	c := &counters{buffer: make([]byte, 8<<10)}
	var wrong []error
	open := func(controller, name string) *os.File {
		folder, known := paths[controller]
		if !known {
			wrong = append(wrong, fmt.Errorf("no cgroup of %s", controller))
			return nil
		}
		f, err := os.Open(filepath.Join(root, folder, name)) //nolint:gosec // paths are the kernel's
		if err != nil {
			wrong = append(wrong, err)
		}
		return f
	}
	if _, v1 := paths["memory"]; v1 {
		c.cpu = open("cpuacct", "cpuacct.usage")
		c.memory = open("memory", "memory.usage_in_bytes")
		c.detail = open("memory", "memory.stat")
		c.pids = open("pids", "pids.current")
		c.block = open("blkio", "blkio.throttle.io_service_bytes_recursive")
	} else {
		c.v2 = true
		c.cpu = open("", "cpu.stat")
		c.memory = open("", "memory.current")
		c.detail = open("", "memory.stat")
		c.pids = open("", "pids.current")
		c.block = open("", "io.stat")
	}
	if c.network, err = os.Open(filepath.Join(proc, "net/dev")); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		c.close()
		return nil, errors.Join(wrong...)
	}
	return c, nil
}

// cgroupPaths says for each controller (v1) or for "" (v2) where the files of a
// process stand, from the text of its cgroup file and of mountinfo.
func cgroupPaths(groups, mounts string) map[string]string {
	type mount struct{ root, point string }
	mounted := map[string]mount{}
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		separator := -1
		for i, f := range fields {
			if f == "-" {
				separator = i
				break
			}
		}
		if separator < 5 || separator+3 >= len(fields) {
			continue
		}
		m := mount{fields[3], fields[4]}
		switch fields[separator+1] {
		case "cgroup":
			for controller := range strings.SplitSeq(fields[separator+3], ",") {
				mounted[controller] = m
			}
		case "cgroup2":
			mounted[""] = m
		}
	}
	paths := map[string]string{}
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			m, known := mounted[controller]
			if !known {
				continue
			}
			inside := strings.TrimPrefix(parts[2], strings.TrimSuffix(m.root, "/"))
			paths[controller] = filepath.Join(m.point, inside)
		}
	}
	return paths
}

func (c *counters) close() {
	for _, f := range []*os.File{c.cpu, c.memory, c.detail, c.pids, c.block, c.network} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// read looks at all counters once.
func (c *counters) read(now time.Time) (reading, error) {
	r := reading{at: now}
	var err error
	text := func(f *os.File) []byte {
		if err != nil {
			return nil
		}
		var n int
		n, err = f.ReadAt(c.buffer, 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return c.buffer[:n]
	}
	if c.v2 {
		r.cpu = 1000 * keyed(text(c.cpu), "usage_usec")
		r.memory = number(text(c.memory))
		r.memory -= min(keyed(text(c.detail), "inactive_file"), r.memory)
		r.read, r.written = ioStat(text(c.block))
	} else {
		r.cpu = number(text(c.cpu))
		r.memory = number(text(c.memory))
		r.memory -= min(keyed(text(c.detail), "total_inactive_file"), r.memory)
		r.read, r.written = blkio(text(c.block))
	}
	r.pids = number(text(c.pids))
	r.rx, r.tx = netDev(text(c.network))
	return r, err
}

func number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n
}

// keyed is the number behind a key that begins a line.
func keyed(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(key)); ok && len(rest) > 0 && rest[0] == ' ' {
			return number(rest)
		}
	}
	return 0
}

// blkio sums "8:0 Read 4096" over devices.
func blkio(text []byte) (read, written int64) {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) != 3 {
			continue
		}
		switch string(fields[1]) {
		case "Read":
			read += number(fields[2])
		case "Write":
			written += number(fields[2])
		}
	}
	return read, written
}

// ioStat sums "8:0 rbytes=4096 wbytes=0 …" over devices.
func ioStat(text []byte) (read, written int64) {
	for _, field := range bytes.Fields(text) {
		if n, ok := bytes.CutPrefix(field, []byte("rbytes=")); ok {
			read += number(n)
		} else if n, ok := bytes.CutPrefix(field, []byte("wbytes=")); ok {
			written += number(n)
		}
	}
	return read, written
}

// netDev sums the interfaces but the loopback.
func netDev(text []byte) (rx, tx int64) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, rest, found := bytes.Cut(lines.Bytes(), []byte(":"))
		if !found || string(bytes.TrimSpace(name)) == "lo" {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) >= 9 {
			rx += number(fields[0])
			tx += number(fields[8])
		}
	}
	return rx, tx
}
