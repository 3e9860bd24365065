package image

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/mlride/mlride/ent/record"
)

// Base is what the form for builds can begin from.
type Base struct {
	Name, Title, Description, Reference string
	Size                                record.Bytes
	Compilers                           bool
}

// Preset is a set of packages that the form offers.
type Preset struct {
	Name, Title, Description string
	Packages, SystemPackages []string
	MinMemory                record.Bytes
	// Port is what its program listens on, 0 for none; Command begins that program.
	Port    int
	Command []string
	Large   bool
}

//go:embed bases.json
var builtinForm []byte

// forms are the bases and presets; bases[0] is taken when none is named.
type forms struct {
	bases   []Base
	presets []Preset
}

// readForms reads what comes with the program, and holds it to the same rules as
// what people write.
func readForms() (forms, error) {
	var file struct {
		Bases []struct {
			Base
			Size string
		}
		Presets []struct {
			Preset
			MinMemory string
		}
	}
	if err := json.NewDecoder(bytes.NewReader(builtinForm)).Decode(&file); err != nil {
		return forms{}, fmt.Errorf("read the bases and presets: %w", err)
	}
	var f forms
	var err error
	for _, row := range file.Bases {
		if row.Base.Size, err = record.ParseBytes(row.Size); err != nil {
			return f, fmt.Errorf("base %s: %w", row.Name, err)
		}
		if _, err := parse(row.Reference); err != nil {
			return f, fmt.Errorf("base %s: %w", row.Name, err)
		}
		f.bases = append(f.bases, row.Base)
	}
	for _, row := range file.Presets {
		if row.Preset.MinMemory, err = record.ParseBytes(row.MinMemory); err != nil {
			return f, fmt.Errorf("preset %s: %w", row.Name, err)
		}
		for _, p := range row.Packages {
			if !validPackage(p) {
				return f, fmt.Errorf("preset %s: package %q", row.Name, p)
			}
		}
		for _, p := range row.SystemPackages {
			if !validSystemPackage(p) {
				return f, fmt.Errorf("preset %s: system package %q", row.Name, p)
			}
		}
		f.presets = append(f.presets, row.Preset)
	}
	return f, nil
}

func (f forms) base(name string) *Base {
	if i := slices.IndexFunc(f.bases, func(b Base) bool { return b.Name == name }); i >= 0 {
		return &f.bases[i]
	}
	return nil
}

func (f forms) preset(name string) *Preset {
	if i := slices.IndexFunc(f.presets, func(p Preset) bool { return p.Name == name }); i >= 0 {
		return &f.presets[i]
	}
	return nil
}

// What a package's name may be. Neither has a character that a shell or pip reads
// otherwise than as part of the word once it is quoted: no quote, no space but
// around commas, no slash, no "@", no ";", and no "-" at the beginning.
var (
	pipPackage = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?` + // name
		`(?:\[[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?: ?, ?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)*\])?` + // extras
		`(?: ?` + pipVersion + `(?: ?, ?` + pipVersion + `)*)?$`)
	aptPackage = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?$`)
)

const (
	pipVersion = `(?:===|~=|==|!=|<=|>=|<|>) ?[A-Za-z0-9](?:[A-Za-z0-9._+!-]*[A-Za-z0-9])?(?:\.\*)?`
	// maxPackages is how many of each kind, and maxPackage how long each, in bytes.
	maxPackages = 100
	maxPackage  = 200
)

func validPackage(p string) bool { return len(p) <= maxPackage && pipPackage.MatchString(p) }

func validSystemPackage(p string) bool { return len(p) <= maxPackage && aptPackage.MatchString(p) }

// mirrors are what the operator offers in place of the public sources.
type mirrors struct{ pip, apt bool }

// The build arguments that carry the operator's mirrors: pip reads the first one
// by itself.
const (
	pipArgument = "PIP_INDEX_URL"
	aptArgument = "MLRIDE_APT_MIRROR"
)

// generate writes the Dockerfile that a form stands for: what changes least comes
// first, so that its layers are reused.
func (f forms) generate(form record.BuildForm, m mirrors) string {
	base, reference := f.base(form.Base), form.Base
	if base != nil {
		reference = base.Reference
	}
	var preset Preset
	if form.Preset != nil {
		if p := f.preset(*form.Preset); p != nil {
			preset = *p
		}
	}
	system := unique(preset.SystemPackages, form.SystemPackages)
	python := len(preset.Packages)+len(form.Packages) > 0
	if base != nil && !strings.HasPrefix(base.Name, "python") && python {
		system = unique([]string{"python3", "python3-pip"}, system)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written from the form: what changes least comes first.\nFROM %s\n", reference)
	if len(system) > 0 {
		b.WriteString("\n# System packages.\n")
		if m.apt {
			fmt.Fprintf(&b, "ARG %s\n", aptArgument)
		}
		b.WriteString("RUN ")
		if m.apt {
			fmt.Fprintf(&b, `sed -i -E "s#https?://[^[:space:]]+/(debian|ubuntu)/?([[:space:]]|$)#$%s\2#" $(find /etc/apt -name '*.list' -o -name '*.sources') \`+"\n && ", aptArgument)
		}
		b.WriteString("apt-get update \\\n && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\\n")
		for _, p := range system {
			fmt.Fprintf(&b, "      %s \\\n", p)
		}
		b.WriteString(" && apt-get clean \\\n && rm -rf /var/lib/apt/lists/*\n")
	}
	if python && m.pip {
		fmt.Fprintf(&b, "\nARG %s\n", pipArgument)
	}
	pip(&b, "The preset "+preset.Name+".", preset.Packages)
	pip(&b, "Python packages.", form.Packages)
	b.WriteString("\n# Whoever runs it may write here; a workspace is mounted at this place.\n" +
		"RUN mkdir -p /workspace && chmod 1777 /workspace\nENV HOME=/workspace\nWORKDIR /workspace\n")
	if len(preset.Command) > 0 {
		words, _ := json.Marshal(preset.Command) // of strings: cannot fail
		fmt.Fprintf(&b, "EXPOSE %d\nCMD %s\n", preset.Port, words)
	}
	return b.String()
}

func pip(b *strings.Builder, comment string, packages []string) {
	if len(packages) == 0 {
		return
	}
	fmt.Fprintf(b, "\n# %s\nRUN PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install --no-cache-dir --disable-pip-version-check \\\n", comment)
	for i, p := range packages {
		end := " \\\n"
		if i == len(packages)-1 {
			end = "\n"
		}
		fmt.Fprintf(b, "      '%s'%s", strings.ReplaceAll(p, " ", ""), end)
	}
}

func unique(lists ...[]string) []string {
	var all []string
	for _, p := range slices.Concat(lists...) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}
