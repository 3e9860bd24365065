package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// User is a person who signs in.
type User struct{ ent.Schema }

// Fields of the User.
func (User) Fields() []ent.Field {
	return []ent.Field{
		typeID("user"),
		field.String("username").Comment("As the person wrote it."),
		field.String("username_key").Unique().Comment("The user name in lower case: unique whatever the case."),
		field.String("email").Optional().Nillable(),
		field.String("email_key").Optional().Nillable().Unique().Comment("The address in lower case."),
		field.String("nickname").Optional().Nillable(),
		field.String("password_hash").Sensitive().Comment("argon2id with its parameters."),
		field.Enum("role").NamedValues("User", "USER", "Admin", "ADMIN").Default("USER"),
		field.Bool("must_change_password").Default(false).Comment("The password is a one-time password."),
		field.String("avatar").Optional().Nillable().Comment("The name of the picture's file."),
		field.Time("suspended_at").Optional().Nillable(),
		field.Time("expires_at").Optional().Nillable().Comment("The account ends then."),
		field.Time("deletion_scheduled_at").Optional().Nillable().Comment("The account is deleted, and everything of it goes then."),
		field.Time("last_seen_at").Optional().Nillable(),
		createdAt(),
	}
}

// Edges of the User.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("quota", Quota.Type).Unique().Annotations(cascade()),
		edge.To("sessions", Session.Type).Annotations(cascade()),
		edge.To("access_tokens", AccessToken.Type).Annotations(cascade()),
		edge.To("quota_requests", QuotaRequest.Type).Annotations(cascade()),
		edge.To("invitations", Invitation.Type).Annotations(setNull()),
		edge.To("images", Image.Type).Annotations(setNull()),
		edge.To("image_shares", ImageShare.Type).Annotations(cascade()),
		edge.To("terminals", Terminal.Type).Annotations(cascade()),
		edge.To("containers", Container.Type),
		edge.To("volumes", Volume.Type),
	}
}

// Indexes of the User: the orders and filters of the users connection.
func (User) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"),
		index.Fields("last_seen_at", "id"),
		index.Fields("role", "created_at", "id"),
		index.Fields("deletion_scheduled_at"),
		index.Fields("expires_at"),
	}
}
