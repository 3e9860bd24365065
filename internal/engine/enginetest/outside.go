package enginetest

import "github.com/mlride/mlride/internal/engine"

// What happens to containers by other hands than ours. All these work also while
// the engine is down, and do nothing where there is no such container.

// outside does something to this instance's container.
func (f *Fake) outside(id string, do func(*box)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, err := f.own(id); err == nil {
		do(b)
	}
}

// Kill ends its run with 137.
func (f *Fake) Kill(id string) { f.Exit(id, 137) }

// Exit ends its run with that code, as its own program might.
func (f *Fake) Exit(id string, code int) {
	f.outside(id, func(b *box) {
		if b.runs() {
			f.end(b, code, false)
		}
	})
}

// OOM ends its run for want of memory.
func (f *Fake) OOM(id string) {
	f.outside(id, func(b *box) {
		if b.runs() {
			f.end(b, 137, true)
		}
	})
}

// OOMInside makes the kernel end a program in it for want of memory; the first
// one goes on.
func (f *Fake) OOMInside(id string) {
	f.outside(id, func(b *box) {
		if b.runs() {
			b.OOMKilled = true
			f.tell(b, "oom")
		}
	})
}

// DevicesOf are the GPUs that it was made with.
func (f *Fake) DevicesOf(id string) (devices []string) {
	f.outside(id, func(b *box) { devices = b.devices })
	return devices
}

// Revive starts it, as an administrator might by hand.
func (f *Fake) Revive(id string) {
	f.outside(id, func(b *box) {
		if !b.runs() && b.Status != engine.StatusRemoving {
			f.start(b)
		}
	})
}

// Destroy removes it.
func (f *Fake) Destroy(id string) { f.outside(id, f.destroy) }

// Removing makes it hang on its way out; Destroy ends that.
func (f *Fake) Removing(id string) {
	f.outside(id, func(b *box) {
		if b.runs() {
			f.end(b, 137, false)
		}
		b.Status = engine.StatusRemoving
	})
}

// Say writes a line to its output.
func (f *Fake) Say(id, text string, stderr bool) {
	f.outside(id, func(b *box) { f.write(b, engine.LogLine{Text: text, Stderr: stderr}) })
}

// Stranger makes a running container of somebody else's that has the name of
// ours with that id. untouched says whether it still runs.
func (f *Fake) Stranger(id string) (untouched func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := &box{State: engine.State{ID: id, EngineID: f.hash(), Status: engine.StatusRunning}}
	f.boxes[f.name(id)] = b
	f.tell(b, "start")
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.boxes[f.name(id)] == b && b.Status == engine.StatusRunning
	}
}

// Forget takes the tag of an image away behind our back, and the image itself.
func (f *Fake) Forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.tags, f.imageTag(id))
	f.tellImage(f.imageTag(id), "untag")
}

// StrangersVolume makes a volume of somebody else's that has the name of ours
// with that id. untouched says whether it is still there.
func (f *Fake) StrangersVolume(id string) (untouched func() bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := &folder{files: map[string]file{}}
	f.volumes[f.name(id)] = v
	return func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.volumes[f.name(id)] == v
	}
}

// Fill puts a file of that size into a volume, in the place of the one before.
func (f *Fake) Fill(volumeID string, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.volumes[f.name(volumeID)]; v != nil {
		v.files["filled"] = file{size: size}
	}
}
