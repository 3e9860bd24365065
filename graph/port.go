package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/graph/generated"
)

// Ports resolves Container.ports.
func (r container) Ports(context.Context, *ent.Container) ([]*generated.Port, error) {
	return []*generated.Port{}, nil
}

// OpenJupyter resolves Mutation.openJupyter.
func (r mutation) OpenJupyter(context.Context, string) (*generated.OpenJupyterPayload, error) {
	return nil, errNotBuilt
}
