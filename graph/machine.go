package graph

import (
	"context"

	"github.com/mlride/mlride/graph/generated"
)

// Machine tells of the server and its machine; the running server implements it.
type Machine interface {
	ServerInfo(ctx context.Context) (*generated.ServerInfo, error)
	System(ctx context.Context) (*generated.System, error)
}

// ServerInfo resolves Query.serverInfo.
func (r query) ServerInfo(ctx context.Context) (*generated.ServerInfo, error) {
	return r.Machine.ServerInfo(ctx)
}

// System resolves Query.system.
func (r query) System(ctx context.Context) (*generated.System, error) {
	return r.Machine.System(ctx)
}
