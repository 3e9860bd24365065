package image

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/mlride/mlride/ent/record"
)

// Entry is a well-known image that can be pulled with one click.
type Entry struct {
	Name, Reference, Description string
	// MinMemory is the least memory that makes sense for it.
	MinMemory record.Bytes
	// Port is what its program listens on, 0 when it has none.
	Port int
}

//go:embed catalogue.json
var builtin []byte

// maxCatalogue bounds an operator's file, in bytes.
const maxCatalogue = 1 << 20

// rereadEvery is how often the operator's file is looked at.
const rereadEvery = 5 * time.Second

// BuiltinCatalogue are the well-known images that come with the program.
func BuiltinCatalogue() ([]Entry, error) { return parseCatalogue(builtin) }

// parseCatalogue reads a catalogue. docs/images.md says what its fields mean.
func parseCatalogue(text []byte) ([]Entry, error) {
	var rows []struct {
		Name, Reference, Description, MinMemory string
		Port                                    int
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		return nil, fmt.Errorf("read the catalogue of images: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read the catalogue of images: there is more behind the list")
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		if row.Name == "" {
			return nil, fmt.Errorf("catalogue of images: entry %d has no name", i+1)
		}
		if _, err := parse(row.Reference); err != nil {
			return nil, fmt.Errorf("catalogue of images: %s: %w", row.Name, err)
		}
		memory := record.Bytes(0)
		if row.MinMemory != "" {
			var err error
			if memory, err = record.ParseBytes(row.MinMemory); err != nil {
				return nil, fmt.Errorf("catalogue of images: minMemory of %s: %w", row.Name, err)
			}
		}
		if row.Port < 0 || row.Port > 65535 {
			return nil, fmt.Errorf("catalogue of images: port of %s: %d is none", row.Name, row.Port)
		}
		entries[i] = Entry{row.Name, row.Reference, row.Description, memory, row.Port}
	}
	return entries, nil
}

// Catalogue are the well-known images.
func (s *Service) Catalogue() []Entry { return *s.catalogue.Load() }

// offer makes entries the catalogue, none with less memory than may be asked for.
func (s *Service) offer(entries []Entry) {
	entries = slices.Clone(entries)
	for i := range entries {
		entries[i].MinMemory = max(entries[i].MinMemory, s.MinMemory)
	}
	s.catalogue.Store(&entries)
}

// readCatalogue reads the operator's file.
func readCatalogue(path string) ([]Entry, error) {
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxCatalogue+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxCatalogue {
		return nil, fmt.Errorf("catalogue of images: %s is larger than %s", path, record.Bytes(maxCatalogue))
	}
	return parseCatalogue(text)
}

// followCatalogue reads the operator's file again when it changes. While it is
// ill-formed the catalogue stays as it was.
func (s *Service) followCatalogue(ctx context.Context) {
	if s.CatalogueFile == "" {
		return
	}
	ticker := time.NewTicker(rereadEvery)
	defer ticker.Stop()
	seen := s.catalogueSeen
	for {
		if now := stamp(s.CatalogueFile); now != seen {
			seen = now
			if entries, err := readCatalogue(s.CatalogueFile); err != nil {
				s.Log.WarnContext(ctx, "the catalogue of images stays as it was", "error", err)
			} else {
				s.offer(entries)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// stamp tells one version of a file from the next.
func stamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}
