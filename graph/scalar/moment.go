package scalar

import (
	"io"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// Moment is an instant that names something, and so is written to the nanosecond.
type Moment time.Time

// momentLayout has always nine digits, so that the texts sort as the instants do.
const momentLayout = "2006-01-02T15:04:05.000000000Z07:00"

// MarshalMoment writes it in UTC with nine digits.
func MarshalMoment(m Moment) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = io.WriteString(w, strconv.Quote(time.Time(m).UTC().Format(momentLayout)))
	})
}

// UnmarshalMoment reads RFC 3339.
func UnmarshalMoment(v any) (Moment, error) {
	t, err := UnmarshalTime(v)
	return Moment(t), err
}
