//go:build ignore

// Writes the next migration: the difference between the schema in ent/schema
// and what the files in ent/migrate/migrations add up to.
//
//	go run -mod=mod ent/migrate/main.go NAME
package main

import (
	"context"
	"log"
	"os"

	atlas "ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/sqltool"
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql/schema"
	_ "github.com/mattn/go-sqlite3"

	"github.com/mlride/mlride/ent/migrate"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run -mod=mod ent/migrate/main.go NAME")
	}
	dir, err := sqltool.NewGooseDir("ent/migrate/migrations/sqlite")
	if err != nil {
		log.Fatal(err)
	}
	var _ atlas.Dir = dir
	err = migrate.NamedDiff(context.Background(), "sqlite://file?mode=memory&_fk=1", os.Args[1],
		schema.WithDir(dir),
		schema.WithMigrationMode(schema.ModeReplay),
		schema.WithDialect(dialect.SQLite),
		schema.WithFormatter(sqltool.GooseFormatter),
		schema.WithForeignKeys(true),
	)
	if err != nil {
		log.Fatal(err)
	}
}
