// Package server is the running process: the one room that sees all others. It
// builds the features on an open database and an engine, serves the API and the
// pages, and takes everything down again in the reverse order.
package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/frontend"
	"github.com/mlride/mlride/graph"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/disk"
	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/firewall"
	"github.com/mlride/mlride/internal/gateway"
	"github.com/mlride/mlride/internal/idle"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
	"github.com/mlride/mlride/internal/volume"
)

// firstContact bounds how long the start waits for the engine's first word, so
// that what is asked for in the first moment is not refused for want of it. An
// engine that is not there says so at once.
const firstContact = time.Second

// Run serves until ctx ends. Containers go on running when it returns.
func Run(ctx context.Context, config Config, version string) error {
	log := slog.Default()
	unlock, err := claim(config.Data)
	if err != nil {
		return err
	}
	defer unlock()
	house, err := assemble(auth.AsSystem(ctx), config, version, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := house.close(); err != nil {
			log.Error("closing did not succeed", "error", err)
		}
	}()
	listener, err := Listen(ctx, config)
	if err != nil {
		return err
	}
	apps, err := ListenApps(ctx, config)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	house.ports.Listening(listener.Addr(), apps.Addr())
	if err := house.announceSetup(ctx); err != nil {
		return errors.Join(err, listener.Close(), apps.Close())
	}
	// The features outlive the listener: what is being answered may need them.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	for _, run := range house.loops {
		running.Go(func() { run(life) })
	}
	defer running.Wait()
	defer end()
	select {
	case <-house.lifecycle.FirstTry():
	case <-time.After(firstContact):
	}
	handler := NewHandler(Deps{
		Resolver: house.resolver, Accounts: house.accounts, Terminals: house.terminals, Ready: house.ready, Config: config,
		Trail: house.audit, Outputs: house.monitor, Open: house.ports.Open, Assets: frontend.Assets(), Log: log,
	})
	_, err = fmt.Fprintf(os.Stdout, "listening on %s\napps on %s\n", config.Address(listener.Addr()), config.AppsAddress(apps.Addr()))
	if err != nil {
		return errors.Join(err, listener.Close(), apps.Close())
	}
	return serveBoth(ctx, listener, handler, apps, NewApps(house.ports, handler), config, log)
}

// house is everything that runs.
type house struct {
	config   Config
	version  string
	log      *slog.Logger
	instance string
	store    *store.Store
	engine   engine.Engine
	// here says whether the containers' bridges are in this process's network.
	here      func(ctx context.Context) (here bool, why string, err error)
	firewall  *firewall.Keeper
	quota     *quota.Service
	accounts  *account.Service
	images    *image.Service
	monitor   *monitor.Service
	volumes   *volume.Service
	lifecycle *lifecycle.Service
	idle      *idle.Service
	terminals *gateway.Terminals
	disk      *disk.Service
	audit     *audit.Service
	ports     *gateway.Ports
	resolver  *graph.Resolver
	loops     []func(context.Context)
}

func assemble(ctx context.Context, config Config, version string, log *slog.Logger) (*house, error) {
	h := &house{config: config, version: version, log: log}
	var err error
	if h.instance, err = instance(config); err != nil {
		return nil, err
	}
	if h.store, err = store.Open(ctx, config.DatabasePath()); err != nil {
		return nil, err
	}
	real, err := docker.New(engineOptions(config, h.instance))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("DOCKER_HOST: %w", err), h.store.Close())
	}
	h.engine, h.here = real, real.SharesNetwork
	if err := h.features(ctx, &live.Feed{}); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// engineOptions are what the settings say about the engine.
func engineOptions(config Config, instance string) docker.Options {
	return docker.Options{
		Host: config.Engine, Instance: instance, NetworkPool: config.NetworkPool.Prefix,
		NoInternet: config.Internet == "off", Strict: config.Profile == "strict",
	}
}

// buildOptions are what the settings say about builds.
func buildOptions(config Config) image.BuildOptions {
	b := config.Build
	return image.BuildOptions{
		Limits: engine.BuildLimits{Limits: engine.Limits{NanoCPUs: b.CPU.Nano(), Memory: int64(b.Memory)}, Pids: int64(b.Pids)},
		Time:   b.Time, Parallel: b.Parallel,
		PipIndex: string(config.PipIndex), AptMirror: string(config.AptMirror),
		Proxies: map[string]string{"HTTP_PROXY": string(config.HTTPProxy), "HTTPS_PROXY": string(config.HTTPSProxy), "NO_PROXY": config.NoProxy},
	}
}

func (h *house) features(ctx context.Context, feed *live.Feed) error {
	client, config, log := h.store.Client, h.config, h.log
	var err error
	h.quota, err = quota.New(ctx, quota.Options{
		Client: client, Feed: feed, Log: log, Now: time.Now,
		Default: quota.Limits(config.DefaultQuota),
		Policy: quota.Policy{
			ReserveCPU: config.HostReserve.CPU, ReserveMemory: config.HostReserve.Memory,
			OvercommitCPU: config.Overcommit.CPU, OvercommitMemory: config.Overcommit.Memory,
		},
	})
	if err != nil {
		return err
	}
	setup, err := h.setupCode()
	if err != nil {
		return err
	}
	h.accounts = account.New(account.Options{
		Client: client, Feed: feed, Log: log, Now: time.Now,
		Mode: account.Mode(config.RegistrationMode()), SetupCode: setup, Contact: config.Contact,
		NewQuota: h.quota.GiveOther, Quota: h.quota, Grace: config.DeletionGrace.Duration,
		Avatars: filepath.Join(config.Data, avatarFolder),
	})
	h.images, err = image.New(image.Options{
		Client: client, Feed: feed, Engine: h.engine, Quota: h.quota, Log: log, Now: time.Now,
		MinMemory: record.Bytes(config.MinMemory), Starter: string(config.StarterImage),
		Room:  func() error { return h.disk.Room() },
		Build: buildOptions(config), Mirrors: config.RegistryMirrors, CatalogueFile: config.Catalogue,
		CheckEvery: config.ImageCheck.Duration, Keep: config.ImageKeep.Duration,
	})
	if err != nil && config.Catalogue != "" {
		return fmt.Errorf("MLRIDE_CATALOGUE: %w", err)
	}
	if err != nil {
		return err
	}
	h.monitor = monitor.New(monitor.Options{
		Client: client, Feed: feed, Engine: h.engine, Log: log, Now: time.Now,
		Local: func() bool { return h.lifecycle.Connection().Info.Local },
		GPUs:  h.gpuFigures,
	})
	h.volumes = volume.New(volume.Options{
		Client: client, Engine: h.engine, Quota: h.quota, Feed: feed, Log: log, Now: time.Now, Trash: config.Trash.Duration,
		Reserve: config.HostReserve.Disk,
	})
	h.lifecycle = lifecycle.New(lifecycle.Options{
		Client: client, Engine: h.engine, Quota: h.quota, Volumes: h.volumes, Feed: feed, Log: log, Now: time.Now,
		MinMemory:    record.Bytes(config.MinMemory),
		Idleness:     lifecycle.IdleRules{Default: config.IdleTimeout.Duration, Max: config.IdleMax.Duration},
		Room:         func() error { return h.disk.Room() },
		Running:      func(p lifecycle.Process) { h.monitor.Started(monitor.Target(p)) },
		Ended:        h.monitor.Stopped,
		Watched:      h.monitor.Watching,
		MemoryInUse:  h.monitor.MemoryInUse,
		MemoryPeak:   h.monitor.MemoryPeak,
		PortPrefix:   func(id string, port int) string { return h.ports.Prefix(id, port) },
		ImageMissing: h.images.Observe,
		ImageEvent:   h.images.Observe,
		Connected: func(ctx context.Context, info engine.Info) {
			h.findGPUs(ctx, info)
			h.images.EngineUp()
			h.volumes.EngineUp()
		},
	})
	h.accounts.Belongings = account.Estate{Client: client, Containers: h.lifecycle, Volumes: h.volumes, Images: h.images, Archives: filepath.Join(config.Data, "archive")}
	h.idle = idle.New(idle.Options{
		Client: client, Lifecycle: h.lifecycle, Quota: h.quota, Latest: h.monitor.Latest,
		Stop: config.IdleStop.Duration, Now: time.Now, Log: log,
	})
	h.terminals = gateway.NewTerminals(gateway.TerminalOptions{
		Client: client, Engine: h.engine, Lifecycle: h.lifecycle, Feed: feed, Touch: h.idle.Touch, Now: time.Now, Log: log,
	})
	h.disk = disk.New(disk.Options{
		Client: client, Engine: h.engine, Lifecycle: h.lifecycle, Quota: h.quota, Latest: h.monitor.Latest,
		Folders: h.folders, Reserve: config.HostReserve.Disk, Now: time.Now, Log: log,
	})
	h.firewall = firewall.New(firewall.Options{Off: config.Firewall == "off", Here: h.here, Log: log})
	h.audit = audit.New(audit.Options{Client: client, Feed: feed, Keep: config.AuditKeep.Duration, Now: time.Now, Log: log})
	key, err := secret(config.Data)
	if err != nil {
		return err
	}
	h.ports = h.newPorts(key)
	h.resolver = &graph.Resolver{
		Account: h.accounts, Audit: h.audit, Images: h.images, Lifecycle: h.lifecycle, Quota: h.quota, Monitor: h.monitor,
		Volumes: h.volumes, Terminals: h.terminals, Ports: h.ports, Machine: h,
	}
	h.loops = []func(context.Context){
		h.accounts.Run, h.images.Run, h.monitor.Run, h.volumes.Run, h.lifecycle.Run, h.idle.Run, h.terminals.Run, h.disk.Run, h.audit.Run, h.firewall.Keep,
	}
	return nil
}

// folders are those whose disks must not run full: ours, and the engine's where
// it is on this machine.
func (h *house) folders() []string {
	folders := []string{h.config.Data}
	if root := h.lifecycle.Connection().Info.DataRoot; root != "" {
		folders = append(folders, root)
	}
	return folders
}

func (h *house) close() error { return errors.Join(h.engine.Close(), h.store.Close()) }

// claim makes the data folder and keeps other servers out of it.
func claim(folder string) (unlock func(), err error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("MLRIDE_DATA: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("MLRIDE_DATA: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("MLRIDE_DATA: another server uses the folder %s", folder), lock.Close())
	}
	return func() { _ = lock.Close() }, nil
}

// instance is the configured label, or the one that the data folder keeps.
func instance(config Config) (string, error) {
	if config.Instance != "" {
		return string(config.Instance), nil
	}
	file := filepath.Join(config.Data, "instance")
	kept, err := os.ReadFile(file)
	if err == nil {
		return strings.TrimSpace(string(kept)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("MLRIDE_DATA: %w", err)
	}
	made, err := random(4)
	if err != nil {
		return "", err
	}
	return made, os.WriteFile(file, []byte(made+"\n"), 0o600)
}

// setupCode is what the first account needs off loopback.
func (h *house) setupCode() (string, error) {
	switch {
	case h.config.OnLoopback():
		return h.config.SetupCode, nil
	case h.config.SetupCode != "":
		return h.config.SetupCode, nil
	default:
		return random(8)
	}
}

// announceSetup prints the set-up code where it will be needed. It goes beside
// the log, which may be kept and read by others.
func (h *house) announceSetup(ctx context.Context) error {
	_, needed, err := h.accounts.RegistrationOpen(ctx)
	if err != nil || !needed || h.config.SetupCode != "" {
		return err
	}
	_, err = fmt.Fprintf(os.Stderr, "The first account administers this server. To make it, register with the set-up code %s\n", h.accounts.SetupCode)
	return err
}

func random(bytes int) (string, error) {
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
