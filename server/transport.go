package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/mlride/mlride/graph"
	"github.com/mlride/mlride/internal/fault"
)

// The transports are our own, over gqlgen's executor: those of gqlgen answer
// six audits of GraphQL-over-HTTP wrongly, repeat whole bodies in errors and
// logs, and write to a stream after its request has ended.

const (
	typeJSON    = "application/json"
	typeGraphQL = "application/graphql-response+json"
	typeEvents  = "text/event-stream"

	// bodyTime is how long a request's body may take to come.
	bodyTime = 30 * time.Second
	// writeTime is how long one message may take to go.
	writeTime = 30 * time.Second
	// pingEvery keeps streams alive through proxies and notices dead ones.
	pingEvery = 15 * time.Second
)

// negotiate picks the media type of the answer: the best of the Accept header,
// application/json when it does not say, "" when it takes none of ours.
func negotiate(r *http.Request) string {
	accepted := r.Header.Values("Accept")
	if len(accepted) == 0 {
		return typeJSON
	}
	best, quality := "", 0.0
	for part := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		media, parameters, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8") {
			continue
		}
		q := 1.0
		if text, ok := parameters["q"]; ok {
			if q, err = strconv.ParseFloat(text, 64); err != nil {
				continue
			}
		}
		switch media {
		case typeJSON, typeGraphQL, typeEvents:
		case "*/*", "application/*":
			media = typeJSON
		default:
			continue
		}
		if q > quality {
			best, quality = media, q
		}
	}
	return best
}

// read takes the parameters out of a request; a fault with its HTTP status
// when they are not to be had.
func (a *api) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, *fault.Fault, int) {
	params := &graphql.RawParams{Headers: r.Header, ReadTime: graphql.TraceTiming{Start: graphql.Now()}}
	var f *fault.Fault
	status := http.StatusBadRequest
	if r.Method == http.MethodGet {
		f = readURL(r, params)
	} else {
		f, status = readBody(w, r, params)
	}
	if f == nil && params.Query == "" && params.Extensions["persistedQuery"] == nil {
		f, status = fault.New(fault.BadUserInput, "A query is missing."), http.StatusBadRequest
	}
	params.ReadTime.End = graphql.Now()
	return params, f, status
}

func readURL(r *http.Request, params *graphql.RawParams) *fault.Fault {
	values := r.URL.Query()
	params.Query, params.OperationName = values.Get("query"), values.Get("operationName")
	for name, to := range map[string]*map[string]any{"variables": &params.Variables, "extensions": &params.Extensions} {
		if text := values.Get(name); text != "" {
			if err := decode(strings.NewReader(text), to); err != nil {
				return fault.New(fault.BadUserInput, "The parameter %s takes a JSON object.", name)
			}
		}
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request, params *graphql.RawParams) (*fault.Fault, int) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := parameters["charset"]
	if err == nil && media == typeMultipart && parameters["boundary"] != "" {
		return readMultipart(w, r, parameters["boundary"], params)
	}
	if err != nil || media != typeJSON || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return fault.New(fault.BadUserInput, "The body takes Content-Type: application/json, in UTF-8."), http.StatusUnsupportedMediaType
	}
	clock := http.NewResponseController(w)
	_ = clock.SetReadDeadline(time.Now().Add(bodyTime)) // where there is none to set, the listener's holds
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = clock.SetReadDeadline(time.Time{}) // left on, it would end the request as given up
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return fault.New(fault.BadUserInput, "The body is larger than %d bytes.", maxBody).With("limit", maxBody), http.StatusRequestEntityTooLarge
	case err != nil:
		return fault.New(fault.BadUserInput, "The body did not come whole.").Because(err), http.StatusBadRequest
	}
	return decodeParams(body, params)
}

func decodeParams(body []byte, params *graphql.RawParams) (*fault.Fault, int) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		return fault.New(fault.BadUserInput, "One operation at a time: batches are not taken."), http.StatusBadRequest
	}
	// what was sent is not repeated: it may be long, and hold a password
	if err := decode(bytes.NewReader(body), params); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) && kind.Field != "" {
			return fault.New(fault.BadUserInput, "The body's %s takes another type than %s.", kind.Field, kind.Value), http.StatusBadRequest
		}
		return fault.New(fault.BadUserInput, "The body takes one JSON object with query, variables, operationName and extensions."), http.StatusBadRequest
	}
	return nil, 0
}

// decode reads exactly one JSON value, numbers as they are written.
func decode(r io.Reader, to any) error {
	decoder := json.NewDecoder(r)
	decoder.UseNumber()
	if err := decoder.Decode(to); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

// serveOnce answers a query or a mutation.
func (a *api) serveOnce(w http.ResponseWriter, r *http.Request, params *graphql.RawParams, media string) {
	ctx := r.Context()
	if r.Method == http.MethodPost {
		ctx = graph.WithCookies(ctx, a.viewers.cookies(w, r))
	}
	ctx = graphql.StartOperationTrace(ctx)
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")

	operation, errs := a.exec.CreateOperationContext(ctx, params)
	if errs == nil {
		switch operation.Operation.Operation {
		case ast.Subscription:
			errs = gqlerror.List{requestError(fault.New(fault.BadUserInput,
				"Subscriptions go over WebSocket, or with Accept: text/event-stream."))}
		case ast.Mutation:
			if r.Method == http.MethodGet {
				w.Header().Set("Allow", "POST")
				refuse(w, r, http.StatusMethodNotAllowed, fault.New(fault.BadUserInput, "GET takes only queries; send a mutation by POST."))
				return
			}
		case ast.Query:
		}
	}
	status := http.StatusOK
	var response *graphql.Response
	if errs != nil {
		response = a.exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
		if media == typeGraphQL && errcode.GetErrorKind(errs) == errcode.KindProtocol {
			status = http.StatusBadRequest
		}
	} else {
		responses, dispatched := a.exec.DispatchOperation(ctx, operation)
		response = responses(dispatched)
	}
	if response == nil { // the caller has gone
		return
	}
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	encode(buffer, response)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	w.Header().Set("Content-Length", strconv.Itoa(buffer.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(buffer.Bytes())
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// encode writes a response as JSON. The data is JSON already and goes out as
// it is; without execution there is no `data` entry at all.
func encode(buffer *bytes.Buffer, response *graphql.Response) {
	separator := byte('{')
	part := func(name string, value any) {
		text, err := json.Marshal(value)
		if err != nil { // a message or a detail that JSON cannot hold
			text = []byte(`[{"message":"Something went wrong on our side.","extensions":{"code":"INTERNAL"}}]`)
		}
		buffer.WriteByte(separator)
		separator = ','
		fmt.Fprintf(buffer, "%q:%s", name, text)
	}
	if len(response.Errors) > 0 {
		part("errors", response.Errors)
	}
	if len(response.Data) > 0 {
		buffer.WriteByte(separator)
		separator = ','
		buffer.WriteString(`"data":`)
		buffer.Write(response.Data)
	}
	if len(response.Extensions) > 0 {
		part("extensions", response.Extensions)
	}
	if separator == '{' {
		buffer.WriteByte('{')
	}
	buffer.WriteByte('}')
}

// serveEvents answers any operation as server-sent events, one connection
// each: `next` for every result, then `complete`. It ends within a second of
// the sign-in, and without `complete` when the server stops, so that a client
// comes back.
func (a *api) serveEvents(w http.ResponseWriter, r *http.Request, params *graphql.RawParams) {
	leave, ok := a.census.enter("events "+a.viewers.owner(r), maxStreams)
	if !ok {
		refuse(w, r, http.StatusTooManyRequests, fault.New(fault.RateLimited,
			"There are %d open streams already; close some first.", maxStreams).With("limit", maxStreams))
		return
	}
	defer leave()
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	stream := &eventStream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", typeEvents+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // or nginx holds events back
	stream.send(":\n\n")

	var watching sync.WaitGroup
	defer watching.Wait() // nothing may be written once the request has ended
	defer cancel(nil)
	watching.Go(func() {
		a.viewers.watch(ctx, r, a.stopping, func() { stream.send(": ping\n\n") }, cancel)
	})

	traced := graphql.StartOperationTrace(ctx)
	operation, errs := a.exec.CreateOperationContext(traced, params)
	if errs == nil && operation.Operation.Operation == ast.Mutation && r.Method == http.MethodGet {
		errs = gqlerror.List{requestError(fault.New(fault.BadUserInput, "GET takes no mutations; send them by POST."))}
	}
	if errs != nil {
		stream.next(a.exec.DispatchError(graphql.WithOperationContext(traced, operation), errs))
	} else {
		responses, dispatched := a.exec.DispatchOperation(traced, operation)
		for response := responses(dispatched); response != nil; response = responses(dispatched) {
			stream.next(response)
			if operation.Operation.Operation != ast.Subscription {
				break
			}
		}
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSignedOut):
		message, extensions := publish(r.Context(), fault.New(fault.Unauthenticated, "The sign-in has ended. Sign in again."))
		stream.next(&graphql.Response{Errors: gqlerror.List{{Message: message, Extensions: extensions}}})
	case cause != nil:
		return
	}
	stream.send("event: complete\ndata:\n\n")
}

// eventStream writes events from several goroutines.
type eventStream struct {
	mu      sync.Mutex
	w       io.Writer
	control *http.ResponseController
}

func (s *eventStream) next(response *graphql.Response) {
	var text bytes.Buffer
	encode(&text, response)
	s.send("event: next\ndata: " + text.String() + "\n\n")
}

// send writes and flushes. A reader that is gone ends the request's context.
func (s *eventStream) send(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTime))
	_, _ = io.WriteString(s.w, text)
	_ = s.control.Flush()
}
