package docker_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// adapter is another one of the box's instance, with other options.
func (b *box) adapter(opts docker.Options) *docker.Engine {
	b.t.Helper()
	opts.Instance = b.instance
	e, err := docker.New(opts)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { require.NoError(b.t, e.Close()) })
	return e
}

func (b *box) spec(owner string, hosts int) engine.Spec {
	return engine.Spec{
		ID: dockertest.ID("ctr"), Owner: owner, ImageID: b.image, Command: []string{"sleep", "3600"}, Hosts: hosts,
		Limits: engine.Limits{NanoCPUs: 500_000_000, Memory: b.memory},
	}
}

// network is an owner's, as the engine has it.
func (b *box) network(owner string) network.Inspect {
	b.t.Helper()
	found, err := dockertest.Client(b.t).NetworkInspect(b.ctx, "mlride-"+b.instance+"-"+owner, network.InspectOptions{})
	require.NoError(b.t, err)
	return found
}

func subnet(t *testing.T, n network.Inspect) netip.Prefix {
	t.Helper()
	require.Len(t, n.IPAM.Config, 1)
	return netip.MustParsePrefix(n.IPAM.Config[0].Subnet)
}

// TestOwnersNetwork: what it is made with.
func TestOwnersNetwork(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	require.NoError(t, b.engine.Create(b.ctx, b.spec("usr_1", 5)))
	n := b.network("usr_1")
	require.Equal(t, "bridge", n.Driver)
	require.Equal(t, map[string]string{"mlride.instance": b.instance, "mlride.owner": "usr_1", "mlride.id": "usr_1"}, n.Labels)
	bridge := n.Options["com.docker.network.bridge.name"]
	require.True(t, strings.HasPrefix(bridge, "mlr-") && len(bridge) <= 15, bridge)
	require.False(t, n.Internal || n.EnableIPv6 || n.Attachable)
	require.Equal(t, 26, subnet(t, n).Bits())
	require.True(t, docker.DefaultPool.Contains(subnet(t, n).Addr()), subnet(t, n))
}

// TestManyOwnersAtOnce: two servers make networks for many owners, several
// containers each, all at once, from one small pool: one network each, apart.
func TestManyOwnersAtOnce(t *testing.T) {
	t.Parallel()
	pool := netip.MustParsePrefix("10.202.0.0/22") // sixteen blocks
	one, two := newBox(t, dockertest.Instance()), newBox(t, dockertest.Instance())
	var all errgroup.Group
	for _, b := range []*box{one, two} {
		e := b.adapter(docker.Options{NetworkPool: pool})
		for _, owner := range []string{"usr_1", "usr_2", "usr_3", "usr_4", "usr_5", "usr_6", "usr_7"} {
			for range 2 {
				all.Go(func() error { return e.Create(b.ctx, b.spec(owner, 0)) })
			}
		}
	}
	require.NoError(t, all.Wait())
	var taken []netip.Prefix
	for _, b := range []*box{one, two} {
		h := &host{t: t, c: dockertest.Client(t), instance: b.instance}
		require.Len(t, h.Networks(), 7)
		for _, n := range h.networks() {
			for _, other := range taken {
				require.False(t, other.Overlaps(subnet(t, n)))
			}
			taken = append(taken, subnet(t, n))
		}
	}

	// Three more do not fit.
	e := one.adapter(docker.Options{NetworkPool: pool})
	require.NoError(t, e.Create(one.ctx, one.spec("usr_8", 0)))
	require.NoError(t, e.Create(one.ctx, one.spec("usr_9", 0)))
	err := e.Create(one.ctx, one.spec("usr_10", 0))
	require.ErrorIs(t, err, engine.ErrRefused)
	require.ErrorContains(t, err, "MLRIDE_NETWORK_POOL")
}

// TestNetworkFollowsSettings: what the operator or the quota changed takes hold of
// containers that run.
func TestNetworkFollowsSettings(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	spec := b.spec("usr_1", 0)
	require.NoError(t, b.engine.Create(b.ctx, spec))
	require.NoError(t, b.engine.Start(b.ctx, spec.ID))
	before := b.network("usr_1")
	require.Len(t, before.Containers, 1)

	require.NoError(t, b.engine.Create(b.ctx, b.spec("usr_1", 100)))
	grown := b.network("usr_1")
	require.NotEqual(t, before.ID, grown.ID)
	require.Equal(t, 25, subnet(t, grown).Bits())
	require.Len(t, grown.Containers, 1)

	require.NoError(t, b.adapter(docker.Options{NoInternet: true}).PruneNetworks(b.ctx, nil, 0))
	closed := b.network("usr_1")
	require.True(t, closed.Internal)
	require.Equal(t, 25, subnet(t, closed).Bits())
	require.Len(t, closed.Containers, 1)
	require.NoError(t, b.engine.Stop(b.ctx, spec.ID, 0))
	require.NoError(t, b.adapter(docker.Options{NoInternet: true}).Start(b.ctx, spec.ID))
	require.Len(t, b.network("usr_1").Containers, 1)
}

// TestStrangersNetwork: nobody is put on a network that we did not make.
func TestStrangersNetwork(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	raw := dockertest.Client(t)
	made, err := raw.NetworkCreate(b.ctx, "mlride-"+b.instance+"-usr_1", network.CreateOptions{
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.203.0.0/29"}}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.NetworkRemove(ctx, made.ID)) })
	require.ErrorIs(t, b.engine.Create(b.ctx, b.spec("usr_1", 0)), engine.ErrRefused)
	require.NoError(t, b.engine.PruneNetworks(b.ctx, nil, 0))
	require.Equal(t, made.ID, b.network("usr_1").ID)
}
