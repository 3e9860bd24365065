package account

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/accesstoken"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// TokenPrefix begins every access token, so that one that leaked is recognised.
const TokenPrefix = "mlr_"

const (
	maxTokens    = 50
	maxTokenName = 64
)

// NewToken is an access token to make.
type NewToken struct {
	Name     string
	Expires  *time.Time
	ReadOnly bool
}

func valid(now time.Time) predicate.AccessToken {
	return accesstoken.And(
		accesstoken.Or(accesstoken.ExpiresAtIsNil(), accesstoken.ExpiresAtGT(now)),
		accesstoken.HasUserWith(admitted(now)...),
	)
}

// byToken is whose an access token is; nil when nobody's.
func (s *Service) byToken(sys context.Context, hash string, now time.Time) (*known, error) {
	row, err := s.Client.AccessToken.Query().Where(accesstoken.TokenHash(hash), valid(now)).WithUser().Only(sys)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &known{viewer: viewerOf(row.Edges.User)}
	k.viewer.TokenID, k.viewer.ReadOnly = row.ID, row.ReadOnly
	if row.LastUsedAt != nil {
		k.seen = *row.LastUsedAt
	}
	return k, nil
}

// noteToken writes down that a token was used, to the minute.
func (s *Service) noteToken(sys context.Context, id string, now time.Time) error {
	return s.Client.AccessToken.Update().
		Where(accesstoken.ID(id), accesstoken.Or(accesstoken.LastUsedAtIsNil(), accesstoken.LastUsedAtLTE(now.Add(-seenEvery)))).
		SetLastUsedAt(now).Exec(sys)
}

// CreateToken makes an access token of the viewer's; its secret is told this
// once. Only somebody who is signed in may: what holds for an hour must not
// make what holds for ever.
func (s *Service) CreateToken(ctx context.Context, in NewToken) (row *ent.AccessToken, secret string, err error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, "", err
	}
	if v.SessionID == "" {
		return nil, "", fault.New(fault.Forbidden, "An access token makes no others. Sign in with your password.")
	}
	var check fault.Check
	in.Name = strings.TrimSpace(in.Name)
	length := utf8.RuneCountInString(in.Name)
	check.That(utf8.ValidString(in.Name) && length > 0 && length <= maxTokenName, "name", "length", "A token's name has 1 to %d characters.", maxTokenName)
	check.That(in.Expires == nil || in.Expires.After(s.Now()), "expiresAt", "range", "A token ends in the future.")
	if err := check.Err(); err != nil {
		return nil, "", err
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, "", err
	}
	secret = TokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		mine := tx.AccessToken.Query().Where(accesstoken.UserID(v.UserID))
		n, err := mine.Clone().Count(ctx)
		if err != nil {
			return err
		}
		if n >= maxTokens {
			return fault.New(fault.Conflict, "You have %d access tokens, which is the most. Revoke one first.", n).With("field", "name")
		}
		taken, err := mine.Where(accesstoken.Name(in.Name)).Exist(ctx)
		if err != nil {
			return err
		}
		if taken {
			return fault.New(fault.Conflict, "You have an access token %q already.", in.Name).With("field", "name")
		}
		row, err = tx.AccessToken.Create().SetUserID(v.UserID).SetName(in.Name).SetTokenHash(hashToken(secret)).
			SetReadOnly(in.ReadOnly).SetNillableExpiresAt(in.Expires).Save(ctx)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "token.create", Target: row.ID, TargetName: row.Name})
	})
	if err != nil {
		return nil, "", err
	}
	return row.Unwrap(), secret, nil
}

// RevokeToken ends one of the viewer's own access tokens.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		row, err := tx.AccessToken.Query().Where(accesstoken.ID(id), accesstoken.UserID(v.UserID)).Only(ctx)
		if ent.IsNotFound(err) {
			return fault.NoSuch("access token", id)
		}
		if err != nil {
			return err
		}
		if err := tx.AccessToken.DeleteOne(row).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "token.revoke", Target: id, TargetName: row.Name})
	})
	if err == nil {
		s.end(id)
	}
	return err
}

// GetToken is one access token that the viewer sees.
func (s *Service) GetToken(ctx context.Context, id string) (*ent.AccessToken, error) {
	row, err := s.Client.AccessToken.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("access token", id)
	}
	return row, err
}

// Tokens are a person's access tokens, newest first.
func (s *Service) Tokens(ctx context.Context, userID string) ([]*ent.AccessToken, error) {
	return s.Client.AccessToken.Query().Where(accesstoken.UserID(userID)).
		Order(accesstoken.ByCreatedAt(sql.OrderDesc()), accesstoken.ByID(sql.OrderDesc())).All(ctx)
}
