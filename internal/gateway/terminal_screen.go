package gateway

import (
	"bytes"
	"fmt"
)

const (
	// keptOutput is how much of what a terminal printed last is kept, in bytes:
	// what a connection gets first, and as far as a slow one may stay behind.
	keptOutput = 256 << 10
	// lastScreen is what a connection gets that stayed behind further.
	lastScreen = 16 << 10
)

// tape is the last of what a terminal printed. Places on it are counted from the
// beginning of all that was ever printed.
type tape struct {
	data []byte
	end  int64
}

func (t *tape) write(p []byte) {
	t.end += int64(len(p))
	t.data = append(t.data, p...)
	if extra := len(t.data) - keptOutput; extra > keptOutput { // moved rarely, not with every byte
		t.data = append(t.data[:0], t.data[extra:]...)
	}
}

// start is the first place that is kept.
func (t *tape) start() int64 { return t.end - int64(min(len(t.data), keptOutput)) }

// from copies what was printed from a place on. Whoever stayed behind too far is
// told how much is left out, and goes on with the last screenful.
func (t *tape) from(place int64) []byte {
	if place >= t.start() {
		return bytes.Clone(t.data[int64(len(t.data))-(t.end-place):])
	}
	last := t.whole(lastScreen)
	left := t.end - place - int64(len(last))
	return append(fmt.Appendf(nil, "\x1b[0m\r\n[%d bytes of output were left out: this connection was too slow]\r\n", left), last...)
}

// whole is up to n of the last bytes, beginning with a line where there is one:
// never within a sequence for the screen, or a letter.
func (t *tape) whole(n int) []byte {
	kept := t.data[max(0, len(t.data)-keptOutput):]
	if len(kept) <= n && int64(len(kept)) == t.end {
		return bytes.Clone(kept)
	}
	kept = kept[max(0, len(kept)-n):]
	if i := bytes.IndexByte(kept, '\n'); i >= 0 {
		kept = kept[i+1:]
	}
	return bytes.Clone(kept)
}
