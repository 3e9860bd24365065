package image

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/live"
)

// lookEvery is how often at most a watcher looks whether it sees what changed of
// other people's: a pull tells of itself ten times a second to everybody, and
// nearly nobody sees it.
const lookEvery = time.Second

// others is what one watcher knows of the images that are not its viewer's own.
// Who sees one by a share or a container is in no change, so it is looked up. nil
// is of a watcher that does not need it.
type others struct {
	viewer string
	// shown are those that the viewer has been told of, or saw at the beginning.
	shown map[string]bool
	// waiting are changes of what is not known to be seen, until due.
	waiting map[string]live.Change
	due     time.Time
	ready   []live.Change
}

func (s *Service) others(ctx context.Context, viewer string) (*others, error) {
	ids, err := s.Client.Image.Query().Where(func(q *sql.Selector) {
		q.Where(sql.Or(sql.IsNull(q.C(image.FieldOwnerID)), sql.NEQ(q.C(image.FieldOwnerID), viewer)))
	}).IDs(ctx)
	if err != nil {
		return nil, err
	}
	o := &others{viewer: viewer, shown: make(map[string]bool, len(ids)), waiting: map[string]live.Change{}}
	for _, id := range ids {
		o.shown[id] = true
	}
	return o, nil
}

// next is the next change to look at.
func (o *others) next(ctx context.Context, sub *live.Subscription) (live.Change, error) {
	if o == nil {
		return sub.Next(ctx)
	}
	for {
		if len(o.ready) > 0 {
			c := o.ready[0]
			o.ready = o.ready[1:]
			return c, nil
		}
		wait, cancel := ctx, context.CancelFunc(func() {})
		if len(o.waiting) > 0 {
			wait, cancel = context.WithDeadline(ctx, o.due)
		}
		c, err := sub.Next(wait)
		cancel()
		switch {
		case ctx.Err() != nil:
			return c, ctx.Err()
		case err != nil: // due
			for _, c := range o.waiting {
				o.ready = append(o.ready, c)
			}
			clear(o.waiting)
		case c.Owner == o.viewer || c.Public || o.shown[c.ID]:
			delete(o.waiting, c.ID)
			return c, nil
		case c.Op == live.Removed:
			delete(o.waiting, c.ID)
		default:
			if len(o.waiting) == 0 {
				o.due = time.Now().Add(lookEvery)
			}
			o.waiting[c.ID] = c
		}
	}
}

// shows says whether the viewer is to be told, now that the image was read, and
// of what: what is not seen is gone for those who saw it, and nothing to the
// others; what is seen for the first time is new.
func (o *others) shows(c live.Change, now live.Op) (live.Op, bool) {
	if o == nil || c.Owner == o.viewer {
		return now, true
	}
	before := o.shown[c.ID]
	if now == live.Removed {
		delete(o.shown, c.ID)
		return now, before
	}
	o.shown[c.ID] = true
	if !before {
		now = live.Created
	}
	return now, true
}
