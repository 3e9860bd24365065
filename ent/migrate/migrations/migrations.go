// Package migrations holds the versioned changes of the database, one folder
// for each dialect, forward only. `make migration NAME=…` writes the next one
// from the difference between the schema and what stands here.
package migrations

import "embed"

// SQLite are the migrations for SQLite.
//
//go:embed sqlite/*.sql
var SQLite embed.FS
