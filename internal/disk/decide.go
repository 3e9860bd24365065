package disk

import (
	"cmp"
	"slices"
	"time"

	"github.com/mlride/mlride/ent/record"
)

// This file is the arithmetic: pure, without a clock or a database.

const (
	// measureEvery is how often a layer that does not grow is measured: it costs
	// the engine up to a tenth of a second.
	measureEvery = 30 * time.Second
	// measureSoon is the same for one that has just begun or grows a lot, and hurry
	// how much that is.
	measureSoon = 5 * time.Second
	hurry       = 64 * record.MiB
	// leastWritten is how many bytes a second somebody must write to be frozen for
	// it: who writes a line now and then does not fill the disk, and freezing them
	// would not help.
	leastWritten = 64 * record.KiB
	// apart is the least time between two that are frozen: what the first did must
	// be seen before the next is chosen.
	apart = 5 * time.Second
)

// Pause is until a layer is measured again that has just grown: soon while it
// grows a lot, and else twice the pause before, as far as measureEvery.
func Pause(before time.Duration, grown record.Bytes) time.Duration {
	if before == 0 || grown >= hurry {
		return measureSoon
	}
	return min(2*before, measureEvery)
}

// Due says whether a layer is to be measured again: written is what went to
// block devices since it last was, which not every kernel tells of every write.
func Due(since, pause time.Duration, written record.Bytes) bool {
	return since >= pause || since >= measureSoon && written >= hurry
}

// Reading is what is known of how much somebody has written by an instant.
type Reading struct {
	At time.Time
	// Blocks is what went to block devices, and Size what is there: both, since
	// the kernel does not put every write down to who made it, and what is
	// overwritten does not grow.
	Blocks, Size record.Bytes
}

// Rate is how many bytes a second were written between two readings.
func Rate(before, now Reading) float64 {
	elapsed := now.At.Sub(before.At).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return float64(max(now.Blocks-before.Blocks, now.Size-before.Size, 0)) / elapsed
}

// Writer is a container that may be frozen.
type Writer struct {
	ID   string
	Rate float64
}

// Fastest is who writes fastest; false when nobody writes to speak of.
func Fastest(writers []Writer) (Writer, bool) {
	if len(writers) == 0 {
		return Writer{}, false
	}
	w := slices.MaxFunc(writers, func(a, b Writer) int {
		return cmp.Or(cmp.Compare(a.Rate, b.Rate), cmp.Compare(b.ID, a.ID))
	})
	return w, w.Rate >= float64(leastWritten)
}
