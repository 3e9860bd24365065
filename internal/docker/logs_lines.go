package docker

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/mlride/mlride/internal/engine"
)

const (
	// pieceSize is where the engine splits a line.
	pieceSize = 16 << 10
	// longestLine bounds what is kept of one line, in bytes.
	longestLine = 1 << 20
	// longestFrame bounds what is kept of what the engine sends at once: the
	// longest line with the times before its pieces, and the beginning of one more.
	longestFrame = longestLine + (longestLine/pieceSize+2)*len(stampLayout)
	cutNote      = " … (cut: the line is longer than 1 MiB)"
	// stampLayout is the time before a piece, always as long as this.
	stampLayout = "2006-01-02T15:04:05.000000000Z "
)

// stamped cuts the time off the front of a piece; zero when there is none, as
// where its beginning was rotated away.
func stamped(piece []byte) (at time.Time, text []byte) {
	if len(piece) < len(stampLayout) {
		return time.Time{}, piece
	}
	at, err := time.Parse(stampLayout, string(piece[:len(stampLayout)]))
	if err != nil {
		return time.Time{}, piece
	}
	return at, piece[len(stampLayout):]
}

// laterStamp is where in a terminal's piece another begins, with a later time
// before it: the last words of a run had no line end. It is the piece's length
// where none does. A program that prints such times prints past ones.
func laterStamp(text []byte, than time.Time) int {
	const fraction = len(".000000000Z ")
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte("Z "))
		if i < 0 {
			return len(text)
		}
		end := from + i + len("Z ")
		from = end
		begin := end - len(stampLayout)
		if begin < 0 || text[end-fraction] != '.' {
			continue
		}
		if at, _ := stamped(text[begin:]); at.After(than) {
			return begin
		}
	}
}

// assembler puts lines together from the engine's pieces. The pieces of one line
// bear the same time, to the nanosecond, and only the last one has a line end.
type assembler struct {
	deliver  func(engine.LogLine) error
	terminal bool
	open     [2]openLine // of standard output and standard error
}

// openLine is a line whose end has not come yet.
type openLine struct {
	at    time.Time
	begun bool
	// told says that it was too long and is delivered: what else comes is left out.
	told bool
	text []byte
}

// piece takes the next one of the log.
func (a *assembler) piece(stderr bool, at time.Time, text []byte, ended bool) error {
	line := &a.open[0]
	if stderr {
		line = &a.open[1]
	}
	if line.begun && !at.IsZero() && !line.at.Equal(at) { // a run ended in it
		if err := a.tell(line, stderr); err != nil {
			return err
		}
	}
	if !line.begun {
		line.begun, line.at = true, at
	}
	if !line.told {
		room := longestLine - len(line.text)
		line.text = append(line.text, text[:min(room, len(text))]...)
		if len(text) > room {
			// Its remainder may be long in coming, or never come.
			line.told = true
			if err := a.send(line, stderr, cutNote); err != nil {
				return err
			}
			line.text = nil
		}
	}
	if ended {
		return a.tell(line, stderr)
	}
	return nil
}

// tell delivers a line, if it was not, and makes room for the next.
func (a *assembler) tell(line *openLine, stderr bool) error {
	told := line.told
	line.begun, line.told = false, false
	if told {
		return nil
	}
	err := a.send(line, stderr, "")
	if cap(line.text) > 64<<10 { // do not hold a long line's memory for the stream's life
		line.text = nil
	}
	line.text = line.text[:0]
	return err
}

func (a *assembler) send(line *openLine, stderr bool, note string) error {
	text := string(line.text)
	if a.terminal {
		text = strings.TrimSuffix(text, "\r")
	}
	return a.deliver(engine.LogLine{At: line.at, Stderr: stderr, Text: strings.ToValidUTF8(text, "\uFFFD") + note})
}

// holds says that there are lines without their end.
func (a *assembler) holds() bool { return a.open[0].begun || a.open[1].begun }

// rest delivers the lines that have no end, the older one first.
func (a *assembler) rest() error {
	order := []int{0, 1}
	slices.SortStableFunc(order, func(i, j int) int { return a.open[i].at.Compare(a.open[j].at) })
	for _, i := range order {
		if a.open[i].begun {
			if err := a.tell(&a.open[i], i == 1); err != nil {
				return err
			}
		}
	}
	return nil
}
