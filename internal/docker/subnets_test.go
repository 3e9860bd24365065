package docker

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func freeBlock(pool netip.Prefix, bits int, held []netip.Prefix) (netip.Prefix, bool) {
	for block := range freeBlocks(pool, bits, held) {
		return block, true
	}
	return netip.Prefix{}, false
}

func TestFreeBlock(t *testing.T) {
	for _, c := range []struct {
		pool string
		bits int
		held []netip.Prefix
		want string // empty: none
	}{
		{"10.201.0.0/16", 26, nil, "10.201.0.0/26"},
		{"10.201.0.0/16", 26, prefixes("10.201.0.0/26", "172.17.0.0/16"), "10.201.0.64/26"},
		{"10.201.0.0/16", 26, prefixes("10.201.0.0/26", "10.201.0.128/25"), "10.201.0.64/26"},
		{"10.201.0.0/16", 25, prefixes("10.201.0.0/26"), "10.201.0.128/25"},
		{"10.201.0.0/16", 24, prefixes("10.201.0.5/32"), "10.201.1.0/24"},
		{"10.201.0.0/16", 26, prefixes("10.201.0.0/17"), "10.201.128.0/26"},
		{"10.201.0.0/16", 26, prefixes("10.201.0.0/16"), ""},
		{"10.201.0.0/16", 26, prefixes("10.0.0.0/8"), ""},
		{"10.201.0.0/16", 15, nil, ""},
		{"10.201.0.0/26", 26, nil, "10.201.0.0/26"},
		{"255.255.255.0/24", 26, prefixes("255.255.255.0/25", "255.255.255.192/26"), "255.255.255.128/26"},
		{"255.255.255.0/24", 26, prefixes("255.255.255.0/24"), ""},
	} {
		got, ok := freeBlock(netip.MustParsePrefix(c.pool), c.bits, c.held)
		require.Equal(t, c.want != "", ok, "%+v", c)
		if ok {
			require.Equal(t, c.want, got.String(), "%+v", c)
		}
	}
}

// TestFreeBlocksAreDisjoint: taken one after the other until the pool is full,
// they are within it, apart from each other, and none is left out.
func TestFreeBlocksAreDisjoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pool := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 201, 0, 0}), rapid.IntRange(18, 26).Draw(t, "pool"))
		var held []netip.Prefix
		addresses := 0
		for {
			bits := rapid.IntRange(22, 26).Draw(t, "bits")
			block, ok := freeBlock(pool, bits, held)
			if !ok {
				if bits == 26 {
					break
				}
				continue
			}
			if !pool.Contains(block.Addr()) || block.Masked() != block || slices.ContainsFunc(held, block.Overlaps) {
				t.Fatalf("%s after %v", block, held)
			}
			held = append(held, block)
			addresses += 1 << (32 - bits)
		}
		if addresses != 1<<(32-pool.Bits()) {
			t.Fatalf("%d addresses given of %s", addresses, pool)
		}
	})
}

func TestBlockBits(t *testing.T) {
	for hosts, bits := range map[int]int{-1: 26, 0: 26, 5: 26, 60: 26, 61: 25, 124: 25, 125: 24, 1000: 22, 10_000: 18} {
		require.Equal(t, bits, blockBits(hosts), "%d", hosts)
	}
}

func TestRoutes(t *testing.T) {
	const table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"mlr-1\t4000C90A\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0\n" +
		"odd\t4000C90A\t00000000\t0001\t0\t0\t0\tC0FFFF0F\t0\t0\t0\nshort\n"
	require.Equal(t, prefixes("0.0.0.0/0", "172.17.0.0/16", "10.201.0.64/26"), routes([]byte(table)))
}

// TestHostNetworks: what leads everywhere holds nothing.
func TestHostNetworks(t *testing.T) {
	held := hostNetworks(netip.MustParsePrefix("127.0.0.0/16"))
	require.NotContains(t, held, netip.MustParsePrefix("0.0.0.0/0"))
	require.NotContains(t, held, netip.MustParsePrefix("127.0.0.0/8"))
	require.Contains(t, hostNetworks(netip.MustParsePrefix("127.0.0.0/8")), netip.MustParsePrefix("127.0.0.0/8"))
}
