package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// QuotaRequest is a person's request for more quota.
type QuotaRequest struct{ ent.Schema }

// Fields of the QuotaRequest.
func (QuotaRequest) Fields() []ent.Field {
	return []ent.Field{
		typeID("qreq"),
		field.String("user_id").Immutable(),
		field.JSON("limits", &record.Limits{}).Immutable(),
		field.String("reason").Optional().Nillable().Immutable(),
		field.Enum("status").
			NamedValues("Open", "OPEN", "Granted", "GRANTED", "Declined", "DECLINED", "Replaced", "REPLACED").
			Default("OPEN"),
		field.String("answer").Optional().Nillable(),
		field.Time("decided_at").Optional().Nillable(),
		createdAt(),
	}
}

// Edges of the QuotaRequest.
func (QuotaRequest) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("quota_requests").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes of the QuotaRequest: the order and filters of the quotaRequests connection.
func (QuotaRequest) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"),
		index.Fields("status", "created_at", "id"),
		index.Fields("user_id", "created_at", "id"),
	}
}
