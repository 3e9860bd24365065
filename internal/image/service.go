// Package image is what containers are made of: references, pulls as jobs of
// the server's own, and what the engine holds of them.
package image

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/imageshare"
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
	// ReserveImage takes a place for an image, or is QUOTA_EXCEEDED. tx is the
	// client of the transaction that makes the image.
	ReserveImage(ctx context.Context, tx *ent.Client, owner string) error
	// ReleaseImage gives it back in the transaction that removes the image.
	ReleaseImage(ctx context.Context, tx *ent.Client, owner string) error
	// CheckDisk is QUOTA_EXCEEDED when the owner's images fill their disk.
	CheckDisk(ctx context.Context, owner string) error
	// DiskLeft is what the owner may still keep on disk.
	DiskLeft(ctx context.Context, owner string) (record.Bytes, error)
}

// Engine is what images need of the engine.
type Engine interface {
	engine.Images
	engine.Contents
	engine.Builds
	// LayerSize is what a container has written outside of its volumes, in bytes.
	LayerSize(ctx context.Context, id string) (int64, error)
}

// Options build a Service.
type Options struct {
	Client *ent.Client
	Feed   *live.Feed
	Engine Engine
	Quota  Quota
	// Room says why nothing may be pulled now, for want of the machine's disk; nil
	// is always room.
	Room func() error
	// MinMemory is the floor of an image's minimum.
	MinMemory record.Bytes
	// Starter is a reference that the engine may have locally and that everybody
	// is then offered; empty for none.
	Starter string
	// CatalogueFile lists the well-known images in place of those that come with
	// the program; empty for those. It is read again when it changes.
	CatalogueFile string
	// Deadline bounds one pull from its turn on, since the engine tries a dead
	// registry again for ever. 0 means an hour.
	Deadline time.Duration
	// Build says how builds are done.
	Build BuildOptions
	// Mirrors of Docker Hub are asked first: host:port, with or without a scheme,
	// which is the engine's to choose.
	Mirrors []string
	// CheckEvery is how often registries are asked whether a tag has moved on; 0 is never.
	CheckEvery time.Duration
	// Keep is how long an image that nobody uses stays; 0 is for ever.
	Keep time.Duration
	Now  func() time.Time
	Log  *slog.Logger
}

// Service is all images.
type Service struct {
	Options
	catalogue     atomic.Pointer[[]Entry]
	catalogueSeen string       // the version of the file that was read at the start
	reclaimable   atomic.Int64 // bytes

	mu       sync.Mutex
	life     context.Context          // of Run; nil before and after
	jobs     map[string]*job          // by image
	fetching map[string]*fetching     // by reference
	spent    map[string]time.Duration // by image: see spentOn
	turns    chan struct{}            // has room for as many pulls as may be under way
	running  sync.WaitGroup
	comeback chan struct{}
	books    books
	forms    forms
	builds   builds
}

// New returns a service; nothing happens before Run. An ill-formed catalogue is an error.
func New(o Options) (*Service, error) {
	forms, err := readForms()
	if err != nil {
		return nil, err
	}
	o.Build = o.Build.withDefaults()
	if o.Deadline == 0 {
		o.Deadline = time.Hour
	}
	s := &Service{
		Options: o, catalogueSeen: stamp(o.CatalogueFile),
		jobs: map[string]*job{}, fetching: map[string]*fetching{}, spent: map[string]time.Duration{},
		turns: make(chan struct{}, maxPulls), comeback: make(chan struct{}, 1),
		forms: forms, builds: builds{steps: map[string]buildStep{}},
		books: books{open: map[string]*logbook{}, heard: map[string]chan struct{}{}, begun: map[string]int{}},
	}
	entries, err := BuiltinCatalogue()
	if o.CatalogueFile != "" {
		entries, err = readCatalogue(o.CatalogueFile)
	}
	if err != nil {
		return nil, err
	}
	s.offer(entries)
	return s, nil
}

// Filter chooses images; nil or empty does not matter.
type Filter struct {
	ReferenceContains *string
	Status            []image.Status
	Source            *image.Source
	Visibility        *image.Visibility
	OwnerID           *string
	// SharedWithMe chooses those that are shared with the viewer by name, or the others.
	SharedWithMe *bool
}

func (f Filter) where(viewer string) []predicate.Image {
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
	if f.SharedWithMe != nil {
		shared := image.HasSharesWith(imageshare.UserID(viewer))
		if !*f.SharedWithMe {
			shared = image.Not(shared)
		}
		where = append(where, shared)
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
	q := s.Client.Image.Query().Where(f.where(auth.Of(ctx).UserID)...)
	if owner {
		q.WithOwner()
	}
	return store.Paginate(p, o, orderKeys[o.Column], func(add func(*sql.Selector)) ([]*ent.Image, error) {
		return q.Where(add).All(ctx)
	})
}

// Count is how many the filter chooses, at most store.CountBound + 1.
func (s *Service) Count(ctx context.Context, f Filter) (int, error) {
	ids, err := s.Client.Image.Query().Where(f.where(auth.Of(ctx).UserID)...).Limit(store.CountBound + 1).IDs(ctx)
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
// ending with its removal; of all that the viewer sees, a second late where they
// see it by a share or a container (id empty); or of everybody's (all, for
// administrators). The channel is closed when ctx ends.
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
			return true // whether the viewer sees it is looked up: see others
		}
	})
	var rest *others
	if id == "" && !all {
		if rest, err = s.others(ctx, v.UserID); err != nil {
			return nil, err
		}
	}
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
			c, err := rest.next(ctx, sub)
			if err != nil {
				return
			}
			change := Change{Op: c.Op, ID: c.ID}
			if c.Op != live.Removed {
				change.Image, err = s.Client.Image.Get(ctx, c.ID)
				if ent.IsNotFound(err) {
					change = Change{Op: live.Removed, ID: c.ID} // since, or for this viewer
				} else if err != nil {
					if ctx.Err() == nil {
						s.Log.WarnContext(ctx, "reading a changed image did not succeed", "image", c.ID, "error", err)
					}
					continue
				}
			}
			var tell bool
			if change.Op, tell = rest.shows(c, change.Op); !tell {
				continue
			}
			if !send(ctx, out, change) || id != "" && change.Op == live.Removed {
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

// publish tells of a change that is committed, and of the owner's usage with it.
func (s *Service) publish(row *ent.Image, op live.Op) {
	s.Feed.Publish(changeOf(row, op))
	if row.OwnerID != nil {
		s.Feed.Publish(live.Change{Kind: live.Usage, ID: *row.OwnerID, Owner: *row.OwnerID, Op: live.Updated})
	}
}

func changeOf(row *ent.Image, op live.Op) live.Change {
	c := live.Change{Kind: live.Image, ID: row.ID, Op: op, Public: row.Visibility == image.VisibilityPublic}
	if row.OwnerID != nil {
		c.Owner = *row.OwnerID
	}
	return c
}
