package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	entuser "github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// Viewer resolves Query.viewer.
func (r query) Viewer(ctx context.Context) (*ent.User, error) { return r.Account.Viewer(ctx) }

// Users resolves Query.users.
func (r query) Users(ctx context.Context, after *string, first *int, before *string, last *int, where *generated.UserFilter, orderBy *generated.UserOrder) (*generated.UserConnection, error) {
	var filter account.Filter
	if where != nil {
		filter = account.Filter{NameContains: where.NameContains, Role: where.Role, Suspended: where.Suspended, Expired: where.Expired, Deleted: where.DeletionScheduled}
	}
	slice, err := r.Account.List(ctx, filter, userOrder(orderBy), store.Page{First: first, Last: last, After: after, Before: before})
	if err != nil {
		return nil, err
	}
	c := &generated.UserConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.User) *generated.UserEdge {
		return &generated.UserEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Account.Count(ctx, filter)
	}
	return c, err
}

func userOrder(o *generated.UserOrder) store.Order {
	if o == nil {
		return store.Order{Column: entuser.FieldCreatedAt, Desc: true}
	}
	column := map[generated.UserOrderField]string{
		generated.UserOrderFieldCreatedAt:  entuser.FieldCreatedAt,
		generated.UserOrderFieldUsername:   entuser.FieldUsernameKey,
		generated.UserOrderFieldLastSeenAt: entuser.FieldLastSeenAt,
	}[o.Field]
	return store.Order{Column: column, Desc: o.Direction == generated.OrderDirectionDesc}
}

// Register resolves Mutation.register.
func (r mutation) Register(ctx context.Context, in generated.RegisterInput) (*generated.UserPayload, error) {
	return signedIn(ctx, func(ctx context.Context) (*account.Signed, error) {
		return r.Account.Register(ctx, account.Input{
			Username: in.Username, Email: in.Email, Password: in.Password, Nickname: in.Nickname, Code: in.Code,
		})
	})
}

// Login resolves Mutation.login.
func (r mutation) Login(ctx context.Context, in generated.LoginInput) (*generated.UserPayload, error) {
	return signedIn(ctx, func(ctx context.Context) (*account.Signed, error) {
		return r.Account.Login(ctx, in.Login, in.Password)
	})
}

// signedIn sets the cookie of a sign-in; where none can be set, nobody signs in.
func signedIn(ctx context.Context, sign func(context.Context) (*account.Signed, error)) (*generated.UserPayload, error) {
	cookies, ok := CookiesOf(ctx)
	if !ok {
		return nil, fault.New(fault.BadUserInput, "Signing in sets a cookie, which a WebSocket cannot. Sign in by an HTTP POST.")
	}
	signed, err := sign(ctx)
	if err != nil {
		return nil, err
	}
	cookies.SetSession(signed.Token, signed.Expires)
	auth.Become(ctx, signed.Viewer) // the rest of the answer is for who has signed in
	return &generated.UserPayload{User: signed.User}, nil
}

// Logout resolves Mutation.logout.
func (r mutation) Logout(ctx context.Context) (bool, error) {
	if err := r.Account.Logout(ctx); err != nil {
		return false, err
	}
	if cookies, ok := CookiesOf(ctx); ok {
		cookies.ClearSession()
	}
	return true, nil
}

// RevokeSession resolves Mutation.revokeSession.
func (r mutation) RevokeSession(ctx context.Context, id string) (bool, error) {
	err := r.Account.RevokeSession(ctx, id)
	return err == nil, err
}

// Current resolves Session.current.
func (r session) Current(ctx context.Context, s *ent.Session) (bool, error) {
	return auth.Of(ctx).SessionID == s.ID, nil
}

// Sessions resolves User.sessions.
func (r user) Sessions(ctx context.Context, u *ent.User) ([]*ent.Session, error) {
	return r.Account.Sessions(ctx, u.ID)
}
