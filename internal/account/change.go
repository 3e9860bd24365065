package account

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/session"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// confirm checks the viewer's own password, slowed like a sign-in.
func (s *Service) confirm(ctx context.Context, field, password, action string) (*ent.User, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	u, err := s.Get(ctx, v.UserID)
	if err != nil {
		return nil, err
	}
	_, ok, err := s.verify(ctx, u.UsernameKey, u, password)
	if err != nil {
		return nil, err
	}
	if !ok {
		err := audit.Record(ctx, s.Client, audit.Entry{
			Action: action, Target: u.ID, TargetName: u.Username, Detail: "wrong password", Outcome: auditevent.OutcomeFailed,
		})
		if err != nil {
			return nil, err
		}
		var check fault.Check
		check.That(false, field, "wrong", "That is not your password.")
		return nil, check.Err()
	}
	return u, nil
}

// ChangePassword changes the viewer's password and ends all their sessions but
// a new one, in the place of the one that asks. By an access token it gives no
// session.
func (s *Service) ChangePassword(ctx context.Context, current, next string) (*Signed, error) {
	u, err := s.confirm(ctx, "currentPassword", current, "account.change-password")
	if err != nil {
		return nil, err
	}
	var check fault.Check
	checkPassword(&check, "newPassword", next, u.Username)
	check.That(next != current, "newPassword", "same", "The new password is the old one.")
	if err := check.Err(); err != nil {
		return nil, err
	}
	hash, err := s.hashing.hash(ctx, next)
	if err != nil {
		return nil, err
	}
	v, sys := auth.Of(ctx), auth.AsSystem(ctx)
	signed := &Signed{Viewer: v}
	signed.Viewer.MustChange = false
	var over []string
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		changed, err := tx.User.Update().Where(user.ID(u.ID), user.PasswordHash(u.PasswordHash)).
			SetPasswordHash(hash).SetMustChangePassword(false).Save(sys)
		if err != nil {
			return err
		}
		if changed == 0 {
			return fault.New(fault.Conflict, "The password was changed by somebody else meanwhile. Sign in again.").With("field", "currentPassword")
		}
		if over, err = s.endSessions(sys, tx, u.ID); err != nil {
			return err
		}
		if signed.User, err = tx.User.Get(sys, u.ID); err != nil {
			return err
		}
		if v.SessionID != "" {
			if err := s.begin(ctx, tx, signed); err != nil {
				return err
			}
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "account.change-password", Target: u.ID, TargetName: u.Username})
	})
	if err != nil {
		return nil, err
	}
	signed.User = signed.User.Unwrap()
	s.end(over...)
	s.forgetTokens(u.ID)
	s.tell(u.ID, live.Updated)
	return signed, nil
}

// endSessions removes a person's sessions; the caller ends them after the commit.
func (s *Service) endSessions(sys context.Context, tx *ent.Client, userID string) ([]string, error) {
	ids, err := tx.Session.Query().Where(session.UserID(userID)).IDs(sys)
	if err != nil {
		return nil, err
	}
	_, err = tx.Session.Delete().Where(session.UserID(userID)).Exec(sys)
	return ids, err
}

// forgetTokens has what is known of a person's access tokens read again; they
// hold on.
func (s *Service) forgetTokens(userID string) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for hash, k := range s.sessions.known {
		if k.viewer.UserID == userID && k.viewer.TokenID != "" {
			delete(s.sessions.known, hash)
		}
	}
}

// Profile is what of one's profile is to change; nil stays. An empty nickname
// is none.
type Profile struct{ Nickname, Email *string }

func (p Profile) check(check *fault.Check) {
	checkNickname(check, p.Nickname)
	if p.Email != nil {
		checkEmail(check, *p.Email)
	}
}

func (p Profile) apply(sys context.Context, tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
	var details []string
	if p.Nickname != nil {
		if *p.Nickname == "" {
			up.ClearNickname()
		} else {
			up.SetNickname(*p.Nickname)
		}
		details = append(details, "nickname")
	}
	if p.Email != nil {
		if err := free(sys, tx, u.ID, "", *p.Email); err != nil {
			return nil, err
		}
		up.SetEmail(*p.Email).SetEmailKey(strings.ToLower(*p.Email))
		details = append(details, "email")
	}
	return details, nil
}

// UpdateProfile changes the viewer's own profile.
func (s *Service) UpdateProfile(ctx context.Context, p Profile) (*ent.User, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	p.check(&check)
	if err := check.Err(); err != nil {
		return nil, err
	}
	return s.change(ctx, v.UserID, "account.update", func(tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		return p.apply(auth.AsSystem(ctx), tx, u, up)
	})
}

// change changes one account and writes down what; nothing when do tells of no
// change.
func (s *Service) change(ctx context.Context, id, action string, do func(tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error)) (*ent.User, error) {
	var row *ent.User
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		u, err := tx.User.Get(ctx, id)
		if ent.IsNotFound(err) {
			return fault.NoSuch("user", id)
		}
		if err != nil {
			return err
		}
		row = u
		up := u.Update()
		details, err := do(tx, u, up)
		if err != nil || len(details) == 0 {
			return err
		}
		if row, err = up.Save(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Target: id, TargetName: u.Username, Detail: strings.Join(details, "; ")})
	})
	if err != nil {
		return nil, err
	}
	s.tell(id, live.Updated)
	return row.Unwrap(), nil
}

// Made is an account that an administrator made, or whose password they reset:
// the only time that the password is known.
type Made struct {
	User     *ent.User
	Password string
}

// oneTimePassword is twenty characters that can be read out, 100 bits.
func oneTimePassword() string {
	text := strings.ToLower(rand.Text())
	return fmt.Sprintf("%s-%s-%s-%s", text[:5], text[5:10], text[10:15], text[15:20])
}

// ResetPassword gives a person a one-time password and ends all that is open
// for them; for administrators.
func (s *Service) ResetPassword(ctx context.Context, id string) (*Made, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	made := &Made{Password: oneTimePassword()}
	hash, err := s.hashing.hash(ctx, made.Password)
	if err != nil {
		return nil, err
	}
	var over []string
	made.User, err = s.change(ctx, id, "account.reset-password", func(tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		up.SetPasswordHash(hash).SetMustChangePassword(true)
		if over, err = credentials(ctx, tx, id); err != nil {
			return nil, err
		}
		_, err = s.endSessions(ctx, tx, id)
		return []string{"one-time password"}, err
	})
	if err != nil {
		return nil, err
	}
	s.end(over...)
	return made, nil
}

// NewUser is an account to make for somebody.
type NewUser struct {
	Username, Email string
	Nickname        *string
	Role            user.Role
	Expires         *time.Time
	Quota           *Limits
}

func (in NewUser) check(check *fault.Check, now time.Time) {
	checkUsername(check, in.Username)
	checkEmail(check, in.Email)
	checkNickname(check, in.Nickname)
	check.That(in.Expires == nil || in.Expires.After(now), "expiresAt", "range", "An account ends in the future.")
}

// Create makes an account with a one-time password; for administrators.
func (s *Service) Create(ctx context.Context, in NewUser) (*Made, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	var check fault.Check
	in.check(&check, s.Now())
	if err := check.Err(); err != nil {
		return nil, err
	}
	if err := checkLimits(in.Quota); err != nil {
		return nil, err
	}
	made := &Made{Password: oneTimePassword()}
	hash, err := s.hashing.hash(ctx, made.Password)
	if err != nil {
		return nil, err
	}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		made.User, err = s.make(ctx, tx, in, hash, "account.create")
		return err
	})
	if err != nil {
		return nil, err
	}
	made.User = made.User.Unwrap()
	s.tell(made.User.ID, live.Created)
	return made, nil
}

// make makes the row of an account for somebody and writes it down.
func (s *Service) make(ctx context.Context, tx *ent.Client, in NewUser, hash, action string) (*ent.User, error) {
	u, err := s.insert(ctx, tx, newcomer{
		username: in.Username, email: in.Email, nickname: in.Nickname, hash: hash,
		role: in.Role, expires: in.Expires, oneTime: true, quota: in.Quota,
	})
	if err != nil {
		return nil, err
	}
	return u, audit.Record(ctx, tx, audit.Entry{Action: action, Target: u.ID, TargetName: u.Username, Detail: "role " + string(in.Role)})
}

// Edit is what of an account an administrator changes; nil stays.
type Edit struct {
	Profile
	Role      *user.Role
	Suspended *bool
	// Ends says that the end changes: to Expires, nil for never.
	Ends    bool
	Expires *time.Time
}

// Update changes an account; for administrators. Who may not be here any more is
// signed out at once, and so is what was open with other rights.
func (s *Service) Update(ctx context.Context, id string, e Edit) (*ent.User, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	var check fault.Check
	e.check(&check)
	if err := check.Err(); err != nil {
		return nil, err
	}
	var over []string
	row, err := s.change(ctx, id, "account.update", func(tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		details, err := e.apply(ctx, tx, u, up)
		if err != nil {
			return nil, err
		}
		rights, weaker := e.rights(u, up, s.Now().UTC())
		if weaker {
			if err := s.keepAdministrator(ctx, tx, u); err != nil {
				return nil, err
			}
		}
		if len(rights) > 0 {
			if over, err = credentials(ctx, tx, id); err != nil {
				return nil, err
			}
		}
		if e.Suspended != nil && *e.Suspended {
			_, err = s.endSessions(ctx, tx, id)
		}
		return append(details, rights...), err
	})
	if err == nil {
		s.end(over...)
	}
	return row, err
}

// rights changes what an account may, and says whether an administrator would
// then be less than one for ever.
func (e Edit) rights(u *ent.User, up *ent.UserUpdateOne, now time.Time) (details []string, weaker bool) {
	if e.Role != nil && *e.Role != u.Role {
		up.SetRole(*e.Role)
		details = append(details, fmt.Sprintf("role %s → %s", u.Role, *e.Role))
		weaker = *e.Role != user.RoleAdmin
	}
	if e.Suspended != nil && *e.Suspended != (u.SuspendedAt != nil) {
		if *e.Suspended {
			up.SetSuspendedAt(now)
			details, weaker = append(details, "suspended"), true
		} else {
			up.ClearSuspendedAt()
			details = append(details, "no longer suspended")
		}
	}
	switch {
	case e.Ends && e.Expires == nil && u.ExpiresAt != nil:
		up.ClearExpiresAt()
		details = append(details, "no end")
	case e.Ends && e.Expires != nil && (u.ExpiresAt == nil || !u.ExpiresAt.Equal(*e.Expires)):
		up.SetExpiresAt(e.Expires.UTC())
		details, weaker = append(details, "ends "+e.Expires.UTC().Format(time.RFC3339)), true
	}
	return details, weaker
}

// keepAdministrator refuses what would leave nobody to administer: u is an
// administrator, and there is no other who is here for good.
func (s *Service) keepAdministrator(ctx context.Context, tx *ent.Client, u *ent.User, alsoGone ...string) error {
	if u.Role != user.RoleAdmin || u.SuspendedAt != nil || u.DeletionScheduledAt != nil || over(u, s.Now()) {
		return nil
	}
	others, err := tx.User.Query().Where(
		user.RoleEQ(user.RoleAdmin), user.IDNotIn(append(alsoGone, u.ID)...),
		user.SuspendedAtIsNil(), user.DeletionScheduledAtIsNil(), user.ExpiresAtIsNil(),
	).Exist(auth.AsSystem(ctx))
	if err != nil || others {
		return err
	}
	return fault.New(fault.InvalidState, "%s is the last administrator. Make somebody else one first.", u.Username).With("reason", "LAST_ADMINISTRATOR")
}
