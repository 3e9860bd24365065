package server

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

const (
	// cachedDocuments is how many parsed documents and how many persisted ones
	// are kept. A front-end has a few dozen.
	cachedDocuments = 200
	// maxCachedDocument keeps large documents, which cost some 300 KB each once
	// parsed, out of the cache: a hostile caller could fill it with them.
	maxCachedDocument = 8 << 10
)

// api answers GraphQL by every transport.
type api struct {
	exec    *executor.Executor
	schema  *ast.Schema
	present presenter
	viewers *viewers
	sockets socketBounds
	census  *census
	log     *slog.Logger
	// stopping is closed when the server begins to stop.
	stopping <-chan struct{}
}

func newAPI(resolvers generated.ResolverRoot, viewers *viewers, trail Trail, log *slog.Logger, stopping <-chan struct{}) *api {
	schema := generated.NewExecutableSchema(generated.Config{
		Resolvers:  resolvers,
		Directives: generated.DirectiveRoot{Access: traced(trail, access)},
	})
	a := &api{
		exec:     executor.New(schema),
		schema:   schema.Schema(),
		present:  presenter{log},
		viewers:  viewers,
		sockets:  defaultSocketBounds,
		census:   newCensus(),
		log:      log,
		stopping: stopping,
	}
	a.exec.SetErrorPresenter(a.present.present)
	a.exec.SetRecoverFunc(recovered)
	a.exec.SetQueryCache(smallDocuments{lru.New[*ast.QueryDocument](cachedDocuments)})
	a.exec.SetParserTokenLimit(maxTokens + 1) // documentLimit says it better; this holds if it ever misses one
	a.exec.SetDisableSuggestion(true)         // a visitor may not read the schema, nor guess it from "did you mean"
	a.exec.Use(documentLimit{})
	a.exec.Use(persistedQueries{extension.AutomaticPersistedQuery{Cache: lru.New[string](cachedDocuments)}})
	a.exec.Use(&operationLimit{})
	a.exec.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		response := next(ctx)
		if response != nil && len(response.Errors) > maxErrors {
			response.Errors = response.Errors[:maxErrors]
		}
		return response
	})
	return a
}

// access lets a root field run or refuses it, as its @access says. gqlgen
// calls it around the resolver, for subscriptions before the stream begins.
func access(ctx context.Context, _ any, next graphql.Resolver, to generated.Access) (any, error) {
	var err error
	switch to {
	case generated.AccessPublic:
	case generated.AccessSignedIn:
		_, err = auth.Require(ctx)
	case generated.AccessAdmin:
		_, err = auth.RequireAdmin(ctx)
	default:
		err = fault.New(fault.Forbidden, "Nobody may do this.")
	}
	if err == nil {
		err = restricted(ctx, to)
	}
	if err != nil {
		return nil, err
	}
	return next(ctx)
}

// beforeChange are the fields that whoever has a one-time password may use,
// beside those for everybody.
var beforeChange = []string{"changePassword", "logout"}

// restricted refuses callers who may do less than their role allows: those with
// a token that only reads, and those with a one-time password.
func restricted(ctx context.Context, to generated.Access) error {
	v, field := auth.Of(ctx), graphql.GetFieldContext(ctx)
	switch {
	case v.ReadOnly && field.Object == "Mutation":
		return fault.New(fault.Forbidden, "This access token only reads.").With("reason", "READ_ONLY")
	case v.MustChange && to != generated.AccessPublic && !slices.Contains(beforeChange, field.Field.Name):
		return fault.New(fault.Forbidden, "Your password is a one-time password. Change it first.").With("reason", "PASSWORD_CHANGE_REQUIRED")
	}
	return nil
}

// ServeHTTP picks the transport. The request carries its viewer already.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isWebSocket(r):
		a.serveSocket(w, r)
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST, OPTIONS")
		refuse(w, r, http.StatusMethodNotAllowed, fault.New(fault.BadUserInput, "GraphQL is asked by GET or POST."))
	default:
		media := negotiate(r)
		if media == "" {
			refuse(w, r, http.StatusNotAcceptable, fault.New(fault.BadUserInput,
				"Answers are %s, %s or %s; the Accept header takes none of them.", typeGraphQL, typeJSON, typeEvents))
			return
		}
		params, f, status := a.read(w, r)
		if f != nil {
			refuse(w, r, status, f)
			return
		}
		if media == typeEvents {
			a.serveEvents(w, r, params)
			return
		}
		a.serveOnce(w, r, params, media)
	}
}

// sdl is the schema as it is written.
func (a *api) sdl() string {
	var text strings.Builder
	seen := map[*ast.Source]bool{}
	for _, definition := range []*ast.Definition{a.schema.Query, a.schema.Mutation, a.schema.Subscription} {
		if source := definition.Position.Src; !seen[source] {
			seen[source] = true
			text.WriteString(source.Input)
		}
	}
	return text.String()
}

// smallDocuments is a cache that large documents do not enter.
type smallDocuments struct {
	graphql.Cache[*ast.QueryDocument]
}

func (c smallDocuments) Add(ctx context.Context, key string, document *ast.QueryDocument) {
	if len(key) <= maxCachedDocument {
		c.Cache.Add(ctx, key, document)
	}
}

// persistedQueries gives a code to what the extension refuses without one.
type persistedQueries struct {
	extension.AutomaticPersistedQuery
}

func (p persistedQueries) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	err := p.AutomaticPersistedQuery.MutateOperationParameters(ctx, params)
	switch {
	case err != nil && code(err) == "":
		return requestError(fault.New(fault.BadUserInput, "The persisted query is not understood: %s.", cut(err.Message)))
	case err == nil && params.Query == "":
		return requestError(fault.New(fault.BadUserInput, "A query is missing."))
	}
	return err
}
