package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
)

// Device is a GPU of the machine, and which container has it: one at a time.
// It has no edges, so that forgetting a container needs no care: the ledger
// gives it back in the transaction that gives back the rest.
type Device struct{ ent.Schema }

// Fields of the Device.
func (Device) Fields() []ent.Field {
	return []ent.Field{
		typeID("gpu"),
		field.String("device").Unique().Immutable().Comment("As the engine's runtime knows it: an index or a UUID."),
		field.String("name"),
		field.Bool("present").Default(true).Comment("It was found when the server last looked."),
		field.String("container_id").Optional().Nillable().Comment("Who has it. Written only by internal/quota, with the ledger."),
	}
}
