package quota

import (
	"context"
	"fmt"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/internal/auth"
)

// Waiting are the containers that wait for room, in no order. Those that no
// machine this size will ever hold are not among them: they keep nobody waiting
// until they are sent away.
func (s *Service) Waiting(ctx context.Context, client *ent.Client) ([]Waiter, error) {
	ctx = auth.AsSystem(ctx)
	rows, err := client.Container.Query().Where(container.Queued(true)).
		Select(container.FieldID, container.FieldOwnerID, container.FieldQueuedAt, container.FieldCPULimit, container.FieldMemoryLimit, container.FieldGpuLimit).
		All(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	owners := make([]string, len(rows))
	for i, row := range rows {
		owners[i] = row.OwnerID
	}
	quotas, err := client.Quota.Query().Where(quota.UserIDIn(owners...)).All(ctx)
	if err != nil {
		return nil, err
	}
	of := map[string]*ent.Quota{}
	for _, q := range quotas {
		of[q.UserID] = q
	}
	waiting := make([]Waiter, 0, len(rows))
	for _, row := range rows {
		w := Waiter{ID: row.ID, Owner: row.OwnerID, Amounts: Of(row)}
		if row.QueuedAt != nil {
			w.Since = *row.QueuedAt
		}
		w.Stuck = len(Books{Quota: of[row.OwnerID]}.ofQuota(Need{Amounts: w.Amounts})) > 0
		waiting = append(waiting, w)
	}
	return waiting, nil
}

// Running is how many reservations each owner has.
func (s *Service) Running(ctx context.Context, client *ent.Client) (map[string]int, error) {
	var groups []struct {
		Owner string `json:"owner_id"`
		Count int    `json:"count"`
	}
	err := client.Container.Query().Where(container.Reserved(true)).
		GroupBy(container.FieldOwnerID).Aggregate(ent.Count()).Scan(auth.AsSystem(ctx), &groups)
	running := make(map[string]int, len(groups))
	for _, g := range groups {
		running[g.Owner] = g.Count
	}
	return running, err
}

// ReserveInTurn takes what w waited for, with room kept for those ahead of it.
// The problems say why not; none were found when it was taken.
func (s *Service) ReserveInTurn(ctx context.Context, tx *ent.Client, w Waiter, ahead Amounts) ([]Problem, error) {
	b, err := s.Books(ctx, tx, w.Owner)
	if err != nil {
		return nil, err
	}
	b.Held = ahead
	need := Need{Amounts: w.Amounts}
	if problems := b.Problems(need); len(problems) > 0 {
		return problems, nil
	}
	if err := s.take(ctx, tx, w.Owner, need, true); err != nil {
		return nil, fmt.Errorf("let in %s: %w", w.ID, err)
	}
	return nil, nil
}

// Plus adds what is kept for one more.
func (a Amounts) Plus(o Amounts) Amounts { return a.plus(o) }
