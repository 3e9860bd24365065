// Package firewall keeps users' containers from the host's own services, from
// other users' and from the cloud's metadata, by chains in the host's iptables
// that match every bridge named mlr-…
//
// The engine's own DOCKER-USER chain cannot do this: it stands in the way of what
// is forwarded, and what is for the host is not. Nor can a chain in the filter
// table's FORWARD: the engine puts an ACCEPT for each new bridge above it. So what
// is forwarded is judged in the mangle table, which the engine leaves alone.
//
// The chains are the same whoever keeps them, so several servers on one machine
// share them, and a server that ends leaves them: containers go on running.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-iptables/iptables"
)

const (
	// bridges matches the bridges that internal/docker makes, and no others.
	bridges = "mlr-+"
	// period is how long a gap lasts that something else tore.
	period = 10 * time.Second
	// lockFile keeps several servers from mending the same chain at once.
	lockFile = "/run/mlride-firewall.lock"
)

// metadata are where clouds tell a machine about itself, keys to the account
// included. Names are looked up at some of them too, so port 53 stays open.
var metadata = map[iptables.Protocol][]string{
	iptables.ProtocolIPv4: {
		"169.254.0.0/16",     // nearly all
		"100.100.100.200/32", // Alibaba Cloud
		"168.63.129.16/32",   // Azure's wire server
	},
	iptables.ProtocolIPv6: {"fd00:ec2::/32", "fd20:ce::/32"}, // AWS, Google Cloud
}

// chain is one of ours, and the rule of a chain of the kernel's that leads to it.
type chain struct {
	table, name string
	parent      string
	when        []string
	rules       [][]string
}

func (c chain) hook() []string { return append(slices.Clone(c.when), "-j", c.name) }

// chains are all of ours. bridged says that frames within one bridge pass
// iptables too, as they do where br_netfilter is loaded. The match that tells them
// apart would load it, so it is used only then.
func chains(protocol iptables.Protocol, bridged bool) []chain {
	rule := func(text string) []string { return strings.Fields(text) }
	answers := rule("-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
	in := chain{
		table: "filter", name: "MLR-IN", parent: "INPUT", when: rule("-i " + bridges),
		rules: [][]string{answers, rule("-j DROP")},
	}
	// Before the engine turns a published port into a container's address, and
	// whatever another firewall accepts at the beginning of INPUT.
	pre := chain{
		table: "mangle", name: "MLR-PRE", parent: "PREROUTING", when: rule("-i " + bridges),
		rules: [][]string{answers, rule("-m addrtype --dst-type LOCAL -j DROP")},
	}
	pre.rules = append(pre.rules, rule("-p udp -m udp --dport 53 -j RETURN"), rule("-p tcp -m tcp --dport 53 -j RETURN"))
	for _, place := range metadata[protocol] {
		pre.rules = append(pre.rules, rule("-d "+place+" -j DROP"))
	}
	// Nobody but the host itself, whose own packets are not forwarded, begins
	// anything with a container.
	out := chain{table: "mangle", name: "MLR-OUT", parent: "FORWARD", when: rule("-o " + bridges)}
	if bridged {
		out.rules = append(out.rules, rule("-m physdev --physdev-is-bridged -j RETURN"))
	}
	out.rules = append(out.rules, answers, rule("-j DROP"))
	return []chain{in, pre, out}
}

func bridgesAreFiltered() bool {
	_, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil
}

var programs = map[iptables.Protocol]string{iptables.ProtocolIPv4: "iptables", iptables.ProtocolIPv6: "ip6tables"}

// Commands are what an administrator types where the server may not.
func Commands() []string {
	var list []string
	for _, protocol := range []iptables.Protocol{iptables.ProtocolIPv4, iptables.ProtocolIPv6} {
		for _, c := range chains(protocol, bridgesAreFiltered()) {
			program := programs[protocol] + " -t " + c.table
			list = append(list, program+" -N "+c.name)
			for _, rule := range c.rules {
				list = append(list, program+" -A "+c.name+" "+strings.Join(rule, " "))
			}
			list = append(list, program+" -I "+c.parent+" "+strings.Join(c.hook(), " "))
		}
	}
	return list
}

// Install makes the chains, or mends them.
func Install() error {
	_, err := New(Options{}).mend()
	return err
}

// Remove takes the chains away. A server that keeps them puts them back.
func Remove() error {
	return locked(func() error {
		var failed []error
		for _, f := range families() {
			if f.err != nil {
				failed = append(failed, f.needed())
				continue
			}
			for _, c := range chains(f.protocol, bridgesAreFiltered()) {
				failed = append(failed, f.remove(c))
			}
		}
		return errors.Join(failed...)
	})
}

// Missing names what is not as it should be, one line each; nothing when all is.
func Missing() ([]string, error) {
	var missing []string
	for _, f := range families() {
		if err := f.needed(); err != nil {
			return nil, err
		} else if f.err != nil {
			continue
		}
		for _, c := range chains(f.protocol, bridgesAreFiltered()) {
			whole, err := f.whole(c)
			if err != nil {
				return nil, explain(err)
			}
			hooked, err := f.hooked(c)
			if err != nil {
				return nil, explain(err)
			}
			if !whole || !hooked {
				missing = append(missing, fmt.Sprintf("%s: the chain %s in the way of %s of the table %s", programs[f.protocol], c.name, c.parent, c.table))
			}
		}
	}
	return missing, nil
}

// family is iptables or ip6tables.
type family struct {
	*iptables.IPTables
	protocol iptables.Protocol
	err      error // why it cannot be used
}

func families() []family {
	var list []family
	for _, protocol := range []iptables.Protocol{iptables.ProtocolIPv4, iptables.ProtocolIPv6} {
		tables, err := iptables.New(iptables.IPFamily(protocol), iptables.Timeout(5))
		if err == nil {
			_, err = tables.ListChains("mangle")
		}
		list = append(list, family{tables, protocol, explain(err)})
	}
	return list
}

// needed is why it cannot be used, where it must be. A kernel without IPv6 has
// nothing to keep anybody from.
func (f family) needed() error {
	if f.protocol == iptables.ProtocolIPv6 {
		return nil
	}
	return f.err
}

// explain gives the one line that tells what is wrong.
func explain(err error) error {
	var told *iptables.Error
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return errors.New("iptables is not installed")
	case errors.As(err, &told):
		_, said, _ := strings.Cut(told.Error(), ": ")
		first, _, _ := strings.Cut(strings.TrimSpace(said), "\n")
		return errors.New(first)
	}
	return err
}

// whole says whether the chain has its rules and no others.
func (f family) whole(c chain) (bool, error) {
	there, err := f.ChainExists(c.table, c.name)
	if err != nil || !there {
		return false, err
	}
	lines, err := f.List(c.table, c.name)
	if err != nil || len(lines) != len(c.rules)+1 { // the first makes the chain
		return false, err
	}
	for _, rule := range c.rules {
		if found, err := f.Exists(c.table, c.name, rule...); err != nil || !found {
			return false, err
		}
	}
	return true, nil
}

// hooked says whether the kernel's chain leads to ours. It is looked up in the
// list since asking for a rule that names a chain that is not there is an error.
func (f family) hooked(c chain) (bool, error) {
	lines, err := f.List(c.table, c.parent)
	return slices.Contains(lines, "-A "+c.parent+" "+strings.Join(c.hook(), " ")), err
}

func (f family) make(c chain) error {
	if err := f.ClearChain(c.table, c.name); err != nil { // or new
		return err
	}
	for _, rule := range c.rules {
		if err := f.Append(c.table, c.name, rule...); err != nil {
			return err
		}
	}
	return nil
}

func (f family) remove(c chain) error {
	there, err := f.ChainExists(c.table, c.name)
	if err != nil || !there {
		return err
	}
	for {
		hooked, err := f.hooked(c)
		if err != nil {
			return err
		}
		if !hooked {
			return f.ClearAndDeleteChain(c.table, c.name)
		}
		if err := f.Delete(c.table, c.parent, c.hook()...); err != nil {
			return err
		}
	}
}

// locked does something that no other server does meanwhile. Where there is no
// place for the lock, it is done without: at worst a rule is there twice for a while.
func locked(do func() error) error {
	if file, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600); err == nil {
		defer func() { _ = file.Close() }() // lets go of the lock too
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return err
		}
	}
	return do()
}

// Status is whether the host's services are shielded.
type Status string

// What there may be.
const (
	Protected Status = "protected"
	// MayNot: the server may not change the firewall of the engine's host.
	MayNot Status = "may not"
	// Off: the operator wants none.
	Off Status = "off"
)

// State is how it stands. Reason says why the server may not.
type State struct {
	Status Status
	Reason string
}

// Options say what a keeper needs.
type Options struct {
	// Off leaves the firewall alone.
	Off bool
	// Here says whether the containers' bridges are in this process's network, and
	// why not: chains anywhere else would protect nobody. An error is "not yet known".
	Here func(ctx context.Context) (here bool, why string, err error)
	Log  *slog.Logger
}

// Keeper keeps the chains.
type Keeper struct {
	Options
	// known is how the chains were listed when they were last whole, so that a look
	// at them costs one call each and not one for each rule.
	known  map[string]string
	tables []family
	mu     sync.Mutex
	state  State
}

// New makes a keeper. Until it has looked once, it may not.
func New(opts Options) *Keeper {
	k := &Keeper{Options: opts, known: map[string]string{}, state: State{MayNot, "the engine was not reached yet"}}
	if opts.Off {
		k.state = State{Status: Off}
	}
	return k
}

// State is how it stands.
func (k *Keeper) State() State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// Keep puts back what something flushed, until ctx ends. It leaves the chains.
func (k *Keeper) Keep(ctx context.Context) {
	if k.Off {
		return
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		k.Look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Look does one round.
func (k *Keeper) Look(ctx context.Context) State {
	before := k.State()
	state, mended := k.round(ctx, before)
	k.mu.Lock()
	k.state = state
	k.mu.Unlock()
	switch {
	case state != before && state.Status == Protected:
		k.Log.Info("the host's services are shielded from containers")
	case state != before && state.Status == MayNot:
		k.Log.Warn("containers reach the host's services: the firewall cannot be kept; see mlride doctor", "reason", state.Reason)
	case mended && before.Status == Protected:
		k.Log.Warn("rules of the firewall were gone, and were put back")
	}
	return state
}

func (k *Keeper) round(ctx context.Context, before State) (state State, mended bool) {
	if k.Off {
		return State{Status: Off}, false
	}
	if k.Here != nil && before.Status != Protected { // an engine does not move
		here, why, err := k.Here(ctx)
		if err != nil {
			return before, false
		}
		if !here {
			return State{MayNot, why}, false
		}
	}
	mended, err := k.mend()
	if err != nil {
		return State{MayNot, err.Error()}, false
	}
	return State{Status: Protected}, mended
}

// mend makes what is missing, and says whether anything was.
func (k *Keeper) mend() (mended bool, err error) {
	err = locked(func() error {
		if k.tables == nil {
			k.tables = families()
		}
		for _, f := range k.tables {
			if err := f.needed(); err != nil {
				k.tables = nil // it may be there the next time
				return err
			} else if f.err != nil {
				continue
			}
			for _, c := range chains(f.protocol, bridgesAreFiltered()) {
				changed, err := k.mendOne(f, c)
				if err != nil {
					return explain(err)
				}
				mended = mended || changed
			}
		}
		return nil
	})
	return mended, err
}

func (k *Keeper) mendOne(f family, c chain) (changed bool, err error) {
	key := fmt.Sprint(f.protocol, c)
	if listed := f.listed(c); listed == "" || listed != k.known[key] {
		whole, err := f.whole(c)
		if err == nil && !whole {
			changed = true
			err = f.make(c)
		}
		if err != nil {
			return false, err
		}
		k.known[key] = f.listed(c)
	}
	hooked, err := f.hooked(c)
	if err != nil || hooked {
		return changed, err
	}
	return true, f.Insert(c.table, c.parent, 1, c.hook()...)
}

// listed is the chain as it stands; empty when there is none.
func (f family) listed(c chain) string {
	lines, err := f.List(c.table, c.name)
	if err != nil {
		return "" // whole tells what is wrong
	}
	return strings.Join(lines, "\n")
}
