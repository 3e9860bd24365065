// Package mlride_test holds the dependency rule of the house: who may import
// whom, as one table.
package mlride_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/mlride/mlride"

// rooms tells for each folder with Go files which of our other rooms it may
// import. A name that ends in /... takes the rooms below it too; "all" is every
// room. Rooms at the bottom come first. A folder that is not named here is a
// new room, which is a decision: it gets its row with the reason for what it
// may import.
var rooms = map[string][]string{
	"internal/fault":  {},
	"internal/live":   {},
	"internal/crash":  {}, // where a test may end the server
	"internal/auth":   {"internal/fault"},
	"internal/engine": {"internal/fault"},
	"internal/docker": {"internal/engine", "internal/fault"},

	// The host's iptables, and nothing of ours: who may be kept from what is in the
	// names of bridges alone, so that chains outlive every server.
	"internal/firewall": {},

	"ent/record": {},             // what columns hold, in words of its own
	"ent/schema": {"ent/record"}, // knows nothing above it: the rest of ent is generated from it

	"internal/store": {"ent/...", "internal/auth", "internal/fault"},
	"internal/audit": {"ent/...", "internal/auth", "internal/fault", "internal/live", "internal/store"},

	"internal/quota":     feature(),
	"internal/image":     feature("internal/quota", "internal/engine"),
	"internal/monitor":   feature("internal/engine"), // never lifecycle: it watches, it does not touch
	"internal/volume":    feature("internal/quota", "internal/engine"),
	"internal/lifecycle": feature("internal/quota", "internal/image", "internal/volume", "internal/engine"),
	"internal/idle":      feature("internal/quota", "internal/volume", "internal/lifecycle", "internal/monitor"),
	"internal/disk":      feature("internal/quota", "internal/volume", "internal/lifecycle", "internal/monitor", "internal/engine"),
	"internal/gateway":   feature("internal/quota", "internal/volume", "internal/lifecycle", "internal/monitor", "internal/engine"),
	"internal/account":   feature("internal/quota", "internal/image", "internal/volume", "internal/lifecycle"),

	// What a resolver unpacks and hands on: pages of store, changes of live, and
	// engine's words for progress, samples and lines. That it holds neither a
	// database nor an engine is checked by forbidigo.
	"graph": {
		"ent/...", "graph/...", "internal/fault", "internal/auth", "internal/live", "internal/store", "internal/engine",
		"internal/account", "internal/audit", "internal/gateway", "internal/image", "internal/lifecycle", "internal/monitor", "internal/quota", "internal/volume",
	},
	"graph/scalar": {"ent/...", "internal/fault"},

	"frontend":   {},
	"server":     {"all"},
	"cmd/mlride": {"server"},

	// Programs beside the product.
	"bench": {"all"},

	// For tests only: none of the rooms above may import these outside of their tests.
	"internal/engine/enginetest": {"internal/engine", "internal/fault"},
	"internal/docker/dockertest": {"internal/docker", "internal/engine", "internal/engine/enginetest", "internal/fault"},
}

// feature is what every feature may import, and more.
func feature(more ...string) []string {
	return append(more, "ent/...", "internal/crash", "internal/store", "internal/auth", "internal/fault", "internal/audit", "internal/live")
}

// testkit may be imported by every test, beside what its room may import.
var testkit = []string{"internal/docker", "internal/docker/dockertest", "internal/firewall", "internal/crash", "internal/engine", "internal/engine/enginetest", "internal/store", "internal/auth", "ent/..."}

// generated folders are written by tools and not held to the table.
var generated = []string{"ent", "graph/generated"}

// outsideWalls tells which packages that are not ours stay in which rooms.
// Tests may import them everywhere: they do behind our back what others would.
var outsideWalls = []struct {
	packages []string // each with everything below it
	rooms    []string
	why      string
}{
	{
		[]string{"github.com/docker/docker", "github.com/docker/cli", "github.com/moby", "github.com/containerd"},
		[]string{"internal/docker", "internal/docker/dockertest", "bench"},
		"what the rest knows of containers are the words of internal/engine",
	},
	{
		[]string{"github.com/99designs/gqlgen", "github.com/vektah/gqlparser"},
		[]string{"graph", "graph/scalar", "server"},
		"features do not know GraphQL",
	},
	{
		[]string{"net/http", "github.com/coder/websocket", "github.com/rs/cors"},
		[]string{"graph", "server", "cmd/mlride", "bench", "internal/docker", "internal/docker/dockertest", "internal/gateway"},
		"features do not know HTTP, but the one that is a way for it",
	},
	{
		[]string{"database/sql", "entgo.io/ent/dialect", "github.com/mattn/go-sqlite3", "github.com/pressly/goose"},
		[]string{"internal/store", "internal/quota", "internal/lifecycle", "internal/account", "internal/image", "internal/volume", "internal/audit", "ent/schema", "bench"},
		"graph and server ask features",
	},
	{
		[]string{"github.com/alecthomas/kong"},
		[]string{"server", "cmd/mlride"},
		"settings are read in one place and passed down",
	},
}

// alone names the only packages outside the standard library that a room may
// import, where that is part of what the room is.
var alone = map[string][]string{
	"internal/fault":    {},
	"internal/live":     {},
	"internal/crash":    {},
	"internal/auth":     {},
	"internal/engine":   {},
	"internal/firewall": {"github.com/coreos/go-iptables/iptables"},
	"ent/record":        {"github.com/docker/go-units"},
}

// TestWhoMayImportWhom reads the files in this process: asking `go list` would
// hide them from the test cache, and the test would pass after a bad import.
func TestWhoMayImportWhom(t *testing.T) {
	house := os.DirFS(".")
	for _, breach := range breaches(house) {
		t.Error(breach)
	}
	for room := range rooms {
		if _, err := fs.Stat(house, room); err != nil {
			t.Errorf("%s: the table has a row for a room that is not there", room)
		}
	}
}

// TestTheRuleHolds plants what the rule forbids, and what it allows.
func TestTheRuleHolds(t *testing.T) {
	for _, c := range []struct {
		file, imports, want string // want is a part of the one breach, or nothing
	}{
		{"internal/live/a.go", "sync", ""},
		{"internal/live/a.go", module + "/internal/fault", "internal/live may not import internal/fault"},
		{"internal/live/a.go", "golang.org/x/sync/errgroup", "only the standard library"},
		{"internal/utils/a.go", "fmt", "internal/utils: new room; add its row"},
		{"tools/a.go", "fmt", "tools: new room; add its row"},
		{"internal/monitor/a.go", module + "/internal/lifecycle", "internal/monitor may not import internal/lifecycle"},
		{"internal/monitor/a.go", module + "/ent/container", ""},
		{"internal/quota/a.go", module + "/internal/docker", "internal/quota may not import internal/docker"},
		{"internal/quota/a_test.go", module + "/internal/docker/dockertest", ""},
		{"internal/quota/a_test.go", module + "/internal/lifecycle", "internal/quota may not import internal/lifecycle"},
		{"internal/quota/a_test.go", module + "/internal/quota", ""},
		{"internal/quota/a.go", module + "/internal/engine/enginetest", "internal/quota may not import internal/engine/enginetest"},
		{"server/a.go", module + "/internal/engine/enginetest", "only tests may import internal/engine/enginetest"},
		{"internal/image/a.go", "github.com/docker/docker/client", "the words of internal/engine"},
		{"internal/image/a_test.go", "github.com/docker/docker/client", ""},
		{"internal/image/a.go", "github.com/docker/dockerish", ""},
		{"internal/account/a.go", "net/http", "features do not know HTTP"},
		{"internal/account/a.go", "github.com/99designs/gqlgen/graphql", "features do not know GraphQL"},
		{"graph/a.go", module + "/internal/docker", "graph may not import internal/docker"},
		{"graph/a.go", "database/sql", "graph and server ask features"},
		{"graph/generated/exec.go", module + "/internal/docker", ""},
		{"ent/user.go", "database/sql", ""},
		{"ent/user/user.go", module + "/internal/docker", ""},
		{"ent/schema/user.go", module + "/internal/auth", "ent/schema may not import internal/auth"},
		{"ent/record/a.go", "github.com/docker/go-units", ""},
		{"ent/record/a.go", "github.com/google/uuid", "ent/record may not import github.com/google/uuid"},
		{"cmd/mlride/a.go", module + "/internal/store", "cmd/mlride may not import internal/store"},
		{"cmd/other/a.go", "fmt", "cmd/other: new room; add its row"},
		{"server/a.go", module + "/cmd/mlride", "server may not import cmd/mlride"},
		{"frontend/node_modules/x/a.go", "golang.org/x/net", ""},
		{".cache/a/a.go", "golang.org/x/net", ""},
	} {
		t.Run(c.file+" imports "+c.imports, func(t *testing.T) {
			source := "package p\n\nimport _ " + strconv.Quote(c.imports) + "\n"
			got := breaches(fstest.MapFS{c.file: {Data: []byte(source)}})
			if c.want == "" {
				if len(got) > 0 {
					t.Errorf("allowed, and refused: %q", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("got %q, want one breach that tells %q", got, c.want)
			}
		})
	}
}

// breaches names every import in house that the table does not allow, one line
// each.
func breaches(house fs.FS) []string {
	var found []string
	unknown := map[string]bool{}
	walk := func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if skipped(file) {
				return fs.SkipDir
			}
			return nil
		}
		room := path.Dir(file)
		if path.Ext(file) != ".go" || room == "." || isGenerated(room) {
			return nil
		}
		if _, ok := rooms[room]; !ok {
			if !unknown[room] {
				found = append(found, fmt.Sprintf("%s: new room; add its row to the table in arch_test.go", room))
			}
			unknown[room] = true
			return nil
		}
		imports, err := importsOf(house, file)
		for _, imported := range imports {
			if why := refuse(room, imported, strings.HasSuffix(file, "_test.go")); why != "" {
				found = append(found, file+": "+why)
			}
		}
		return err
	}
	if err := fs.WalkDir(house, ".", walk); err != nil {
		found = append(found, err.Error())
	}
	return found
}

// skipped folders hold no Go of ours.
func skipped(folder string) bool {
	name := path.Base(folder)
	return folder != "." && strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" ||
		slices.Contains([]string{"bin", "data", "docs"}, folder)
}

// isGenerated says whether a folder is one of the generated ones. Folders below
// them are too, unless they have a row of their own.
func isGenerated(room string) bool {
	_, written := rooms[room]
	return !written && slices.ContainsFunc(generated, func(top string) bool { return within(room, top) })
}

func importsOf(house fs.FS, file string) ([]string, error) {
	source, err := fs.ReadFile(house, file)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	var imports []string
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		imports = append(imports, imported)
	}
	return imports, nil
}

// refuse says why a file of a room may not import a package; empty when it may.
func refuse(room, imported string, test bool) string {
	if other, ours := strings.CutPrefix(imported, module+"/"); ours {
		return refuseOurs(room, other, test)
	}
	if test {
		return ""
	}
	if only, ok := alone[room]; ok && strings.Contains(first(imported), ".") && !slices.Contains(only, imported) {
		return fmt.Sprintf("%s may not import %s: only %s", room, imported,
			strings.Join(append([]string{"the standard library"}, only...), ", "))
	}
	for _, wall := range outsideWalls {
		inside := slices.Contains(wall.rooms, room)
		if !inside && slices.ContainsFunc(wall.packages, func(p string) bool { return within(imported, p) }) {
			return fmt.Sprintf("%s may not import %s: %s", room, imported, wall.why)
		}
	}
	return ""
}

func refuseOurs(room, other string, test bool) string {
	allowed := rooms[room]
	if test {
		allowed = slices.Concat(allowed, testkit, []string{room})
	}
	named := slices.ContainsFunc(allowed, func(name string) bool {
		top, below := strings.CutSuffix(name, "/...")
		return name == other || below && within(other, top)
	})
	switch {
	case named:
		return ""
	case !slices.Contains(allowed, "all") || within(other, "cmd"):
		return fmt.Sprintf("%s may not import %s: see the table in arch_test.go", room, other)
	case !test && strings.HasSuffix(other, "test"):
		return fmt.Sprintf("%s: only tests may import %s", room, other)
	default:
		return ""
	}
}

// within says whether a slash-separated name is top or below it.
func within(name, top string) bool {
	return name == top || strings.HasPrefix(name, top+"/")
}

// first is the first part of an import path: a domain where the package is not
// of the standard library.
func first(imported string) string {
	part, _, _ := strings.Cut(imported, "/")
	return part
}
