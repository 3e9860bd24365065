package server

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"

	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/fault"
)

// Trail keeps what was tried and did not come to be. audit.Service is one.
type Trail interface {
	// Attempt begins the try of an action by the viewer of ctx.
	Attempt(ctx context.Context) context.Context
	// Refuse keeps how one ended that failed.
	Refuse(ctx context.Context, action, target string, why error)
}

// deeds is what each mutation is called in the audit trail: as its feature calls
// it where it succeeds. A test holds the table to the schema.
var deeds = map[string]string{
	"register":          "account.register",
	"login":             "account.login",
	"logout":            "account.logout",
	"revokeSession":     "account.revoke-session",
	"updateProfile":     "account.update",
	"uploadAvatar":      "account.avatar",
	"removeAvatar":      "account.avatar",
	"changePassword":    "account.change-password",
	"deleteAccount":     "account.delete",
	"restoreAccount":    "account.restore",
	"createAccessToken": "token.create",
	"revokeAccessToken": "token.revoke",
	"requestQuota":      "quota.request",
	"createUser":        "account.create",
	"updateUser":        "account.update",
	"updateUsers":       "account.update",
	"resetPassword":     "account.reset-password",
	"deleteUser":        "account.delete",
	"deleteUsers":       "account.delete",
	"restoreUser":       "account.restore",
	"importUsers":       "account.import",
	"endOfTerm":         "account.end-of-term",
	"createInvitation":  "invitation.create",
	"revokeInvitation":  "invitation.revoke",
	"grantQuota":        "quota.grant",
	"declineQuota":      "quota.decline",
	"setQuotas":         "quota.set",
	"setQuota":          "quota.set",
	"pullImage":         "image.pull",
	"buildImage":        "image.build",
	"commitContainer":   "image.commit",
	"updateImage":       "image.update",
	"refreshImage":      "image.refresh",
	"pruneImages":       "image.prune",
	"closeTerminal":     "terminal.close",
	"openJupyter":       "port.jupyter",
	"cancelImage":       "image.cancel",
	"deleteImage":       "image.delete",
	"createVolume":      "volume.create",
	"updateVolume":      "volume.update",
	"deleteVolume":      "volume.delete",
	"restoreVolume":     "volume.restore",
	"purgeVolume":       "volume.purge",
	"keepContainer":     "container.keep",
	"createContainer":   "container.create",
	"startContainer":    "container.start",
	"stopContainer":     "container.stop",
	"restartContainer":  "container.restart",
	"pauseContainer":    "container.pause",
	"unpauseContainer":  "container.unpause",
	"updateContainer":   "container.update",
	"removeContainer":   "container.remove",
	"startContainers":   "container.start",
	"stopContainers":    "container.stop",
	"removeContainers":  "container.remove",
}

// errPanic stands for what a resolver that panicked would have returned.
var errPanic = errors.New("panic")

type guarding = func(ctx context.Context, obj any, next graphql.Resolver, to generated.Access) (any, error)

// traced puts the trail around every mutation, outside of who may use it: it is
// the one place that every mutation passes, by whatever transport.
func traced(trail Trail, inner guarding) guarding {
	if trail == nil {
		return inner
	}
	return func(ctx context.Context, obj any, next graphql.Resolver, to generated.Access) (result any, err error) {
		field := graphql.GetFieldContext(ctx)
		if field.Object != "Mutation" {
			return inner(ctx, obj, next, to)
		}
		action, ok := deeds[field.Field.Name]
		if !ok {
			action = field.Field.Name
		}
		ctx = trail.Attempt(ctx)
		target := targetOf(field.Args)
		err = errPanic
		defer func() { // also when the resolver panics
			if err != nil {
				trail.Refuse(ctx, action, target, err)
			}
		}()
		result, err = inner(ctx, obj, next, to)
		for id, code := range refusedOf(result) {
			trail.Refuse(ctx, action, id, fault.New(code, ""))
		}
		return result, err
	}
}

// targetOf is the id of what a mutation is done to, where it names one.
func targetOf(args map[string]any) string {
	for _, name := range []string{"id", "userId"} {
		if id, ok := args[name].(string); ok {
			return id
		}
	}
	return ""
}

// refusedOf is what became of those among several that were refused.
func refusedOf(result any) map[string]fault.Code {
	refused := map[string]fault.Code{}
	add := func(id string, code *string) {
		if code != nil {
			refused[id] = fault.Code(*code)
		}
	}
	switch list := result.(type) {
	case []*generated.ContainerResult:
		for _, r := range list {
			add(r.ID, r.Code)
		}
	case []*generated.UserResult:
		for _, r := range list {
			add(r.ID, r.Code)
		}
	}
	return refused
}
