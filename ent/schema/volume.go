package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// Volume is a named folder that outlives the containers that use it.
type Volume struct{ ent.Schema }

// Fields of the Volume.
func (Volume) Fields() []ent.Field {
	return []ent.Field{
		typeID("vol"),
		field.String("owner_id").Immutable(),
		field.String("name"),
		field.String("name_key").Optional().Nillable().Comment("The name while it is taken: none in the trash, where names may repeat."),
		field.Enum("visibility").NamedValues("Private", "PRIVATE", "Public", "PUBLIC").Default("PRIVATE"),
		field.Int64("size").GoType(record.Bytes(0)).Optional().Nillable().Comment("As last measured."),
		field.Time("measured_at").Optional().Nillable(),
		field.Time("deleted_at").Optional().Nillable().Comment("In the trash since."),
		field.Bool("purging").Default(false).Comment("It is being removed for good: nothing brings it back."),
		createdAt(),
	}
}

// Edges of the Volume.
func (Volume) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("owner", User.Type).Ref("volumes").Field("owner_id").Unique().Required().Immutable(),
		edge.To("mounts", Mount.Type),
	}
}

// Indexes of the Volume: the orders and filters of the volumes connection.
func (Volume) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("owner_id", "name_key").Unique(),
		index.Fields("created_at", "id"),
		index.Fields("owner_id", "created_at", "id"),
		index.Fields("deleted_at"),
	}
}
