// Package ent holds the generated models. Only this file, schema/, record/
// and migrate/migrations/ are written by hand.
package ent

//go:generate go tool ent generate --feature intercept,sql/upsert,sql/modifier,sql/execquery,sql/versioned-migration --target . ./schema
