package image

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"

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

// BuiltinCatalogue are the well-known images that come with the program.
// docs/images.md says what the fields of the file mean.
func BuiltinCatalogue() ([]Entry, error) {
	var rows []struct {
		Name, Reference, Description, MinMemory string
		Port                                    int
	}
	decoder := json.NewDecoder(bytes.NewReader(builtin))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&rows); err != nil {
		return nil, fmt.Errorf("read the catalogue of images: %w", err)
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		if _, err := parse(row.Reference); err != nil {
			return nil, fmt.Errorf("catalogue of images: %s: %w", row.Name, err)
		}
		memory, err := record.ParseBytes(row.MinMemory)
		if err != nil {
			return nil, fmt.Errorf("catalogue of images: minMemory of %s: %w", row.Name, err)
		}
		entries[i] = Entry{row.Name, row.Reference, row.Description, memory, row.Port}
	}
	return entries, nil
}
