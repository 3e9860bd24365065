package monitor

import (
	"context"
	"fmt"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/statschunk"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// The bounds of History.
const (
	defaultSince = secondsKept * time.Second
	maxSince     = minutesKept * time.Second
	minStep      = time.Second
	maxStep      = 24 * time.Hour
	maxSteps     = 1000
)

const (
	// saveEvery is how often minutes are written; what a killed server loses of them.
	saveEvery = 10 * time.Minute
	// saveTime bounds the writing at the end.
	saveTime = 10 * time.Second
	// savedTogether is how many containers' minutes are written in one
	// transaction, so that others need not wait long for theirs.
	savedTogether = 20
	chunk         = 60 * 60 // seconds of one row
)

// finest is the shortest step, in seconds, that is kept for something so old.
func finest(age time.Duration) int64 {
	seconds := int64(age / time.Second)
	switch {
	case seconds <= secondsKept+grace/2:
		return secondStep
	case seconds <= tensKept+grace/2:
		return tenStep
	default:
		return minuteStep
	}
}

// kept says in words for how long steps are kept.
const kept = "seconds for 5 minutes, ten seconds for an hour, and minutes for a week"

// window is what is read: from since to now in steps.
type window struct{ from, to, step, finest int64 }

// windowOf checks what was asked for. since may be zero, and step 0, for the defaults.
func windowOf(now, since time.Time, step time.Duration) (window, error) {
	if since.IsZero() {
		since = now.Add(-defaultSince)
	}
	age := now.Sub(since)
	var check fault.Check
	check.That(age >= 0, "since", "range", "since lies in the future.")
	check.That(age <= maxSince+grace*time.Second, "since", "range", "since takes at most a week ago.")
	fine := finest(age)
	least := fine
	if age > 0 { // what gives at most as many steps as are taken, in multiples of what is kept
		most := (int64(age/time.Second) + maxSteps - 1) / maxSteps
		least = max(fine, (most+fine-1)/fine*fine)
	}
	if step == 0 {
		step = time.Duration(least) * time.Second
	} else {
		inRange := step >= minStep && step <= maxStep && step%time.Second == 0
		check.That(inRange, "step", "range", "step takes whole seconds from %s to 24h.", minStep)
		if inRange && age >= 0 && age <= maxSince {
			check.That(step >= time.Duration(fine)*time.Second, "step", "kept",
				"Kept are %s. For this since, step takes %s and more.", kept, record.Duration(time.Duration(least)*time.Second))
			check.That(step < time.Duration(fine)*time.Second || age <= maxSteps*step, "step", "size",
				"At most %d steps at once. For this since, step takes %s and more.", maxSteps, record.Duration(time.Duration(least)*time.Second))
		}
	}
	if err := check.Err(); err != nil {
		return window{}, err
	}
	w := window{step: int64(step / time.Second), to: now.Unix(), finest: fine}
	w.from = begin(since.Unix(), w.step)
	if w.from < since.Unix() {
		w.from += w.step // the step that since lies in began before it
	}
	w.from = max(w.from, begin(w.to, w.step)-(maxSteps-1)*w.step)
	return w, nil
}

// History is what the container used since then, in steps; see the schema for
// the defaults, for which since is zero and step 0. It asks memory and the
// database, never the engine. Whose container it is has been checked.
func (s *Service) History(ctx context.Context, id string, since time.Time, step time.Duration) ([]History, error) {
	w, err := windowOf(s.Now(), since, step)
	if err != nil {
		return nil, err
	}
	var points []point
	if w.finest < minuteStep && w.step < minuteStep {
		s.mu.Lock()
		if r := s.past[id]; r != nil && w.finest == secondStep {
			points = r.seconds.since(w.from, w.to)
		} else if r != nil {
			points = r.tens.since(w.from, w.to)
		}
		s.mu.Unlock()
	} else if points, err = s.minutes(ctx, id, w); err != nil {
		return nil, err
	}
	out := []History{}
	for _, p := range steps(points, w.step) {
		out = append(out, p.history(id))
	}
	return out, nil
}

func (s *Service) minutes(ctx context.Context, id string, w window) ([]point, error) {
	// Read before the rows: what is saved in between is then in one of the two.
	s.mu.Lock()
	var unsaved []point
	if r := s.past[id]; r != nil {
		unsaved = r.minutes(w.from, w.to)
	}
	saving := s.saving[id]
	s.mu.Unlock()
	rows, err := s.Client.StatsChunk.Query().
		Where(statschunk.ContainerID(id), statschunk.Step(minuteStep), statschunk.ToGT(time.Unix(w.from, 0).UTC())).
		Order(ent.Asc(statschunk.FieldFrom)).All(ctx)
	if err != nil {
		return nil, err
	}
	var saved []point
	for _, row := range rows {
		points, err := unpack(row.Data, minuteStep)
		if err != nil {
			s.Log.WarnContext(ctx, "figures of the past cannot be read; they are left out", "container", id, "from", row.From, "error", err)
			continue
		}
		for _, p := range points {
			if p.at >= w.from && p.at <= w.to {
				saved = append(saved, p)
			}
		}
	}
	// Those that were under way to the database may be in neither or in both.
	for _, p := range saving {
		if p.at >= w.from && p.at <= w.to && !holds(saved, p.at) {
			saved = merge(saved, []point{p})
		}
	}
	return merge(saved, unsaved), nil
}

func holds(points []point, at int64) bool {
	for _, p := range points {
		if p.at == at {
			return true
		}
	}
	return false
}

// remember puts a sample into the history. The caller holds mu.
func (s *Service) remember(sample Sample) {
	r := s.past[sample.ID]
	if r == nil {
		r = newRings()
		s.past[sample.ID] = r
	}
	r.add(pointOf(sample))
}

// save writes the minutes that the database has not, with the open ones at the
// end of the server; forgets what is too old, and what is gone.
func (s *Service) save(ctx context.Context, end bool) error {
	ctx = auth.AsSystem(ctx)
	now := s.Now()
	s.mu.Lock()
	var ids []string
	for id, r := range s.past {
		if points := r.takeUnsaved(end || s.targets[id] == nil); len(points) > 0 {
			s.saving[id] = points
			ids = append(ids, id)
		}
		if s.targets[id] == nil { // what ended is read from the database from now on, but for the last hour
			r.minute = ring{step: minuteStep}
			if age := now.Unix() - r.newest; age > tensKept+grace {
				delete(s.past, id)
			}
		}
	}
	s.mu.Unlock()
	var wrong error
	for len(ids) > 0 {
		some := ids[:min(savedTogether, len(ids))]
		ids = ids[len(some):]
		gone, err := s.saveSome(ctx, some)
		s.mu.Lock()
		for _, id := range some {
			if r := s.past[id]; r != nil && err != nil {
				r.keep(s.saving[id]...) // another time
			}
			delete(s.saving, id)
		}
		for _, id := range gone {
			delete(s.past, id)
		}
		s.mu.Unlock()
		if err != nil {
			wrong = err
		}
	}
	if wrong != nil {
		return fmt.Errorf("write the figures of the past: %w", wrong)
	}
	_, err := s.Client.StatsChunk.Delete().Where(statschunk.Step(minuteStep), statschunk.ToLT(now.Add(-maxSince-time.Hour).UTC())).Exec(ctx)
	if err != nil {
		return fmt.Errorf("remove the figures of long ago: %w", err)
	}
	return nil
}

// saveSome writes what is under way of these containers, and says which of them
// do not exist any more.
func (s *Service) saveSome(ctx context.Context, ids []string) (gone []string, err error) {
	s.mu.Lock()
	all := make(map[string][]point, len(ids))
	for _, id := range ids {
		all[id] = s.saving[id]
	}
	s.mu.Unlock()
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		there, err := tx.Container.Query().Where(container.IDIn(ids...)).IDs(ctx)
		if err != nil {
			return err
		}
		exists := map[string]bool{}
		for _, id := range there {
			exists[id] = true
		}
		gone = nil
		for _, id := range ids {
			if !exists[id] {
				gone = append(gone, id)
				continue
			}
			if err := s.write(ctx, tx, id, all[id]); err != nil {
				return err
			}
		}
		return nil
	})
	return gone, err
}

// write puts minutes to what is written of their hours.
func (s *Service) write(ctx context.Context, tx *ent.Client, id string, points []point) error {
	for len(points) > 0 {
		hour := begin(points[0].at, chunk)
		n := 0
		for n < len(points) && points[n].at < hour+chunk {
			n++
		}
		those := points[:n]
		points = points[n:]
		from := time.Unix(hour, 0).UTC()
		row, err := tx.StatsChunk.Query().
			Where(statschunk.ContainerID(id), statschunk.Step(minuteStep), statschunk.From(from)).Only(ctx)
		if err != nil && !ent.IsNotFound(err) {
			return err
		}
		if row != nil {
			written, err := unpack(row.Data, minuteStep)
			if err != nil {
				s.Log.WarnContext(ctx, "figures of the past cannot be read; they are written anew", "container", id, "from", from, "error", err)
			}
			those = merge(written, those)
		}
		to := time.Unix(those[len(those)-1].at+minuteStep, 0).UTC()
		data := pack(those, minuteStep)
		if row != nil {
			err = row.Update().SetTo(to).SetData(data).Exec(ctx)
		} else {
			err = tx.StatsChunk.Create().SetContainerID(id).SetStep(minuteStep).SetFrom(from).SetTo(to).SetData(data).Exec(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// saveLoop saves until ctx ends, and then once more.
func (s *Service) saveLoop(ctx context.Context) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := s.save(ctx, false); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "another try follows", "error", err)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
			defer cancel()
			if err := s.save(last, true); err != nil {
				s.Log.ErrorContext(last, "some of the last minutes are lost", "error", err)
			}
			return
		}
	}
}
