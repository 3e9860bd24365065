package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/session"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

const (
	// sessionLife is how long a sign-in lasts that is not used.
	sessionLife = 30 * 24 * time.Hour
	// seenEvery is how often the last use is written down at most.
	seenEvery = time.Minute
	// cacheFor bounds how long a sign-in is known without asking the database:
	// within this process every end is known at once, and this is for changes by
	// another one, such as an administrator's command.
	cacheFor     = time.Second
	maxCached    = 10_000
	maxUserAgent = 256
)

// sessions is what is known of sign-ins without asking the database.
type sessions struct {
	mu    sync.Mutex
	known map[string]known // by token hash
	// ended has a channel for each session that anybody listened for, until it ends.
	ended map[string]chan struct{}
	seen  chan string
}

type known struct {
	viewer auth.Viewer
	until  time.Time
	seen   time.Time
}

func (s *sessions) init() {
	s.known, s.ended, s.seen = map[string]known{}, map[string]chan struct{}{}, make(chan string, 256)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// begin makes the session of a sign-in; the token is told once and only its
// hash is kept.
func (s *Service) begin(ctx context.Context, tx *ent.Client, signed *Signed) error {
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	signed.Token = base64.RawURLEncoding.EncodeToString(random[:])
	signed.Expires = s.Now().UTC().Add(sessionLife)
	v := auth.Of(ctx)
	agent := v.UserAgent
	if len(agent) > maxUserAgent {
		agent = agent[:maxUserAgent]
	}
	row, err := tx.Session.Create().SetUserID(signed.User.ID).SetTokenHash(hashToken(signed.Token)).
		SetIP(v.IP).SetUserAgent(agent).SetExpiresAt(signed.Expires).
		SetLastSeenAt(s.Now().UTC()).Save(auth.AsSystem(ctx))
	if err == nil {
		signed.Viewer = auth.Viewer{
			UserID: signed.User.ID, Username: signed.User.Username, Admin: signed.User.Role == user.RoleAdmin, SessionID: row.ID,
			IP: v.IP, UserAgent: v.UserAgent, RequestID: v.RequestID,
		}
	}
	return err
}

// Authenticate says who a token belongs to. The address, user agent and request
// id of the viewer are the transport's to fill in. What is unknown, expired or
// suspended is UNAUTHENTICATED.
func (s *Service) Authenticate(ctx context.Context, token string) (auth.Viewer, error) {
	hash, now := hashToken(token), s.Now()
	s.sessions.mu.Lock()
	k, ok := s.sessions.known[hash]
	s.sessions.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.viewer, nil
	}
	row, err := s.Client.Session.Query().Where(session.TokenHash(hash), session.ExpiresAtGT(now.UTC())).
		WithUser().Only(auth.AsSystem(ctx))
	if err != nil && !ent.IsNotFound(err) {
		return auth.Viewer{}, err
	}
	if row == nil || row.Edges.User == nil || row.Edges.User.SuspendedAt != nil {
		s.sessions.mu.Lock()
		delete(s.sessions.known, hash)
		s.sessions.mu.Unlock()
		if row != nil {
			s.end(row.ID)
		} else if ok {
			s.end(k.viewer.SessionID)
		}
		return auth.Viewer{}, fault.New(fault.Unauthenticated, "Your sign-in has ended. Sign in again.")
	}
	u := row.Edges.User
	k = known{
		viewer: auth.Viewer{UserID: u.ID, Username: u.Username, Admin: u.Role == user.RoleAdmin, SessionID: row.ID},
		until:  now.Add(cacheFor), seen: row.LastSeenAt,
	}
	s.sessions.mu.Lock()
	if len(s.sessions.known) >= maxCached {
		clear(s.sessions.known)
	}
	s.sessions.known[hash] = k
	s.sessions.mu.Unlock()
	if now.Sub(k.seen) >= seenEvery {
		select {
		case s.sessions.seen <- row.ID:
		default: // the next request says it again
		}
	}
	return k.viewer, nil
}

// noteLastSeen writes down uses, beside the requests and not in their way.
func (s *Service) noteLastSeen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-s.sessions.seen:
			now := s.Now().UTC()
			n, err := s.Client.Session.Update().Where(session.ID(id), session.LastSeenAtLT(now.Add(-seenEvery))).
				SetLastSeenAt(now).SetExpiresAt(now.Add(sessionLife)).Save(ctx)
			if err == nil && n > 0 {
				err = s.Client.User.Update().Where(user.HasSessionsWith(session.ID(id))).SetLastSeenAt(now).Exec(ctx)
			}
			if err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "noting the last use of a session did not succeed", "error", err)
			}
		}
	}
}

// Ended is closed when the session has ended, by whatever cause within this
// process.
func (s *Service) Ended(sessionID string) <-chan struct{} {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	done := s.sessions.ended[sessionID]
	if done == nil {
		done = make(chan struct{})
		s.sessions.ended[sessionID] = done
	}
	return done
}

// end tells whoever listens that the session is over, and forgets it.
func (s *Service) end(sessionID string) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for hash, k := range s.sessions.known {
		if k.viewer.SessionID == sessionID {
			delete(s.sessions.known, hash)
		}
	}
	if done := s.sessions.ended[sessionID]; done != nil {
		close(done)
		delete(s.sessions.ended, sessionID)
	}
}

// Logout ends the session that the request came with, and no other.
func (s *Service) Logout(ctx context.Context) error {
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	if err := s.remove(ctx, v.SessionID, "account.logout"); err != nil {
		return err
	}
	s.end(v.SessionID)
	return nil
}

// RevokeSession ends one of the viewer's own sessions.
func (s *Service) RevokeSession(ctx context.Context, id string) error {
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	row, err := s.GetSession(ctx, id)
	if err != nil {
		return err
	}
	if row.UserID != v.UserID {
		return fault.NoSuch("session", id)
	}
	if err := s.remove(ctx, id, "account.revoke-session"); err != nil {
		return err
	}
	s.end(id)
	return nil
}

func (s *Service) remove(ctx context.Context, id, action string) error {
	return store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		if _, err := tx.Session.Delete().Where(session.ID(id)).Exec(ctx); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Target: id})
	})
}

// expire removes the sessions whose time is over.
func (s *Service) expire(ctx context.Context) error {
	over, err := s.Client.Session.Query().Where(session.ExpiresAtLTE(s.Now().UTC())).IDs(ctx)
	if err != nil || len(over) == 0 {
		return err
	}
	if _, err := s.Client.Session.Delete().Where(session.IDIn(over...)).Exec(ctx); err != nil {
		return err
	}
	for _, id := range over {
		s.end(id)
	}
	return nil
}

// GetSession is one session that the viewer sees.
func (s *Service) GetSession(ctx context.Context, id string) (*ent.Session, error) {
	row, err := s.Client.Session.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("session", id)
	}
	return row, err
}

// Sessions are where a person is signed in, newest first.
func (s *Service) Sessions(ctx context.Context, userID string) ([]*ent.Session, error) {
	return s.Client.Session.Query().Where(session.UserID(userID), session.ExpiresAtGT(s.Now().UTC())).
		Order(session.ByCreatedAt(sql.OrderDesc()), session.ByID(sql.OrderDesc())).
		Limit(store.MaxPage).All(ctx)
}
