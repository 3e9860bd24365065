// Package account is who may come in: accounts, passwords, sign-ins.
package account

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Mode says who may make an account.
type Mode string

// The modes.
const (
	Open   Mode = "open"
	Closed Mode = "closed"
	Invite Mode = "invite"
)

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	Mode   Mode
	// SetupCode is needed by the first account, when not empty.
	SetupCode string
	// Contact is whom to ask, for refusals; may be empty.
	Contact string
	// NewQuota makes a new account's quota in the transaction that makes it.
	NewQuota func(ctx context.Context, tx *ent.Client, userID string, instead *record.Limits) error
	// Quota decides requests for more.
	Quota Quota
	// Belongings are what a deleted account leaves.
	Belongings Belongings
	// Grace is how long a deleted account can be restored.
	Grace time.Duration
	// Avatars is the folder of pictures.
	Avatars string
	Now     func() time.Time
	Log     *slog.Logger
}

// Quota is the part of the ledger that decides requests; quota.Service is one.
type Quota interface {
	Change(ctx context.Context, tx *ent.Client, userID string, limits record.Limits) (*ent.Quota, error)
	Changed(userID string)
}

// Belongings are what a person has in the engine and in the ledger.
type Belongings interface {
	// Stop has everything of a person's stop at once. What stops already may be
	// stopped again.
	Stop(ctx context.Context, userID string) error
	// Erase goes on with removing everything of a person's, and says whether it
	// is all gone. It is asked until it is.
	Erase(ctx context.Context, userID string) (gone bool, err error)
	// Archive writes a person's volumes as files into folder, which is below that of
	// all archives, and says how many bytes they are. It may be done again.
	Archive(ctx context.Context, userID, folder string) (record.Bytes, error)
	// Measure says what a person has.
	Measure(ctx context.Context, userID string) (Holding, error)
}

// Holding is what a person has.
type Holding struct {
	Containers, Images, Volumes int
	VolumeBytes, Bytes          record.Bytes
}

// Service is all accounts and sign-ins.
type Service struct {
	Options
	hashing hasher
	drawing chan struct{}
	// due says that an account was deleted: its grace may be short.
	due      chan struct{}
	avatars  sync.Mutex
	throttle throttle
	sessions sessions
	// terms is held while a term ends: archives are written one at a time.
	terms sync.Mutex
}

// New returns a service.
func New(o Options) *Service {
	s := &Service{Options: o, hashing: newHasher(), drawing: make(chan struct{}, 1), due: make(chan struct{}, 1)}
	s.throttle.now = o.Now
	s.sessions.init()
	return s
}

// Run does what is due by time until ctx ends: sessions that expired go, and
// what is not used is forgotten.
func (s *Service) Run(ctx context.Context) {
	ctx = auth.AsSystem(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { s.noteLastSeen(ctx) })
	wait.Go(func() { s.watchOver(ctx) })
	for {
		if err := s.expire(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "removing expired sessions did not succeed", "error", err)
		}
		if err := s.Erase(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "removing deleted accounts did not succeed", "error", err)
		}
		s.throttle.forget()
		timer := time.NewTimer(s.untilRound(ctx))
		select {
		case <-ctx.Done():
			timer.Stop()
			wait.Wait()
			return
		case <-s.due:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Get is one account that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.User, error) {
	u, err := s.Client.User.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("user", id)
	}
	return u, err
}

// Find is like Get, but what the viewer may not see is nil and no error.
func (s *Service) Find(ctx context.Context, id string) (*ent.User, error) {
	u, err := s.Client.User.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return u, err
}

// Viewer is who asks; nil for a visitor.
func (s *Service) Viewer(ctx context.Context) (*ent.User, error) {
	v := auth.Of(ctx)
	if !v.SignedIn() {
		return nil, nil
	}
	return s.Find(ctx, v.UserID)
}

// Filter chooses accounts; nil does not matter.
type Filter struct {
	NameContains *string
	Role         *user.Role
	Suspended    *bool
	Expired      *bool
	Deleted      *bool
	now          time.Time
}

func (f Filter) where() []predicate.User {
	var where []predicate.User
	if f.NameContains != nil {
		part := *f.NameContains
		where = append(where, user.Or(user.UsernameContainsFold(part), user.NicknameContainsFold(part), user.EmailContainsFold(part)))
	}
	if f.Role != nil {
		where = append(where, user.RoleEQ(*f.Role))
	}
	if f.Suspended != nil {
		if *f.Suspended {
			where = append(where, user.SuspendedAtNotNil())
		} else {
			where = append(where, user.SuspendedAtIsNil())
		}
	}
	if f.Expired != nil {
		if *f.Expired {
			where = append(where, user.ExpiresAtLTE(f.now))
		} else {
			where = append(where, user.Or(user.ExpiresAtIsNil(), user.ExpiresAtGT(f.now)))
		}
	}
	if f.Deleted != nil {
		if *f.Deleted {
			where = append(where, user.DeletionScheduledAtNotNil())
		} else {
			where = append(where, user.DeletionScheduledAtIsNil())
		}
	}
	return where
}

var orderKeys = map[string]func(*ent.User) (any, string){
	user.FieldCreatedAt:   func(u *ent.User) (any, string) { return u.CreatedAt, u.ID },
	user.FieldUsernameKey: func(u *ent.User) (any, string) { return u.UsernameKey, u.ID },
	user.FieldLastSeenAt:  func(u *ent.User) (any, string) { return u.LastSeenAt, u.ID },
}

// List is a page of the accounts that the viewer sees.
func (s *Service) List(ctx context.Context, f Filter, o store.Order, p store.Page) (store.Slice[*ent.User], error) {
	f.now = s.Now().UTC()
	return store.Paginate(p, o, orderKeys[o.Column], func(add func(*sql.Selector)) ([]*ent.User, error) {
		return s.Client.User.Query().Where(f.where()...).Where(add).All(ctx)
	})
}

// Count is how many the filter chooses, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	f.now = s.Now().UTC()
	ids, err := s.Client.User.Query().Where(f.where()...).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// Total is how many accounts there are.
func (s *Service) Total(ctx context.Context) (int, error) {
	return s.Client.User.Query().Count(auth.AsSystem(ctx))
}

func (s *Service) askWhom() string {
	if s.Contact == "" {
		return " Ask the administrator."
	}
	return fmt.Sprintf(" Ask %s.", s.Contact)
}
