package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Mount is a volume in a container.
type Mount struct{ ent.Schema }

// Fields of the Mount.
func (Mount) Fields() []ent.Field {
	return []ent.Field{
		typeID("mnt"),
		field.String("container_id").Immutable(),
		field.String("volume_id").Immutable(),
		field.String("path").Immutable().Comment("Absolute and clean, inside the container."),
		field.Bool("read_only").Default(false).Immutable(),
	}
}

// Edges of the Mount.
func (Mount) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("container", Container.Type).Ref("mounts").Field("container_id").Unique().Required().Immutable(),
		edge.From("volume", Volume.Type).Ref("mounts").Field("volume_id").Unique().Required().Immutable(),
	}
}

// Indexes of the Mount.
func (Mount) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("container_id", "path").Unique(),
		index.Fields("volume_id"),
	}
}
