package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

const (
	// freshMode is the mode that the engine gives to the root of a fresh volume, and
	// openMode the one that it has in containers: images run as all kinds of users,
	// and each must be able to write what is its owner's. Who else gets in is
	// decided by who mounts it, not by its mode.
	freshMode os.FileMode = 0o755
	openMode  os.FileMode = 0o777
)

// volumeName is the engine's name for our volume.
func volumeName(instance, id string) string { return containerName(instance, id) }

// mounts are volumes by name and nothing else: no folder of the host's and no
// driver's options can be said. Nothing is copied from the image into a fresh
// one, which would give its root the mode of the image's folder.
func mounts(spec engine.Spec, instance string) []mount.Mount {
	var list []mount.Mount
	for _, m := range spec.Mounts {
		list = append(list, mount.Mount{
			Type: mount.TypeVolume, Source: volumeName(instance, m.VolumeID), Target: m.Path, ReadOnly: m.ReadOnly,
			VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		})
	}
	return list
}

// ensure makes the volume of m, unless it is there. One of its name that is not
// ours is ErrRefused. opened is false where its root could not be opened up from
// here: see openThrough.
func (e *Engine) ensure(ctx context.Context, m engine.Mount) (opened bool, err error) {
	var got volume.Volume
	err = e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) (err error) {
		// The engine answers with the one that is there, as it is, if there is one.
		got, err = c.VolumeCreate(ctx, volume.CreateOptions{
			Name:   volumeName(e.opts.Instance, m.VolumeID),
			Labels: map[string]string{labelInstance: e.opts.Instance, labelOwner: m.Owner, labelID: m.VolumeID},
		})
		return err
	})
	if err != nil {
		return false, err
	}
	if !e.isOurs(got, m.VolumeID) {
		return false, fmt.Errorf("%w: the name %s is taken by a volume that this instance did not make", engine.ErrRefused, got.Name)
	}
	root, there := e.folder(got)
	return there && openUp(root) == nil, nil
}

func (e *Engine) isOurs(v volume.Volume, id string) bool {
	return v.Labels[labelInstance] == e.opts.Instance && v.Labels[labelID] == id
}

// folder is where the volume is on this machine; false where the engine is on
// another, or its folders are closed to us.
func (e *Engine) folder(v volume.Volume) (string, bool) {
	if e.remote {
		return "", false
	}
	// The path has our own name for the volume in it, so that another machine's
	// is not mistaken for one of ours.
	found, err := os.Lstat(v.Mountpoint)
	return v.Mountpoint, err == nil && found.IsDir() && strings.Contains(v.Mountpoint, v.Name)
}

// openUp gives the root of a fresh volume its mode: one that is empty and as the
// engine made it. It can be done again, so it does not matter where a crash
// comes; what an owner has changed stays changed.
func openUp(root string) error {
	found, err := os.Stat(root)
	if err != nil || found.Mode().Perm() != freshMode {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) > 0 {
		return err
	}
	return os.Chmod(root, openMode)
}

// openThrough does the same where the engine's folders are out of reach, by way
// of the container that has the volume and was just made. Whether it is empty is
// not known here. The archive must be unpacked in the root of the container,
// since the folder that it is unpacked in keeps its mode; so it would not work
// in a container with a read-only root, which profile never asks for.
func (e *Engine) openThrough(ctx context.Context, containerName string, closed []engine.Mount) error {
	for _, m := range closed {
		if m.ReadOnly {
			continue // it cannot be changed from there, and who writes comes with a container of their own
		}
		err := e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
			at, err := c.ContainerStatPath(ctx, containerName, m.Path)
			path := m.Path
			if err == nil && at.LinkTarget != "" { // the image has a link there, which the engine followed
				path = at.LinkTarget
				at, err = c.ContainerStatPath(ctx, containerName, path)
			}
			if err != nil || !at.Mode.IsDir() || at.Mode.Perm() != freshMode {
				return err
			}
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(path, "/") + "/", Mode: int64(openMode), ModTime: at.Mtime})
			if err = errors.Join(err, w.Close()); err != nil {
				return err
			}
			return c.CopyToContainer(ctx, containerName, "/", &archive, container.CopyToContainerOptions{})
		})
		if err != nil {
			return fmt.Errorf("open up the volume at %s: %w", m.Path, err)
		}
	}
	return nil
}

// lookAtVolume tells of one of ours; anybody else's is ErrNotFound.
func (e *Engine) lookAtVolume(ctx context.Context, id string) (volume.Volume, error) {
	var got volume.Volume
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		got, err = c.VolumeInspect(ctx, volumeName(e.opts.Instance, id))
		return err
	})
	if err == nil && !e.isOurs(got, id) {
		return volume.Volume{}, fmt.Errorf("%w: no volume %s of this instance", engine.ErrNotFound, id)
	}
	return got, err
}

// RemoveVolume removes a volume with all that is in it.
func (e *Engine) RemoveVolume(ctx context.Context, id string) error {
	found, err := e.lookAtVolume(ctx, id)
	if err == nil {
		// As a stream, which takes no slot: many files take minutes.
		err = e.stream(ctx, removeVolumeTimeout, func(ctx context.Context, c *client.Client, _ func()) error {
			err := c.VolumeRemove(ctx, found.Name, false)
			if cerrdefs.IsConflict(err) { // perhaps only what an archive that did not end has left
				if e.dropArchiver(ctx, id) == nil {
					err = c.VolumeRemove(ctx, found.Name, false)
				}
			}
			return err
		})
	}
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// VolumeSize is what is in the volume, in bytes.
func (e *Engine) VolumeSize(ctx context.Context, id string) (int64, error) {
	found, err := e.lookAtVolume(ctx, id)
	if err != nil {
		return 0, err
	}
	if root, there := e.folder(found); there {
		if size, err := allocated(ctx, root); err == nil || ctx.Err() != nil {
			return size, err
		}
	}
	return e.askSize(ctx, found.Name)
}

// askSize asks the engine, which walks all volumes, ours and others', for each
// answer; so one answer serves for a while.
func (e *Engine) askSize(ctx context.Context, name string) (int64, error) {
	e.usage.mu.Lock()
	defer e.usage.mu.Unlock()
	size, known := e.usage.sizes[name]
	if !known || time.Since(e.usage.at) > usageLife {
		var got types.DiskUsage
		err := e.call(ctx, usageTimeout, func(ctx context.Context, c *client.Client) (err error) {
			got, err = c.DiskUsage(ctx, types.DiskUsageOptions{Types: []types.DiskUsageObject{types.VolumeObject}})
			return err
		})
		if err != nil {
			return 0, err
		}
		e.usage.sizes, e.usage.at = map[string]int64{}, time.Now()
		for _, v := range got.Volumes {
			if v.UsageData != nil && v.UsageData.Size >= 0 {
				e.usage.sizes[v.Name] = v.UsageData.Size
			}
		}
		size, known = e.usage.sizes[name]
	}
	if !known {
		return 0, fmt.Errorf("%w: the engine does not tell the size of %s", engine.ErrNotFound, name)
	}
	return size, nil
}

// ListVolumes tells the ids of all volumes of this instance.
func (e *Engine) ListVolumes(ctx context.Context) ([]string, error) {
	var got volume.ListResponse
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		got, err = c.VolumeList(ctx, volume.ListOptions{Filters: e.mine()})
		return err
	})
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, v := range got.Volumes {
		if id := v.Labels[labelID]; id != "" && v.Name == volumeName(e.opts.Instance, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// LayerSize is what was written in the container outside of its volumes.
func (e *Engine) LayerSize(ctx context.Context, id string) (int64, error) {
	found, err := e.find(ctx, id)
	if err != nil {
		return 0, err
	}
	var size int64
	err = e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		got, _, err := c.ContainerInspectWithRaw(ctx, found.ID, true)
		if err == nil && got.ContainerJSONBase != nil && got.SizeRw != nil {
			size = *got.SizeRw
		}
		return err
	})
	return size, err
}
