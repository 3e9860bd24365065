package image

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// maxDockerfile bounds a Dockerfile, in bytes.
const maxDockerfile = 64 << 10

// dockerfile is what somebody wrote, understood: instruction by instruction. What
// the builder is sent is written anew from it, one instruction a line, so that it
// cannot read anything else than we did.
type dockerfile struct {
	escape byte
	steps  []instruction
}

// instruction is one of a Dockerfile.
type instruction struct {
	line int // where it begins, from 1
	word string
	rest string // on one line
	// base is what a FROM begins from, normalised; empty where it is scratch or an
	// earlier stage, and for all others.
	base string
	// from is the text that stands for base, and as what follows it ("AS name").
	from, as string
}

// known are the instructions, and whether they are taken.
var known = map[string]bool{
	"FROM": true, "RUN": true, "CMD": true, "LABEL": true, "MAINTAINER": true, "EXPOSE": true, "ENV": true, "ADD": true, "COPY": true,
	"ENTRYPOINT": true, "VOLUME": true, "USER": true, "WORKDIR": true, "ARG": true, "ONBUILD": true, "STOPSIGNAL": true,
	"HEALTHCHECK": true, "SHELL": true,
}

// problem is what is wrong with a line.
type problem struct {
	line    int
	message string
}

func (p problem) String() string {
	if p.line == 0 {
		return p.message
	}
	return fmt.Sprintf("Line %d: %s", p.line, p.message)
}

var (
	directive = regexp.MustCompile(`^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$`)
	heredoc   = regexp.MustCompile(`<<-?\s*["']?[A-Za-z_]`)
	stageName = regexp.MustCompile(`^[a-z][a-z0-9-_.]*$`)
	ownLabel  = regexp.MustCompile(`(?i)(^|[\s"'])mlride\.`)
)

// parseDockerfile reads text; what is wrong comes in the order of the lines.
func parseDockerfile(text string) (dockerfile, []problem) {
	d := dockerfile{escape: '\\'}
	problems := d.read(text)
	if len(problems) > 0 {
		return d, problems
	}
	c := checker{args: map[string]string{}, stages: map[string]bool{}}
	for i := range d.steps {
		c.check(&d.steps[i])
	}
	if c.froms == 0 {
		c.wrong(0, "A Dockerfile needs a FROM: what it begins with, such as FROM python:3.12-slim.")
	}
	return d, c.problems
}

// read splits text into instructions, as the builder does.
func (d *dockerfile) read(text string) []problem {
	var problems []problem
	wrong := func(line int, format string, args ...any) {
		problems = append(problems, problem{line, fmt.Sprintf(format, args...)})
	}
	text = strings.TrimPrefix(text, "\ufeff")
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }); i >= 0 {
		wrong(1+strings.Count(text[:i], "\n"), "There is a control character.")
		return problems
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if i := strings.IndexByte(strings.Join(lines, ""), '\r'); i >= 0 {
		wrong(0, "A line ends with a bare carriage return.")
		return problems
	}
	lines, begin := d.directives(lines)
	for i := begin; i < len(lines); i++ {
		first := strings.TrimSpace(lines[i])
		if first == "" || first[0] == '#' {
			continue
		}
		at := i + 1
		whole, goesOn := d.cut(strings.TrimLeft(lines[i], " \t"))
		for goesOn {
			if i++; i >= len(lines) {
				break
			}
			if next := strings.TrimSpace(lines[i]); next == "" || next[0] == '#' {
				continue // the builder passes over comments and empty lines within an instruction
			}
			var more string
			more, goesOn = d.cut(lines[i])
			whole += more
		}
		whole = strings.TrimSpace(whole)
		word, rest := whole, ""
		if i := strings.IndexAny(whole, " \t"); i >= 0 {
			word, rest = whole[:i], whole[i:]
		}
		word = strings.ToUpper(word)
		if !known[word] {
			wrong(at, "%.40q is no instruction of a Dockerfile.", word)
			continue
		}
		if rest = strings.TrimSpace(rest); rest == "" {
			wrong(at, "%s says nothing.", word)
			continue
		}
		if _, open := d.cut(rest); open { // it would take the next instruction into this one
			wrong(at, "%s ends with %c, and nothing comes after it.", word, d.escape)
			continue
		}
		d.steps = append(d.steps, instruction{line: at, word: word, rest: rest})
	}
	return problems
}

// directives reads the escape character; the first comments may set it.
func (d *dockerfile) directives(lines []string) ([]string, int) {
	for i, line := range lines {
		m := directive.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			return lines, i
		}
		if strings.EqualFold(m[1], "escape") && m[2] == "`" {
			d.escape = '`'
		}
	}
	return lines, len(lines)
}

// cut takes the sign that an instruction goes on from the end of a line.
func (d *dockerfile) cut(line string) (string, bool) {
	trimmed := strings.TrimRight(line, " \t")
	if strings.HasSuffix(trimmed, string(d.escape)) {
		return trimmed[:len(trimmed)-1], true
	}
	return line, false
}

// checker goes through the instructions.
type checker struct {
	problems []problem
	froms    int
	args     map[string]string // of those before the first FROM
	stages   map[string]bool
}

func (c *checker) wrong(line int, format string, args ...any) {
	c.problems = append(c.problems, problem{line, fmt.Sprintf(format, args...)})
}

func (c *checker) check(s *instruction) {
	if c.froms == 0 && s.word != "FROM" && s.word != "ARG" {
		c.wrong(s.line, "%s stands before the first FROM; only ARG may.", s.word)
		return
	}
	switch s.word {
	case "FROM":
		c.from(s)
	case "ARG":
		if c.froms == 0 {
			c.argument(s.rest)
		}
	case "ONBUILD":
		c.onBuild(s)
	default:
		c.step(s.line, s.word, s.rest)
	}
}

// step checks an instruction that may also come after ONBUILD.
func (c *checker) step(line int, word, rest string) {
	switch word {
	case "ADD":
		c.wrong(line, "ADD is not taken: there are no files beside the Dockerfile. Fetch what you need in a RUN.")
	case "COPY":
		c.copies(line, rest)
	case "RUN":
		switch {
		case strings.HasPrefix(rest, "--"):
			c.wrong(line, "Options of RUN (%.40s) are not known to this builder.", rest)
		case heredoc.MatchString(rest):
			c.wrong(line, "This builder does not know here-documents (<<); write the file with printf, or use && between commands.")
		}
	case "LABEL":
		if ownLabel.MatchString(rest) || strings.Contains(rest, "$") {
			c.wrong(line, "Labels that begin with mlride. are the server's own, and labels take no variables here.")
		}
	}
}

func (c *checker) onBuild(s *instruction) {
	word, rest, _ := strings.Cut(s.rest, " ")
	word = strings.ToUpper(word)
	if !known[word] || word == "FROM" || word == "ONBUILD" || word == "MAINTAINER" || word == "COPY" {
		c.wrong(s.line, "ONBUILD does not take %.40q.", word)
		return
	}
	c.step(s.line, word, strings.TrimSpace(rest))
}

// copies checks a COPY: between stages only.
func (c *checker) copies(line int, rest string) {
	from := ""
	for word := range strings.FieldsSeq(rest) {
		if !strings.HasPrefix(word, "--") {
			break
		}
		if name, ok := strings.CutPrefix(word, "--from="); ok {
			from = strings.ToLower(name)
		}
	}
	number, err := strconv.Atoi(from)
	switch {
	case heredoc.MatchString(rest):
		c.wrong(line, "This builder does not know here-documents (<<).")
	case from == "":
		c.wrong(line, "COPY finds nothing: there are no files beside the Dockerfile. COPY --from=STAGE copies from an earlier stage.")
	case err == nil && number >= 0 && number < c.froms-1, c.stages[from]:
	default:
		c.wrong(line, "COPY --from takes an earlier stage. For files of another image write FROM %.60s AS files first, and then COPY --from=files.", from)
	}
}

// argument notes an ARG before the first FROM.
func (c *checker) argument(rest string) {
	for word := range strings.FieldsSeq(rest) {
		name, value, _ := strings.Cut(word, "=")
		c.args[name] = c.expand(strings.Trim(value, `"'`))
	}
}

var variable = regexp.MustCompile(`\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}$]*))?\})`)

// expand puts in the arguments that are known before the first FROM.
func (c *checker) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		m := variable.FindStringSubmatch(found)
		if value := c.args[m[1]+m[2]]; value != "" {
			return value
		}
		return m[3]
	})
}

// from understands a FROM.
func (c *checker) from(s *instruction) {
	defer func() { c.froms++ }()
	words := strings.Fields(s.rest)
	switch {
	case strings.HasPrefix(words[0], "--"):
		c.wrong(s.line, "Leave %.40s out: images are built for this machine.", words[0])
		return
	case len(words) == 3 && strings.EqualFold(words[1], "AS"):
		name := strings.ToLower(words[2])
		if !stageName.MatchString(name) {
			c.wrong(s.line, "A stage is named by letters, digits, -, _ and ., beginning with a letter.")
			return
		}
		s.as = " AS " + name
		defer func() { c.stages[name] = true }()
	case len(words) != 1:
		c.wrong(s.line, "FROM takes one image, and AS with a name behind it where that is needed.")
		return
	}
	s.from = c.expand(words[0])
	if strings.EqualFold(s.from, "scratch") {
		s.from = "scratch"
		return
	}
	if c.stages[strings.ToLower(s.from)] {
		s.from = strings.ToLower(s.from)
		return
	}
	named, err := parse(s.from)
	switch {
	case strings.HasPrefix(s.from, "sha256:"), hexID.MatchString(s.from):
		c.wrong(s.line, "FROM takes a reference such as python:3.12-slim, not the engine's own id of an image.")
	case err != nil:
		c.wrong(s.line, "FROM %.60s: %s", s.from, referenceRule)
	case isOurs(named):
		c.wrong(s.line, "Images of this server have no reference for FROM. Begin from what that image was built from, and add its instructions.")
	default:
		s.base = named.String()
	}
}

var hexID = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// isOurs says that a reference is, or looks like, one under which a server of ours
// holds an image.
func isOurs(named reference.Named) bool {
	path := reference.FamiliarName(named)
	first, _, nested := strings.Cut(path, "/")
	return nested && strings.HasPrefix(first, "mlride-")
}

// bases are what it begins from, without repetition, in order.
func (d dockerfile) bases() []string {
	var list []string
	seen := map[string]bool{}
	for _, s := range d.steps {
		if s.base != "" && !seen[s.base] {
			seen[s.base] = true
			list = append(list, s.base)
		}
	}
	return list
}

// last is what the last stage begins from; empty where that is no reference.
func (d dockerfile) last() string {
	base := ""
	for _, s := range d.steps {
		if s.word == "FROM" {
			base = s.base
		}
	}
	return base
}

// render writes it for the builder, each base by the engine's id of it.
func (d dockerfile) render(ids map[string]string) string {
	var b strings.Builder
	if d.escape != '\\' {
		fmt.Fprintf(&b, "# escape=%c\n", d.escape)
	}
	for _, s := range d.steps {
		if s.word != "FROM" {
			fmt.Fprintf(&b, "%s %s\n", s.word, s.rest)
			continue
		}
		base := s.from
		if s.base != "" {
			base = ids[s.base]
		}
		fmt.Fprintf(&b, "FROM %s%s\n", base, s.as)
	}
	return b.String()
}
