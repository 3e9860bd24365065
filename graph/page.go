package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/store"
)

func pageInfo[T any](s store.Slice[T]) *generated.PageInfo {
	info := &generated.PageInfo{HasNextPage: s.HasNext, HasPreviousPage: s.HasPrevious}
	if n := len(s.Cursors); n > 0 {
		info.StartCursor, info.EndCursor = &s.Cursors[0], &s.Cursors[n-1]
	}
	return info
}

// edges pairs each row with its cursor.
func edges[T, E any](s store.Slice[T], edge func(cursor string, node T) *E) []*E {
	list := make([]*E, len(s.Items))
	for i, item := range s.Items {
		list[i] = edge(s.Cursors[i], item)
	}
	return list
}

// asked says whether the operation selects the field at the path below the one
// that is being resolved: what is not asked for is not read or counted.
func asked(ctx context.Context, path ...string) bool {
	if !graphql.HasOperationContext(ctx) {
		return false
	}
	fields := graphql.CollectFieldsCtx(ctx, nil)
	for i, name := range path {
		var next []graphql.CollectedField
		found := false
		for _, f := range fields {
			if f.Name == name {
				found = true
				if i < len(path)-1 {
					next = append(next, graphql.CollectFields(graphql.GetOperationContext(ctx), f.Selections, nil)...)
				}
			}
		}
		if !found {
			return false
		}
		fields = next
	}
	return true
}
