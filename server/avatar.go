package server

import (
	"net/http"
	"os"
	"path/filepath"

	"github.com/mlride/mlride/internal/account"
)

// avatarFolder is where pictures are, within the data folder.
const avatarFolder = "avatars"

// avatars answers with pictures. A name tells its content, so that an answer
// holds for ever; whoever knows one was told it by somebody who sees the person.
func avatars(folder string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		if !account.AvatarName.MatchString(name) {
			http.NotFound(w, r)
			return
		}
		file, err := os.Open(filepath.Join(folder, name)) //nolint:gosec // the form of the name is checked above
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer func() { _ = file.Close() }()
		info, err := file.Stat()
		if err != nil {
			http.NotFound(w, r)
			return
		}
		header := w.Header()
		header.Set("Content-Type", "image/jpeg")
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
		header.Set("ETag", `"`+name[:64]+`"`)
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		http.ServeContent(w, r, "", info.ModTime(), file)
	})
}
