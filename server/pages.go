package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// pages serves the front-end's files, precompressed where the build did so.
// A path that is no file and has no extension is a place in the application,
// and gets its page.
type pages struct {
	files fs.FS
	built bool
	// tags are ETags by file name, made when first asked for: hashing
	// everything would make up most of the start.
	tags sync.Map
}

// unbuilt is the page that stands for the front-end before it is built.
const unbuilt = "dist-missing.html"

func newPages(files fs.FS) *pages {
	_, err := fs.Stat(files, "index.html")
	return &pages{files: files, built: err == nil}
}

// ServeHTTP answers GET and HEAD.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET is answered here.", http.StatusMethodNotAllowed)
		return
	}
	if !p.built {
		p.sayUnbuilt(w)
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	switch {
	case name == "graphiql":
		name = "graphiql.html"
	case name == "" || path.Ext(name) == "":
		name = "index.html"
	}
	encodings := []string{".br", ".gz", ""}
	accepted := r.Header.Values("Accept-Encoding")
	for _, suffix := range encodings {
		if suffix != "" && !accepts(accepted, suffix) {
			continue
		}
		if p.serve(w, r, name, suffix) {
			return
		}
	}
	if p.unpack(w, name) { // the build may leave out the plain file of what it compressed
		return
	}
	http.NotFound(w, r)
}

// serve answers with one file; false when there is none.
func (p *pages) serve(w http.ResponseWriter, r *http.Request, name, suffix string) bool {
	if ext := path.Ext(name); ext == ".br" || ext == ".gz" {
		return false // only ever as an encoding of the file itself
	}
	f, err := p.files.Open(name + suffix)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	content, seeks := f.(io.ReadSeeker)
	if err != nil || info.IsDir() || !seeks {
		return false
	}
	tag, err := p.tag(name+suffix, content)
	if err != nil {
		return false
	}
	header(w, name)
	w.Header().Set("ETag", tag)
	switch suffix {
	case ".br":
		w.Header().Set("Content-Encoding", "br")
	case ".gz":
		w.Header().Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, name, time.Time{}, content)
	return true
}

// unpack answers with the plain form of a file that is there only compressed.
func (p *pages) unpack(w http.ResponseWriter, name string) bool {
	packed, err := fs.ReadFile(p.files, name+".gz")
	if err != nil {
		return false
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return false
	}
	header(w, name)
	_, _ = io.Copy(w, reader) //nolint:gosec // our own build made it
	return true
}

// tag is the file's ETag; the content is left at its beginning.
func (p *pages) tag(name string, content io.ReadSeeker) (string, error) {
	if tag, ok := p.tags.Load(name); ok {
		return tag.(string), nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12]) + `"`
	p.tags.Store(name, tag)
	return tag, nil
}

func (p *pages) sayUnbuilt(w http.ResponseWriter) {
	page, err := fs.ReadFile(p.files, unbuilt)
	if err != nil {
		page = []byte("The front-end is not built: run make build.\n")
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(page)
}

// header says what a file is and how long it may be kept: for good where its
// name changes with its content.
func header(w http.ResponseWriter, name string) {
	kind := mime.TypeByExtension(path.Ext(name))
	switch path.Ext(name) { // the system's table may miss or misname these
	case ".js", ".mjs":
		kind = "text/javascript; charset=utf-8"
	case ".woff2":
		kind = "font/woff2"
	case ".webmanifest":
		kind = "application/manifest+json"
	case ".map", ".json":
		kind = typeJSON
	case ".ttf":
		kind = "font/ttf"
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept-Encoding")
	keep := "no-cache"
	if strings.HasPrefix(name, "assets/") {
		keep = "public, max-age=31536000, immutable"
	}
	w.Header().Set("Cache-Control", keep)
}

// accepts says whether an Accept-Encoding takes the encoding of a suffix.
func accepts(values []string, suffix string) bool {
	encoding := map[string]string{".br": "br", ".gz": "gzip"}[suffix]
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameter, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		weight, given := strings.CutPrefix(strings.TrimSpace(parameter), "q=")
		q, err := strconv.ParseFloat(weight, 64)
		return !given || err == nil && q > 0
	}
	return false
}
