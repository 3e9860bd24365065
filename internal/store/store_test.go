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
	type table struct{ name, sql string }
	shape := func(c *ent.Client, query func(string) (*stdsql.Rows, error)) map[string]string {
		_ = c
		rows, err := query(`SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'goose%' AND name NOT LIKE 'sqlite%' ORDER BY name`)
		require.NoError(t, err)
		defer func() { _ = rows.Close() }()
		shape := map[string]string{}
		for rows.Next() {
			var row table
			require.NoError(t, rows.Scan(&row.name, &row.sql))
			shape[row.name] = row.sql
		}
		require.NoError(t, rows.Err())
		return shape
	}
	migrated := shape(s.Client, func(q string) (*stdsql.Rows, error) { return s.driver.DB().Query(q) })

	drv, err := openSQLite(filepath.Join(t.TempDir(), "fresh.db"))
	require.NoError(t, err)
	fresh := ent.NewClient(ent.Driver(drv))
	defer func() { require.NoError(t, fresh.Close()) }()
	require.NoError(t, fresh.Schema.Create(system))
	created := shape(fresh, func(q string) (*stdsql.Rows, error) { return drv.DB().Query(q) })
	require.Equal(t, created, migrated, "make migration NAME=… writes what is missing")
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
