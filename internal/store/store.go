// Package store opens the database, keeps its shape up to date, and decides
// which rows a viewer sees and changes (visibility.go). Everything else about
// rows is in the features.
package store

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/migrate/migrations"
)

// Store is an open database.
type Store struct {
	// Client reads and writes as the viewer of each call's context.
	Client *ent.Client
	driver *routed
	path   string
}

// Open opens the SQLite file at path, making it if there is none, and brings
// it up to date. Before an existing file is changed, a copy is kept beside it
// (PATH.before-VERSION). A file of a newer program is refused.
func Open(ctx context.Context, path string) (*Store, error) {
	drv, err := openSQLite(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s := &Store{driver: drv, path: path}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("bring database %s up to date: %w", path, err), drv.Close())
	}
	s.Client = ent.NewClient(ent.Driver(drv))
	guard(s.Client)
	return s, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.driver.Close() }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.driver.read.DB().PingContext(ctx) }

// Pending prints the SQL that Open would run on the file at path, and changes
// nothing.
func Pending(ctx context.Context, path string) (string, error) {
	provider, db, err := openProvider(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	current, err := provider.GetDBVersion(ctx)
	if err != nil {
		return "", err
	}
	text := ""
	for _, source := range provider.ListSources() {
		if source.Version > current {
			content, err := fs.ReadFile(migrations.SQLite, "sqlite/"+filepath.Base(source.Path))
			if err != nil {
				return "", err
			}
			text += "-- " + filepath.Base(source.Path) + "\n" + string(content)
		}
	}
	return text, nil
}

func openProvider(path string) (*goose.Provider, *stdsql.DB, error) {
	if _, err := os.Stat(path); err != nil { // a dry run must not make the file
		path = ":memory:"
	}
	db, err := stdsql.Open("sqlite3", path)
	if err != nil {
		return nil, nil, err
	}
	provider, err := provide(db)
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return provider, db, nil
}

func provide(db *stdsql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
}

func (s *Store) migrate(ctx context.Context) error {
	provider, err := provide(s.driver.DB())
	if err != nil {
		return err
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	switch {
	case current > target:
		return fmt.Errorf("it was made by a newer program (version %d, this one knows %d); use that program, or restore a backup", current, target)
	case current == target:
		return nil
	case current > 0:
		backup := fmt.Sprintf("%s.before-%d", s.path, target)
		if err := s.Copy(ctx, backup); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("keep a copy in %s: %w", backup, err)
		}
	}
	_, err = provider.Up(ctx)
	return err
}

// Copy writes a consistent copy of the database to a new file of mode 0600
// while others read and write.
func (s *Store) Copy(ctx context.Context, to string) error {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// A connection of its own: the readers' may not write a file, and the
	// writer's would keep everybody waiting.
	db, err := stdsql.Open("sqlite3", fmt.Sprintf("file:%s?"+shared, escaped(s.path)))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return errors.Join(err, db.Close())
}

// Tx runs do in one transaction and commits it. Inside, only the given client
// may be used: the other one would wait for this transaction for ever. Nothing
// that waits (an engine, a publication) belongs in do.
func Tx(ctx context.Context, client *ent.Client, do func(tx *ent.Client) error) error {
	tx, err := client.Tx(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit this says only that it is done
	if err := do(tx.Client()); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// OpenToRead opens a database that is there and of this program's version, and
// changes nothing: a server may be running on it.
func OpenToRead(ctx context.Context, path string) (*Store, error) {
	drv, err := openReaders(path)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	s := &Store{driver: drv, path: path}
	provider, err := provide(drv.DB())
	if err != nil {
		return nil, errors.Join(err, drv.Close())
	}
	current, target, err := provider.GetVersions(ctx)
	if err == nil && current != target {
		err = fmt.Errorf("it has version %d and this program knows %d: use the program that runs on it, or mlride migrate", current, target)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read database %s: %w", path, err), drv.Close())
	}
	s.Client = ent.NewClient(ent.Driver(drv))
	guard(s.Client)
	return s, nil
}

// Path is the file.
func (s *Store) Path() string { return s.path }
