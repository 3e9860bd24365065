package lifecycle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/containerevent"
	"github.com/mlride/mlride/ent/device"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/volume"
)

// The model does at random what people, administrators, engines and power cuts
// do, remembers only what must be true, and looks whether it is.

// step is one thing that happens. Its numbers mean something in every state, so
// that a sequence can be made shorter and is told as it was drawn.
type step struct {
	Do string
	// Who is a person (0 to 2) or the administrator (3).
	Who int
	// At is a container, a volume or a method, counted round.
	At int
	// N and M are how it is done.
	N, M int
}

// steps draws a sequence of deeds; one that is there twice comes twice as often.
func steps(deeds []string, least, most int) *rapid.Generator[[]step] {
	n := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			Do: rapid.SampledFrom(deeds).Draw(t, "do"), Who: rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "who"),
			At: n.Draw(t, "at"), N: n.Draw(t, "n"), M: n.Draw(t, "m"),
		}
	})
	return rapid.SliceOfN(one, least, most)
}

// verbs are what people ask for, and what the server does of its own accord.
var verbs = []string{
	"create", "create", "create", "create", "start", "start", "stop", "stop", "restart", "pause", "unpause", "keep",
	"update", "rename", "remove", "remove", "several", "several", "quota", "quota",
	"make volume", "delete volume", "restore volume", "purge volume", "freeze", "cull", "crash",
}

// outside is what happens to containers by other hands than ours.
var outside = []string{"kill by hand", "start by hand", "pause by hand", "remove by hand"}

// hands reach the engine past the product.
type hands interface {
	// act does what neither a person nor the server asks for, and says whether it
	// knows such a deed. id is a container's, empty where there is none.
	act(h *house, s step, id string) bool
	// heal ends all trouble that act began, and lets the engine answer again.
	heal(h *house)
}

// What was last wished for a container. anything is what several verbs at once
// leave open.
const (
	toRun    = "run"
	toStop   = "stop"
	toPause  = "pause"
	toGo     = "go"
	anything = "anything"
)

// promised is a container that somebody was told of.
type promised struct {
	id, name string
	owner    int
	mounts   int
	wish     string
	run      int // that was wanted when the wish came
}

// stored is a volume that must be there unless it was purged.
type stored struct {
	id     string
	owner  int
	purged bool
}

// model is what must be true.
type model struct {
	t tester
	h *house
	hands
	people []context.Context // three, and the administrator
	ids    []string
	boxes  []*promised
	kept   []*stored
	log    []string
	serial int
	gpus   bool
}

const administrator = 3

// begin makes the people.
func (m *model) begin(t tester, h *house, by hands) {
	m.t, m.h, m.hands = t, h, by
	for _, name := range []string{"ann", "ben", "cat"} {
		m.people = append(m.people, h.person(name, roomy))
	}
	root := h.person("root", roomy)
	v := auth.Of(root)
	v.Admin = true
	m.people = append(m.people, auth.With(context.Background(), v))
	for _, ctx := range m.people {
		m.ids = append(m.ids, auth.Of(ctx).UserID)
	}
}

// run takes the steps, looks after each whether the books are right, and every
// so often lets everything come to rest and looks whether all agrees.
func (m *model) run(script []step, every int) {
	for i, s := range script {
		m.say("%d %s: who %d at %d n %d m %d", i, s.Do, s.Who, s.At, s.N, s.M)
		m.take(s)
		m.booksAreRight()
		if (i+1)%every == 0 || i == len(script)-1 {
			m.say("  quiet")
			m.quiet()
		}
	}
}

func (m *model) say(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

// told is what has happened, for whoever has to understand a failure.
func (m *model) told() string { return strings.Join(m.log, "\n") }

// pick is the container that a step is about: one's own, and now and then
// somebody else's. Nil where there is none.
func (m *model) pick(s step) *promised {
	var mine []*promised
	for _, b := range m.boxes {
		if b.owner == s.Who || s.Who == administrator || s.N == 11 {
			mine = append(mine, b)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	return mine[s.At%len(mine)]
}

func (m *model) pickVolume(s step) *stored {
	var mine []*stored
	for _, v := range m.kept {
		if v.owner == s.Who || s.Who == administrator || s.N == 11 {
			mine = append(mine, v)
		}
	}
	if len(mine) == 0 {
		return nil
	}
	return mine[s.At%len(mine)]
}

func (m *model) take(s step) {
	ctx := m.people[s.Who]
	switch s.Do {
	case "create":
		m.created(s, m.wanted(s))()
	case "several":
		m.several(s)
	case "quota":
		m.setQuota(s)
	case "make volume":
		_, err := m.h.volumes.Create(ctx, fmt.Sprintf("v%d", s.N%4))
		m.answered(err)
	case "delete volume", "restore volume", "purge volume":
		m.volumeVerb(ctx, s)
	case "crash":
		m.h.close()
		if b := m.pick(s); b != nil && s.M%2 == 0 { // the world goes on meanwhile
			m.act(m.h, step{Do: outside[s.M/2%len(outside)]}, b.id)
		}
		m.h.open()
	default:
		b := m.pick(s)
		if b != nil {
			if settle := m.verb(ctx, s, b); settle != nil {
				settle()
				return
			}
		}
		id := ""
		if b != nil {
			id = b.id
		}
		if m.act(m.h, s, id) {
			m.say("  %s", id)
		}
	}
}

// wanted is a container of some kind.
func (m *model) wanted(s step) lifecycle.Wanted {
	m.serial++
	w := m.h.want(fmt.Sprintf("c%d", m.serial), "sleep", "1000")
	cpu := []float64{0.5, 1, 2, 3}[s.N%4]
	w.CPU = &cpu
	w.Start, w.Queue = s.M%4 != 3, s.N%2 == 0
	if s.N%3 == 0 {
		w.RestartPolicy = container.RestartPolicyOnFailure
	}
	switch s.M {
	case 1, 5:
		home := "home"
		w.Workspace = &home
	case 2, 6:
		if v := m.pickVolume(s); v != nil {
			w.Mounts = []volume.Wanted{{VolumeID: v.id, Path: "/data"}}
		}
	case 4:
		w.Command = []string{"sh", "-c", "exit 0"}
	case 8:
		w.Command, w.RestartPolicy = []string{"sh", "-c", "exit 3"}, container.RestartPolicyNever
	case 9:
		key := "again"
		w.IdempotencyKey = &key
	case 10:
		if b := m.pick(s); b != nil {
			w.Name = b.name
		}
	}
	if n := []int{0, 0, 0, 1, 0, 2}[s.At%6]; n > 0 && m.gpus {
		w.GPU = &n
	}
	return w
}

// created asks for a container; the result notes what came of it.
func (m *model) created(s step, w lifecycle.Wanted) (settle func()) {
	row, err := m.h.Create(m.people[s.Who], w)
	return func() {
		if !m.answered(err) {
			return
		}
		for _, b := range m.boxes {
			if b.id == row.ID {
				require.NotNil(m.t, w.IdempotencyKey, "%s was made twice", b.name)
				return
			}
		}
		b := &promised{id: row.ID, name: w.Name, owner: s.Who, mounts: len(w.Mounts), wish: toRun, run: row.Run}
		if w.Workspace != nil {
			b.mounts++
		}
		if !w.Start {
			b.wish = anything // with a word to wait it waits; without, it rests
		}
		m.boxes = append(m.boxes, b)
		m.say("  %s is %s, %s", row.ID, w.Name, row.Status)
	}
}

// verb asks for something about a container; nil where the step is no verb.
func (m *model) verb(ctx context.Context, s step, b *promised) (settle func()) {
	var row *ent.Container
	var err error
	wish := ""
	switch s.Do {
	case "start":
		row, err = m.h.Start(ctx, b.id, s.M%2 == 0)
		wish = toRun
	case "stop":
		row, err = m.h.Stop(ctx, b.id, 0)
		wish = toStop
	case "restart":
		row, err = m.h.Restart(ctx, b.id, 0)
		wish = toRun
	case "pause":
		row, err = m.h.Pause(ctx, b.id)
		wish = toPause
	case "unpause":
		row, err = m.h.Unpause(ctx, b.id)
		wish = toRun
	case "keep":
		if row, err = m.h.Keep(ctx, b.id); row != nil && row.Desired == container.DesiredRunning {
			wish = toRun // else its owner wants it paused, and still does
		}
	case "remove":
		row, err = m.h.Remove(ctx, b.id)
		wish = toGo
	case "rename":
		name := fmt.Sprintf("r%d", s.M)
		row, err = m.h.Update(ctx, b.id, lifecycle.Edit{Name: &name})
	case "update":
		cpu, memory := []float64{0.5, 1, 2, 3}[s.N%4], []record.Bytes{16, 32, 64}[s.M%3]*record.MiB
		row, err = m.h.Update(ctx, b.id, lifecycle.Edit{CPU: &cpu, Memory: &memory})
	case "freeze":
		return m.freeze(s, b)
	case "cull":
		err := m.h.CullStop(ctx, b.id, "It was stopped for staying frozen.")
		return func() { m.answered(err); m.adopt(b) }
	default:
		return nil
	}
	return func() {
		foreign := s.Who != administrator && s.Who != b.owner
		switch {
		case !m.answered(err):
		case foreign:
			require.Fail(m.t, "somebody else's container was changed", "%s %s", s.Do, b.name)
		case wish == toGo:
			b.wish = toGo
		case wish != "" && b.wish != toGo:
			b.wish, b.run = wish, row.Run
		}
		if s.Do == "rename" && err == nil {
			b.name = row.Name
		}
		if row != nil {
			m.say("  %s is %s, wanted %s", b.id, row.Status, row.Desired)
		} else {
			m.say("  %s: %v", b.id, err)
		}
	}
}

// freeze is what the server does to what nothing uses, and to who fills the disk.
func (m *model) freeze(s step, b *promised) (settle func()) {
	ctx := m.people[b.owner]
	reason := container.FrozenDisk
	var err error
	if s.M%2 == 0 {
		reason = container.FrozenIdle
		since := m.h.now()
		err = m.h.Idle(ctx, b.id, since, since.Add(time.Minute), nil, time.Time{})
		require.NoError(m.t, err)
	}
	err = m.h.Freeze(ctx, b.id, reason, "It is frozen.", time.Time{})
	return func() { m.answered(err); m.adopt(b) }
}

// adopt takes what the row wishes for what was wished: the server's own verbs
// do nothing where they are too late.
func (m *model) adopt(b *promised) {
	row, err := m.h.store.Client.Container.Get(auth.AsSystem(context.Background()), b.id)
	if err != nil || b.wish == toGo {
		return
	}
	m.say("  %s is wanted %s", b.id, row.Desired)
	switch row.Desired {
	case container.DesiredPaused:
		b.wish, b.run = toPause, row.Run
	case container.DesiredStopped:
		b.wish = anything // it may have ended by itself
	case container.DesiredRunning, container.DesiredRemoved:
	}
}

// several does four things at once. What they leave is anybody's guess, but for
// a removal.
func (m *model) several(s step) {
	kinds := []string{"create", "start", "stop", "restart", "pause", "unpause", "update", "remove", "create", "keep"}
	var wait sync.WaitGroup
	settle := make([]func(), 4)
	touched := map[*promised]int{}
	for i := range settle {
		one := step{Do: kinds[(s.N+i*(s.M+1))%len(kinds)], Who: (s.Who + i*(s.M%2)) % len(m.people), At: s.At + i*(s.N%3), N: (s.N + 5*i) % 11, M: (s.M + 7*i) % 12}
		if one.Do == "create" {
			w := m.wanted(one)
			wait.Go(func() { settle[i] = m.created(one, w) })
			continue
		}
		if b := m.pick(one); b != nil {
			touched[b]++
			wait.Go(func() { settle[i] = m.verb(m.people[one.Who], one, b) })
		}
	}
	wait.Wait()
	for _, do := range settle {
		if do != nil {
			do()
		}
	}
	for b, n := range touched {
		if n > 1 && b.wish != toGo {
			b.wish = anything
		}
	}
}

func (m *model) setQuota(s step) {
	cpu := []float64{1, 2, 4, 100}[s.N%4]
	containers := []int{3, 6, 100}[s.M%3]
	change := quota.Change{MaxCPU: &cpu}
	if s.N%2 == 1 {
		change.MaxContainers = &containers
	}
	_, err := m.h.quota.Set(m.people[s.Who], m.ids[s.At%3], change)
	if s.Who == administrator {
		require.NoError(m.t, err)
		return
	}
	require.Equal(m.t, fault.Forbidden, fault.CodeOf(err))
	_, err = m.h.quota.Set(m.people[administrator], m.ids[s.At%3], change)
	require.NoError(m.t, err)
}

func (m *model) volumeVerb(ctx context.Context, s step) {
	v := m.pickVolume(s)
	if v == nil {
		return
	}
	var err error
	switch s.Do {
	case "delete volume":
		_, err = m.h.volumes.Delete(ctx, v.id)
	case "restore volume":
		_, err = m.h.volumes.Restore(ctx, v.id)
	case "purge volume":
		// It waits for the engine, which may be in trouble: nobody waits so long here.
		soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if err = m.h.volumes.Purge(soon, v.id); soon.Err() != nil && fault.CodeOf(err) == fault.Internal {
			v.purged = true // perhaps: the call was given up
			return
		}
		v.purged = v.purged || err == nil
	}
	if m.answered(err) {
		require.True(m.t, s.Who == administrator || s.Who == v.owner, "somebody else's volume was changed")
	}
}

// answered says whether a verb succeeded; a refusal is one in words.
func (m *model) answered(err error) bool {
	if err == nil {
		return true
	}
	require.NotEqual(m.t, fault.Internal, fault.CodeOf(err), "%v", err)
	m.say("  refused: %s", fault.CodeOf(err))
	return false
}

// booksAreRight: what is used is the sum over the rows, and each row is one that
// somebody was promised and nobody asked to remove.
func (m *model) booksAreRight() {
	ctx := auth.AsSystem(context.Background())
	require.NoError(m.t, m.h.quota.Audit(ctx))
	rows := m.rows()
	var left []*promised
	for _, b := range m.boxes {
		row := rows[b.id]
		if row == nil {
			require.Equal(m.t, toGo, b.wish, "%s is gone, and nobody asked for that", b.name)
			continue
		}
		require.Equal(m.t, m.ids[b.owner], row.OwnerID)
		left = append(left, b)
		delete(rows, b.id)
	}
	m.boxes = left
	require.Empty(m.t, rows, "containers that nobody asked for")
	volumes, err := m.h.store.Client.Volume.Query().All(ctx)
	require.NoError(m.t, err)
	there := map[string]bool{}
	for _, v := range volumes {
		there[v.ID] = true
		if !slices.ContainsFunc(m.kept, func(k *stored) bool { return k.id == v.ID }) {
			m.kept = append(m.kept, &stored{id: v.ID, owner: slices.Index(m.ids, v.OwnerID)})
		}
	}
	m.kept = slices.DeleteFunc(m.kept, func(k *stored) bool {
		require.True(m.t, there[k.id] || k.purged, "the volume %s is gone, and nobody asked for that", k.id)
		return !there[k.id]
	})
}

func (m *model) rows() map[string]*ent.Container {
	all, err := m.h.store.Client.Container.Query().All(auth.AsSystem(context.Background()))
	require.NoError(m.t, err)
	rows := map[string]*ent.Container{}
	for _, row := range all {
		rows[row.ID] = row
	}
	return rows
}

// quiet ends all trouble, waits until everything rests, and looks whether all agrees.
func (m *model) quiet() {
	m.heal(m.h)
	m.awaitRest()
	m.booksAreRight()
	m.h.agrees()
	ctx := auth.AsSystem(context.Background())
	rows := m.rows()
	held := map[string][]string{}
	devices, err := m.h.store.Client.Device.Query().Where(device.ContainerIDNotNil()).All(ctx)
	require.NoError(m.t, err)
	for _, d := range devices {
		held[*d.ContainerID] = append(held[*d.ContainerID], d.Device)
	}
	for _, b := range m.boxes {
		row := rows[b.id]
		require.Empty(m.t, misfit(b, row), "%s of %s: %s", b.name, m.ids[b.owner], describe(row))
		if row.Reserved && row.GpuLimit > 0 {
			require.ElementsMatch(m.t, row.GpuDevices, held[row.ID], "GPUs of %s", b.name)
		} else {
			require.Empty(m.t, held[row.ID], "GPUs of %s", b.name)
		}
		mounts, err := m.h.volumes.Of(ctx, b.id)
		require.NoError(m.t, err)
		require.Len(m.t, mounts, b.mounts, "volumes of %s", b.name)
		for _, mount := range mounts {
			require.Nil(m.t, mount.Edges.Volume.DeletedAt, "a volume in the trash is in %s", b.name)
		}
	}
	inEngine, err := m.h.engine.ListVolumes(ctx)
	require.NoError(m.t, err)
	for _, id := range inEngine {
		require.True(m.t, slices.ContainsFunc(m.kept, func(k *stored) bool { return k.id == id }), "the engine has the volume %s, which has no row", id)
	}
	m.secondLook()
}

// misfit says why the row is not what its last wish and the world can have come to.
func misfit(b *promised, row *ent.Container) string {
	ended := func() string {
		if !slices.Contains([]container.Status{container.StatusFailed, container.StatusLost, container.StatusCreated, container.StatusExited}, row.Status) {
			return "it is in no state of rest"
		}
		if row.Desired != container.DesiredStopped {
			return "it does not run, and is wanted"
		}
		if row.StatusMessage == nil && (row.Status != container.StatusExited || row.LastExit == nil) {
			return "nothing says why it does not run"
		}
		return ""
	}
	if row.Observed == container.ObservedRunning && row.Status != container.StatusRunning {
		return "it runs, and its status says otherwise"
	}
	switch b.wish {
	case toRun:
		if row.Status == container.StatusRunning || row.Queued {
			return ""
		}
		return ended()
	case toStop:
		if row.Desired != container.DesiredStopped || row.Queued || row.Reserved {
			return "it was stopped, and is not"
		}
	case toPause:
		if row.Status == container.StatusPaused || row.Status == container.StatusRunning && row.Run > b.run {
			return ""
		}
		return ended()
	case toGo:
		return "it was removed, and is there"
	}
	passing := []container.Status{container.StatusPending, container.StatusStarting, container.StatusStopping, container.StatusRemoving}
	if slices.Contains(passing, row.Status) {
		return "it is in no state of rest"
	}
	return ""
}

func describe(row *ent.Container) string {
	text, err := json.Marshal(row)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// awaitRest waits until nothing is left to do: it looks again at each change, and
// at times also without one, since the engine's are not told here.
func (m *model) awaitRest() {
	ctx, cancel := context.WithTimeout(auth.AsSystem(context.Background()), patience)
	defer cancel()
	news := m.h.feed.Subscribe(ctx, func(live.Change) bool { return true })
	for {
		before := m.rows()
		why := m.restless(ctx, before)
		if why == "" {
			if why = changed(before, m.rows()); why == "" {
				return
			}
		}
		require.NoError(m.t, ctx.Err(), "no rest: %s", why)
		next, done := context.WithTimeout(ctx, 50*time.Millisecond)
		_, _ = news.Next(next)
		done()
	}
}

// changed says what was not the same at two looks.
func changed(before, after map[string]*ent.Container) string {
	for id, row := range after {
		if before[id] == nil || describe(before[id]) != describe(row) {
			return "it goes on: " + describe(row)
		}
	}
	return ""
}

// restless says what is still to come.
func (m *model) restless(ctx context.Context, rows map[string]*ent.Container) string {
	if c := m.h.Connection(); !c.Connected {
		return "the engine is not connected"
	}
	states, err := m.h.engine.List(ctx)
	if err != nil {
		return err.Error()
	}
	inEngine := map[string]bool{}
	for _, s := range states {
		inEngine[s.ID] = true
	}
	for id, row := range rows {
		wish, fact := wishAndFact(row)
		if step := lifecycle.Decide(wish, fact); step != lifecycle.Rest {
			return fmt.Sprintf("%s is to %s: %s", id, step, describe(row))
		}
		if text := row.StatusMessage; text != nil && (strings.Contains(*text, "asked again") || strings.Contains(*text, "cannot be reached")) {
			return "it says that it waits for the engine: " + describe(row)
		}
		up := row.Observed == container.ObservedRunning || row.Observed == container.ObservedPaused
		if row.Reserved != (up || !row.Queued && !row.Failed && row.Desired != container.DesiredStopped) {
			return fmt.Sprintf("%s reserves and should not, or the other way: %s", id, describe(row))
		}
		var seen *engine.State
		if inEngine[id] {
			state, err := m.h.engine.Inspect(ctx, id)
			if err != nil {
				return err.Error()
			}
			seen = &state
		}
		if lifecycle.Read(row, seen, lifecycle.Blame{}, m.h.now()) != nil {
			return fmt.Sprintf("%s is not what its row says: %+v, %s", id, seen, describe(row))
		}
		delete(inEngine, id)
	}
	for id := range inEngine {
		return fmt.Sprintf("%s is in the engine and has no row", id)
	}
	purging := false
	for _, v := range m.h.store.Client.Volume.Query().AllX(ctx) {
		purging = purging || v.Purging
	}
	if purging {
		m.h.volumes.EngineUp() // else it is once a minute
		return "a volume is on its way out"
	}
	return m.roomForOneThatWaits(ctx)
}

func wishAndFact(c *ent.Container) (lifecycle.Wish, lifecycle.Fact) {
	return lifecycle.Wish{Desired: c.Desired, Run: c.Run, Queued: c.Queued, Unbound: c.GpuLimit > 0 && len(c.GpuDevices) == 0},
		lifecycle.Fact{
			Observed: c.Observed, Run: c.ObservedRun, Failed: c.Failed,
			Outdated: c.AppliedCPU != c.CPULimit || c.AppliedMemory != c.MemoryLimit,
		}
}

// roomForOneThatWaits says who waits though there is room for them in their turn.
func (m *model) roomForOneThatWaits(ctx context.Context) string {
	waiting, err := m.h.quota.Waiting(ctx, m.h.store.Client)
	require.NoError(m.t, err)
	running, err := m.h.quota.Running(ctx, m.h.store.Client)
	require.NoError(m.t, err)
	var ahead quota.Amounts
	place := 1
	for _, w := range quota.Line(waiting, running) {
		row, err := m.h.store.Client.Container.Get(ctx, w.ID)
		if err != nil {
			return err.Error()
		}
		books, err := m.h.quota.Books(ctx, m.h.store.Client, w.Owner)
		require.NoError(m.t, err)
		books.Held = ahead
		var bound []string
		if row.Observed != container.ObservedAbsent && row.Observed != container.ObservedLost {
			bound = row.GpuDevices
		}
		free, err := m.h.quota.DevicesFree(ctx, m.h.store.Client, w.GPU, bound)
		require.NoError(m.t, err)
		if len(books.Problems(quota.Need{Amounts: w.Amounts})) == 0 && free {
			return w.ID + " waits, and there is room for it"
		}
		if row.QueuePosition == nil || *row.QueuePosition != place {
			return "its place is not told yet: " + describe(row)
		}
		if !w.Stuck {
			place++
			ahead = ahead.Plus(w.Amounts)
		}
	}
	return ""
}

// secondLook: what was seen and written is not written again.
func (m *model) secondLook() {
	ctx := auth.AsSystem(context.Background())
	before, lines := m.snapshot()
	for _, b := range m.boxes {
		require.NoError(m.t, m.h.Observe(ctx, b.id))
	}
	after, more := m.snapshot()
	require.Equal(m.t, before, after, "a second look changed something")
	require.Equal(m.t, lines, more, "a second look told something")
}

func (m *model) snapshot() (rows map[string]string, lines int) {
	rows = map[string]string{}
	for id, row := range m.rows() {
		rows[id] = describe(row)
	}
	lines = m.h.store.Client.ContainerEvent.Query().Where(containerevent.KindNEQ("out-of-memory")).CountX(auth.AsSystem(context.Background()))
	return rows, lines
}

// witness puts what failed at the end of what has happened: rapid tells it only
// where it fails again.
type witness struct {
	*rapid.T
	m *model
}

func (w witness) Errorf(format string, args ...any) {
	w.m.say(format, args...)
	w.T.Errorf(format, args...)
}

// sequences checks so many sequences, several at a time: most of a sequence's time
// is waiting, and parallel tests are no more than there are processors.
func sequences(t *testing.T, checks int, script *rapid.Generator[[]step], run func(m *model, t tester, path string, script []step)) {
	const lanes = 8
	var wait sync.WaitGroup
	for range lanes {
		wait.Go(func() {
			done, failed := 0, false
			rapid.Check(t, func(rt *rapid.T) {
				// The others are done in the other lanes. Once one has failed, rapid looks
				// for a shorter one that does.
				if done++; !failed && done > checks/lanes {
					return
				}
				drawn := script.Draw(rt, "steps")
				m := &model{}
				defer func() {
					if rt.Failed() && !failed {
						failed = true
						t.Logf("this has happened:\n%s", m.told())
					}
					rt.Logf("this has happened:\n%s", m.told())
				}()
				run(m, witness{rt, m}, database(t), drawn)
			})
		})
	}
	wait.Wait()
}
