// Package auth says who asks. The viewer travels in the context from the
// transport to the one place that decides on rows (internal/store).
package auth

import (
	"cmp"
	"context"
	"sync/atomic"

	"github.com/mlride/mlride/internal/fault"
)

// Viewer is who asks. The zero Viewer is a visitor: somebody not signed in.
type Viewer struct {
	// UserID is empty for a visitor and for the system.
	UserID   string
	Username string
	Admin    bool
	// SessionID is the sign-in that the request came with, TokenID the access
	// token: one of them for whoever is known.
	SessionID, TokenID string
	// ReadOnly says that the access token only reads.
	ReadOnly bool
	// MustChange says that the password is a one-time password: nothing else may
	// be done before it is changed.
	MustChange bool
	// IP, UserAgent and RequestID tell where the request came from; for the audit.
	IP, UserAgent, RequestID string

	system bool
}

type key struct{}

// With puts the viewer into the context.
func With(ctx context.Context, v Viewer) context.Context {
	place := &atomic.Pointer[Viewer]{}
	place.Store(&v)
	return context.WithValue(ctx, key{}, place)
}

// Become changes who asks for the rest of one request: a visitor has signed in.
// It changes the viewer that the last With put into ctx, for all who share it.
func Become(ctx context.Context, v Viewer) {
	if place, ok := ctx.Value(key{}).(*atomic.Pointer[Viewer]); ok {
		place.Store(&v)
	}
}

// From is the viewer of the context; false when none was put there, which is a
// mistake of the program and not a visitor.
func From(ctx context.Context) (Viewer, bool) {
	place, ok := ctx.Value(key{}).(*atomic.Pointer[Viewer])
	if !ok {
		return Viewer{}, false
	}
	return *place.Load(), true
}

// Of is the viewer of the context, a visitor when none was put there.
func Of(ctx context.Context) Viewer {
	v, _ := From(ctx)
	return v
}

// AsSystem is for the server's own work: loops, and the parts of a verb that
// act beyond its viewer's rights by design, such as the ledger. The request's
// address and id stay for the audit.
func AsSystem(ctx context.Context) context.Context {
	v := Of(ctx)
	v.system = true
	return With(ctx, v)
}

// IsSystem says whether the server itself acts.
func (v Viewer) IsSystem() bool { return v.system }

// SignedIn says whether a person is known.
func (v Viewer) SignedIn() bool { return v.UserID != "" }

// Credential is the id of what the request came with: a session or an access token.
func (v Viewer) Credential() string { return cmp.Or(v.SessionID, v.TokenID) }

// SeesAll says whether rows are hidden from the viewer at all.
func (v Viewer) SeesAll() bool { return v.system || v.Admin }

// Require is the viewer of the context, or UNAUTHENTICATED. The server itself
// may do what people do: it clears up after those who are gone.
func Require(ctx context.Context) (Viewer, error) {
	v := Of(ctx)
	if !v.SignedIn() && !v.system {
		return v, fault.New(fault.Unauthenticated, "Sign in first.")
	}
	return v, nil
}

// RequireAdmin is the viewer of the context when an administrator or the server
// itself, else UNAUTHENTICATED or FORBIDDEN.
func RequireAdmin(ctx context.Context) (Viewer, error) {
	if v := Of(ctx); v.system {
		return v, nil
	}
	v, err := Require(ctx)
	if err == nil && !v.Admin {
		err = fault.New(fault.Forbidden, "Only administrators may do this.")
	}
	return v, err
}
