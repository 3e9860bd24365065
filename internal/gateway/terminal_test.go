package gateway_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/terminal"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/gateway"
	"github.com/mlride/mlride/internal/lifecycle"
)

// shellPid has a terminal print its shell's number, and gives it.
func shellPid(w *watcher) string {
	w.t.Helper()
	w.says("echo pid=$$=pid")
	form := regexp.MustCompile(`pid=(\d+)=pid`)
	var pid string
	require.Eventually(w.t, func() bool {
		found := form.FindAllStringSubmatch(w.shown(), -1)
		if len(found) > 0 {
			pid = found[len(found)-1][1]
		}
		return pid != ""
	}, patience, 10*time.Millisecond)
	return pid
}

// alive says whether a process of that number is in the container.
func (h *termHouse) alive(id, pid string) bool {
	got, err := h.engine.Exec(sys, id, []string{"test", "-d", "/proc/" + pid})
	require.NoError(h.t, err)
	return got.Code == 0
}

// TestATerminalOutlivesItsConnection: cut in the middle of a running program and
// taken up by another, with the last lines and the same shell.
func TestATerminalOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	first := h.looks(ann, box.ID, "work")
	first.says("echo $((20+22)) $TERM")
	first.sees("42 xterm-256color")
	first.says("stty size")
	first.sees("24 80")
	first.Resize(132, 50)
	require.Eventually(t, func() bool {
		first.says("stty size")
		return strings.Contains(first.shown(), "50 132")
	}, patience, 100*time.Millisecond)
	pid := shellPid(first)
	first.says("(while [ ! -e /tmp/go ]; do sleep 0.1; done; echo finished-$((1+1)) | tee /tmp/done)")
	open := h.terminals.Of(box.ID)
	require.Len(t, open, 1)
	require.Equal(t, "work", open[0].Name)
	require.Equal(t, "sh", open[0].Command)
	require.Equal(t, 1, open[0].Connections)
	first.cut()
	require.Zero(t, h.terminals.Of(box.ID)[0].Connections)

	_, err := h.engine.Exec(sys, box.ID, []string{"touch", "/tmp/go"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		got, err := h.engine.Exec(sys, box.ID, []string{"cat", "/tmp/done"})
		return err == nil && string(got.Output) == "finished-2\n"
	}, patience, 50*time.Millisecond) // it went on with nobody looking
	second := h.looks(ann, box.ID, "work")
	second.sees("42 xterm-256color")
	second.sees("finished-2")
	require.Equal(t, pid, shellPid(second))
	third := h.looks(ann, box.ID, "work") // both see the same
	third.says("echo both-$((3+4))")
	second.sees("both-7")
	third.sees("both-7")
	require.Equal(t, 2, h.terminals.Of(box.ID)[0].Connections)
	h.mu.Lock()
	require.Positive(t, h.touched[box.ID+" terminal"])
	h.mu.Unlock()

	other := h.looks(ann, box.ID, "other")
	require.NotEqual(t, pid, shellPid(other))
	other.says("exit 3")
	require.Equal(t, gateway.End{Reason: "The shell ended with 3."}, other.over())
	require.Eventually(t, func() bool { return len(h.terminals.Of(box.ID)) == 1 }, patience, 10*time.Millisecond)
	require.Equal(t, []string{"ann: work", "ann: other"}, h.audited(box.ID, "terminal.open"))
}

// TestTheSmallestScreenCounts: where several look at one terminal.
func TestTheSmallestScreenCounts(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	one, two := h.looks(ann, box.ID, "main"), h.looks(ann, box.ID, "main")
	size := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			one.says("stty size")
			return strings.Contains(one.shown(), want)
		}, patience, 100*time.Millisecond)
	}
	one.Resize(150, 60)
	two.Resize(90, 70)
	size("60 90")
	two.cut()
	size("60 150")
}

// TestClosingEndsWhatRunsInIt, but not what was meant to stay.
func TestClosingEndsWhatRunsInIt(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann, eve, root := h.person("ann", user.RoleUser), h.person("eve", user.RoleUser), h.person("root", user.RoleAdmin)
	box := h.runs(ann)
	w := h.looks(ann, box.ID, "main")
	pid := shellPid(w)
	w.says("sh -c 'trap \"\" HUP; sleep 1000 & echo kept=$!=kept' ; sleep 1001 & echo child=$!=child")
	number := func(word string) string {
		form := regexp.MustCompile(word + `=(\d+)=` + word)
		require.Eventually(t, func() bool { return form.MatchString(w.shown()) }, patience, 10*time.Millisecond)
		return form.FindStringSubmatch(w.shown())[1]
	}
	kept, child := number("kept"), number("child")

	for _, id := range []string{box.ID, "ctr_none"} { // not hers: as if it were not there
		_, err := h.terminals.Attach(eve, id, "main", 80, 24)
		require.Equal(t, fault.NotFound, fault.CodeOf(err))
		_, err = h.terminals.Close(eve, id, "main")
		require.Equal(t, fault.NotFound, fault.CodeOf(err))
	}
	_, err := h.terminals.Close(ann, box.ID, "none")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))

	watching := h.looks(root, box.ID, "main") // an administrator may, and it is told
	watching.sees("child=" + child)
	require.Equal(t, []string{"ann: main", "root: main, as an administrator in somebody else's container; it was open already"},
		h.audited(box.ID, "terminal.open"))
	_, err = h.terminals.Close(root, box.ID, "main")
	require.NoError(t, err)
	require.Equal(t, gateway.End{Reason: "The terminal was closed."}, w.over())
	require.Equal(t, gateway.End{Reason: "The terminal was closed."}, watching.over())
	require.False(t, h.alive(box.ID, pid))
	require.False(t, h.alive(box.ID, child))
	require.True(t, h.alive(box.ID, kept)) // it ignores being hung up, as nohup has it
	require.Equal(t, []string{"root: main, as an administrator in somebody else's container"}, h.audited(box.ID, "terminal.close"))
	require.Empty(t, h.terminals.Of(box.ID))
	require.Zero(t, h.store.Client.Terminal.Query().CountX(sys))
}

// TestRestartOfTheServer: SIGTERM hangs up; kill -9 leaves a shell, which the next
// server ends. The next to open the terminal is told.
func TestRestartOfTheServer(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	const told = "[The server has restarted, and the shell that was here before has ended.]\r\n"

	w := h.looks(ann, box.ID, "main")
	pid := shellPid(w)
	h.stop()
	require.False(t, h.alive(box.ID, pid)) // hung up
	w.over()
	h.opens()
	w = h.looks(ann, box.ID, "main")
	w.sees(told)
	require.True(t, strings.HasPrefix(w.shown(), told))
	require.NotEqual(t, pid, shellPid(w))
	w = h.looks(ann, box.ID, "main")
	w.sees("pid=")
	require.Equal(t, 0, strings.Count(strings.TrimPrefix(w.shown(), told), told)) // once

	pid = shellPid(w)
	h.terminals.Abandon()
	h.stop()
	h.opens()
	require.Eventually(t, func() bool { return !h.alive(box.ID, pid) }, patience, 50*time.Millisecond)
	require.Eventually(t, func() bool { return h.store.Client.Terminal.Query().CountX(sys) == 0 }, patience, 50*time.Millisecond)
	w = h.looks(ann, box.ID, "main")
	w.sees(told)
	w.says("exit")
	w.over()
}

// TestEndsWithTheContainerAndTheRight of the account.
func TestEndsWithTheContainerAndTheRight(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann, root := h.person("ann", user.RoleUser), h.person("root", user.RoleAdmin)
	box := h.runs(ann)
	w := h.looks(ann, box.ID, "main")
	_, err := h.Stop(ann, box.ID, 0)
	require.NoError(t, err)
	w.over()
	h.await(ann, box.ID, container.StatusExited)
	_, err = h.terminals.Attach(ann, box.ID, "main", 80, 24)
	require.Equal(t, fault.InvalidState, fault.CodeOf(err))
	require.Contains(t, err.Error(), "Start it first")
	require.Eventually(t, func() bool { return h.store.Client.Terminal.Query().CountX(sys) == 0 }, patience, 50*time.Millisecond)

	_, err = h.Start(ann, box.ID, false)
	require.NoError(t, err)
	h.await(ann, box.ID, container.StatusRunning)
	hers, his, looking := h.looks(ann, box.ID, "hers"), h.looks(root, box.ID, "his"), h.looks(root, box.ID, "hers")
	pid := shellPid(his)
	h.store.Client.User.Update().Where(user.Username("root")).SetRole(user.RoleUser).ExecX(sys)
	require.True(t, his.over().Unwelcome)
	require.True(t, looking.over().Unwelcome)
	require.Eventually(t, func() bool { return !h.alive(box.ID, pid) }, patience, 50*time.Millisecond)
	hers.says("echo still-$((1+1))")
	hers.sees("still-2")
	h.store.Client.User.Update().Where(user.Username("ann")).SetSuspendedAt(time.Now()).ExecX(sys)
	require.True(t, hers.over().Unwelcome)
}

// TestWakesWhatWasFrozenForDoingNothing, by opening and by typing.
func TestWakesWhatWasFrozenForDoingNothing(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	freeze := func() {
		t.Helper()
		now := time.Now()
		require.NoError(t, h.Idle(sys, box.ID, now, now.Add(time.Minute), nil, time.Time{}))
		require.NoError(t, h.Freeze(sys, box.ID, container.FrozenIdle, "Frozen.", time.Time{}))
		h.await(ann, box.ID, container.StatusPaused)
	}
	freeze()
	w := h.looks(ann, box.ID, "main")
	require.Equal(t, container.StatusRunning, h.await(ann, box.ID, container.StatusRunning).Status)
	w.says("echo awake-$((1+1))")
	w.sees("awake-2")
	freeze()
	w.says("echo again-$((1+1))")
	require.Eventually(t, func() bool { // a key is enough, and none is lost
		return strings.Contains(w.shown(), "again-2")
	}, patience, 50*time.Millisecond)

	_, err := h.Pause(ann, box.ID) // what its owner froze stays so
	require.NoError(t, err)
	h.await(ann, box.ID, container.StatusPaused)
	_, err = h.terminals.Attach(ann, box.ID, "more", 80, 24)
	require.Equal(t, fault.InvalidState, fault.CodeOf(err))
}

// TestAnEndlessPrinterAndAReaderThatStops: what it missed is told, and nobody else
// is held up.
func TestAnEndlessPrinterAndAReaderThatStops(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	stopped, err := h.terminals.Attach(ann, box.ID, "main", 80, 24) // reads nothing for now
	require.NoError(t, err)
	defer stopped.Close()
	w := h.looks(ann, box.ID, "main")
	w.says("yes a-line-of-output | head -n 200000; echo over-$((1+1))")
	w.sees("over-2")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got strings.Builder
	for !strings.Contains(got.String(), "over-2") {
		out, end, err := stopped.Next(ctx)
		require.NoError(t, err)
		require.Nil(t, end)
		got.Write(out)
	}
	require.Contains(t, got.String(), "bytes of output were left out")
	require.Less(t, got.Len(), 600<<10)
	w.says("yes")
	w.sees("y\r\ny\r\ny")
	require.NoError(t, w.Type(ctx, []byte{3})) // ctrl-c
	require.Eventually(t, func() bool {
		w.says("echo interrupted-$((1+1))")
		return strings.Contains(w.shown(), "interrupted-2")
	}, patience, 200*time.Millisecond)
}

// TestRefusals: names, sizes, how many, images without a shell, containers
// without room.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	for _, name := range []string{"", "a b", "../x", strings.Repeat("x", 33), "ä"} {
		_, err := h.terminals.Attach(ann, box.ID, name, 0, 1001)
		require.Equal(t, fault.BadUserInput, fault.CodeOf(err))
		require.Len(t, fault.Of(err).Violations, 3)
	}
	_, err := h.terminals.Attach(context.Background(), box.ID, "main", 80, 24)
	require.Equal(t, fault.Unauthenticated, fault.CodeOf(err))

	for i := range gateway.MaxTerminals {
		view, err := h.terminals.Attach(ann, box.ID, fmt.Sprintf("t%d", i), 80, 24)
		require.NoError(t, err)
		view.Close()
	}
	_, err = h.terminals.Attach(ann, box.ID, "more", 80, 24)
	require.ErrorIs(t, err, gateway.ErrTooMany)
	require.Equal(t, gateway.MaxTerminals, h.store.Client.Terminal.Query().Where(terminal.ContainerID(box.ID)).CountX(sys))
}

// TestNoShell: an image with one program, which is none.
func TestNoShell(t *testing.T) {
	t.Parallel()
	ref := dockertest.Bare(t, "sleep", "3600")
	h := houseOn(t, dockertest.Engine(t, dockertest.Instance()), ref)
	ann := h.person("ann", user.RoleUser)
	cpu, memory := 0.5, ent32
	row, err := h.Create(ann, lifecycle.Wanted{
		Name: "bare", ImageID: h.image, CPU: &cpu, Memory: &memory, Command: []string{"/sleep", "3600"}, Start: true,
		RestartPolicy: container.RestartPolicyNever,
	})
	require.NoError(t, err)
	h.await(ann, row.ID, container.StatusRunning)
	_, err = h.terminals.Attach(ann, row.ID, "main", 80, 24)
	require.ErrorIs(t, err, gateway.ErrNoShell)
	require.Equal(t, "This image has no shell.", fault.Of(err).Message)
	require.Zero(t, h.store.Client.Terminal.Query().CountX(sys))
}

// TestNoRoomForOneMoreProcess: a container whose processes are used up. Whether the
// engine's own helper still slips in is luck; what it says when it does not is told
// clearly, and ending a terminal needs no process in the container.
func TestNoRoomForOneMoreProcess(t *testing.T) {
	t.Parallel()
	h := newTermHouse(t)
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	w := h.looks(ann, box.ID, "main")
	pid := shellPid(w)
	h.processes(box.ID, 2)
	for i := range 5 {
		view, err := h.terminals.Attach(ann, box.ID, fmt.Sprintf("more%d", i), 80, 24)
		if err == nil {
			view.Close()
			continue
		}
		require.ErrorIs(t, err, gateway.ErrNoRoom)
		require.Contains(t, fault.Of(err).Message, "no room for one more process")
	}
	_, err := h.terminals.Close(ann, box.ID, "main")
	require.NoError(t, err)
	w.over()
	h.processes(box.ID, 100)
	require.False(t, h.alive(box.ID, pid))
}

// TestWhatTheEngineRefuses is told in words for people, and leaves nothing behind.
func TestWhatTheEngineRefuses(t *testing.T) {
	t.Parallel()
	fake := enginetest.NewFake("a")
	fake.Load("tools/busybox:1", enginetest.FakeImage{})
	h := houseOn(t, fake, "tools/busybox:1")
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	for _, c := range []struct {
		err  error
		code fault.Code
		is   error
	}{
		{engine.ErrBusy, fault.InvalidState, gateway.ErrNoRoom},
		{engine.ErrRefused, fault.InvalidState, engine.ErrRefused},
		{engine.ErrUnreachable, fault.EngineUnavailable, engine.ErrUnreachable},
	} {
		for _, m := range []enginetest.Method{enginetest.MethodExec, enginetest.MethodOpenTerminal} {
			fake.Fail(m, c.err, 1)
			_, err := h.terminals.Attach(ann, box.ID, "main", 80, 24)
			require.Equal(t, c.code, fault.CodeOf(err))
			require.ErrorIs(t, err, c.is)
			require.Empty(t, h.terminals.Of(box.ID))
		}
	}
	w := h.looks(ann, box.ID, "main")
	w.says("echo after all")
	w.sees("after all\r\n")
	require.NotContains(t, w.shown(), "restarted") // nothing of that was a restart
}

// TestTheEngineGoesAway: with a restart of the engine the container ends, and the
// terminal with it; started again, it has a new one.
func TestTheEngineGoesAway(t *testing.T) {
	t.Parallel()
	own := dockertest.Own(t, false)
	own.Start()
	h := houseOn(t, own.Connect(dockertest.Instance()), own.Image())
	ann := h.person("ann", user.RoleUser)
	box := h.runs(ann)
	w := h.looks(ann, box.ID, "main")
	w.says("echo before-$((1+1))")
	w.sees("before-2")
	own.Kill()
	w.over()
	own.Start()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(ann, patience)
		defer cancel()
		view, err := h.terminals.Attach(ctx, box.ID, "main", 80, 24)
		if err != nil {
			return false
		}
		view.Close()
		return true
	}, patience, 200*time.Millisecond)
	w = h.looks(ann, box.ID, "main")
	w.says("echo after-$((1+1))")
	w.sees("after-2")
}
