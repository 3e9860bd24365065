package quota

import (
	"context"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/internal/auth"
)

// People are the quotas, with their users, of those who have containers, most
// reserved memory first, and how many containers of each owner run. Three
// statements, however many there are.
func (s *Service) People(ctx context.Context) (quotas []*ent.Quota, running map[string]int, err error) {
	ctx = auth.AsSystem(ctx)
	quotas, err = s.Client.Quota.Query().Where(quota.UsedContainersGT(0)).WithUser().
		Order(quota.ByUsedMemory(sql.OrderDesc()), quota.ByUserID()).All(ctx)
	if err != nil {
		return nil, nil, err
	}
	var groups []struct {
		Owner string `json:"owner_id"`
		Count int    `json:"count"`
	}
	err = s.Client.Container.Query().Where(container.StatusEQ(container.StatusRunning)).
		GroupBy(container.FieldOwnerID).Aggregate(ent.Count()).Scan(ctx, &groups)
	running = make(map[string]int, len(groups))
	for _, g := range groups {
		running[g.Owner] = g.Count
	}
	return quotas, running, err
}
