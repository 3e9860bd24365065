// Package enginetest holds the exam that every engine sits, and the fake: an
// engine in memory that passes the same exam and can be told to fail. What only
// a kernel can show (limits that bite, signals that are ignored) is examined with
// the real adapter.
package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// Subject is an engine under examination, with a second instance on the same
// host, and what the exam needs to do there behind the engine's back.
type Subject struct {
	Engine, Other engine.Engine
	Host          Host
}

// Host is the machine under the engine, and the registries around it.
type Host interface {
	// Image is a reference that the host has. Its command is a shell.
	Image() string
	// SilentImage is one that names no command, BrokenImage one whose containers
	// cannot be started.
	SilentImage() string
	BrokenImage() string
	// Publish puts a new image into a registry, and gives its reference.
	Publish() string
	// PublishNewer puts another image in the place of one that Publish gave.
	PublishNewer(ref string)
	// NoSuchImage is a reference that its registry does not have, DeadRegistry one
	// whose registry does not answer.
	NoSuchImage() string
	DeadRegistry() string
	// Hold makes the host itself have what ref names in its registry; Has says
	// whether it has a reference of just that name.
	Hold(ref string)
	Has(ref string) bool
	// Stranger makes a running container that has the name of Engine's container
	// id, but no label of ours. untouched says whether it is still as it was.
	Stranger(id string) (untouched func() bool)
	// StrangersVolume is the same with a volume.
	StrangersVolume(id string) (untouched func() bool)
	// Kill and Destroy do so to Engine's container id; Say writes a line to its
	// standard output or standard error.
	Kill(id string)
	Destroy(id string)
	Say(id, text string, stderr bool)
	// Networks are the owners who have a network of Engine's instance, in order;
	// DropNetwork removes one behind the engine's back.
	Networks() []string
	DropNetwork(owner string)
	// NewID is a fresh id with this prefix.
	NewID(prefix string) string
}

// patience bounds every wait of the exam.
const patience = 30 * time.Second

// The limits of the exam's containers: small, so that many fit on a machine.
var small = engine.Limits{NanoCPUs: 500_000_000, Memory: 32 << 20}

// sleep is a command that stays until it is told to end.
var sleep = []string{"sleep", "3600"}

// script is a shell's. The fake knows echo, exit, sleep, the dd of hungry, and
// what it says of files.
func script(lines ...string) []string { return []string{"sh", "-c", strings.Join(lines, "; ")} }

// hungry is a command that takes that much memory and keeps it.
func hungry(mib int) []string {
	return script(fmt.Sprintf("exec dd if=/dev/zero of=/dev/null bs=%dM", mib))
}

// Run examines the engines that make gives, a fresh one for each question.
func Run(t *testing.T, make func(t *testing.T) Subject) {
	questions := map[string]func(*exam){
		"Life":                 (*exam).life,
		"ExitCodes":            (*exam).exitCodes,
		"Pause":                (*exam).pause,
		"OutOfMemory":          (*exam).outOfMemory,
		"BrokenStart":          (*exam).brokenStart,
		"CreateRefused":        (*exam).createRefused,
		"Missing":              (*exam).missing,
		"BehindOurBack":        (*exam).behindOurBack,
		"Stranger":             (*exam).stranger,
		"TwoInstances":         (*exam).twoInstances,
		"AtOnce":               (*exam).atOnce,
		"Interactive":          (*exam).interactive,
		"Update":               (*exam).update,
		"Stats":                (*exam).stats,
		"Logs":                 (*exam).logs,
		"LogsFollow":           (*exam).logsFollow,
		"Watch":                (*exam).watch,
		"CallerGivesUp":        (*exam).callerGivesUp,
		"Info":                 (*exam).info,
		"Pull":                 (*exam).pull,
		"PullRefused":          (*exam).pullRefused,
		"PullTwice":            (*exam).pullTwice,
		"PullCancelled":        (*exam).pullCancelled,
		"PullOfWhatWasThere":   (*exam).pullOfWhatWasThere,
		"Adopt":                (*exam).adopt,
		"RemoveImageInUse":     (*exam).removeImageInUse,
		"ImagesOfTwoInstances": (*exam).imagesOfTwoInstances,
		"ImageEvents":          (*exam).imageEvents,
		"Build":                (*exam).build,
		"BuildRefused":         (*exam).buildRefused,
		"BuildCancelled":       (*exam).buildCancelled,
		"Commit":               (*exam).commit,
		"Layers":               (*exam).layers,
		"RemoteDigest":         (*exam).remoteDigest,
		"Leftovers":            (*exam).leftovers,
		"Freed":                (*exam).freed,
		"Volumes":              (*exam).volumes,
		"VolumesStay":          (*exam).volumesStay,
		"VolumeOfStrangers":    (*exam).volumeOfStrangers,
		"Sizes":                (*exam).sizes,
		"Archive":              (*exam).archive,
		"Networks":             (*exam).networks,
		"NetworkGone":          (*exam).networkGone,
		"Exec":                 (*exam).exec,
		"Terminal":             (*exam).terminal,
		"Dial":                 (*exam).dial,
		"Launch":               (*exam).launch,
		"Close":                (*exam).closed,
	}
	for name, question := range questions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
			t.Cleanup(cancel)
			question(&exam{T: t, Subject: make(t), ctx: ctx})
		})
	}
}

type exam struct {
	*testing.T
	Subject
	ctx context.Context
}

// must fails on an error.
func (x *exam) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

// is fails unless err is of that kind.
func (x *exam) is(err, kind error) {
	x.Helper()
	if !errors.Is(err, kind) {
		x.Fatalf("got error %v, want one that is %q", err, kind)
	}
}

// equal fails unless got is want.
func equal[T comparable](x *exam, what string, got, want T) {
	x.Helper()
	if got != want {
		x.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// image has the engine hold the host's image, and gives its id.
func (x *exam) image(e engine.Engine) string {
	x.Helper()
	id := x.Host.NewID("img")
	_, err := e.Adopt(x.ctx, id, x.Host.Image())
	x.must(err)
	return id
}

// spec is of a fresh container with that command.
func (x *exam) spec(image string, command []string) engine.Spec {
	return engine.Spec{
		ID: x.Host.NewID("ctr"), Owner: "usr_exam", ImageID: image, Limits: small,
		Command: command, Hostname: "exam", Environment: []string{"EXAM=1"},
	}
}

// created makes a container with that command and gives its id.
func (x *exam) created(command []string) string {
	x.Helper()
	spec := x.spec(x.image(x.Engine), command)
	x.must(x.Engine.Create(x.ctx, spec))
	return spec.ID
}

// started makes and starts one.
func (x *exam) started(command []string) string {
	x.Helper()
	id := x.created(command)
	x.must(x.Engine.Start(x.ctx, id))
	return id
}

// inspect is the present state.
func (x *exam) inspect(id string) engine.State {
	x.Helper()
	s, err := x.Engine.Inspect(x.ctx, id)
	x.must(err)
	return s
}

// record is what a Watch told.
type record struct {
	mu     sync.Mutex
	events []engine.Event
	told   chan struct{}
}

// follow watches e from now until the question ends.
func (x *exam) follow(e engine.Engine) *record {
	x.Helper()
	r := &record{told: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(x.ctx)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- e.Watch(ctx, func() { close(ready) }, func(ev engine.Event) {
			r.mu.Lock()
			r.events = append(r.events, ev)
			r.mu.Unlock()
			select {
			case r.told <- struct{}{}:
			default:
			}
		})
	}()
	x.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			x.Errorf("Watch ended with %v, not with its context's error", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		x.Fatalf("Watch: %v", err)
	case <-time.After(patience):
		x.Fatal("Watch did not become ready")
	}
	return r
}

// of are the actions told about id so far.
func (r *record) of(id string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var actions []string
	for _, e := range r.events {
		if e.ID == id {
			actions = append(actions, e.Action)
		}
	}
	return actions
}

// await waits for events until holds.
func (x *exam) await(r *record, what string, holds func() bool) {
	x.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-r.told:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			x.Fatalf("never came: %s; events: %v", what, r.events)
		}
	}
}

// awaitEvents waits until the actions about id are these.
func (x *exam) awaitEvents(r *record, id string, want ...string) {
	x.Helper()
	of := func() []string { return once(r.of(id), "oom") }
	x.await(r, fmt.Sprintf("%v about %s", want, id), func() bool { return len(of()) >= len(want) })
	if got := of(); !slices.Equal(got, want) {
		x.Fatalf("events about %s: got %v, want %v", id, got, want)
	}
}

// once leaves of an event that is told several times in a row the first: the kernel
// may kill several processes for memory before the last of them ends the container.
func once(events []string, repeated string) []string {
	return slices.CompactFunc(slices.Clone(events), func(a, b string) bool { return a == repeated && b == repeated })
}

// awaitStatus waits for events until the container's status is this.
func (x *exam) awaitStatus(r *record, id string, want engine.Status) engine.State {
	x.Helper()
	var s engine.State
	x.await(r, fmt.Sprintf("%s is %s", id, want), func() bool {
		s = x.inspect(id)
		return s.Status == want
	})
	return s
}
