package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/gateway"
)

// Terminals resolves Container.terminals.
func (r container) Terminals(_ context.Context, c *ent.Container) ([]*gateway.Terminal, error) {
	return r.Resolver.Terminals.Of(c.ID), nil
}

// CloseTerminal resolves Mutation.closeTerminal.
func (r mutation) CloseTerminal(ctx context.Context, id, name string) (*generated.ContainerPayload, error) {
	return containerPayload(r.Resolver.Terminals.Close(ctx, id, name))
}
