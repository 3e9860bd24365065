package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Terminal is a terminal that is open in a container. The server that opened it
// holds it; a row that a new server finds tells of one to clear away.
type Terminal struct{ ent.Schema }

// Fields of the Terminal.
func (Terminal) Fields() []ent.Field {
	return []ent.Field{
		typeID("trm"),
		field.String("container_id").Immutable(),
		field.String("user_id").Immutable().Comment("Who opened it."),
		field.String("name").Immutable(),
		field.String("command").Default(""),
		field.String("engine_id").Default("").Comment("What the engine calls it; empty until it has begun."),
		field.Time("opened_at").Immutable().Default(utcNow),
	}
}

// Edges of the Terminal.
func (Terminal) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("container", Container.Type).Ref("terminals").Field("container_id").Unique().Required().Immutable(),
		edge.From("user", User.Type).Ref("terminals").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of the Terminal.
func (Terminal) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("container_id", "name").Unique(),
		index.Fields("user_id"),
	}
}
