package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/store"
)

// AuditEvents resolves Query.auditEvents.
func (r query) AuditEvents(ctx context.Context, after *string, first *int, before *string, last *int, where *generated.AuditFilter) (*generated.AuditEventConnection, error) {
	filter := auditFilter(where)
	slice, err := r.Audit.List(ctx, filter, store.Page{First: first, Last: last, After: after, Before: before})
	if err != nil {
		return nil, err
	}
	c := &generated.AuditEventConnection{PageInfo: pageInfo(slice), Edges: edges(slice, func(cursor string, node *ent.AuditEvent) *generated.AuditEventEdge {
		return &generated.AuditEventEdge{Cursor: cursor, Node: node}
	})}
	if asked(ctx, "totalCount") {
		c.TotalCount, err = r.Audit.Count(ctx, filter)
	}
	return c, err
}

// AuditEventAdded resolves Subscription.auditEventAdded.
func (r subscription) AuditEventAdded(ctx context.Context, where *generated.AuditFilter) (<-chan *ent.AuditEvent, error) {
	return r.Audit.Watch(ctx, auditFilter(where))
}

func auditFilter(where *generated.AuditFilter) audit.Filter {
	if where == nil {
		return audit.Filter{}
	}
	return audit.Filter{
		ActorID: where.ActorID, Action: where.Action, Outcome: where.Outcome, Target: where.Target,
		After: where.After, Before: where.Before,
	}
}

// Actor resolves AuditEvent.actor.
func (r auditFields) Actor(ctx context.Context, e *ent.AuditEvent) (*ent.User, error) {
	if e.ActorID == nil {
		return nil, nil
	}
	return r.Account.Find(ctx, *e.ActorID)
}
