package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// counters are the kernel's files about one container, kept open: reading one
// again costs a pread and nothing on the heap. They are descriptors rather than
// os.Files, whose ReadAt asks a second time for the end, and the kernel would
// then write the whole text again. Nothing here may be called beside itself.
type counters struct {
	v2                             bool
	cpu, memory, detail, pids, net int
	// block is -1 where the kernel does not account for disks: they read 0.
	block  int
	buffer []byte
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
	open := func(controller, name string) int {
		folder, known := paths[controller]
		if !known {
			wrong = append(wrong, fmt.Errorf("no cgroup of %s", controller))
			return -1
		}
		f, err := openFile(filepath.Join(root, folder, name))
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
		c.block = -1
		if f, err := openFile(filepath.Join(root, paths[""], "io.stat")); err == nil {
			c.block = f // the controller of disks is often left out
		}
	}
	if c.net, err = openFile(filepath.Join(proc, "net/dev")); err != nil {
		wrong = append(wrong, err)
	}
	if len(wrong) > 0 {
		c.close()
		return nil, errors.Join(wrong...)
	}
	return c, nil
}

func openFile(path string) (int, error) {
	f, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return f, nil
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
	for _, f := range []*int{&c.cpu, &c.memory, &c.detail, &c.pids, &c.block, &c.net} {
		if *f >= 0 {
			_ = unix.Close(*f)
			*f = -1
		}
	}
}

// nearlyPage is what a pread gives at least when the kernel may have more: it
// gives whole lines, as many as fit in a page.
const nearlyPage = 3 << 10

// text is what the file holds now; empty for a descriptor of -1.
func (c *counters) text(f int) ([]byte, error) {
	if f < 0 {
		return nil, nil
	}
	n := 0
	for n < len(c.buffer) {
		got, err := unix.Pread(f, c.buffer[n:], int64(n))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		n += got
		if got < nearlyPage {
			break
		}
	}
	return c.buffer[:n], nil
}

// read looks at all counters once.
func (c *counters) read(now time.Time) (reading, error) {
	if c.cpu < 0 {
		return reading{}, os.ErrClosed
	}
	r := reading{at: now}
	var wrong error
	text := func(f int) []byte {
		content, err := c.text(f)
		if err != nil {
			wrong = err
		}
		return content
	}
	cached := "total_inactive_file"
	if c.v2 {
		cached = "inactive_file"
		r.cpu = 1000 * keyed(text(c.cpu), "usage_usec")
	} else {
		r.cpu = number(text(c.cpu))
	}
	r.memory = number(text(c.memory))
	if cache := keyed(text(c.detail), cached); cache <= r.memory { // as the engine's own client counts
		r.memory -= cache
	}
	r.pids = number(text(c.pids))
	if c.v2 {
		r.read, r.written = ioStat(text(c.block))
	} else {
		r.read, r.written = blkio(text(c.block))
	}
	r.rx, r.tx = netDev(text(c.net))
	return r, wrong
}

// number is the whole number that text begins with, after blanks; 0 for none.
func number(text []byte) int64 {
	var n int64
	for i, c := range bytes.TrimLeft(text, " \t\n") {
		if c < '0' || c > '9' || i > 18 {
			break
		}
		n = 10*n + int64(c-'0')
	}
	return n
}

// word cuts the first word off a line; both are empty at its end.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	if end := bytes.IndexAny(line, " \t\n"); end >= 0 {
		return line[:end], line[end:]
	}
	return line, nil
}

// keyed is the number behind a key that begins a line.
func keyed(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		if first, rest := word(line); string(first) == key {
			return number(rest)
		}
	}
	return 0
}

// blkio sums "8:0 Read 4096" over devices.
func blkio(text []byte) (read, written int64) {
	for line := range bytes.Lines(text) {
		_, rest := word(line)
		kind, rest := word(rest)
		switch string(kind) {
		case "Read":
			read += number(rest)
		case "Write":
			written += number(rest)
		}
	}
	return read, written
}

// ioStat sums "8:0 rbytes=4096 wbytes=0 …" over devices.
func ioStat(text []byte) (read, written int64) {
	for line := range bytes.Lines(text) {
		for field, rest := word(line); len(field) > 0; field, rest = word(rest) {
			if n, ok := bytes.CutPrefix(field, []byte("rbytes=")); ok {
				read += number(n)
			} else if n, ok := bytes.CutPrefix(field, []byte("wbytes=")); ok {
				written += number(n)
			}
		}
	}
	return read, written
}

// netDev sums the interfaces but the loopback. Of a line's sixteen numbers the
// first is what was received, the ninth what was sent.
func netDev(text []byte) (rx, tx int64) {
	for line := range bytes.Lines(text) {
		name, rest, found := bytes.Cut(line, []byte(":"))
		if !found || string(bytes.TrimSpace(name)) == "lo" {
			continue
		}
		var received, sent int64
		var field []byte
		for i := range 9 {
			if field, rest = word(rest); i == 0 {
				received = number(field)
			}
			sent = number(field)
		}
		if len(field) > 0 {
			rx += received
			tx += sent
		}
	}
	return rx, tx
}
