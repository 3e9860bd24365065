package enginetest

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mlride/mlride/internal/engine"
)

// folder is a volume.
type folder struct {
	instance string // empty: a stranger's
	id       string
	files    map[string]file // by path below it
}

// file is what was written.
type file struct {
	text string
	size int64
}

// block is what disks are given out in.
const block = 4096

func taken(files map[string]file) int64 {
	sum := int64(block) // the folder itself
	for _, f := range files {
		sum += (f.size + block - 1) / block * block
	}
	return sum
}

// deed is one command of a script: it says a line, or writes or reads a file.
type deed struct {
	line          engine.LogLine
	writes, reads string
	file          file
}

func parseDeed(words []string) deed {
	var d deed
	if n := len(words); n > 2 && words[n-2] == ">" {
		d.writes, words = words[n-1], words[:n-2]
	}
	text := strings.Join(words[1:], " ")
	switch {
	case words[0] == "cat":
		d.reads = text
	case words[0] == "head": // head -c BYTES /dev/zero
		d.file.size, _ = strconv.ParseInt(words[2], 10, 64)
	case d.writes != "":
		d.file = file{text: text, size: int64(len(text)) + 1}
	default:
		d.line.Text, d.line.Stderr = strings.CutSuffix(text, " >&2")
	}
	return d
}

// perform does one deed of a container's, and gives its exit code. The lock is held.
func (w *world) perform(b *box, d deed) int {
	switch {
	case d.writes != "":
		files, name, readOnly := w.at(b, d.writes)
		if readOnly {
			w.write(b, engine.LogLine{Text: "can't create " + d.writes + ": Read-only file system", Stderr: true})
			return 1
		}
		files[name] = d.file
	case d.reads != "":
		files, name, _ := w.at(b, d.reads)
		found, there := files[name]
		if !there {
			w.write(b, engine.LogLine{Text: "can't open '" + d.reads + "': No such file or directory", Stderr: true})
			return 1
		}
		w.write(b, engine.LogLine{Text: found.text})
	default:
		w.write(b, d.line)
	}
	return 0
}

// at is where a path in a container leads. The lock is held.
func (w *world) at(b *box, path string) (files map[string]file, name string, readOnly bool) {
	for _, m := range b.mounts {
		if rest, below := strings.CutPrefix(path, m.Path+"/"); below {
			return w.volumes["mlride-"+b.instance+"-"+m.VolumeID].files, rest, m.ReadOnly
		}
	}
	return b.layer, path, false
}

// ensure makes the volumes that are not there. The lock is held.
func (f *Fake) ensure(mounts []engine.Mount) error {
	for _, m := range mounts {
		name := f.name(m.VolumeID)
		if there := f.volumes[name]; there == nil {
			f.volumes[name] = &folder{instance: f.instance, id: m.VolumeID, files: map[string]file{}}
		} else if there.instance != f.instance {
			return fmt.Errorf("%w: the volume's name is taken", engine.ErrRefused)
		}
	}
	return nil
}

// ownVolume finds our volume. The lock is held.
func (f *Fake) ownVolume(id string) (*folder, error) {
	v := f.volumes[f.name(id)]
	if v == nil || v.instance != f.instance {
		return nil, fmt.Errorf("%w: no volume %s", engine.ErrNotFound, id)
	}
	return v, nil
}

// RemoveVolume removes a volume.
func (f *Fake) RemoveVolume(ctx context.Context, id string) error {
	return f.act(ctx, MethodRemoveVolume, id, func() error {
		if _, err := f.ownVolume(id); err != nil {
			return nil
		}
		for _, b := range f.boxes {
			if b.instance == f.instance && slices.ContainsFunc(b.mounts, func(m engine.Mount) bool { return m.VolumeID == id }) {
				return fmt.Errorf("%w: the container %s has it", engine.ErrBusy, b.ID)
			}
		}
		delete(f.volumes, f.name(id))
		return nil
	})
}

// VolumeSize is what is in the volume.
func (f *Fake) VolumeSize(ctx context.Context, id string) (size int64, err error) {
	err = f.act(ctx, MethodVolumeSize, id, func() error {
		v, err := f.ownVolume(id)
		if err == nil {
			size = taken(v.files)
		}
		return err
	})
	return size, err
}

// ArchiveVolume writes a tar of what is in the volume.
func (f *Fake) ArchiveVolume(ctx context.Context, id string, to io.Writer) error {
	var files map[string]file
	err := f.act(ctx, MethodArchiveVolume, id, func() error {
		v, err := f.ownVolume(id)
		if err == nil {
			files = maps.Clone(v.files)
		}
		return err
	})
	if err != nil {
		return err
	}
	w := tar.NewWriter(to)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		found := files[name]
		content := io.MultiReader(strings.NewReader(found.text), zeros{})
		if found.text != "" {
			content = strings.NewReader(found.text + "\n")
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: found.size}); err != nil {
			return err
		}
		if _, err := io.CopyN(w, content, found.size); err != nil {
			return err
		}
	}
	return w.Close()
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// ListVolumes tells the ids of all volumes.
func (f *Fake) ListVolumes(ctx context.Context) (ids []string, err error) {
	err = f.act(ctx, MethodListVolumes, "", func() error {
		ids = []string{}
		for _, v := range f.volumes {
			if v.instance == f.instance {
				ids = append(ids, v.id)
			}
		}
		slices.Sort(ids)
		return nil
	})
	return ids, err
}

// LayerSize is what was written in the container.
func (f *Fake) LayerSize(ctx context.Context, id string) (size int64, err error) {
	err = f.act(ctx, MethodLayerSize, id, func() error {
		b, err := f.own(id)
		if err == nil {
			size = taken(b.layer) - block
		}
		return err
	})
	return size, err
}
