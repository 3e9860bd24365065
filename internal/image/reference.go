package image

import (
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/internal/fault"
)

// maxReference bounds what somebody may write, in bytes; the longest name that a
// registry takes is as long.
const maxReference = 255

const referenceRule = "A reference looks like python:3.12, quay.io/jupyter/minimal-notebook or registry.example:5000/team/tool@sha256:…, the name in lower case, without spaces, and at most 255 characters."

// parse normalises a reference as the docker command line does: "python:3.12" is
// "docker.io/library/python:3.12", and "python" its tag latest. A digest stays.
func parse(text string) (reference.Named, error) {
	var check fault.Check
	named, err := reference.ParseNormalizedNamed(text)
	check.That(err == nil && len(text) <= maxReference, "reference", "format", referenceRule)
	if err := check.Err(); err != nil {
		return nil, err
	}
	return reference.TagNameOnly(named), nil
}

// short is how people write the reference, without its registry.
func short(named reference.Named) string {
	return strings.TrimPrefix(reference.FamiliarString(named), reference.Domain(named)+"/")
}

// variant matches tags that say themselves which variant they are: how much is in
// the image, on what it stands, or for which processor it is.
var variant = regexp.MustCompile(`(^|-)(` +
	`slim|minimal|mini|lite|tiny|full|fat|alpine|distroless|scratch|onbuild|fpm|` +
	`stretch|buster|bullseye|bookworm|trixie|forky|sid|bionic|focal|jammy|noble|ubuntu|debian|ubi\d|` +
	`windowsservercore|nanoserver|cuda|cudnn|gpu|rocm|runtime|devel)`)

// candidates are what to try for a reference, in order, the last one being the
// reference itself. Where slim is preferred, the slim variant of the same version
// comes first; there is none to try for a digest, and for a tag that names a
// variant. It is never another version.
func candidates(named reference.Named, preferSlim bool) []reference.Named {
	tagged, ok := named.(reference.Tagged)
	_, pinned := named.(reference.Digested)
	if !preferSlim || !ok || pinned || variant.MatchString(tagged.Tag()) {
		return []reference.Named{named}
	}
	tag := tagged.Tag() + "-slim"
	if tagged.Tag() == "latest" {
		tag = "slim"
	}
	slim, err := reference.WithTag(reference.TrimNamed(named), tag)
	if err != nil { // the tag became too long
		return []reference.Named{named}
	}
	return []reference.Named{slim, named}
}
