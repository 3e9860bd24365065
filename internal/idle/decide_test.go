package idle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/idle"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
)

func TestActivity(t *testing.T) {
	t.Parallel()
	const look = 10 * time.Second
	before := monitor.Sample{CPUTime: time.Minute, NetworkRx: 1000, NetworkTx: 1000, BlockRead: 1 << 20, BlockWrite: 1 << 20}
	for name, c := range map[string]struct {
		change  func(*monitor.Sample)
		elapsed time.Duration
		want    []string
		unknown bool
	}{
		"nothing at all":            {func(*monitor.Sample) {}, look, nil, false},
		"an idle notebook":          {func(s *monitor.Sample) { s.CPUTime += 100 * time.Millisecond; s.NetworkRx += 3000; s.NetworkTx += 3000 }, look, nil, false},
		"keepalives":                {func(s *monitor.Sample) { s.NetworkRx += 120; s.NetworkTx += 66 }, look, nil, false},
		"a line in a log":           {func(s *monitor.Sample) { s.BlockWrite += 8192 }, look, nil, false},
		"just below two hundredths": {func(s *monitor.Sample) { s.CPUTime += 199 * time.Millisecond }, look, nil, false},
		"two hundredths of a core":  {func(s *monitor.Sample) { s.CPUTime += 200 * time.Millisecond }, look, []string{"cpu"}, false},
		"busy for half a second":    {func(s *monitor.Sample) { s.CPUTime += 500 * time.Millisecond }, look, []string{"cpu"}, false},
		"a download":                {func(s *monitor.Sample) { s.NetworkRx += record.MiB }, look, []string{"network"}, false},
		"an upload":                 {func(s *monitor.Sample) { s.NetworkTx += 20 * record.KiB }, look, []string{"network"}, false},
		"reading":                   {func(s *monitor.Sample) { s.BlockRead += record.MiB }, look, []string{"disk"}, false},
		"writing":                   {func(s *monitor.Sample) { s.BlockWrite += record.MiB }, look, []string{"disk"}, false},
		"training": {func(s *monitor.Sample) {
			s.CPUTime += 20 * time.Second
			s.BlockRead += record.GiB
			s.NetworkRx += record.GiB
		}, look, []string{"cpu", "network", "disk"}, false},
		"the same over an hour is nothing": {func(s *monitor.Sample) { s.CPUTime += 10 * time.Second }, time.Hour, nil, false},
		"too close together":               {func(s *monitor.Sample) { s.CPUTime += time.Second }, 500 * time.Millisecond, nil, true},
		"the same sample":                  {func(*monitor.Sample) {}, 0, nil, true},
		"another run":                      {func(s *monitor.Sample) { s.CPUTime = 0 }, look, nil, true},
	} {
		now := before
		c.change(&now)
		got, ok := idle.Activity(before, now, c.elapsed)
		require.Equal(t, c.want, got, name)
		require.Equal(t, !c.unknown, ok, name)
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)
	minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	never := time.Time{}
	hour := idle.State{Timeout: time.Hour, IdleSince: at} // its notice is six minutes
	with := func(s idle.State, change func(*idle.State)) idle.State { change(&s); return s }
	warned := with(hour, func(s *idle.State) { s.Warned = minute(54) })
	late := with(hour, func(s *idle.State) { s.Warned = minute(100) })
	frozen := with(warned, func(s *idle.State) { s.Frozen, s.StopAt = true, minute(120) })
	for name, c := range map[string]struct {
		state  idle.State
		now    time.Time
		wanted bool
		want   idle.Step
		cullAt time.Time
	}{
		"used":                               {idle.State{Timeout: time.Hour}, minute(500), true, idle.Nothing, never},
		"for ever":                           {idle.State{IdleSince: at}, minute(1e6), true, idle.Nothing, never},
		"just idle":                          {hour, at, false, idle.Nothing, minute(60)},
		"idle, and wanted: not before time":  {hour, minute(53), true, idle.Nothing, minute(60)},
		"the notice begins":                  {hour, minute(54), false, idle.Warn, minute(60)},
		"warned: once":                       {warned, minute(55), false, idle.Nothing, minute(60)},
		"warned, and wanted: not before":     {warned, minute(59), true, idle.Nothing, minute(60)},
		"the time is up":                     {warned, minute(60), false, idle.Freeze, minute(60)},
		"long up":                            {warned, minute(600), false, idle.Freeze, minute(60)},
		"the server was away: never unasked": {hour, minute(100), false, idle.Warn, minute(106)},
		"warned late has the whole notice":   {late, minute(105), true, idle.Nothing, minute(106)},
		"and is frozen then":                 {late, minute(106), false, idle.Freeze, minute(106)},
		"frozen":                             {frozen, minute(119), false, idle.Nothing, minute(120)},
		"frozen for long":                    {frozen, minute(120), false, idle.Stop, minute(120)},
		"frozen, and its room is wanted":     {frozen, minute(61), true, idle.Stop, minute(120)},
		"frozen without a limit":             {idle.State{Frozen: true}, minute(1e6), false, idle.Nothing, never},
		"frozen without a limit, wanted":     {idle.State{Frozen: true}, minute(61), true, idle.Stop, never},
	} {
		require.Equal(t, c.want, idle.Decide(c.state, c.now, c.wanted), name)
		require.Equal(t, c.cullAt, idle.CullAt(c.state, c.now), name)
	}
}

func TestNotice(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{
		2 * time.Second: time.Second, time.Minute: 30 * time.Second, 5 * time.Minute: time.Minute,
		10 * time.Minute: time.Minute, time.Hour: 6 * time.Minute, 8 * time.Hour: 48 * time.Minute,
	} {
		require.Equal(t, want, idle.Notice(timeout), "%s", timeout)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	a := func(cpu record.Cores, memory record.Bytes, gpu int) quota.Amounts {
		return quota.Amounts{CPU: cpu, Memory: memory, GPU: gpu}
	}
	frozen := []idle.Held{{"first", a(1000, 1, 0)}, {"second", a(1000, 1, 1)}, {"third", a(1000, 8, 1)}}
	for name, c := range map[string]struct {
		need, free quota.Amounts
		want       []string
	}{
		"it fits":                   {a(1000, 1, 0), a(1000, 1, 0), nil},
		"one is enough":             {a(2000, 1, 0), a(1000, 1, 0), []string{"first"}},
		"two are needed":            {a(2000, 1, 0), a(0, 1, 0), []string{"first", "second"}},
		"only those with a GPU":     {a(0, 0, 2), a(0, 0, 0), []string{"second", "third"}},
		"all would not be enough":   {a(9000, 1, 0), a(0, 0, 0), nil},
		"the lack is of one kind":   {a(1000, 10, 0), a(1000, 0, 0), []string{"first", "second", "third"}},
		"more is promised than had": {a(1000, 1, 0), a(-1000, 5, 0), []string{"first", "second"}},
	} {
		require.Equal(t, c.want, idle.Free(c.need, c.free, frozen), name)
	}
	require.Nil(t, idle.Free(a(1, 1, 1), a(0, 0, 0), nil))
}
