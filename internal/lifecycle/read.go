package lifecycle

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/containerevent"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Filter chooses containers; what is nil or empty does not matter.
type Filter struct {
	NameContains                *string
	Status                      []container.Status
	ImageID, OwnerID            *string
	CreatedAfter, CreatedBefore *time.Time
}

func (f Filter) where() []predicate.Container {
	var where []predicate.Container
	if f.NameContains != nil {
		where = append(where, container.NameContainsFold(*f.NameContains))
	}
	if f.Status != nil {
		where = append(where, container.StatusIn(f.Status...))
	}
	if f.ImageID != nil {
		where = append(where, container.ImageID(*f.ImageID))
	}
	if f.OwnerID != nil {
		where = append(where, container.OwnerID(*f.OwnerID))
	}
	if f.CreatedAfter != nil {
		where = append(where, container.CreatedAtGT(*f.CreatedAfter))
	}
	if f.CreatedBefore != nil {
		where = append(where, container.CreatedAtLT(*f.CreatedBefore))
	}
	return where
}

// Load names the edges to read along with a list, one statement each.
type Load struct{ Owner, Image bool }

// order columns of the list.
var orderKeys = map[string]func(*ent.Container) (any, string){
	container.FieldCreatedAt: func(c *ent.Container) (any, string) { return c.CreatedAt, c.ID },
	container.FieldName:      func(c *ent.Container) (any, string) { return c.Name, c.ID },
	container.FieldStatus:    func(c *ent.Container) (any, string) { return string(c.Status), c.ID },
}

// List is a page of the containers that the viewer sees.
func (s *Service) List(ctx context.Context, f Filter, o store.Order, p store.Page, l Load) (store.Slice[*ent.Container], error) {
	q := s.Client.Container.Query().Where(f.where()...)
	if l.Owner {
		q.WithOwner()
	}
	if l.Image {
		q.WithImage()
	}
	return store.Paginate(p, o, orderKeys[o.Column], func(add func(*sql.Selector)) ([]*ent.Container, error) {
		return q.Where(add).All(ctx)
	})
}

// Count is how many the filter chooses, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	ids, err := s.Client.Container.Query().Where(f.where()...).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// Get is one container that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.Container, error) {
	row, err := s.Client.Container.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("container", id)
	}
	return row, err
}

// Events is the timeline of a container, newest first.
func (s *Service) Events(ctx context.Context, id string, first int) ([]*ent.ContainerEvent, error) {
	var check fault.Check
	check.That(first >= 0 && first <= store.MaxPage, "first", "range", "first takes 0 to %d.", store.MaxPage)
	if err := check.Err(); err != nil {
		return nil, err
	}
	return s.Client.ContainerEvent.Query().Where(containerevent.ContainerID(id)).
		WithActor().
		Order(containerevent.ByAt(sql.OrderDesc()), containerevent.ByID(sql.OrderDesc())).
		Limit(first).All(ctx)
}

// CountByStatus is how many containers have each status.
func (s *Service) CountByStatus(ctx context.Context) (map[container.Status]int, error) {
	var groups []struct {
		Status container.Status `json:"status"`
		Count  int              `json:"count"`
	}
	err := s.Client.Container.Query().GroupBy(container.FieldStatus).Aggregate(ent.Count()).Scan(ctx, &groups)
	counts := map[container.Status]int{}
	for _, g := range groups {
		counts[g.Status] = g.Count
	}
	return counts, err
}

// Change is one message of Watch. Container is nil when it was removed.
type Change struct {
	Op        live.Op
	ID        string
	Container *ent.Container
}

// Watch sends what changes: of one container, beginning with its present state
// and ending with its removal; of the viewer's own (id empty); or of everybody's
// (all, for administrators). The channel is closed when ctx ends.
func (s *Service) Watch(ctx context.Context, id string, all bool) (<-chan Change, error) {
	v, err := requireSignedIn(ctx)
	if err != nil {
		return nil, err
	}
	if all && !v.Admin {
		return nil, fault.New(fault.Forbidden, "Only administrators see everybody's containers.")
	}
	// Subscribe before the first look, so that nothing falls between.
	sub := s.Feed.Subscribe(ctx, func(c live.Change) bool {
		if c.Kind != live.Container {
			return false
		}
		if id != "" {
			return c.ID == id
		}
		return all || c.Owner == v.UserID
	})
	out := make(chan Change)
	var first *ent.Container
	if id != "" {
		if first, err = s.Get(ctx, id); err != nil {
			return nil, err
		}
	}
	go func() {
		defer close(out)
		if first != nil && !send(ctx, out, Change{live.Updated, id, first}) {
			return
		}
		for {
			c, err := sub.Next(ctx)
			if err != nil {
				return
			}
			change, ok := s.reread(ctx, c)
			if ok && !send(ctx, out, change) {
				return
			}
			if id != "" && c.Op == live.Removed {
				return
			}
		}
	}()
	return out, nil
}

// reread turns news into what the viewer may see of it.
func (s *Service) reread(ctx context.Context, c live.Change) (Change, bool) {
	if c.Op == live.Removed {
		return Change{Op: c.Op, ID: c.ID}, true
	}
	row, err := s.Client.Container.Get(ctx, c.ID)
	if ent.IsNotFound(err) {
		return Change{}, false // gone since: its removal is on its way
	}
	if err != nil {
		if ctx.Err() == nil {
			s.Log.WarnContext(ctx, "reading a changed container did not succeed", "container", c.ID, "error", err)
		}
		return Change{}, false
	}
	return Change{Op: c.Op, ID: c.ID, Container: row}, true
}

func send[T any](ctx context.Context, out chan<- T, v T) bool {
	select {
	case out <- v:
		return true
	case <-ctx.Done():
		return false
	}
}
