package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ContainerEvent is one line of a container's timeline.
type ContainerEvent struct{ ent.Schema }

// Fields of the ContainerEvent.
func (ContainerEvent) Fields() []ent.Field {
	return []ent.Field{
		typeID("evt"),
		field.String("container_id").Immutable(),
		field.Time("at").Immutable().Default(utcNow),
		field.String("kind").Immutable().Comment("A stable word for programs: create, start, running, exited, …"),
		field.String("message").Immutable(),
		field.String("actor_id").Optional().Nillable().Immutable().Comment("Who asked for it; none for what the engine or the reconciler did."),
	}
}

// Edges of the ContainerEvent.
func (ContainerEvent) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("container", Container.Type).Ref("events").Field("container_id").Unique().Required().Immutable(),
		edge.To("actor", User.Type).Field("actor_id").Unique().Immutable().Annotations(setNull()),
	}
}

// Indexes of the ContainerEvent.
func (ContainerEvent) Indexes() []ent.Index {
	return []ent.Index{index.Fields("container_id", "at", "id")}
}
