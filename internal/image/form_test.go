package image

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
)

// TestP12PackagesAreNoCommands: what could end a word, begin an option or name a
// place is no package.
func TestP12PackagesAreNoCommands(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"numpy", "pandas==2.2.3", "scikit-learn>=1.5", "scikit-learn[alldeps] >=1.5, <2", "torch~=2.4", "a", "zope.interface!=5.*", "x===1.0+local", "jupyterlab>=4,<5",
	} {
		require.True(t, validPackage(p), p)
	}
	for _, p := range []string{
		"", " ", "-r file", "--index-url=http://evil", "numpy; rm -rf /", "numpy && id", "numpy\nRUN id", "numpy'", `numpy"`, "numpy`id`", "numpy$(id)",
		"git+https://evil/x", "https://evil/x.whl", "x @ https://evil/x", "./local", "../x", "numpy|id", "numpy>", "numpy==", "numpy\\", "numpy #",
		"numpy;python_version<'3'", "é", "numpy\x00", strings.Repeat("a", 300),
	} {
		require.False(t, validPackage(p), p)
	}
	for _, p := range []string{"git", "libgl1", "g++", "vim=2:9.0.1378-2", "libstdc++6", "python3-numpy"} {
		require.True(t, validSystemPackage(p), p)
	}
	for _, p := range []string{"", "-y", "git;id", "git id", "git\n", "Git", "git=", "git=$(id)", "../x", "./x.deb", "git&&id", "a"} {
		require.False(t, validSystemPackage(p), p)
	}
}

// FuzzP12FormStaysItsOwn: whatever packages pass, the Dockerfile has the same
// instructions, and nothing else than the packages in them.
func FuzzP12FormStaysItsOwn(f *testing.F) {
	for _, seed := range [][2]string{{"numpy", "git"}, {"numpy; id", "git && id"}, {"a\nRUN id", "b\nRUN id"}, {"x'", "y\\"}, {"a[b]>=1,<2", "c=1:2-3"}} {
		f.Add(seed[0], seed[1])
	}
	all, err := readForms()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, python, system string) {
		if !validPackage(python) || !validSystemPackage(system) {
			return
		}
		form := record.BuildForm{Base: "python-slim", Packages: []string{python}, SystemPackages: []string{system}}
		d, problems := parseDockerfile(all.generate(form, mirrors{true, true}))
		require.Empty(t, problems)
		var words []string
		for _, s := range d.steps {
			words = append(words, s.word)
		}
		require.Equal(t, []string{"FROM", "ARG", "RUN", "ARG", "RUN", "RUN", "ENV", "WORKDIR"}, words)
		require.NotContains(t, python+system, "\n")
	})
}

// FuzzDockerfile: what is written for the builder is read as the same again.
func FuzzDockerfile(f *testing.F) {
	f.Add("FROM a\nRUN b \\\n c\n")
	f.Add("# escape=`\nFROM scratch\nRUN a `\n# c\n b\n")
	f.Add("ARG V=1\nFROM a:$V AS b\nFROM b\nCOPY --from=b / /\n")
	f.Add("FROM a\nRUN \\\\\n")
	f.Fuzz(func(t *testing.T, text string) {
		d, problems := parseDockerfile(text)
		if len(problems) > 0 {
			return
		}
		ids := map[string]string{}
		for _, base := range d.bases() {
			ids[base] = base
		}
		again, problems := parseDockerfile(d.render(ids))
		require.Empty(t, problems)
		require.Len(t, again.steps, len(d.steps))
		for i, s := range again.steps {
			require.Equal(t, d.steps[i].word, s.word)
			require.Equal(t, d.steps[i].base, s.base)
			if s.word != "FROM" {
				require.Equal(t, d.steps[i].rest, s.rest)
			}
		}
	})
}

// TestForms: every base with every preset makes a Dockerfile that is taken; what
// changes least comes first.
func TestForms(t *testing.T) {
	t.Parallel()
	all, err := readForms()
	require.NoError(t, err)
	for _, base := range all.bases {
		for _, preset := range all.presets {
			text := all.generate(record.BuildForm{Base: base.Name, Preset: &preset.Name, Packages: []string{"requests"}, SystemPackages: []string{"git"}}, mirrors{})
			d, problems := parseDockerfile(text)
			require.Empty(t, problems, text)
			require.Len(t, d.bases(), 1)
			apt, first, own := strings.Index(text, "apt-get install"), strings.Index(text, "The preset"), strings.Index(text, "'requests'")
			require.True(t, apt < first && first < own, text)
		}
	}
}
