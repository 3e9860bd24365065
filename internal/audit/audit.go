// Package audit keeps who did what. A row is written in the transaction of the
// deed it tells of, so that neither is ever there without the other.
package audit

import (
	"context"
	"fmt"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/internal/auth"
)

// Entry is what was done; who did it and from where comes from the context.
type Entry struct {
	// Action is a stable word: container.create, quota.set, …
	Action string
	// Target and TargetName tell what it was done to, where there is something.
	Target, TargetName string
	// Detail is more for a person; never a secret.
	Detail string
	// Outcome is Allowed when empty.
	Outcome auditevent.Outcome
	// Actor replaces the viewer, for what a visitor does about an account: signing in.
	Actor *ent.User
}

// Record writes e with tx, the client of the transaction of the deed.
func Record(ctx context.Context, tx *ent.Client, e Entry) error {
	v := auth.Of(ctx)
	id, name := v.UserID, v.Username
	if e.Actor != nil {
		id, name = e.Actor.ID, e.Actor.Username
	}
	if id == "" && name == "" {
		name = "visitor"
		if v.IsSystem() {
			name = "system"
		}
	}
	if e.Outcome == "" {
		e.Outcome = auditevent.OutcomeAllowed
	}
	if e.Outcome != auditevent.OutcomeAllowed && !tell(ctx, e) {
		return nil
	}
	err := tx.AuditEvent.Create().
		SetNillableActorID(some(id)).SetActorName(name).
		SetAction(e.Action).SetOutcome(e.Outcome).
		SetNillableTarget(some(e.Target)).SetNillableTargetName(some(e.TargetName)).
		SetNillableDetail(some(e.Detail)).
		SetNillableIP(some(v.IP)).SetNillableRequestID(some(v.RequestID)).
		Exec(auth.AsSystem(ctx))
	if err != nil {
		return fmt.Errorf("record audit event %s: %w", e.Action, err)
	}
	return nil
}

func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
