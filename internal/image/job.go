package image

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// maxPulls is how many pulls the engine does at once: more share one line, and
// take the processors from the containers while they unpack.
const maxPulls = 2

// awayMessage is shown while the engine is not there.
const awayMessage = "The container engine cannot be reached. This goes on by itself when it can."

// errLate ends a pull that took longer than it may.
var errLate = errors.New("the deadline of the pull has passed")

// job is what is done about one image: at most one thing at a time.
type job struct {
	id     string
	life   context.Context // of the Run that it belongs to
	cancel context.CancelFunc
	done   chan struct{}
	// again says that something was asked for meanwhile. Under Service.mu.
	again bool

	mu sync.Mutex
	// pulling says that progress is to be told, as news.
	pulling  bool
	news     live.Change
	progress engine.PullProgress
	// pause says that news was told just now; untold that there is more since.
	pause, untold bool
}

// begin does what the image's row asks for; what is being done is done again
// when it has ended. Where there is no row, the engine is to hold nothing.
func (s *Service) begin(id string) { s.do(id, s.carryOut) }

// do runs work, as the one thing that is done about the image. It gives nil when
// something is being done already, or the service does not run: Run then begins
// with a look at all rows.
func (s *Service) do(id string, work func(ctx context.Context, j *job) error) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.life.Err() != nil {
		return nil
	}
	if j := s.jobs[id]; j != nil {
		j.again = true
		return nil
	}
	ctx, cancel := context.WithCancel(s.life)
	j := &job{id: id, life: s.life, cancel: cancel, done: make(chan struct{})}
	s.jobs[id] = j
	s.running.Go(func() {
		defer close(j.done)
		defer cancel()
		if err := work(ctx, j); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrUnreachable) {
			s.Log.WarnContext(ctx, "work on an image did not succeed", "image", id, "error", err)
		}
		s.mu.Lock()
		delete(s.jobs, id)
		again := j.again
		s.mu.Unlock()
		if again {
			s.begin(id)
		}
	})
	return j
}

// stop gives up what is being done about the image, and then does what its row
// asks for now.
func (s *Service) stop(id string) {
	s.mu.Lock()
	if j := s.jobs[id]; j != nil {
		j.unfollow()
		j.cancel()
	}
	s.mu.Unlock()
	s.begin(id)
}

func (s *Service) carryOut(ctx context.Context, j *job) error {
	row, err := s.Client.Image.Get(ctx, j.id)
	if ent.IsNotFound(err) {
		return s.letGo(ctx, j.id)
	}
	if err != nil {
		return err
	}
	switch row.Status {
	case image.StatusPending, image.StatusPulling, image.StatusBuilding:
		return s.make(ctx, row, j)
	case image.StatusDeleting:
		return s.remove(ctx, row)
	case image.StatusCancelled:
		return s.Engine.RemoveImage(ctx, row.ID)
	case image.StatusReady, image.StatusFailed:
		return s.compare(ctx, row)
	}
	return nil
}

// make has the image come into being by the way that its source says.
func (s *Service) make(ctx context.Context, row *ent.Image, j *job) error {
	switch row.Source {
	case image.SourceBuild:
		return s.build(ctx, row, j)
	case image.SourceCommit:
		return s.commit(ctx, row)
	case image.SourcePull:
	}
	return s.pull(ctx, row, j)
}

// pull fetches the image and records what came of it. An engine that cannot be
// reached leaves it as it is: it is taken up again when the engine is back.
func (s *Service) pull(ctx context.Context, row *ent.Image, j *job) error {
	book, err := s.openLog(ctx, row.ID)
	if err != nil {
		return err
	}
	defer book.close()
	pulling, end := context.WithCancelCause(ctx)
	defer end(nil)
	var began time.Time
	var deadline *time.Timer
	var unsaid error
	got, err := s.fetch(pulling, row, j, func() error {
		left := s.Deadline - s.spentOn(row.ID, 0)
		if left <= 0 {
			end(errLate)
			return errLate
		}
		if began.IsZero() {
			began = s.Now()
			deadline = time.AfterFunc(left, func() { end(errLate) })
			j.follow(row)
			unsaid = s.set(ctx, row, func(up *ent.ImageUpdateOne) { up.SetStatus(image.StatusPulling).ClearStatusMessage() })
		}
		return unsaid
	})
	j.unfollow()
	if deadline != nil {
		deadline.Stop()
	}
	if unsaid != nil && !ent.IsNotFound(unsaid) {
		return unsaid // the database: the sweep tries again
	}
	late := errors.Is(context.Cause(pulling), errLate)
	if ctx.Err() == nil && errors.Is(err, engine.ErrUnreachable) && !late {
		if !began.IsZero() {
			s.spentOn(row.ID, s.Now().Sub(began))
		}
		return errors.Join(err, s.set(ctx, row, func(up *ent.ImageUpdateOne) { up.SetStatusMessage(awayMessage) }))
	}
	s.forget(row.ID)
	message := ""
	if err != nil && ctx.Err() == nil && unsaid == nil {
		message = explain(row, err, late, s.Deadline)
		book.line("%s", message)
	}
	book.close()
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // cancelled, or the server stops
	case unsaid != nil:
		return nil // cancelled or deleted when its turn came
	case err != nil:
		return s.failed(ctx, row, message)
	}
	err = s.set(ctx, row, func(up *ent.ImageUpdateOne) {
		hold(up, got.ImageInfo)
		up.SetUpdateAvailable(false).SetCheckedAt(s.Now().UTC()).SetLayers(s.layers(ctx, row.ID))
		up.ClearStatusMessage()
		if got.remark != "" {
			up.SetStatusMessage(got.remark)
		}
		up.SetStatus(image.StatusReady).SetReference(got.reference).SetUsedFallback(got.fallback)
	})
	if ent.IsNotFound(err) {
		return nil // cancelled or deleted in the last moment: what is to be is done next
	}
	return err
}

// hold notes what the engine holds.
func hold(up *ent.ImageUpdateOne, info engine.ImageInfo) {
	up.SetEngineID(info.EngineID).SetSize(record.Bytes(info.Size))
	if info.Digest == "" {
		up.ClearDigest()
	} else {
		up.SetDigest(info.Digest)
	}
}

// follow has the progress of the job's pull told from now on.
func (j *job) follow(row *ent.Image) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pulling, j.news = true, changeOf(row, live.Updated)
}

// unfollow ends that: what comes of the pull is told next.
func (j *job) unfollow() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pulling = false
}

// spentOn adds to the time that was spent on pulling the image in vain, and gives
// it. What keeps failing half-way is bounded by it; waiting for the engine is not.
func (s *Service) spentOn(id string, more time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent[id] += more
	return s.spent[id]
}

func (s *Service) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spent, id)
}

type fetched struct {
	engine.ImageInfo
	reference string
	fallback  bool
	// remark is what its owner should know of how it came.
	remark string
}

// fetch tries the slim variant first where that is wanted, and the regular one
// where the slim one is not to be had: a registry says that it has no such tag,
// a mirror that lacks it may only say that it failed. What was asked for and is
// not to be had fails: it is never another version. Each is asked for at the
// mirrors first. The error is a *failure.
func (s *Service) fetch(ctx context.Context, row *ent.Image, j *job, began func() error) (fetched, error) {
	named, err := parse(row.RequestedReference)
	if err != nil {
		return fetched{}, err
	}
	var tried failure
	for i, candidate := range candidates(named, row.PreferSlim) {
		for _, from := range s.sources(candidate) {
			s.logLine(row.ID, "Asking %s for %s.", from.host, short(candidate))
			info, err := s.obtain(ctx, from.reference, j, began)
			if err == nil {
				s.logLine(row.ID, "%s came from %s: %s, %s.", short(candidate), from.host, info.Digest, record.Bytes(info.Size))
				return fetched{ImageInfo: info, reference: candidate.String(), fallback: i > 0, remark: tried.remark(candidate, i)}, nil
			}
			if ctx.Err() != nil {
				return fetched{}, err
			}
			tried = append(tried, try{candidate, from, err})
			s.logLine(row.ID, "%s", tried[len(tried)-1])
			if !elsewhere(err) {
				return fetched{}, tried
			}
		}
	}
	return fetched{}, tried
}

// failed records that the image could not be had. One that was there before and
// still is stays READY: a refresh that fails takes nothing away.
func (s *Service) failed(ctx context.Context, row *ent.Image, message string) error {
	info, err := s.Engine.InspectImage(ctx, row.ID)
	if row.EngineID != nil && !errors.Is(err, engine.ErrNotFound) {
		return s.set(ctx, row, func(up *ent.ImageUpdateOne) {
			if err == nil {
				hold(up, info)
			}
			up.SetStatus(image.StatusReady).SetStatusMessage("It could not be refreshed and is as it was. " + message)
		})
	}
	if err == nil { // it came in the moment of giving up
		err = s.Engine.RemoveImage(ctx, row.ID)
	} else {
		err = nil
	}
	return errors.Join(err, s.set(ctx, row, func(up *ent.ImageUpdateOne) {
		up.SetStatus(image.StatusFailed).SetStatusMessage(message).ClearEngineID().ClearSize()
	}))
}

// set changes the row unless it was cancelled or is on its way out, and tells.
func (s *Service) set(ctx context.Context, row *ent.Image, change func(*ent.ImageUpdateOne)) error {
	up := s.Client.Image.UpdateOneID(row.ID).Where(image.StatusIn(image.StatusPending, image.StatusPulling, image.StatusBuilding))
	change(up)
	return s.save(ctx, up)
}

// save writes the change and tells of it.
func (s *Service) save(ctx context.Context, up *ent.ImageUpdateOne) error {
	row, err := up.Save(ctx)
	if err == nil {
		s.publish(row, live.Updated)
	}
	return err
}

// compare looks whether the engine holds the image, and notes the difference.
func (s *Service) compare(ctx context.Context, row *ent.Image) error {
	info, err := s.Engine.InspectImage(ctx, row.ID)
	up := s.Client.Image.UpdateOneID(row.ID).Where(image.StatusEQ(row.Status))
	ready := row.Status == image.StatusReady
	switch {
	case errors.Is(err, engine.ErrNotFound) && ready:
		up.SetStatus(image.StatusFailed).SetStatusMessage(vanished(row)).ClearEngineID().ClearSize().ClearLayers()
	case errors.Is(err, engine.ErrNotFound):
		return nil
	case err != nil:
		return err
	case ready && row.EngineID != nil && *row.EngineID == info.EngineID:
		return nil
	case ready:
		hold(up, info)
		up.SetLayers(s.layers(ctx, row.ID))
	default: // back behind our back, as it was taken
		hold(up, info)
		up.SetStatus(image.StatusReady).ClearStatusMessage().SetLayers(s.layers(ctx, row.ID))
	}
	if err := s.save(ctx, up); !ent.IsNotFound(err) { // else something else is asked for since
		return err
	}
	return nil
}

// remove lets go of the image in the engine, then of its row and its place in
// the quota in one transaction. What does not succeed is tried again when the
// engine is back, and by the sweep.
func (s *Service) remove(ctx context.Context, row *ent.Image) error {
	if err := s.Engine.RemoveImage(ctx, row.ID); err != nil {
		return errors.Join(err, s.delayed(ctx, row, err))
	}
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		if row.OwnerID != nil {
			if err := s.Quota.ReleaseImage(ctx, tx, *row.OwnerID); err != nil {
				return err
			}
		}
		return tx.Image.DeleteOneID(row.ID).Exec(ctx)
	})
	if err == nil {
		s.publish(row, live.Removed)
	}
	return err
}

// delayed says why an image is still being deleted.
func (s *Service) delayed(ctx context.Context, row *ent.Image, why error) error {
	if ctx.Err() != nil {
		return nil
	}
	message := "The engine could not remove it yet. It is tried again every half minute."
	switch {
	case errors.Is(why, engine.ErrUnreachable):
		message = awayMessage
	case errors.Is(why, engine.ErrBusy):
		message = "Something in the engine still uses it. Its removal is tried again every half minute."
	}
	if row.StatusMessage != nil && *row.StatusMessage == message {
		return nil
	}
	return s.save(auth.AsSystem(ctx), s.Client.Image.UpdateOneID(row.ID).Where(image.StatusEQ(image.StatusDeleting)).SetStatusMessage(message))
}
