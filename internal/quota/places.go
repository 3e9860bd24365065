package quota

import (
	"context"
	"fmt"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/quota"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// kept is a kind of thing that is kept and counted, one by one.
type kept struct {
	name, advice string
	used, limit  string // columns
	add          func(up *ent.QuotaUpdate, n int)
	of           func(*ent.Quota) (limit, used int)
}

var (
	images = kept{
		name: "images", advice: "Delete one first.",
		used: quota.FieldUsedImages, limit: quota.FieldMaxImages,
		add: func(up *ent.QuotaUpdate, n int) { up.AddUsedImages(n) },
		of:  func(q *ent.Quota) (int, int) { return q.MaxImages, q.UsedImages },
	}
	volumes = kept{
		name: "volumes", advice: "Remove one for good first: those in the trash count too.",
		used: quota.FieldUsedVolumes, limit: quota.FieldMaxVolumes,
		add: func(up *ent.QuotaUpdate, n int) { up.AddUsedVolumes(n) },
		of:  func(q *ent.Quota) (int, int) { return q.MaxVolumes, q.UsedVolumes },
	}
)

// ReserveImage takes a place for an image, or says why not.
func (s *Service) ReserveImage(ctx context.Context, tx *ent.Client, owner string) error {
	return images.reserve(ctx, tx, owner)
}

// ReleaseImage gives an image's place back.
func (s *Service) ReleaseImage(ctx context.Context, tx *ent.Client, owner string) error {
	return images.release(ctx, tx, owner)
}

// ReserveVolume takes a place for a volume, or says why not.
func (s *Service) ReserveVolume(ctx context.Context, tx *ent.Client, owner string) error {
	return volumes.reserve(ctx, tx, owner)
}

// ReleaseVolume gives a volume's place back.
func (s *Service) ReleaseVolume(ctx context.Context, tx *ent.Client, owner string) error {
	return volumes.release(ctx, tx, owner)
}

// CheckVolume says what ReserveVolume would say now.
func (s *Service) CheckVolume(ctx context.Context, owner string) error {
	q, err := s.Client.Quota.Query().Where(quota.UserID(owner)).Only(auth.AsSystem(ctx))
	if err != nil {
		return fmt.Errorf("read quota of %s: %w", owner, err)
	}
	if limit, used := volumes.of(q); used+1 > limit {
		return volumes.refusal(q)
	}
	return nil
}

func (k kept) reserve(ctx context.Context, tx *ent.Client, owner string) error {
	ctx = auth.AsSystem(ctx)
	up := tx.Quota.Update().Where(quota.UserID(owner), within(k.used, k.limit, 1))
	k.add(up, 1)
	changed, err := up.Save(ctx)
	if err != nil {
		return fmt.Errorf("reserve of %s for %s: %w", k.name, owner, err)
	}
	if changed == 1 {
		return nil
	}
	q, err := tx.Quota.Query().Where(quota.UserID(owner)).Only(ctx)
	if err != nil {
		return err
	}
	return k.refusal(q)
}

func (k kept) refusal(q *ent.Quota) error {
	limit, used := k.of(q)
	return Problem{
		Code: fault.QuotaExceeded, Resource: k.name,
		Message: fmt.Sprintf("Your quota is %d %s and you have %d. %s", limit, k.name, used, k.advice),
		Limit:   float64(limit), Used: float64(used), Requested: 1,
	}.Fault()
}

func (k kept) release(ctx context.Context, tx *ent.Client, owner string) error {
	up := tx.Quota.Update().Where(quota.UserID(owner), taken(k.used))
	k.add(up, -1)
	changed, err := up.Save(auth.AsSystem(ctx))
	if err != nil {
		return fmt.Errorf("give back of %s of %s: %w", k.name, owner, err)
	}
	if changed != 1 {
		return fmt.Errorf("give back of %s of %s: none is taken", k.name, owner)
	}
	return nil
}
