// Package lifecycle is the life of a container: the verbs that record what is
// wanted, the reconciler that brings it about, and the observation that records
// what is.
package lifecycle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/crash"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// Engine is the part of the engine's contract that lifecycle needs.
type Engine interface {
	engine.Containers
	engine.Watcher
	engine.Networks
	Info(ctx context.Context) (engine.Info, error)
}

// Process is a container that runs, for whoever measures it.
type Process struct {
	ID, EngineID string
	Pid          int
	Started      time.Time
	MemoryLimit  record.Bytes
	// Owner is whose it is, GPUs the devices that it holds.
	Owner string
	GPUs  []string
}

// Options build a Service. The functions may be nil.
type Options struct {
	Client *ent.Client
	Engine Engine
	Quota  *quota.Service
	// Volumes are what containers may have in them.
	Volumes *volume.Service
	Feed    *live.Feed
	Log     *slog.Logger
	Now     func() time.Time
	// MinMemory is the least memory that a container may have.
	MinMemory record.Bytes
	// Idleness is what may be asked for as an idle timeout.
	Idleness IdleRules
	// Room says why nothing may be begun on the machine now, for want of disk.
	Room func() error

	// Running and Ended are told whenever a container was seen to run or not;
	// Watched says whether Running has been told of it.
	Running func(Process)
	Ended   func(id string)
	Watched func(id string) bool
	// MemoryInUse is the newest sample of a running container.
	MemoryInUse func(id string) (record.Bytes, bool)
	// MemoryPeak is the most that its present run was seen to use.
	MemoryPeak func(id string) (record.Bytes, bool)
	// ImageMissing is told of an image that the engine turned out not to have;
	// ImageEvent of what the engine says of images.
	ImageMissing, ImageEvent func(id string)
	// PortPrefix is the path under which a port of a container is reached: what its
	// program is told. It is told nothing when nil.
	PortPrefix func(id string, port int) string
	// Connected is told when the engine can be reached again.
	Connected func(context.Context, engine.Info)
}

// Service is the life of all containers.
type Service struct {
	Options
	queue      *queue
	hints      *hints
	locks      keyed
	kills      kills
	connection connection
	door       sync.Mutex // held by whoever lets in those who wait
	tried      chan struct{}
	triedOnce  sync.Once
}

// New returns a service; nothing happens before Run.
func New(o Options) *Service {
	ignore := func(string) {}
	if o.Running == nil {
		o.Running = func(Process) {}
	}
	if o.Ended == nil {
		o.Ended = ignore
	}
	if o.Watched == nil {
		o.Watched = func(string) bool { return true }
	}
	if o.MemoryInUse == nil {
		o.MemoryInUse = func(string) (record.Bytes, bool) { return 0, false }
	}
	if o.MemoryPeak == nil {
		o.MemoryPeak = func(string) (record.Bytes, bool) { return 0, false }
	}
	if o.Room == nil {
		o.Room = func() error { return nil }
	}
	if o.ImageMissing == nil {
		o.ImageMissing = ignore
	}
	if o.ImageEvent == nil {
		o.ImageEvent = ignore
	}
	if o.Connected == nil {
		o.Connected = func(context.Context, engine.Info) {}
	}
	s := &Service{Options: o, queue: newQueue(), hints: newHints(), tried: make(chan struct{})}
	s.connection.now.Since = o.Now().UTC()
	return s
}

// FirstTry is closed when the engine was tried for the first time, whatever
// came of it.
func (s *Service) FirstTry() <-chan struct{} { return s.tried }

// Run follows the engine and carries out steps until ctx ends. Containers go on
// running when it returns.
func (s *Service) Run(ctx context.Context) {
	var wait sync.WaitGroup
	wait.Go(func() { s.follow(ctx) })
	wait.Go(func() { s.usher(ctx) })
	for range observers {
		wait.Go(func() { s.observeHints(ctx) })
	}
	for range workers {
		wait.Go(func() { s.work(ctx) })
	}
	wait.Wait()
}

// tx is a transaction with a boundary on each side of its commit, at which a test
// may end the server.
func (s *Service) tx(ctx context.Context, name string, do func(tx *ent.Client) error) error {
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		err := do(tx)
		crash.Point(name + ".commit")
		return err
	})
	crash.Point(name + ".committed")
	return err
}
