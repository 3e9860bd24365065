package monitor

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/statschunk"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

var sys = auth.AsSystem(context.Background())

// noon begins a minute, an hour and a day.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// past is a service on a database whose clock the test sets.
type past struct {
	*Service
	t     *testing.T
	store *store.Store
	id    string
	mu    sync.Mutex
	now   time.Time
}

func newPast(t *testing.T) *past {
	t.Helper()
	s, err := store.Open(sys, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	p := &past{t: t, store: s, now: noon}
	u := s.Client.User.Create().SetUsername("ann").SetUsernameKey("ann").SetPasswordHash("-").SaveX(sys)
	i := s.Client.Image.Create().SetOwnerID(u.ID).SetReference("r").SetRequestedReference("r").SetMinMemory(1).SaveX(sys)
	p.id = s.Client.Container.Create().SetName("c").SetOwnerID(u.ID).SetImageID(i.ID).SetCPULimit(1000).SetMemoryLimit(record.GiB).SetDesired(container.DesiredRunning).SaveX(sys).ID
	p.restart()
	return p
}

// restart is as if the server had been started again.
func (p *past) restart() {
	p.Service = New(Options{
		Client: p.store.Client, Feed: &live.Feed{}, Log: slog.New(slog.DiscardHandler), Local: func() bool { return true },
		Now: func() time.Time { p.mu.Lock(); defer p.mu.Unlock(); return p.now },
	})
}

func (p *past) set(now time.Time) { p.mu.Lock(); p.now = now; p.mu.Unlock() }

// run remembers a sample of each second from now on; percent says its CPU.
func (p *past) run(seconds int, percent func(i int) float64) {
	for i := range seconds {
		p.Service.mu.Lock()
		p.remember(Sample{
			ID: p.id, At: p.now.Add(sampleEvery / 2), CPUPercent: percent(i), Memory: record.Bytes(1000 + i%10), MemoryLimit: 2000,
			NetworkRx: record.Bytes(i), Pids: 2,
		})
		p.Service.mu.Unlock()
		p.set(p.now.Add(time.Second))
	}
}

func (p *past) history(age, step time.Duration) []History {
	p.t.Helper()
	got, err := p.History(sys, p.id, p.now.Add(-age), step)
	require.NoError(p.t, err)
	for i := 1; i < len(got); i++ {
		require.True(p.t, got[i].At.After(got[i-1].At), "oldest first, each once")
	}
	return got
}

func flat(percent float64) func(int) float64 { return func(int) float64 { return percent } }

func TestHistoryHasMeanAndMost(t *testing.T) {
	p := newPast(t)
	p.run(2*60*60, func(i int) float64 { return float64(i % 10) })
	got, err := p.History(sys, p.id, time.Time{}, 0)
	require.NoError(t, err)
	require.Len(t, got, 300, "seconds of five minutes")
	require.Equal(t, p.now.Add(-5*time.Minute), got[0].At)
	require.InDelta(t, 3, got[3].CPUPercent, 1e-9)
	require.InDelta(t, 3, got[3].CPUPercentMax, 1e-9)

	for _, c := range []struct {
		age, step time.Duration
		want      int
	}{
		{5 * time.Minute, 10 * time.Second, 30}, {time.Hour, 0, 360}, {time.Hour, time.Minute, 60}, {2 * time.Hour, 0, 120}, {2 * time.Hour, time.Hour, 2},
	} {
		got := p.history(c.age, c.step)
		require.Len(t, got, c.want, "%s in %s", c.age, c.step)
		for _, h := range got {
			require.InDelta(t, 4.5, h.CPUPercent, 1e-9)
			require.InDelta(t, 9, h.CPUPercentMax, 1e-9)
			require.InDelta(t, 1005, float64(h.Memory), 1)
			require.EqualValues(t, 1009, h.MemoryMax)
			require.InDelta(t, 50, h.MemoryPercent, 1)
			require.Equal(t, 2, h.Pids)
		}
		require.EqualValues(t, 2*60*60-1, got[len(got)-1].NetworkRx, "the total at the end")
	}
}

func TestHistoryOutlivesTheServer(t *testing.T) {
	p := newPast(t)
	p.run(90*60+30, flat(10)) // and half a minute
	before := p.history(3*time.Hour, 0)
	require.Len(t, before, 91)
	require.NoError(t, p.save(sys, false))
	require.Equal(t, before, p.history(3*time.Hour, 0), "saved or not, it is the same")
	require.NoError(t, p.save(sys, true))
	p.restart()
	require.Equal(t, before, p.history(3*time.Hour, 0))
	require.Empty(t, p.history(time.Minute, 0), "seconds are of the server that runs")
	p.run(60, flat(40)) // the other half of that minute, and half of another
	got := p.history(3*time.Hour, 0)
	require.Len(t, got, 92)
	require.InDelta(t, 25, got[90].CPUPercent, 1e-9)
	require.InDelta(t, 40, got[90].CPUPercentMax, 1e-9)
	require.NoError(t, p.save(sys, true))
	p.restart()
	require.Equal(t, got, p.history(3*time.Hour, 0))
	require.Equal(t, 2, p.store.Client.StatsChunk.Query().CountX(sys), "a row an hour")
}

func TestHistoryIsKeptAWeekAndNotLonger(t *testing.T) {
	p := newPast(t)
	p.run(60, flat(10))
	require.NoError(t, p.save(sys, true))
	p.set(noon.Add(maxSince))
	require.NoError(t, p.save(sys, false))
	require.Len(t, p.history(maxSince, time.Hour), 1)
	p.set(noon.Add(maxSince + 2*time.Hour))
	require.NoError(t, p.save(sys, false))
	require.Zero(t, p.store.Client.StatsChunk.Query().CountX(sys))
	require.Empty(t, p.past, "nor in memory, of what does not run")
}

func TestHistoryGoesWithItsContainer(t *testing.T) {
	p := newPast(t)
	p.run(180, flat(10))
	require.NoError(t, p.save(sys, false))
	p.run(180, flat(10))
	p.store.Client.Container.DeleteOneID(p.id).ExecX(sys)
	require.NoError(t, p.save(sys, false), "what is gone holds nothing up")
	require.Zero(t, p.store.Client.StatsChunk.Query().Where(statschunk.ContainerID(p.id)).CountX(sys))
	require.Empty(t, p.past)
}

// TestHistoryWhenTheClockIsSet: back, what is measured then takes the place of
// what seemed to come later; forward, what came before stays.
func TestHistoryWhenTheClockIsSet(t *testing.T) {
	p := newPast(t)
	p.run(3*60*60, flat(10))
	require.NoError(t, p.save(sys, false))
	p.run(300, flat(20))
	p.set(p.now.Add(-30 * time.Minute))
	p.run(600, flat(30))
	for _, h := range p.history(10*time.Minute, 0) {
		require.InDelta(t, 30, h.CPUPercent, 1e-9, "%s", h.At)
	}
	got := p.history(time.Hour, time.Minute)
	require.Len(t, got, 61, "also the minute that begins now, of before")
	for _, h := range got {
		require.False(t, h.At.After(p.now))
	}
	require.NoError(t, p.save(sys, false))
	require.Len(t, p.history(time.Hour, time.Minute), 61)

	p.set(p.now.Add(24 * time.Hour))
	p.run(300, flat(50))
	require.Len(t, p.history(5*time.Minute, 0), 300)
	require.NotEmpty(t, p.history(26*time.Hour, 0))
	p.set(p.now.Add(-24 * time.Hour))
	p.run(300, flat(60))
	require.Len(t, p.history(5*time.Minute, 0), 300)
	require.NoError(t, p.save(sys, true))
}

// TestHistoryWaitsForTheDatabase, within bounds.
func TestHistoryWaitsForTheDatabase(t *testing.T) {
	p := newPast(t)
	p.run(180, flat(10))
	gone, cancel := context.WithCancel(sys)
	cancel()
	require.Error(t, p.save(gone, false))
	require.Len(t, p.history(2*time.Hour, 0), 3, "they are not lost")
	p.run(3*60*60, flat(10))
	require.LessOrEqual(t, len(p.past[p.id].unsaved), maxUnsaved)
	require.NoError(t, p.save(sys, false))
}

func TestHistoryRefuses(t *testing.T) {
	at := func(age time.Duration) time.Time { return noon.Add(-age) }
	for name, c := range map[string]struct {
		since time.Time
		step  time.Duration
		want  map[string]string // rule by field
	}{
		"the future":            {at(-time.Second), 0, map[string]string{"since": "range"}},
		"more than a week":      {at(8 * 24 * time.Hour), 0, map[string]string{"since": "range"}},
		"both at once":          {at(8 * 24 * time.Hour), -1, map[string]string{"since": "range", "step": "range"}},
		"less than a second":    {at(time.Minute), 500 * time.Millisecond, map[string]string{"step": "range"}},
		"a second and a half":   {at(time.Minute), 1500 * time.Millisecond, map[string]string{"step": "range"}},
		"more than a day":       {at(time.Minute), 25 * time.Hour, map[string]string{"step": "range"}},
		"seconds of an hour":    {at(time.Hour), time.Second, map[string]string{"step": "kept"}},
		"ten seconds of a day":  {at(24 * time.Hour), 10 * time.Second, map[string]string{"step": "kept"}},
		"minutes of a week":     {at(maxSince), time.Minute, map[string]string{"step": "size"}},
		"the defaults":          {time.Time{}, 0, nil},
		"a week":                {at(maxSince), 0, nil},
		"a week in hours":       {at(maxSince), time.Hour, nil},
		"five minutes and late": {at(5*time.Minute + 2*time.Second), time.Second, nil},
	} {
		w, err := windowOf(noon, c.since, c.step)
		if c.want == nil {
			require.NoError(t, err, name)
			require.LessOrEqual(t, (w.to-w.from)/w.step+1, int64(maxSteps), name)
			continue
		}
		require.Equal(t, fault.BadUserInput, fault.CodeOf(err), name)
		require.Equal(t, c.want, rules(err), name)
	}
	_, err := windowOf(noon, at(maxSince), time.Minute)
	require.ErrorContains(t, err, "11m", "it says what would be taken")
	_, err = windowOf(noon, at(maxSince), 11*time.Minute)
	require.NoError(t, err)
}

// rules are the violations that a fault tells.
func rules(err error) map[string]string {
	out := map[string]string{}
	for _, v := range fault.Of(err).Violations {
		out[v.Field] = v.Rule
	}
	return out
}

// TestHistoryIsBounded: what docs/monitoring.md says that one container takes.
func TestHistoryIsBounded(t *testing.T) {
	r := newRings()
	for i := range int64(3 * minutesKept / 7) {
		r.add(point{at: noon.Unix() + i, n: 1})
	}
	kept := cap(r.seconds.points) + cap(r.tens.points) + cap(r.unsaved)
	require.LessOrEqual(t, uintptr(kept)*unsafe.Sizeof(point{}), uintptr(80<<10))
}

func points(t *rapid.T) []point {
	list := make([]point, rapid.IntRange(0, 70).Draw(t, "points"))
	at := rapid.Int64Range(-1e6, 1e9).Draw(t, "first minute")
	for i := range list {
		at += rapid.Int64Range(1, 1e4).Draw(t, "gap")
		cpu, more := rapid.Uint32().Draw(t, "cpu"), rapid.Uint32().Draw(t, "more")
		p := point{at: at * minuteStep, n: max(1, rapid.Uint32().Draw(t, "n")), cpu: cpu, cpuMax: cpu + min(more, 1<<32-1-cpu), pids: rapid.Uint32().Draw(t, "pids")}
		for _, n := range p.sizes() {
			*n = rapid.Int64().Draw(t, "size")
		}
		list[i] = p
	}
	return list
}

func TestPackedIsTheSameUnpacked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := points(t)
		got, err := unpack(pack(list, minuteStep), minuteStep)
		require.NoError(t, err)
		require.Equal(t, list, got)
	})
}

func TestWhatIsNotPackedIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := pack(points(t), minuteStep)
		_, err := unpack(whole[:rapid.IntRange(0, len(whole)-1).Draw(t, "cut")], minuteStep)
		require.ErrorIs(t, err, errPacked)
		_, err = unpack(append(whole, 0), minuteStep)
		require.ErrorIs(t, err, errPacked)
		whole[0]++
		_, err = unpack(whole, minuteStep)
		require.ErrorIs(t, err, errPacked)
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(pack([]point{{at: 60, n: 1, cpu: 5, cpuMax: 7, memory: 9}}, minuteStep))
	f.Add([]byte{packedVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := unpack(data, minuteStep)
		if err != nil {
			return
		}
		again, err := unpack(pack(list, minuteStep), minuteStep)
		if err != nil || len(list) > 0 && fmt.Sprint(again) != fmt.Sprint(list) {
			t.Errorf("%v, %v: %v", list, err, again)
		}
	})
}

// TestMeans: whatever the steps, the mean of the means by their samples is the
// mean, and the most is the most.
func TestMeans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []point
		var total, most, n float64
		for i := range rapid.IntRange(1, 500).Draw(t, "samples") {
			p := pointOf(Sample{At: noon.Add(time.Duration(i) * time.Second), CPUPercent: rapid.Float64Range(0, 800).Draw(t, "cpu")})
			list = append(list, p)
			total, most, n = total+float64(p.cpu), max(most, float64(p.cpu)), n+1
		}
		var mean, largest, counted float64
		for _, p := range steps(list, rapid.Int64Range(1, 100).Draw(t, "step")) {
			mean += float64(p.cpu) * float64(p.n)
			largest, counted = max(largest, float64(p.cpuMax)), counted+float64(p.n)
		}
		require.InDelta(t, total/n, mean/counted, 0.51) // hundredths of a percent, rounded
		require.InDelta(t, most, largest, 0)
		require.InDelta(t, n, counted, 0)
	})
}
