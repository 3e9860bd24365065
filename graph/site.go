package graph

import "context"

type siteKey struct{}

// WithSite puts the origin under which the caller reaches the site into the
// context: https://mlride.example.
func WithSite(ctx context.Context, origin string) context.Context {
	return context.WithValue(ctx, siteKey{}, origin)
}

// SiteOf is what WithSite put into the context; empty when nothing was, which
// makes addresses relative.
func SiteOf(ctx context.Context) string {
	origin, _ := ctx.Value(siteKey{}).(string)
	return origin
}
