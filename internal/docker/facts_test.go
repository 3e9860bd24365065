package docker

import (
	"net/netip"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

func TestSecurityOptions(t *testing.T) {
	info := system.Info{SecurityOptions: []string{"name=seccomp,profile=default", "name=userns"}}
	require.True(t, hasSecurity(info, "seccomp"))
	require.True(t, hasSecurity(info, "userns"))
	require.False(t, hasSecurity(info, "rootless"))
}

func TestDiskLimit(t *testing.T) {
	const mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n" +
		"40 22 8:2 / /var/lib/docker rw,relatime shared:2 - xfs /dev/sdb rw,attr2,prjquota\n" +
		"41 22 8:3 / /var/lib/docker-too rw shared:3 - xfs /dev/sdc rw,noquota\n" +
		"42 40 0:5 / /var/lib/docker/overlay2 rw - xfs /dev/sdd rw,noquota\nshort\n"
	require.True(t, quotaMounted(mounts, "/var/lib/docker"))
	require.True(t, quotaMounted(mounts, "/var/lib/docker/containers"))
	require.False(t, quotaMounted(mounts, "/var/lib/docker-too"))
	require.False(t, quotaMounted(mounts, "/var/lib/docker/overlay2/x"))
	require.False(t, quotaMounted(mounts, "/srv"))
	require.False(t, quotaMounted("", "/srv"))

	on := func(driver, backing string) system.Info {
		return system.Info{Driver: driver, DriverStatus: [][2]string{{"Backing Filesystem", backing}}, DockerRootDir: "/no/such"}
	}
	require.Empty(t, whyNoDiskLimit(on("zfs", ""), false))
	require.Contains(t, whyNoDiskLimit(on("overlay2", "extfs"), true), "XFS")
	require.Contains(t, whyNoDiskLimit(on("overlay2", "xfs"), false), "from here")
	require.Contains(t, whyNoDiskLimit(on("overlay2", "xfs"), true), "pquota")
	require.Equal(t, "overlay2 on extfs", storage(on("overlay2", "extfs")))
	require.Equal(t, "zfs", storage(on("zfs", "")))
}

// TestLayerLimit: a create that asks for it is refused by an engine that cannot.
func TestLayerLimit(t *testing.T) {
	spec := engine.Spec{LayerLimit: 20 << 30}
	require.Equal(t, map[string]string{"size": "21474836480"}, layerLimit(spec, true))
	require.Nil(t, layerLimit(spec, false))
	require.Nil(t, layerLimit(engine.Spec{}, true))
}

func TestPool(t *testing.T) {
	named := func(name, subnet string, labels map[string]string) network.Inspect {
		return network.Inspect{Name: name, Labels: labels, IPAM: network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}}
	}
	e := &Engine{opts: Options{NetworkPool: netip.MustParsePrefix("10.201.0.0/24")}}
	require.Equal(t, Pool{Free: 4}, e.pool(nil, false))
	require.Equal(t, Pool{Free: 1, Taken: []string{"the engine's network compose 10.201.0.0/25"}}, e.pool([]network.Inspect{
		named("bridge", "172.17.0.0/16", nil),
		named("compose", "10.201.0.0/25", nil),
		named("ours", "10.201.0.128/26", map[string]string{labelInstance: "any"}),
	}, false))
	require.Equal(t, Pool{Around: []string{"the engine's network wide 10.0.0.0/8"}}, e.pool([]network.Inspect{named("wide", "10.0.0.0/8", nil)}, false))
	e.opts.NetworkPool = netip.MustParsePrefix("127.5.0.0/16")
	require.Equal(t, Pool{Free: 1024, Around: []string{"the host's 127.0.0.0/8"}}, e.pool(nil, true))
}
