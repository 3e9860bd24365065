package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// StatsChunk is a stretch of what a container used, packed by internal/monitor,
// which alone knows how.
type StatsChunk struct{ ent.Schema }

// Fields of the StatsChunk.
func (StatsChunk) Fields() []ent.Field {
	return []ent.Field{
		typeID("sts"),
		field.String("container_id").Immutable(),
		field.Int("step").Immutable().Comment("Seconds that one value stands for."),
		field.Time("from").Immutable().Comment("When its first value begins."),
		field.Time("to").Comment("When its last value ends."),
		field.Bytes("data"),
	}
}

// Edges of the StatsChunk.
func (StatsChunk) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("container", Container.Type).Ref("stats_chunks").Field("container_id").Unique().Required().Immutable(),
	}
}

// Indexes of the StatsChunk.
func (StatsChunk) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("container_id", "step", "from").Unique(),
		index.Fields("step", "to"),
	}
}
