package graph

import (
	"context"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
)

// StatsSource resolves Container.statsSource.
func (r container) StatsSource(context.Context, *ent.Container) (*generated.StatsSource, error) {
	return nil, nil
}

// StatsHistory resolves Container.statsHistory.
func (r container) StatsHistory(context.Context, *ent.Container, *time.Time, *record.Duration) ([]*generated.ContainerStats, error) {
	return []*generated.ContainerStats{}, nil
}
