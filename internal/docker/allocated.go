package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// A walk of everybody's volumes; a million files take a minute.
	usageTimeout = 5 * time.Minute
	usageLife    = 30 * time.Second
	// Nested deeper than any work is: there are so many folders open at a time.
	maxNesting = 512
	// atOnce is how many names of a folder are held at a time.
	atOnce = 1024
)

// usage is the engine's last answer about the sizes of volumes.
type usage struct {
	mu    sync.Mutex
	sizes map[string]int64
	at    time.Time
}

// allocated is how much of the disk the folder takes with all below it: blocks,
// so that holes do not count, and each file once however many names it has. The
// folder's contents are a tenant's and may change under the walk: no link is
// followed, and no other file system entered.
func allocated(ctx context.Context, root string) (int64, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: root, Err: err}
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return 0, errors.Join(err, unix.Close(fd))
	}
	w := walk{ctx: ctx, device: uint64(stat.Dev), seen: map[uint64]struct{}{}, blocks: stat.Blocks}
	err = w.folder(fd, 1)
	return w.blocks * 512, err
}

type walk struct {
	ctx    context.Context
	device uint64
	seen   map[uint64]struct{} // inodes with several names
	blocks int64
}

// folder adds what is in the open folder, and closes it.
func (w *walk) folder(fd, depth int) error {
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }()
	if depth > maxNesting {
		return fmt.Errorf("folders nested deeper than %d", maxNesting)
	}
	for {
		names, err := f.Readdirnames(atOnce)
		for _, name := range names {
			if err := w.entry(fd, name, depth); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case w.ctx.Err() != nil:
			return w.ctx.Err()
		}
	}
}

func (w *walk) entry(parent int, name string, depth int) error {
	var stat unix.Stat_t
	err := unix.Fstatat(parent, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if uint64(stat.Dev) != w.device {
		return nil
	}
	folder := stat.Mode&unix.S_IFMT == unix.S_IFDIR
	if !folder && stat.Nlink > 1 {
		if _, again := w.seen[stat.Ino]; again {
			return nil
		}
		w.seen[stat.Ino] = struct{}{}
	}
	w.blocks += stat.Blocks
	if !folder {
		return nil
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // it is another thing since we looked
	}
	if err != nil {
		return err
	}
	return w.folder(fd, depth+1)
}
