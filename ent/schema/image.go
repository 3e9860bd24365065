package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// Image is what containers are made of.
type Image struct{ ent.Schema }

// Fields of the Image.
func (Image) Fields() []ent.Field {
	return []ent.Field{
		typeID("img"),
		field.String("owner_id").Optional().Nillable().Immutable().Comment("None: it came with the installation."),
		field.String("reference").Comment("Normalised, as it was pulled."),
		field.String("requested_reference").Immutable().Comment("As the user wrote it."),
		field.Bool("prefer_slim").Default(false),
		field.Bool("used_fallback").Default(false),
		field.String("digest").Optional().Nillable(),
		field.String("engine_id").Optional().Nillable().Comment("The engine's content id."),
		field.Int64("size").GoType(record.Bytes(0)).Optional().Nillable(),
		field.Enum("source").NamedValues("Pull", "PULL", "Build", "BUILD", "Commit", "COMMIT").Default("PULL"),
		field.Enum("status").
			NamedValues("Pending", "PENDING", "Pulling", "PULLING", "Building", "BUILDING", "Ready", "READY", "Failed", "FAILED", "Cancelled", "CANCELLED", "Deleting", "DELETING").
			Default("PENDING"),
		field.String("status_message").Optional().Nillable(),
		field.Enum("visibility").NamedValues("Private", "PRIVATE", "Public", "PUBLIC").Default("PRIVATE"),
		field.Int64("min_cpu").GoType(record.Cores(0)).Default(10),
		field.Int64("min_memory").GoType(record.Bytes(0)),
		field.Int("min_gpu").Default(0),
		field.Bool("update_available").Default(false).Comment("The registry's tag has moved on since, as last looked."),
		field.String("base_reference").Optional().Nillable().Comment("What a build began from, normalised, where it is a reference."),
		field.String("base_digest").Optional().Nillable().Comment("The registry's digest of that, as the build had it."),
		field.Time("checked_at").Optional().Nillable().Comment("When the registry was last asked for the tag's digest."),
		field.String("dockerfile").Optional().Nillable().Comment("What it is built from; none unless it is built."),
		field.JSON("form", &record.BuildForm{}).Optional().Comment("What the form said that the Dockerfile was made from."),
		field.JSON("layers", []record.Layer{}).Optional().Comment("What it is made of, newest first."),
		field.String("committed_from_id").Optional().Nillable().Immutable().Comment("The container that it was saved from; it may be gone."),
		field.Time("last_used_at").Optional().Nillable().Comment("When a container was last made or started of it."),
		createdAt(),
	}
}

// Edges of the Image.
func (Image) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("owner", User.Type).Ref("images").Field("owner_id").Unique().Immutable(),
		edge.To("containers", Container.Type),
		edge.To("shares", ImageShare.Type).Annotations(cascade()),
		edge.To("lines", ImageLine.Type).Annotations(cascade()),
	}
}

// Indexes of the Image: the orders and filters of the images connection.
func (Image) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"),
		index.Fields("status", "created_at", "id"),
		index.Fields("owner_id", "created_at", "id"),
		index.Fields("owner_id", "status", "created_at", "id"),
		index.Fields("visibility", "created_at", "id"),
		index.Fields("reference", "id"),
	}
}
