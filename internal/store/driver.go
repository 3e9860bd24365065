package store

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
)

// SQLite has one writer. So there are two pools on the same file: one
// connection that writes, whose transactions take the write lock at their
// beginning (so that none fails half-way with "database is locked"), and a few
// that only read and see the last commit (WAL).
const (
	readers   = 4
	shared    = "_journal_mode=WAL&_busy_timeout=5000&_synchronous=NORMAL&_fk=1"
	writerDSN = "file:%s?_txlock=immediate&" + shared
	readerDSN = "file:%s?_query_only=1&" + shared
)

// routed sends what only reads to the readers and everything else to the writer.
type routed struct {
	*sql.Driver
	read *sql.Driver
}

func openSQLite(path string) (*routed, error) {
	w, err := stdsql.Open("sqlite3", fmt.Sprintf(writerDSN, escaped(path)))
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	if err := w.Ping(); err != nil { // makes the file and sets WAL before anybody reads
		return nil, errors.Join(err, w.Close())
	}
	r, err := stdsql.Open("sqlite3", fmt.Sprintf(readerDSN, escaped(path)))
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	return &routed{Driver: sql.OpenDB(dialect.SQLite, w), read: sql.OpenDB(dialect.SQLite, r)}, nil
}

// openReaders opens a file that is there, for reading alone.
func openReaders(path string) (*routed, error) {
	r, err := stdsql.Open("sqlite3", fmt.Sprintf("file:%s?mode=rw&_query_only=1&_busy_timeout=5000", escaped(path)))
	if err != nil {
		return nil, err
	}
	r.SetMaxOpenConns(readers)
	if err := r.Ping(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	pool := sql.OpenDB(dialect.SQLite, r)
	return &routed{Driver: pool, read: pool}, nil
}

// escaped keeps what would end the path in a DSN.
func escaped(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(path)
}

// Query implements dialect.Driver.
func (d *routed) Query(ctx context.Context, query string, args, v any) error {
	if onlyReads(query) {
		return d.read.Query(ctx, query, args, v)
	}
	return d.Driver.Query(ctx, query, args, v)
}

// Close closes both pools.
func (d *routed) Close() error { return errors.Join(d.read.Close(), d.Driver.Close()) }

func onlyReads(query string) bool {
	return strings.HasPrefix(query, "SELECT") || strings.HasPrefix(query, "WITH ")
}
