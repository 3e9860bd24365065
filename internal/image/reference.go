package image

import (
	_ "embed"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/fault"
)

// maxReference bounds what somebody may write; the longest that a registry
// takes is about this.
const maxReference = 255

const referenceRule = "A reference looks like python:3.12, quay.io/jupyter/minimal-notebook or registry.example:5000/team/tool@sha256:…, in lower case and without spaces."

// parse normalises a reference as the docker command line does:
// "python:3.12" is "docker.io/library/python:3.12".
func parse(text string) (reference.Named, error) {
	var check fault.Check
	named, err := reference.ParseNormalizedNamed(text)
	check.That(err == nil && len(text) <= maxReference, "reference", "format", referenceRule)
	if err := check.Err(); err != nil {
		return nil, err
	}
	return reference.TagNameOnly(named), nil
}

// variant matches tags that already say which variant they are.
var variant = regexp.MustCompile(`(^|-)(slim|alpine|bookworm|bullseye|buster|trixie|noble|jammy|focal|windowsservercore|nanoserver|onbuild|fpm|minimal)`)

// slim is the slim variant of a reference; nil where there is none to try: a
// digest, a tag that names a variant, or an image that has none by convention.
func slim(named reference.Named) reference.Named {
	if _, pinned := named.(reference.Digested); pinned {
		return nil
	}
	tagged, ok := named.(reference.Tagged)
	if !ok || variant.MatchString(tagged.Tag()) || !strings.HasPrefix(named.Name(), "docker.io/library/") && reference.Domain(named) == "docker.io" {
		return nil
	}
	tag := tagged.Tag() + "-slim"
	if tagged.Tag() == "latest" {
		tag = "slim"
	}
	small, err := reference.WithTag(reference.TrimNamed(named), tag)
	if err != nil { // the tag became too long
		return nil
	}
	return small
}

// Entry is a well-known image.
type Entry struct {
	Name, Reference, Description string
	MinMemory                    record.Bytes
	// Port is what its program listens on, 0 when it has none.
	Port int
}

//go:embed catalogue.json
var catalogue []byte

// Catalogue are the well-known images that come with the program.
func Catalogue() ([]Entry, error) {
	var rows []struct {
		Name, Reference, Description, MinMemory string
		Port                                    int
	}
	if err := json.Unmarshal(catalogue, &rows); err != nil {
		return nil, err
	}
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		memory, err := record.ParseBytes(row.MinMemory)
		if err != nil {
			return nil, err
		}
		entries[i] = Entry{row.Name, row.Reference, row.Description, memory, row.Port}
	}
	return entries, nil
}
