package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// Invitation lets whoever has its code make an account.
type Invitation struct{ ent.Schema }

// Fields of the Invitation.
func (Invitation) Fields() []ent.Field {
	return []ent.Field{
		typeID("inv"),
		field.String("code_hash").Unique().Immutable().Sensitive().Comment("SHA-256 of the code; the code itself is never stored."),
		field.String("note").Optional().Nillable().Immutable(),
		field.Int("uses").Default(0),
		field.Int("max_uses").Immutable(),
		field.Time("expires_at").Optional().Nillable().Immutable(),
		field.JSON("quota", &record.Limits{}).Optional().Immutable().Comment("Instead of the default quota's limits."),
		field.String("created_by_id").Optional().Nillable().Immutable(),
		createdAt(),
	}
}

// Edges of the Invitation.
func (Invitation) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("created_by", User.Type).Ref("invitations").Field("created_by_id").Unique().Immutable(),
	}
}

// Indexes of the Invitation: the order of the invitations connection.
func (Invitation) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"),
	}
}
