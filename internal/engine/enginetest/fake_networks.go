package enginetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

// network is an owner's.
type network struct{ instance, owner string }

// join makes the owner's network where there is none. The lock is held.
func (f *Fake) join(owner string) { f.networks[network{f.instance, owner}] = time.Time{} }

// PruneNetworks removes networks that are unused.
func (f *Fake) PruneNetworks(ctx context.Context, keep func(owner string) bool, unused time.Duration) error {
	return f.act(ctx, MethodPruneNetworks, "", func() error {
		busy := map[string]bool{}
		for _, b := range f.boxes {
			if b.instance == f.instance {
				busy[b.Owner] = true
			}
		}
		now := f.clock()
		for n, since := range f.networks {
			switch {
			case n.instance != f.instance:
			case busy[n.owner] || keep != nil && keep(n.owner):
				f.networks[n] = time.Time{}
			case unused <= 0 || !since.IsZero() && now.Sub(since) >= unused:
				delete(f.networks, n)
			case since.IsZero():
				f.networks[n] = now
			}
		}
		return nil
	})
}

// Networks are the owners who have a network of this instance, in order.
func (f *Fake) Networks() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	owners := []string{}
	for _, n := range slices.SortedFunc(maps.Keys(f.networks), func(a, b network) int { return strings.Compare(a.owner, b.owner) }) {
		if n.instance == f.instance {
			owners = append(owners, n.owner)
		}
	}
	return owners
}

// DropNetwork removes an owner's network behind our back, as somebody who prunes
// the engine does; containers that stand still do not keep it.
func (f *Fake) DropNetwork(owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.networks, network{f.instance, owner})
}

var _ engine.Networks = (*Fake)(nil)
