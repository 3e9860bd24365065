package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/engine"
)

// Each owner's containers are on a bridge of their own: they see each other and
// nobody else's. The subnets are ours, from a pool, since the engine's own pools
// end after thirty networks; the bridges are named mlr-…, so that one rule of the
// host's firewall names them all (internal/firewall).

const (
	// bridgePrefix begins the name of every bridge; the kernel allows 15 characters.
	bridgePrefix = "mlr-"
	bridgeOption = "com.docker.network.bridge.name"
	// smallestBlock has 61 addresses besides its own, its gateway's and broadcast.
	smallestBlock = 26
	// refusals bounds how many blocks are tried that the engine says are held:
	// beyond, it says no to all.
	refusals = 64
)

// networks is what an adapter remembers of its networks. All of it may be
// forgotten: the networks themselves and their labels are in the engine.
type networks struct {
	// choosing is held by whoever looks for a free block. Another server may take
	// it all the same: the engine's refusal decides.
	choosing *keyedLock
	mu       sync.Mutex
	// unused is since when no container was seen of an owner who has a network.
	unused map[string]time.Time
	// suited is when an owner's network was last found as it should be, and for how
	// many containers.
	suited map[string]checked
}

// checked is what a look at a network said.
type checked struct {
	at    time.Time
	hosts int
}

// suitedFor is how long a look at a network holds: a hundred containers made at
// once need one. Should it go meanwhile, Start makes it anew.
const suitedFor = 5 * time.Second

func (n *networks) isSuited(owner string, hosts int, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, known := n.suited[owner]
	return known && f.hosts >= hosts && now.Sub(f.at) < suitedFor
}

func (n *networks) setSuited(owner string, hosts int, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.suited == nil {
		n.suited = map[string]checked{}
	}
	n.suited[owner] = checked{now, hosts}
}

func (n *networks) unsuit(owner string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.suited, owner)
}

// used begins the time of being unused anew.
func (n *networks) used(owner string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.unused, owner)
}

// idle is since when a network was seen to be unused, now included.
func (n *networks) idle(owner string, now time.Time) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	since, known := n.unused[owner]
	if !known {
		since = now
		n.unused[owner] = now
	}
	return since
}

// networkName is the engine's name for an owner's network.
func networkName(instance, owner string) string { return "mlride-" + instance + "-" + owner }

// bridgeName is what the host calls its bridge.
func bridgeName(instance, owner string) string {
	sum := sha256.Sum256([]byte(networkName(instance, owner)))
	return bridgePrefix + hex.EncodeToString(sum[:])[:11]
}

// network makes sure that the owner's network is there, with room for that many
// containers, and gives its name.
func (e *Engine) network(ctx context.Context, owner string, hosts int) (string, error) {
	name := networkName(e.opts.Instance, owner)
	e.networks.used(owner)
	now := time.Now()
	if e.networks.isSuited(owner, hosts, now) {
		return name, nil
	}
	found, err := e.lookNetwork(ctx, owner)
	if err == nil && e.suits(found, hosts) {
		e.networks.setSuited(owner, hosts, now)
		return name, nil
	}
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return "", err
	}
	leave, err := e.networks.choosing.lock(ctx, "")
	if err != nil {
		return "", err
	}
	defer leave()
	found, err = e.lookNetwork(ctx, owner) // somebody may have been faster
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return name, e.makeNetwork(ctx, owner, hosts)
	case err != nil:
		return "", err
	case !e.suits(found, hosts):
		return name, e.remakeNetwork(ctx, found, hosts)
	}
	return name, nil
}

// lookNetwork looks at the owner's network. One of that name that we did not make
// is ErrRefused: nobody is put on a stranger's.
func (e *Engine) lookNetwork(ctx context.Context, owner string) (network.Inspect, error) {
	name := networkName(e.opts.Instance, owner)
	var found network.Inspect
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		found, err = c.NetworkInspect(ctx, name, network.InspectOptions{})
		return err
	})
	if err == nil && (found.Name != name || found.Labels[labelInstance] != e.opts.Instance || found.Labels[labelOwner] != owner) {
		err = fmt.Errorf("%w: the name %s is taken by a network that this instance did not make", engine.ErrRefused, name)
	}
	return found, err
}

// suits says whether a network is as the settings and the owner's quota want it.
func (e *Engine) suits(n network.Inspect, hosts int) bool {
	if n.Internal != e.opts.NoInternet {
		return false
	}
	for _, block := range subnets(n) {
		if block.Bits() > blockBits(hosts) {
			return false
		}
	}
	return true
}

// makeNetwork makes the owner's network in the first block that nobody holds. The
// caller holds choosing.
func (e *Engine) makeNetwork(ctx context.Context, owner string, hosts int) error {
	return e.makeLabelled(ctx, owner, hosts, map[string]string{labelInstance: e.opts.Instance, labelOwner: owner, labelID: owner})
}

// makeLabelled is makeNetwork with other labels.
func (e *Engine) makeLabelled(ctx context.Context, owner string, hosts int, labels map[string]string) error {
	bits, pool := blockBits(hosts), e.opts.NetworkPool
	held, err := e.held4(ctx)
	if err != nil {
		return err
	}
	tries := 0
	for block := range freeBlocks(pool, bits, held) {
		if tries++; tries > refusals {
			break
		}
		var taken bool
		err := e.call(ctx, createTimeout, func(ctx context.Context, c *client.Client) error {
			noIPv6 := false
			_, err := c.NetworkCreate(ctx, networkName(e.opts.Instance, owner), network.CreateOptions{
				Driver: "bridge", Internal: e.opts.NoInternet, EnableIPv6: &noIPv6,
				Options: map[string]string{bridgeOption: bridgeName(e.opts.Instance, owner)},
				IPAM:    &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{Subnet: block.String()}}},
				Labels:  labels,
			})
			taken = isOverlap(err)
			return err
		})
		if !taken {
			return err
		}
	}
	return fmt.Errorf("%w: no free /%d for a network is left in %s: the administrator can name another pool (MLRIDE_NETWORK_POOL)", engine.ErrRefused, bits, pool)
}

// remakeNetwork makes a network anew that does not suit any more, with the
// containers that run on it. Their connections break; it happens when the operator
// changed a setting, or the quota outgrew the block. The caller holds choosing.
func (e *Engine) remakeNetwork(ctx context.Context, old network.Inspect, hosts int) error {
	for _, block := range subnets(old) { // a block never shrinks: who made it large knew why
		hosts = max(hosts, room(block.Bits()))
	}
	owner, running := old.Labels[labelOwner], slices.Collect(maps.Keys(old.Containers))
	for _, id := range running {
		if err := e.disconnect(ctx, old.ID, id); err != nil {
			return err
		}
	}
	if err := e.removeNetwork(ctx, old.ID); err != nil {
		return err
	}
	if err := e.makeNetwork(ctx, owner, hosts); err != nil {
		return err
	}
	var failed []error
	for _, id := range running {
		if err := e.connectNetwork(ctx, old.Name, id); !errors.Is(err, engine.ErrNotFound) { // it may be gone meanwhile
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (e *Engine) disconnect(ctx context.Context, network, container string) error {
	err := e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		return c.NetworkDisconnect(ctx, network, container, true)
	})
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

func (e *Engine) connectNetwork(ctx context.Context, name, container string) error {
	return e.call(ctx, changeTimeout, func(ctx context.Context, c *client.Client) error {
		return c.NetworkConnect(ctx, name, container, nil)
	})
}

func (e *Engine) removeNetwork(ctx context.Context, id string) error {
	err := e.call(ctx, removeTimeout, func(ctx context.Context, c *client.Client) error {
		return c.NetworkRemove(ctx, id)
	})
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	return err
}

// reconnect puts a container whose network went away behind our back onto its
// owner's network; false when its network is not what it wants for.
func (e *Engine) reconnect(ctx context.Context, c container.InspectResponse) (bool, error) {
	owner := c.Config.Labels[labelOwner]
	if string(c.HostConfig.NetworkMode) != networkName(e.opts.Instance, owner) {
		return false, nil
	}
	e.networks.unsuit(owner)
	name, err := e.network(ctx, owner, 0)
	if err != nil {
		return false, err
	}
	found, err := e.lookNetwork(ctx, owner)
	if err != nil {
		return false, err
	}
	if was := c.NetworkSettings.Networks[name]; was != nil && was.NetworkID == found.ID {
		return false, nil
	}
	// What it remembers of the network before is in the way of the new one.
	if err := e.disconnect(ctx, name, c.ID); err != nil && !isNotConnected(err) {
		return false, err
	}
	return true, e.connectNetwork(ctx, name, c.ID)
}

// PruneNetworks removes the networks of owners without containers, and makes anew
// those that do not suit the settings any more.
func (e *Engine) PruneNetworks(ctx context.Context, keep func(owner string) bool, unused time.Duration) error {
	var found []network.Summary
	busy := map[string]bool{}
	kept := func(owner string) bool { return keep != nil && keep(owner) }
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) (err error) {
		if found, err = c.NetworkList(ctx, network.ListOptions{Filters: e.mine()}); err != nil {
			return err
		}
		if !slices.ContainsFunc(found, func(n network.Summary) bool { return !kept(n.Labels[labelOwner]) }) {
			return nil // a list of a thousand containers is not asked for in vain
		}
		containers, err := c.ContainerList(ctx, container.ListOptions{All: true, Filters: e.mine()})
		for _, row := range containers {
			busy[row.Labels[labelOwner]] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	var failed []error
	for _, n := range found {
		owner := n.Labels[labelOwner]
		if busy[owner] || kept(owner) {
			e.networks.used(owner)
			if n.Internal != e.opts.NoInternet {
				e.networks.unsuit(owner)
				_, err := e.network(ctx, owner, 0)
				failed = append(failed, err)
			}
			continue
		}
		now := time.Now()
		if now.Sub(e.networks.idle(owner, now)) < unused {
			continue
		}
		// One that got a container meanwhile is refused by the engine, or made anew
		// when that container starts.
		e.networks.unsuit(owner)
		err := e.removeNetwork(ctx, n.ID)
		if err == nil {
			e.networks.used(owner)
		} else if !errors.Is(err, engine.ErrRefused) && !errors.Is(err, engine.ErrBusy) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// blockBits is the length of the prefix of a block with room for that many
// containers, beside the block's own address, its gateway and its broadcast; one
// is left over for what is being replaced.
func blockBits(hosts int) int {
	bits := smallestBlock
	for hosts > room(bits) && bits > 1 {
		bits--
	}
	return bits
}

func room(bits int) int { return 1<<(32-bits) - 4 }
