package enginetest_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
)

// TestExam: the fake cannot drift from the real engine, as both sit the same exam.
func TestExam(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) enginetest.Subject {
		f := enginetest.NewFake("a")
		f.Load("tools/busybox:1", enginetest.FakeImage{})
		f.Load("tools/silent:1", enginetest.FakeImage{Silent: true})
		f.Load("tools/broken:1", enginetest.FakeImage{Broken: true})
		f.Publish("registry.test/any:1", enginetest.FakeImage{})
		return enginetest.Subject{Engine: f, Other: f.Sibling("b"), Host: host{f}}
	})
}

type host struct{ *enginetest.Fake }

var serial atomic.Int64

func (h host) Image() string              { return "tools/busybox:1" }
func (h host) SilentImage() string        { return "tools/silent:1" }
func (h host) BrokenImage() string        { return "tools/broken:1" }
func (h host) NoSuchImage() string        { return "registry.test/no/such:1" }
func (h host) DeadRegistry() string       { return "dead.test/team/app:1" }
func (h host) Has(ref string) bool        { return h.Holds(ref) }
func (h host) Hold(ref string)            { h.Load(ref, enginetest.FakeImage{}) }
func (h host) NewID(prefix string) string { return fmt.Sprintf("%s_%d", prefix, serial.Add(1)) }
func (h host) Publish() string {
	ref := "registry.test/" + h.NewID("app") + ":1"
	h.Fake.Publish(ref, enginetest.FakeImage{})
	return ref
}

func (h host) PublishNewer(ref string) { h.Fake.Publish(ref, enginetest.FakeImage{}) }

// made is a fake with one running container.
func made(t *testing.T) (*enginetest.Fake, string) {
	t.Helper()
	f := enginetest.NewFake("a")
	f.Load("tools/busybox:1", enginetest.FakeImage{})
	ctx := context.Background()
	if _, err := f.Adopt(ctx, "img_1", "tools/busybox:1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Create(ctx, engine.Spec{ID: "ctr_1", ImageID: "img_1", Command: []string{"sleep", "9"}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Start(ctx, "ctr_1"); err != nil {
		t.Fatal(err)
	}
	return f, "ctr_1"
}

func status(t *testing.T, f *enginetest.Fake, id string) engine.Status {
	t.Helper()
	s, err := f.Inspect(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s.Status
}

func TestFaults(t *testing.T) {
	f, id := made(t)
	ctx := context.Background()

	f.Fail(enginetest.MethodStop, engine.ErrBusy, 2)
	for range 2 {
		if err := f.Stop(ctx, id, 0); !errors.Is(err, engine.ErrBusy) {
			t.Fatalf("got %v, want busy", err)
		}
	}
	if got := status(t, f, id); got != engine.StatusRunning {
		t.Fatalf("a failed stop did something: %s", got)
	}
	f.LoseAnswer(enginetest.MethodStop, 1)
	if err := f.Stop(ctx, id, 0); !errors.Is(err, engine.ErrUnreachable) {
		t.Fatalf("got %v, want unreachable", err)
	}
	if got := status(t, f, id); got != engine.StatusExited {
		t.Fatalf("a stop whose answer was lost did nothing: %s", got)
	}
	if got := f.Calls(enginetest.MethodStop); got != 3 {
		t.Fatalf("counted %d stops, want 3", got)
	}

	release := f.Hang(enginetest.MethodStart)
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if err := f.Start(short, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v, want the caller's deadline", err)
	}
	ended := make(chan error)
	go func() { ended <- f.Start(ctx, id) }()
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}

	f.OnCall(func(m enginetest.Method, about string) enginetest.Fault {
		if m == enginetest.MethodInspect && about == id {
			return enginetest.Fault{Err: engine.ErrDiskFull}
		}
		return enginetest.Fault{}
	})
	if _, err := f.Inspect(ctx, id); !errors.Is(err, engine.ErrDiskFull) {
		t.Fatalf("got %v, want disk full", err)
	}
}

func TestDownAndUp(t *testing.T) {
	f, id := made(t)
	ctx := context.Background()
	ready, ended := make(chan struct{}), make(chan error)
	go func() { ended <- f.Watch(ctx, func() { close(ready) }, func(engine.Event) {}) }()
	<-ready
	f.Down()
	if err := <-ended; !errors.Is(err, engine.ErrUnreachable) {
		t.Fatalf("the stream ended with %v", err)
	}
	if _, err := f.Inspect(ctx, id); !errors.Is(err, engine.ErrUnreachable) {
		t.Fatalf("got %v, want unreachable", err)
	}
	f.Exit(id, 7) // nobody hears of it
	f.Up()
	s, err := f.Inspect(ctx, id)
	if err != nil || s.ExitCode != 7 || s.Status != engine.StatusExited {
		t.Fatalf("got %+v, %v", s, err)
	}

	if err := f.Start(ctx, id); err != nil {
		t.Fatal(err)
	}
	f.Down()
	f.UpAfterCrash()
	info, err := f.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = f.Inspect(ctx, id); err != nil || s.ExitCode != 137 || s.Finished.Before(info.Boot) {
		t.Fatalf("after a crash: %+v, %v; the engine began at %v", s, err, info.Boot)
	}
}

func TestOutside(t *testing.T) {
	f, id := made(t)
	ctx := context.Background()
	f.OOM(id)
	if s, err := f.Inspect(ctx, id); err != nil || !s.OOMKilled || s.ExitCode != 137 {
		t.Fatalf("got %+v, %v", s, err)
	}
	f.Revive(id)
	if got := status(t, f, id); got != engine.StatusRunning {
		t.Fatalf("got %s, want running", got)
	}
	f.Removing(id)
	if err := f.Remove(ctx, id); !errors.Is(err, engine.ErrBusy) {
		t.Fatalf("got %v, want busy", err)
	}
	f.Destroy(id)
	if err := f.Remove(ctx, id); err != nil {
		t.Fatal(err)
	}
	f.Forget("img_1")
	if err := f.Create(ctx, engine.Spec{ID: id, ImageID: "img_1"}); !errors.Is(err, engine.ErrImageMissing) {
		t.Fatalf("got %v, want a missing image", err)
	}
}

// BenchmarkSteps: property tests walk through thousands of states.
func BenchmarkSteps(b *testing.B) {
	f := enginetest.NewFake("a")
	f.Load("tools/busybox:1", enginetest.FakeImage{})
	ctx := context.Background()
	if _, err := f.Adopt(ctx, "img_1", "tools/busybox:1"); err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		id := fmt.Sprintf("ctr_%d", i%50)
		err := errors.Join(
			f.Create(ctx, engine.Spec{ID: id, ImageID: "img_1", Command: []string{"sleep", "9"}}),
			f.Start(ctx, id), f.Stop(ctx, id, 0), f.Remove(ctx, id))
		if err != nil {
			b.Fatal(err)
		}
	}
}
