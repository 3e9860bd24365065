package scalar

import (
	"errors"

	"github.com/99designs/gqlgen/graphql"
)

// Upload is a file that came beside an operation. What is not a file reads as
// one without content, so that whoever may not upload hears that first; the
// resolver refuses it by Whole.
type Upload struct{ graphql.Upload }

// MarshalUpload is never asked: a file is only taken.
func MarshalUpload(Upload) graphql.Marshaler { return graphql.Null }

// UnmarshalUpload takes what the transport put in the place of a variable.
func UnmarshalUpload(v any) (Upload, error) {
	if upload, ok := v.(graphql.Upload); ok {
		return Upload{upload}, nil
	}
	return Upload{}, nil
}

// ErrNoFile says that a value is not a file.
var ErrNoFile = errors.New("no file came with the request")

// Whole says whether there is a file at all.
func (u Upload) Whole() error {
	if u.File == nil {
		return ErrNoFile
	}
	return nil
}
