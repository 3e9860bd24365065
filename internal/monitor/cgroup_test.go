package monitor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
)

// tree writes files below a folder, as a machine had them.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return root
}

const netDevText = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     500       5    0    0    0     0          0         0      500       5    0    0    0     0       0          0
  eth0:    1046      13    0    0    0     0          0         0     2042       4    0    0    0     0       0          0
`

// recorded on an engine with cgroup v1 that itself ran in the cgroup /outer.
func v1(t *testing.T) string {
	const in = "sys/fs/cgroup/"
	return tree(t, map[string]string{
		"proc/7/cgroup": "9:pids:/outer/docker/abc\n6:memory:/outer/docker/abc\n4:cpu,cpuacct:/outer/docker/abc\n3:blkio:/outer/docker/abc\n1:name=systemd:/\n",
		"proc/self/mountinfo": "36 25 0:31 /outer /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n" +
			"37 25 0:32 /outer /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"38 25 0:33 /outer /sys/fs/cgroup/pids rw shared:5 - cgroup cgroup rw,pids\n" +
			"39 25 0:34 /outer /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n",
		"proc/7/net/dev": netDevText,
		in + "memory/docker/abc/memory.usage_in_bytes":                    "1000000\n",
		in + "memory/docker/abc/memory.stat":                              "inactive_file 1\ntotal_cache 400000\ntotal_inactive_file 300000\n",
		in + "cpu,cpuacct/docker/abc/cpuacct.usage":                       "5000000000\n",
		in + "pids/docker/abc/pids.current":                               "3\n",
		in + "blkio/docker/abc/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 100\n8:0 Total 4196\n8:16 Read 4\nTotal 4200\n",
	})
}

// recorded on an engine with cgroup v2 and the systemd driver.
func v2(t *testing.T) string {
	const in = "sys/fs/cgroup/system.slice/docker-abc.scope/"
	return tree(t, map[string]string{
		"proc/7/cgroup":       "0::/system.slice/docker-abc.scope\n",
		"proc/self/mountinfo": "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n",
		"proc/7/net/dev":      netDevText,
		in + "cpu.stat":       "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\n",
		in + "memory.current": "1000000\n",
		in + "memory.stat":    "anon 600000\nfile 400000\ninactive_file 300000\n",
		in + "pids.current":   "3\n",
		in + "io.stat":        "8:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=4 wbytes=0\n",
	})
}

func TestReadingsOfBothVersionsAreTheSame(t *testing.T) {
	for name, root := range map[string]string{"v1": v1(t), "v2": v2(t)} {
		c, err := openCounters(root, 7)
		require.NoError(t, err, name)
		got, err := c.read(time.Unix(100, 0))
		require.NoError(t, err, name)
		require.Equal(t, reading{
			at: time.Unix(100, 0), cpu: 5e9, memory: 700_000, pids: 3, rx: 1046, tx: 2042, read: 4100, written: 100,
		}, got, name)
		c.close()
		_, err = c.read(time.Unix(101, 0))
		require.Error(t, err, "closed")
	}
}

func TestMissingFilesAreAnErrorAndLeaveNothingOpen(t *testing.T) {
	root := v2(t)
	require.NoError(t, os.Remove(filepath.Join(root, "sys/fs/cgroup/system.slice/docker-abc.scope/memory.current")))
	before := descriptors(t)
	_, err := openCounters(root, 7)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, before, descriptors(t))
}

// TestMissingDiskFiguresAreZero: cgroup v2 may be without its controller of disks.
func TestMissingDiskFiguresAreZero(t *testing.T) {
	root := v2(t)
	require.NoError(t, os.Remove(filepath.Join(root, "sys/fs/cgroup/system.slice/docker-abc.scope/io.stat")))
	c, err := openCounters(root, 7)
	require.NoError(t, err)
	defer c.close()
	got, err := c.read(time.Unix(100, 0))
	require.NoError(t, err)
	require.Equal(t, reading{at: time.Unix(100, 0), cpu: 5e9, memory: 700_000, pids: 3, rx: 1046, tx: 2042}, got)
}

// TestReadingCostsNothingOnTheHeap, of which there are hundreds each second.
func TestReadingCostsNothingOnTheHeap(t *testing.T) {
	for name, root := range map[string]string{"v1": v1(t), "v2": v2(t)} {
		c, err := openCounters(root, 7)
		require.NoError(t, err)
		now := time.Unix(100, 0)
		require.Zero(t, testing.AllocsPerRun(20, func() {
			if _, err := c.read(now); err != nil {
				t.Error(err)
			}
		}), name)
		c.close()
	}
}

// TestLongFilesAreReadWhole: the kernel gives a long file in several pieces.
func TestLongFilesAreReadWhole(t *testing.T) {
	root := v2(t)
	long := ""
	for i := range 300 {
		long += fmt.Sprintf("counter_%d 123456\n", i)
	}
	path := filepath.Join(root, "sys/fs/cgroup/system.slice/docker-abc.scope/memory.stat")
	require.NoError(t, os.WriteFile(path, []byte(long+"inactive_file 300000\n"), 0o644))
	c, err := openCounters(root, 7)
	require.NoError(t, err)
	defer c.close()
	got, err := c.read(time.Unix(100, 0))
	require.NoError(t, err)
	require.EqualValues(t, 700_000, got.memory)
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestBetween(t *testing.T) {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	before := reading{at: at, cpu: 1e9}
	for name, c := range map[string]struct {
		now  reading
		cpu  float64
		said bool
	}{
		"one busy core":      {reading{at: at.Add(time.Second), cpu: 2e9, memory: 512}, 100, true},
		"two busy cores":     {reading{at: at.Add(time.Second), cpu: 3e9, memory: 512}, 200, true},
		"half, in half":      {reading{at: at.Add(500 * time.Millisecond), cpu: 1.25e9, memory: 512}, 50, true},
		"too close together": {reading{at: at.Add(50 * time.Millisecond), cpu: 2e9}, 0, false},
		"the clock stepped":  {reading{at: at.Add(-time.Second), cpu: 2e9}, 0, false},
		"another run":        {reading{at: at.Add(time.Second), cpu: 1}, 0, false},
		"an hour apart":      {reading{at: at.Add(time.Hour), cpu: 2e9}, 0, false},
	} {
		s, said := between("ctr_1", 1024, before, c.now)
		require.Equal(t, c.said, said, name)
		require.InDelta(t, c.cpu, s.CPUPercent, 1e-9, name)
		if said {
			require.Equal(t, record.Bytes(512), s.Memory, name)
			require.InDelta(t, 50, s.MemoryPercent, 1e-9, name)
		}
	}
}
