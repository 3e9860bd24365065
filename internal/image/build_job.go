package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/imageline"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
)

// maxAttempts is how often a build is begun that the end of the server or of the
// engine interrupts: one that brings them down must not do so for ever.
const maxAttempts = 3

// attemptLine is the first line of the log of a build that was interrupted. It
// stays across the server's ends, and counts.
const attemptLine = "[Attempt %d of %d: the server or the engine ended while this was being built.]"

// errSlow ends a build that took longer than it may.
var errSlow = errors.New("the time limit of the build has passed")

// build builds the image and records what came of it. An engine that cannot be
// reached leaves it as it is: it is begun again when the engine is back.
func (s *Service) build(ctx context.Context, row *ent.Image, j *job) error {
	done, err := s.builds.turn(ctx, row, s.Build.Parallel, s.tellPlace)
	if err != nil {
		return err // cancelled, deleted, or the server stops
	}
	defer done()
	attempt, err := s.attempt(ctx, row)
	if err != nil {
		return err
	}
	book, err := s.openLog(ctx, row.ID)
	if err != nil {
		return err
	}
	defer book.close()
	if attempt > 1 {
		book.line(attemptLine, attempt, maxAttempts)
	}
	if attempt > maxAttempts {
		return s.endBuild(ctx, row, book, fmt.Sprintf("The server or the engine ended %d times while this was being built, so it is not tried again. Ask the administrator, or build it with less at once.", maxAttempts))
	}
	j.follow(row)
	defer j.unfollow()
	err = s.set(ctx, row, func(up *ent.ImageUpdateOne) { up.SetStatus(image.StatusBuilding).ClearStatusMessage() })
	if err != nil {
		return ignoreGone(err)
	}
	building, end := context.WithCancelCause(ctx)
	defer end(nil)
	limit := time.AfterFunc(s.Build.Time, func() { end(errSlow) })
	defer limit.Stop()
	info, base, err := s.construct(building, row, j, book)
	slow := errors.Is(context.Cause(building), errSlow)
	j.unfollow()
	s.builds.setStep(row.ID, buildStep{})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, engine.ErrUnreachable) && !slow:
		book.line("[The engine cannot be reached any more.]")
		book.close()
		return errors.Join(err, ignoreGone(s.set(ctx, row, func(up *ent.ImageUpdateOne) { up.SetStatusMessage(awayMessage) })))
	case err != nil:
		return s.endBuild(ctx, row, book, s.explainBuild(row, book, err, slow))
	}
	book.line("[Done: %s.]", record.Bytes(info.Size))
	book.close()
	return ignoreGone(s.set(ctx, row, func(up *ent.ImageUpdateOne) {
		hold(up, info)
		up.SetStatus(image.StatusReady).ClearStatusMessage().SetUpdateAvailable(false).SetLayers(s.layers(ctx, row.ID))
		up.ClearBaseReference().ClearBaseDigest()
		if base.reference != "" {
			up.SetBaseReference(base.reference)
		}
		if base.digest != "" {
			up.SetBaseDigest(base.digest)
		}
	}))
}

func ignoreGone(err error) error {
	if ent.IsNotFound(err) {
		return nil // cancelled or deleted meanwhile: what is to be is done next
	}
	return err
}

// attempt is which attempt at the build this is, from 1.
func (s *Service) attempt(ctx context.Context, row *ent.Image) (int, error) {
	if row.Status != image.StatusBuilding {
		return 1, nil
	}
	first, err := s.Client.ImageLine.Query().Where(imageline.ImageID(row.ID), imageline.Number(1)).Only(auth.AsSystem(ctx))
	if ent.IsNotFound(err) {
		return 2, nil
	}
	if err != nil {
		return 0, err
	}
	var attempt, of int
	if n, _ := fmt.Sscanf(first.Text, attemptLine, &attempt, &of); n < 1 {
		attempt = 1
	}
	return attempt + 1, nil
}

// endBuild records that the build came to nothing.
func (s *Service) endBuild(ctx context.Context, row *ent.Image, book *logbook, message string) error {
	book.line("[%s]", message)
	book.close()
	return ignoreGone(s.failed(ctx, row, message))
}

// baseHad is what a build began from.
type baseHad struct{ reference, digest string }

// construct gets the bases and has the engine build.
func (s *Service) construct(ctx context.Context, row *ent.Image, j *job, book *logbook) (engine.ImageInfo, baseHad, error) {
	var none engine.ImageInfo
	if row.Dockerfile == nil {
		return none, baseHad{}, fmt.Errorf("%w: there is no Dockerfile", engine.ErrBuild)
	}
	file, problems := parseDockerfile(*row.Dockerfile)
	if len(problems) > 0 { // it was taken by an older version
		return none, baseHad{}, fmt.Errorf("%w: %s", engine.ErrBuild, problems[0])
	}
	ids, refs := map[string]string{}, map[string]string{}
	had := baseHad{reference: file.last()}
	spec := engine.BuildSpec{
		ID: row.ID, Owner: *row.OwnerID, Args: s.Build.args(), Fresh: row.EngineID != nil, Limits: s.Build.Limits,
	}
	for i, base := range file.bases() {
		info, release, err := s.base(ctx, row, j, book, i, base)
		if err != nil {
			return none, had, &baseError{base, err}
		}
		defer release()
		ids[base], refs[info.EngineID] = info.EngineID, base
		spec.Bases = append(spec.Bases, info.EngineID)
		if base == had.reference {
			had.digest = info.Digest
		}
	}
	spec.Dockerfile = file.render(ids)
	info, err := s.Engine.Build(ctx, spec, func(p engine.BuildProgress) {
		if p.Step > 0 {
			s.builds.setStep(row.ID, buildStep{p.Step, p.Steps})
			s.progressed(j, engine.PullProgress{})
			line := string(p.Output)
			for id, ref := range refs { // people know it by its reference
				line = strings.Replace(line, id, ref, 1)
			}
			p.Output = []byte(line)
		}
		_, _ = book.Write(p.Output) // never fails
	})
	return info, had, err
}

// baseError says which base was not to be had.
type baseError struct {
	reference string
	err       error
}

func (e *baseError) Error() string { return e.reference + ": " + e.err.Error() }
func (e *baseError) Unwrap() error { return e.err }

// basePrefix begins the ids under which bases are held while a build needs them.
const basePrefix = "base_"

// base has the engine hold a base of the build: just that reference, never another
// version, and never what lies in the engine under the same name without being
// the owner's to use. The first build takes what the owner has of that reference;
// otherwise, and to build again on the newest, the registry is asked.
func (s *Service) base(ctx context.Context, row *ent.Image, j *job, book *logbook, n int, ref string) (engine.ImageInfo, func(), error) {
	nothing := func() {}
	own, err := s.seen(ctx, *row.OwnerID, ref)
	if err != nil {
		return engine.ImageInfo{}, nil, err
	}
	if own != nil && row.EngineID == nil {
		if info, err := s.Engine.InspectImage(ctx, own.ID); err == nil {
			book.line("[The base %s is there.]", ref)
			return withDigest(info, own), nothing, nil
		}
	}
	book.line("[Fetching the base %s …]", ref)
	id := fmt.Sprintf("%s%s_%d", basePrefix, strings.TrimPrefix(row.ID, "img_"), n)
	s.builds.holdBase(id, true)
	release := func() {
		s.builds.holdBase(id, false)
		s.begin(id) // lets go of it: there is no such row
	}
	fetching := &job{id: id, life: j.life}
	info, err := s.obtain(ctx, ref, fetching, func() error { return nil })
	if err == nil {
		return info, release, nil
	}
	release()
	if own != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrUnreachable) {
		if info, lookErr := s.Engine.InspectImage(ctx, own.ID); lookErr == nil {
			book.line("[It is not to be had now (%s); taken as it is here.]", reason(err, engine.ErrRegistry))
			return withDigest(info, own), nothing, nil
		}
	}
	return engine.ImageInfo{}, nil, err
}

func withDigest(info engine.ImageInfo, row *ent.Image) engine.ImageInfo {
	if row.Digest != nil {
		info.Digest = *row.Digest
	}
	return info
}

// seen is an image of just that reference, from a registry or the installation,
// that the owner sees; nil when there is none.
func (s *Service) seen(ctx context.Context, owner, ref string) (*ent.Image, error) {
	as := auth.With(ctx, auth.Viewer{UserID: owner})
	row, err := s.Client.Image.Query().
		Where(image.Reference(ref), image.SourceEQ(image.SourcePull), image.StatusEQ(image.StatusReady)).
		Order(ent.Desc(image.FieldCreatedAt)).First(as)
	if ent.IsNotFound(err) {
		return nil, nil
	}
	return row, err
}

// letGo has the engine hold nothing under an id without a row, unless it is a base
// that a build needs just now.
func (s *Service) letGo(ctx context.Context, id string) error {
	if s.builds.isHeld(id) {
		return nil
	}
	return s.Engine.RemoveImage(ctx, id)
}

// isBuilding says that a build of the image is under way here.
func (s *Service) isBuilding(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jobs[id] != nil
}

// explainBuild says for a person why a build failed and what to do.
func (s *Service) explainBuild(row *ent.Image, book *logbook, err error, slow bool) string {
	var base *baseError
	switch {
	case slow:
		return fmt.Sprintf("The build took longer than %s and was ended. Look at the log for the step that does not end.", record.Duration(s.Build.Time))
	case errors.As(err, &base):
		as := *row
		as.RequestedReference, as.PreferSlim = base.reference, false
		return "The base is not to be had, and no other is taken in its place. " + explain(&as, base.err, false, s.Deadline)
	case errors.Is(err, engine.ErrDiskFull):
		return "The machine's disk is full, so the image could not be built. Delete images that you do not need, or ask the administrator to make room; then build again."
	case errors.Is(err, engine.ErrImageMissing):
		return "The base was removed while it was needed. Build again."
	case errors.Is(err, engine.ErrRefused):
		return fmt.Sprintf("The engine does not build this: %s. Choose another base.", reason(err, engine.ErrRefused))
	case errors.Is(err, engine.ErrBuild):
		return s.explainStep(row, book, err)
	default:
		return fmt.Sprintf("The engine would not build it (%s). Ask the administrator.", reason(err, engine.ErrBusy))
	}
}

// explainStep tells of a step that failed, with the last that it printed.
func (s *Service) explainStep(row *ent.Image, book *logbook, err error) string {
	at := s.builds.lastStep(row.ID)
	text := reason(err, engine.ErrBuild)
	if at.step > 0 {
		text = fmt.Sprintf("Step %d of %d failed: %s.", at.step, at.steps, strings.TrimSuffix(text, "."))
	} else {
		text = "The build failed: " + strings.TrimSuffix(text, ".") + "."
	}
	if strings.Contains(text, "code: 137") {
		text += fmt.Sprintf(" It was killed: a build has %s of memory.", record.Bytes(s.Build.Limits.Memory))
	}
	text += " Change it and build again."
	if last := strings.Join(book.last(), "\n"); strings.TrimSpace(last) != "" {
		if len(last) > 2*maxReason {
			last = "…" + strings.ToValidUTF8(last[len(last)-2*maxReason:], "")
		}
		text += " The last lines:\n" + last
	}
	return text
}

// tellPlace tells of images whose place in the queue is another.
func (s *Service) tellPlace(rows []*ent.Image) {
	for _, row := range rows {
		s.Feed.Publish(changeOf(row, live.Updated))
	}
}

// commit saves the container that the row tells of.
func (s *Service) commit(ctx context.Context, row *ent.Image) error {
	if row.CommittedFromID == nil || row.Status != image.StatusPending {
		return ignoreGone(s.failed(ctx, row, "It was saved from a container, and cannot be saved again. Save that container anew."))
	}
	book, err := s.openLog(ctx, row.ID)
	if err != nil {
		return err
	}
	defer book.close()
	err = s.layerFits(ctx, row)
	var info engine.ImageInfo
	if err == nil {
		book.line("[Saving what the container has written …]")
		info, err = s.Engine.Commit(ctx, engine.CommitSpec{ID: row.ID, Owner: *row.OwnerID, Container: *row.CommittedFromID, Timeout: s.Build.Time})
	}
	var large *tooLargeError
	message := ""
	switch {
	case err == nil:
		book.line("[Done: %s.]", record.Bytes(info.Size))
		book.close()
		return ignoreGone(s.set(ctx, row, func(up *ent.ImageUpdateOne) {
			hold(up, info)
			up.SetStatus(image.StatusReady).ClearStatusMessage().SetLayers(s.layers(ctx, row.ID))
		}))
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &large):
		message = large.Error()
	case errors.Is(err, engine.ErrUnreachable):
		return errors.Join(err, ignoreGone(s.set(ctx, row, func(up *ent.ImageUpdateOne) { up.SetStatusMessage(awayMessage) })))
	case errors.Is(err, engine.ErrNotFound):
		message = "The container is no more, so nothing could be saved."
	case errors.Is(err, engine.ErrDiskFull):
		message = "The machine's disk is full, so it could not be saved. Ask the administrator to make room, and save it again."
	default:
		message = fmt.Sprintf("The engine could not save it (%s). Try again, or ask the administrator.", reason(err, engine.ErrRefused))
	}
	return s.endBuild(ctx, row, book, message)
}

// tooLargeError says that what a container has written does not fit.
type tooLargeError struct{ has, left record.Bytes }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("The container has written %s outside of its volumes, and %s of your disk are left. Delete something first, and save it again.", e.has, e.left)
}

// layerFits refuses a container whose layer is more than its owner's disk has left.
func (s *Service) layerFits(ctx context.Context, row *ent.Image) error {
	size, err := s.Engine.LayerSize(ctx, *row.CommittedFromID)
	if err != nil {
		return err
	}
	left, err := s.Quota.DiskLeft(ctx, *row.OwnerID)
	if err == nil && record.Bytes(size) > left {
		return &tooLargeError{record.Bytes(size), max(0, left)}
	}
	return err
}
