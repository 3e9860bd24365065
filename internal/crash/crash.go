// Package crash lets a test end the server at a chosen boundary: right before or
// after a commit, or a word with the engine. Unless the environment arms it, a
// point costs one comparison.
package crash

import (
	"fmt"
	"os"
	"sync"
	"syscall"
)

// The variables of the environment.
const (
	// Armed names the point at which the process ends itself by SIGKILL, as a
	// power cut would.
	Armed = "MLRIDE_CRASH_AT"
	// Trace names a file to which each point is written, once, when it is first
	// passed: so a test learns which there are.
	Trace = "MLRIDE_CRASH_TRACE"
)

var (
	armed, trace = os.Getenv(Armed), os.Getenv(Trace)
	mu           sync.Mutex
	passed       = map[string]bool{}
)

// Point is a boundary at which the process may be ended.
func Point(name string) {
	if armed == "" && trace == "" {
		return
	}
	if name == armed {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way: nothing more is done
	}
	note(name)
}

func note(name string) {
	mu.Lock()
	defer mu.Unlock()
	if trace == "" || passed[name] {
		return
	}
	passed[name] = true
	f, err := os.OpenFile(trace, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the test that asked for it will miss the names
	}
	defer func() { _ = f.Close() }()
	_, _ = fmt.Fprintln(f, name)
}
