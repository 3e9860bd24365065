package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// UsageRecord is one reservation that was given back: who held what, how long.
// It has no edges: it outlives the container.
type UsageRecord struct{ ent.Schema }

// Fields of the UsageRecord.
func (UsageRecord) Fields() []ent.Field {
	return []ent.Field{
		typeID("use"),
		field.String("owner_id").Immutable(),
		field.String("container_id").Immutable(),
		field.String("container").Immutable().Comment("The name it had."),
		field.String("image").Immutable().Comment("The image's reference."),
		field.Int64("cpu").GoType(record.Cores(0)).Immutable(),
		field.Int64("memory").GoType(record.Bytes(0)).Immutable(),
		field.Int("gpu").Immutable(),
		field.Time("from").Immutable(),
		field.Time("to").Immutable(),
	}
}

// Indexes of the UsageRecord.
func (UsageRecord) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("owner_id", "to"),
		index.Fields("to"),
	}
}
