package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// AuditEvent is who did what. It has no edges: it outlives what it tells of.
type AuditEvent struct{ ent.Schema }

// Fields of the AuditEvent.
func (AuditEvent) Fields() []ent.Field {
	return []ent.Field{
		typeID("aud"),
		field.Time("at").Immutable().Default(utcNow),
		field.String("actor_id").Optional().Nillable().Immutable(),
		field.String("actor_name").Immutable(),
		field.String("action").Immutable(),
		field.String("target").Optional().Nillable().Immutable(),
		field.String("target_name").Optional().Nillable().Immutable(),
		field.Enum("outcome").NamedValues("Allowed", "ALLOWED", "Denied", "DENIED", "Failed", "FAILED").Immutable(),
		field.String("ip").Optional().Nillable().Immutable(),
		field.String("detail").Optional().Nillable().Immutable(),
		field.String("request_id").Optional().Nillable().Immutable(),
	}
}

// Indexes of the AuditEvent.
func (AuditEvent) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("at", "id"),
		index.Fields("actor_id", "at", "id"),
		index.Fields("target", "at", "id"),
	}
}
