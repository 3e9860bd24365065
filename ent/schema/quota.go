package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"

	"github.com/mlride/mlride/ent/record"
)

// Quota is what one person may use, and what of it is taken.
type Quota struct{ ent.Schema }

// Fields of the Quota.
func (Quota) Fields() []ent.Field {
	return []ent.Field{
		typeID("quo"),
		field.String("user_id").Unique().Immutable(),
		field.Int("max_containers"),
		field.Int64("max_cpu").GoType(record.Cores(0)),
		field.Int64("max_memory").GoType(record.Bytes(0)),
		field.Int("max_gpu"),
		field.Int("max_images"),
		field.Int("max_volumes"),
		field.Int64("max_disk").GoType(record.Bytes(0)),
		// The ledger. Written only by internal/quota, in the transaction of the cause.
		field.Int("used_containers").Default(0),
		field.Int64("used_cpu").GoType(record.Cores(0)).Default(0),
		field.Int64("used_memory").GoType(record.Bytes(0)).Default(0),
		field.Int("used_gpu").Default(0),
		field.Int("used_images").Default(0),
		field.Int("used_volumes").Default(0),
		field.Time("updated_at").Default(utcNow).Comment("When a limit last changed."),
	}
}

// Edges of the Quota.
func (Quota) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("quota").Field("user_id").Unique().Required().Immutable(),
	}
}
