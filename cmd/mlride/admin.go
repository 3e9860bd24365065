package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mlride/mlride/server"
)

type adminCommands struct {
	Users         adminUsers     `cmd:"" help:"List the accounts; also while the server runs."`
	Create        adminCreate    `cmd:"" help:"Make an account and print its one-time password."`
	ResetPassword adminReset     `cmd:"" help:"Give an account a one-time password, print it, and end its sign-ins."`
	Suspend       adminSuspend   `cmd:"" help:"Keep somebody out until further notice."`
	Unsuspend     adminUnsuspend `cmd:"" help:"Let somebody in again."`
	Role          adminRole      `cmd:"" help:"Make somebody an administrator, or one no more. The last one stays."`
	Quota         adminQuota     `cmd:"" help:"Change what somebody may use."`
	Import        adminImport    `cmd:"" help:"Make the accounts of a CSV file, all or none, and print their one-time passwords."`
}

// person is the account that a command is about.
type person struct {
	server.StoreConfig `embed:""`
	Name               string `arg:"" help:"User name."`
}

type adminUsers struct {
	server.StoreConfig `embed:""`
}

// Run lists.
func (c *adminUsers) Run(ctx context.Context, out io.Writer) error {
	return server.AdminUsers(ctx, c.StoreConfig, out)
}

type adminCreate struct {
	person `embed:""`
	Email  string            `required:"" placeholder:"ADDRESS" help:"Their address."`
	Role   string            `enum:"USER,ADMIN" default:"USER" placeholder:"USER|ADMIN" help:"What they may do."`
	Quota  *server.LimitList `placeholder:"LIST" help:"Limits such as containers=2,cpu=1; what is left out is as in MLRIDE_DEFAULT_QUOTA."`
}

// Run makes the account.
func (c *adminCreate) Run(ctx context.Context, out io.Writer) error {
	return server.AdminCreate(ctx, c.StoreConfig, server.NewAccount{Name: c.Name, Email: c.Email, Role: c.Role, Quota: c.Quota}, out)
}

type adminReset struct {
	person `embed:""`
}

// Run resets.
func (c *adminReset) Run(ctx context.Context, out io.Writer) error {
	return server.AdminResetPassword(ctx, c.StoreConfig, c.Name, out)
}

type adminSuspend struct {
	person `embed:""`
}

// Run suspends.
func (c *adminSuspend) Run(ctx context.Context) error {
	return server.AdminSuspend(ctx, c.StoreConfig, c.Name, true)
}

type adminUnsuspend struct {
	person `embed:""`
}

// Run lets in again.
func (c *adminUnsuspend) Run(ctx context.Context) error {
	return server.AdminSuspend(ctx, c.StoreConfig, c.Name, false)
}

type adminRole struct {
	person `embed:""`
	Role   string `arg:"" enum:"ADMIN,USER" help:"ADMIN or USER."`
}

// Run changes the role.
func (c *adminRole) Run(ctx context.Context) error {
	return server.AdminRole(ctx, c.StoreConfig, c.Name, c.Role)
}

type adminQuota struct {
	person `embed:""`
	Limits server.LimitList `arg:"" help:"Limits such as containers=5,cpu=2,memory=4GiB; what is left out stays."`
}

// Run changes the quota.
func (c *adminQuota) Run(ctx context.Context) error {
	return server.AdminQuota(ctx, c.StoreConfig, c.Name, c.Limits)
}

type adminImport struct {
	server.StoreConfig `embed:""`
	File               string `arg:"" type:"existingfile" help:"CSV with a line of column names: username,email and more."`
	DryRun             bool   `help:"Say what would be done and what is wrong, and make nothing."`
}

// Run imports.
func (c *adminImport) Run(ctx context.Context, out io.Writer) error {
	return server.AdminImport(ctx, c.StoreConfig, c.File, c.DryRun, out)
}

type auditCommands struct {
	Export auditExport `cmd:"" help:"Print the audit trail as JSON lines, oldest first."`
}

type auditExport struct {
	server.StoreConfig `embed:""`
	Since              *instant `placeholder:"TIME" help:"From then on: 2026-11-24, or 2026-11-24T08:00:00Z."`
	Until              *instant `placeholder:"TIME" help:"Only before then."`
	Actor              string   `placeholder:"NAME" help:"Only what this person did: a user name or an id."`
	Action             string   `placeholder:"WORD" help:"Only this, as account.login; with a full stop at its end all that begins so, as account."`
}

// Run exports.
func (c *auditExport) Run(ctx context.Context, out io.Writer) error {
	return server.AuditExport(ctx, c.StoreConfig, server.AuditChoice{
		Since: (*time.Time)(c.Since), Until: (*time.Time)(c.Until), Actor: c.Actor, Action: c.Action,
	}, out)
}

// instant is a day, which begins in UTC, or a time.
type instant time.Time

// UnmarshalText reads one.
func (i *instant) UnmarshalText(text []byte) error {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, string(text)); err == nil {
			*i = instant(t)
			return nil
		}
	}
	return fmt.Errorf("takes a day or a time such as 2026-11-24 or 2026-11-24T08:00:00Z, not %q", text)
}
