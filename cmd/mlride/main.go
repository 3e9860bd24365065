// Command mlride is the whole of MLRide: the server and its administration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mlride/mlride/server"
)

// version is set by the linker.
var version = "dev"

// cli is the command line.
type cli struct {
	Serve    serve            `cmd:"" help:"Run the server until SIGTERM."`
	Migrate  migrate          `cmd:"" help:"Bring the database up to date and exit."`
	Doctor   doctor           `cmd:"" help:"Look at what the server would find, and say what to do about it."`
	Admin    adminCommands    `cmd:"" help:"Accounts, while the server does not run."`
	Audit    auditCommands    `cmd:"" help:"The audit trail, whether the server runs or not."`
	Firewall firewallCommands `cmd:"" help:"The rules that shield the host's services from containers."`
	Version  printVersion     `cmd:"" help:"Print the version, the commit and the version of Go."`
}

func main() {
	// SQLite compares times as text, which holds only in one zone.
	time.Local = time.UTC
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does what args say; the result is the exit status.
func run(args []string, out, errs io.Writer) int {
	for _, name := range server.EmptyVariables(os.Environ()) {
		_ = os.Unsetenv(name)
	}
	var commands cli
	exited := -1
	parser, err := kong.New(&commands,
		kong.Name("mlride"),
		kong.Description("Development containers for a team on one machine. Every flag has a variable; the flag wins."),
		kong.Writers(out, errs),
		kong.Exit(func(status int) { exited = status }),
		kong.BindTo(out, (*io.Writer)(nil)),
	)
	if err != nil {
		return fail(errs, err, 2)
	}
	if len(args) == 0 || slices.Contains([]string{"serve", "migrate", "doctor", "admin", "audit"}, args[0]) {
		if err := server.CheckEnvironment(parser.Model, os.Environ()); err != nil {
			return fail(errs, err, 2)
		}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // help was asked for, and given
		return exited
	}
	if err != nil {
		return fail(errs, err, 2)
	}
	ctx, cancel := untilSignal()
	defer cancel()
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(); err != nil {
		return fail(errs, err, 1)
	}
	return 0
}

// fail says in one line what is wrong.
func fail(errs io.Writer, err error, status int) int {
	_, _ = fmt.Fprintf(errs, "mlride: %v\n", err)
	return status
}

// untilSignal ends at the first SIGTERM or SIGINT; the second ends the process.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(130)
	}()
	return ctx, cancel
}

type serve struct {
	server.Config `embed:""`
}

// Run serves until ctx ends.
func (c *serve) Run(ctx context.Context) error {
	if os.Getenv("GOGC") == "" {
		// A list of 50 containers allocates much and keeps nothing: collecting
		// at five times the live heap instead of twice gives a quarter more
		// requests. The live heap at rest is a few MB, so little is held for it.
		debug.SetGCPercent(400)
	}
	log := server.NewLogger(os.Stderr, c.Log)
	slog.SetDefault(log)
	return server.Run(ctx, c.Config, version)
}

type migrate struct {
	server.StoreConfig `embed:""`
	DryRun             bool `help:"Print the SQL and change nothing."`
}

// Run migrates.
func (c *migrate) Run(ctx context.Context, out io.Writer) error {
	return server.Migrate(ctx, c.StoreConfig, c.DryRun, out)
}

type doctor struct {
	server.Config `embed:""`
}

// Run looks and prints.
func (c *doctor) Run(ctx context.Context, out io.Writer) error {
	return server.Doctor(ctx, c.Config, out)
}

type firewallCommands struct {
	Install firewallVerb `cmd:"" help:"Make the chains, or mend them. They last until the machine restarts."`
	Remove  firewallVerb `cmd:"" help:"Take the chains away. A server with MLRIDE_FIREWALL=auto puts them back."`
	Show    firewallVerb `cmd:"" help:"Say whether they are in place, and print the commands that make them."`
}

type firewallVerb struct{}

// Run does what the command is named.
func (firewallVerb) Run(command *kong.Context, out io.Writer) error {
	return server.Firewall(command.Selected().Name, out)
}

type printVersion struct{}

// Run prints one line.
func (printVersion) Run(out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program carries no build information")
	}
	commit := "unknown"
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			commit = setting.Value
		}
	}
	_, err := fmt.Fprintf(out, "mlride %s, commit %s, %s\n", version, commit, info.GoVersion)
	return err
}
