// Package frontend carries the built pages inside the program.
package frontend

import (
	"embed"
	"io/fs"
)

// The pattern also takes dist-missing.html, so that the program compiles on a
// fresh clone, before there is a dist folder; `all:` takes the files whose
// names begin with "_", as some bundles do.
//
//go:embed all:dist*
var files embed.FS

// Assets are the files of the built front-end. Before it is built they are the
// one page dist-missing.html, which says so.
func Assets() fs.FS {
	if built, err := fs.Sub(files, "dist"); err == nil {
		if _, err := fs.Stat(built, "index.html"); err == nil {
			return built
		}
	}
	return files
}
