package graph

import (
	"context"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/quota"
)

// SetQuota resolves Mutation.setQuota.
func (r mutation) SetQuota(ctx context.Context, userID string, in record.Limits) (*generated.QuotaPayload, error) {
	q, err := r.Resolver.Quota.Set(ctx, userID, in)
	if err != nil {
		return nil, err
	}
	return &generated.QuotaPayload{Quota: q}, nil
}

// Quota resolves User.quota.
func (r user) Quota(ctx context.Context, u *ent.User) (*ent.Quota, error) {
	return r.Resolver.Quota.ByUser(ctx, u.ID)
}

// Usage resolves User.usage.
func (r user) Usage(ctx context.Context, u *ent.User) (*generated.Usage, error) {
	used, err := r.Resolver.Quota.Usage(ctx, u.ID)
	if err != nil {
		return nil, err
	}
	return usage(used), nil
}

func usage(u quota.Usage) *generated.Usage {
	return &generated.Usage{
		Containers: u.Containers, CPU: u.CPU.Float(), Memory: u.Memory, Gpu: u.GPU,
		Images: u.Images, Volumes: u.Volumes, Disk: u.Disk,
	}
}

// UsageChanged resolves Subscription.usageChanged.
func (r subscription) UsageChanged(ctx context.Context) (<-chan *generated.Usage, error) {
	changes, err := r.Resolver.Quota.Watch(ctx)
	if err != nil {
		return nil, err
	}
	return convert(ctx, changes, usage), nil
}
