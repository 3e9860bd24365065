package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/accesstoken"
	"github.com/mlride/mlride/ent/predicate"
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
		signed.Viewer = viewerOf(signed.User)
		signed.Viewer.SessionID = row.ID
		signed.Viewer.IP, signed.Viewer.UserAgent, signed.Viewer.RequestID = v.IP, v.UserAgent, v.RequestID
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
	find := s.bySession
	if strings.HasPrefix(token, TokenPrefix) {
		find = s.byToken
	}
	found, err := find(auth.AsSystem(ctx), hash, now.UTC())
	if err != nil {
		return auth.Viewer{}, err
	}
	if found == nil {
		if ok {
			s.end(k.viewer.Credential())
		}
		return auth.Viewer{}, fault.New(fault.Unauthenticated, "Your sign-in has ended. Sign in again.")
	}
	k = *found
	k.until = now.Add(cacheFor)
	s.sessions.mu.Lock()
	if len(s.sessions.known) >= maxCached {
		clear(s.sessions.known)
	}
	s.sessions.known[hash] = k
	s.sessions.mu.Unlock()
	if now.Sub(k.seen) >= seenEvery {
		select {
		case s.sessions.seen <- k.viewer.Credential():
		default: // the next request says it again
		}
	}
	return k.viewer, nil
}

func viewerOf(u *ent.User) auth.Viewer {
	return auth.Viewer{UserID: u.ID, Username: u.Username, Admin: u.Role == user.RoleAdmin, MustChange: u.MustChangePassword}
}

// admitted are the accounts that let somebody in.
func admitted(now time.Time) []predicate.User {
	return []predicate.User{
		user.SuspendedAtIsNil(), user.DeletionScheduledAtIsNil(),
		user.Or(user.ExpiresAtIsNil(), user.ExpiresAtGT(now)),
	}
}

// bySession is whose a session's token is; nil when nobody's.
func (s *Service) bySession(sys context.Context, hash string, now time.Time) (*known, error) {
	row, err := s.Client.Session.Query().
		Where(session.TokenHash(hash), session.ExpiresAtGT(now), session.HasUserWith(admitted(now)...)).WithUser().Only(sys)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	k := &known{viewer: viewerOf(row.Edges.User), seen: row.LastSeenAt}
	k.viewer.SessionID = row.ID
	return k, nil
}

// watchEvery bounds how long an open socket outlives a change that nobody here
// made: a time that came, or what another process wrote.
const watchEvery = 500 * time.Millisecond

// watchOver ends what is open for those who may not be here any more.
func (s *Service) watchOver(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := s.Recheck(ctx); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "looking after open connections did not succeed", "error", err)
			}
		}
	}
}

// Recheck ends what is open for sign-ins and tokens that hold no more. It asks
// about those only that anybody listens for.
func (s *Service) Recheck(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	s.sessions.mu.Lock()
	var listened []string
	for id := range s.sessions.ended {
		listened = append(listened, id)
	}
	s.sessions.mu.Unlock()
	now := s.Now().UTC()
	for some := range slices.Chunk(listened, 500) {
		sessions, err := s.Client.Session.Query().
			Where(session.IDIn(some...), session.ExpiresAtGT(now), session.HasUserWith(admitted(now)...)).IDs(ctx)
		if err != nil {
			return err
		}
		tokens, err := s.Client.AccessToken.Query().Where(accesstoken.IDIn(some...), valid(now)).IDs(ctx)
		if err != nil {
			return err
		}
		for _, id := range some {
			if !slices.Contains(sessions, id) && !slices.Contains(tokens, id) {
				s.end(id)
			}
		}
	}
	return nil
}

// credentials are the sessions and tokens of a person, with the client of the
// transaction that changes what they may.
func credentials(sys context.Context, tx *ent.Client, userID string) ([]string, error) {
	sessions, err := tx.Session.Query().Where(session.UserID(userID)).IDs(sys)
	if err != nil {
		return nil, err
	}
	tokens, err := tx.AccessToken.Query().Where(accesstoken.UserID(userID)).IDs(sys)
	return append(sessions, tokens...), err
}

// noteLastSeen writes down uses, beside the requests and not in their way.
func (s *Service) noteLastSeen(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-s.sessions.seen:
			now := s.Now().UTC()
			if strings.HasPrefix(id, "tok_") {
				if err := s.noteToken(ctx, id, now); err != nil && ctx.Err() == nil {
					s.Log.WarnContext(ctx, "noting the last use of a token did not succeed", "error", err)
				}
				continue
			}
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

// Ended is closed when the session or access token has ended, by whatever cause within this
// process.
func (s *Service) Ended(credential string) <-chan struct{} {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	done := s.sessions.ended[credential]
	if done == nil {
		done = make(chan struct{})
		s.sessions.ended[credential] = done
	}
	return done
}

// end tells whoever listens that these are over, or hold for something else
// than before, and forgets them.
func (s *Service) end(credentials ...string) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	for hash, k := range s.sessions.known {
		if slices.Contains(credentials, k.viewer.Credential()) {
			delete(s.sessions.known, hash)
		}
	}
	for _, id := range credentials {
		if done := s.sessions.ended[id]; done != nil {
			close(done)
			delete(s.sessions.ended, id)
		}
	}
}

// Logout ends the session that the request came with, and no other.
func (s *Service) Logout(ctx context.Context) error {
	v, err := auth.Require(ctx)
	if err != nil {
		return err
	}
	if v.SessionID == "" {
		return fault.New(fault.Forbidden, "An access token has no sign-in to end. Revoke the token instead.")
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
	now := s.Now().UTC()
	over, err := s.Client.Session.Query().Where(session.Or(
		session.ExpiresAtLTE(now), session.HasUserWith(user.ExpiresAtLTE(now)),
	)).IDs(ctx)
	if err != nil || len(over) == 0 {
		return err
	}
	if _, err := s.Client.Session.Delete().Where(session.IDIn(over...)).Exec(ctx); err != nil {
		return err
	}
	s.end(over...)
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
