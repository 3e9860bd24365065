package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/accesstoken"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// DeleteOwn deletes the viewer's account, given their password.
func (s *Service) DeleteOwn(ctx context.Context, password string) (*ent.User, error) {
	u, err := s.confirm(ctx, "password", password, "account.delete")
	if err != nil {
		return nil, err
	}
	return s.schedule(ctx, u.ID)
}

// Delete deletes an account; for administrators.
func (s *Service) Delete(ctx context.Context, id string) (*ent.User, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	return s.schedule(ctx, id)
}

// schedule marks an account as deleted. What is open for it ends, its sessions
// and tokens go, and what runs of it stops; the rest goes when its grace is
// over. Where the engine is away, Erase goes on with the stopping.
func (s *Service) schedule(ctx context.Context, id string) (*ent.User, error) {
	var over []string
	row, err := s.change(ctx, id, "account.delete", func(tx *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		var err error
		over, err = s.scheduleIn(ctx, tx, u, up)
		if err != nil || u.DeletionScheduledAt != nil {
			return nil, err
		}
		return []string{"everything goes after " + s.Grace.String()}, nil
	})
	if err != nil {
		return nil, err
	}
	s.end(over...)
	s.stop(ctx, id)
	select {
	case s.due <- struct{}{}:
	default:
	}
	return row, nil
}

func (s *Service) scheduleIn(ctx context.Context, tx *ent.Client, u *ent.User, up *ent.UserUpdateOne, alsoGone ...string) (over []string, err error) {
	if u.DeletionScheduledAt != nil {
		return nil, nil
	}
	if err := s.keepAdministrator(ctx, tx, u, alsoGone...); err != nil {
		return nil, err
	}
	sys := auth.AsSystem(ctx)
	if over, err = credentials(sys, tx, u.ID); err != nil {
		return nil, err
	}
	if _, err := s.endSessions(sys, tx, u.ID); err != nil {
		return nil, err
	}
	if _, err := tx.AccessToken.Delete().Where(accesstoken.UserID(u.ID)).Exec(sys); err != nil {
		return nil, err
	}
	up.SetDeletionScheduledAt(s.Now().UTC().Add(s.Grace))
	return over, nil
}

// stop stops what runs of a person's. The deletion is done already: what does
// not succeed here is done by Erase.
func (s *Service) stop(ctx context.Context, id string) {
	if s.Belongings == nil {
		return
	}
	if err := s.Belongings.Stop(auth.AsSystem(ctx), id); err != nil {
		s.Log.WarnContext(ctx, "stopping what a deleted account has is done later", "user", id, "error", err)
	}
}

// Restore takes back the deletion of one's account, within its grace, and signs in.
func (s *Service) Restore(ctx context.Context, login, password string) (*Signed, error) {
	p, err := s.prove(ctx, login, password, "account.restore")
	if err != nil {
		return nil, err
	}
	signed, err := s.signIn(ctx, p, "account.restore", func(u *ent.User, up *ent.UserUpdateOne) error {
		if u.DeletionScheduledAt == nil {
			if err := s.standing(u); err != nil {
				return err
			}
			return fault.New(fault.InvalidState, "This account is not deleted. Sign in.")
		}
		back, err := s.takeBack(u, up)
		if err != nil {
			return err
		}
		return s.standing(&back)
	})
	if err == nil {
		s.tell(signed.User.ID, live.Updated)
	}
	return signed, err
}

// takeBack undoes a deletion that is not due yet.
func (s *Service) takeBack(u *ent.User, up *ent.UserUpdateOne) (ent.User, error) {
	back := *u
	if !u.DeletionScheduledAt.After(s.Now()) {
		return back, fault.New(fault.Forbidden, "The time in which this account could be restored is over.").With("reason", reasonDeleted)
	}
	up.ClearDeletionScheduledAt()
	back.DeletionScheduledAt = nil
	return back, nil
}

// RestoreOther takes back the deletion of an account; for administrators.
func (s *Service) RestoreOther(ctx context.Context, id string) (*ent.User, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	return s.change(ctx, id, "account.restore", func(_ *ent.Client, u *ent.User, up *ent.UserUpdateOne) ([]string, error) {
		if u.DeletionScheduledAt == nil {
			return nil, nil
		}
		_, err := s.takeBack(u, up)
		return []string{"restored"}, err
	})
}

const (
	// round is how often what is due by time is looked for.
	round = time.Minute
	// again is how soon the removal of an account goes on: the engine takes its time.
	again = 5 * time.Second
)

// untilRound is how long until something is due.
func (s *Service) untilRound(ctx context.Context) time.Duration {
	next, err := s.Client.User.Query().Where(user.DeletionScheduledAtNotNil()).Order(user.ByDeletionScheduledAt()).First(ctx)
	if err != nil { // nobody, or the next round says why
		return round
	}
	wait := next.DeletionScheduledAt.Sub(s.Now())
	if wait <= 0 {
		return again
	}
	return min(wait, round)
}

// Erase goes on with deleted accounts: what still runs of them stops, and of
// those whose grace is over everything goes, the row last. It may be done again
// after any crash: each step looks at what is left.
func (s *Service) Erase(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	rows, err := s.Client.User.Query().Where(user.DeletionScheduledAtNotNil()).All(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, u := range rows {
		if u.DeletionScheduledAt.After(s.Now()) {
			if s.Belongings != nil {
				errs = append(errs, s.Belongings.Stop(ctx, u.ID))
			}
			continue
		}
		if err := s.erase(ctx, u); err != nil {
			errs = append(errs, fmt.Errorf("remove the account %s: %w", u.ID, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Service) erase(ctx context.Context, u *ent.User) error {
	if s.Belongings != nil {
		gone, err := s.Belongings.Erase(ctx, u.ID)
		if err != nil || !gone {
			return err
		}
	}
	if u.Avatar != nil { // before the row that names the file
		if err := s.dropAvatar(ctx, s.Client, *u.Avatar, u.ID); err != nil {
			return err
		}
	}
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		n, err := tx.User.Delete().Where(user.ID(u.ID), user.DeletionScheduledAtLTE(s.Now().UTC())).Exec(ctx)
		if err != nil || n == 0 {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "account.remove", Target: u.ID, TargetName: u.Username, Detail: "its grace period was over"})
	})
	if err == nil {
		s.tell(u.ID, live.Removed)
	}
	return err
}

// TermEnd is what the end of a term does to one person.
type TermEnd struct {
	User *ent.User
	Holding
	// Folder is where their volumes are, or would be, below the folder of archives;
	// empty where there is nothing to archive. Archived is how many bytes they are.
	Folder   string
	Archived record.Bytes
	// Problem is why the account was left as it was; nil where it was not.
	Problem error
}

// Term is what the end of a term is to be.
type Term struct {
	IDs []string
	// Archive writes the volumes into files first.
	Archive bool
	// DryRun only says what would be done.
	DryRun bool
}

const maxTerm = 1000

// EndTerm deletes several accounts; for administrators. Whose volumes cannot be
// archived stays untouched, and of the others all are deleted, or none. A dry run
// only says what they have.
func (s *Service) EndTerm(ctx context.Context, term Term) ([]TermEnd, error) {
	if _, err := auth.RequireAdmin(ctx); err != nil {
		return nil, err
	}
	var check fault.Check
	check.That(len(term.IDs) > 0 && len(term.IDs) <= maxTerm, "ids", "size", "1 to %d at once.", maxTerm)
	if err := check.Err(); err != nil {
		return nil, err
	}
	term.IDs = unique(term.IDs)
	if !term.DryRun && term.Archive {
		if !s.terms.TryLock() {
			return nil, fault.New(fault.Conflict, "A term is being ended already, and archives are being written. Try again when that is done.")
		}
		defer s.terms.Unlock()
		// Archives take longer than a browser or a proxy waits.
		ctx = context.WithoutCancel(ctx)
	}
	// First as if: nothing is archived for what is refused.
	ends, _, err := s.endTerm(ctx, term.IDs, nil, true)
	if err != nil {
		return nil, err
	}
	day := s.Now().UTC().Format(time.DateOnly)
	noted := map[string]string{}
	for i := range ends {
		e := &ends[i]
		if s.Belongings == nil {
			continue
		}
		if e.Holding, err = s.Belongings.Measure(auth.AsSystem(ctx), e.User.ID); err != nil {
			return nil, err
		}
		if !term.Archive || e.Volumes == 0 {
			continue
		}
		e.Folder, e.Archived = e.User.Username+"-"+day, e.VolumeBytes
		if term.DryRun {
			continue
		}
		if e.Archived, e.Problem = s.Belongings.Archive(auth.AsSystem(ctx), e.User.ID, e.Folder); e.Problem != nil {
			s.Log.ErrorContext(ctx, "archiving for the end of a term did not succeed", "user", e.User.ID, "error", e.Problem)
			e.Folder, e.Archived = "", 0
			continue
		}
		noted[e.User.ID] = fmt.Sprintf("; archived %s in %s", e.Archived, e.Folder)
	}
	if term.DryRun {
		return ends, nil
	}
	var ids []string
	for _, e := range ends {
		if e.Problem == nil {
			ids = append(ids, e.User.ID)
		}
	}
	deleted, over, err := s.endTerm(ctx, ids, noted, false)
	if err != nil {
		return nil, err
	}
	for _, d := range deleted {
		for i := range ends {
			if ends[i].User.ID == d.User.ID {
				ends[i].User = d.User
			}
		}
		s.tell(d.User.ID, live.Updated)
		s.stop(ctx, d.User.ID)
	}
	s.end(over...)
	return ends, nil
}

// endTerm deletes the accounts, all or none.
func (s *Service) endTerm(ctx context.Context, ids []string, noted map[string]string, dryRun bool) (ends []TermEnd, over []string, err error) {
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		for _, id := range ids {
			u, err := tx.User.Get(ctx, id)
			if ent.IsNotFound(err) {
				return fault.NoSuch("user", id)
			}
			if err != nil {
				return err
			}
			up := u.Update()
			mine, err := s.scheduleIn(ctx, tx, u, up, ids...)
			if err != nil {
				return err
			}
			if u.DeletionScheduledAt == nil && !dryRun {
				if u, err = up.Save(ctx); err != nil {
					return err
				}
				err := audit.Record(ctx, tx, audit.Entry{
					Action: "account.delete", Target: id, TargetName: u.Username,
					Detail: "end of term" + noted[id] + "; everything goes after " + s.Grace.String(),
				})
				if err != nil {
					return err
				}
			}
			over = append(over, mine...)
			ends = append(ends, TermEnd{User: u})
		}
		if dryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, nil, err
	}
	for i := range ends {
		ends[i].User = ends[i].User.Unwrap()
	}
	return ends, over, nil
}

// errDryRun rolls a transaction back that was only tried.
var errDryRun = errors.New("a dry run")

func unique(ids []string) []string {
	seen := map[string]bool{}
	var kept []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			kept = append(kept, id)
		}
	}
	return kept
}
