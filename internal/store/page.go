package store

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/mlride/mlride/internal/fault"
)

// The bounds of a page.
const (
	DefaultPage = 20
	MaxPage     = 100
	// CountBound is where counting stops: a total above it is told as CountBound + 1.
	CountBound = 1000
)

// Page asks for a part of a list: at most one of First and Last, and a place
// (After, Before) taken from an earlier page.
type Page struct {
	First, Last   *int
	After, Before *string
}

// Order is the column that a list is ordered by; the id always decides between
// equal rows, so that no row is shown twice or left out between pages.
type Order struct {
	Column string
	Desc   bool
}

// Slice is a part of a list, in order.
type Slice[T any] struct {
	Items                []T
	Cursors              []string
	HasNext, HasPrevious bool
}

// Fetch runs one generated query with the page's conditions added:
// func(add) { return q.Where(add).All(ctx) }.
type Fetch[T any] func(add func(*sql.Selector)) ([]T, error)

// Paginate reads one page by keyset: it costs the same on the thousandth page
// as on the first. key gives a row's order value and id.
func Paginate[T any](p Page, o Order, key func(T) (any, string), fetch Fetch[T]) (Slice[T], error) {
	var slice Slice[T]
	n, backwards, err := p.size()
	if err != nil {
		return slice, err
	}
	after, err := parseCursor("after", p.After, o.Column)
	if err != nil {
		return slice, err
	}
	before, err := parseCursor("before", p.Before, o.Column)
	if err != nil {
		return slice, err
	}
	if n == 0 {
		return slice, nil
	}
	desc := o.Desc != backwards // a last page is read from its end
	rows, err := fetch(func(s *sql.Selector) {
		if after != nil {
			s.Where(beyond(s, o.Column, after, !o.Desc))
		}
		if before != nil {
			s.Where(beyond(s, o.Column, before, o.Desc))
		}
		for _, column := range []string{o.Column, "id"} {
			if desc {
				s.OrderBy(sql.Desc(s.C(column)))
			} else {
				s.OrderBy(sql.Asc(s.C(column)))
			}
		}
		s.Limit(n + 1)
	})
	if err != nil {
		return slice, err
	}
	more := len(rows) > n
	if more {
		rows = rows[:n]
	}
	if backwards {
		slices.Reverse(rows)
		slice.HasPrevious, slice.HasNext = more, before != nil
	} else {
		slice.HasNext, slice.HasPrevious = more, after != nil
	}
	slice.Items = rows
	slice.Cursors = make([]string, len(rows))
	for i, row := range rows {
		value, id := key(row)
		slice.Cursors[i] = formatCursor(o.Column, value, id)
	}
	return slice, nil
}

// size is how many rows are asked for, and whether from the end.
func (p Page) size() (n int, backwards bool, err error) {
	var check fault.Check
	check.That(p.First == nil || p.Last == nil, "last", "exclusive", "Give first or last, not both.")
	n = DefaultPage
	if p.First != nil {
		n = *p.First
		check.That(n >= 0 && n <= MaxPage, "first", "range", "first takes 0 to %d.", MaxPage)
	}
	if p.Last != nil {
		n, backwards = *p.Last, true
		check.That(n >= 0 && n <= MaxPage, "last", "range", "last takes 0 to %d.", MaxPage)
	}
	return n, backwards, check.Err()
}

// place is what a cursor says: which order it belongs to, and where.
type place struct {
	Column string `json:"c"`
	Value  any    `json:"v"`
	ID     string `json:"i"`
	Time   bool   `json:"t,omitempty"`
}

func formatCursor(column string, value any, id string) string {
	p := place{Column: column, Value: value, ID: id}
	switch v := value.(type) {
	case time.Time:
		p.Value, p.Time = v.UTC().Format(time.RFC3339Nano), true
	case *time.Time:
		p.Value, p.Time = nil, false
		if v != nil {
			p.Value, p.Time = v.UTC().Format(time.RFC3339Nano), true
		}
	}
	text, err := json.Marshal(p)
	if err != nil { // only strings, numbers and times are ordered by
		panic(fmt.Sprintf("store: cursor of %T: %v", value, err))
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseCursor(field string, cursor *string, column string) (*place, error) {
	if cursor == nil {
		return nil, nil
	}
	var check fault.Check
	var p place
	text, err := base64.RawURLEncoding.DecodeString(*cursor)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err == nil && p.Time {
		var t time.Time
		written, _ := p.Value.(string)
		t, err = time.Parse(time.RFC3339Nano, written)
		p.Value = t.UTC()
	}
	check.That(err == nil && p.ID != "" && p.Column == column, field, "cursor",
		"%s takes a cursor of this list in this order, as an edge or pageInfo gave it.", field)
	if err := check.Err(); err != nil {
		return nil, err
	}
	return &p, nil
}

// beyond holds for the rows that come after the place, up or down.
func beyond(s *sql.Selector, column string, p *place, up bool) *sql.Predicate {
	value, id := s.C(column), s.C("id")
	if p.Value == nil { // SQLite orders NULL before everything
		if up {
			return sql.Or(sql.NotNull(value), sql.And(sql.IsNull(value), sql.GT(id, p.ID)))
		}
		return sql.And(sql.IsNull(value), sql.LT(id, p.ID))
	}
	if up {
		return sql.CompositeGT([]string{value, id}, p.Value, p.ID)
	}
	smaller := sql.CompositeLT([]string{value, id}, p.Value, p.ID)
	if column == "id" || !nullable[column] {
		return smaller
	}
	return sql.Or(smaller, sql.IsNull(value))
}

// nullable are the order columns that may be empty.
var nullable = map[string]bool{"last_seen_at": true, "size": true}
