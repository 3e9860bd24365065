package server

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/mlride/mlride/internal/store"
)

// Migrate brings the database up to date, keeping a copy of what was there.
// With dryRun it only writes the SQL to out.
func Migrate(ctx context.Context, config StoreConfig, dryRun bool, out io.Writer) error {
	if dryRun {
		text, err := store.Pending(ctx, config.DatabasePath())
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	}
	if err := os.MkdirAll(config.Data, 0o700); err != nil {
		return fmt.Errorf("MLRIDE_DATA: %w", err)
	}
	s, err := store.Open(ctx, config.DatabasePath())
	if err != nil {
		return err
	}
	return s.Close()
}
