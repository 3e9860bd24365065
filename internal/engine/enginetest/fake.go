package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// Fake is an engine in memory that passes the exam. It has no goroutines and no
// clock of its own: what it does, it does within a call, so a test of thousands
// of steps takes a second and goes the same way every time.
//
// It understands these commands: sleep N (stays until it is ended), and sh -c
// with echo TEXT, echo TEXT >&2, exit N, sleep N and exec dd … bs=NM (takes N MiB
// and stays) between semicolons; and of files echo TEXT > PATH, cat PATH and
// head -c BYTES /dev/zero > PATH; and httpd -f -p PORT, which has no file. Any other program is missing, and ends with 127.
type Fake struct {
	*world
	instance string
	closed   bool
	faults
}

var _ engine.Engine = (*Fake)(nil)

// world is the machine that the fakes of several instances share.
type world struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	down    bool
	muted   bool
	clock   func() time.Time
	ticks   int
	serial  int
	about   engine.Info

	boxes    map[string]*box    // containers by name
	volumes  map[string]*folder // by name
	tags     map[string]string  // references to image ids
	images   map[string]FakeImage
	registry map[string]FakeImage  // by reference
	hosts    map[string]bool       // registries that answer
	networks map[network]time.Time // and since when each was seen to be unused
	watchers []*watcher
}

// StatsPeriod is how often the fake gives a sample. Short, so that tests need
// not wait a second for each.
const StatsPeriod = 5 * time.Millisecond

// NewFake makes an engine for one instance, on a machine of its own.
func NewFake(instance string) *Fake {
	w := &world{
		changed: make(chan struct{}),
		boxes:   map[string]*box{}, volumes: map[string]*folder{}, tags: map[string]string{}, images: map[string]FakeImage{},
		registry: map[string]FakeImage{}, hosts: map[string]bool{"docker.io": true},
		networks: map[network]time.Time{},
		about: engine.Info{
			Name: "fake", Version: "1.0", APIVersion: "1.41", NanoCPUs: 8e9, Memory: 32 << 30,
			CgroupVersion: 2, CgroupDriver: "systemd",
		},
	}
	w.clock = func() time.Time {
		w.ticks++
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.ticks) * time.Millisecond)
	}
	w.about.Boot = w.clock()
	return w.fake(instance)
}

// Sibling is another instance on the same machine.
func (f *Fake) Sibling(instance string) *Fake { return f.fake(instance) }

func (w *world) fake(instance string) *Fake {
	return &Fake{world: w, instance: instance, faults: newFaults()}
}

// SetClock gives the machine another clock. Without one, each reading is a
// millisecond after the one before.
func (f *Fake) SetClock(now func() time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = now
}

// SetInfo changes what Info tells.
func (f *Fake) SetInfo(change func(*engine.Info)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.about)
}

// Down makes the engine unreachable and ends its streams; containers go on, as
// with live restore.
func (f *Fake) Down() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fall()
}

// Shutdown stops all containers of the machine and then the engine, as one
// without live restore does when it is asked to end.
func (f *Fake) Shutdown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endAll(143)
	f.fall()
}

// Up makes the engine reachable again.
func (f *Fake) Up() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rise()
}

// UpAfterCrash makes the engine reachable again, as after a kill -9 without live
// restore: coming back, it has ended all containers.
func (f *Fake) UpAfterCrash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rise()
	f.endAll(137)
}

func (w *world) fall() {
	w.down = true
	for _, watching := range w.watchers {
		watching.ended = true
	}
	w.watchers = nil
	w.announce()
}

func (w *world) rise() {
	w.down = false
	if !w.about.LiveRestore {
		w.about.Boot = w.clock()
	}
	w.announce()
}

func (w *world) endAll(code int) {
	for _, name := range w.names() {
		if b := w.boxes[name]; b.runs() {
			w.end(b, code, false)
			w.tell(b, "stop")
		}
	}
}

// names of all containers, in a fixed order.
func (w *world) names() []string {
	names := make([]string, 0, len(w.boxes))
	for name := range w.boxes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// announce wakes whoever waits for a change. The lock is held.
func (w *world) announce() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// hash is the next id that the engine itself would give.
func (w *world) hash() string {
	w.serial++
	sum := sha256.Sum256([]byte(fmt.Sprint(w.serial)))
	return hex.EncodeToString(sum[:])
}

// Ping says whether the engine answers.
func (f *Fake) Ping(ctx context.Context) error {
	return f.act(ctx, MethodPing, "", func() error { return nil })
}

// Info tells what SetInfo set.
func (f *Fake) Info(ctx context.Context) (info engine.Info, err error) {
	err = f.act(ctx, MethodInfo, "", func() error { info = f.about; return nil })
	return info, err
}

// Close ends this instance's streams; calls fail as unreachable then.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.announce()
	return nil
}

// reachable says why not. The lock is held.
func (f *Fake) reachable() error {
	switch {
	case f.closed:
		return fmt.Errorf("%w: closed", engine.ErrUnreachable)
	case f.down:
		return fmt.Errorf("%w: down", engine.ErrUnreachable)
	}
	return nil
}

// watcher is one open event stream. Its queue has no bound: a test's reader that
// never reads is a bug of the test.
type watcher struct {
	instance string
	queue    []engine.Event
	ended    bool
}

// Watch follows this instance's events.
func (f *Fake) Watch(ctx context.Context, ready func(), event func(engine.Event)) error {
	own := &watcher{instance: f.instance}
	if err := f.act(ctx, MethodWatch, "", func() error {
		f.watchers = append(f.watchers, own)
		return nil
	}); err != nil {
		return err
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watchers = slices.DeleteFunc(f.watchers, func(w *watcher) bool { return w == own })
	}()
	ready()
	for {
		f.mu.Lock()
		queue, ended, changed := own.queue, own.ended || f.closed, f.changed
		own.queue = nil
		f.mu.Unlock()
		for _, e := range queue {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			event(e)
		}
		if ended {
			return fmt.Errorf("%w: the event stream ended", engine.ErrUnreachable)
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Mute makes events get lost while it is on, as they do around reconnections.
func (f *Fake) Mute(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.muted = on
}

// tell sends an event about a container. The lock is held.
func (w *world) tell(b *box, action string) {
	w.send(b.instance, engine.Event{Kind: engine.ContainerEvent, ID: b.ID, Action: action, At: w.clock()})
}

// tellImage sends one about a tag, when it is an instance's own. The lock is held.
func (w *world) tellImage(tag, action string) {
	rest, ours := strings.CutPrefix(tag, "mlride-")
	instance, id, named := strings.Cut(rest, "/")
	if id, latest := strings.CutSuffix(id, ":latest"); ours && named && latest {
		w.send(instance, engine.Event{Kind: engine.ImageEvent, ID: id, Action: action, At: w.clock()})
	}
}

func (w *world) send(instance string, e engine.Event) {
	for _, watching := range w.watchers {
		if watching.instance == instance && !w.muted {
			watching.queue = append(watching.queue, e)
		}
	}
	w.announce()
}
