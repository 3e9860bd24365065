package image

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
	"github.com/mlride/mlride/internal/fault"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"python":                            "docker.io/library/python:latest",
		"python:3.12":                       "docker.io/library/python:3.12",
		"library/python:3.12":               "docker.io/library/python:3.12",
		"docker.io/python:3.12":             "docker.io/library/python:3.12",
		"team/tool":                         "docker.io/team/tool:latest",
		"quay.io/jupyter/minimal-notebook":  "quay.io/jupyter/minimal-notebook:latest",
		"registry.example:5000/team/tool:1": "registry.example:5000/team/tool:1",
		"localhost/tool:A.b_c-1":            "localhost/tool:A.b_c-1",
		"python@" + digest:                  "docker.io/library/python@" + digest,
		"python:3.12@" + digest:             "docker.io/library/python:3.12@" + digest,
	} {
		named, err := parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, named.String())
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "python 3.12", "python:3.12 ", " python", "python\n", "python:3.12\nFROM evil", "python\t", "python\x00",
		"Python:3.12", "team/Tool", "../python", "a/../b", "a//b", "/python", "python/", "-python", "python:", "python:.1",
		"python:3.12:4", "python@sha256:12", "python@", "https://docker.io/python", "python?x=1", "python;id", "$(id)", "pythön",
		"python:" + strings.Repeat("1", 129), strings.Repeat("a", 300), strings.TrimPrefix(digest, "sha256:"),
		"registry.example:port/tool", "user:password@registry.example/tool",
	} {
		_, err := parse(text)
		require.Error(t, err, "%q", text)
		f := fault.Of(err)
		require.Equal(t, fault.BadUserInput, f.Code, "%q", text)
		require.Equal(t, "reference", f.Violations[0].Field)
		require.Contains(t, f.Message, "python:3.12", "it says what would be accepted")
	}
}

// FuzzParse: whatever is accepted is on one line, in bounds, and normal.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"python:3.12", "a/b@" + digest, "x:5000/y", "..", "a b", "A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		named, err := parse(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(text, " \t\r\n\x00'\"`$;&|<>\\") || len(text) > maxReference {
			t.Fatalf("accepted %q", text)
		}
		again, err := parse(named.String())
		if err != nil && len(named.String()) <= maxReference {
			t.Fatalf("%q: %v", named, err)
		}
		if err == nil && again.String() != named.String() {
			t.Fatalf("%q is not normal: %q", named, again)
		}
	})
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for text, slim := range map[string]string{
		"python:3.12":                   "python:3.12-slim",
		"python":                        "python:slim",
		"python:latest":                 "python:slim",
		"team/tool:2":                   "team/tool:2-slim",
		"registry.example:5000/tool":    "registry.example:5000/tool:slim",
		"debian:12":                     "debian:12-slim",
		"python:3.13-rc":                "python:3.13-rc-slim",
		"python:slimmest":               "",
		"python:3.12-slim":              "",
		"python:slim":                   "",
		"python:3.12-slim-bookworm":     "",
		"python:3.12-alpine":            "",
		"python:3.12-alpine3.20":        "",
		"node:bookworm":                 "",
		"python:3.12-bookworm":          "",
		"nvidia/x:12-cudnn8-runtime":    "",
		"tensorflow/tensorflow:2-gpu":   "",
		"python@" + digest:              "",
		"python:3.12@" + digest:         "",
		"a:" + strings.Repeat("1", 126): "", // with -slim the tag would be too long
	} {
		named, err := parse(text)
		require.NoError(t, err, text)
		var got []string
		for _, c := range candidates(named, true) {
			got = append(got, c.String())
		}
		want := []string{named.String()}
		if slim != "" {
			small, err := parse(slim)
			require.NoError(t, err)
			want = []string{small.String(), named.String()}
		}
		require.Equal(t, want, got, text)
		require.Len(t, candidates(named, false), 1, text)
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	entries, err := BuiltinCatalogue()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(entries), 8)
	names, references := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		require.NotEmpty(t, e.Name)
		require.NotEmpty(t, e.Description)
		require.GreaterOrEqual(t, e.MinMemory, 512*record.MiB, e.Name)
		require.False(t, names[e.Name] || references[e.Reference], e.Name)
		names[e.Name], references[e.Reference] = true, true
		if strings.Contains(e.Reference, "pytorch") || strings.Contains(e.Reference, "tensorflow") {
			require.Regexp(t, `[Ll]arge: about \d`, e.Description)
		}
	}
	s, err := New(Options{MinMemory: record.GiB})
	require.NoError(t, err)
	for _, e := range s.Catalogue() {
		require.GreaterOrEqual(t, e.MinMemory, record.GiB, "below the floor nothing can be pulled")
	}
}

// TestProgressCounts: what is being unpacked has arrived, so the sum does not
// fall back when the engine counts the layer a second time.
func TestProgressCounts(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		layers         []engine.LayerProgress
		current, total int64
		percent        float64
	}{
		{nil, 0, 0, 0},
		{[]engine.LayerProgress{{State: "Pulling fs layer"}, {State: "Already exists"}}, 0, 0, 0},
		{[]engine.LayerProgress{{State: "Downloading", Current: 25, Total: 100}, {State: "Waiting"}}, 25, 100, 25},
		{[]engine.LayerProgress{{State: "Downloading", Current: 25, Total: 100}, {State: "Verifying Checksum", Current: 60, Total: 100}}, 125, 200, 62.5},
		{[]engine.LayerProgress{{State: "Extracting", Current: 1, Total: 100}, {State: "Pull complete", Current: 100, Total: 100}}, 200, 200, 100},
	} {
		got := progressOf(engine.PullProgress{Layers: c.layers})
		require.Equal(t, []int64{c.current, c.total}, []int64{got.Current, got.Total}, "case %d", i)
		percent, known := got.Percent()
		require.Equal(t, c.total > 0, known, "case %d", i)
		require.InDelta(t, c.percent, percent, 0, "case %d", i)
	}
}

func TestReason(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("%w: Get \"x\": dial\r\n\x1b[31m tcp: %s", engine.ErrRegistry, strings.Repeat("é", 400))
	text := reason(err, engine.ErrRegistry)
	require.True(t, strings.HasPrefix(text, `Get "x": dial   [31m tcp: é`), text)
	require.Len(t, []rune(text), maxReason+1)
}
