package account

import (
	"context"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/predicate"
	"github.com/mlride/mlride/ent/quotarequest"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

const maxReason = 1000

func checkText(field string, text *string) error {
	var check fault.Check
	check.That(text == nil || utf8.ValidString(*text) && utf8.RuneCountInString(*text) <= maxReason, field, "length", "At most %d characters.", maxReason)
	return check.Err()
}

// RequestQuota asks for more quota for the viewer. It takes the place of an open
// request of theirs.
func (s *Service) RequestQuota(ctx context.Context, limits Limits, reason *string) (*ent.QuotaRequest, error) {
	v, err := auth.Require(ctx)
	if err != nil {
		return nil, err
	}
	var check fault.Check
	check.That(limits != Limits{}, "limits", "required", "Say which limits you need.")
	if err := check.Err(); err != nil {
		return nil, err
	}
	if err := quota.Check(limits); err != nil {
		return nil, err
	}
	if err := checkText("reason", reason); err != nil {
		return nil, err
	}
	var row *ent.QuotaRequest
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		err := tx.QuotaRequest.Update().
			Where(quotarequest.UserID(v.UserID), quotarequest.StatusEQ(quotarequest.StatusOpen)).
			SetStatus(quotarequest.StatusReplaced).SetDecidedAt(s.Now().UTC()).Exec(auth.AsSystem(ctx))
		if err != nil {
			return err
		}
		row, err = tx.QuotaRequest.Create().SetUserID(v.UserID).SetLimits(&limits).SetNillableReason(reason).Save(ctx)
		if err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "quota.request", Target: row.ID, TargetName: v.Username})
	})
	if err != nil {
		return nil, err
	}
	return row.Unwrap(), nil
}

// GrantQuota raises a quota as it was asked for, with other limits where the
// administrator gives them.
func (s *Service) GrantQuota(ctx context.Context, id string, instead *Limits, answer *string) (*ent.QuotaRequest, error) {
	if err := checkLimits(instead); err != nil {
		return nil, err
	}
	row, err := s.decide(ctx, id, quotarequest.StatusGranted, answer, func(tx *ent.Client, r *ent.QuotaRequest) error {
		_, err := s.Quota.Change(ctx, tx, r.UserID, overlay(*r.Limits, instead))
		return err
	})
	if err == nil {
		s.Quota.Changed(row.UserID)
	}
	return row, err
}

// overlay is asked, with what instead says in its place.
func overlay(asked Limits, instead *Limits) Limits {
	if instead == nil {
		return asked
	}
	put(&asked.MaxContainers, instead.MaxContainers)
	put(&asked.MaxCPU, instead.MaxCPU)
	put(&asked.MaxMemory, instead.MaxMemory)
	put(&asked.MaxGPU, instead.MaxGPU)
	put(&asked.MaxImages, instead.MaxImages)
	put(&asked.MaxVolumes, instead.MaxVolumes)
	put(&asked.MaxDisk, instead.MaxDisk)
	return asked
}

func put[T any](to **T, given *T) {
	if given != nil {
		*to = given
	}
}

// DeclineQuota declines a request; for administrators.
func (s *Service) DeclineQuota(ctx context.Context, id string, answer *string) (*ent.QuotaRequest, error) {
	return s.decide(ctx, id, quotarequest.StatusDeclined, answer, func(*ent.Client, *ent.QuotaRequest) error { return nil })
}

func (s *Service) decide(ctx context.Context, id string, as quotarequest.Status, answer *string, do func(*ent.Client, *ent.QuotaRequest) error) (*ent.QuotaRequest, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	if err := checkText("answer", answer); err != nil {
		return nil, err
	}
	var row *ent.QuotaRequest
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		r, err := tx.QuotaRequest.Query().Where(quotarequest.ID(id)).WithUser().Only(ctx)
		if ent.IsNotFound(err) {
			return fault.NoSuch("quota request", id)
		}
		if err != nil {
			return err
		}
		if r.Status != quotarequest.StatusOpen {
			return fault.New(fault.InvalidState, "This request is decided already.").
				With("status", r.Status).With("allowed", []quotarequest.Status{quotarequest.StatusOpen})
		}
		if err := do(tx, r); err != nil {
			return err
		}
		if row, err = r.Update().SetStatus(as).SetNillableAnswer(answer).SetDecidedAt(s.Now().UTC()).Save(ctx); err != nil {
			return err
		}
		action := "quota.decline"
		if as == quotarequest.StatusGranted {
			action = "quota.grant"
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Target: id, TargetName: r.Edges.User.Username})
	})
	if err != nil {
		return nil, err
	}
	return row.Unwrap(), nil
}

// GetRequest is one request that the viewer sees.
func (s *Service) GetRequest(ctx context.Context, id string) (*ent.QuotaRequest, error) {
	row, err := s.Client.QuotaRequest.Get(ctx, id)
	if ent.IsNotFound(err) {
		return nil, fault.NoSuch("quota request", id)
	}
	return row, err
}

func withStatus(status *quotarequest.Status) []predicate.QuotaRequest {
	if status == nil {
		return nil
	}
	return []predicate.QuotaRequest{quotarequest.StatusEQ(*status)}
}

// Requests is a page of the requests that the viewer sees, newest first.
func (s *Service) Requests(ctx context.Context, status *quotarequest.Status, p store.Page) (store.Slice[*ent.QuotaRequest], error) {
	key := func(r *ent.QuotaRequest) (any, string) { return r.CreatedAt, r.ID }
	return store.Paginate(p, store.Order{Column: quotarequest.FieldCreatedAt, Desc: true}, key, func(add func(*sql.Selector)) ([]*ent.QuotaRequest, error) {
		return s.Client.QuotaRequest.Query().Where(withStatus(status)...).Where(add).All(ctx)
	})
}

// CountRequests is how many there are, at most store.CountBound + 1.
func (s *Service) CountRequests(ctx context.Context, status *quotarequest.Status) (int, error) {
	ids, err := s.Client.QuotaRequest.Query().Where(withStatus(status)...).Limit(store.CountBound + 1).IDs(ctx)
	return len(ids), err
}
