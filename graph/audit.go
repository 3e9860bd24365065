package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
)

var errNotYet = fault.New(fault.InvalidState, "This server does not do that yet.")

// AuditEvents resolves Query.auditEvents.
func (r query) AuditEvents(_ context.Context, _ *string, _ *int, _ *string, _ *int, _ *generated.AuditFilter) (*generated.AuditEventConnection, error) {
	return nil, errNotYet
}

// AuditEventAdded resolves Subscription.auditEventAdded.
func (r subscription) AuditEventAdded(_ context.Context, _ *generated.AuditFilter) (<-chan *ent.AuditEvent, error) {
	return nil, errNotYet
}

// Actor resolves AuditEvent.actor.
func (r auditFields) Actor(ctx context.Context, e *ent.AuditEvent) (*ent.User, error) {
	if e.ActorID == nil {
		return nil, nil
	}
	return r.Account.Find(ctx, *e.ActorID)
}
