package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/internal/engine"
)

const (
	// hangUpGrace is how long a shell has to end when it is hung up, and
	// hangUpEvery how often one looks whether it has.
	hangUpGrace = 2 * time.Second
	hangUpEvery = 50 * time.Millisecond
)

// reach is a way to the processes of a container. A session is named by the
// number of its first process, as that way counts.
type reach interface {
	// sessions are those of the terminals that were opened under an id.
	sessions(ctx context.Context, terminalID string) ([]int, error)
	// signal sends a signal (0 sends none) to what runs in sessions, and tells how
	// many of them there are: the sessions' own programs, and what does not ignore
	// being hung up. With SIGHUP the others hear it too.
	signal(ctx context.Context, sessions []int, signal unix.Signal) (int, error)
}

// EndTerminal ends the program of a terminal, whichever server opened it. It is
// known by its environment: the engine forgets its own names when it restarts.
func (e *Engine) EndTerminal(ctx context.Context, id, terminalID string) error {
	found, err := e.find(ctx, id)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	switch status(found.State.Status) {
	case engine.StatusRunning:
	case engine.StatusPaused:
		return fmt.Errorf("%w: the container is paused", engine.ErrRefused)
	case engine.StatusCreated, engine.StatusExited, engine.StatusRemoving:
		return nil
	}
	way := e.reach(id, found)
	sessions, err := way.sessions(ctx, terminalID)
	if err != nil || len(sessions) == 0 {
		return err
	}
	left, err := way.signal(ctx, sessions, unix.SIGHUP)
	if err == nil && left > 0 {
		left, err = hungUp(ctx, way, sessions)
	}
	if err == nil && left > 0 {
		_, err = way.signal(ctx, sessions, unix.SIGKILL)
	}
	if err == nil && left > 0 {
		left, err = hungUp(ctx, way, sessions)
	}
	if err == nil && left > 0 { // in the kernel's hands: it ends when that lets go of it
		err = fmt.Errorf("%w: the programs of the terminal do not end", engine.ErrBusy)
	}
	return err
}

// hungUp waits a bounded time until nothing is left of sessions.
func hungUp(ctx context.Context, way reach, sessions []int) (left int, err error) {
	patience := time.NewTimer(hangUpGrace)
	defer patience.Stop()
	tick := time.NewTicker(hangUpEvery)
	defer tick.Stop()
	for {
		if left, err = way.signal(ctx, sessions, 0); err != nil || left == 0 {
			return left, err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			return left, nil
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// reach is by the kernel's own files where they tell of the container, which also
// works where it has no room for one more process; else from inside.
func (e *Engine) reach(id string, found container.InspectResponse) reach {
	first := hostProcess{found.State.Pid}
	if _, err := first.environment(); err == nil && !e.remote && found.State.Pid > 0 && first.within(found.ID) {
		return fromHost{found.ID}
	}
	return fromInside{e, id}
}

// hostProcess is a process in the host's numbering.
type hostProcess struct{ pid int }

func (p hostProcess) read(file string) ([]byte, error) {
	return os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/" + file)
}

func (p hostProcess) environment() ([]byte, error) { return p.read("environ") }

// within says whether it is in the container with this engine's id.
func (p hostProcess) within(engineID string) bool {
	groups, err := p.read("cgroup")
	return err == nil && bytes.Contains(groups, []byte(engineID))
}

// stat is its state, its parent and its session.
func (p hostProcess) stat() (state string, parent, session int, ok bool) {
	text, err := p.read("stat")
	end := bytes.LastIndexByte(text, ')') // its name may hold anything
	if err != nil || end < 0 {
		return "", 0, 0, false
	}
	words := strings.Fields(string(text[end+1:]))
	if len(words) < 4 {
		return "", 0, 0, false
	}
	parent, err1 := strconv.Atoi(words[1])
	session, err2 := strconv.Atoi(words[3])
	return words[0], parent, session, err1 == nil && err2 == nil
}

// deaf says whether it ignores being hung up.
func (p hostProcess) deaf() bool {
	text, err := p.read("status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), "\nSigIgn:")
	word, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	ignored, err := strconv.ParseUint(word, 16, 64)
	return err == nil && ignored&(1<<(unix.SIGHUP-1)) != 0
}

func hostProcesses() ([]hostProcess, error) {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // it was only read
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []hostProcess
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, hostProcess{pid})
		}
	}
	return all, nil
}

// fromHost reaches the processes of the container with this engine's id.
type fromHost struct{ engineID string }

func (h fromHost) sessions(_ context.Context, terminalID string) ([]int, error) {
	all, err := hostProcesses()
	var found []int
	mark := []byte("\x00" + engine.TerminalVariable + "=" + terminalID + "\x00")
	for _, p := range all {
		env, err := p.environment()
		if err != nil || !bytes.Contains(append([]byte{0}, env...), mark) {
			continue
		}
		_, parent, session, ok := p.stat()
		// The program itself, whose parent is the engine's; what it began has the
		// same environment, and maybe a session of its own on purpose.
		if ok && session == p.pid && p.within(h.engineID) && !(hostProcess{parent}).within(h.engineID) {
			found = append(found, p.pid)
		}
	}
	return found, err
}

func (h fromHost) signal(_ context.Context, sessions []int, signal unix.Signal) (int, error) {
	all, err := hostProcesses()
	left := 0
	for _, p := range all {
		handle, err := unix.PidfdOpen(p.pid, 0) // so that what is asked of is what is signalled
		if err != nil {
			continue
		}
		if h.one(p, handle, sessions, signal) {
			left++
		}
		_ = unix.Close(handle)
	}
	return left, err
}

// one signals a process of the sessions, and says whether it counts.
func (h fromHost) one(p hostProcess, handle int, sessions []int, signal unix.Signal) bool {
	state, _, session, ok := p.stat()
	if !ok || state == "Z" || !slices.Contains(sessions, session) || !p.within(h.engineID) {
		return false
	}
	counts := session == p.pid || !p.deaf()
	if signal != 0 && (counts || signal == unix.SIGHUP) {
		_ = unix.PidfdSendSignal(handle, signal, nil, 0)
		_ = unix.PidfdSendSignal(handle, unix.SIGCONT, nil, 0) // a stopped one would not hear it
	}
	return counts
}

// fromInside reaches them by a shell in the container, with nothing but what is
// built into every shell.
type fromInside struct {
	engine *Engine
	id     string
}

const sessionsScript = `for p in /proc/[0-9]*; do
 parent=; env=
 while read -r key value; do [ "$key" = PPid: ] && parent=$value; done <$p/status
 [ "$parent" = 0 ] || continue
 while IFS= read -r x || [ -n "$x" ]; do env="$env$x"; done <$p/environ
 case $env in *"$1"*) echo ${p#/proc/};; esac
done 2>/dev/null`

const signalScript = `signal=$1; shift; sessions=" $* "; left=0
for p in /proc/[0-9]*; do
 pid=${p#/proc/}; line=; deaf=
 read -r line <$p/stat || continue
 set -- ${line##*) }
 [ "$1" = Z ] && continue
 case $sessions in *" $4 "*) ;; *) continue;; esac
 if [ "$4" != $pid ]; then
  while read -r key value; do [ "$key" = SigIgn: ] && deaf=$value; done <$p/status
 fi
 case $deaf in *[13579bdf]) [ $signal = 1 ] && kill -1 $pid; continue;; esac
 left=$((left+1))
 [ $signal = 0 ] || { kill -$signal $pid; kill -CONT $pid; }
done 2>/dev/null; echo $left`

func (i fromInside) ask(ctx context.Context, script string, args ...string) ([]int, error) {
	got, err := i.engine.Exec(ctx, i.id, append([]string{"sh", "-c", script, "sh"}, args...))
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, word := range strings.Fields(string(got.Output)) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("%w: what a shell in the container says of its processes is no number", engine.ErrRefused)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

func (i fromInside) sessions(ctx context.Context, terminalID string) ([]int, error) {
	return i.ask(ctx, sessionsScript, engine.TerminalVariable+"="+terminalID)
}

func (i fromInside) signal(ctx context.Context, sessions []int, signal unix.Signal) (int, error) {
	args := []string{strconv.Itoa(int(signal))}
	for _, s := range sessions {
		args = append(args, strconv.Itoa(s))
	}
	numbers, err := i.ask(ctx, signalScript, args...)
	if err != nil || len(numbers) == 0 {
		return 0, err
	}
	return numbers[len(numbers)-1], nil
}
