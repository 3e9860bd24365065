package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"github.com/mlride/mlride/ent/record"
)

// Container is one container that somebody asked for. Wish (desired, run) and
// fact (observed, observed_run) are columns of their own, each with one writer.
type Container struct{ ent.Schema }

// Fields of the Container.
func (Container) Fields() []ent.Field {
	return []ent.Field{
		typeID("ctr"),
		field.String("name"),
		field.String("owner_id").Immutable(),
		field.String("image_id").Immutable(),

		field.Enum("desired").
			NamedValues("Running", "RUNNING", "Paused", "PAUSED", "Stopped", "STOPPED", "Removed", "REMOVED").
			Comment("What is wanted. Written by the verbs, and by observe when a run ends by itself."),
		field.Int("run").Default(0).Comment("Number of the run that is wanted; each start and restart raises it."),
		field.Enum("observed").
			NamedValues("Absent", "ABSENT", "Created", "CREATED", "Running", "RUNNING", "Paused", "PAUSED", "Exited", "EXITED", "Lost", "LOST").
			Default("ABSENT").
			Comment("What the engine last showed. Written only by observe."),
		field.Int("observed_run").Default(0).Comment("Number of the run that observed tells of; 0 before the first."),
		field.String("engine_started_at").Default("").Comment("The engine's start time of the run that was last seen: tells one run from the next."),
		field.Bool("queued").Default(false).Comment("It waits for room on the machine: wanted running, and nothing reserved yet."),
		field.Time("queued_at").Optional().Nillable().Comment("Since when it waits."),
		field.Int("queue_position").Optional().Nillable().Comment("From 1, as last worked out; none unless it waits."),
		field.Bool("failed").Default(false).Comment("It could not be made or started, and is not tried again until its owner asks."),
		field.Enum("status").
			NamedValues("Pending", "PENDING", "Queued", "QUEUED", "Created", "CREATED", "Starting", "STARTING", "Running", "RUNNING", "Paused", "PAUSED", "Stopping", "STOPPING", "Exited", "EXITED", "Failed", "FAILED", "Lost", "LOST", "Removing", "REMOVING").
			Default("PENDING").
			Comment("Computed from wish and fact by lifecycle.Status and kept for filters and orders."),
		field.String("status_message").Optional().Nillable(),
		field.Bool("reserved").Default(false).Comment("Whether CPU, memory and GPU count now. Written only with the ledger."),
		field.Time("reserved_at").Optional().Nillable(),

		field.Int64("cpu_limit").GoType(record.Cores(0)),
		field.Int64("memory_limit").GoType(record.Bytes(0)),
		field.Int("gpu_limit").Default(0),
		field.JSON("gpu_devices", []string{}).Optional().Comment("The devices that it holds, or that it was made with and will want again."),
		field.Int64("applied_cpu").GoType(record.Cores(0)).Default(0).Comment("The limit that the engine has; 0 until it was made. Written only by the reconciler."),
		field.Int64("applied_memory").GoType(record.Bytes(0)).Default(0),
		field.JSON("command", []string{}).Default([]string{}),
		field.JSON("environment", []record.EnvVar{}).Default([]record.EnvVar{}),
		field.JSON("ports", []record.Port{}).Optional().Comment("Those that are reached through the server."),
		field.Enum("restart_policy").NamedValues("Never", "NEVER", "OnFailure", "ON_FAILURE").Default("NEVER"),
		field.Int("restarts").Default(0).Comment("How often ON_FAILURE has restarted it since its owner last started it."),
		field.Int("stop_grace").Default(10).Comment("Seconds between the polite stop and the kill."),
		field.String("stopped_by").Optional().Nillable().Comment("Who asked for the end that is coming: told in last_exit."),

		field.Enum("frozen").NamedValues("No", "NO", "Idle", "IDLE", "Disk", "DISK").Default("NO").
			Comment("Why the server froze it of its own accord; NO when its owner did, or nobody."),
		field.Bool("oom_told").Default(false).Comment("That the kernel ended something inside for memory in this run was told."),
		field.Int64("idle_timeout").GoType(record.Duration(0)).Optional().Nillable().Comment("How long it may do nothing; none: for ever."),
		field.Time("idle_since").Optional().Nillable().Comment("Since when nothing uses it; none while something does."),
		field.Time("cull_at").Optional().Nillable().Comment("When it is frozen or stopped unless it is used."),
		field.Time("last_activity_at").Optional().Nillable(),
		field.JSON("activity", []string{}).Optional().Comment("What keeps it alive: cpu, network, disk, …"),
		field.Int64("disk_used").GoType(record.Bytes(0)).Optional().Nillable().Comment("Its written layer, as last measured."),

		field.JSON("last_exit", &record.Exit{}).Optional(),
		field.Time("started_at").Optional().Nillable(),
		field.Time("finished_at").Optional().Nillable(),
		field.String("idempotency_key").Optional().Nillable(),
		createdAt(),
	}
}

// Edges of the Container.
func (Container) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("owner", User.Type).Ref("containers").Field("owner_id").Unique().Required().Immutable(),
		edge.From("image", Image.Type).Ref("containers").Field("image_id").Unique().Required().Immutable(),
		edge.To("events", ContainerEvent.Type).Annotations(cascade()),
		edge.To("mounts", Mount.Type).Annotations(cascade()),
		edge.To("terminals", Terminal.Type).Annotations(cascade()),
		edge.To("stats_chunks", StatsChunk.Type).Annotations(cascade()),
	}
}

// Indexes of the Container: the orders and filters of the containers connection.
func (Container) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("owner_id", "name").Unique(),
		index.Fields("owner_id", "idempotency_key").Unique(),
		index.Fields("created_at", "id"),
		index.Fields("name", "id"),
		index.Fields("status", "created_at", "id"),
		index.Fields("status", "id"),
		index.Fields("owner_id", "created_at", "id"),
		index.Fields("owner_id", "status", "created_at", "id"),
		index.Fields("image_id"),
		index.Fields("queued"),
	}
}
