package engine

import "context"

// MaxExecOutput is how much of a program's output Exec keeps, in bytes.
const MaxExecOutput = 256 << 10

// Execs runs short programs inside containers.
type Execs interface {
	// Exec runs command in a running container, as the container's own user and in
	// its own working folder, never privileged, without input, and waits for its
	// end. A program that the container lacks ends with 127, as a shell would tell
	// it. ErrRefused when the container does not run or is paused; ErrBusy when it
	// has no room for one more process. When ctx ends before the program does, ctx's
	// error is returned and the program is left to itself: give it an end of its own.
	Exec(ctx context.Context, id string, command []string) (ExecResult, error)
}

// ExecResult is what became of a program.
type ExecResult struct {
	// Code is its exit status; 137 and the like where a signal ended it.
	Code int
	// Output is what it wrote to standard output and standard error, at most the
	// first MaxExecOutput bytes. What follows is read and thrown away.
	Output []byte
	// Cut says that there was more.
	Cut bool
}
