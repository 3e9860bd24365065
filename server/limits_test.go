package server

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
)

func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	tree := func(levels int) string {
		var b strings.Builder
		b.WriteString("{serverInfo{...F0}}")
		for i := range levels {
			fmt.Fprintf(&b, " fragment F%d on ServerInfo{...F%d ...F%d}", i, i+1, i+1)
		}
		fmt.Fprintf(&b, " fragment F%d on ServerInfo{version}", levels)
		return b.String()
	}
	aliases := func(n int, field string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, "a%d:%s ", i, field)
		}
		return b.String() + "}"
	}
	keys := map[string]any{}
	for i := range 60_000 {
		keys[fmt.Sprint("k", i)] = 1
	}
	many := make([]any, 101)
	for i := range many {
		many[i] = "ctr_1"
	}
	for _, c := range []struct {
		name, query, measure, code string
		variables                  map[string]any
	}{
		{name: "one field 10,000 times", query: "{serverInfo{" + strings.Repeat("id ", 10_000) + "}}", measure: "tokens"},
		{name: "one field 100,000 times", query: "{serverInfo{" + strings.Repeat("version ", 100_000) + "}}", measure: "documentLength"},
		{name: "30,000 aliases", query: aliases(30_000, "serverInfo{version}"), measure: "documentLength"},
		{name: "300 aliases", query: aliases(300, "__typename"), measure: "", code: "-"},
		{name: "21 root fields", query: aliases(21, "serverInfo{version}"), measure: "rootFields"},
		{name: "fragment tree 2^25", query: tree(25), measure: "fields"},
		{name: "600 fields by fragments", query: tree(9), measure: "fields"},
		{name: "inline fragments x 400", query: "{" + strings.Repeat("...{", 400) + "__typename" + strings.Repeat("}", 400) + "}", code: "-"},
		{name: "nesting x 300 that is not in the schema", query: strings.Repeat("{a", 300) + strings.Repeat("}", 300), code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "a comment of 900 KB", query: "{serverInfo{version}} #" + strings.Repeat("x", 900_000), measure: "documentLength"},
		{name: "first: a million", query: "{containers(first:1000000){totalCount}}", code: "BAD_USER_INPUT"},
		{name: "first: 101 in a variable", query: "query($n:Int){containers(first:$n){totalCount}}", variables: map[string]any{"n": 101}, code: "BAD_USER_INPUT"},
		{name: "first: more than a number holds", query: "{containers(first:99999999999999999999999999){totalCount}}", code: "GRAPHQL_VALIDATION_FAILED"},
		{name: "first: 1e20 in a variable", query: "query($n:Int){containers(first:$n){totalCount}}", variables: map[string]any{"n": 1e20}, code: "BAD_USER_INPUT"},
		{name: "last: negative", query: "{containers(last:-1){totalCount}}", code: "BAD_USER_INPUT"},
		{name: "101 ids", query: "query($i:[ID!]!){nodes(ids:$i){id}}", variables: map[string]any{"i": many}, code: "BAD_USER_INPUT"},
		{name: "60,000 keys", query: "{serverInfo{version}}", variables: keys, measure: "variables"},
		{name: "one variable of 300 KB", query: "{serverInfo{version}}", variables: map[string]any{"a": strings.Repeat("x", 300_000)}, measure: "variables"},
		{name: "logs of a hundred", query: "{containers(first:100){edges{node{logs{at text}}}}}", measure: "cost"},
		{name: "users' everything", query: "{users(first:100){edges{node{sessions{id ip userAgent current createdAt lastSeenAt} a:sessions{id ip userAgent current} b:sessions{id ip userAgent current createdAt lastSeenAt} c:sessions{id ip userAgent current createdAt}}}}}", measure: "cost"},
		{name: "introspection, wide", query: "{__schema{" + wide(60) + "}}", measure: "cost"},
		{name: "introspection, deep", query: `{__type(name:"User"){` + strings.Repeat("ofType{", 30) + "name" + strings.Repeat("}", 30) + "}}", measure: "depth"},
		{name: "fragment that spreads itself", query: "{serverInfo{...A}} fragment A on ServerInfo{...A}", code: "GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := h.resolver.calls.Load()
			began := time.Now()
			got := h.post(t, aliceToken, c.query, c.variables)
			took := time.Since(began)
			if c.code == "-" {
				require.Empty(t, got.Errors, got.body)
				return
			}
			assert.Equal(t, before, h.resolver.calls.Load(), "no resolver ran")
			assert.Less(t, len(got.body), 5_000)
			require.NotEmpty(t, got.Errors, got.body)
			assert.NotContains(t, got.body, `"data"`)
			if c.measure == "" {
				assert.Equal(t, c.code, got.code(), got.body)
				return
			}
			assert.Equal(t, "QUERY_TOO_COMPLEX", got.code(), got.body)
			assert.Equal(t, c.measure, got.Errors[0].Extensions["measure"], got.body)
			cost, _ := got.Errors[0].Extensions["cost"].(float64)
			limit, _ := got.Errors[0].Extensions["limit"].(float64)
			assert.Greater(t, cost, limit)
			t.Logf("%s in %s: %s", c.name, took, got.Errors[0].Message)
		})
	}
}

// TestDepth walks a schema that goes round in circles, as ours does not yet.
func TestDepth(t *testing.T) {
	t.Parallel()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: "type Query{a: A} type A{a: A b: Int}"})
	for n, refused := range map[int]bool{maxDepth: false, maxDepth + 1: true, 50: true} {
		document, errs := gqlparser.LoadQueryWithRules(schema, strings.Repeat("{a", n-1)+"{b}"+strings.Repeat("}", n-1), rules.NewDefaultRules())
		require.Empty(t, errs)
		limit := operationLimit{schema: schema}
		err := limit.MutateOperationContext(t.Context(), &graphql.OperationContext{Operation: document.Operations[0]})
		require.Equal(t, refused, err != nil, "%d levels", n)
		if refused {
			var f *fault.Fault
			require.ErrorAs(t, err, &f)
			assert.Equal(t, map[string]any{"measure": "depth", "cost": maxDepth + 1, "limit": maxDepth}, f.Details)
		}
	}
}

func wide(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "t%d:types{fields{name description args{name}}} ", i)
	}
	return b.String()
}

func TestWhatClientsMayRelyOn(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for _, query := range []string{
		// every stored field of a hundred containers, their image and their owner
		`{containers(first:100){totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{cursor node{
			id name status desiredStatus statusMessage reserved lastExit{code reason message at} restartPolicy cpuLimit memoryLimit
			gpuLimit command environment{name value} createdAt startedAt finishedAt
			stats{containerId readAt cpuPercent memoryUsage memoryLimit memoryPercent networkRx networkTx blockRead blockWrite pids}
			image{id reference requestedReference usedFallback digest size source status statusMessage visibility minCpu minMemory minGpu createdAt}
			owner{id username nickname email role suspendedAt createdAt lastSeenAt}}}}}`,
		`{containers(first:100){edges{node{id owner{id quota{maxCpu maxMemory} usage{cpu memory}}}}}}`,
		`{containers(first:20){edges{node{id events{at kind message}}}}}`,
	} {
		got := h.post(t, aliceToken, query, nil)
		require.Empty(t, got.Errors, got.body)
	}
	// one container's or image's whole log is refused by nothing but the resolver that is not there
	for _, query := range []string{
		`{node(id:"ctr_1"){... on Container{logs(tail:10000){at stream text dropped}}}}`,
		`{node(id:"img_1"){... on Image{log{number text}}}}`,
		`{node(id:"img_1"){... on Image{log(first:1000){number text at}}}}`,
	} {
		got := h.post(t, aliceToken, query, nil)
		assert.Equal(t, "INTERNAL", got.code(), query)
	}
}

func TestCostsAreOfFieldsThatExist(t *testing.T) {
	t.Parallel()
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for name := range fieldCost {
		kind, field, _ := strings.Cut(name, ".")
		require.NotNil(t, schema.Types[kind], name)
		assert.NotNil(t, schema.Types[kind].Fields.ForName(field), name)
	}
}

// TestLimitsAreDocumented holds docs/api.md to the numbers of the program.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/api.md")
	require.NoError(t, err)
	for name, number := range map[string]int{
		"documentLength": maxDocument, "tokens": maxTokens, "depth": maxDepth, "fields": maxFields, "rootFields": maxRootFields,
		"variables": maxVariables, "cost": maxCost,
	} {
		assert.Contains(t, string(text), fmt.Sprintf("| `%s` | %d |", name, number))
	}
	for _, row := range []string{
		fmt.Sprintf("| Body of a request, message on a socket | %d bytes |", maxBody),
		fmt.Sprintf("| Operations at once on one socket | %d |", maxOperations),
		fmt.Sprintf("| Sockets of one user | %d |", maxStreams),
		fmt.Sprintf("| Event streams of one user | %d |", maxStreams),
		fmt.Sprintf("| Errors in one answer | %d |", maxErrors),
	} {
		assert.Contains(t, string(text), row)
	}
}

// introspectionQuery is what graphql-js, and so GraphiQL, asks.
const introspectionQuery = `
	query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind }
	subscriptionType { name kind } types { ...FullType } directives { name description isRepeatable locations
	args(includeDeprecated: true) { ...InputValue } } } } fragment FullType on __Type { kind name description
	specifiedByURL fields(includeDeprecated: true) { name description args(includeDeprecated: true) {
	...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields(includeDeprecated: true) {
	...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated
	deprecationReason } possibleTypes { ...TypeRef } } fragment InputValue on __InputValue { name description
	type { ...TypeRef } defaultValue isDeprecated deprecationReason } fragment TypeRef on __Type { kind name
	ofType { name kind ofType { name kind ofType { name kind ofType { name kind ofType { name kind ofType { name
	kind ofType { name kind ofType { name kind ofType { name kind } } } } } } } } } }`
