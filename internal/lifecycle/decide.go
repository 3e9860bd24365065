package lifecycle

import (
	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
)

// This file is pure: what is wanted and what is seen in, a word out.

// Wish is what is wanted of a container.
type Wish struct {
	Desired container.Desired
	// Run is the number of the run that is wanted; it grows with each start and restart.
	Run int
	// Queued says that it waits for room: it is wanted running, and not yet.
	Queued bool
	// Unbound says that it needs GPUs and has not been given any. An engine binds a
	// container to its GPUs when it makes it, so it is made when it is started.
	Unbound bool
}

// Fact is what was last seen of it.
type Fact struct {
	Observed container.Observed
	// Run is the number of the run that Observed tells of.
	Run int
	// Failed says that it could not be made or started, and rests until its
	// owner asks again.
	Failed bool
	// Outdated says that the engine has other limits than the row.
	Outdated bool
}

func wishOf(c *ent.Container) Wish {
	return Wish{Desired: c.Desired, Run: c.Run, Queued: c.Queued, Unbound: c.GpuLimit > 0 && len(c.GpuDevices) == 0}
}

func factOf(c *ent.Container) Fact {
	return Fact{
		Observed: c.Observed, Run: c.ObservedRun, Failed: c.Failed,
		Outdated: c.AppliedCPU != c.CPULimit || c.AppliedMemory != c.MemoryLimit,
	}
}

// Step is one thing asked of the engine.
type Step string

// The steps.
const (
	Rest    Step = "rest"
	Create  Step = "create"
	Start   Step = "start"
	Stop    Step = "stop"
	Pause   Step = "pause"
	Unpause Step = "unpause"
	Update  Step = "update"
	Remove  Step = "remove"
)

// Decide names the one next step that brings a container closer to what is
// wanted. It reads nothing, changes nothing, and asks no clock.
func Decide(w Wish, f Fact) Step {
	if w.Desired == container.DesiredRemoved {
		return Remove // also when nothing was seen: a create may have been cut short
	}
	if f.Failed {
		return Rest
	}
	if w.Queued {
		if f.up() {
			return Stop // somebody started it by hand; it has no room yet
		}
		return Rest
	}
	switch f.Observed {
	case container.ObservedAbsent:
		if w.Unbound {
			return Rest
		}
		return Create
	case container.ObservedLost:
		if w.Desired == container.DesiredRunning && f.Run < w.Run {
			return Create // asked for again since it was lost
		}
		return Rest // gone behind our back: its owner decides
	case container.ObservedCreated, container.ObservedExited:
		return whileDown(w, f)
	case container.ObservedRunning, container.ObservedPaused:
		return whileUp(w, f)
	}
	return Rest
}

func whileDown(w Wish, f Fact) Step {
	begins := w.Desired == container.DesiredRunning && f.Run < w.Run
	switch {
	case f.Outdated:
		return Update
	case begins:
		return Start
	default:
		return Rest // what ended stays ended until its owner asks again
	}
}

func whileUp(w Wish, f Fact) Step {
	paused := f.Observed == container.ObservedPaused
	switch {
	case w.Desired == container.DesiredStopped, f.Run < w.Run:
		return Stop // a restart too: the old run ends first
	case f.Outdated:
		return Update
	case w.Desired == container.DesiredPaused && !paused:
		return Pause
	case w.Desired == container.DesiredRunning && paused:
		return Unpause
	default:
		return Rest
	}
}

// up says that its program is in memory.
func (f Fact) up() bool {
	return f.Observed == container.ObservedRunning || f.Observed == container.ObservedPaused
}

// Status is the one word for wish and fact together that people see.
func Status(w Wish, f Fact) container.Status {
	switch {
	case w.Desired == container.DesiredRemoved:
		return container.StatusRemoving
	case f.Failed:
		return container.StatusFailed
	case w.Queued && !f.up():
		return container.StatusQueued
	case w.Queued:
		return container.StatusStopping
	case w.Unbound && f.Observed == container.ObservedAbsent:
		return container.StatusCreated
	}
	begins := w.Desired == container.DesiredRunning && f.Run < w.Run
	switch f.Observed {
	case container.ObservedAbsent:
		return container.StatusPending
	case container.ObservedLost:
		if begins {
			return container.StatusPending
		}
		return container.StatusLost
	case container.ObservedCreated:
		if begins {
			return container.StatusStarting
		}
		return container.StatusCreated
	case container.ObservedExited:
		if begins {
			return container.StatusStarting
		}
		return container.StatusExited
	case container.ObservedRunning, container.ObservedPaused:
		if w.Desired == container.DesiredStopped || f.Run < w.Run {
			return container.StatusStopping
		}
		if f.Observed == container.ObservedPaused {
			return container.StatusPaused
		}
		return container.StatusRunning
	}
	return container.StatusPending
}

// reserves says whether CPU, memory and GPU count: from the wish that it runs
// until its end was seen.
func reserves(w Wish, f Fact) bool {
	if f.up() {
		return true
	}
	if f.Failed || w.Queued {
		return false
	}
	return w.Desired == container.DesiredRunning || w.Desired == container.DesiredPaused
}
