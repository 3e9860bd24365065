package quota

import (
	"context"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/live"
)

// Watch sends what the viewer uses, at once and whenever it changes, until ctx
// ends. A slow reader gets the newest next.
func (s *Service) Watch(ctx context.Context) (<-chan Usage, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	sub := s.Feed.Subscribe(ctx, func(c live.Change) bool { return c.Kind == live.Usage && c.ID == v.UserID })
	first, err := s.Usage(ctx, v.UserID)
	if err != nil {
		return nil, err
	}
	out := make(chan Usage)
	go func() {
		defer close(out)
		for now := first; ; {
			select {
			case out <- now:
			case <-ctx.Done():
				return
			}
			for last := now; now == last; {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				if now, err = s.Usage(ctx, v.UserID); err != nil {
					if ctx.Err() == nil {
						s.Log.WarnContext(ctx, "reading a changed usage did not succeed", "user", v.UserID, "error", err)
					}
					return
				}
			}
		}
	}()
	return out, nil
}
