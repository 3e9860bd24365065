package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// freeBlocks are the blocks of that length in pool that overlap with nothing held.
func freeBlocks(pool netip.Prefix, bits int, held []netip.Prefix) iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		if bits < pool.Bits() {
			return
		}
		end := last(pool)
		for at := number4(pool.Masked().Addr()); ; {
			block := netip.PrefixFrom(address4(at), bits)
			next := last(block)
			if in := overlapped(block, held); in.IsValid() {
				next = max(next, last(in)) // go on after the larger of the two
			} else if !yield(block) {
				return
			}
			if next >= end {
				return
			}
			at = next + 1
		}
	}
}

func overlapped(block netip.Prefix, held []netip.Prefix) netip.Prefix {
	for _, h := range held {
		if h.Overlaps(block) {
			return h
		}
	}
	return netip.Prefix{}
}

func number4(a netip.Addr) uint32 { b := a.As4(); return binary.BigEndian.Uint32(b[:]) }

func address4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// last is the highest address of a network.
func last(p netip.Prefix) uint32 {
	return number4(p.Masked().Addr()) | uint32(1<<(32-p.Bits())-1)
}

// held4 are the IPv4 networks that are taken: by any network of the engine, and,
// where its host is ours, by the host's addresses and routes. The engine itself
// would accept a subnet that another bridge of the host has: two routes to it.
func (e *Engine) held4(ctx context.Context) ([]netip.Prefix, error) {
	var held []netip.Prefix
	err := e.call(ctx, readTimeout, func(ctx context.Context, c *client.Client) error {
		found, err := c.NetworkList(ctx, network.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range found {
			held = append(held, subnets(n)...)
		}
		if strings.HasPrefix(c.DaemonHost(), "unix://") {
			held = append(held, hostNetworks(e.opts.NetworkPool)...)
		}
		return nil
	})
	return held, err
}

// subnets are the IPv4 networks of an engine's network.
func subnets(n network.Inspect) []netip.Prefix {
	var found []netip.Prefix
	for _, c := range n.IPAM.Config {
		if p, err := netip.ParsePrefix(c.Subnet); err == nil && p.Addr().Is4() {
			found = append(found, p)
		}
	}
	return found
}

// hostNetworks are the networks of the host's addresses and routes. A route to
// more than the whole pool does not count: it tells where all the rest goes, as
// the default route and one into a company's network do, and ours go before it.
func hostNetworks(pool netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(hostRoutes(), func(p netip.Prefix) bool {
		return p.Bits() < pool.Bits() && p.Contains(pool.Addr())
	})
}

// hostRoutes are the networks of all of the host's addresses and routes.
func hostRoutes() []netip.Prefix {
	table, _ := os.ReadFile("/proc/net/route") // what cannot be told is left to the engine
	found := routes(table)
	addresses, _ := net.InterfaceAddrs()
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			found = append(found, p.Masked())
		}
	}
	return found
}

// routes reads the kernel's table: the interface, then destination, gateway, …,
// with the mask in the eighth column. Numbers are hexadecimal, the lowest byte of
// the address first.
func routes(table []byte) []netip.Prefix {
	var found []netip.Prefix
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) < 8 {
			continue
		}
		to, err1 := littleEndian(columns[1])
		mask, err2 := littleEndian(columns[7])
		if err1 != nil || err2 != nil {
			continue // the heading
		}
		ones, size := net.IPMask(mask).Size()
		if size == 0 {
			continue
		}
		found = append(found, netip.PrefixFrom(netip.AddrFrom4([4]byte(to)), ones))
	}
	return found
}

func littleEndian(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 {
		return nil, hex.ErrLength
	}
	return []byte{b[3], b[2], b[1], b[0]}, nil
}
