package lifecycle

import (
	"fmt"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
)

// This file is pure: a row and the engine's word in, what to write out.

// maxRestarts is how often ON_FAILURE restarts a container between two starts
// by its owner.
const maxRestarts = 5

// News is what an observation changes.
type News struct {
	Fact
	Wish
	// Restarts is how often ON_FAILURE has restarted it.
	Restarts int
	// EngineStartedAt identifies the run that Fact tells of.
	EngineStartedAt string
	Started         time.Time
	Applied         engine.Limits
	// Exit is how the run ended, nil unless it just did.
	Exit *record.Exit
	// Message is for the owner; empty clears what stood there.
	Message string
	// Events are lines for the timeline.
	Events []Line
	// Again says that the restart policy starts it once more.
	Again bool
	// OOMTold says that an out-of-memory kill inside, in this run, was told.
	OOMTold bool
}

// Line is a line of the timeline.
type Line struct{ Kind, Message string }

// Blame says what is known about an end besides what the engine tells of the
// container.
type Blame struct {
	// EngineEnded says that the engine itself went away or came back around it.
	EngineEnded bool
	// Peak is the most memory that the run was seen to use, nil where nobody looked.
	Peak *record.Bytes
	// LastLines are the last lines of its output.
	LastLines []string
	// OutOfMemory says that the engine told once more of something killed for memory.
	OutOfMemory bool
}

// Read says what the engine's word about a container changes; nil when nothing.
// seen is nil when the engine has no such container.
func Read(c *ent.Container, seen *engine.State, blame Blame, now time.Time) *News {
	n := &News{
		Fact: factOf(c), Wish: wishOf(c), Restarts: c.Restarts,
		EngineStartedAt: c.EngineStartedAt, OOMTold: c.OomTold,
		Applied: engine.Limits{NanoCPUs: c.AppliedCPU.Nano(), Memory: int64(c.AppliedMemory)},
	}
	if c.StatusMessage != nil {
		n.Message = *c.StatusMessage
	}
	before := *n
	if seen == nil || seen.Status == engine.StatusRemoving {
		n.gone(c)
	} else {
		n.there(c, seen)
		n.outOfMemory(c, seen, blame)
		if n.ended(before.Fact) {
			n.end(c, seen, blame, now)
		}
	}
	n.Outdated = record.Cores(n.Applied.NanoCPUs/1_000_000) != c.CPULimit || record.Bytes(n.Applied.Memory) != c.MemoryLimit
	if n.Fact == before.Fact && n.Wish == before.Wish && n.EngineStartedAt == before.EngineStartedAt &&
		n.OOMTold == before.OOMTold && len(n.Events) == 0 && n.Applied == before.Applied && n.Message == before.Message && n.Exit == nil {
		return nil
	}
	return n
}

// gone: what was never made is still to be made, what was there is lost.
func (n *News) gone(c *ent.Container) {
	if n.Observed == container.ObservedAbsent || n.Observed == container.ObservedLost || n.Desired == container.DesiredRemoved {
		return
	}
	n.Observed, n.Fact.Run, n.Failed = container.ObservedLost, n.Wish.Run, false
	n.Applied, n.EngineStartedAt = engine.Limits{}, ""
	if !n.Wish.Queued { // who waits goes on waiting, and is made anew
		n.Desired = container.DesiredStopped
		n.Message = "It was removed outside of MLRide. Start makes it anew, without what was written in it."
	}
	n.say("lost", "The container is gone from the engine, and nobody asked for that here.")
	if c.FinishedAt == nil && c.StartedAt != nil {
		n.Exit = &record.Exit{Reason: record.ExitUnknown, Message: "It was removed outside of MLRide while it ran."}
	}
}

// there: which run the engine tells of, and what of it.
func (n *News) there(c *ent.Container, seen *engine.State) {
	was := n.Fact
	n.Applied = seen.Limits
	if seen.StartedAt != "" && seen.StartedAt != n.EngineStartedAt {
		n.EngineStartedAt, n.Started = seen.StartedAt, seen.Started
		n.Fact.Run, n.Failed, n.OOMTold = n.Wish.Run, false, false
	}
	switch seen.Status {
	case engine.StatusCreated:
		n.Observed = container.ObservedCreated
		if was.Observed == container.ObservedAbsent || was.Observed == container.ObservedLost {
			n.say("created", "The engine has made the container.")
			if n.Desired != container.DesiredStopped { // else it may say why it is not wanted running any more
				n.Message = ""
			}
		}
	case engine.StatusRunning:
		n.Observed = container.ObservedRunning
		if n.Fact.Run != was.Run || was.Observed == container.ObservedCreated || was.Observed == container.ObservedExited {
			n.say("running", "The container runs.")
			n.Message = ""
		} else if was.Observed == container.ObservedPaused {
			n.say("unpaused", "The container goes on.")
		}
	case engine.StatusPaused:
		n.Observed = container.ObservedPaused
		if was.Observed != container.ObservedPaused {
			n.say("paused", "The container is frozen.")
		}
	case engine.StatusExited:
		n.Observed = container.ObservedExited
	case engine.StatusRemoving: // handled as gone
	}
}

// outOfMemory: the kernel ended a program inside for memory, and the container
// goes on, as a notebook does whose kernel died. The engine's flag stays up for
// the rest of the run, so that it is told also when nobody listened.
func (n *News) outOfMemory(c *ent.Container, seen *engine.State, blame Blame) {
	if !n.up() || !seen.OOMKilled || n.OOMTold && !blame.OutOfMemory {
		return
	}
	n.OOMTold = true
	n.Message = fmt.Sprintf("A program in it was ended because memory ran out at %s%s. The container goes on; raise the limit if that was not meant.", c.MemoryLimit, seenPeak(blame.Peak))
	n.say("out-of-memory", n.Message)
}

func seenPeak(peak *record.Bytes) string {
	if peak == nil {
		return ""
	}
	return fmt.Sprintf(" (at most %s were seen in use)", *peak)
}

// ended says whether the run that is told of has just been seen to end.
func (n *News) ended(was Fact) bool {
	return n.Observed == container.ObservedExited && (was.Observed != container.ObservedExited || was.Run != n.Fact.Run)
}

// end says how the run ended and what follows. Somebody asked for it if it is not
// wanted running, or if another run is wanted by now; the wanted run itself, also
// where it began and ended between two looks, ended by itself.
func (n *News) end(c *ent.Container, seen *engine.State, blame Blame, now time.Time) {
	at := seen.Finished.UTC()
	if at.IsZero() || at.Year() < 2000 {
		at = now.UTC()
	}
	asked := c.StoppedBy != nil && n.Fact.Run < n.Wish.Run || n.Desired == container.DesiredStopped || n.Desired == container.DesiredRemoved
	n.Exit = explain(c, seen, asked, blame)
	n.Exit.At, n.Exit.MemoryPeak, n.Exit.LastLines = at, blame.Peak, blame.LastLines
	n.Message = ""
	n.say("exited", n.Exit.Message)
	if asked || n.Wish.Queued || n.Fact.Run < n.Wish.Run {
		return // it was meant to end; what is wanted next stands in the wish
	}
	switch {
	case blame.EngineEnded:
		n.Desired = container.DesiredRunning
		n.Wish.Run++
		n.say("restart", "The engine ended it; it is started again.")
	case c.RestartPolicy == container.RestartPolicyOnFailure && n.Exit.Reason != record.ExitCompleted && n.Restarts < maxRestarts:
		n.Restarts++
		n.Wish.Run++
		n.Desired = container.DesiredRunning // it may have been frozen when it ended
		n.Again = true
		n.Message = fmt.Sprintf("%s It is started again (%d of %d).", n.Exit.Message, n.Restarts, maxRestarts)
		n.say("restart", fmt.Sprintf("Its restart policy starts it again (%d of %d).", n.Restarts, maxRestarts))
	default:
		n.Desired = container.DesiredStopped
		if n.Exit.Reason != record.ExitCompleted {
			n.Message = n.Exit.Message
		}
	}
}

// Exit statuses with a meaning of their own: programs that a signal ended.
const (
	killed     = 128 + 9
	terminated = 128 + 15
	// As the container's init reports a command that it could not run.
	notExecutable = 126
	notFound      = 127
)

// explain says why a run ended. The engine's memory flag also rises when only a
// child was killed, so it counts only together with the status of a kill.
func explain(c *ent.Container, seen *engine.State, asked bool, blame Blame) *record.Exit {
	code := seen.ExitCode
	e := &record.Exit{Code: &code}
	switch {
	case seen.OOMKilled && code == killed:
		e.Reason = record.ExitOutOfMemory
		e.Message = fmt.Sprintf("Ran out of memory at %s%s. Raise the limit and start again.", c.MemoryLimit, seenPeak(blame.Peak))
	case asked && c.StoppedBy != nil && *c.StoppedBy == byIdle:
		e.Reason, e.Message = record.ExitIdle, "It was stopped because nothing used it. Start it again whenever you like."
	case asked && c.StoppedBy != nil && *c.StoppedBy != c.OwnerID:
		e.Reason, e.Message = record.ExitStoppedByAdmin, "An administrator stopped it."
	case asked:
		e.Reason, e.Message = record.ExitStoppedByOwner, "Stopped by its owner."
	case blame.EngineEnded:
		e.Reason, e.Message = record.ExitEngineRestarted, "The container engine ended while it ran."
	case code == 0:
		e.Reason, e.Message = record.ExitCompleted, "Its program ended normally."
	case code == killed, code == terminated:
		e.Reason, e.Message = record.ExitKilled, fmt.Sprintf("It was killed outside of MLRide (code %d).", code)
	case code == notFound && len(c.Command) > 0:
		e.Reason = record.ExitError
		e.Message = fmt.Sprintf("The program %q is not in the image (code %d). Give another command.", c.Command[0], code)
	case code == notExecutable && len(c.Command) > 0:
		e.Reason = record.ExitError
		e.Message = fmt.Sprintf("%q is in the image but cannot be run (code %d). Give another command.", c.Command[0], code)
	default:
		e.Reason = record.ExitError
		e.Message = fmt.Sprintf("Its program ended with code %d. Its log says more.", code)
	}
	return e
}

func (n *News) say(kind, message string) { n.Events = append(n.Events, Line{kind, message}) }
