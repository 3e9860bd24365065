package account

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	imageservice "github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/lifecycle"
	volumeservice "github.com/mlride/mlride/internal/volume"
)

// Estate is Belongings over the features that keep them. What it asks of them
// is what their owner could ask.
type Estate struct {
	Client     *ent.Client
	Containers *lifecycle.Service
	Volumes    *volumeservice.Service
	Images     *imageservice.Service
	// Archives is the folder of archives.
	Archives string
}

// stopGrace is how long programs have to end when their owner's account is deleted.
const stopGrace = 10 * time.Second

// Stop implements Belongings.
func (e Estate) Stop(ctx context.Context, userID string) error {
	ctx = auth.AsSystem(ctx)
	ids, err := e.Client.Container.Query().
		Where(container.OwnerID(userID), container.DesiredIn(container.DesiredRunning, container.DesiredPaused)).IDs(ctx)
	for _, id := range ids {
		_, stopErr := e.Containers.Stop(ctx, id, stopGrace)
		err = errors.Join(err, unlessGone(stopErr))
	}
	return err
}

// unlessGone forgives that what was to be changed went by itself.
func unlessGone(err error) error {
	if code := fault.CodeOf(err); code == fault.NotFound || code == fault.InvalidState {
		return nil
	}
	return err
}

// Erase implements Belongings: containers first, then the volumes that were in
// them, then the images that they were made of. Each is gone from the engine
// when its row is.
func (e Estate) Erase(ctx context.Context, userID string) (gone bool, err error) {
	ctx = auth.AsSystem(ctx)
	for _, step := range []func(context.Context, string) (int, error){e.containers, e.volumes, e.images} {
		left, err := step(ctx, userID)
		if err != nil || left > 0 {
			return false, err
		}
	}
	return true, nil
}

func (e Estate) containers(ctx context.Context, userID string) (left int, err error) {
	ids, err := e.Client.Container.Query().Where(container.OwnerID(userID)).IDs(ctx)
	for _, id := range ids {
		_, removal := e.Containers.Remove(ctx, id)
		err = errors.Join(err, unlessGone(removal))
	}
	return len(ids), err
}

func (e Estate) volumes(ctx context.Context, userID string) (left int, err error) {
	rows, err := e.Client.Volume.Query().Where(volume.OwnerID(userID)).All(ctx)
	for _, row := range rows {
		if row.Purging {
			continue
		}
		if row.Visibility == volume.VisibilityPublic { // nobody else may begin to use it
			private := false
			if _, change := e.Volumes.Update(ctx, row.ID, volumeservice.Edit{Public: &private}); change != nil {
				err = errors.Join(err, unlessGone(change))
			}
		}
		_, removal := e.Volumes.Delete(ctx, row.ID)
		if fault.CodeOf(removal) == fault.VolumeInUse { // somebody else's container reads it: it waits for them
			continue
		}
		if removal == nil {
			removal = e.Volumes.Purge(ctx, row.ID)
		}
		err = errors.Join(err, unlessGone(removal))
	}
	if err != nil {
		return len(rows), err
	}
	return e.Client.Volume.Query().Where(volume.OwnerID(userID)).Count(ctx)
}

func (e Estate) images(ctx context.Context, userID string) (left int, err error) {
	rows, err := e.Client.Image.Query().Where(image.OwnerID(userID), image.Not(image.HasContainers())).All(ctx)
	for _, row := range rows {
		if row.Status == image.StatusDeleting {
			continue
		}
		_, removal := e.Images.Delete(ctx, row.ID)
		if fault.CodeOf(removal) == fault.ImageInUse { // somebody took it meanwhile: it stays with them
			continue
		}
		err = errors.Join(err, unlessGone(removal))
	}
	return len(rows), err
}

// Measure implements Belongings.
func (e Estate) Measure(ctx context.Context, userID string) (Holding, error) {
	ctx = auth.AsSystem(ctx)
	var h Holding
	containers, err := e.Client.Container.Query().Where(container.OwnerID(userID)).All(ctx)
	if err != nil {
		return h, err
	}
	volumes, err := e.Client.Volume.Query().Where(volume.OwnerID(userID)).All(ctx)
	if err != nil {
		return h, err
	}
	images, err := e.Client.Image.Query().Where(image.OwnerID(userID)).All(ctx)
	if err != nil {
		return h, err
	}
	h.Containers, h.Volumes, h.Images = len(containers), len(volumes), len(images)
	add := func(to *record.Bytes, size *record.Bytes) {
		if size != nil {
			*to += *size
		}
	}
	for _, c := range containers {
		add(&h.Bytes, c.DiskUsed)
	}
	for _, v := range volumes {
		add(&h.VolumeBytes, v.Size)
	}
	for _, i := range images {
		add(&h.Bytes, i.Size)
	}
	h.Bytes += h.VolumeBytes
	return h, nil
}

// Archive implements Belongings.
func (e Estate) Archive(ctx context.Context, userID, folder string) (record.Bytes, error) {
	files, err := e.Volumes.Archive(ctx, userID, filepath.Join(e.Archives, folder))
	var sum record.Bytes
	for _, f := range files {
		sum += f.Bytes
	}
	return sum, err
}
