package docker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

const (
	stampA = "2026-11-24T08:15:00.000000001Z "
	stampB = "2026-11-24T08:15:00.000000002Z "
)

// framed is what the engine sends for pieces of a container without a terminal;
// those that begin with "! " are of standard error.
func framed(pieces ...string) string {
	var all bytes.Buffer
	for _, p := range pieces {
		header := [frameHeader]byte{1}
		if strings.HasPrefix(p, "! ") {
			header[0], p = frameStderr, p[2:]
		}
		binary.BigEndian.PutUint32(header[4:], uint32(len(p)))
		all.Write(header[:])
		all.WriteString(p)
	}
	return all.String()
}

// assembled are the lines of what was sent, read in one piece and byte by byte.
func assembled(t *testing.T, terminal bool, sent string) (got []string) {
	t.Helper()
	for _, slow := range []bool{false, true} {
		got = nil
		a := &assembler{terminal: terminal, deliver: func(l engine.LogLine) error {
			mark := ""
			if l.Stderr {
				mark = "! "
			}
			got = append(got, mark+l.Text)
			return nil
		}}
		read := a.readFrames
		if terminal {
			read = a.readTerminal
		}
		if from := strings.NewReader(sent); slow {
			require.NoError(t, read(iotest.OneByteReader(from)))
		} else {
			require.NoError(t, read(from))
		}
		require.NoError(t, a.rest())
		for _, line := range a.open {
			require.LessOrEqual(t, cap(line.text), 64<<10, "nothing of a long line is kept")
		}
	}
	return got
}

func TestLinesOfFrames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", pieceSize)
	for name, c := range map[string]struct{ in, want []string }{
		"lines":                   {[]string{stampA + "one\n", stampB + "two\n"}, []string{"one", "two"}},
		"streams":                 {[]string{stampA + "one\n", "! " + stampB + "two\n"}, []string{"one", "! two"}},
		"an empty line":           {[]string{stampA + "\n", stampB + "two\n"}, []string{"", "two"}},
		"no line end at the end":  {[]string{stampA + "one\n", stampB + "tw"}, []string{"one", "tw"}},
		"nor at a run's":          {[]string{stampA + "one", stampB + "two\n"}, []string{"one", "two"}},
		"pieces of one line":      {[]string{stampA + long, stampA + long, stampA + "end\n"}, []string{long + long + "end"}},
		"pieces of two streams":   {[]string{stampA + long, "! " + stampB + "two\n", stampA + "end\n"}, []string{"! two", long + "end"}},
		"two lines of one time":   {[]string{stampA + "one\n", stampA + "two\n"}, []string{"one", "two"}},
		"a character in two":      {[]string{stampA + long + "\xc3", stampA + "\xa4\n"}, []string{long + "ä"}},
		"no terminal's line ends": {[]string{stampA + "one\r\n"}, []string{"one\r"}},
		"bytes that are no text":  {[]string{stampA + "a\xff\xfeb\x00\n"}, []string{"a\uFFFDb\x00"}},
		"no time before it":       {[]string{"strange\n", stampA + "one\n"}, []string{"strange", "one"}},
		"another time within":     {[]string{stampA + "at " + stampB + "\n"}, []string{"at " + stampB}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, assembled(t, false, framed(c.in...)))
		})
	}
}

func TestLinesOfATerminal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", pieceSize)
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"lines":                  {stampA + "one\r\n" + stampB + "two\r\n", []string{"one", "two"}},
		"an empty line":          {stampA + "\r\n" + stampB + "two\n", []string{"", "two"}},
		"pieces of one line":     {stampA + long + stampA + long + stampA + "end\r\n", []string{long + long + "end"}},
		"a line of whole pieces": {stampA + long + stampA + "\n" + stampB + "b\n", []string{long, "b"}},
		"a run ends in a line":   {stampA + "/ # " + stampB + "/ # ls\r\n", []string{"/ # ", "/ # ls"}},
		"a past time printed":    {stampB + "at " + stampA + "it was\r\n", []string{"at " + stampA + "it was"}},
		"no line end at the end": {stampA + "one\r\n" + stampB + "/ # ", []string{"one", "/ # "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, assembled(t, true, c.in))
		})
	}
}

// TestALineThatIsTooLong is cut at 1 MiB and never held whole; what follows it
// is not lost.
func TestALineThatIsTooLong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("y", pieceSize)
	want := []string{strings.Repeat("y", longestLine) + cutNote, "after"}
	pieces := make([]string, 0, 1282)
	for range 20 << 20 / pieceSize {
		pieces = append(pieces, stampA+long)
	}
	pieces = append(pieces, stampA+"end\n", stampB+"after\n")
	most := 0
	a := &assembler{}
	got := []string{}
	a.deliver = func(l engine.LogLine) error { got = append(got, l.Text); return nil }
	for _, p := range pieces {
		require.NoError(t, a.readFrames(strings.NewReader(framed(p))))
		most = max(most, cap(a.open[0].text))
	}
	require.True(t, slices.Equal(want, got), "lines of %d", len(got))
	require.Less(t, most, 2*longestLine, "bounded, however long the line")

	terminal := strings.Join(pieces[:len(pieces)-2], "") + stampA + "end\r\n" + stampB + "after\r\n"
	got = got[:0]
	a = &assembler{terminal: true, deliver: a.deliver}
	require.NoError(t, a.readTerminal(strings.NewReader(terminal)))
	require.Len(t, got, 2)
	require.True(t, slices.Equal(want, got), "lines of %d", len(got))
}

func TestLogErrors(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	a := &assembler{deliver: func(engine.LogLine) error { return enough }}
	require.Equal(t, enough, a.readFrames(strings.NewReader(framed(stampA+"one\n"))))
	require.Error(t, a.readFrames(strings.NewReader(framed(stampA + "one\n")[:20])), "cut off")
	broken := []byte(framed("disk full"))
	broken[0] = frameError
	require.ErrorContains(t, a.readFrames(bytes.NewReader(broken)), "disk full")
}
