package store

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/fault"
)

var ctxTime = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// TestMigrationsAddUpToTheSchema: what the files make is what ent/schema says.
func TestMigrationsAddUpToTheSchema(t *testing.T) {
	s := open(t)
	migrated := shape(t, s.driver.DB())

	drv, err := openSQLite(filepath.Join(t.TempDir(), "fresh.db"))
	require.NoError(t, err)
	fresh := ent.NewClient(ent.Driver(drv))
	defer func() { require.NoError(t, fresh.Close()) }()
	require.NoError(t, fresh.Schema.Create(system))
	require.Equal(t, shape(t, drv.DB()), migrated, "make migration NAME=… writes what is missing")
}

// shape is every column, foreign key and index, in any order: a column that was
// added later stands last.
func shape(t *testing.T, db *stdsql.DB) []string {
	t.Helper()
	rows, err := db.Query(`
		SELECT 'column ' || m.name || '.' || c.name || ' ' || c.type || ' ' || c."notnull" || ' ' || coalesce(c.dflt_value, '-') || ' ' || c.pk
			FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'goose%' AND m.name NOT LIKE 'sqlite%'
		UNION ALL SELECT 'key ' || m.name || '.' || k."from" || ' ' || k."table" || '.' || k."to" || ' ' || k.on_delete
			FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) k WHERE m.type = 'table'
		UNION ALL SELECT 'index ' || sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL
		ORDER BY 1`)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	var found []string
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		found = append(found, line)
	}
	require.NoError(t, rows.Err())
	require.Greater(t, len(found), 100)
	return found
}

// TestOlderDatabaseComesAlong: what the first release wrote is there afterwards,
// the children of changed tables too.
func TestOlderDatabaseComesAlong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlride.db")
	drv, err := openSQLite(path)
	require.NoError(t, err)
	provider, err := provide(drv.DB())
	require.NoError(t, err)
	_, err = provider.UpTo(context.Background(), 20261124032757)
	require.NoError(t, err)
	for _, statement := range []string{
		"INSERT INTO users (id, username, username_key, password_hash, created_at) VALUES ('user_1', 'ann', 'ann', '-', '2026-11-24 08:00:00+00:00')",
		"INSERT INTO images (id, reference, requested_reference, min_memory, created_at) VALUES ('img_1', 'a', 'a', 1, '2026-11-24 08:00:00+00:00')",
		"INSERT INTO quota (id, max_containers, max_cpu, max_memory, max_gpu, max_images, max_volumes, max_disk, used_containers, updated_at, user_id) VALUES ('quo_1', 5, 1, 1, 0, 1, 1, 1, 1, '2026-11-24 08:00:00+00:00', 'user_1')",
		"INSERT INTO containers (id, name, desired, cpu_limit, memory_limit, command, environment, created_at, image_id, owner_id) VALUES ('ctr_1', 'box', 'STOPPED', 10, 1, '[]', '[]', '2026-11-24 08:00:00+00:00', 'img_1', 'user_1')",
		"INSERT INTO container_events (id, at, kind, message, container_id) VALUES ('evt_1', '2026-11-24 08:00:00+00:00', 'create', 'm', 'ctr_1')",
	} {
		_, err := drv.DB().Exec(statement)
		require.NoError(t, err)
	}
	require.NoError(t, drv.Close())

	s, err := Open(context.Background(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	box := s.Client.Container.Query().WithEvents().OnlyX(system)
	require.Equal(t, "box", box.Name)
	require.False(t, box.Queued)
	require.Len(t, box.Edges.Events, 1)
	require.Equal(t, 1, s.Client.Quota.Query().OnlyX(system).UsedContainers)
	require.FileExists(t, fmt.Sprintf("%s.before-%d", path, 20261130180000))
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlride.db")
	s, err := Open(context.Background(), path)
	require.NoError(t, err)
	_, err = s.driver.DB().Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99990101000000, 1)`)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = Open(context.Background(), path)
	require.ErrorContains(t, err, "newer program")
}

func TestPendingChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlride.db")
	text, err := Pending(context.Background(), path)
	require.NoError(t, err)
	require.Contains(t, text, "CREATE TABLE `containers`")
	require.NoFileExists(t, path)
	s, err := Open(context.Background(), path)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	text, err = Pending(context.Background(), path)
	require.NoError(t, err)
	require.Empty(t, text)
}

func TestCopyIsWholeAndPrivate(t *testing.T) {
	s := open(t)
	people(t, s, 10)
	to := filepath.Join(t.TempDir(), "copy.db")
	require.NoError(t, s.Copy(context.Background(), to))
	info, err := os.Stat(to)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	c, err := Open(context.Background(), to)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	require.Equal(t, 10, c.Client.User.Query().CountX(system))
	require.ErrorIs(t, s.Copy(context.Background(), to), os.ErrExist)
}

// people makes n accounts, three to each instant, every other one never seen.
func people(t *testing.T, s *Store, n int) {
	t.Helper()
	var rows []*ent.UserCreate
	flush := func() {
		require.NoError(t, s.Client.User.CreateBulk(rows...).Exec(system))
		rows = nil
	}
	for i := range n {
		name := fmt.Sprintf("u%05d", i)
		row := s.Client.User.Create().SetUsername(name).SetUsernameKey(name).SetPasswordHash("-").SetCreatedAt(ctxTime.Add(time.Duration(i/3) * time.Second))
		if i%2 == 0 {
			row.SetLastSeenAt(ctxTime.Add(time.Duration(i/4) * time.Second))
		}
		if rows = append(rows, row); len(rows) == 500 {
			flush()
		}
	}
	if len(rows) > 0 {
		flush()
	}
}

var keys = map[string]func(*ent.User) (any, string){
	user.FieldCreatedAt:  func(u *ent.User) (any, string) { return u.CreatedAt, u.ID },
	user.FieldUsername:   func(u *ent.User) (any, string) { return u.Username, u.ID },
	user.FieldLastSeenAt: func(u *ent.User) (any, string) { return u.LastSeenAt, u.ID },
}

func page(s *Store, p Page, o Order) (Slice[*ent.User], error) {
	return Paginate(p, o, keys[o.Column], func(add func(*sql.Selector)) ([]*ent.User, error) {
		return s.Client.User.Query().Where(add).All(system)
	})
}

func ptr[T any](v T) *T { return &v }

// TestPagesShowEveryRowOnce: in every order, both ways, with ties and empty values.
func TestPagesShowEveryRowOnce(t *testing.T) {
	s := open(t)
	people(t, s, 50)
	for column := range keys {
		for _, desc := range []bool{false, true} {
			o := Order{column, desc}
			var forward, backward []string
			for p := (Page{First: ptr(7)}); ; {
				slice, err := page(s, p, o)
				require.NoError(t, err)
				for _, u := range slice.Items {
					forward = append(forward, u.ID)
				}
				if !slice.HasNext {
					break
				}
				p.After = &slice.Cursors[len(slice.Cursors)-1]
			}
			for p := (Page{Last: ptr(7)}); ; {
				slice, err := page(s, p, o)
				require.NoError(t, err)
				var ids []string
				for _, u := range slice.Items {
					ids = append(ids, u.ID)
				}
				backward = append(ids, backward...)
				if !slice.HasPrevious {
					break
				}
				p.Before = &slice.Cursors[0]
			}
			require.Len(t, forward, 50, "%+v", o)
			require.Equal(t, forward, backward, "%+v", o)
			seen := map[string]bool{}
			for _, id := range forward {
				require.False(t, seen[id], "%+v: a row twice", o)
				seen[id] = true
			}
		}
	}
}

func TestPagesRefuseWhatTheyCannotMean(t *testing.T) {
	s := open(t)
	people(t, s, 3)
	o := Order{Column: user.FieldCreatedAt}
	for name, p := range map[string]Page{
		"both":             {First: ptr(1), Last: ptr(1)},
		"too many":         {First: ptr(101)},
		"negative":         {Last: ptr(-1)},
		"no cursor":        {After: ptr("nonsense")},
		"of another order": {After: ptr(formatCursor(user.FieldUsername, "u", "user_1"))},
	} {
		_, err := page(s, p, o)
		require.Equal(t, fault.BadUserInput, fault.CodeOf(err), name)
	}
	slice, err := page(s, Page{First: ptr(0)}, o)
	require.NoError(t, err)
	require.Empty(t, slice.Items)
}

// TestD43TenThousandRows: the last page costs what the first does.
func TestD43TenThousandRows(t *testing.T) {
	s := open(t)
	people(t, s, 10_000)
	o := Order{Column: user.FieldCreatedAt, Desc: true}
	slice, err := page(s, Page{First: ptr(100)}, o)
	require.NoError(t, err)
	require.Len(t, slice.Items, 100)
	slice, err = page(s, Page{Last: ptr(100)}, o)
	require.NoError(t, err)
	require.Len(t, slice.Items, 100)
	require.Equal(t, "u00000", slice.Items[99].Username)
}

// TestWritersAndReadersTogether: nobody ever hears "database is locked".
func TestWritersAndReadersTogether(t *testing.T) {
	s := open(t)
	people(t, s, 100)
	ids := s.Client.User.Query().IDsX(system)
	var wait sync.WaitGroup
	errs := make(chan error, 16)
	for w := range 8 {
		wait.Go(func() {
			for i := range 50 {
				err := Tx(system, s.Client, func(tx *ent.Client) error {
					u, err := tx.User.Get(system, ids[(w+i)%len(ids)])
					if err != nil {
						return err
					}
					return u.Update().SetNickname(fmt.Sprint(w, i)).Exec(system)
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
		wait.Go(func() {
			for range 50 {
				if _, err := s.Client.User.Query().Limit(20).All(system); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
