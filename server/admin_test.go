package server

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/store"
)

// TestAdminWithoutAServer goes through what an operator does by command.
func TestAdminWithoutAServer(t *testing.T) {
	t.Parallel()
	ctx, where := t.Context(), StoreConfig{Data: filepath.Join(t.TempDir(), "data")}
	look := func(do func(client *ent.Client)) {
		t.Helper()
		s, err := store.Open(theSystem, where.DatabasePath())
		require.NoError(t, err)
		do(s.Client)
		require.NoError(t, s.Close())
	}
	require.ErrorContains(t, AdminUsers(ctx, where, io.Discard), "there is no database")
	require.ErrorContains(t, AuditExport(ctx, where, AuditChoice{}, io.Discard), "there is no database")
	require.ErrorContains(t, AdminRole(ctx, where, "ann", "ADMIN"), `there is no account "ann"`)

	five := 5
	var out bytes.Buffer
	err := AdminCreate(ctx, where, NewAccount{Name: "Ann", Email: "ann@example.org", Role: "ADMIN", Quota: &LimitList{MaxContainers: &five}}, &out)
	require.NoError(t, err)
	name, password, _ := strings.Cut(strings.TrimSpace(out.String()), "\t")
	require.Equal(t, "Ann", name)
	require.Greater(t, len(password), 12)
	require.ErrorContains(t, AdminRole(ctx, where, "ann", "USER"), "administrator", "the last one stays")
	require.ErrorContains(t, AdminSuspend(ctx, where, "ANN", true), "administrator")
	require.NoError(t, AdminCreate(ctx, where, NewAccount{Name: "ben", Email: "ben@example.org", Role: "USER"}, io.Discard))
	require.NoError(t, AdminRole(ctx, where, "ben", "ADMIN"))
	require.NoError(t, AdminSuspend(ctx, where, "ann", true))
	var limits LimitList
	require.NoError(t, limits.UnmarshalText([]byte("cpu=3,memory=1GiB")))
	require.NoError(t, AdminQuota(ctx, where, "ann", limits))
	look(func(client *ent.Client) {
		ann := client.User.Query().Where(user.UsernameKey("ann")).WithQuota().OnlyX(theSystem)
		require.NotNil(t, ann.SuspendedAt)
		require.True(t, ann.MustChangePassword)
		require.Equal(t, 5, ann.Edges.Quota.MaxContainers)
		require.InDelta(t, 3.0, ann.Edges.Quota.MaxCPU.Float(), 0)
		event := client.AuditEvent.Query().Where(auditevent.Action("quota.set")).OnlyX(theSystem)
		require.Contains(t, event.ActorName, "mlride admin", "who gave the command is in the trail")
		require.Equal(t, ann.ID, *event.Target)
	})
	require.NoError(t, AdminSuspend(ctx, where, "ann", false))
	out.Reset()
	require.NoError(t, AdminResetPassword(ctx, where, "ann", &out))
	require.NotContains(t, out.String(), password)

	file := filepath.Join(t.TempDir(), "class.csv")
	require.NoError(t, os.WriteFile(file, []byte("username,email\nzoe,zoe@example.org\nANN,other@example.org\n"), 0o600))
	out.Reset()
	require.ErrorContains(t, AdminImport(ctx, where, file, false, &out), "no account was made")
	require.Contains(t, out.String(), "line 3: ")
	require.NoError(t, os.WriteFile(file, []byte("username,email\nzoe,zoe@example.org\n"), 0o600))
	out.Reset()
	require.NoError(t, AdminImport(ctx, where, file, true, &out))
	require.Equal(t, "1 accounts would be made\n", out.String())
	out.Reset()
	require.NoError(t, AdminImport(ctx, where, file, false, &out))
	require.Regexp(t, `^username,email,password\nzoe,zoe@example.org,.{12,}\n$`, out.String())
	out.Reset()
	require.NoError(t, AdminUsers(ctx, where, &out))
	require.Equal(t, 4, strings.Count(out.String(), "\n"), out.String())
	require.Regexp(t, `zoe +USER +one-time password +zoe@example.org`, out.String())
	require.NoFileExists(t, filepath.Join(where.Data, "mlride.db-wal"))
}

// TestAdminBesideAServer: what changes something says that a server runs; what
// reads, reads.
func TestAdminBesideAServer(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	ctx, where := t.Context(), c.house.config.StoreConfig
	unlock, err := claim(where.Data)
	require.NoError(t, err)
	defer unlock()
	for _, err := range []error{
		AdminCreate(ctx, where, NewAccount{}, io.Discard), AdminResetPassword(ctx, where, "first", io.Discard),
		AdminSuspend(ctx, where, "first", true), AdminRole(ctx, where, "first", "USER"), AdminQuota(ctx, where, "first", LimitList{}),
	} {
		require.ErrorContains(t, err, "another server uses the folder")
		require.ErrorContains(t, err, "stop it first")
		require.NotContains(t, err.Error(), "\n")
	}
	var out bytes.Buffer
	require.NoError(t, AdminUsers(ctx, where, &out))
	require.Contains(t, out.String(), "first@example.org")

	o := c.things(t)
	o.fill("<container>")
	export := func(choice AuditChoice) (actions []string) {
		out.Reset()
		require.NoError(t, AuditExport(ctx, where, choice, &out))
		for text := range strings.Lines(out.String()) {
			var row struct{ Action string }
			require.NoError(t, json.Unmarshal([]byte(text), &row))
			actions = append(actions, row.Action)
		}
		return actions
	}
	require.Equal(t, []string{"account.register", "container.create"}, export(AuditChoice{}))
	require.Equal(t, []string{"container.create"}, export(AuditChoice{Actor: strings.ToUpper(o.owner.Username)}))
	require.Equal(t, []string{"container.create"}, export(AuditChoice{Actor: o.owner.ID, Action: "container."}))
	require.Empty(t, export(AuditChoice{Actor: "nobody"}))
	soon := time.Now().Add(time.Hour)
	require.Empty(t, export(AuditChoice{Since: &soon}))
	require.Len(t, export(AuditChoice{Until: &soon}), 2)
}
