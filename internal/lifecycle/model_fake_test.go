package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/quota"
)

// fakeHands do to the engine in memory what a real one cannot be made to do.
type fakeHands struct {
	fake *enginetest.Fake
	// past is another way to the same containers, on which nothing goes wrong.
	past *enginetest.Fake
	// ahead is how far the machine's clock is off.
	ahead atomic.Int64

	down bool
	// missed says that the server may not have noticed yet what became of the engine.
	missed  bool
	mu      sync.Mutex
	faults  map[enginetest.Method][]enginetest.Fault
	release []func()
}

var fakeTrouble = []string{
	"exit 0", "exit 3", "out of memory", "out of memory inside", "fault", "fault", "fault", "answer lost", "answer lost",
	"hang", "release", "down", "up", "shutdown", "crash of the engine", "events lost", "clock",
}

func newFakeHands(liveRestore bool) *fakeHands {
	instance := dockertest.Instance()
	f := &fakeHands{fake: enginetest.NewFake(instance), faults: map[enginetest.Method][]enginetest.Fault{}}
	f.past = f.fake.Sibling(instance)
	f.fake.SetClock(f.now)
	f.fake.SetInfo(func(i *engine.Info) { i.NanoCPUs, i.LiveRestore = 8e9, liveRestore })
	f.fake.Load(fakeImage, enginetest.FakeImage{})
	f.fake.OnCall(func(m enginetest.Method, _ string) enginetest.Fault {
		f.mu.Lock()
		defer f.mu.Unlock()
		if waiting := f.faults[m]; len(waiting) > 0 {
			f.faults[m] = waiting[1:]
			return waiting[0]
		}
		return enginetest.Fault{}
	})
	return f
}

func (f *fakeHands) now() time.Time { return time.Now().UTC().Add(time.Duration(f.ahead.Load())) }

// methods are those that may go wrong, and begins what is refused for good.
var (
	methods = []enginetest.Method{
		enginetest.MethodCreate, enginetest.MethodStart, enginetest.MethodStop, enginetest.MethodInspect, enginetest.MethodRemove,
		enginetest.MethodPause, enginetest.MethodUnpause, enginetest.MethodUpdate, enginetest.MethodList, enginetest.MethodWatch,
		enginetest.MethodInfo, enginetest.MethodRemoveVolume,
	}
	answers = []error{
		errors.New("500: internal error"), engine.ErrUnreachable, engine.ErrBusy, errors.New("500: internal error"),
		engine.ErrUnreachable, engine.ErrRefused, engine.ErrDiskFull, engine.ErrImageMissing,
	}
)

func (f *fakeHands) act(_ *house, s step, id string) bool {
	method := methods[s.At%len(methods)]
	switch s.Do {
	case "kill by hand":
		f.fake.Kill(id)
	case "start by hand":
		f.fake.Revive(id)
	case "remove by hand":
		f.fake.Destroy(id)
	case "pause by hand":
		if s.N%2 == 0 {
			_ = f.past.Pause(context.Background(), id)
		} else {
			_ = f.past.Unpause(context.Background(), id)
		}
	case "exit 0":
		f.fake.Exit(id, 0)
	case "exit 3":
		f.fake.Exit(id, 3)
	case "out of memory":
		f.fake.OOM(id)
	case "out of memory inside":
		f.fake.OOMInside(id)
	case "fault":
		f.fault(method, enginetest.Fault{Err: fmt.Errorf("%w (drawn)", answers[s.N%len(answers)])}, 1+s.M%3)
	case "answer lost":
		f.fault(method, enginetest.Fault{AnswerLost: true}, 1+s.M%2)
	case "hang":
		if method != enginetest.MethodRemoveVolume { // a person waits for this one
			f.release = append(f.release, f.fake.Hang(method))
		}
	case "release":
		f.free()
	case "down":
		f.fake.Down()
		f.down, f.missed = true, true
	case "shutdown":
		f.fake.Shutdown()
		f.down, f.missed = true, true
	case "up":
		f.up(s.N%2 == 0)
	case "crash of the engine":
		f.fake.Down()
		f.down, f.missed = true, true
		f.up(false)
	case "events lost":
		f.fake.Mute(true)
		f.missed = true
		if s.M%2 == 0 {
			f.fake.Kill(id)
		} else {
			f.fake.Destroy(id)
		}
	case "clock":
		f.ahead.Add(int64([]time.Duration{-time.Hour, -time.Second, -time.Minute, time.Minute}[s.N%4]))
	default:
		return false
	}
	return true
}

func (f *fakeHands) fault(m enginetest.Method, fault enginetest.Fault, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range times {
		f.faults[m] = append(f.faults[m], fault)
	}
}

func (f *fakeHands) free() {
	for _, release := range f.release {
		release()
	}
	f.release = nil
}

func (f *fakeHands) up(intact bool) {
	if !f.down {
		return
	}
	f.down = false
	if intact {
		f.fake.Up()
	} else {
		f.fake.UpAfterCrash()
	}
}

func (f *fakeHands) heal(h *house) {
	f.mu.Lock()
	clear(f.faults)
	f.mu.Unlock()
	f.free()
	if f.missed {
		// What was lost is made good when the stream is opened anew, or within half a
		// minute, for which this test does not wait.
		f.missed = false
		f.fake.Mute(false)
		f.fake.Down()
		f.down = true
		require.Eventually(h.t, func() bool { return !h.Connection().Connected }, patience, time.Millisecond)
	}
	f.up(true)
}

// TestModelOnFake: eighty sequences, some three thousand steps, of what people, administrators, engines
// and power cuts do.
func TestModelOnFake(t *testing.T) {
	t.Parallel()
	deeds := append(append(append([]string{}, verbs...), outside...), fakeTrouble...)
	var taken, number atomic.Int64
	t.Cleanup(func() { t.Logf("%d steps in %d sequences", taken.Load(), number.Load()) })
	sequences(t, 80, steps(deeds, 20, 60), func(m *model, t tester, path string, script []step) {
		hands := newFakeHands(len(script)%2 == 0)
		h := houseAt(t, path, hands.fake)
		h.now, h.policy = hands.now, quota.Policy{OvercommitCPU: 1, OvercommitMemory: 1}
		h.open()
		h.adopt(fakeImage)
		require.NoError(t, h.quota.SetDevices(context.Background(), []quota.Device{{ID: "GPU-a", Name: "A"}, {ID: "GPU-b", Name: "B"}, {ID: "GPU-c", Name: "C"}}))
		m.begin(t, h, hands)
		m.gpus = true
		m.run(script, 10)
		taken.Add(int64(len(script)))
		number.Add(1)
	})
}
