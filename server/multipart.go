package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

const (
	typeMultipart = "multipart/form-data"
	// maxMultipart is the bytes of a request with files: the largest picture, and
	// the operation beside it.
	maxMultipart = account.MaxAvatar + maxBody
	// maxFiles is how many files one request brings.
	maxFiles = 4
)

// preflighted says whether a request carries a header that a foreign page could
// not send without asking first: a form can be posted from anywhere.
func preflighted(r *http.Request) bool {
	return r.Header.Get("Apollo-Require-Preflight") != "" || r.Header.Get("X-Requested-With") != ""
}

// readMultipart takes the parameters out of a request as the GraphQL multipart
// request specification says: operations, map, files.
func readMultipart(w http.ResponseWriter, r *http.Request, boundary string, params *graphql.RawParams) (*fault.Fault, int) {
	if !preflighted(r) {
		return fault.New(fault.Forbidden, "A multipart request needs the header Apollo-Require-Preflight or X-Requested-With."), http.StatusForbidden
	}
	limit := int64(maxMultipart)
	if !auth.Of(r.Context()).SignedIn() {
		limit = maxBody // a visitor has nothing to upload
	}
	clock := http.NewResponseController(w)
	_ = clock.SetReadDeadline(time.Now().Add(bodyTime))
	f, status := readParts(multipart.NewReader(http.MaxBytesReader(w, r.Body, limit), boundary), params)
	_ = clock.SetReadDeadline(time.Time{})
	return f, status
}

func readParts(parts *multipart.Reader, params *graphql.RawParams) (*fault.Fault, int) {
	bad := func(format string, args ...any) (*fault.Fault, int) {
		return fault.New(fault.BadUserInput, format, args...), http.StatusBadRequest
	}
	operations, f, status := part(parts, "operations", maxBody)
	if f != nil {
		return f, status
	}
	if f, status := decodeParams(operations, params); f != nil {
		return f, status
	}
	mapping, f, status := part(parts, "map", 64<<10)
	if f != nil {
		return f, status
	}
	var paths map[string][]string
	if json.Unmarshal(mapping, &paths) != nil {
		return bad("The map takes a JSON object of lists of paths.")
	}
	if len(paths) > maxFiles {
		return bad("At most %d files at once.", maxFiles)
	}
	for range len(paths) {
		next, err := parts.NextPart()
		if err != nil {
			return torn(err, "The map names files that did not come.")
		}
		places, named := paths[next.FormName()]
		if !named || len(places) == 0 {
			return bad("The map does not say where the file %s goes.", cut(next.FormName()))
		}
		delete(paths, next.FormName())
		content, err := io.ReadAll(next)
		if err != nil {
			return torn(err, "The file did not come whole.")
		}
		for _, path := range places {
			upload := graphql.Upload{
				File: bytes.NewReader(content), Filename: next.FileName(), Size: int64(len(content)), ContentType: next.Header.Get("Content-Type"),
			}
			if !fill(params.Variables, path, upload) {
				return bad("The map's path %s points at no variable that is null.", cut(path))
			}
		}
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		return bad("There are more files than the map names.")
	}
	return nil, 0
}

// part reads the next part, which must have that name.
func part(parts *multipart.Reader, name string, limit int64) ([]byte, *fault.Fault, int) {
	next, err := parts.NextPart()
	if err != nil {
		f, status := torn(err, "The part "+name+" is missing.")
		return nil, f, status
	}
	if next.FormName() != name {
		return nil, fault.New(fault.BadUserInput, "The parts are operations, map and then the files; %s is missing.", name), http.StatusBadRequest
	}
	content, err := io.ReadAll(io.LimitReader(next, limit+1))
	if err != nil {
		f, status := torn(err, "The body did not come whole.")
		return nil, f, status
	}
	if int64(len(content)) > limit {
		return nil, fault.New(fault.BadUserInput, "The part %s is larger than %d bytes.", name, limit).With("limit", limit), http.StatusRequestEntityTooLarge
	}
	return content, nil, 0
}

func torn(err error, says string) (*fault.Fault, int) {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return fault.New(fault.BadUserInput, "The body is larger than %d bytes.", large.Limit).With("limit", large.Limit), http.StatusRequestEntityTooLarge
	}
	return fault.New(fault.BadUserInput, "%s", says).Because(err), http.StatusBadRequest
}

// fill puts a file where a path such as variables.input.file or
// variables.files.0 points, which must be there and null.
func fill(variables map[string]any, path string, upload graphql.Upload) bool {
	steps := strings.Split(path, ".")
	if len(steps) < 2 || len(steps) > 8 || steps[0] != "variables" {
		return false
	}
	var at any = variables
	for i, step := range steps[1:] {
		last := i == len(steps)-2
		switch within := at.(type) {
		case map[string]any:
			value, there := within[step]
			if !there {
				return false
			}
			if last {
				within[step] = upload
				return value == nil
			}
			at = value
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(within) {
				return false
			}
			if last {
				empty := within[n] == nil
				within[n] = upload
				return empty
			}
			at = within[n]
		default:
			return false
		}
	}
	return false
}
