package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent"
	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/internal/engine"
)

// hub is the registry that mirrors are of.
const hub = "docker.io"

// source is a place where a reference may be had.
type source struct {
	// host of the registry, and the reference as it is asked for there.
	host, reference string
	mirror          bool
}

// mirrored is the same reference at a mirror, as "https://mirror.example" or
// "10.0.0.2:5000"; empty when the mirror's name would not be taken for one.
func mirrored(mirror string, named reference.Named) (host, ref string) {
	_, host, schemed := strings.Cut(mirror, "://")
	if !schemed {
		host = mirror
	}
	host = strings.TrimSuffix(host, "/")
	rest := strings.TrimPrefix(named.String(), hub+"/")
	there, err := reference.ParseNormalizedNamed(host + "/" + rest)
	if err != nil || reference.Domain(there) != host {
		return host, ""
	}
	return host, there.String()
}

// sources are where to ask for a reference, in order: the mirrors, for what they
// mirror, and then its own registry.
func (s *Service) sources(named reference.Named) []source {
	var list []source
	if reference.Domain(named) == hub {
		for _, mirror := range s.Mirrors {
			if host, ref := mirrored(mirror, named); ref != "" {
				list = append(list, source{host, ref, true})
			}
		}
	}
	return append(list, source{reference.Domain(named), named.String(), false})
}

// elsewhere says that it is worth asking elsewhere after this error.
func elsewhere(err error) bool {
	for _, kind := range []error{engine.ErrNotFound, engine.ErrRegistry, engine.ErrUnauthorized, engine.ErrPlatform} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// try is one place that was asked in vain.
type try struct {
	wanted reference.Named
	from   source
	err    error
}

// what is why, in a few words.
func (t try) what() string {
	switch {
	case errors.Is(t.err, engine.ErrNotFound):
		return "has no such tag"
	case errors.Is(t.err, engine.ErrPlatform):
		return "has it for other processors only"
	case errors.Is(t.err, engine.ErrUnauthorized):
		return "does not hand it out"
	case errors.Is(t.err, engine.ErrRegistry):
		return "could not be reached or failed: " + reason(t.err, engine.ErrRegistry)
	default:
		return reason(t.err, engine.ErrRefused)
	}
}

func (t try) String() string {
	return fmt.Sprintf("%s: %s %s.", short(t.wanted), t.from.host, t.what())
}

// failure is all that was tried in vain. It counts as the last of them, which is
// what the reference's own registry said, or what ended the trying.
type failure []try

func (f failure) Error() string { return f.last(nil).Error() }
func (f failure) Unwrap() error { return f.last(nil) }

func (f failure) last(none error) error {
	if len(f) == 0 {
		return none
	}
	return f[len(f)-1].err
}

// lacks says whether each place that was asked for it has no such tag.
func (f failure) lacks(wanted reference.Named) bool {
	asked, all := false, true
	for _, t := range f {
		if t.wanted.String() == wanted.String() {
			asked = true
			all = all && errors.Is(t.err, engine.ErrNotFound)
		}
	}
	return asked && all
}

// mirrors says what the mirrors said of what was asked for last, as a sentence
// with a space before it.
func (f failure) mirrors() string {
	said := ""
	for _, t := range f {
		if t.from.mirror && t.wanted.String() == f[len(f)-1].wanted.String() {
			said += fmt.Sprintf(" The mirror %s %s.", t.from.host, t.what())
		}
	}
	return said
}

// remark says for a person why the slim variant was not taken, where it may be there
// all the same.
func (f failure) remark(taken reference.Named, fallback int) string {
	if fallback == 0 || len(f) == 0 {
		return ""
	}
	slim := f[0].wanted
	if f.lacks(slim) {
		return "" // usedFallback says so
	}
	var why []string
	for _, t := range f {
		if t.wanted.String() == slim.String() {
			why = append(why, t.from.host+" "+t.what())
		}
	}
	return fmt.Sprintf("%s was not to be had (%s), so %s was taken. Pull again to try once more.", short(slim), strings.Join(why, "; "), short(taken))
}

// layers is what the image is made of, for its row. That the engine cannot tell
// just now is no reason to hold anything up: nil then.
func (s *Service) layers(ctx context.Context, id string) []record.Layer {
	told, err := s.Engine.Layers(ctx, id)
	if err != nil {
		return nil
	}
	list := make([]record.Layer, len(told))
	for i, l := range told {
		list[i] = record.Layer{Command: l.Command, Size: record.Bytes(l.Size), CreatedAt: l.CreatedAt}
	}
	return list
}

// vanished says what to do about an image that the engine does not have any more.
func vanished(row *ent.Image) string {
	const gone = "It is no longer in the engine. "
	switch {
	case row.Source == entimage.SourceBuild:
		return gone + "Build it again."
	case row.Source == entimage.SourceCommit:
		return gone + "Save it again from the container, or delete it."
	case row.OwnerID == nil:
		return gone + "Only the operator can bring it back."
	default:
		return gone + "Pull it again."
	}
}
