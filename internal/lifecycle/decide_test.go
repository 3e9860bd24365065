package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
)

var (
	allDesired  = []container.Desired{container.DesiredRunning, container.DesiredPaused, container.DesiredStopped, container.DesiredRemoved}
	allObserved = []container.Observed{container.ObservedAbsent, container.ObservedCreated, container.ObservedRunning, container.ObservedPaused, container.ObservedExited, container.ObservedLost}
)

// everyPair calls do with every wish and fact that there can be.
func everyPair(do func(Wish, Fact)) {
	for _, desired := range allDesired {
		for _, observed := range allObserved {
			for run := range 2 { // the fact tells of the wanted run, or of an older one
				for _, failed := range []bool{false, true} {
					for _, outdated := range []bool{false, true} {
						f := Fact{Observed: observed, Run: 1 + run, Failed: failed, Outdated: outdated}
						do(Wish{Desired: desired, Run: 2}, f)
						if desired == container.DesiredRunning && !failed { // only such wait
							do(Wish{Desired: desired, Run: 2, Queued: true}, f)
						}
					}
				}
			}
		}
	}
}

// obey is an engine that does each step as it should, in the words of Fact.
func obey(w Wish, f Fact, s Step) Fact {
	switch s {
	case Create:
		f.Observed, f.Outdated = container.ObservedCreated, false
	case Start:
		f.Observed, f.Run = container.ObservedRunning, w.Run
	case Stop:
		f.Observed = container.ObservedExited
	case Pause:
		f.Observed = container.ObservedPaused
	case Unpause:
		f.Observed = container.ObservedRunning
	case Update:
		f.Outdated = false
	case Remove, Rest:
	}
	return f
}

// TestDecideTable says for every pair of states what is done next.
func TestDecideTable(t *testing.T) {
	const old, same = 1, 2
	table := map[string]Step{}
	put := func(d container.Desired, o container.Observed, run int, s Step) {
		table[fmt.Sprintf("%s/%s/%d", d, o, run)] = s
	}
	for _, run := range []int{old, same} {
		for _, o := range allObserved {
			put(container.DesiredRemoved, o, run, Remove)
		}
		for _, d := range []container.Desired{container.DesiredRunning, container.DesiredPaused, container.DesiredStopped} {
			put(d, container.ObservedAbsent, run, Create)
			put(d, container.ObservedLost, run, Rest)
			put(d, container.ObservedCreated, run, Rest)
			put(d, container.ObservedExited, run, Rest)
		}
		put(container.DesiredStopped, container.ObservedRunning, run, Stop)
		put(container.DesiredStopped, container.ObservedPaused, run, Stop)
	}
	put(container.DesiredRunning, container.ObservedLost, old, Create)
	put(container.DesiredRunning, container.ObservedCreated, old, Start)
	put(container.DesiredRunning, container.ObservedExited, old, Start)
	put(container.DesiredRunning, container.ObservedRunning, old, Stop)
	put(container.DesiredRunning, container.ObservedPaused, old, Stop)
	put(container.DesiredRunning, container.ObservedRunning, same, Rest)
	put(container.DesiredRunning, container.ObservedPaused, same, Unpause)
	put(container.DesiredPaused, container.ObservedRunning, old, Stop)
	put(container.DesiredPaused, container.ObservedPaused, old, Stop)
	put(container.DesiredPaused, container.ObservedRunning, same, Pause)
	put(container.DesiredPaused, container.ObservedPaused, same, Rest)
	everyPair(func(w Wish, f Fact) {
		if f.Failed || f.Outdated || w.Queued {
			return
		}
		key := fmt.Sprintf("%s/%s/%d", w.Desired, f.Observed, f.Run)
		want, known := table[key]
		require.True(t, known, "no row for %s", key)
		require.Equal(t, want, Decide(w, f), key)
	})
}

// TestQueuedIsLeftAlone: nothing is made or started before there is room, and what
// somebody started by hand is stopped.
func TestQueuedIsLeftAlone(t *testing.T) {
	everyPair(func(w Wish, f Fact) {
		if !w.Queued {
			return
		}
		if f.Observed == container.ObservedRunning || f.Observed == container.ObservedPaused {
			require.Equal(t, Stop, Decide(w, f))
			require.Equal(t, container.StatusStopping, Status(w, f))
			return
		}
		require.Equal(t, Rest, Decide(w, f))
		require.Equal(t, container.StatusQueued, Status(w, f))
		require.False(t, reserves(w, f))
	})
}

// TestGPUsAreBoundWhenItIsMade: one that has none yet is not made before it is started.
func TestGPUsAreBoundWhenItIsMade(t *testing.T) {
	waits := Wish{Desired: container.DesiredStopped, Unbound: true}
	absent := Fact{Observed: container.ObservedAbsent}
	require.Equal(t, Rest, Decide(waits, absent))
	require.Equal(t, container.StatusCreated, Status(waits, absent))
	require.Equal(t, Create, Decide(Wish{Desired: container.DesiredRunning, Run: 1}, absent))
}

func TestFailedRestsUntilRemoved(t *testing.T) {
	everyPair(func(w Wish, f Fact) {
		if !f.Failed {
			return
		}
		want := Rest
		if w.Desired == container.DesiredRemoved {
			want = Remove
		}
		require.Equal(t, want, Decide(w, f))
	})
}

// TestEveryPairComesToRest: with an engine that obeys, at most four steps lead
// from anywhere to a state that nothing more is done about.
func TestEveryPairComesToRest(t *testing.T) {
	everyPair(func(w Wish, f Fact) {
		began := f
		for range 5 {
			step := Decide(w, f)
			if step == Rest || step == Remove {
				return
			}
			f = obey(w, f, step)
		}
		require.Failf(t, "it does not come to rest", "%+v %+v", w, began)
	})
}

func TestStatusOfEveryPair(t *testing.T) {
	seen := map[container.Status]bool{}
	everyPair(func(w Wish, f Fact) {
		s := Status(w, f)
		require.NoError(t, container.StatusValidator(s))
		seen[s] = true
		if Decide(w, f) != Rest && w.Desired == container.DesiredStopped && f.Observed != container.ObservedAbsent && !f.Outdated {
			require.Equal(t, container.StatusStopping, s)
		}
	})
	for _, s := range []container.Status{
		container.StatusPending, container.StatusQueued, container.StatusCreated, container.StatusStarting, container.StatusRunning, container.StatusPaused,
		container.StatusStopping, container.StatusExited, container.StatusFailed, container.StatusLost, container.StatusRemoving,
	} {
		require.True(t, seen[s], "%s is never shown", s)
	}
}

// TestReadTwiceIsReadOnce: what was seen once changes nothing when it is seen again.
func TestReadTwiceIsReadOnce(t *testing.T) {
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	limits := engine.Limits{NanoCPUs: 1e9, Memory: 1 << 30}
	states := []*engine.State{nil}
	for _, status := range []engine.Status{engine.StatusCreated, engine.StatusRunning, engine.StatusPaused, engine.StatusExited, engine.StatusRemoving} {
		for _, started := range []string{"", "first", "second"} {
			for _, code := range []int{0, 1, 127, 137} {
				states = append(states, &engine.State{Status: status, StartedAt: started, Limits: limits, ExitCode: code, OOMKilled: code == 137, Started: now, Finished: now})
			}
		}
	}
	ben := "user_b"
	everyPair(func(w Wish, f Fact) {
		for _, stoppedBy := range []*string{nil, &ben} {
			for _, policy := range []container.RestartPolicy{container.RestartPolicyNever, container.RestartPolicyOnFailure} {
				for _, seen := range states {
					row := &ent.Container{
						OwnerID: "user_a", Desired: w.Desired, Run: w.Run, Queued: w.Queued, StoppedBy: stoppedBy, Reserved: true, Observed: f.Observed, ObservedRun: f.Run, Failed: f.Failed,
						EngineStartedAt: "first", CPULimit: 1000, MemoryLimit: record.GiB, AppliedCPU: 1000, AppliedMemory: record.GiB, RestartPolicy: policy,
					}
					n := Read(row, seen, Blame{}, now)
					if n == nil {
						continue
					}
					row.Desired, row.Run, row.Observed, row.ObservedRun, row.Failed = n.Desired, n.Wish.Run, n.Observed, n.Fact.Run, n.Failed
					row.EngineStartedAt, row.Restarts, row.OomTold = n.EngineStartedAt, n.Restarts, n.OOMTold
					if !n.Started.IsZero() {
						row.StoppedBy = nil
					}
					row.AppliedCPU, row.AppliedMemory = record.Cores(n.Applied.NanoCPUs/1_000_000), record.Bytes(n.Applied.Memory)
					row.StatusMessage = &n.Message
					if n.Message == "" {
						row.StatusMessage = nil
					}
					again := Read(row, seen, Blame{}, now)
					require.Nil(t, again, "%+v %+v %+v: %+v then %+v", w, f, seen, n, again)
					// What ended or was lost by itself is not wanted running any more,
					// unless its policy says so.
					if n.Exit != nil && n.Desired == container.DesiredRunning {
						require.True(t, n.Fact.Run < n.Wish.Run || n.Wish.Queued, "%+v %+v %+v: %+v", w, f, seen, n)
					}
					// What rests and is not up holds no reservation, or gives it back now.
					reachable := w.Desired != container.DesiredPaused || f.Run == w.Run // only what runs is paused
					if reachable && n.Exit != nil && Decide(n.Wish, n.Fact) == Rest && !n.up() {
						require.False(t, reserves(n.Wish, n.Fact), "%+v %+v %+v: %+v", w, f, seen, n)
					}
				}
			}
		}
	})
}
