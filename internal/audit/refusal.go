package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

const (
	// quiet is how long a refusal of the same kind is only counted: a flood of
	// them must not fill the database.
	quiet = time.Second
	// maxSpells bounds what is remembered of refusals.
	maxSpells = 10_000
	// writeTime bounds how long an answer waits for the row that tells of it.
	writeTime = 2 * time.Second
)

// refused is what makes two refusals the same.
type refused struct {
	actor, action string
	code          fault.Code
}

type spell struct {
	written time.Time
	more    int
}

// attempt is one try of an action.
type attempt struct {
	service *Service
	// told says that a feature has written itself how it ended, because it knows
	// more of it: whose name was tried at the sign-in.
	told atomic.Bool
}

type attemptKey struct{}

// Attempt begins a try of an action by the viewer. What features then write of
// its refusal is bounded as Refuse is, and Refuse does not write it again.
func (s *Service) Attempt(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, &attempt{service: s})
}

// tell says whether a feature's row about a refusal is written.
func tell(ctx context.Context, e Entry) bool {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return true
	}
	a.told.Store(true)
	_, ok = a.service.admit(refused{actor(auth.Of(ctx)), e.Action, fault.Code(e.Outcome)})
	return ok
}

func actor(v auth.Viewer) string { return cmp.Or(v.UserID, "visitor "+v.IP) }

// Refuse writes that the viewer tried an action and why it did not come to be.
// It stands alone: what was tried has been rolled back. What only was written
// wrongly is left out, as is what a visitor is told to sign in for, and what
// the caller gave up.
func (s *Service) Refuse(ctx context.Context, action, target string, why error) {
	code, v := fault.CodeOf(why), auth.Of(ctx)
	if code == fault.Internal && ent.IsNotFound(why) {
		code = fault.NotFound // as the caller hears it
	}
	outcome, told := outcomeOf(code)
	if !told || code == fault.Unauthenticated && !v.SignedIn() || errors.Is(why, context.Canceled) {
		return
	}
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok && a.told.Load() {
		return
	}
	more, ok := s.admit(refused{actor(v), action, code})
	if !ok {
		return
	}
	detail := string(code) // the message may repeat what was sent
	if more > 0 {
		detail += fmt.Sprintf(", and %d more of the same shortly before", more)
	}
	if !typeID.MatchString(target) {
		target = ""
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), attemptKey{}, nil), writeTime)
	defer cancel()
	err := Record(ctx, s.Client, Entry{Action: action, Target: target, Detail: detail, Outcome: outcome})
	if err != nil {
		s.Log.ErrorContext(ctx, "a refusal is missing in the audit trail", "error", err, "request", v.RequestID)
	}
}

// typeID is what an id looks like. Nothing else that was sent as one is kept:
// it may be anything.
var typeID = regexp.MustCompile(`^[a-z]{1,8}_[0-7][0-9a-hjkmnp-tv-z]{25}$`)

// admit says whether a refusal is written, and how many like it were not.
func (s *Service) admit(kind refused) (more int, ok bool) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := s.lately[kind]; last != nil {
		if now.Sub(last.written) < quiet {
			last.more++
			return 0, false
		}
		more = last.more
	} else if len(s.lately) >= maxSpells {
		for k, last := range s.lately {
			if now.Sub(last.written) >= quiet {
				delete(s.lately, k)
			}
		}
		if len(s.lately) >= maxSpells {
			return 0, false
		}
	}
	s.lately[kind] = &spell{written: now}
	return more, true
}

// outcomeOf is what a code means in the trail; false for what is not told.
func outcomeOf(code fault.Code) (auditevent.Outcome, bool) {
	switch code {
	case fault.Internal, fault.EngineError, fault.EngineUnavailable:
		return auditevent.OutcomeFailed, true
	case "", fault.BadUserInput, fault.QueryTooComplex:
		return "", false
	case fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.Conflict, fault.QuotaExceeded, fault.CapacityExceeded,
		fault.ImageNotReady, fault.ImageInUse, fault.VolumeInUse, fault.InvalidState, fault.LowDisk, fault.RateLimited:
	}
	return auditevent.OutcomeDenied, true
}
