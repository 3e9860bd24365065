// Package graph is the API: one thin resolver for each field that is not
// stored, one file a feature. A resolver unpacks its arguments, calls one verb
// and returns. It holds no rule, no database and no engine.
package graph

import (
	"github.com/mlride/mlride/graph/generated"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/gateway"
	"github.com/mlride/mlride/internal/image"
	"github.com/mlride/mlride/internal/lifecycle"
	"github.com/mlride/mlride/internal/monitor"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/volume"
)

// Resolver is the root: what the resolvers call.
type Resolver struct {
	Account   *account.Service
	Images    *image.Service
	Lifecycle *lifecycle.Service
	Quota     *quota.Service
	Monitor   *monitor.Service
	Volumes   *volume.Service
	Terminals *gateway.Terminals
	Audit     *audit.Service
	Ports     *gateway.Ports
	Machine   Machine
}

type (
	query        struct{ *Resolver }
	mutation     struct{ *Resolver }
	subscription struct{ *Resolver }
	user         struct{ *Resolver }
	session      struct{ *Resolver }
	imageFields  struct{ *Resolver }
	container    struct{ *Resolver }
	event        struct{ *Resolver }
	volumeFields struct{ *Resolver }
	mountFields  struct{ *Resolver }
	auditFields  struct{ *Resolver }
	invitation   struct{ *Resolver }
	quotaRequest struct{ *Resolver }
)

// Query implements generated.ResolverRoot, as do the methods below.
func (r *Resolver) Query() generated.QueryResolver { return query{r} }

// Mutation resolves mutations.
func (r *Resolver) Mutation() generated.MutationResolver { return mutation{r} }

// Subscription resolves subscriptions.
func (r *Resolver) Subscription() generated.SubscriptionResolver { return subscription{r} }

// User resolves what is not stored with a user.
func (r *Resolver) User() generated.UserResolver { return user{r} }

// Session resolves what is not stored with a session.
func (r *Resolver) Session() generated.SessionResolver { return session{r} }

// Image resolves what is not stored with an image.
func (r *Resolver) Image() generated.ImageResolver { return imageFields{r} }

// Container resolves what is not stored with a container.
func (r *Resolver) Container() generated.ContainerResolver { return container{r} }

// ContainerEvent resolves what is not stored with a timeline's line.
func (r *Resolver) ContainerEvent() generated.ContainerEventResolver { return event{r} }

// Volume resolves what is not stored with a volume.
func (r *Resolver) Volume() generated.VolumeResolver { return volumeFields{r} }

// VolumeMount resolves what is not stored with a mount.
func (r *Resolver) VolumeMount() generated.VolumeMountResolver { return mountFields{r} }

// AuditEvent resolves what is not stored with a line of the audit trail.
func (r *Resolver) AuditEvent() generated.AuditEventResolver { return auditFields{r} }

// Invitation resolves what is not stored with an invitation.
func (r *Resolver) Invitation() generated.InvitationResolver { return invitation{r} }

// QuotaRequest resolves what is not stored with a request for more quota.
func (r *Resolver) QuotaRequest() generated.QuotaRequestResolver { return quotaRequest{r} }
