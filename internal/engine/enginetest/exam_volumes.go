package enginetest

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/mlride/mlride/internal/engine"
)

// keeps fails unless e has just these volumes.
func (x *exam) keeps(e engine.Engine, want ...string) {
	x.Helper()
	got, err := e.ListVolumes(x.ctx)
	x.must(err)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) && len(got)+len(want) > 0 {
		x.Fatalf("volumes: got %v, want %v", got, want)
	}
}

// with is a spec of a fresh container with these volumes.
func (x *exam) with(image string, command []string, mounts ...engine.Mount) engine.Spec {
	s := x.spec(image, command)
	s.Mounts = mounts
	return s
}

// ran makes and starts a container, waits for its end, and gives its exit code
// and all that it wrote.
func (x *exam) ran(told *record, spec engine.Spec) (code int, said []string) {
	x.Helper()
	x.must(x.Engine.Create(x.ctx, spec))
	x.must(x.Engine.Start(x.ctx, spec.ID))
	code = x.awaitStatus(told, spec.ID, engine.StatusExited).ExitCode
	x.must(x.Engine.Logs(x.ctx, spec.ID, engine.LogOptions{Tail: -1}, func(l engine.LogLine) error {
		said = append(said, l.Text)
		return nil
	}))
	return code, said
}

func (x *exam) volumes() {
	told := x.follow(x.Engine)
	image, id := x.image(x.Engine), x.Host.NewID("vol")
	at := engine.Mount{VolumeID: id, Owner: "usr_exam", Path: "/data/deep"}
	x.keeps(x.Engine)
	_, err := x.Engine.VolumeSize(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.must(x.Engine.RemoveVolume(x.ctx, id)) // missing is success

	first := x.with(image, script("echo hello > /data/deep/note"), at)
	x.must(x.Engine.Create(x.ctx, first))
	x.keeps(x.Engine, id) // it comes into being with the container
	x.must(x.Engine.Create(x.ctx, first))
	code, _ := x.ran(told, first)
	equal(x, "exit code of the writer", code, 0)

	// A second container sees what the first wrote, at another path; it may have
	// it only to read.
	elsewhere := at
	elsewhere.Path, elsewhere.ReadOnly = "/mnt", true
	code, said := x.ran(told, x.with(image, script("cat /mnt/note", "echo more > /mnt/second"), elsewhere))
	equal(x, "exit code of who cannot write", code, 1)
	equal(x, "said", slices.Contains(said, "hello"), true)
	code, _ = x.ran(told, x.with(image, script("cat /data/deep/second"), at))
	equal(x, "nothing was written", code, 1)

	// Removal waits for the last container, running or not.
	x.is(x.Engine.RemoveVolume(x.ctx, id), engine.ErrBusy)
	x.keeps(x.Engine, id)
	list, err := x.Engine.List(x.ctx)
	x.must(err)
	for _, s := range list {
		x.is(x.Engine.RemoveVolume(x.ctx, id), engine.ErrBusy)
		x.must(x.Engine.Remove(x.ctx, s.ID))
	}
	x.keeps(x.Engine, id)
	x.must(x.Engine.RemoveVolume(x.ctx, id))
	x.must(x.Engine.RemoveVolume(x.ctx, id))
	x.keeps(x.Engine)
}

func (x *exam) volumesStay() {
	told := x.follow(x.Engine)
	image, id := x.image(x.Engine), x.Host.NewID("vol")
	at := engine.Mount{VolumeID: id, Owner: "usr_exam", Path: "/data"}
	first := x.with(image, script("echo hello > /data/note"), at)
	_, _ = x.ran(told, first)
	x.must(x.Engine.Remove(x.ctx, first.ID))
	second := x.with(image, script("cat /data/note"), at)
	code, said := x.ran(told, second)
	equal(x, "said", code == 0 && slices.Equal(said, []string{"hello"}), true)
	x.Host.Destroy(second.ID)
	x.awaitEvents(told, second.ID, "create", "start", "die", "destroy")
	x.keeps(x.Engine, id)
}

func (x *exam) volumeOfStrangers() {
	image, id := x.image(x.Engine), x.Host.NewID("vol")
	untouched := x.Host.StrangersVolume(id)
	spec := x.with(image, sleep, engine.Mount{VolumeID: id, Owner: "usr_exam", Path: "/data"})
	x.is(x.Engine.Create(x.ctx, spec), engine.ErrRefused)
	_, err := x.Engine.Inspect(x.ctx, spec.ID)
	x.is(err, engine.ErrNotFound)
	_, err = x.Engine.VolumeSize(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.must(x.Engine.RemoveVolume(x.ctx, id))
	x.keeps(x.Engine)
	equal(x, "untouched", untouched(), true)

	// Another instance's is another volume, even under the same id.
	shared := x.Host.NewID("vol")
	at := engine.Mount{VolumeID: shared, Owner: "usr_exam", Path: "/data"}
	ours, theirs := x.with(image, sleep, at), x.with(x.image(x.Other), sleep, at)
	x.must(x.Engine.Create(x.ctx, ours))
	x.must(x.Other.Create(x.ctx, theirs))
	x.must(x.Engine.Remove(x.ctx, ours.ID))
	x.must(x.Engine.RemoveVolume(x.ctx, shared))
	x.keeps(x.Engine)
	x.keeps(x.Other, shared)
}

func (x *exam) sizes() {
	const mib = 1 << 20
	told := x.follow(x.Engine)
	image, id := x.image(x.Engine), x.Host.NewID("vol")
	at := engine.Mount{VolumeID: id, Owner: "usr_exam", Path: "/data"}
	empty := x.with(image, sleep, at)
	x.must(x.Engine.Create(x.ctx, empty))
	before, err := x.Engine.VolumeSize(x.ctx, id)
	x.must(err)
	equal(x, "an empty one is small", before < mib, true)
	layer, err := x.Engine.LayerSize(x.ctx, empty.ID)
	x.must(err)
	equal(x, "nothing was written", layer < mib, true)
	_, err = x.Engine.LayerSize(x.ctx, x.Host.NewID("ctr"))
	x.is(err, engine.ErrNotFound)

	writer := x.with(image, script("head -c 3145728 /dev/zero > /data/three", "head -c 1048576 /dev/zero > /one"), at)
	_, _ = x.ran(told, writer)
	size, err := x.Engine.VolumeSize(x.ctx, id)
	x.must(err)
	equal(x, "what was written in it", size >= before+3*mib && size < before+4*mib, true)
	layer, err = x.Engine.LayerSize(x.ctx, writer.ID)
	x.must(err)
	equal(x, "what was written outside", layer >= mib && layer < 2*mib, true)
}

func (x *exam) archive() {
	told := x.follow(x.Engine)
	image, id := x.image(x.Engine), x.Host.NewID("vol")
	x.is(x.Engine.ArchiveVolume(x.ctx, id, io.Discard), engine.ErrNotFound)
	at := engine.Mount{VolumeID: id, Owner: "usr_exam", Path: "/data"}
	writer := x.with(image, script("echo hello > /data/note", "head -c 100000 /dev/zero > /data/zeros"), at)
	_, _ = x.ran(told, writer)
	for range 2 { // with the container that has it, and without
		var packed bytes.Buffer
		x.must(x.Engine.ArchiveVolume(x.ctx, id, &packed))
		found := map[string]string{}
		for r := tar.NewReader(&packed); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			x.must(err)
			content, err := io.ReadAll(r)
			x.must(err)
			found[h.Name] = string(content)
		}
		equal(x, "how many files", len(found), 2)
		equal(x, "what is in one", found["note"], "hello\n")
		equal(x, "how long the other is", len(found["zeros"]), 100000)
		x.must(x.Engine.Remove(x.ctx, writer.ID))
	}
	full := errors.New("the disk is full")
	x.is(x.Engine.ArchiveVolume(x.ctx, id, refuser{full}), full)
	_, err := x.Other.VolumeSize(x.ctx, id)
	x.is(err, engine.ErrNotFound)
	x.is(x.Other.ArchiveVolume(x.ctx, id, io.Discard), engine.ErrNotFound)
}

// refuser takes nothing.
type refuser struct{ err error }

func (r refuser) Write([]byte) (int, error) { return 0, r.err }
