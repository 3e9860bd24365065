package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
)

func ports(in []*generated.PortInput) []record.Port {
	list := make([]record.Port, len(in))
	for i, p := range in {
		list[i] = record.Port{Name: p.Name, Port: p.Port}
	}
	return list
}

// Ports resolves Container.ports.
func (r container) Ports(ctx context.Context, row *ent.Container) ([]*generated.Port, error) {
	list := make([]*generated.Port, len(row.Ports))
	for i, p := range row.Ports {
		list[i] = &generated.Port{Name: p.Name, Port: p.Port, URL: r.Resolver.Ports.URL(SiteOf(ctx), row.ID, p.Port)}
	}
	return list, nil
}

// OpenJupyter resolves Mutation.openJupyter.
func (r mutation) OpenJupyter(ctx context.Context, id string) (*generated.OpenJupyterPayload, error) {
	row, url, err := r.Resolver.Ports.OpenJupyter(ctx, SiteOf(ctx), id)
	if err != nil {
		return nil, err
	}
	return &generated.OpenJupyterPayload{URL: url, Container: row}, nil
}
