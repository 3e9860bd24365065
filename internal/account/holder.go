package account

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/session"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// Holder is whose session it is that has this id, for those who were let in
// elsewhere on its account. UNAUTHENTICATED when it has ended, or lets nobody in.
func (s *Service) Holder(ctx context.Context, id string) (auth.Viewer, error) {
	row, err := s.Client.Session.Query().
		Where(session.ID(id), session.ExpiresAtGT(s.Now().UTC()), session.HasUserWith(admitted(s.Now().UTC())...)).
		WithUser().Only(auth.AsSystem(ctx))
	if ent.IsNotFound(err) {
		return auth.Viewer{}, fault.New(fault.Unauthenticated, "Your sign-in has ended. Sign in again.")
	}
	if err != nil {
		return auth.Viewer{}, err
	}
	v := viewerOf(row.Edges.User)
	v.SessionID = row.ID
	return v, nil
}
