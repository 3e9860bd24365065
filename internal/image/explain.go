package image

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/distribution/reference"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/internal/engine"
)

// explain says for a person why a pull failed and what to do.
func explain(row *ent.Image, err error, late bool, deadline time.Duration) string {
	named, wrong := parse(row.RequestedReference)
	if wrong != nil {
		return referenceRule
	}
	registry, name := reference.Domain(named), short(named)
	var tried failure
	errors.As(err, &tried)
	mirrors := tried.mirrors()
	switch {
	case late:
		return fmt.Sprintf("The pull of %s took longer than %s and was given up. %s may be very slow or down. Pull again later.", name, deadline, registry)
	case errors.Is(err, engine.ErrNotFound):
		lacks := "no " + name
		if wish := candidates(named, row.PreferSlim); len(wish) > 1 && tried.lacks(wish[0]) {
			lacks = fmt.Sprintf("neither %s nor %s", short(wish[0]), name)
		}
		return fmt.Sprintf("%s has %s.%s Check the name and the tag.", registry, lacks, mirrors)
	case errors.Is(err, engine.ErrPlatform):
		return fmt.Sprintf("%s has %s, but not for this machine's processor (%s).%s Ask for another tag or image.", registry, name, reason(tried.last(err), engine.ErrPlatform), mirrors)
	case errors.Is(err, engine.ErrUnauthorized):
		return fmt.Sprintf("%s does not hand out %s: it is private, or there is no such image.%s Check the name, or ask the administrator for access to it.", registry, name, mirrors)
	case errors.Is(err, engine.ErrDiskFull):
		return fmt.Sprintf("The machine's disk is full, so %s could not be pulled. Delete images that you do not need, or ask the administrator to make room; then pull again.", name)
	case errors.Is(err, engine.ErrRegistry):
		return fmt.Sprintf("%s could not be reached, or failed while %s was pulled (%s).%s Pull again later, or ask the administrator for a mirror.", registry, name, reason(tried.last(err), engine.ErrRegistry), mirrors)
	case errors.Is(err, engine.ErrBusy):
		return fmt.Sprintf("Something else in the engine is busy with %s. Pull again.", name)
	default:
		return fmt.Sprintf("The engine would not pull %s (%s). Ask the administrator.", name, reason(tried.last(err), engine.ErrRefused))
	}
}

// maxReason bounds what of the engine's own text is shown, in characters.
const maxReason = 200

// reason is the engine's own text without the name of its kind, on one line.
func reason(err, kind error) string {
	text := []rune(strings.TrimPrefix(err.Error(), kind.Error()+": "))
	for i, r := range text {
		if unicode.IsControl(r) {
			text[i] = ' '
		}
	}
	if len(text) > maxReason {
		text = append(text[:maxReason], '…')
	}
	return string(text)
}
