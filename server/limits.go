package server

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"

	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/store"
)

// The bounds of one operation. docs/api.md tells them; a test compares.
const (
	// maxBody is the bytes of one request or one message on a socket.
	maxBody = 1 << 20
	// maxDocument is the bytes of a document.
	maxDocument = 32 << 10
	maxTokens   = 2000
	// maxVariables is the bytes of all variables together, as JSON, about.
	maxVariables = 256 << 10
	maxDepth     = 12
	// maxFields counts fields after fragments are expanded, before pages.
	maxFields     = 500
	maxRootFields = 20
	// maxCost counts fields times how often each is answered. A hundred
	// containers with every field of them, their image and their owner cost
	// about 6,000.
	maxCost = 20_000
	// maxIntrospection is the cost of an introspection for each type of the
	// schema; the full one of GraphiQL costs about 500.
	maxIntrospection      = 750
	maxIntrospectionDepth = 20
)

// guessed is how many items a list without a page size is taken to have.
const guessed = 10

// A field that asks something for each object costs more than one that is
// stored with it; logs ask the engine.
var fieldCost = map[string]int{
	"Container.logs": 200, "Container.events": 5, "User.quota": 3, "User.usage": 3, "User.sessions": 5, "Query.system": 50,
	"Container.volumes": 3, "Volume.mountedBy": 3, "Container.statsHistory": 200, "Mutation.openJupyter": 200,
	"Image.log": 5, "Mutation.buildImage": 50, "Mutation.commitContainer": 50, "Query.previewDockerfile": 10,
	"Image.sharedWith": 3, "Image.containers": 5, "Mutation.pruneImages": 200,
}

// linesPerCost is how many lines of a log count as one object: they are short
// and come in one piece.
const linesPerCost = 10

// defaultLines is how many lines Image.log gives where it is not said.
const defaultLines = 200

// documentLimit refuses a document before it is kept or parsed, and variables
// before anything walks them again. It is used before persisted queries.
type documentLimit struct{}

func (documentLimit) ExtensionName() string                   { return "DocumentLimit" }
func (documentLimit) Validate(graphql.ExecutableSchema) error { return nil }

func (documentLimit) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	if len(params.Query) > maxDocument {
		return tooComplex("documentLength", len(params.Query), maxDocument, "The document is %d bytes long; %d are taken. Send values as variables.")
	}
	// fewer bytes than tokens cannot be
	if len(params.Query) > maxTokens {
		if n := tokens(params.Query); n > maxTokens {
			return tooComplex("tokens", n, maxTokens, "The document has at least %d tokens; %d are taken.")
		}
	}
	left := maxVariables
	if !weigh(params.Variables, &left) {
		return tooComplex("variables", maxVariables+1, maxVariables, "The variables have at least %d bytes; %d are taken.")
	}
	return nil
}

// tokens counts up to one more than the limit.
func tokens(document string) int {
	l := lexer.New(&ast.Source{Input: document})
	for n := 0; ; n++ {
		token, err := l.ReadToken()
		if err != nil || token.Kind == lexer.EOF || n > maxTokens {
			return n
		}
	}
}

// weigh takes the size of v from left; false when there was not enough.
func weigh(v any, left *int) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if *left -= len(key) + 4; *left < 0 || !weigh(value, left) {
				return false
			}
		}
	case []any:
		for _, value := range v {
			if *left -= 2; *left < 0 || !weigh(value, left) {
				return false
			}
		}
	case string:
		*left -= len(v) + 2
	default:
		*left -= 4
	}
	return *left >= 0
}

// operationLimit walks an operation once, after it is validated and before any
// resolver runs. It stops at the first bound, so its own work is bounded too.
type operationLimit struct{ schema *ast.Schema }

func (operationLimit) ExtensionName() string { return "OperationLimit" }

// Validate takes the schema when the extension is installed.
func (o *operationLimit) Validate(schema graphql.ExecutableSchema) error {
	o.schema = schema.Schema()
	return nil
}

// MutateOperationContext also opens introspection for those who are signed in.
func (o *operationLimit) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	w := walk{schema: o.schema, variables: op.Variables}
	cost, introspection := w.selections(op.Operation.SelectionSet, 1, false, 0)
	switch {
	case w.refused != nil:
		return w.refused
	case cost > maxCost:
		return tooComplex("cost", cost, maxCost,
			"The operation costs %d; %d are taken. Ask for fewer fields or smaller pages.")
	case introspection > maxIntrospection*len(o.schema.Types):
		return tooComplex("cost", introspection, maxIntrospection*len(o.schema.Types), "The introspection costs %d; %d are taken.")
	}
	signedIn := auth.Of(ctx).SignedIn()
	if w.introspects && !signedIn {
		return requestError(fault.New(fault.Unauthenticated, "Sign in to read the schema."))
	}
	op.DisableIntrospection = !signedIn
	return nil
}

type walk struct {
	schema      *ast.Schema
	variables   map[string]any
	fields      int
	roots       int
	introspects bool
	refused     *gqlerror.Error
}

// selections is the cost of answering a selection set once: of data and of
// introspection apart. page is the page size of the connection around it.
func (w *walk) selections(set ast.SelectionSet, depth int, inside bool, page int) (cost, introspection int) {
	for _, selection := range set {
		if w.refused != nil {
			return cost, introspection
		}
		var c, i int
		switch s := selection.(type) {
		case *ast.Field:
			c, i = w.field(s, depth, inside, page)
		case *ast.InlineFragment:
			c, i = w.selections(s.SelectionSet, depth, inside, page)
		case *ast.FragmentSpread:
			w.count() // an empty fragment spread a million times is work too
			c, i = w.selections(s.Definition.SelectionSet, depth, inside, page)
		}
		cost, introspection = add(cost, c), add(introspection, i)
	}
	return cost, introspection
}

func (w *walk) field(f *ast.Field, depth int, inside bool, page int) (cost, introspection int) {
	w.count()
	if f.Name == "__typename" {
		return 0, 0
	}
	if depth == 1 {
		w.roots++
		w.bound("rootFields", w.roots, maxRootFields, "The operation has %d root fields; %d are taken.")
	}
	inside = inside || strings.HasPrefix(f.Name, "__")
	if inside {
		w.introspects = true
		w.bound("depth", depth, maxIntrospectionDepth, "The introspection is %d levels deep; %d are taken.")
	} else {
		w.bound("depth", depth, maxDepth, "The operation is %d levels deep; %d are taken.")
	}
	times, page := w.items(f, inside, page)
	if w.refused != nil {
		return 0, 0
	}
	own := 1
	if f.ObjectDefinition != nil {
		own = max(own, fieldCost[f.ObjectDefinition.Name+"."+f.Name])
	}
	c, i := w.selections(f.SelectionSet, depth+1, inside, page)
	if inside {
		return 0, add(own, multiply(times, add(c, i)))
	}
	return add(own, multiply(times, c)), i
}

// items is how often a field's selections are answered, and the page size for
// the connection inside.
func (w *walk) items(f *ast.Field, inside bool, page int) (times, pageBelow int) {
	if f.Definition == nil || f.Definition.Type == nil {
		return 1, 0
	}
	if inside {
		return w.introspected(f), 0
	}
	if f.Definition.Type.Elem != nil && f.Definition.Type.Elem.NamedType == "ImageLogLine" {
		lines := defaultLines // of a log, which has bounds of its own
		if n, ok := w.number(f, "first"); ok {
			lines = n
		}
		return lines/linesPerCost + 1, 0
	}
	size, given := w.pageSize(f)
	switch {
	case f.Definition.Type.Elem == nil && f.Definition.Arguments.ForName("first") != nil:
		return 1, size // a connection: its edges are what is many
	case f.Definition.Arguments.ForName("ids") != nil:
		n := w.listLength(f, "ids")
		if f.Definition.Type.Elem == nil {
			n = 1 // a stream: each event is answered by itself
		}
		return n, 0
	case f.Definition.Type.Elem == nil:
		return 1, 0
	case given:
		return size, 0
	case f.Name == "edges" && f.ObjectDefinition != nil && strings.HasSuffix(f.ObjectDefinition.Name, "Connection"):
		return page, 0
	case f.Definition.Arguments.ForName("tail") != nil:
		lines, _ := w.number(f, "tail")
		return lines/linesPerCost + 1, 0
	default:
		return guessed, 0
	}
}

// pageSize is what first or last ask for; given is whether the field takes
// either. Over the bound refuses, so that no resolver sees it.
func (w *walk) pageSize(f *ast.Field) (size int, given bool) {
	size = store.DefaultPage
	for _, name := range []string{"first", "last"} {
		if f.Definition.Arguments.ForName(name) == nil {
			continue
		}
		given = true
		n, ok := w.number(f, name)
		if !ok {
			continue
		}
		if n < 0 || n > store.MaxPage {
			var check fault.Check
			check.That(false, name, "range", "%s takes 0 to %d.", name, store.MaxPage)
			w.refuse(requestError(fault.Of(check.Err())))
		}
		size = n
	}
	return size, given
}

// number is the value of an integer argument; false when it is absent or null.
func (w *walk) number(f *ast.Field, name string) (int, bool) {
	switch v := w.argument(f, name).(type) {
	case nil:
		return 0, false
	case int64:
		return clamp(v), true
	case int:
		return clamp(int64(v)), true
	case float64:
		return clamp(int64(v)), true
	case json.Number:
		n, err := v.Int64()
		if err != nil {
			n = 1 << 40
		}
		return clamp(n), true
	default:
		return 1 << 30, true // not a number at all: the most it could be
	}
}

func (w *walk) listLength(f *ast.Field, name string) int {
	list, ok := w.argument(f, name).([]any)
	if !ok {
		return 1
	}
	if len(list) > store.MaxPage {
		var check fault.Check
		check.That(false, name, "range", "%s takes at most %d.", name, store.MaxPage)
		w.refuse(requestError(fault.Of(check.Err())))
	}
	return len(list)
}

// argument is the value that a resolver would be given.
func (w *walk) argument(f *ast.Field, name string) any {
	var value *ast.Value
	if given := f.Arguments.ForName(name); given != nil {
		value = given.Value
		if value.Kind == ast.Variable {
			if _, set := w.variables[value.Raw]; !set {
				value = nil
			}
		}
	}
	if value == nil {
		if definition := f.Definition.Arguments.ForName(name); definition != nil {
			value = definition.DefaultValue
		}
	}
	if value == nil {
		return nil
	}
	v, err := value.Value(w.variables)
	if err != nil {
		return int64(1 << 40) // a number too large to read
	}
	return v
}

// introspected is how many items a list of the schema has, about.
func (w *walk) introspected(f *ast.Field) int {
	switch {
	case f.Definition.Type.Elem == nil:
		return 1
	case f.Name == "types":
		return len(w.schema.Types)
	case f.Name == "fields", f.Name == "inputFields", f.Name == "enumValues":
		return 4 // on average over all types, most of which have none of the last two
	default: // args, interfaces, possibleTypes, directives, locations
		return 1
	}
}

func (w *walk) count() {
	w.fields++
	w.bound("fields", w.fields, maxFields, "The operation has at least %d fields; %d are taken.")
}

func (w *walk) bound(measure string, n, limit int, format string) {
	if n > limit {
		w.refuse(tooComplex(measure, n, limit, format))
	}
}

func (w *walk) refuse(err *gqlerror.Error) {
	if w.refused == nil {
		w.refused = err
	}
}

func tooComplex(measure string, cost, limit int, format string) *gqlerror.Error {
	return requestError(fault.New(fault.QueryTooComplex, format, cost, limit).
		With("measure", measure).With("cost", cost).With("limit", limit))
}

// The sums stay far from overflow whatever is asked for.
const ceiling = 1 << 40

func clamp(n int64) int     { return int(max(min(n, 1<<30), -1)) }
func add(a, b int) int      { return min(a+b, ceiling) }
func multiply(a, b int) int { return int(min(float64(a)*float64(b), ceiling)) }
