// Package image is what containers are made of: references, pulls as jobs of
// the server's own, and what the engine holds of them.
package image

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Quota is what images need of the ledger.
type Quota interface {
	ReserveImage(ctx context.Context, tx *ent.Client, owner string) error
	ReleaseImage(ctx context.Context, tx *ent.Client, owner string) error
	CheckDisk(ctx context.Context, owner string) error
}

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	Engine engine.Images
	Quota  Quota
	// MinMemory is the floor of an image's minimum.
	MinMemory record.Bytes
	// Starter is a reference that the engine may have locally and that everybody
	// is then offered; empty for none.
	Starter string
	// Deadline bounds one pull; a dead registry retries for ever.
	Deadline time.Duration
	Now      func() time.Time
	Log      *slog.Logger
}

// Service is all images.
type Service struct {
	Options
	catalogue []Entry

	mu       sync.Mutex
	jobs     map[string]*job
	slots    chan struct{}
	running  sync.WaitGroup
	life     context.Context // of Run; nil before and after
	hints    chan string
	comeback chan struct{}
}

// New returns a service; nothing happens before Run.
func New(o Options) (*Service, error) {
	entries, err := Catalogue()
	if err != nil {
		return nil, err
	}
	if o.Deadline == 0 {
		o.Deadline = time.Hour
	}
	return &Service{
		Options: o, catalogue: entries, jobs: map[string]*job{}, slots: make(chan struct{}, maxPulls),
		hints: make(chan string, 256), comeback: make(chan struct{}, 1),
	}, nil
}

// Catalogue are the well-known images.
func (s *Service) Catalogue() []Entry { return s.catalogue }

// Filter chooses images; nil or empty does not matter.
type Filter struct {
	ReferenceContains *string
	Status            []image.Status
	Source            *image.Source
	Visibility        *image.Visibility
	OwnerID           *string
}

func (f Filter) where() []predicate.Image {
	var where []predicate.Image
	if f.ReferenceContains != nil {
		where = append(where, image.ReferenceContainsFold(*f.ReferenceContains))
	}
	if f.Status != nil {
		where = append(where, image.StatusIn(f.Status...))
	}
	if f.Source != nil {
		where = append(where, image.SourceEQ(*f.Source))
	}
	if f.Visibility != nil {
		where = append(where, image.VisibilityEQ(*f.Visibility))
	}
	if f.OwnerID != nil {
		where = append(where, image.OwnerID(*f.OwnerID))
	}
	return where
}

var orderKeys = map[string]func(*ent.Image) (any, string){
	image.FieldCreatedAt: func(i *ent.Image) (any, string) { return i.CreatedAt, i.ID },
	image.FieldReference: func(i *ent.Image) (any, string) { return i.Reference, i.ID },
	image.FieldSize: func(i *ent.Image) (any, string) {
		if i.Size == nil {
			return nil, i.ID
		}
		return int64(*i.Size), i.ID
	},
}

// List is a page of the images that the viewer sees.
func (s *Service) List(ctx context.Context, f Filter, o store.Order, p store.Page, owner bool) (store.Slice[*ent.Image], error) {
	q := s.Client.Image.Query().Where(f.where()...)
	if owner {
		q.WithOwner()
	}
	return store.Paginate(p, o, orderKeys[o.Column], func(add func(*sql.Selector)) ([]*ent.Image, error) {
		return q.Where(add).All(ctx)
	})
}

// Count is how many the filter chooses, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	ids, err := s.Client.Image.Query().Where(f.where()...).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}

// Total is how many images there are.
func (s *Service) Total(ctx context.Context) (int, error) {
	return s.Client.Image.Query().Count(auth.AsSystem(ctx))
}

// Get is one image that the viewer sees.
func (s *Service) Get(ctx context.Context, id string) (*ent.Image, error) {
	row, err := s.Client.Image.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("image", id)
	}
	return row, err
}

// Change is one message of Watch. Image is nil when it was removed.
type Change struct {
	Op    live.Op
	ID    string
	Image *ent.Image
}

// Watch sends what changes: of one image, beginning with its present state and
// ending with its removal; of the viewer's own and the public ones (id empty);
// or of everybody's (all, for administrators). The channel is closed when ctx
// ends.
func (s *Service) Watch(ctx context.Context, id string, all bool) (<-chan Change, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	if all && !v.Admin {
		return nil, fault.New(fault.Forbidden, "Only administrators see everybody's images.")
	}
	sub := s.Feed.Subscribe(ctx, func(c live.Change) bool {
		switch {
		case c.Kind != live.Image:
			return false
		case id != "":
			return c.ID == id
		default:
			return all || c.Public || c.Owner == v.UserID
		}
	})
	var first *ent.Image
	if id != "" {
		if first, err = s.Get(ctx, id); err != nil {
			return nil, err
		}
	}
	out := make(chan Change)
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
			if c.Op == live.Removed {
				if !send(ctx, out, Change{Op: c.Op, ID: c.ID}) || id != "" {
					return
				}
				continue
			}
			row, err := s.Client.Image.Get(ctx, c.ID)
			if err != nil {
				if !ent.IsNotFound(err) && ctx.Err() == nil {
					s.Log.WarnContext(ctx, "reading a changed image did not succeed", "image", c.ID, "error", err)
				}
				continue // gone since: its removal is on its way
			}
			if !send(ctx, out, Change{c.Op, c.ID, row}) {
				return
			}
		}
	}()
	return out, nil
}

func send[T any](ctx context.Context, out chan<- T, v T) bool {
	select {
	case out <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Service) publish(row *ent.Image, op live.Op) {
	c := live.Change{Kind: live.Image, ID: row.ID, Op: op, Public: row.Visibility == image.VisibilityPublic}
	if row.OwnerID != nil {
		c.Owner = *row.OwnerID
		s.Feed.Publish(live.Change{Kind: live.Usage, ID: c.Owner, Owner: c.Owner, Op: live.Updated})
	}
	s.Feed.Publish(c)
}
