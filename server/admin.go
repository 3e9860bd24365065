package server

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	osuser "os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// The commands of `mlride admin` and `mlride audit`. Those that change something
// are the API's own mutations, called as the server itself: so they follow its
// rules and are in the audit trail. They take the data folder's lock.

// office is the whole house with nobody in it: no loop runs and nothing listens.
type office struct {
	*house
	ctx context.Context //nolint:containedctx // the one command's
}

func (o office) do() generated.MutationResolver { return o.resolver.Mutation() }

// inOffice runs do while no server can. What it wants of the engine the next
// server does.
func inOffice(ctx context.Context, where StoreConfig, do func(o office) error) (err error) {
	config, err := environment(where)
	if err != nil {
		return err
	}
	unlock, err := claim(config.Data)
	if err != nil {
		return fmt.Errorf("%w: stop it first, or do this in its pages", err)
	}
	defer unlock()
	ctx = auth.AsSystem(auth.With(ctx, auth.Viewer{Username: operator()}))
	h, err := assemble(ctx, config, "admin", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	return said(do(office{h, ctx}))
}

// environment is the configuration of a server that is started here.
func environment(where StoreConfig) (Config, error) {
	var config Config
	parser, err := kong.New(&config, kong.Exit(func(int) {}))
	if err != nil {
		return config, err
	}
	if _, err := parser.Parse(nil); err != nil {
		return config, err
	}
	config.StoreConfig = where
	return config, nil
}

// operator is who gives commands, for the audit trail.
func operator() string {
	if u, err := osuser.Current(); err == nil {
		return "mlride admin (" + u.Username + ")"
	}
	return "mlride admin"
}

// said gives an error as a person reads it: what is ours to say, without its code.
func said(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) && f.Code != fault.Internal {
		return errors.New(f.Message)
	}
	return err
}

// reading opens the database for reading alone, whether a server runs or not.
func reading(ctx context.Context, where StoreConfig, do func(ctx context.Context, client *ent.Client) error) (err error) {
	if _, err := os.Stat(where.DatabasePath()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("MLRIDE_DATA: there is no database %s", where.DatabasePath())
	}
	ctx = auth.AsSystem(ctx)
	s, err := store.OpenToRead(ctx, where.DatabasePath())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(ctx, s.Client)
}

// named is the account of that user name, whatever its case.
func named(ctx context.Context, client *ent.Client, name string) (*ent.User, error) {
	u, err := client.User.Query().Where(user.UsernameKey(strings.ToLower(name))).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, fmt.Errorf("there is no account %q", name)
	}
	return u, err
}

// AdminUsers lists the accounts.
func AdminUsers(ctx context.Context, where StoreConfig, out io.Writer) error {
	return reading(ctx, where, func(ctx context.Context, client *ent.Client) error {
		rows, err := client.User.Query().Order(user.ByUsernameKey()).All(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "NAME\tROLE\tSTATE\tEMAIL\tLAST SEEN")
		for _, u := range rows {
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", u.Username, u.Role, state(u, time.Now()), orDash(u.Email), day(u.LastSeenAt))
		}
		return table.Flush()
	})
}

func state(u *ent.User, now time.Time) string {
	switch {
	case u.DeletionScheduledAt != nil:
		return "deleted, gone on " + day(u.DeletionScheduledAt)
	case u.SuspendedAt != nil:
		return "suspended"
	case u.ExpiresAt != nil && !u.ExpiresAt.After(now):
		return "ended on " + day(u.ExpiresAt)
	case u.MustChangePassword:
		return "one-time password"
	default:
		return "active"
	}
}

func orDash(text *string) string {
	if text == nil {
		return "-"
	}
	return *text
}

func day(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// NewAccount is an account that an administrator makes by command.
type NewAccount struct {
	Name, Email, Role string
	Quota             *LimitList
}

// AdminCreate makes an account and prints its one-time password.
func AdminCreate(ctx context.Context, where StoreConfig, a NewAccount, out io.Writer) error {
	return inOffice(ctx, where, func(o office) error {
		made, err := o.do().CreateUser(o.ctx, generated.CreateUserInput{
			Username: a.Name, Email: a.Email, Role: user.Role(a.Role), Quota: a.Quota.limits(),
		})
		if err != nil {
			return err
		}
		return told(out, made.User, made.OneTimePassword)
	})
}

// told prints a name and a one-time password, a tab between them.
func told(out io.Writer, u *ent.User, password *string) error {
	_, err := fmt.Fprintf(out, "%s\t%s\n", u.Username, orDash(password))
	return err
}

// AdminResetPassword gives an account a one-time password and prints it.
func AdminResetPassword(ctx context.Context, where StoreConfig, name string, out io.Writer) error {
	return inOffice(ctx, where, func(o office) error {
		u, err := named(o.ctx, o.store.Client, name)
		if err != nil {
			return err
		}
		made, err := o.do().ResetPassword(o.ctx, u.ID)
		if err != nil {
			return err
		}
		return told(out, made.User, &made.OneTimePassword)
	})
}

// AdminSuspend suspends an account, or lets it in again.
func AdminSuspend(ctx context.Context, where StoreConfig, name string, suspended bool) error {
	return adminUpdate(ctx, where, name, generated.UpdateUserInput{Suspended: &suspended})
}

// AdminRole makes somebody an administrator, or one no more.
func AdminRole(ctx context.Context, where StoreConfig, name, role string) error {
	to := user.Role(role)
	return adminUpdate(ctx, where, name, generated.UpdateUserInput{Role: &to})
}

func adminUpdate(ctx context.Context, where StoreConfig, name string, in generated.UpdateUserInput) error {
	return inOffice(ctx, where, func(o office) error {
		u, err := named(o.ctx, o.store.Client, name)
		if err == nil {
			_, err = o.do().UpdateUser(o.ctx, u.ID, in)
		}
		return err
	})
}

// AdminQuota changes the limits that are given.
func AdminQuota(ctx context.Context, where StoreConfig, name string, limits LimitList) error {
	return inOffice(ctx, where, func(o office) error {
		u, err := named(o.ctx, o.store.Client, name)
		if err == nil {
			_, err = o.do().SetQuota(o.ctx, u.ID, record.Limits(limits))
		}
		return err
	})
}

// AdminImport makes the accounts of a CSV file and prints them with their
// one-time passwords, as CSV. With dryRun it only says what it would do.
func AdminImport(ctx context.Context, where StoreConfig, file string, dryRun bool, out io.Writer) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return inOffice(ctx, where, func(o office) error {
		text := string(content)
		done, err := o.do().ImportUsers(o.ctx, generated.ImportUsersInput{CSV: &text}, dryRun)
		if err != nil {
			return err
		}
		for _, e := range done.Errors {
			column := ""
			if e.Column != nil {
				column = *e.Column + ": "
			}
			if _, err := fmt.Fprintf(out, "line %d: %s%s\n", e.Line, column, e.Message); err != nil {
				return err
			}
		}
		if len(done.Errors) > 0 {
			return fmt.Errorf("%d errors; no account was made", len(done.Errors))
		}
		if done.DryRun {
			_, err := fmt.Fprintf(out, "%d accounts would be made\n", len(done.Accounts))
			return err
		}
		table := csv.NewWriter(out)
		_ = table.Write([]string{"username", "email", "password"})
		for _, a := range done.Accounts {
			_ = table.Write([]string{a.Username, a.Email, orDash(a.OneTimePassword)})
		}
		table.Flush()
		return table.Error()
	})
}

// LimitList is some limits of a quota; nil where nothing is said.
type LimitList record.Limits

// UnmarshalText reads a list such as containers=5,cpu=2.
func (l *LimitList) UnmarshalText(text []byte) error {
	*l = LimitList{}
	return assignments(text, "containers=5,cpu=2,memory=4GiB,gpu=0,images=20,volumes=10,disk=20GiB", map[string]setter{
		"containers": given(&l.MaxContainers, whole), "gpu": given(&l.MaxGPU, whole),
		"images": given(&l.MaxImages, whole), "volumes": given(&l.MaxVolumes, whole),
		"memory": given(&l.MaxMemory, size), "disk": given(&l.MaxDisk, size),
		"cpu": given(&l.MaxCPU, func(to *float64) setter { return number(to, 0, 10_000) }),
	})
}

// given sets what is nil until then.
func given[T any](to **T, set func(*T) setter) setter {
	return func(text string) bool {
		*to = new(T)
		return set(*to)(text)
	}
}

func (l *LimitList) limits() *record.Limits { return (*record.Limits)(l) }

// AuditChoice says which rows of the trail are exported.
type AuditChoice struct {
	Since, Until  *time.Time
	Actor, Action string
}

// AuditExport writes the audit trail as JSON lines.
func AuditExport(ctx context.Context, where StoreConfig, c AuditChoice, out io.Writer) error {
	return reading(ctx, where, func(ctx context.Context, client *ent.Client) error {
		filter := audit.Filter{Before: c.Until}
		if c.Since != nil {
			from := c.Since.Add(-1) // the instant itself belongs to it
			filter.After = &from
		}
		if c.Action != "" {
			filter.Action = &c.Action
		}
		if c.Actor != "" {
			// Who is gone stays in the trail by name, and whose id is given by that.
			if u, err := named(ctx, client, c.Actor); err == nil {
				filter.ActorID = &u.ID
			} else if strings.HasPrefix(c.Actor, "user_") {
				filter.ActorID = &c.Actor
			} else {
				filter.ActorName = &c.Actor
			}
		}
		return audit.Export(ctx, client, filter, out)
	})
}
