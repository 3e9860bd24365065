package disk_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/disk"
)

func TestDue(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for name, c := range map[string]struct {
		since, pause time.Duration
		written      record.Bytes
		want         bool
	}{
		"never measured":          {1e6 * s, 0, 0, true},
		"just measured":           {s, 30 * s, 0, false},
		"writes a lot, just now":  {s, 30 * s, record.GiB, false},
		"writes a lot":            {5 * s, 30 * s, 64 * record.MiB, true},
		"writes a little":         {29 * s, 30 * s, record.MiB, false},
		"its turn":                {30 * s, 30 * s, 0, true},
		"another run began at 0":  {s, 5 * s, -record.GiB, false},
		"long ago, whatever done": {time.Hour, 30 * s, -record.GiB, true},
	} {
		require.Equal(t, c.want, disk.Due(c.since, c.pause, c.written), name)
	}
	pause := time.Duration(0)
	for i, want := range []time.Duration{5 * s, 10 * s, 20 * s, 30 * s, 30 * s} {
		pause = disk.Pause(pause, record.MiB)
		require.Equal(t, want, pause, i)
	}
	require.Equal(t, 5*s, disk.Pause(pause, record.GiB))
	require.Equal(t, 30*s, disk.Pause(pause, -record.GiB))
}

func TestRate(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	before := disk.Reading{At: at, Blocks: 1000, Size: 1000}
	for name, c := range map[string]struct {
		now  disk.Reading
		want float64
	}{
		"nothing":                          {disk.Reading{At: at.Add(time.Second), Blocks: 1000, Size: 1000}, 0},
		"it grew":                          {disk.Reading{At: at.Add(2 * time.Second), Blocks: 1000, Size: 5000}, 2000},
		"it was written over":              {disk.Reading{At: at.Add(2 * time.Second), Blocks: 9000, Size: 1000}, 4000},
		"both tell of the same":            {disk.Reading{At: at.Add(time.Second), Blocks: 3000, Size: 2000}, 2000},
		"it shrank":                        {disk.Reading{At: at.Add(time.Second), Blocks: 1000, Size: 0}, 0},
		"at the same instant":              {disk.Reading{At: at, Size: 5000}, 0},
		"the clock stepped":                {disk.Reading{At: at.Add(-time.Second), Size: 5000}, 0},
		"the counters began anew and grew": {disk.Reading{At: at.Add(time.Second), Blocks: 0, Size: 1500}, 500},
	} {
		require.InDelta(t, c.want, disk.Rate(before, c.now), 1e-9, name)
	}
}

func TestFastest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		writers []disk.Writer
		want    string
	}{
		"nobody":                   {nil, ""},
		"silence":                  {[]disk.Writer{{"a", 0}, {"b", 0}}, ""},
		"a line now and then":      {[]disk.Writer{{"a", 100}, {"b", 1000}}, ""},
		"one":                      {[]disk.Writer{{"a", 0}, {"b", 1e6}}, "b"},
		"the fastest":              {[]disk.Writer{{"a", 3e6}, {"b", 1e6}, {"c", 2e6}}, "a"},
		"equally fast: any, fixed": {[]disk.Writer{{"b", 1e6}, {"a", 1e6}}, "a"},
	} {
		w, found := disk.Fastest(c.writers)
		require.Equal(t, c.want != "", found, name)
		if found {
			require.Equal(t, c.want, w.ID, name)
		}
	}
}
