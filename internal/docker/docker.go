// Package docker is the engine contract spoken to a Docker engine. It is the
// only room that imports the Docker SDK: what the rest of the product knows of
// containers are the words of package engine.
//
// A container is named mlride-<instance>-<id> and carries three labels; an image
// is held by the tag mlride-<instance>/<id>. What carries another instance's
// label, or none, is neither listed nor touched.
package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"github.com/mlride/mlride/internal/engine"
)

// The labels of everything that we make in the engine.
const (
	labelInstance = "mlride.instance"
	labelOwner    = "mlride.owner"
	labelID       = "mlride.id"
)

// How long the engine may take to answer. Each is several times what a loaded
// machine was seen to need, so that running out means that the engine hangs.
const (
	// Measured under 2 ms; a hung engine should show soon.
	pingTimeout = 5 * time.Second
	// Inspect and list take a few milliseconds, and a list of many hundreds on a
	// busy disk some seconds.
	readTimeout = 15 * time.Second
	// Create prepares a file system; on a disk that is being written full it waits.
	createTimeout = 60 * time.Second
	// Start takes half a second, and minutes are seen only where it hangs.
	startTimeout = 60 * time.Second
	// Pause, unpause, update and tag change a few files.
	changeTimeout = 30 * time.Second
	// Stop has its grace, then a kill, then the engine's own book-keeping.
	stopMargin = 30 * time.Second
	// Remove deletes all files that the container wrote.
	removeTimeout = 60 * time.Second
	// Removing an image deletes its layers.
	removeImageTimeout = 120 * time.Second
	// Removing a volume deletes its files: millions take minutes.
	removeVolumeTimeout = 10 * time.Minute
	// A stream is unbounded, its opening is not.
	openTimeout = 15 * time.Second
	// A pull tells something every second, also while it only retries.
	pullSilence = 5 * time.Minute
)

// defaultConcurrent bounds the calls under way at once: the engine gains nothing
// from more (it serialises most of the work), and its memory grows with them.
const defaultConcurrent = 16

// DefaultPool has room for 1,024 networks.
var DefaultPool = netip.MustParsePrefix("10.201.0.0/16")

// Options say which engine, and as whom.
type Options struct {
	// Host is the engine's address as in DOCKER_HOST (unix://… or tcp://…).
	// Empty takes DOCKER_HOST, or the engine's default socket.
	Host string
	// Instance names this installation: lower-case letters, digits and single
	// hyphens, at most 40.
	Instance string
	// RegistryConfig is the folder with the Docker command line's config.json,
	// whose credentials (and credential helpers) serve for pulls. Empty takes
	// DOCKER_CONFIG, or the user's own.
	RegistryConfig string
	// NetworkPool is cut into a network for each owner. Zero takes DefaultPool.
	NetworkPool netip.Prefix
	// NoInternet keeps containers from everything but their owner's others.
	NoInternet bool
	// Strict makes containers with the strict profile.
	Strict bool
	// MaxConcurrent bounds the calls under way at once, streams aside. 0 means 16.
	MaxConcurrent int
}

// Engine is a Docker engine as this instance may use it.
type Engine struct {
	opts     Options
	slots    chan struct{}
	pulls    *keyedLock
	networks networks
	// layers is whether the engine bounds what containers write; nil until it was
	// asked, and again when the connection is lost: the next engine may be another.
	layers atomic.Pointer[bool]
	// arch is the machine's, with the same proviso.
	arch atomic.Pointer[string]
	// dialing holds one token for whoever may read or change current.
	dialing chan struct{}
	current *client.Client
	usage   usage
	// remote makes it go about volumes and processes as where the host's files of
	// them are out of reach.
	remote bool
	// open ends at Close, and all streams with it.
	open  context.Context
	close context.CancelFunc
}

var _ engine.Engine = (*Engine)(nil)

// validInstance keeps names and image tags well-formed, and one instance's from
// being the beginning of another's.
var validInstance = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// New prepares an engine. It does not talk to it yet, so an engine that is down
// is no error: every call tries again. An ill-formed option is.
func New(opts Options) (*Engine, error) {
	if !validInstance.MatchString(opts.Instance) || len(opts.Instance) > 40 {
		return nil, fmt.Errorf("instance %q: lower-case letters, digits and single hyphens, at most 40", opts.Instance)
	}
	if opts.MaxConcurrent <= 0 {
		opts.MaxConcurrent = defaultConcurrent
	}
	if !opts.NetworkPool.IsValid() {
		opts.NetworkPool = DefaultPool
	}
	if !opts.NetworkPool.Addr().Is4() || opts.NetworkPool.Bits() > smallestBlock {
		return nil, fmt.Errorf("network pool %s: an IPv4 network of /%d or larger", opts.NetworkPool, smallestBlock)
	}
	c, err := newClient(opts.Host)
	if err != nil {
		return nil, fmt.Errorf("engine address: %w", err)
	}
	if strings.HasPrefix(c.DaemonHost(), "ssh://") {
		return nil, errors.New("engine address: ssh:// is not spoken here; forward the engine's socket and name that")
	}
	e := &Engine{
		opts:     opts,
		slots:    make(chan struct{}, opts.MaxConcurrent),
		pulls:    newKeyedLock(),
		networks: networks{choosing: newKeyedLock(), unused: map[string]time.Time{}},
		dialing:  make(chan struct{}, 1),
	}
	e.open, e.close = context.WithCancel(context.Background())
	return e, nil
}

func newClient(host string) (*client.Client, error) {
	opts := []client.Opt{client.FromEnv}
	if host != "" {
		opts = append(opts, client.WithHost(host))
	}
	return client.NewClientWithOpts(opts...)
}

// Close ends streams and lets go of connections. Calls fail as unreachable then.
func (e *Engine) Close() error {
	e.close()
	e.dialing <- struct{}{}
	defer func() { <-e.dialing }()
	if e.current == nil {
		return nil
	}
	return e.current.Close()
}

// Ping says whether the engine answers.
func (e *Engine) Ping(ctx context.Context) error {
	return e.call(ctx, pingTimeout, func(ctx context.Context, c *client.Client) error {
		_, err := c.Ping(ctx)
		return err
	})
}

// Info asks the engine what it is and has.
func (e *Engine) Info(ctx context.Context) (engine.Info, error) {
	var info engine.Info
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		got, err := c.Info(ctx)
		if err != nil {
			return err
		}
		info = engine.Info{
			Name:          got.Name,
			Version:       got.ServerVersion,
			APIVersion:    c.ClientVersion(),
			NanoCPUs:      int64(got.NCPU) * 1e9,
			Memory:        got.MemTotal,
			CgroupVersion: 1,
			CgroupDriver:  got.CgroupDriver,
			Local:         local(c, got),
			LiveRestore:   got.LiveRestoreEnabled,
		}
		// The engine makes its default bridge anew when it begins; only one that
		// keeps containers running (live restore) keeps it too.
		if bridge, err := c.NetworkInspect(ctx, "bridge", network.InspectOptions{}); err == nil {
			info.Boot = bridge.Created.UTC()
		}
		if info.Local {
			info.DataRoot = got.DockerRootDir
		}
		if got.CgroupVersion == "2" {
			info.CgroupVersion = 2
		}
		return nil
	})
	return info, err
}

// local says whether the engine's processes are in our own kernel.
func local(c *client.Client, told system.Info) bool {
	return strings.HasPrefix(c.DaemonHost(), "unix://") && told.KernelVersion == ownKernel()
}

// ownKernel is what uname -r prints. A socket alone does not make an engine
// local: behind it may be a virtual machine with a kernel of its own.
func ownKernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// call does one bounded exchange with the engine, and tells its error in our words.
func (e *Engine) call(ctx context.Context, timeout time.Duration, do func(context.Context, *client.Client) error) error {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c, err := e.connect(bounded)
	if err == nil {
		err = do(bounded, c)
	}
	return e.told(ctx, c, err)
}

// stream opens something without an end and hands it to read. Only the opening
// is bounded; Close of the engine ends it.
func (e *Engine) stream(ctx context.Context, opening time.Duration, do func(ctx context.Context, c *client.Client, opened func()) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.open, cancel)()
	timer := time.AfterFunc(opening, cancel)
	defer timer.Stop()
	c, err := e.connect(inner)
	if err == nil {
		err = do(inner, c, func() { timer.Stop() })
	}
	return e.told(ctx, c, err)
}

// told translates err and forgets a connection that proved dead, so that the
// next call agrees on a version anew: the engine that comes back may be another.
func (e *Engine) told(ctx context.Context, c *client.Client, err error) error {
	err = translate(ctx, err)
	if errors.Is(err, engine.ErrUnreachable) && c != nil {
		e.dialing <- struct{}{}
		if e.current == c {
			e.current = nil
			e.layers.Store(nil)
			e.arch.Store(nil)
		}
		<-e.dialing
		_ = c.Close() // idle connections only: calls under way keep theirs
	}
	return err
}

// connect gives a client that has agreed on a version with the engine. The SDK
// could do that by itself, but writes the version unguarded while others read it.
func (e *Engine) connect(ctx context.Context) (*client.Client, error) {
	if e.open.Err() != nil {
		return nil, errClosed
	}
	select {
	case e.dialing <- struct{}{}:
		defer func() { <-e.dialing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.current != nil {
		return e.current, nil
	}
	c, err := newClient(e.opts.Host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	pong, err := c.Ping(ctx)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	c.NegotiateAPIVersionPing(pong)
	e.current = c
	return c, nil
}

// baseURL is where the client's requests go. Needed for the one request that the
// SDK does not make as we need it: the opening of the event stream.
func baseURL(c *client.Client) (string, error) {
	host, err := client.ParseHostURL(c.DaemonHost())
	if err != nil {
		return "", err
	}
	scheme := "http"
	if os.Getenv(client.EnvOverrideCertPath) != "" { // what makes the SDK speak TLS
		scheme = "https"
	}
	address := host.Host
	if host.Scheme == "unix" {
		address = client.DummyHost // the transport dials the socket whatever the name
	}
	return scheme + "://" + address + strings.TrimSuffix(host.Path, "/") + "/v" + strings.TrimPrefix(c.ClientVersion(), "v"), nil
}
