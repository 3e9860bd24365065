package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"
)

// ArchiveVolume writes all that is in the volume as a tar.
func (e *Engine) ArchiveVolume(ctx context.Context, id string, to io.Writer) error {
	found, err := e.lookAtVolume(ctx, id)
	if err != nil {
		return err
	}
	if root, there := e.folder(found); there {
		fd, err := openFolder(unix.AT_FDCWD, root)
		if err == nil {
			return archive(ctx, fd, to)
		}
	}
	return e.archiveThrough(ctx, id, to)
}

// openFolder opens a folder and never what a link leads to.
func openFolder(parent int, name string) (int, error) {
	return unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// archive writes what is in the open folder, and closes it. Its contents are a
// tenant's and may change meanwhile, so everything is opened from the folder it
// is in, and told by what was opened.
func archive(ctx context.Context, fd int, to io.Writer) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	p := packer{
		ctx: ctx, to: tar.NewWriter(to), device: uint64(stat.Dev), seen: map[uint64]string{},
		buffer: make([]byte, 256<<10), zeros: make([]byte, 256<<10),
	}
	if err := p.folder(fd, "", 1); err != nil {
		return err
	}
	return p.to.Close()
}

type packer struct {
	ctx           context.Context
	to            *tar.Writer
	device        uint64
	seen          map[uint64]string // the first name of inodes with several
	buffer, zeros []byte
}

func (p *packer) folder(fd int, at string, depth int) error {
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }()
	if depth > maxNesting {
		return fmt.Errorf("folders nested deeper than %d", maxNesting)
	}
	for {
		names, err := f.Readdirnames(atOnce)
		for _, name := range names {
			if err := p.entry(fd, name, path.Join(at, name), depth); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// changed says that what was opened is another thing since we looked.
func changed(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO)
}

func (p *packer) entry(parent int, name, full string, depth int) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	var stat unix.Stat_t
	err := unix.Fstatat(parent, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // removed meanwhile
	}
	if err != nil {
		return err
	}
	if uint64(stat.Dev) != p.device {
		return nil
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		fd, err := openFolder(parent, name)
		if changed(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unix.Fstat(fd, &stat); err != nil || uint64(stat.Dev) != p.device {
			return errors.Join(err, unix.Close(fd))
		}
		if err := p.to.WriteHeader(header(&stat, tar.TypeDir, full+"/")); err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		return p.folder(fd, full, depth+1)
	case unix.S_IFREG:
		return p.file(parent, name, full)
	case unix.S_IFLNK:
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(parent, name, target)
		if changed(err) || errors.Is(err, unix.EINVAL) {
			return nil
		}
		if err != nil {
			return err
		}
		h := header(&stat, tar.TypeSymlink, full)
		h.Linkname = string(target[:n])
		return p.to.WriteHeader(h)
	}
	return nil // devices, sockets and pipes hold nothing
}

func header(stat *unix.Stat_t, kind byte, name string) *tar.Header {
	return &tar.Header{
		Typeflag: kind, Name: name, Mode: int64(stat.Mode & 0o7777), Uid: int(stat.Uid), Gid: int(stat.Gid),
		ModTime: time.Unix(stat.Mtim.Unix()),
	}
}

func (p *packer) file(parent int, name, full string) error {
	// Not blocking: a pipe may be there since we looked.
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if changed(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || uint64(stat.Dev) != p.device {
		return nil
	}
	h := header(&stat, tar.TypeReg, full)
	if first, again := p.seen[stat.Ino]; again {
		h.Typeflag, h.Linkname = tar.TypeLink, first
		return p.to.WriteHeader(h)
	}
	h.Size = stat.Size
	if err := p.to.WriteHeader(h); err != nil {
		return err
	}
	if stat.Nlink > 1 {
		p.seen[stat.Ino] = full
	}
	// Just as much as was said, whatever becomes of the file: the rest of one that
	// was cut short is zeros.
	for left := stat.Size; left > 0; {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		part := p.buffer[:min(left, int64(len(p.buffer)))]
		n, err := f.Read(part)
		if errors.Is(err, io.EOF) {
			part = p.zeros[:len(part)]
			n = len(part)
		} else if err != nil {
			return err
		}
		if _, err := p.to.Write(part[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return nil
}

// archivePath is where the container that only serves an archive has the volume.
const archivePath = "/mlride-archive"

// archiverName is the engine's name for that container. It has no label of ours,
// so that nobody takes it for somebody's.
func (e *Engine) archiverName(id string) string { return volumeName(e.opts.Instance, id) + "-archive" }

// archiveThrough goes by way of the engine where its folders are out of reach: by
// a container that is never started. One that a tenant has is not asked, since
// they could move another folder to where the volume is.
func (e *Engine) archiveThrough(ctx context.Context, id string, to io.Writer) (err error) {
	name := e.archiverName(id)
	if err := e.dropArchiver(ctx, id); err != nil { // a crash may have left one
		return err
	}
	err = e.call(ctx, createTimeout, func(ctx context.Context, c *client.Client) error {
		held, err := e.held(ctx, c)
		if err != nil {
			return err
		}
		for image := range held {
			_, err := c.ContainerCreate(ctx, &container.Config{Image: image, Entrypoint: []string{"/nothing"}, NetworkDisabled: true},
				&container.HostConfig{
					NetworkMode: "none",
					Mounts: []mount.Mount{{
						Type: mount.TypeVolume, Source: volumeName(e.opts.Instance, id), Target: archivePath, ReadOnly: true,
						VolumeOptions: &mount.VolumeOptions{NoCopy: true},
					}},
				}, nil, nil, name)
			return err
		}
		return errors.New("the volume cannot be reached: this instance has no image to make a container of")
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.dropArchiver(context.WithoutCancel(ctx), id)) }()
	return e.stream(ctx, createTimeout, func(ctx context.Context, c *client.Client, opened func()) error {
		body, _, err := c.CopyFromContainer(ctx, name, archivePath+"/.")
		if err != nil {
			return err
		}
		opened()
		defer func() { _ = body.Close() }()
		return rebase(body, callersWriter{to})
	})
}

func (e *Engine) dropArchiver(ctx context.Context, id string) error {
	return e.call(ctx, removeTimeout, func(ctx context.Context, c *client.Client) error {
		err := c.ContainerRemove(ctx, e.archiverName(id), container.RemoveOptions{Force: true})
		if cerrdefs.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// callersWriter keeps the errors of the caller's writer apart from the engine's.
type callersWriter struct{ io.Writer }

func (w callersWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = &callerError{err}
	}
	return n, err
}

// rebase copies a tar without the folder that everything in it is in, and
// without devices.
func rebase(from io.Reader, to io.Writer) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	top, begun := "", false
	inside := func(name string) string { return strings.TrimPrefix(path.Clean(name), top) }
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		if !begun { // the folder itself comes first
			begun = true
			if top = path.Clean(h.Name) + "/"; top == "./" {
				top = ""
			}
			continue
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		default:
			continue
		}
		h.Name, h.Format = inside(h.Name), tar.FormatUnknown
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if h.Typeflag == tar.TypeLink {
			h.Linkname = inside(h.Linkname)
		}
		// The engine's names for what is said by number are of no use elsewhere.
		h.Uname, h.Gname, h.AccessTime, h.ChangeTime, h.PAXRecords = "", "", time.Time{}, time.Time{}, nil
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}
