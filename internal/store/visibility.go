package store

import (
	"context"
	"fmt"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/containerevent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/imageline"
	"github.com/mlride/mlride/ent/imageshare"
	"github.com/mlride/mlride/ent/intercept"
	"github.com/mlride/mlride/ent/mount"
	"github.com/mlride/mlride/ent/statschunk"
	"github.com/mlride/mlride/ent/terminal"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
)

// rule says which rows of a type a person who is not an administrator sees and
// changes. A nil function lets none through.
type rule struct {
	see    func(viewer string) func(*sql.Selector)
	change func(viewer string) func(*sql.Selector)
	// add says whether somebody else than an administrator may add rows; those
	// with an owner may only be their own.
	add bool
}

// rules is who may see and change what. Administrators and the server itself
// see and change everything; a visitor nothing. A type without a row here
// cannot be read or written at all: see ruleFor.
var rules = map[string]rule{
	ent.TypeUser:           {see: mine("id"), change: mine("id")},
	ent.TypeSession:        {see: mine("user_id"), change: mine("user_id")},
	ent.TypeQuota:          {see: mine("user_id")},
	ent.TypeHost:           {},
	ent.TypeImage:          {see: imageSeen, change: mine(image.FieldOwnerID), add: true},
	ent.TypeImageShare:     {see: shareSeen}, // written by the server, for it names somebody else
	ent.TypeImageLine:      {see: ofImagesSeen(imageline.FieldImageID)},
	ent.TypeContainer:      {see: mine(container.FieldOwnerID), change: mine(container.FieldOwnerID), add: true},
	ent.TypeContainerEvent: {see: ofMyContainers(containerevent.FieldContainerID), add: true},
	ent.TypeAuditEvent:     {see: mine("actor_id"), add: true},
	ent.TypeUsageRecord:    {see: mine("owner_id")},
	ent.TypeVolume:         {see: volumeSeen, change: mine(volume.FieldOwnerID), add: true},
	ent.TypeMount:          {see: ofMyContainers(mount.FieldContainerID), add: true},
	ent.TypeTerminal:       {see: ofMyContainers(terminal.FieldContainerID), change: ofMyContainers(terminal.FieldContainerID), add: true},
	ent.TypeStatsChunk:     {see: ofMyContainers(statschunk.FieldContainerID)},
	ent.TypeDevice:         {},
	ent.TypeAccessToken:    {see: mine("user_id"), change: mine("user_id"), add: true},
	ent.TypeInvitation:     {},
	ent.TypeQuotaRequest:   {see: mine("user_id"), add: true},
}

func mine(column string) func(string) func(*sql.Selector) {
	return func(viewer string) func(*sql.Selector) { return sql.FieldEQ(column, viewer) }
}

// imageSeen: one's own, the public ones, those that are shared with one, and those
// that one has a container of.
func imageSeen(viewer string) func(*sql.Selector) {
	return func(s *sql.Selector) {
		c, shared := sql.Table(container.Table), sql.Table(imageshare.Table)
		s.Where(sql.Or(
			sql.EQ(s.C(image.FieldOwnerID), viewer),
			sql.EQ(s.C(image.FieldVisibility), image.VisibilityPublic),
			sql.In(s.C(image.FieldID), sql.Select(shared.C(imageshare.FieldImageID)).From(shared).Where(sql.EQ(shared.C(imageshare.FieldUserID), viewer))),
			sql.In(s.C(image.FieldID), sql.Select(c.C(container.FieldImageID)).From(c).Where(sql.EQ(c.C(container.FieldOwnerID), viewer))),
		))
	}
}

// shareSeen: of one's own images, and that one sees an image oneself.
func shareSeen(viewer string) func(*sql.Selector) {
	return func(s *sql.Selector) {
		i := sql.Table(image.Table)
		s.Where(sql.Or(
			sql.EQ(s.C(imageshare.FieldUserID), viewer),
			sql.In(s.C(imageshare.FieldImageID), sql.Select(i.C(image.FieldID)).From(i).Where(sql.EQ(i.C(image.FieldOwnerID), viewer))),
		))
	}
}

// ofImagesSeen are the rows whose column names an image that the viewer sees.
func ofImagesSeen(column string) func(string) func(*sql.Selector) {
	return func(viewer string) func(*sql.Selector) {
		return func(s *sql.Selector) {
			i := sql.Select(image.FieldID).From(sql.Table(image.Table))
			imageSeen(viewer)(i)
			s.Where(sql.In(s.C(column), i))
		}
	}
}

// volumeSeen: one's own, the public ones, and those that a container of one's own has.
func volumeSeen(viewer string) func(*sql.Selector) {
	return func(s *sql.Selector) {
		m, c := sql.Table(mount.Table), sql.Table(container.Table)
		s.Where(sql.Or(
			sql.EQ(s.C(volume.FieldOwnerID), viewer),
			sql.And(sql.EQ(s.C(volume.FieldVisibility), volume.VisibilityPublic), sql.IsNull(s.C(volume.FieldDeletedAt))),
			sql.In(s.C(volume.FieldID), sql.Select(m.C(mount.FieldVolumeID)).From(m).Join(c).
				On(m.C(mount.FieldContainerID), c.C(container.FieldID)).Where(sql.EQ(c.C(container.FieldOwnerID), viewer))),
		))
	}
}

// ofMyContainers are the rows whose column names a container of the viewer's.
func ofMyContainers(column string) func(string) func(*sql.Selector) {
	return func(viewer string) func(*sql.Selector) {
		return func(s *sql.Selector) {
			c := sql.Table(container.Table)
			s.Where(sql.In(s.C(column), sql.Select(c.C(container.FieldID)).From(c).Where(sql.EQ(c.C(container.FieldOwnerID), viewer))))
		}
	}
}

func nothing(s *sql.Selector) { s.Where(sql.False()) }

func ruleFor(ctx context.Context, typ string) (rule, auth.Viewer, error) {
	r, ok := rules[typ]
	if !ok {
		return r, auth.Viewer{}, fmt.Errorf("store: %s has no row in the visibility table", typ)
	}
	v, ok := auth.From(ctx)
	if !ok {
		return r, v, fmt.Errorf("store: a query of %s without a viewer in its context", typ)
	}
	return r, v, nil
}

func restrict(rows func(string) func(*sql.Selector), v auth.Viewer) func(*sql.Selector) {
	if rows == nil || !v.SignedIn() {
		return nothing
	}
	return rows(v.UserID)
}

// guard makes every read and write through the client, and through the
// transactions begun on it, pass the table above.
func guard(client *ent.Client) {
	client.Intercept(intercept.TraverseFunc(func(ctx context.Context, q intercept.Query) error {
		r, v, err := ruleFor(ctx, q.Type())
		if err == nil && !v.SeesAll() {
			q.WhereP(restrict(r.see, v))
		}
		return err
	}))
	client.Use(func(next ent.Mutator) ent.Mutator {
		return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
			r, v, err := ruleFor(ctx, m.Type())
			if err != nil {
				return nil, err
			}
			if v.SeesAll() {
				return next.Mutate(ctx, m)
			}
			if m.Op().Is(ent.OpCreate) {
				if err := mayAdd(r, v, m); err != nil {
					return nil, err
				}
				return next.Mutate(ctx, m)
			}
			restricted, ok := m.(interface {
				WhereP(...func(*sql.Selector))
			})
			if !ok {
				return nil, fmt.Errorf("store: a change of %s cannot be restricted to rows", m.Type())
			}
			restricted.WhereP(restrict(r.change, v))
			return next.Mutate(ctx, m)
		})
	})
}

func mayAdd(r rule, v auth.Viewer, m ent.Mutation) error {
	if !r.add || !v.SignedIn() && m.Type() != ent.TypeAuditEvent {
		return fmt.Errorf("store: this viewer adds no %s", m.Type())
	}
	for _, column := range []string{"owner_id", "user_id"} {
		if owner, set := m.Field(column); set && owner != v.UserID {
			return fmt.Errorf("store: a viewer adds a %s for somebody else", m.Type())
		}
	}
	return nil
}
