package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
)

// TestOverHTTP is the audit of the GraphQL-over-HTTP specification, as the npm
// package graphql-http holds servers to it, and what we add.
func TestOverHTTP(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	const ok = `{"query":"{serverInfo{version}}"}`
	const utf8 = "application/json; charset=utf-8"
	const graphqlType = "application/graphql-response+json; charset=utf-8"
	type row struct {
		name                        string
		method, accept, kind, body  string
		query                       string
		status                      int
		contentType, code, messages string
		noData                      bool
		allow                       string
	}
	get := func(values ...string) string {
		q := url.Values{}
		for i := 0; i < len(values); i += 2 {
			q.Set(values[i], values[i+1])
		}
		return "?" + q.Encode()
	}
	rows := []row{
		{name: "POST", body: ok, status: 200, contentType: utf8},
		{name: "POST with charset", kind: utf8, body: ok, status: 200},
		{name: "accepts anything", accept: "*/*", body: ok, status: 200, contentType: utf8},
		{name: "accepts application", accept: "application/*", body: ok, status: 200, contentType: utf8},
		{name: "accepts graphql-response", accept: "application/graphql-response+json", body: ok, status: 200, contentType: graphqlType},
		{name: "accepts it with utf-8", accept: "application/graphql-response+json; charset=utf-8", body: ok, status: 200, contentType: graphqlType},
		{name: "by weight", accept: "application/json;q=0.5, application/graphql-response+json;q=0.9", body: ok, status: 200, contentType: graphqlType},
		{name: "accepts neither", accept: "image/png", body: ok, status: 406, code: "BAD_USER_INPUT"},
		{name: "no content type", kind: "-", body: ok, status: 415, code: "BAD_USER_INPUT"},
		{name: "form", kind: "application/x-www-form-urlencoded", body: "query=x", status: 415, code: "BAD_USER_INPUT"},
		{name: "text", kind: "text/plain", body: ok, status: 415, code: "BAD_USER_INPUT"},
		{name: "other charset", kind: "application/json; charset=utf-16", body: ok, status: 415, code: "BAD_USER_INPUT"},
		{name: "PUT", method: "PUT", body: ok, status: 405, allow: "GET, POST, OPTIONS"},
		{name: "HEAD", method: "HEAD", status: 405, allow: "GET, POST, OPTIONS"},
		{name: "GET", method: "GET", query: get("query", "{serverInfo{version}}"), status: 200},
		{name: "GET with variables", method: "GET", query: get("query", "query Q($ids:[ID!]!){nodes(ids:$ids){id}}", "variables", `{"ids":[]}`, "operationName", "Q"), status: 200, code: "UNAUTHENTICATED"},
		{name: "GET, variables ill-formed", method: "GET", query: get("query", "{serverInfo{version}}", "variables", "{"), status: 400, code: "BAD_USER_INPUT"},
		{name: "GET, variables no object", method: "GET", query: get("query", "{serverInfo{version}}", "variables", "[1]"), status: 400, code: "BAD_USER_INPUT"},
		{name: "GET, mutation", method: "GET", query: get("query", "mutation{logout}"), status: 405, allow: "POST", noData: true},
		{name: "GET, no query", method: "GET", status: 400, code: "BAD_USER_INPUT", noData: true},
		{name: "no body", body: "", status: 400, code: "BAD_USER_INPUT"},
		{name: "ill-formed JSON", body: `{"query": secret`, status: 400, code: "BAD_USER_INPUT", noData: true},
		{name: "ill-formed JSON, graphql-response", accept: typeGraphQL, body: `{`, status: 400, contentType: graphqlType},
		{name: "two values", body: ok + ok, status: 400, code: "BAD_USER_INPUT"},
		{name: "a batch", body: "[" + ok + "]", status: 400, code: "BAD_USER_INPUT", messages: "batches"},
		{name: "query absent", body: `{"notquery":1}`, status: 400, code: "BAD_USER_INPUT", noData: true},
		{name: "query absent, graphql-response", accept: typeGraphQL, body: `{}`, status: 400, noData: true},
		{name: "query no text", body: `{"query":{"a":1}}`, status: 400, code: "BAD_USER_INPUT"},
		{name: "operationName no text", body: `{"query":"{serverInfo{version}}","operationName":[]}`, status: 400},
		{name: "operationName null", body: `{"query":"{serverInfo{version}}","operationName":null,"variables":null,"extensions":null}`, status: 200},
		{name: "variables no object", body: `{"query":"{serverInfo{version}}","variables":[1]}`, status: 400},
		{name: "variables text", body: `{"query":"{serverInfo{version}}","variables":"x"}`, status: 400},
		{name: "extensions no object", body: `{"query":"{serverInfo{version}}","extensions":0}`, status: 400},
		{name: "more fields", body: `{"query":"{serverInfo{version}}","id":7}`, status: 200},
		{name: "parse error", body: `{"query":"{"}`, status: 200, code: "GRAPHQL_PARSE_FAILED", noData: true},
		{name: "parse error, graphql-response", accept: typeGraphQL, body: `{"query":"{"}`, status: 400, code: "GRAPHQL_PARSE_FAILED", noData: true},
		{name: "validation error", body: `{"query":"{none}"}`, status: 200, code: "GRAPHQL_VALIDATION_FAILED", noData: true},
		{name: "validation error, graphql-response", accept: typeGraphQL, body: `{"query":"{none}"}`, status: 400, code: "GRAPHQL_VALIDATION_FAILED", noData: true},
		{name: "no operation", body: `{"query":"fragment F on Query{__typename}"}`, status: 200, noData: true},
		{name: "another operation", body: `{"query":"query A{__typename}","operationName":"B"}`, status: 200, code: "GRAPHQL_VALIDATION_FAILED", noData: true},
		{name: "variable error", body: `{"query":"query($n:Int!){nodes(ids:[]){id} containers(first:$n){totalCount}}"}`, status: 200, code: "BAD_USER_INPUT", noData: true},
		{name: "variable error, graphql-response", accept: typeGraphQL, body: `{"query":"query($n:Int!){containers(first:$n){totalCount}}","variables":{"n":"x"}}`, status: 400, code: "BAD_USER_INPUT", noData: true},
		{name: "subscription", body: `{"query":"subscription{usageChanged{containers}}"}`, status: 200, code: "BAD_USER_INPUT", messages: "WebSocket"},
		{name: "resolver error", accept: typeGraphQL, body: `{"query":"mutation{logout}"}`, status: 200, code: "UNAUTHENTICATED"},
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			q := request{method: c.method, path: "/graphql" + c.query, body: c.body, header: map[string]string{}}
			if q.method == "" {
				q.method = http.MethodPost
			}
			if c.accept != "" {
				q.header["Accept"] = c.accept
			}
			switch {
			case c.kind == "" && q.method != http.MethodGet:
				q.header["Content-Type"] = typeJSON
			case c.kind != "-" && c.kind != "":
				q.header["Content-Type"] = c.kind
			}
			if q.method == http.MethodHead {
				got := h.do(t, request{method: "PATCH", path: q.path})
				assert.Equal(t, c.status, got.status)
				return
			}
			got := h.do(t, q)
			assert.Equal(t, c.status, got.status, got.body)
			if c.contentType != "" {
				assert.Equal(t, c.contentType, got.header.Get("Content-Type"))
			}
			if c.code != "" || c.status >= 400 {
				require.NotEmpty(t, got.Errors, got.body)
			}
			if c.code != "" {
				assert.Equal(t, c.code, got.code(), got.body)
			} else if c.status == 200 && !c.noData {
				assert.Empty(t, got.Errors, got.body)
			}
			if c.noData {
				assert.NotContains(t, got.body, `"data"`)
			}
			assert.Contains(t, got.body, c.messages)
			assert.NotContains(t, got.body, "secret", "what was sent is not repeated")
			if c.allow != "" {
				assert.Equal(t, c.allow, got.header.Get("Allow"))
			}
		})
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.post(t, aliceToken, "{serverInfo{version}}", map[string]any{"x": strings.Repeat("a", maxBody)})
	assert.Equal(t, http.StatusRequestEntityTooLarge, got.status)
	assert.Equal(t, "BAD_USER_INPUT", got.code())
}

func TestErrorsThatUsersRead(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	const create = `mutation($in: CreateContainerInput!){createContainer(input:$in){container{id}}}`
	input := map[string]any{"in": map[string]any{"name": "a", "imageId": "img_1"}}
	ask := func(err error) answerOf {
		h.resolver.create = func(context.Context, generated.CreateContainerInput) (*generated.ContainerPayload, error) {
			return nil, err
		}
		return h.post(t, aliceToken, create, input)
	}

	got := ask(fmt.Errorf("create: %w", fault.New(fault.QuotaExceeded, "No room.").With("limit", 5).With("used", 5)))
	assert.Equal(t, "No room.", got.Errors[0].Message)
	assert.Equal(t, map[string]any{"code": "QUOTA_EXCEEDED", "limit": 5.0, "used": 5.0}, got.Errors[0].Extensions)
	assert.Equal(t, []any{"createContainer"}, got.Errors[0].Path)
	assert.Contains(t, got.body, `"data":null`)
	assert.Contains(t, got.body, `"locations"`)

	var check fault.Check
	check.That(false, "name", "format", "Bad name.")
	check.That(false, "memoryLimit", "range", "Too little.")
	got = ask(check.Err())
	assert.Equal(t, "BAD_USER_INPUT", got.code())
	assert.Equal(t, []any{
		map[string]any{"field": "name", "rule": "format", "message": "Bad name."},
		map[string]any{"field": "memoryLimit", "rule": "range", "message": "Too little."},
	}, got.Errors[0].Extensions["violations"])

	for _, err := range []error{errors.New("SELECT secret FROM t"), fault.New(fault.Internal, "secret").Because(errors.New("deep cause"))} {
		got = ask(err)
		assert.Equal(t, "Something went wrong on our side.", got.Errors[0].Message)
		assert.Equal(t, map[string]any{"code": "INTERNAL", "requestId": got.header.Get("X-Request-Id")}, got.Errors[0].Extensions)
		assert.NotContains(t, got.body, "secret")
	}
	assert.Contains(t, h.log.String(), "SELECT secret FROM t")
	assert.Contains(t, h.log.String(), "deep cause")

	h.resolver.create = func(context.Context, generated.CreateContainerInput) (*generated.ContainerPayload, error) {
		panic("secret of a panic")
	}
	got = h.post(t, aliceToken, create, input)
	assert.Equal(t, "INTERNAL", got.code())
	assert.NotContains(t, got.body, "secret")
	assert.Contains(t, h.log.String(), "secret of a panic")

	got = h.post(t, aliceToken, `{nodes(ids:["ctr_1"]){id}}`, nil)
	assert.Equal(t, "NOT_FOUND", got.code(), "what the database does not show is not there")
}

func TestValuesOfAWrongTypeAreViolations(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	const create = `mutation($in: CreateContainerInput!){createContainer(input:$in){container{id}}}`
	base := map[string]any{"name": "a", "imageId": "img_1"}
	with := func(key string, value any) map[string]any {
		in := map[string]any{key: value}
		for k, v := range base {
			if _, taken := in[k]; !taken {
				in[k] = v
			}
		}
		return map[string]any{"in": in}
	}
	for _, c := range []struct {
		name, query, field string
		variables          map[string]any
	}{
		{"a scalar of ours in a variable", create, "memoryLimit", with("memoryLimit", "much")},
		{"a scalar of ours in the document", `mutation{createContainer(input:{name:"a",imageId:"i",memoryLimit:"much"}){container{id}}}`, "memoryLimit", nil},
		{"an argument beside the input", `mutation{stopContainer(id:"x",timeout:"soon"){container{id}}}`, "timeout", nil},
		{"a type of GraphQL", create, "name", with("name", true)},
		{"an unknown field", create, "nme", with("nme", "a")},
		{"null", create, "name", with("name", nil)},
		{"an enum", create, "restartPolicy", with("restartPolicy", "SOMETIMES")},
		{"inside a list", create, "environment.0.value", with("environment", []any{map[string]any{"name": "A", "value": []any{}}})},
		{"no variable", create, "in", nil},
		{"a number out of range", `query($n:Int){containers(first:$n){totalCount}}`, "n", map[string]any{"n": 1e30}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := h.resolver.calls.Load()
			got := h.post(t, aliceToken, c.query, c.variables)
			require.Len(t, got.Errors, 1, got.body)
			assert.Equal(t, "BAD_USER_INPUT", got.code(), got.body)
			violations, ok := got.Errors[0].Extensions["violations"].([]any)
			require.True(t, ok, got.body)
			first, ok := violations[0].(map[string]any)
			require.True(t, ok)
			assert.Equal(t, c.field, first["field"], got.body)
			assert.Equal(t, "type", first["rule"])
			assert.NotEmpty(t, first["message"])
			assert.Equal(t, before, h.resolver.calls.Load())
		})
	}
	got := h.post(t, aliceToken, create, with("memoryLimit", "768MiB"))
	assert.Equal(t, "INTERNAL", got.code(), "a good one reaches the resolver")
	var seen *record.Bytes
	h.resolver.create = func(_ context.Context, in generated.CreateContainerInput) (*generated.ContainerPayload, error) {
		seen = in.MemoryLimit
		return nil, fault.New(fault.Conflict, "x")
	}
	h.post(t, aliceToken, create, with("memoryLimit", "768MiB"))
	assert.Equal(t, 768*record.MiB, *seen)
}

func TestErrorsAreCapped(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.post(t, aliceToken, "{"+strings.Repeat("none ", 200)+"}", nil)
	assert.LessOrEqual(t, len(got.Errors), maxErrors)
	assert.NotEmpty(t, got.Errors)
	got = h.post(t, "", "{contaners{totalCount}}", nil)
	assert.NotContains(t, got.Errors[0].Message, "Did you mean")
}

func TestPersistedQueries(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	const query = "{serverInfo{version time}}"
	sum := sha256.Sum256([]byte(query))
	hash := hex.EncodeToString(sum[:])
	send := func(query, hash string) answerOf {
		body, err := json.Marshal(map[string]any{"query": query, "extensions": map[string]any{
			"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash},
		}})
		require.NoError(t, err)
		return h.do(t, request{method: "POST", path: "/graphql", body: string(body), header: map[string]string{"Content-Type": typeJSON}})
	}
	got := send("", hash)
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "PERSISTED_QUERY_NOT_FOUND", got.code())
	assert.Equal(t, "PersistedQueryNotFound", got.Errors[0].Message)
	assert.Equal(t, "BAD_USER_INPUT", send(query+" ", hash).code())
	require.Empty(t, send(query, hash).Errors)
	require.Empty(t, send("", hash).Errors)
	long := "{serverInfo{version}} #" + strings.Repeat("x", maxDocument)
	sum = sha256.Sum256([]byte(long))
	assert.Equal(t, "QUERY_TOO_COMPLEX", send(long, hex.EncodeToString(sum[:])).code())
	assert.Equal(t, "PERSISTED_QUERY_NOT_FOUND", send("", hex.EncodeToString(sum[:])).code(), "it was not kept")
}

func TestIntrospectionIsForThoseSignedIn(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	for _, query := range []string{"{__schema{types{name}}}", `{serverInfo{version} __type(name:"User"){name}}`, "query{...F} fragment F on Query{__schema{queryType{name}}}"} {
		got := h.post(t, "", query, nil)
		assert.Equal(t, "UNAUTHENTICATED", got.code(), query)
		assert.NotContains(t, got.body, `"data"`)
		require.Empty(t, h.post(t, aliceToken, query, nil).Errors, query)
	}
	require.Empty(t, h.post(t, "", "{__typename}", nil).Errors)
	full := h.post(t, aliceToken, introspectionQuery, nil)
	require.Empty(t, full.Errors, "GraphiQL's own")
	assert.Contains(t, full.body, "Who may use a root field")
}

func TestAnswersOfManyErrorsAndRoles(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	got := h.post(t, "", "{serverInfo{version} viewer{id} containers{totalCount}}", nil)
	assert.Equal(t, "UNAUTHENTICATED", got.code())
	got = h.post(t, aliceToken, "{system{version}}", nil)
	assert.Equal(t, "FORBIDDEN", got.code())
}

// event is one server-sent event.
type event struct{ kind, data string }

// events opens a stream; the channel closes when it ends.
func (h *rig) events(t *testing.T, token, method, query string) (<-chan event, *http.Response) {
	t.Helper()
	path, body := "/graphql", ""
	if method == http.MethodGet {
		path += "?query=" + url.QueryEscape(query)
	} else {
		text, err := json.Marshal(map[string]any{"query": query})
		require.NoError(t, err)
		body = string(text)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, h.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Accept", typeEvents)
	r.Header.Set("Content-Type", typeJSON)
	if token != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: token})
	}
	answered, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { _ = answered.Body.Close() })
	out := make(chan event, 100)
	go readEvents(answered.Body, out)
	return out, answered
}

// readEvents reads a stream to its end.
func readEvents(body io.Reader, out chan<- event) {
	defer close(out)
	var e event
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			e.kind = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			e.data = line[len("data: "):]
		case line == "" && e.kind != "":
			out <- e
			e = event{}
		}
	}
}

// next is the next value of a channel; the test fails when none comes.
func next[T any](t *testing.T, from <-chan T) (T, bool) {
	t.Helper()
	select {
	case v, ok := <-from:
		return v, ok
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestServerSentEvents(t *testing.T) {
	t.Parallel()
	h := newRig(t, func(_ *Deps, h *Handler) {
		if h != nil {
			h.api.viewers.ping = time.Millisecond
		}
	})
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		stream, answered := h.events(t, aliceToken, method, `subscription{containerStats(id:"ctr_1"){pids}}`)
		assert.Equal(t, "text/event-stream; charset=utf-8", answered.Header.Get("Content-Type"))
		for _, want := range []event{
			{"next", `{"data":{"containerStats":{"pids":1}}}`},
			{"next", `{"data":{"containerStats":{"pids":2}}}`},
			{"complete", ""},
		} {
			got, _ := next(t, stream)
			assert.Equal(t, want, got, method)
		}
		_, open := next(t, stream)
		assert.False(t, open)
	}
	for query, code := range map[string]string{
		"{": "GRAPHQL_PARSE_FAILED", `subscription{containerStats(id:"ctr_none"){pids}}`: "NOT_FOUND", "{system{version}}": "FORBIDDEN",
	} {
		stream, _ := h.events(t, aliceToken, http.MethodPost, query)
		got, _ := next(t, stream)
		assert.Equal(t, "next", got.kind)
		assert.Contains(t, got.data, `"code":"`+code+`"`)
		got, _ = next(t, stream)
		assert.Equal(t, "complete", got.kind)
	}
	stream, _ := h.events(t, aliceToken, http.MethodGet, "mutation{logout}")
	got, _ := next(t, stream)
	assert.Contains(t, got.data, "BAD_USER_INPUT")
}

func TestEventStreamsEndWithTheSignIn(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	stream, _ := h.events(t, aliceToken, http.MethodPost, "subscription{usageChanged{containers}}")
	got, _ := next(t, stream)
	assert.Equal(t, `{"data":{"usageChanged":{"containers":3}}}`, got.data)
	began := time.Now()
	h.accounts.end(aliceToken)
	got, _ = next(t, stream)
	assert.Contains(t, got.data, `"code":"UNAUTHENTICATED"`)
	got, _ = next(t, stream)
	assert.Equal(t, "complete", got.kind)
	_, open := next(t, stream)
	assert.False(t, open)
	assert.Less(t, time.Since(began), time.Second)
	require.Eventually(t, func() bool { return h.resolver.streams.Load() == 0 }, 5*time.Second, time.Millisecond)
}

func TestEventStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	h := newRig(t)
	stream, _ := h.events(t, aliceToken, http.MethodPost, "subscription{usageChanged{containers}}")
	next(t, stream)
	require.NoError(t, h.handler.Goodbye(t.Context()))
	_, open := next(t, stream)
	assert.False(t, open, "no complete: the client comes back")
}
