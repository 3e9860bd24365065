package image_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	entimage "github.com/mlride/mlride/ent/image"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine/enginetest"
	"github.com/mlride/mlride/internal/image"
)

// story is the image's log as one text.
func (h *house) story(id string) string { return strings.Join(h.log(sys, id), "\n") }

// TestDockerMirrors: what is asked for of Docker Hub comes from the first mirror
// that has it, slim first; the record keeps the name that people know, and the log
// says where it came from.
func TestDockerMirrors(t *testing.T) {
	t.Parallel()
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(broken.Close)
	r := dockertest.Registry(t)
	h := onDocker(t, func(o *image.Options) { o.Mirrors = []string{broken.URL, "http://" + r.Address} })
	ann := h.person("ann", roomy)
	r.Push("library/mlride-python:3.12-slim", 1000)
	r.Push("library/mlride-python:3.12", 1000)

	row := h.ready(ann, "mlride-python:3.12", true)
	require.Equal(t, "docker.io/library/mlride-python:3.12-slim", row.Reference)
	require.False(t, row.UsedFallback)
	log := h.story(row.ID)
	require.Contains(t, log, "mlride-python:3.12-slim: "+strings.TrimPrefix(broken.URL, "http://")+" could not be reached or failed")
	require.Contains(t, log, "mlride-python:3.12-slim came from "+r.Address+": "+*row.Digest)

	pinned := h.ready(ann, "mlride-python@"+*row.Digest, true)
	require.Equal(t, []any{row.Digest, row.EngineID}, []any{pinned.Digest, pinned.EngineID})
	require.Equal(t, "docker.io/library/mlride-python@"+*row.Digest, pinned.Reference)

	// What is no reference of Docker Hub's is not looked for at its mirrors.
	other := h.refused(ann, dockertest.FreeAddress(t)+"/mlride-python:3.12", false)
	require.NotContains(t, h.story(other.ID), r.Address)
	h.holds(row.ID, pinned.ID)
}

// TestD27FallbackSaysWhy: a registry that has no slim tag, and one that failed when
// it was asked for it, are told apart.
func TestD27FallbackSaysWhy(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	target := &url.URL{Scheme: "http", Host: r.Address}
	proxy := httputil.NewSingleHostReverseProxy(target)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasSuffix(q.URL.Path, "-slim") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(failing.Close)
	r.Push("team/app:1", 1000)
	lacks := h.ready(ann, r.Address+"/team/app:1", true)
	require.True(t, lacks.UsedFallback)
	require.Nil(t, lacks.StatusMessage)
	require.Contains(t, h.story(lacks.ID), "team/app:1-slim: "+r.Address+" has no such tag.")
	failed := h.ready(ann, strings.TrimPrefix(failing.URL, "http://")+"/team/app:1", true)
	require.True(t, failed.UsedFallback)
	require.Contains(t, *failed.StatusMessage, "team/app:1-slim was not to be had")
	require.Contains(t, *failed.StatusMessage, "team/app:1 was taken")
	h.holds(lacks.ID, failed.ID)
}

// fetch reads something of a registry.
func fetch(t *testing.T, address string) []byte {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, address, nil)
	require.NoError(t, err)
	q.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json")
	a, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.StatusCode, string(body))
	return body
}

func put(t *testing.T, address, kind string, body []byte) {
	t.Helper()
	q, err := http.NewRequest(http.MethodPut, address, bytes.NewReader(body))
	require.NoError(t, err)
	q.Header.Set("Content-Type", kind)
	a, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	defer a.Body.Close()
	said, _ := io.ReadAll(a.Body)
	require.Equal(t, http.StatusCreated, a.StatusCode, string(said))
}

// TestDockerWrongPlatform: an image for another processor is not kept, and the
// message names both.
func TestDockerWrongPlatform(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	ref := r.Push("team/app:1", 1000)
	at := "http://" + r.Address + "/v2/team/app/"
	var manifest, config map[string]any
	require.NoError(t, json.Unmarshal(fetch(t, at+"manifests/1"), &manifest))
	about := manifest["config"].(map[string]any)
	require.NoError(t, json.Unmarshal(fetch(t, at+"blobs/"+about["digest"].(string)), &config))
	config["architecture"] = "s390x"
	changed, err := json.Marshal(config)
	require.NoError(t, err)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(changed))
	upload, err := http.Post(at+"blobs/uploads/", "", nil)
	require.NoError(t, err)
	require.NoError(t, upload.Body.Close())
	put(t, upload.Header.Get("Location")+"&digest="+digest, "application/octet-stream", changed)
	about["digest"], about["size"] = digest, len(changed)
	changed, err = json.Marshal(manifest)
	require.NoError(t, err)
	put(t, at+"manifests/1", "application/vnd.docker.distribution.manifest.v2+json", changed)

	row := h.refused(ann, ref, false)
	require.Contains(t, *row.StatusMessage, "but not for this machine's processor (it is for linux/s390x, and this machine is linux/")
	gone(t, digest)
	h.holds()
}

// TestDockerDamagedLayer: what arrives damaged is not kept.
func TestDockerDamagedLayer(t *testing.T) {
	t.Parallel()
	h, r := onDocker(t), dockertest.Registry(t)
	ann := h.person("ann", roomy)
	r.Push("team/app:1", 1<<20)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: r.Address})
	proxy.ModifyResponse = func(a *http.Response) error {
		if a.Request.Method != http.MethodGet || a.ContentLength < 1<<20 || !strings.Contains(a.Request.URL.Path, "/blobs/") {
			return nil
		}
		body, err := io.ReadAll(a.Body)
		body[len(body)/2] ^= 0xff
		a.Body = io.NopCloser(bytes.NewReader(body))
		return err
	}
	door := httptest.NewServer(proxy)
	t.Cleanup(door.Close)
	row := h.refused(ann, strings.TrimPrefix(door.URL, "http://")+"/team/app:1", false)
	require.Contains(t, *row.StatusMessage, "failed while team/app:1 was pulled")
	require.Contains(t, *row.StatusMessage, "Pull again later")
	h.holds()
}

// TestReferencesThatAreNone are refused before anything is asked for.
func TestReferencesThatAreNone(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	for _, ref := range []string{"", " python", "python 3", "python\n:3", "../python", "a/../b", "Python:3", strings.Repeat("a", 300), "python:3;rm", "python:\x00", "http://python"} {
		_, err := h.Pull(ann, image.Input{Reference: ref, PreferSlim: true})
		require.Error(t, err, "%q", ref)
	}
	require.Zero(t, fake.Calls(enginetest.MethodPull))
	h.holds()
}

// TestVanishedCanBePulledAgain: what goes behind the server's back says so, and a
// refresh brings it back.
func TestVanishedCanBePulledAgain(t *testing.T) {
	t.Parallel()
	h, fake := onFake(t)
	ann := h.person("ann", roomy)
	fake.Publish("python:3", small)
	row := h.ready(ann, "python:3", false)
	require.NoError(t, fake.RemoveImage(sys, row.ID))
	h.Observe(row.ID)
	lost := h.awaitStatus(ann, row.ID, entimage.StatusFailed)
	require.Equal(t, "It is no longer in the engine. Pull it again.", *lost.StatusMessage)
	_, err := h.Refresh(ann, row.ID)
	require.NoError(t, err)
	back := h.awaitStatus(ann, row.ID, entimage.StatusReady)
	require.Nil(t, back.StatusMessage)
	require.Len(t, back.Layers, 1)
}

// TestCatalogueFile: the operator's list takes the place of ours, is followed, and
// stays as it was while it is ill-formed; an ill-formed one stops the start.
func TestCatalogueFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalogue.json")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	for _, bad := range []string{``, `{}`, `[{"name":"A"}]`, `[{"name":"A","reference":"a:1","color":"red"}]`, `[] []`, `[{"name":"A","reference":"a:1","minMemory":"much"}]`} {
		write(bad)
		_, err := image.New(image.Options{CatalogueFile: file})
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "\n")
	}
	write(`[{"name":"Ours","reference":"registry.example/ours:1"}]`)
	h, _ := onFake(t, func(o *image.Options) { o.CatalogueFile = file })
	require.Equal(t, "Ours", h.Catalogue()[0].Name)
	write(`[{`)
	write(`[{"name":"Theirs, and longer","reference":"registry.example/theirs:1","port":8888}]`)
	require.Eventually(t, func() bool { return h.Catalogue()[0].Port == 8888 }, patience, 10*ms)
}
