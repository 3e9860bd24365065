package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/crash"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

// Archived is a volume as a file.
type Archived struct {
	// Name is the file's, in the folder that was said.
	Name  string
	Bytes record.Bytes
}

// Archive writes each volume of the owner's, those in the trash too, as a tar
// into folder: all of them, or an error. Files that are there already are written
// anew, so that it may be done again after a crash and none is older than the
// last time. Nothing is taken from the volumes.
func (s *Service) Archive(ctx context.Context, owner, folder string) ([]Archived, error) {
	ctx = auth.AsSystem(ctx)
	rows, err := s.Client.Volume.Query().Where(volume.OwnerID(owner), volume.Purging(false)).Order(ent.Asc(volume.FieldID)).All(ctx)
	if err != nil {
		return nil, err
	}
	done := []Archived{}
	if len(rows) == 0 {
		return done, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := s.tidy(folder); err != nil {
		return nil, err
	}
	var need record.Bytes
	for _, row := range rows {
		size, err := s.Engine.VolumeSize(ctx, row.ID)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			return nil, fmt.Errorf("measure the volume %s: %w", row.ID, explain(row, err))
		}
		need += record.Bytes(size)
	}
	if err := s.room(folder, need); err != nil {
		return nil, err
	}
	for _, row := range rows {
		one, err := s.archive(ctx, row, folder)
		if errors.Is(err, engine.ErrNotFound) { // no container was ever made with it: there is nothing in it
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("archive the volume %s: %w", row.ID, explain(row, err))
		}
		done = append(done, one)
	}
	return done, syncFolder(folder)
}

// explain says for a person why a volume was not archived.
func explain(row *ent.Volume, err error) error {
	var known *fault.Fault
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, engine.ErrUnreachable):
		return fault.New(fault.EngineUnavailable, "The engine does not answer, so the volume %s cannot be archived. Try again later.", row.Name).Because(err)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fault.New(fault.LowDisk, "The disk of the data folder ran full while the volume %s was archived.", row.Name).Because(err)
	}
	return fault.New(fault.EngineError, "The volume %s could not be read whole. The server's log says more.", row.Name).Because(err)
}

// partial ends the name of a file that is not whole.
const partial = ".part"

// tidy removes what a crash left half written.
func (s *Service) tidy(folder string) error {
	left, err := filepath.Glob(filepath.Join(folder, "*"+partial))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

func (s *Service) archive(ctx context.Context, row *ent.Volume, folder string) (done Archived, err error) {
	done.Name = row.Name + "-" + row.ID + ".tar"
	final := filepath.Join(folder, done.Name)
	f, err := os.OpenFile(final+partial, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), unlessMissing(os.Remove(f.Name())))
		}
	}()
	to := &sparse{file: f, room: func() error { return s.room(folder, 0) }}
	if err := s.Engine.ArchiveVolume(ctx, row.ID, to); err != nil {
		return done, err
	}
	done.Bytes = record.Bytes(to.size)
	crash.Point("volume.archive.written")
	// The last may have been a hole.
	if err := errors.Join(f.Truncate(to.size), f.Sync()); err != nil {
		return done, err
	}
	if err := os.Rename(f.Name(), final); err != nil {
		return done, err
	}
	return done, f.Close()
}

func unlessMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// syncFolder has the names in the folder, and its own, outlive a loss of power.
func syncFolder(folder string) error {
	for _, name := range []string{folder, filepath.Dir(folder)} {
		f, err := os.Open(name) //nolint:gosec // ours
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// room is LOW_DISK where so many bytes more would leave too little.
func (s *Service) room(folder string, need record.Bytes) error {
	ask := s.Free
	if ask == nil {
		ask = freeOf
	}
	free, err := ask(folder)
	if err != nil {
		return err
	}
	if free-need < s.Reserve {
		return fault.New(fault.LowDisk, "The archive needs %s, and of the %s that are free on the disk of the data folder %s are kept.", need, free, s.Reserve)
	}
	return nil
}

func freeOf(folder string) (record.Bytes, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, err
	}
	return record.Bytes(int64(stat.Bavail) * int64(stat.Bsize)), nil //nolint:gosec // no disk is that large
}

const (
	// hole is the smallest piece that is left out of the file when it is all zeros.
	hole = 64 << 10
	// lookEvery is after how many bytes on the disk its room is looked at again:
	// volumes grow, and what was measured is not what comes.
	lookEvery = 64 << 20
)

// sparse writes a file and leaves holes where there are zeros: a tenant's file may
// be one hole of terabytes, which must not fill the disk here.
type sparse struct {
	file           *os.File
	room           func() error
	size, unlooked int64
}

func (w *sparse) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(len(p), n+hole)]
		if zero(part) {
			_, err = w.file.Seek(int64(len(part)), io.SeekCurrent)
		} else {
			_, err = w.file.Write(part)
			w.unlooked += int64(len(part))
		}
		if err == nil && w.unlooked >= lookEvery {
			w.unlooked = 0
			err = w.room()
		}
		if err != nil {
			return n, err
		}
		n += len(part)
		w.size += int64(len(part))
	}
	return n, nil
}

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
