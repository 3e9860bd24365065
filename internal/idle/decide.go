package idle

import (
	"slices"
	"time"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
)

// This file is the arithmetic: pure, without a clock or a database.

// What counts as use, on average between two looks. An idle shell takes nothing,
// a sleep 0 %; an idle notebook server with its heartbeats and a page that is
// open takes about 1 % of a core, and a few hundred bytes a second for the
// page's questions. A log line now and then is not use either.
const (
	busyCPU     = 0.02 // of one core
	busyNetwork = 2 * record.KiB
	busyDisk    = 16 * record.KiB
)

// shortest is the least time between two samples that says something: over less,
// a single heartbeat would look like work.
const shortest = 900 * time.Millisecond

// Activity names what used the container between two samples of one run; false
// where they cannot tell.
func Activity(before, now monitor.Sample, elapsed time.Duration) (activity []string, ok bool) {
	if elapsed < shortest || now.CPUTime < before.CPUTime {
		return nil, false
	}
	seconds := elapsed.Seconds()
	if (now.CPUTime-before.CPUTime).Seconds()/seconds >= busyCPU {
		activity = append(activity, "cpu")
	}
	rate := func(b record.Bytes) float64 { return float64(b) / seconds }
	if rate(now.NetworkRx-before.NetworkRx)+rate(now.NetworkTx-before.NetworkTx) >= float64(busyNetwork) {
		activity = append(activity, "network")
	}
	if rate(now.BlockRead-before.BlockRead)+rate(now.BlockWrite-before.BlockWrite) >= float64(busyDisk) {
		activity = append(activity, "disk")
	}
	return activity, true
}

// Step is what is done about a container that nothing uses.
type Step string

// The steps.
const (
	Nothing Step = "nothing"
	Warn    Step = "warn"
	Freeze  Step = "freeze"
	Stop    Step = "stop"
)

// State is what matters of a container.
type State struct {
	// Timeout is how long it may do nothing; zero is for ever.
	Timeout time.Duration
	// IdleSince is since when nothing uses it; zero while something does.
	IdleSince time.Time
	// Warned is when its owner was told that it is going to be frozen; zero when not.
	Warned time.Time
	// Frozen says that it was frozen for doing nothing, and StopAt when it is
	// stopped for staying so; zero is never.
	Frozen bool
	StopAt time.Time
}

// leastNotice is how long before the freeze its owner hears of it at least, but
// for timeouts so short that it would be most of them.
const leastNotice = time.Minute

// Notice is how long before it is frozen its owner is warned: a tenth of the
// timeout, at least a minute, and at most half of it.
func Notice(timeout time.Duration) time.Duration {
	return min(max(timeout/10, leastNotice), timeout/2)
}

// CullAt is when it is frozen, or, frozen, stopped, unless it is used; zero when
// it will not be. Nobody is frozen unwarned: who was warned late has the whole
// notice from then on.
func CullAt(s State, now time.Time) time.Time {
	switch {
	case s.Frozen:
		return s.StopAt
	case s.Timeout == 0 || s.IdleSince.IsZero():
		return time.Time{}
	}
	told := s.Warned
	if told.IsZero() {
		told = now
	}
	at, noticed := s.IdleSince.Add(s.Timeout), told.Add(Notice(s.Timeout))
	if at.Before(noticed) {
		return noticed
	}
	return at
}

// Decide names what is to be done. wanted says that somebody who is queued
// needs what the container holds.
func Decide(s State, now time.Time, wanted bool) Step {
	at := CullAt(s, now)
	switch {
	case s.Frozen && (wanted || !at.IsZero() && !now.Before(at)):
		return Stop
	case s.Frozen || at.IsZero():
		return Nothing
	case s.Warned.IsZero() && !now.Before(at.Add(-Notice(s.Timeout))):
		return Warn
	case !s.Warned.IsZero() && !now.Before(at):
		return Freeze
	default:
		return Nothing
	}
}

// Held is what a container that could be stopped holds.
type Held struct {
	ID string
	quota.Amounts
}

// Free chooses which of the frozen to stop so that need fits into what is free:
// the first ones that hold some of what is lacking, and none where all of them
// together would not do.
func Free(need, free quota.Amounts, frozen []Held) []string {
	lack := quota.Amounts{CPU: need.CPU - free.CPU, Memory: need.Memory - free.Memory, GPU: need.GPU - free.GPU}
	var chosen []string
	for _, h := range frozen {
		if lack.CPU > 0 && h.CPU > 0 || lack.Memory > 0 && h.Memory > 0 || lack.GPU > 0 && h.GPU > 0 {
			chosen = append(chosen, h.ID)
			lack.CPU, lack.Memory, lack.GPU = lack.CPU-h.CPU, lack.Memory-h.Memory, lack.GPU-h.GPU
		}
	}
	if lack.CPU > 0 || lack.Memory > 0 || lack.GPU > 0 {
		return nil
	}
	return slices.Clip(chosen)
}
