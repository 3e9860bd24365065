package account

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/invitation"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

// Limits are some limits of a quota.
type Limits = record.Limits

func checkLimits(l *Limits) error {
	if l == nil {
		return nil
	}
	return quota.Check(*l)
}

const (
	maxUses = 1000
	maxNote = 200
)

// NewInvitation is an invitation to make.
type NewInvitation struct {
	Note    *string
	MaxUses int
	Expires *time.Time
	Quota   *Limits
}

// Invite makes an invitation; its code is told this once. For administrators.
func (s *Service) Invite(ctx context.Context, in NewInvitation) (row *ent.Invitation, code string, err error) {
	v, err := auth.RequireAdmin(ctx)
	if err != nil {
		return nil, "", err
	}
	var check fault.Check
	check.That(in.MaxUses >= 1 && in.MaxUses <= maxUses, "maxUses", "range", "An invitation is for 1 to %d accounts.", maxUses)
	check.That(in.Expires == nil || in.Expires.After(s.Now()), "expiresAt", "range", "An invitation ends in the future.")
	check.That(in.Note == nil || utf8.ValidString(*in.Note) && utf8.RuneCountInString(*in.Note) <= maxNote, "note", "length", "A note has at most %d characters.", maxNote)
	if err := check.Err(); err != nil {
		return nil, "", err
	}
	if err := checkLimits(in.Quota); err != nil {
		return nil, "", err
	}
	code = strings.ToLower(rand.Text())
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		create := tx.Invitation.Create().SetCodeHash(hashToken(code)).SetNillableNote(in.Note).SetMaxUses(in.MaxUses).
			SetNillableExpiresAt(in.Expires).SetCreatedByID(v.UserID)
		if in.Quota != nil {
			create.SetQuota(in.Quota)
		}
		if row, err = create.Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "invitation.create", Target: row.ID, TargetName: deref(in.Note)})
	})
	if err != nil {
		return nil, "", err
	}
	return row.Unwrap(), code, nil
}

func deref(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// RevokeInvitation ends an invitation; for administrators.
func (s *Service) RevokeInvitation(ctx context.Context, id string) error {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return err
	}
	return store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		row, err := tx.Invitation.Get(ctx, id)
		if ent.IsNotFound(err) {
			return fault.NoSuch("invitation", id)
		}
		if err != nil {
			return err
		}
		if err := tx.Invitation.DeleteOne(row).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "invitation.revoke", Target: id, TargetName: deref(row.Note)})
	})
}

// GetInvitation is one invitation that the viewer sees.
func (s *Service) GetInvitation(ctx context.Context, id string) (*ent.Invitation, error) {
	row, err := s.Client.Invitation.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("invitation", id)
	}
	return row, err
}

// Invitations is a page of the invitations that the viewer sees, newest first.
func (s *Service) Invitations(ctx context.Context, p store.Page) (store.Slice[*ent.Invitation], error) {
	key := func(i *ent.Invitation) (any, string) { return i.CreatedAt, i.ID }
	return store.Paginate(p, store.Order{Column: invitation.FieldCreatedAt, Desc: true}, key, func(add func(*sql.Selector)) ([]*ent.Invitation, error) {
		return s.Client.Invitation.Query().Where(add).All(ctx)
	})
}

// CountInvitations is how many there are, at most store.CountBound + 1.
func (s *Service) CountInvitations(ctx context.Context) (int, error) {
	ids, err := s.Client.Invitation.Query().Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// usable are the invitations of a code that an account may still be made with.
func (s *Service) usable(code string) predicate.Invitation {
	return invitation.And(
		invitation.CodeHash(hashToken(code)),
		func(sel *sql.Selector) {
			sel.Where(sql.ColumnsLT(sel.C(invitation.FieldUses), sel.C(invitation.FieldMaxUses)))
		},
		invitation.Or(invitation.ExpiresAtIsNil(), invitation.ExpiresAtGT(s.Now().UTC())),
	)
}

// checkInvitation refuses a code that no account may be made with. What is
// wrong with it is not said: it is nobody's business who has none.
func (s *Service) checkInvitation(ctx context.Context, client *ent.Client, code string) error {
	usable, err := client.Invitation.Query().Where(s.usable(code)).Exist(auth.AsSystem(ctx))
	switch {
	case err != nil || usable:
		return err
	case s.Mode == Closed:
		return s.closed()
	}
	return badCode("invitation", "This invitation does not hold: it is used up, over or was never made."+s.askWhom())
}

// useInvitation takes one use of a code, in the transaction that makes the account.
func (s *Service) useInvitation(ctx context.Context, tx *ent.Client, code string) (*ent.Invitation, error) {
	sys := auth.AsSystem(ctx)
	changed, err := tx.Invitation.Update().Where(s.usable(code)).AddUses(1).Save(sys)
	if err != nil {
		return nil, err
	}
	if changed == 0 {
		if err := s.checkInvitation(ctx, tx, code); err != nil {
			return nil, err
		}
		return nil, s.closed()
	}
	return tx.Invitation.Query().Where(invitation.CodeHash(hashToken(code))).Only(sys)
}
