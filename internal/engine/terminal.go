package engine

import (
	"context"
	"io"
)

// Terminals are shells with a terminal of their own inside running containers.
type Terminals interface {
	// OpenTerminal begins a program in a running container with a terminal, as the
	// container's own user and in its own working folder, never privileged. ctx
	// bounds the opening alone: the program goes on until it ends by itself, by
	// EndTerminal or with the container; Close of the terminal does not end it.
	// ErrRefused when the container does not run, is paused, or lacks the program;
	// ErrBusy when it has no room for one more process.
	OpenTerminal(ctx context.Context, id string, spec TerminalSpec) (Terminal, error)
	// EndTerminal ends the program of the terminal that was opened under that id, and
	// what runs in its session, whichever server opened it: they are hung up, and
	// killed where they do not heed that. What ignores being hung up (nohup) or has a
	// session of its own (setsid, tmux) goes on, as everywhere. One that is not there
	// is success. ErrRefused when the container is paused.
	EndTerminal(ctx context.Context, id, terminalID string) error
}

// TerminalSpec is a terminal to open.
type TerminalSpec struct {
	// ID is our own id of the terminal, unique in the container, and not the
	// beginning of another's: ours are all of one length. The program finds it in
	// its environment as MLRIDE_TERMINAL.
	ID      string
	Command []string
	// Env is besides the container's own; TERM is xterm-256color.
	Env []string
	// Cols and Rows are the size at the beginning, in characters.
	Cols, Rows int
}

// TerminalVariable names the environment variable that holds a terminal's id.
const TerminalVariable = "MLRIDE_TERMINAL"

// Terminal is a program with a terminal. Reading gives what it prints, and io.EOF
// when it has ended; writing is typing. One may read, write and resize at once.
type Terminal interface {
	io.ReadWriteCloser
	// ID is the engine's own name for it.
	ID() string
	// Resize tells the program the size of the window, in characters.
	Resize(ctx context.Context, cols, rows int) error
	// Wait gives the program's exit status, once it has ended.
	Wait(ctx context.Context) (int, error)
}
