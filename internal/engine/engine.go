// Package engine is the contract with a container host, in our words. It knows
// no Docker, no database and no GraphQL. Two adapters sit the same exam
// (enginetest): the real one in internal/docker, and the fault-injecting fake.
//
// All methods are safe for concurrent use and bounded in time. Containers are
// named by our own id (ctr_…); an adapter derives the engine's name and labels
// from it and from the instance, and never touches what carries another
// instance's label or none. Create, Start, Stop, Pause, Unpause and Remove are
// idempotent: asking for what is already so succeeds. Errors are those of
// errors.go: a lost engine is ErrUnreachable, and nothing is then known about
// whether the request took effect.
package engine

import (
	"context"
	"io"
	"time"
)

// Engine is the whole contract. Consumers name the part they need.
type Engine interface {
	Containers
	Images
	Builds
	Contents
	Volumes
	Watcher
	Networks
	Execs
	Terminals
	Dialer
	Launcher
	// Info asks the engine what it is and has.
	Info(ctx context.Context) (Info, error)
	// Ping says whether the engine answers.
	Ping(ctx context.Context) error
	// Close lets go of connections. Streams end.
	Close() error
}

// Containers makes, runs and removes containers.
type Containers interface {
	// Create makes the container. One that is already there under the same id
	// is adopted as it is. A missing image is ErrImageMissing; a name that a
	// container of somebody else's holds is ErrRefused.
	Create(ctx context.Context, spec Spec) error
	// Start starts it. An error that says that its command cannot be run is
	// ErrRefused with the engine's reason, and so is the start of a paused one. A
	// program that the image lacks is no such error: the engine's init starts, does
	// not find it, and ends with 127 and a line in the log.
	Start(ctx context.Context, id string) error
	// Stop asks its program to end and kills it after grace (whole seconds).
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Pause freezes a running one. One that does not run is ErrRefused.
	Pause(ctx context.Context, id string) error
	// Unpause lets a paused one go on. One that does not run is ErrRefused.
	Unpause(ctx context.Context, id string) error
	// Update changes the limits of a container at once. Memory below what is in
	// use is ErrRefused.
	Update(ctx context.Context, id string, limits Limits) error
	// Remove kills and removes it with its anonymous volumes.
	Remove(ctx context.Context, id string) error
	// Inspect tells the present state; ErrNotFound when there is none.
	Inspect(ctx context.Context, id string) (State, error)
	// List tells the state of every container of this instance: all of it of those
	// that run, and of the others at least ids, owner and status.
	List(ctx context.Context) ([]State, error)
	// Logs calls line for each line of output in order, until the output ends,
	// ctx ends (nil is returned then), or line returns an error (returned as it
	// is). With Follow it goes on while the container runs. Long lines are whole,
	// up to a bound, and come once their end is there: that of the line, or of the run
	// in which nothing ended it.
	Logs(ctx context.Context, id string, opts LogOptions, line func(LogLine) error) error
	// LayerSize is what was written in the container outside of its volumes, in bytes.
	LayerSize(ctx context.Context, id string) (int64, error)
	// Stats calls sample about once a second with the engine's own figures,
	// until the container ends or ctx ends; nil is returned then.
	Stats(ctx context.Context, id string, sample func(Sample)) error
}

// Images pulls and removes images.
type Images interface {
	// Pull fetches ref (normalised) and holds it under a tag of our own for id,
	// so that nobody else's untagging takes it away. progress is called from one
	// goroutine, often. It ends early when ctx does, and leaves nothing behind then.
	// A reference that does not exist is ErrNotFound; a registry that cannot be
	// reached or fails is ErrRegistry; one that wants credentials ErrUnauthorized.
	// One that is there, and not for this machine's processor, is ErrPlatform.
	// The references that the engine has besides stay as they were. What id held
	// before goes, unless a container is made of it: it is a leftover then.
	Pull(ctx context.Context, id, ref string, progress func(PullProgress)) (ImageInfo, error)
	// Adopt holds an image that the engine already has under a tag of our own
	// for id; ErrNotFound when it has none of that reference.
	Adopt(ctx context.Context, id, ref string) (ImageInfo, error)
	// RemoveImage lets go of our own tag for id; the content goes with the last tag.
	// ErrBusy when that would be now and a container is made of it.
	RemoveImage(ctx context.Context, id string) error
	// InspectImage tells of the image held for id; ErrNotFound when there is none.
	InspectImage(ctx context.Context, id string) (ImageInfo, error)
	// ListImages tells the ids (img_…) of all images that this instance holds.
	ListImages(ctx context.Context) ([]string, error)
}

// Volumes keeps named folders. A volume comes into being with the first container
// that is made with it.
type Volumes interface {
	// RemoveVolume removes a volume with all that is in it. Missing is success;
	// ErrBusy when a container has it.
	RemoveVolume(ctx context.Context, id string) error
	// VolumeSize is what is in the volume, in bytes; ErrNotFound before the first
	// container was made with it.
	VolumeSize(ctx context.Context, id string) (int64, error)
	// ArchiveVolume writes a tar of all that is in the volume: names are relative to
	// it, owners by number, links as links that are never followed; devices, sockets
	// and pipes are left out. What is written in it meanwhile may be missing. After
	// an error what was written is of no use. ErrNotFound as with VolumeSize.
	ArchiveVolume(ctx context.Context, id string, to io.Writer) error
	// ListVolumes tells the ids (vol_…) of all volumes of this instance.
	ListVolumes(ctx context.Context) ([]string, error)
}

// Watcher follows what the engine tells.
type Watcher interface {
	// Watch opens the event stream, calls ready once it is open, and then event
	// for each event of this instance's containers and images, in order, until
	// the stream or ctx ends. It always returns an error: ErrUnreachable when
	// the engine went away, ctx.Err() when ctx ended.
	Watch(ctx context.Context, ready func(), event func(Event)) error
}

// Networks are made by Create and Start: one for each owner, which nobody else's
// containers are on.
type Networks interface {
	// PruneNetworks removes the networks of owners who have no container and whom
	// keep (nil: nobody) does not name, once they were found so for as long as
	// unused: a browser on the engine's own machine drops its connections when
	// bridges come and go.
	PruneNetworks(ctx context.Context, keep func(owner string) bool, unused time.Duration) error
}

// Spec is a container to make. The adapter adds the hardening; nothing in a
// Spec can loosen it.
type Spec struct {
	// ID and Owner become labels.
	ID, Owner string
	// ImageID is our id of the image: the adapter uses the tag it holds for it.
	ImageID string
	Limits  Limits
	// LayerLimit is the most that may be written outside of volumes, in bytes; 0 is
	// no limit. An engine whose files lie where that cannot be bounded leaves it out.
	LayerLimit int64
	// Hosts is how many containers the owner may have: their network has room for
	// so many.
	Hosts int
	// Command is given in place of the image's own, after its entry point where it
	// has one, as `docker run IMAGE COMMAND` does. Empty keeps the image's own, with
	// an open standard input and a terminal, so that a shell or interpreter stays.
	Command     []string
	Environment []string
	// Hostname inside the container.
	Hostname string
	// WorkingDir is where its program begins; empty is the image's own.
	WorkingDir string
	// Mounts are volumes, and nothing of the host's.
	Mounts []Mount
	// Devices are GPUs by the runtime's own ids; the container gets these and no other.
	Devices []string
}

// Mount is a volume in a container.
type Mount struct {
	// VolumeID is our id of the volume and Owner whose it is; they become its labels.
	VolumeID, Owner string
	// Path inside the container, absolute and clean.
	Path     string
	ReadOnly bool
}

// Limits bound a container.
type Limits struct {
	// NanoCPUs is processor time in billionths of a core.
	NanoCPUs int64
	// Memory in bytes, with no swap beyond.
	Memory int64
}

// Status is the engine's word for a container's condition.
type Status string

// The conditions that we tell apart; an engine's finer ones are mapped onto them.
const (
	StatusCreated Status = "created"
	StatusRunning Status = "running"
	StatusPaused  Status = "paused"
	StatusExited  Status = "exited"
	// StatusRemoving is on its way out: not there any more for our purposes,
	// though its name is still taken.
	StatusRemoving Status = "removing"
)

// State is the engine's word about one container.
type State struct {
	ID     string
	Owner  string
	Status Status
	// EngineID is the engine's own id of the container.
	EngineID string
	// Pid of the first process in the host's numbering, 0 when it does not run.
	Pid int
	// StartedAt is the engine's start time of the newest run as it wrote it,
	// empty before the first: it tells one run from the next.
	StartedAt string
	// Started and Finished are the newest run's times; zero when there are none,
	// and Finished also while it runs.
	Started, Finished time.Time
	ExitCode          int
	// OOMKilled says that the kernel ended some process of it for memory.
	OOMKilled bool
	// Error is the engine's text about a start that failed.
	Error string
	// Limits are those in force.
	Limits Limits
}

// Event is a hint that something happened; Inspect tells what is so now.
type Event struct {
	// Kind says whether ID is a container's or an image's.
	Kind EventKind
	// ID is our id of the container or image.
	ID string
	// Action is the engine's word: create, start, die, oom, destroy, untag, …
	Action string
	At     time.Time
}

// EventKind is what an event tells of.
type EventKind string

// What events tell of.
const (
	ContainerEvent EventKind = "container"
	ImageEvent     EventKind = "image"
)

// Info is what the engine is and has.
type Info struct {
	Name, Version, APIVersion string
	NanoCPUs, Memory          int64
	// CgroupVersion is 1 or 2; CgroupDriver cgroupfs or systemd.
	CgroupVersion int
	CgroupDriver  string
	// Local says that the engine's processes are in our own kernel, so that
	// cgroup files and /proc tell of them.
	Local bool
	// DataRoot is the engine's own folder, where images, layers and volumes are;
	// empty where it is not on this machine.
	DataRoot string
	// LiveRestore says that containers outlive the engine.
	LiveRestore bool
	// Boot is when the engine began; zero where it cannot be told.
	Boot time.Time
}

// LogOptions choose lines.
type LogOptions struct {
	// Tail is how many of the last lines come first; negative means all. The engine
	// may count a long line as several: then fewer come, and the beginning of the
	// first of a stream may be missing.
	Tail int
	// Since leaves out the lines before the first that is later than this instant,
	// when not zero.
	Since time.Time
	// Follow goes on with new lines.
	Follow bool
}

// LogHeld is how much of a container's output is kept at least, in bytes as the
// engine writes them, before the oldest is let go of.
const LogHeld = 20_000_000

// LogLine is one line of output.
type LogLine struct {
	// At is when its beginning was received, to the nanosecond. Times are not
	// always in order: clocks step back, and a long line comes when it ends.
	At     time.Time
	Stderr bool
	// Text is valid UTF-8 without its line end.
	Text string
}

// Sample is one reading of the engine's own figures, as totals.
type Sample struct {
	At                    time.Time
	CPUNanos              int64
	Memory, MemoryLimit   int64
	Pids                  int64
	NetworkRx, NetworkTx  int64
	BlockRead, BlockWrite int64
}

// PullProgress is how far a pull has come.
type PullProgress struct {
	Layers []LayerProgress
}

// LayerProgress is how far one layer has come. Total is 0 until known.
type LayerProgress struct {
	ID, State      string
	Current, Total int64
}

// ImageInfo is what the engine holds.
type ImageInfo struct {
	// EngineID is the content id: sha256:…
	EngineID string
	// Digest is the registry's digest of what was pulled, empty for a local image.
	// Pull tells it; later it is told only while the engine still knows it, so
	// whoever needs it keeps it.
	Digest string
	Size   int64
	// HasCommand says that the image names a command or an entry point.
	HasCommand bool
}

// Discard is a progress function that does nothing.
func Discard(PullProgress) {}

var _ io.Closer = Engine(nil)
