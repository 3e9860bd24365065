package graph

import (
	"context"
	"strings"

	"github.com/mlride/mlride/graph/scalar"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// Node resolves Query.node: what there is not, and what the viewer may not see,
// is null alike.
func (r query) Node(ctx context.Context, id string) (scalar.Node, error) {
	prefix, _, _ := strings.Cut(id, "_")
	find, known := map[string]func(context.Context, string) (scalar.Node, error){
		"user": found(r.Account.Get),
		"ses":  found(r.Account.GetSession),
		"quo":  found(r.Resolver.Quota.Get),
		"img":  found(r.Resolver.Images.Get),
		"ctr":  found(r.Lifecycle.Get),
		"vol":  found(r.Resolver.Volumes.Get),
		"tok":  found(r.Account.GetToken),
		"inv":  found(r.Account.GetInvitation),
		"qreq": found(r.Account.GetRequest),
		"aud":  found(r.Audit.Get),
	}[prefix]
	if !known {
		return nil, nil
	}
	return find(ctx, id)
}

func found[T any](get func(context.Context, string) (*T, error)) func(context.Context, string) (scalar.Node, error) {
	return func(ctx context.Context, id string) (scalar.Node, error) {
		row, err := get(ctx, id)
		if fault.CodeOf(err) == fault.NotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return row, nil
	}
}

// Nodes resolves Query.nodes.
func (r query) Nodes(ctx context.Context, ids []string) ([]scalar.Node, error) {
	var check fault.Check
	check.That(len(ids) <= store.MaxPage, "ids", "size", "At most %d at once.", store.MaxPage)
	if err := check.Err(); err != nil {
		return nil, err
	}
	nodes := make([]scalar.Node, len(ids))
	for i, id := range ids {
		node, err := r.Node(ctx, id)
		if err != nil {
			return nil, err
		}
		nodes[i] = node
	}
	return nodes, nil
}
