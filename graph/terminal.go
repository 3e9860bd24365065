package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/gateway"
)

// Terminals resolves Container.terminals.
func (r container) Terminals(context.Context, *ent.Container) ([]*gateway.Terminal, error) {
	return []*gateway.Terminal{}, nil
}

// CloseTerminal resolves Mutation.closeTerminal.
func (r mutation) CloseTerminal(context.Context, string, string) (*generated.ContainerPayload, error) {
	return nil, errNotBuilt
}
