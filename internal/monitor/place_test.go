package monitor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

// held is a log of which the oldest lines may be gone: times that repeat and step
// back, and an engine that is asked for any window, cannot be had to order.
type held struct {
	engine.Containers
	lines []engine.LogLine
}

func (h *held) Logs(_ context.Context, _ string, opts engine.LogOptions, line func(engine.LogLine) error) error {
	from := 0
	if opts.Tail >= 0 {
		from = max(0, len(h.lines)-opts.Tail)
	}
	for _, l := range h.lines[from:] {
		if err := line(l); err != nil {
			return err
		}
	}
	return nil
}

// TestPlaceInALog: of logs with times that repeat or step back, read at random in
// between, every line that was held then comes once and in order.
func TestPlaceInALog(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 7))
		h := &held{}
		now := time.Unix(1_700_000_000, 0)
		write := func(n int) {
			for range n {
				switch random.IntN(6) {
				case 0: // the same time again
				case 1:
					now = now.Add(-time.Duration(random.IntN(5_000_000)) - 10_000)
				default:
					now = now.Add(time.Duration(1 + random.IntN(3)*random.IntN(100_000)))
				}
				h.lines = append(h.lines, engine.LogLine{At: now, Stderr: random.IntN(9) == 0, Text: fmt.Sprint(len(h.lines))})
			}
		}
		log := log{service: &Service{Options: Options{Engine: h}}}
		r := log.first()
		var got []string
		for range 30 {
			write(random.IntN(120))
			stop := random.IntN(160)
			errEnough := errors.New("enough")
			err := r.read(t.Context(), func(l Line) error {
				if stop--; stop < 0 {
					return errEnough
				}
				if l.Dropped != 0 {
					t.Errorf("seed %d: %q after a gap", seed, l.Text)
				}
				got = append(got, l.Text)
				return nil
			})
			if stop >= 0 {
				require.NoError(t, err)
			}
			if random.IntN(3) == 0 { // the client comes back with since, to another server
				if at := r.at; !at.IsZero() {
					r = log.after(at)
				}
			}
		}
		require.NoError(t, r.read(t.Context(), func(l Line) error { got = append(got, l.Text); return nil }))
		want := make([]string, len(h.lines))
		for i := range want {
			want[i] = h.lines[i].Text
		}
		require.Equal(t, want, got, "seed %d", seed)
	}
}

// TestWhatIsGoneIsTold: once, before the first line that is still held; an instant
// before a log that lost nothing is no loss.
func TestWhatIsGoneIsTold(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1_700_000_000, 0)
	h := &held{}
	for i := range 1000 {
		h.lines = append(h.lines, engine.LogLine{At: begin.Add(time.Duration(i) * time.Second), Text: fmt.Sprint(i)})
	}
	log := log{service: &Service{Options: Options{Engine: h}}}
	read := func(r *reader) (lines []Line) {
		require.NoError(t, r.read(t.Context(), func(l Line) error { lines = append(lines, l); return nil }))
		return lines
	}
	r := log.first()
	require.Len(t, read(r), 1000)
	require.Empty(t, read(r))

	require.Len(t, read(log.after(begin.Add(-time.Hour))), 1000)
	require.Zero(t, read(log.after(begin.Add(-time.Hour)))[0].Dropped)
	between := read(log.after(begin.Add(500*time.Second + 1)))
	require.Equal(t, "501", between[0].Text)
	require.Zero(t, between[0].Dropped)

	future := log.after(begin.Add(1001 * time.Second))
	require.Empty(t, read(future))
	for i := range 4 {
		h.lines = append(h.lines, engine.LogLine{At: begin.Add(time.Duration(1000+i) * time.Second), Text: fmt.Sprint(1000 + i)})
	}
	after := read(future)
	require.Len(t, after, 2, "what is after that instant")
	require.Equal(t, "1002", after[0].Text)
	require.Len(t, read(r), 4)

	for i := range 50 {
		h.lines = append(h.lines, engine.LogLine{At: begin.Add(time.Duration(2000+i) * time.Second), Text: fmt.Sprint("new ", i)})
	}
	h.lines = h.lines[len(h.lines)-30:] // the place is rotated away
	after = read(r)
	require.Len(t, after, 30)
	require.Equal(t, Uncounted, after[0].Dropped)
	require.Zero(t, after[1].Dropped)

	big := make([]byte, 1<<20)
	for i := range h.lines { // as much as may have lost something
		h.lines[i].Text = string(big[:1<<18])
	}
	require.Equal(t, Uncounted, read(log.after(begin))[0].Dropped)
}

// TestSnapshotIsBounded: the oldest lines give way, and are counted.
func TestSnapshotIsBounded(t *testing.T) {
	t.Parallel()
	h := &held{}
	for i := range 100 {
		h.lines = append(h.lines, engine.LogLine{At: time.Unix(int64(1000+i), 0), Text: string(make([]byte, 1<<17))})
	}
	lines, err := log{service: &Service{Options: Options{Engine: h}}}.last(t.Context(), 90)
	require.NoError(t, err)
	require.Len(t, lines, maxHeld>>17)
	require.Equal(t, 90-len(lines), lines[0].Dropped)
	require.Equal(t, h.lines[99].At, lines[len(lines)-1].At)
}
