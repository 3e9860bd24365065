package store

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/container"
	"github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/volume"
	"github.com/mlride/mlride/internal/auth"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

var system = auth.AsSystem(context.Background())

// person makes an account with one row of everything that a person has.
func person(t *testing.T, c *ent.Client, name string, visibility image.Visibility) *ent.User {
	t.Helper()
	u := c.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SaveX(system)
	c.Session.Create().SetUserID(u.ID).SetTokenHash(name).SetIP("-").SetUserAgent("-").SetExpiresAt(u.CreatedAt).SaveX(system)
	c.Quota.Create().SetUserID(u.ID).SetMaxContainers(1).SetMaxCPU(1).SetMaxMemory(1).SetMaxGpu(1).SetMaxImages(1).SetMaxVolumes(1).SetMaxDisk(1).SaveX(system)
	i := c.Image.Create().SetOwnerID(u.ID).SetReference(name).SetRequestedReference(name).SetMinMemory(1).SetVisibility(visibility).SaveX(system)
	b := c.Container.Create().SetName("box").SetOwnerID(u.ID).SetImageID(i.ID).SetDesired(container.DesiredStopped).SetCPULimit(1).SetMemoryLimit(1).SaveX(system)
	v := c.Volume.Create().SetOwnerID(u.ID).SetName("data").SetNameKey("data").SetVisibility(volume.Visibility(visibility)).SaveX(system)
	c.Mount.Create().SetContainerID(b.ID).SetVolumeID(v.ID).SetPath("/data").SaveX(system)
	c.ContainerEvent.Create().SetContainerID(b.ID).SetKind("k").SetMessage("m").SaveX(system)
	c.ImageShare.Create().SetImageID(i.ID).SetUserID(u.ID).SaveX(system)
	c.ImageLine.Create().SetImageID(i.ID).SetNumber(1).SetText("t").SetAt(u.CreatedAt).SaveX(system)
	c.StatsChunk.Create().SetContainerID(b.ID).SetStep(60).SetFrom(u.CreatedAt).SetTo(u.CreatedAt).SetData([]byte("d")).SaveX(system)
	c.Terminal.Create().SetContainerID(b.ID).SetUserID(u.ID).SetName("main").SaveX(system)
	c.AccessToken.Create().SetUserID(u.ID).SetName("t").SetTokenHash(name).SaveX(system)
	c.Invitation.Create().SetCodeHash(name).SetMaxUses(1).SetCreatedByID(u.ID).SaveX(system)
	c.QuotaRequest.Create().SetUserID(u.ID).SetLimits(&record.Limits{}).SaveX(system)
	c.AuditEvent.Create().SetActorID(u.ID).SetActorName(name).SetAction("a").SetOutcome(auditevent.OutcomeAllowed).SaveX(system)
	c.UsageRecord.Create().SetOwnerID(u.ID).SetContainerID(b.ID).SetContainer("box").SetImage("i").SetCPU(1).SetMemory(1).SetGpu(0).SetFrom(u.CreatedAt).SetTo(u.CreatedAt).SaveX(system)
	return u
}

// kinds count and change the rows of each type that a context reaches.
var kinds = map[string]struct {
	count  func(context.Context, *ent.Client) (int, error)
	change func(context.Context, *ent.Client) (int, error)
	remove func(context.Context, *ent.Client) (int, error)
}{
	ent.TypeUser: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.User.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.User.Update().SetNickname("x").Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.User.Delete().Exec(ctx) },
	},
	ent.TypeSession: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Session.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Session.Update().SetLastSeenAt(ctxTime).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Session.Delete().Exec(ctx) },
	},
	ent.TypeQuota: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Quota.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Quota.Update().SetMaxCPU(9).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Quota.Delete().Exec(ctx) },
	},
	ent.TypeImage: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Image.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Image.Update().SetStatusMessage("x").Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Image.Delete().Exec(ctx) },
	},
	ent.TypeContainer: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Container.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Container.Update().SetStatusMessage("x").Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Container.Delete().Exec(ctx) },
	},
	ent.TypeContainerEvent: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ContainerEvent.Query().Count(ctx) },
		nil, // a timeline is not rewritten: it has no field that can change
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ContainerEvent.Delete().Exec(ctx) },
	},
	ent.TypeAuditEvent: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.AuditEvent.Query().Count(ctx) },
		nil, // likewise
		func(ctx context.Context, c *ent.Client) (int, error) { return c.AuditEvent.Delete().Exec(ctx) },
	},
	ent.TypeUsageRecord: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.UsageRecord.Query().Count(ctx) },
		nil, // likewise
		func(ctx context.Context, c *ent.Client) (int, error) { return c.UsageRecord.Delete().Exec(ctx) },
	},
	ent.TypeVolume: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Volume.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Volume.Update().SetName("x").Save(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Volume.Delete().Exec(ctx) },
	},
	ent.TypeMount: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Mount.Query().Count(ctx) },
		nil, // it has no field that can change
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Mount.Delete().Exec(ctx) },
	},
	ent.TypeImageShare: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ImageShare.Query().Count(ctx) },
		nil, // it has no field that can change
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ImageShare.Delete().Exec(ctx) },
	},
	ent.TypeImageLine: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ImageLine.Query().Count(ctx) },
		nil, // likewise
		func(ctx context.Context, c *ent.Client) (int, error) { return c.ImageLine.Delete().Exec(ctx) },
	},
	ent.TypeStatsChunk: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.StatsChunk.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.StatsChunk.Update().SetTo(ctxTime).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.StatsChunk.Delete().Exec(ctx) },
	},
	ent.TypeTerminal: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Terminal.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Terminal.Update().SetCommand("x").Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Terminal.Delete().Exec(ctx) },
	},
	ent.TypeAccessToken: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.AccessToken.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.AccessToken.Update().SetLastUsedAt(ctxTime).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.AccessToken.Delete().Exec(ctx) },
	},
	ent.TypeInvitation: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Invitation.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Invitation.Update().AddUses(1).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Invitation.Delete().Exec(ctx) },
	},
	ent.TypeQuotaRequest: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.QuotaRequest.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.QuotaRequest.Update().SetAnswer("x").Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.QuotaRequest.Delete().Exec(ctx) },
	},
	ent.TypeDevice: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Device.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) {
			return c.Device.Update().SetPresent(false).Save(ctx)
		},
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Device.Delete().Exec(ctx) },
	},
	ent.TypeHost: {
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Host.Query().Count(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Host.Update().SetCPU(1).Save(ctx) },
		func(ctx context.Context, c *ent.Client) (int, error) { return c.Host.Delete().Exec(ctx) },
	},
}

// everyType are the types that there are, by the client's fields.
func everyType() []string {
	var types []string
	client := reflect.TypeFor[ent.Client]()
	for i := range client.NumField() {
		if name, ok := strings.CutSuffix(client.Field(i).Type.String(), "Client"); ok {
			if name = strings.TrimPrefix(name, "*ent."); name != "" {
				types = append(types, name)
			}
		}
	}
	return types
}

func TestEveryTypeHasARow(t *testing.T) {
	types := everyType()
	require.NotEmpty(t, types)
	for _, name := range types {
		require.Contains(t, rules, name, "a new type: say who sees and changes it")
		require.Contains(t, kinds, name, "a new type: prove it")
	}
	require.Len(t, rules, len(types))
}

// TestVisibilityMatrix: two people, one with a public image and one with a
// private one, one row of everything each.
func TestVisibilityMatrix(t *testing.T) {
	type reach struct{ sees, changes int }
	own, all, none := reach{1, 1}, reach{2, 2}, reach{0, 0}
	want := map[string]map[string]reach{}
	for name := range kinds {
		want[name] = map[string]reach{"visitor": none, "owner": own, "administrator": all, "system": all}
	}
	want[ent.TypeImage]["owner"] = reach{2, 1}          // the other's is public
	want[ent.TypeQuota]["owner"] = reach{1, 0}          // read, and changed by administrators
	want[ent.TypeContainerEvent]["owner"] = reach{1, 0} // a timeline stays as it is
	want[ent.TypeAuditEvent]["owner"] = reach{1, 0}     // so does a trail
	want[ent.TypeUsageRecord]["owner"] = reach{1, 0}    // and a bill
	want[ent.TypeVolume]["owner"] = reach{2, 1}         // the other's is public
	want[ent.TypeMount]["owner"] = reach{1, 0}          // what a container has in it stays
	want[ent.TypeQuotaRequest]["owner"] = reach{1, 0}   // decided by administrators
	want[ent.TypeImageShare]["owner"] = reach{1, 0}     // written by the server
	want[ent.TypeImageLine]["owner"] = reach{2, 0}      // the other's image is public
	want[ent.TypeStatsChunk]["owner"] = reach{1, 0}     // a history stays
	want[ent.TypeInvitation]["owner"] = none            // also whoever it let in
	want[ent.TypeDevice] = map[string]reach{"visitor": none, "owner": none, "administrator": {1, 1}, "system": {1, 1}}
	want[ent.TypeHost] = map[string]reach{"visitor": none, "owner": none, "administrator": {1, 1}, "system": {1, 1}}

	for name, kind := range kinds {
		for who, expected := range want[name] {
			for _, inTx := range []bool{false, true} {
				s := open(t)
				ann := person(t, s.Client, "ann", image.VisibilityPrivate)
				person(t, s.Client, "ben", image.VisibilityPublic)
				s.Client.Host.Create().SetName("h").SaveX(system)
				s.Client.Device.Create().SetDevice("GPU-1").SetName("n").SaveX(system)
				ctx := map[string]context.Context{
					"visitor":       auth.With(context.Background(), auth.Viewer{}),
					"owner":         auth.With(context.Background(), auth.Viewer{UserID: ann.ID}),
					"administrator": auth.With(context.Background(), auth.Viewer{UserID: "user_root", Admin: true}),
					"system":        system,
				}[who]
				look := func(c *ent.Client) {
					n, err := kind.count(ctx, c)
					require.NoError(t, err, "%s as %s", name, who)
					require.Equal(t, expected.sees, n, "%s seen as %s", name, who)
					if kind.change != nil {
						n, err = kind.change(ctx, c)
						require.NoError(t, err, "%s as %s", name, who)
						require.Equal(t, expected.changes, n, "%s changed as %s", name, who)
					}
				}
				if inTx {
					require.NoError(t, Tx(ctx, s.Client, func(tx *ent.Client) error { look(tx); return nil }))
				} else {
					look(s.Client)
				}
				// What may not be changed may not be removed either; what may is
				// kept here by rows that hang on it, so only refusals are proved.
				if expected.changes == 0 {
					n, err := kind.remove(ctx, s.Client)
					require.NoError(t, err)
					require.Zero(t, n, "%s removed as %s", name, who)
				}
			}
		}
		s := open(t)
		_, err := kind.count(context.Background(), s.Client)
		require.ErrorContains(t, err, "without a viewer", "%s", name)
	}
}

func TestOthersRowsThroughIdsAndEdges(t *testing.T) {
	s := open(t)
	ann, ben := person(t, s.Client, "ann", image.VisibilityPrivate), person(t, s.Client, "ben", image.VisibilityPrivate)
	asAnn := auth.With(context.Background(), auth.Viewer{UserID: ann.ID})
	theirs := s.Client.Container.Query().Where(container.OwnerID(ben.ID)).OnlyX(system)
	_, err := s.Client.Container.Get(asAnn, theirs.ID)
	require.True(t, ent.IsNotFound(err))
	require.True(t, ent.IsNotFound(s.Client.Container.UpdateOneID(theirs.ID).SetName("mine").Exec(asAnn)))
	require.True(t, ent.IsNotFound(s.Client.Container.DeleteOneID(theirs.ID).Exec(asAnn)))
	n, err := theirs.QueryEvents().Count(asAnn)
	require.NoError(t, err)
	require.Zero(t, n, "edges of a row that was loaded")
	_, err = theirs.QueryOwner().Only(asAnn)
	require.True(t, ent.IsNotFound(err))

	// An image stays visible to whoever has a container of it, and its owner does not.
	img := s.Client.Image.Query().Where(image.OwnerID(ben.ID)).OnlyX(system)
	_, err = s.Client.Image.Get(asAnn, img.ID)
	require.True(t, ent.IsNotFound(err))
	s.Client.Container.Create().SetName("of-bens").SetOwnerID(ann.ID).SetImageID(img.ID).SetDesired(container.DesiredStopped).SetCPULimit(1).SetMemoryLimit(1).ExecX(system)
	got, err := s.Client.Image.Query().Where(image.ID(img.ID)).WithOwner().Only(asAnn)
	require.NoError(t, err)
	require.Nil(t, got.Edges.Owner)
}

// TestSharedImage: it is seen by whom it is shared with, who may not change it,
// and neither see whom else.
func TestSharedImage(t *testing.T) {
	s := open(t)
	ann, ben := person(t, s.Client, "ann", image.VisibilityPrivate), person(t, s.Client, "ben", image.VisibilityPrivate)
	cay := person(t, s.Client, "cay", image.VisibilityPrivate)
	asAnn := auth.With(context.Background(), auth.Viewer{UserID: ann.ID})
	img := s.Client.Image.Query().Where(image.OwnerID(ben.ID)).OnlyX(system)
	for _, with := range []string{ann.ID, cay.ID} {
		s.Client.ImageShare.Create().SetImageID(img.ID).SetUserID(with).ExecX(system)
	}
	_, err := s.Client.Image.Get(asAnn, img.ID)
	require.NoError(t, err)
	require.True(t, ent.IsNotFound(s.Client.Image.UpdateOneID(img.ID).SetStatusMessage("x").Exec(asAnn)))
	shares, err := img.QueryShares().All(asAnn)
	require.NoError(t, err)
	require.Len(t, shares, 1)
	require.Equal(t, ann.ID, shares[0].UserID)
	n, err := img.QueryShares().Count(auth.With(context.Background(), auth.Viewer{UserID: ben.ID}))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	lines, err := img.QueryLines().Count(asAnn)
	require.NoError(t, err)
	require.Equal(t, 1, lines)
}

// TestVolumesOfOthers: a private one of somebody else's is not there, until a
// container of one's own has it; a public one is, until it is in the trash.
func TestVolumesOfOthers(t *testing.T) {
	s := open(t)
	ann, ben := person(t, s.Client, "ann", image.VisibilityPrivate), person(t, s.Client, "ben", image.VisibilityPrivate)
	asAnn := auth.With(context.Background(), auth.Viewer{UserID: ann.ID})
	theirs := s.Client.Volume.Query().Where(volume.OwnerID(ben.ID)).OnlyX(system)
	sees := func(want bool) {
		t.Helper()
		_, err := s.Client.Volume.Get(asAnn, theirs.ID)
		require.Equal(t, !want, ent.IsNotFound(err), "%v", err)
		require.True(t, ent.IsNotFound(s.Client.Volume.UpdateOneID(theirs.ID).SetName("mine").Exec(asAnn)))
	}
	sees(false)
	theirs.Update().SetVisibility(volume.VisibilityPublic).ExecX(system)
	sees(true)
	theirs.Update().SetDeletedAt(ctxTime).ExecX(system)
	sees(false)
	box := s.Client.Container.Query().Where(container.OwnerID(ann.ID)).OnlyX(system)
	s.Client.Mount.Create().SetContainerID(box.ID).SetVolumeID(theirs.ID).SetPath("/theirs").ExecX(system)
	sees(true)
}

func TestNobodyAddsForOthers(t *testing.T) {
	s := open(t)
	ann, ben := person(t, s.Client, "ann", image.VisibilityPrivate), person(t, s.Client, "ben", image.VisibilityPrivate)
	asAnn := auth.With(context.Background(), auth.Viewer{UserID: ann.ID})
	err := s.Client.Image.Create().SetOwnerID(ben.ID).SetReference("r").SetRequestedReference("r").SetMinMemory(record.MiB).Exec(asAnn)
	require.ErrorContains(t, err, "somebody else")
	err = s.Client.Volume.Create().SetOwnerID(ben.ID).SetName("v").SetNameKey("v").Exec(asAnn)
	require.ErrorContains(t, err, "somebody else")
	err = s.Client.Device.Create().SetDevice("GPU-2").SetName("n").Exec(asAnn)
	require.ErrorContains(t, err, "adds no Device")
	err = s.Client.Host.Create().SetName("mine").Exec(asAnn)
	require.ErrorContains(t, err, "adds no Host")
}
