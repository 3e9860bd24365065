package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

var sys = auth.AsSystem(context.Background())

// house is a database and the trail on it.
type house struct {
	*audit.Service
	t     *testing.T
	store *store.Store

	mu    sync.Mutex
	later time.Duration // how far the clock is ahead
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	var err error
	h.store, err = store.Open(sys, filepath.Join(t.TempDir(), "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.store.Close()) })
	h.Service = audit.New(audit.Options{
		Client: h.store.Client, Feed: &live.Feed{}, Keep: time.Hour, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return time.Now().Add(h.later)
		},
	})
	return h
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.later += d
}

func (h *house) person(name string, role user.Role) context.Context {
	h.t.Helper()
	row := h.store.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SetRole(role).SaveX(sys)
	return auth.With(h.t.Context(), auth.Viewer{
		UserID: row.ID, Username: name, Admin: role == user.RoleAdmin, IP: "192.0.2.7", RequestID: "request-of-" + name,
	})
}

func (h *house) record(ctx context.Context, e audit.Entry) {
	h.t.Helper()
	require.NoError(h.t, store.Tx(ctx, h.store.Client, func(tx *ent.Client) error { return audit.Record(ctx, tx, e) }))
}

func (h *house) actions(ctx context.Context, f audit.Filter) (actions []string) {
	h.t.Helper()
	slice, err := h.List(ctx, f, store.Page{})
	require.NoError(h.t, err)
	n, err := h.Count(ctx, f)
	require.NoError(h.t, err)
	require.Len(h.t, slice.Items, n)
	for _, e := range slice.Items {
		actions = append(actions, e.Action)
	}
	return actions
}

func TestWhoSeesWhichRows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ann, ben, admin := h.person("ann", user.RoleUser), h.person("ben", user.RoleUser), h.person("admin", user.RoleAdmin)
	annID, benID := auth.Of(ann).UserID, auth.Of(ben).UserID
	h.record(ann, audit.Entry{Action: "volume.create", Target: "vol_1"})
	h.record(ben, audit.Entry{Action: "volume.delete", Target: "vol_2"})
	h.record(admin, audit.Entry{Action: "quota.set", Target: annID}) // done to ann, and not by her
	h.record(auth.With(t.Context(), auth.Viewer{IP: "192.0.2.9"}), audit.Entry{Action: "account.login", Outcome: auditevent.OutcomeFailed})

	require.Equal(t, []string{"volume.create"}, h.actions(ann, audit.Filter{}))
	require.Equal(t, []string{"account.login", "quota.set", "volume.delete", "volume.create"}, h.actions(admin, audit.Filter{}))
	require.Empty(t, h.actions(ann, audit.Filter{ActorID: &benID}), "a filter shows nothing of others")
	require.Empty(t, h.actions(ann, audit.Filter{Target: &annID}))
	require.Empty(t, h.actions(auth.With(t.Context(), auth.Viewer{}), audit.Filter{}))

	text := func(s string) *string { return &s }
	failed := auditevent.OutcomeFailed
	for want, f := range map[string]audit.Filter{
		"[volume.delete]":               {ActorID: &benID},
		"[volume.delete volume.create]": {Action: text("volume.")},
		"[quota.set]":                   {Action: text("quota.set")},
		"[]":                            {Action: text("volume")},
		"[account.login]":               {Outcome: &failed},
		"[volume.create]":               {Target: text("vol_1"), ActorID: &annID},
	} {
		require.Equal(t, want, fmt.Sprint(h.actions(admin, f)))
	}
	all, err := h.List(admin, audit.Filter{}, store.Page{})
	require.NoError(t, err)
	require.Equal(t, []string{"quota.set"}, h.actions(admin, audit.Filter{After: &all.Items[2].At, Before: &all.Items[0].At}))

	theirs := all.Items[2].ID
	_, err = h.Get(ann, theirs)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	one, err := h.Get(ben, theirs)
	require.NoError(t, err)
	require.Equal(t, "192.0.2.7", *one.IP)
	require.Equal(t, "request-of-ben", *one.RequestID)
}

func TestPagesOfTheTrail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.person("admin", user.RoleAdmin)
	for i := range 25 {
		h.record(admin, audit.Entry{Action: fmt.Sprintf("test.%d", i)})
	}
	two, seen := 10, []string{}
	for p := (store.Page{First: &two}); ; {
		slice, err := h.List(admin, audit.Filter{}, p)
		require.NoError(t, err)
		for _, e := range slice.Items {
			seen = append(seen, e.Action)
		}
		if !slice.HasNext {
			break
		}
		p.After = &slice.Cursors[len(slice.Cursors)-1]
	}
	require.Len(t, seen, 25)
	require.Equal(t, "test.24", seen[0])
	require.Equal(t, "test.0", seen[24])
}

func TestRefusalsAreWrittenAndBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ann, admin := h.person("ann", user.RoleUser), h.person("admin", user.RoleAdmin)
	const target = "ctr_01jd0000000000000000000000"
	no := fault.NoSuch("container", "hunter2")
	h.Refuse(ann, "container.stop", target, no)
	all, err := h.List(admin, audit.Filter{}, store.Page{})
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	row := all.Items[0]
	require.Equal(t, auditevent.OutcomeDenied, row.Outcome)
	require.Equal(t, "NOT_FOUND", *row.Detail)
	require.Equal(t, target, *row.Target)
	require.Equal(t, "ann", row.ActorName)
	require.Equal(t, "request-of-ann", *row.RequestID)

	for range 1000 {
		h.Refuse(ann, "container.stop", "hunter2", no)
	}
	require.Len(t, h.actions(admin, audit.Filter{}), 1, "a flood leaves one row a second")
	h.Refuse(admin, "container.stop", target, no)
	h.Refuse(ann, "container.start", target, no)
	h.Refuse(ann, "container.stop", target, fault.New(fault.InvalidState, "It runs."))
	require.Len(t, h.actions(admin, audit.Filter{}), 4, "another actor, action or code is another refusal")
	h.pass(time.Second)
	h.Refuse(ann, "container.stop", "hunter2", no)
	all, err = h.List(admin, audit.Filter{}, store.Page{})
	require.NoError(t, err)
	require.Equal(t, "NOT_FOUND, and 1000 more of the same shortly before", *all.Items[0].Detail)
	require.Nil(t, all.Items[0].Target, "what is no id is not kept")

	h.pass(time.Second)
	gone, cancel := context.WithCancel(ann)
	cancel()
	h.Refuse(gone, "image.pull", "", errors.New("secret detail of the database")) // the caller did not wait for the answer
	all, err = h.List(admin, audit.Filter{}, store.Page{})
	require.NoError(t, err)
	require.Equal(t, auditevent.OutcomeFailed, all.Items[0].Outcome)
	require.Equal(t, "INTERNAL", *all.Items[0].Detail)

	for _, harmless := range []error{
		fault.New(fault.BadUserInput, "Too short."), fmt.Errorf("read: %w", context.Canceled), nil,
	} {
		h.Refuse(ann, "harmless", "", harmless)
	}
	h.Refuse(auth.With(t.Context(), auth.Viewer{IP: "192.0.2.9"}), "harmless", "", fault.New(fault.Unauthenticated, "Sign in first."))
	require.NotContains(t, h.actions(admin, audit.Filter{}), "harmless")
}

func TestAFeaturesOwnRowStandsForTheRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.person("admin", user.RoleAdmin)
	visitor := auth.With(t.Context(), auth.Viewer{IP: "192.0.2.9"})
	try := func(name string) {
		ctx := h.Attempt(visitor)
		require.NoError(t, audit.Record(ctx, h.store.Client, audit.Entry{Action: "account.login", TargetName: name, Outcome: auditevent.OutcomeFailed}))
		h.Refuse(ctx, "account.login", "", fault.New(fault.Forbidden, "Suspended."))
	}
	for i := range 100 {
		try(fmt.Sprint("name", i))
	}
	require.Equal(t, []string{"account.login"}, h.actions(admin, audit.Filter{}))
}

func TestWatchTellsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ann, admin := h.person("ann", user.RoleUser), h.person("admin", user.RoleAdmin)
	_, err := h.Watch(ann, audit.Filter{})
	require.Equal(t, fault.Forbidden, fault.CodeOf(err))
	prefix := "volume."
	rows, err := h.Watch(admin, audit.Filter{Action: &prefix})
	require.NoError(t, err)
	h.record(ann, audit.Entry{Action: "image.pull"})
	failed := errors.New("rolled back")
	require.ErrorIs(t, store.Tx(ann, h.store.Client, func(tx *ent.Client) error {
		require.NoError(t, audit.Record(ann, tx, audit.Entry{Action: "volume.never"}))
		return failed
	}), failed)
	h.record(ann, audit.Entry{Action: "volume.create"})
	require.NoError(t, audit.Record(ann, h.store.Client, audit.Entry{Action: "volume.alone"}))
	require.Equal(t, "volume.create", (<-rows).Action)
	require.Equal(t, "volume.alone", (<-rows).Action)

	h.store.Client.User.UpdateOneID(auth.Of(admin).UserID).SetRole(user.RoleUser).ExecX(sys)
	h.record(ann, audit.Entry{Action: "volume.delete"})
	_, open := <-rows
	require.False(t, open, "who administers no more is told no more")
}

func TestOldRowsGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.person("admin", user.RoleAdmin)
	builders := make([]*ent.AuditEventCreate, 1200)
	for i := range builders {
		builders[i] = h.store.Client.AuditEvent.Create().SetActorName("system").SetAction("old").SetOutcome(auditevent.OutcomeAllowed).
			SetAt(time.Now().UTC().Add(-2 * time.Hour))
	}
	h.store.Client.AuditEvent.CreateBulk(builders...).ExecX(sys)
	h.record(admin, audit.Entry{Action: "new"})
	n, err := h.Clear(admin)
	require.NoError(t, err)
	require.Equal(t, 1200, n)
	require.Equal(t, []string{"new"}, h.actions(admin, audit.Filter{}))
	h.Keep = 0
	h.pass(1000 * time.Hour)
	n, err = h.Clear(admin)
	require.NoError(t, err)
	require.Zero(t, n, "off keeps everything")
}

func TestExport(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ann := h.person("ann", user.RoleUser)
	for i := range 250 {
		h.record(ann, audit.Entry{Action: "volume.create", TargetName: fmt.Sprintf("<%d>", i)})
	}
	h.record(ann, audit.Entry{Action: "image.pull"})
	reader, err := store.OpenToRead(sys, h.store.Path())
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	var out bytes.Buffer
	prefix := "volume."
	require.NoError(t, audit.Export(sys, reader.Client, audit.Filter{Action: &prefix}, &out))
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	require.Len(t, lines, 250)
	for i, text := range lines {
		var row map[string]any
		require.NoError(t, json.Unmarshal(text, &row))
		require.Equal(t, fmt.Sprintf("<%d>", i), row["targetName"], "oldest first")
		require.Equal(t, "ALLOWED", row["outcome"])
		require.Nil(t, row["target"])
	}
	require.Error(t, reader.Client.AuditEvent.Create().SetActorName("a").SetAction("a").SetOutcome(auditevent.OutcomeAllowed).Exec(sys))
}
