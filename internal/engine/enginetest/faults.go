package enginetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/mlride/mlride/internal/engine"
)

// Method names a verb of the contract, for faults and counts.
type Method string

// The verbs.
const (
	MethodCreate         Method = "Create"
	MethodStart          Method = "Start"
	MethodStop           Method = "Stop"
	MethodPause          Method = "Pause"
	MethodUnpause        Method = "Unpause"
	MethodUpdate         Method = "Update"
	MethodRemove         Method = "Remove"
	MethodInspect        Method = "Inspect"
	MethodList           Method = "List"
	MethodLogs           Method = "Logs"
	MethodStats          Method = "Stats"
	MethodPull           Method = "Pull"
	MethodAdopt          Method = "Adopt"
	MethodRemoveImage    Method = "RemoveImage"
	MethodInspectImage   Method = "InspectImage"
	MethodListImages     Method = "ListImages"
	MethodRemoveVolume   Method = "RemoveVolume"
	MethodVolumeSize     Method = "VolumeSize"
	MethodArchiveVolume  Method = "ArchiveVolume"
	MethodListVolumes    Method = "ListVolumes"
	MethodLayerSize      Method = "LayerSize"
	MethodPruneNetworks  Method = "PruneNetworks"
	MethodExec           Method = "Exec"
	MethodOpenTerminal   Method = "OpenTerminal"
	MethodResizeTerminal Method = "ResizeTerminal"
	MethodEndTerminal    Method = "EndTerminal"
	MethodWatch          Method = "Watch"
	MethodInfo           Method = "Info"
	MethodPing           Method = "Ping"
	MethodDial           Method = "Dial"
	MethodLaunch         Method = "Launch"
)

// Fault is what goes wrong with a call.
type Fault struct {
	// Err is the answer. Nil is no fault, unless AnswerLost.
	Err error
	// AnswerLost does what was asked, and then answers ErrUnreachable.
	AnswerLost bool
}

// faults are what is to go wrong with one instance's calls.
type faults struct {
	faultsMu sync.Mutex
	queued   map[Method][]Fault
	hung     map[Method]chan struct{}
	counted  map[Method]int
	onCall   func(Method, string) Fault
}

func newFaults() faults {
	return faults{queued: map[Method][]Fault{}, hung: map[Method]chan struct{}{}, counted: map[Method]int{}}
}

// Fail makes the next so many calls of m answer err without doing anything.
func (f *faults) Fail(m Method, err error, times int) { f.queue(m, Fault{Err: err}, times) }

// LoseAnswer makes the next so many calls of m do what was asked, and then
// answer ErrUnreachable.
func (f *faults) LoseAnswer(m Method, times int) { f.queue(m, Fault{AnswerLost: true}, times) }

func (f *faults) queue(m Method, fault Fault, times int) {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	for range times {
		f.queued[m] = append(f.queued[m], fault)
	}
}

// Hang makes calls of m wait before they do anything, until release is called or
// their context ends.
func (f *faults) Hang(m Method) (release func()) {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	gate := make(chan struct{})
	f.hung[m] = gate
	return sync.OnceFunc(func() {
		f.faultsMu.Lock()
		defer f.faultsMu.Unlock()
		if f.hung[m] == gate {
			delete(f.hung, m)
		}
		close(gate)
	})
}

// OnCall asks decide before every call, with the id that it is about (empty
// where there is none). It may act on the fake; nil takes it away.
func (f *faults) OnCall(decide func(m Method, id string) Fault) {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	f.onCall = decide
}

// Calls is how often m was called so far.
func (f *faults) Calls(m Method) int {
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	return f.counted[m]
}

// enter counts a call and says what is to go wrong with it.
func (f *faults) enter(ctx context.Context, m Method, id string) (Fault, error) {
	if err := ctx.Err(); err != nil {
		return Fault{}, err
	}
	f.faultsMu.Lock()
	f.counted[m]++
	decide, gate := f.onCall, f.hung[m]
	f.faultsMu.Unlock()
	if decide != nil {
		if fault := decide(m, id); fault.Err != nil || fault.AnswerLost {
			return fault, nil
		}
	}
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return Fault{}, ctx.Err()
		}
	}
	f.faultsMu.Lock()
	defer f.faultsMu.Unlock()
	if waiting := f.queued[m]; len(waiting) > 0 {
		f.queued[m] = waiting[1:]
		return waiting[0], nil
	}
	return Fault{}, nil
}

// act does one verb under the world's lock, faults and all.
func (f *Fake) act(ctx context.Context, m Method, id string, do func() error) error {
	fault, err := f.enter(ctx, m, id)
	if err != nil {
		return err
	}
	if fault.Err != nil {
		return fault.Err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.reachable(); err != nil {
		return err
	}
	err = do()
	if fault.AnswerLost {
		return fmt.Errorf("%w: the answer was lost", engine.ErrUnreachable)
	}
	return err
}
