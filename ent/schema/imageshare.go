package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ImageShare is a person whom an image's owner shows it to.
type ImageShare struct{ ent.Schema }

// Fields of the ImageShare.
func (ImageShare) Fields() []ent.Field {
	return []ent.Field{
		typeID("shr"),
		field.String("image_id").Immutable(),
		field.String("user_id").Immutable(),
		createdAt(),
	}
}

// Edges of the ImageShare.
func (ImageShare) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("image", Image.Type).Ref("shares").Field("image_id").Unique().Required().Immutable(),
		edge.From("user", User.Type).Ref("image_shares").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of the ImageShare.
func (ImageShare) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("image_id", "user_id").Unique(),
		index.Fields("user_id"),
	}
}
