package audit

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/hook"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	// Keep is how long rows stay; for ever when zero.
	Keep time.Duration
	Now  func() time.Time
	Log  *slog.Logger
}

// Service shows the trail, writes what was refused, and clears what is too old.
type Service struct {
	Options
	mu sync.Mutex
	// lately is when each kind of refusal was last written, and how many came since.
	lately map[refused]*spell
}

// New returns a service. From now on every row that is written through the
// client is published once it is committed.
func New(o Options) *Service {
	s := &Service{Options: o, lately: map[refused]*spell{}}
	o.Client.AuditEvent.Use(hook.On(s.publish, ent.OpCreate))
	return s
}

// publish tells of a row when its transaction has committed: before that nobody
// can read it, and it may never come.
func (s *Service) publish(next ent.Mutator) ent.Mutator {
	return hook.AuditEventFunc(func(ctx context.Context, m *ent.AuditEventMutation) (ent.Value, error) {
		value, err := next.Mutate(ctx, m)
		id, ok := m.ID()
		if err != nil || !ok {
			return value, err
		}
		tell := func() { s.Feed.Publish(live.Change{Kind: live.Audit, ID: id, Op: live.Created}) }
		tx, outside := m.Tx()
		if outside != nil {
			tell()
			return value, nil
		}
		tx.OnCommit(func(next ent.Committer) ent.Committer {
			return ent.CommitFunc(func(ctx context.Context, tx *ent.Tx) error {
				err := next.Commit(ctx, tx)
				if err == nil {
					tell()
				}
				return err
			})
		})
		return value, nil
	})
}

// Get is one row that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.AuditEvent, error) {
	row, err := s.Client.AuditEvent.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("audit event", id)
	}
	return row, err
}

// Filter chooses rows; nil does not matter.
type Filter struct {
	ActorID *string
	// ActorName is as it was then; for whoever is gone.
	ActorName *string
	// Action is a whole word, or with a full stop at its end the beginning of one.
	Action  *string
	Outcome *auditevent.Outcome
	Target  *string
	// After and Before are instants, neither of them included.
	After, Before *time.Time
}

func (f Filter) where() []predicate.AuditEvent {
	var where []predicate.AuditEvent
	if f.ActorID != nil {
		where = append(where, auditevent.ActorID(*f.ActorID))
	}
	if f.ActorName != nil {
		where = append(where, auditevent.ActorNameEqualFold(*f.ActorName))
	}
	if f.Action != nil {
		if strings.HasSuffix(*f.Action, ".") {
			where = append(where, auditevent.ActionHasPrefix(*f.Action))
		} else {
			where = append(where, auditevent.Action(*f.Action))
		}
	}
	if f.Outcome != nil {
		where = append(where, auditevent.OutcomeEQ(*f.Outcome))
	}
	if f.Target != nil {
		where = append(where, auditevent.Target(*f.Target))
	}
	if f.After != nil {
		where = append(where, auditevent.AtGT(f.After.UTC()))
	}
	if f.Before != nil {
		where = append(where, auditevent.AtLT(f.Before.UTC()))
	}
	return where
}

// List is a page of the rows that the viewer sees, newest first.
func (s *Service) List(ctx context.Context, f Filter, p store.Page) (store.Slice[*ent.AuditEvent], error) {
	return page(ctx, s.Client, f, true, p)
}

func page(ctx context.Context, client *ent.Client, f Filter, newestFirst bool, p store.Page) (store.Slice[*ent.AuditEvent], error) {
	order := store.Order{Column: auditevent.FieldAt, Desc: newestFirst}
	key := func(e *ent.AuditEvent) (any, string) { return e.At, e.ID }
	return store.Paginate(p, order, key, func(add func(*sql.Selector)) ([]*ent.AuditEvent, error) {
		return client.AuditEvent.Query().Where(f.where()...).Where(add).All(ctx)
	})
}

// Count is how many rows the filter chooses, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	ids, err := s.Client.AuditEvent.Query().Where(f.where()...).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// Watch gives each row that is written from now on and that the filter chooses,
// until ctx ends or the viewer administers no more.
func (s *Service) Watch(ctx context.Context, f Filter) (<-chan *ent.AuditEvent, error) {
	v, err := auth.RequireAdmin(ctx)
	if err != nil {
		return nil, err
	}
	news := s.Feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Audit })
	out := make(chan *ent.AuditEvent)
	go func() {
		defer close(out)
		for {
			c, err := news.Next(ctx)
			if err != nil {
				return
			}
			// The viewer of a stream is as it was when the stream began.
			still, err := s.Client.User.Query().
				Where(user.ID(v.UserID), user.RoleEQ(user.RoleAdmin), user.SuspendedAtIsNil()).Exist(auth.AsSystem(ctx))
			if err != nil || !still {
				s.gaveUp(ctx, err)
				return
			}
			row, err := s.Client.AuditEvent.Query().Where(auditevent.ID(c.ID)).Where(f.where()...).Only(ctx)
			if ent.IsNotFound(err) {
				continue
			}
			if err != nil {
				s.gaveUp(ctx, err)
				return
			}
			select {
			case out <- row:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (s *Service) gaveUp(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		s.Log.ErrorContext(ctx, "a stream of the audit trail ends early", "error", err)
	}
}

const (
	clearEvery = 24 * time.Hour
	// batch is how many rows go at once: others write in between.
	batch = 500
)

// Run clears the trail once a day until ctx ends.
func (s *Service) Run(ctx context.Context) {
	if s.Keep == 0 {
		return
	}
	ctx = auth.AsSystem(ctx)
	ticker := time.NewTicker(clearEvery)
	defer ticker.Stop()
	for {
		if n, err := s.Clear(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "clearing the audit trail did not succeed", "error", err)
		} else if n > 0 {
			s.Log.InfoContext(ctx, "cleared the audit trail", "rows", n, "older than", s.Keep)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Clear deletes the rows that are older than Keep and says how many.
func (s *Service) Clear(ctx context.Context) (int, error) {
	ctx = auth.AsSystem(ctx)
	cleared, limit := 0, s.Now().UTC().Add(-s.Keep)
	for s.Keep > 0 {
		ids, err := s.Client.AuditEvent.Query().Where(auditevent.AtLT(limit)).
			Order(auditevent.ByAt(), auditevent.ByID()).Limit(batch).IDs(ctx)
		if err != nil || len(ids) == 0 {
			return cleared, err
		}
		n, err := s.Client.AuditEvent.Delete().Where(auditevent.IDIn(ids...)).Exec(ctx)
		cleared += n
		if err != nil {
			return cleared, err
		}
	}
	return cleared, nil
}
