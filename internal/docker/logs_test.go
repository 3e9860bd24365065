package docker

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/engine"
)

const (
	stampA = "2026-11-24T08:15:00.000000001Z "
	stampB = "2026-11-24T08:15:00.000000002Z "
)

// split writes the whole to w in pieces of n bytes.
func split(t *testing.T, w *lineWriter, whole string, n int) {
	t.Helper()
	for len(whole) > 0 {
		piece := whole[:min(n, len(whole))]
		whole = whole[len(piece):]
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	require.NoError(t, w.flush())
}

func TestLineWriter(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	for name, c := range map[string]struct {
		in       string
		terminal bool
		want     []string
	}{
		"lines":                       {in: stampA + "one\n" + stampB + "two\n", want: []string{"one", "two"}},
		"an empty line":               {in: stampA + "\n" + stampB + "two\n", want: []string{"", "two"}},
		"no line end at the end":      {in: stampA + "one\n" + stampB + "tw", want: []string{"one", "tw"}},
		"pieces of one line":          {in: stampA + long + stampA + long + stampA + "end\n", want: []string{long + long + "end"}},
		"a terminal's line ends":      {in: stampA + "one\r\n", terminal: true, want: []string{"one"}},
		"only a terminal's":           {in: stampA + "one\r\n", want: []string{"one\r"}},
		"bytes that are no text":      {in: stampA + "a\xff\xfeb\n", want: []string{"a\uFFFDb"}},
		"too long":                    {in: stampA + strings.Repeat("y", 2<<20) + "\n" + stampB + "after\n", want: []string{strings.Repeat("y", 1<<20-len(stampA)) + cutNote, "after"}},
		"no time before it":           {in: "rest of a rotated line\n", want: []string{"rest of a rotated line"}},
		"another time within a line ": {in: stampA + "at " + stampB + "\n", want: []string{"at " + stampB}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1 << 30, 4093, 7} {
				var got []string
				split(t, &lineWriter{terminal: c.terminal, deliver: func(l engine.LogLine) error {
					got = append(got, l.Text)
					return nil
				}}, c.in, n)
				require.Equal(t, c.want, got)
			}
		})
	}

	enough := errors.New("enough")
	w := &lineWriter{deliver: func(engine.LogLine) error { return enough }}
	_, err := w.Write([]byte(stampA + "one\n"))
	require.Equal(t, enough, err)
}
