package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

// maxErrors is how many errors one answer carries at most.
const maxErrors = 20

func init() {
	// What refuses an operation before it runs is a request error: status 400
	// for the media type that has statuses, `error` on sockets. gqlgen asks
	// this table only about such errors, never about a resolver's.
	for _, code := range []fault.Code{
		fault.BadUserInput, fault.QueryTooComplex, fault.Unauthenticated, fault.Forbidden, fault.RateLimited, fault.Internal,
	} {
		errcode.RegisterErrorType(string(code), errcode.KindProtocol)
	}
}

// presenter makes of every error what a user may read. It is the only place
// that does: what is not a fault is logged here and told as INTERNAL.
type presenter struct{ log *slog.Logger }

func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	shown, known := err.(*gqlerror.Error) //nolint:errorlint // the outermost one holds the path and the place
	if !known {
		shown = &gqlerror.Error{Err: err, Path: graphql.GetPath(ctx)}
	}
	out := &gqlerror.Error{Path: shown.Path, Locations: shown.Locations}
	if out.Path == nil && graphql.GetFieldContext(ctx) != nil {
		out.Path = graphql.GetPath(ctx)
	}

	var f *fault.Fault
	switch {
	case errors.As(err, &f):
	case ent.IsNotFound(err):
		f = fault.New(fault.NotFound, "There is no such thing that you may see.").Because(err)
	case code(shown) == errcode.ValidationFailed && isVariable(shown.Path):
		// the path names the variable, not a place in the answer
		f, out.Path = badVariable(shown), nil
	case code(shown) != "":
		out.Message, out.Extensions = cut(shown.Message), shown.Extensions
		return out
	case badArgument(ctx, shown) != nil:
		f, out.Path = badArgument(ctx, shown), graphql.GetPath(ctx)
	default:
		f = fault.Of(err)
	}
	p.note(ctx, f, out.Path)
	out.Message, out.Extensions = publish(ctx, f)
	return out
}

// note writes to the operator's log what the user does not hear.
func (p presenter) note(ctx context.Context, f *fault.Fault, path ast.Path) {
	cause := f.Unwrap()
	switch {
	case errors.Is(cause, context.Canceled):
		p.log.DebugContext(ctx, "given up by the caller", "path", path.String(), "request", auth.Of(ctx).RequestID)
	case f.Code == fault.Internal:
		p.log.ErrorContext(ctx, "internal error", "error", f.Error(), "path", path.String(), "request", auth.Of(ctx).RequestID)
	case cause != nil:
		p.log.InfoContext(ctx, "refused", "error", f.Error(), "path", path.String(), "request", auth.Of(ctx).RequestID)
	}
}

// publish is what goes out of a fault: its message and its extensions.
func publish(ctx context.Context, f *fault.Fault) (string, map[string]any) {
	extensions := make(map[string]any, len(f.Details)+2)
	for key, value := range f.Details {
		extensions[key] = value
	}
	extensions["code"] = f.Code
	if len(f.Violations) > 0 {
		extensions["violations"] = f.Violations
	}
	if f.Code == fault.Internal {
		extensions["requestId"] = auth.Of(ctx).RequestID
		return "Something went wrong on our side.", extensions
	}
	return f.Message, extensions
}

// recovered turns a resolver's panic into an error; the presenter logs it.
func recovered(_ context.Context, v any) error {
	return fmt.Errorf("panic: %v\n%s", v, debug.Stack())
}

// requestError makes of a fault the form in which gqlgen's extensions refuse
// an operation.
func requestError(f *fault.Fault) *gqlerror.Error {
	return &gqlerror.Error{Err: f, Message: f.Message, Extensions: map[string]any{"code": string(f.Code)}}
}

func code(err *gqlerror.Error) string {
	text, _ := err.Extensions["code"].(string)
	return text
}

func isVariable(path ast.Path) bool {
	return len(path) > 1 && path[0] == ast.PathName("variable")
}

// badVariable says what a variable's value breaks: field "memoryLimit" of
// whatever variable holds the input, or the variable itself.
func badVariable(err *gqlerror.Error) *fault.Fault {
	path := err.Path[1:]
	if len(path) > 1 {
		path = path[1:]
	}
	return badType(path, err.Message)
}

// badArgument is not nil when err comes from reading the arguments of the
// field in ctx: its path then goes on, from the field, into an argument.
func badArgument(ctx context.Context, err *gqlerror.Error) *fault.Fault {
	fc := graphql.GetFieldContext(ctx)
	if fc == nil || fc.Field.Field == nil || fc.Field.Definition == nil {
		return nil
	}
	here := len(graphql.GetPath(ctx))
	if len(err.Path) <= here {
		return nil
	}
	rest := err.Path[here:]
	name, ok := rest[0].(ast.PathName)
	if !ok || fc.Field.Definition.Arguments.ForName(string(name)) == nil {
		return nil
	}
	if name == "input" && len(rest) > 1 {
		rest = rest[1:]
	}
	return badType(rest, err.Message)
}

func badType(path ast.Path, message string) *fault.Fault {
	steps := make([]string, len(path))
	for i, step := range path {
		switch step := step.(type) {
		case ast.PathName:
			steps[i] = string(step)
		case ast.PathIndex:
			steps[i] = strconv.Itoa(int(step))
		}
	}
	field := cut(strings.Join(steps, "."))
	var check fault.Check
	check.That(false, field, "type", "%s: %s.", field, strings.TrimSuffix(cut(message), "."))
	return fault.Of(check.Err())
}

// cut keeps what a caller sent from coming back at full length.
func cut(text string) string {
	const most = 300
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// refuse answers outside of GraphQL in GraphQL's form, so that one client
// reads every refusal alike.
func refuse(w http.ResponseWriter, r *http.Request, status int, f *fault.Fault) {
	message, extensions := publish(r.Context(), f)
	body, err := json.Marshal(map[string]any{"errors": gqlerror.List{{Message: message, Extensions: extensions}}})
	if err != nil { // details are plain values
		body = []byte(`{"errors":[{"message":"Something went wrong on our side.","extensions":{"code":"INTERNAL"}}]}`)
	}
	media := typeJSON
	if negotiate(r) == typeGraphQL {
		media = typeGraphQL
	}
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
