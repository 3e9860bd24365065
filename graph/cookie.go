package graph

import (
	"context"
	"time"
)

// Cookies sets and clears the sign-in cookie of the answer to one HTTP
// request. The transport puts one into the context where the answer can still
// carry a cookie; over WebSocket and server-sent events there is none.
type Cookies interface {
	// SetSession makes the browser keep token until expires.
	SetSession(token string, expires time.Time)
	// ClearSession makes the browser forget its token.
	ClearSession()
}

type cookiesKey struct{}

// WithCookies puts c into the context, for CookiesOf.
func WithCookies(ctx context.Context, c Cookies) context.Context {
	return context.WithValue(ctx, cookiesKey{}, c)
}

// CookiesOf is what WithCookies put into the context; false where the answer
// cannot carry a cookie.
func CookiesOf(ctx context.Context) (Cookies, bool) {
	c, ok := ctx.Value(cookiesKey{}).(Cookies)
	return c, ok
}
