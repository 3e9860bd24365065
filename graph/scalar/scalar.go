// Package scalar says how values of the API are written and read where the
// stored type does not say it itself.
package scalar

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/mlride/mlride/ent/record"
)

// Node is anything that the API finds by its id.
type Node any

// MarshalTime writes an instant in UTC with milliseconds.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(record.FormatTime(t)))
	})
}

// UnmarshalTime reads RFC 3339.
func UnmarshalTime(v any) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, fmt.Errorf("takes an instant in RFC 3339 such as \"2026-11-24T08:15:00Z\"")
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("takes an instant in RFC 3339 such as \"2026-11-24T08:15:00Z\", not %q", text)
	}
	return t.UTC(), nil
}
