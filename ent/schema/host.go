package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"

	"github.com/mlride/mlride/ent/record"
)

// Host is the machine that the engine runs on: what it has, as the engine last
// said, and what of it is reserved. One row for each engine; today there is one.
type Host struct{ ent.Schema }

// Fields of the Host.
func (Host) Fields() []ent.Field {
	return []ent.Field{
		typeID("host"),
		field.String("name").Unique(),
		field.Int64("cpu").GoType(record.Cores(0)).Default(0).Comment("Capacity as the engine last said; 0 until it has been reached once."),
		field.Int64("memory").GoType(record.Bytes(0)).Default(0),
		field.Int("gpu").Default(0),
		field.Time("engine_boot").Optional().Nillable().Comment("When the engine began, as it was last seen: tells whether it restarted while nobody looked."),
		// The ledger. Written only by internal/quota, in the transaction of the cause.
		field.Int64("used_cpu").GoType(record.Cores(0)).Default(0),
		field.Int64("used_memory").GoType(record.Bytes(0)).Default(0),
		field.Int("used_gpu").Default(0),
	}
}
