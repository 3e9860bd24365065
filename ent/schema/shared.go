// Package schema describes the tables: fields, edges, indexes and enums, and
// nothing that runs when a row is read or written. The rules of the house live
// in the features, visibility in internal/store.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"go.jetify.com/typeid"
)

// typeID is the primary key of every table: a prefix that tells the type and a
// UUIDv7, so that ids sort by creation.
func typeID(prefix string) ent.Field {
	return field.String("id").
		Immutable().
		DefaultFunc(func() string { return typeid.Must(typeid.WithPrefix(prefix)).String() })
}

func utcNow() time.Time { return time.Now().UTC() }

func createdAt() ent.Field {
	return field.Time("created_at").Immutable().Default(utcNow)
}

// cascade makes a child go with its parent in the database itself.
func cascade() schema.Annotation { return entsql.OnDelete(entsql.Cascade) }

// setNull keeps the child and forgets the parent.
func setNull() schema.Annotation { return entsql.OnDelete(entsql.SetNull) }
