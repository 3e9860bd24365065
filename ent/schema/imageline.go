package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ImageLine is one line of the log of an image's last pull or build.
type ImageLine struct{ ent.Schema }

// Fields of the ImageLine.
func (ImageLine) Fields() []ent.Field {
	return []ent.Field{
		typeID("iml"),
		field.String("image_id").Immutable(),
		field.Int("number").Immutable().Comment("Its place in the log, from 1, without a gap."),
		field.String("text").Immutable(),
		field.Time("at").Immutable(),
	}
}

// Edges of the ImageLine.
func (ImageLine) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("image", Image.Type).Ref("lines").Field("image_id").Unique().Required().Immutable(),
	}
}

// Indexes of the ImageLine.
func (ImageLine) Indexes() []ent.Index {
	return []ent.Index{index.Fields("image_id", "number").Unique()}
}
