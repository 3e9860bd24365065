package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	crypto "crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The size of the part pull, smaller for a quick try.
var (
	pulls      = flag.Int("pulls", 9, "pairs of pulls, after one that does not count")
	pulledMiB  = flag.Int("pulled-mib", 64, "size of an image that is pulled, in MiB that no compression makes smaller")
	pullLayers = flag.Int("pull-layers", 4, "its layers")
)

// pull compares pulls of images of one make and different content, from a registry
// on this machine, by turns; who is first changes from pair to pair.
func pull(ctx context.Context, p *product, raw *engine) (rows []row, err error) {
	registry, err := startRegistry(ctx, p.work)
	if err != nil {
		return nil, err
	}
	defer registry.stop()
	sides := [2]func(ctx context.Context, registry, name string) (time.Duration, error){p.pull, raw.pull}
	names := [2]string{"ours", "theirs"}
	for pair := range *pulls + 1 {
		for _, name := range names {
			if err := registry.push(ctx, fmt.Sprintf("%s-%d", name, pair)); err != nil {
				return nil, err
			}
		}
	}
	var took [2][]time.Duration
	var ratios []float64
	for pair := range *pulls + 1 {
		var now [2]time.Duration
		for turn := range sides {
			side := (pair + turn) % len(sides)
			unix.Sync() // what is still to be written is not put down to the next one
			if now[side], err = sides[side](ctx, registry.address, fmt.Sprintf("%s-%d", names[side], pair)); err != nil {
				return nil, err
			}
		}
		if pair > 0 {
			took[0], took[1] = append(took[0], now[0]), append(took[1], now[1])
			ratios = append(ratios, float64(now[0])/float64(now[1]))
		}
	}
	a, b := median(took[0]), median(took[1])
	return []row{
		{fmt.Sprintf("pull of %d MiB in %d layers, median, ms", *pulledMiB, *pullLayers), ms(a), ms(b), fmt.Sprintf("%.3f", float64(a)/float64(b)), "≤ 1.03"},
		{"  median of the ratios of each pair", "", "", fmt.Sprintf("%.3f", median(ratios)), ""},
	}, nil
}

// pull is from the question until its owner is told that the image is there. It is
// removed again.
func (p *product) pull(ctx context.Context, registry, name string) (time.Duration, error) {
	await, end, err := p.followImages(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	var asked struct {
		PullImage struct{ Image struct{ ID string } }
	}
	from := time.Now()
	err = p.ask(ctx, `mutation($input: PullImageInput!) { pullImage(input: $input) { image { id } } }`,
		map[string]any{"reference": registry + "/" + name + ":1", "preferSlim": false}, &asked)
	if err != nil {
		return 0, err
	}
	id := asked.PullImage.Image.ID
	if err := await(id, "READY"); err != nil {
		return 0, err
	}
	took := time.Since(from)
	return took, errors.Join(p.deleteImage(ctx, id), await(id, "REMOVED"))
}

func (p *product) deleteImage(ctx context.Context, id string) error {
	var ignored any
	return p.ask(ctx, `mutation($input: ID!) { deleteImage(id: $input) { image { id } } }`, id, &ignored)
}

// followImages subscribes to one's own images. The function it gives waits until
// one of them has this state, or is REMOVED; one that FAILED is an error.
func (p *product) followImages(ctx context.Context) (await func(id, state string) error, end func(), err error) {
	follow, end, err := p.events(ctx, `subscription { imageChanged { kind id image { status statusMessage } } }`)
	return func(id, state string) error {
		failed := ""
		err := follow(func(message string) bool {
			if !strings.Contains(message, id) {
				return false
			}
			if strings.Contains(message, `"FAILED"`) {
				failed = message
			}
			return failed != "" || strings.Contains(message, `"`+state+`"`)
		})
		if err == nil && failed != "" {
			err = errors.New(failed)
		}
		return err
	}, end, err
}

// pull is from the question until the engine's answer ends. The image is removed
// again.
func (e *engine) pull(ctx context.Context, registry, name string) (time.Duration, error) {
	ref := registry + "/" + name
	from := time.Now()
	answer, err := e.call(ctx, http.MethodPost, "/images/create?tag=1&fromImage="+url.QueryEscape(ref), nil)
	took := time.Since(from)
	if err == nil && bytes.Contains(answer, []byte(`"errorDetail"`)) {
		err = fmt.Errorf("pull %s: %s", ref, answer)
	}
	if err != nil {
		return 0, err
	}
	_, err = e.call(ctx, http.MethodDelete, "/images/"+ref+":1", nil)
	return took, err
}

// registry is a real one on a loopback port, of the Debian package docker-registry.
type registry struct {
	address string
	command *exec.Cmd
	noise   *rand.ChaCha8
}

func startRegistry(ctx context.Context, work string) (*registry, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var seed [32]byte
	_, _ = crypto.Read(seed[:]) // never fails
	r := &registry{address: l.Addr().String(), noise: rand.NewChaCha8(seed)}
	folder := filepath.Join(work, "registry")
	text := fmt.Sprintf("version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", folder, r.address)
	if err := errors.Join(l.Close(), os.WriteFile(folder+".yml", []byte(text), 0o600)); err != nil {
		return nil, err
	}
	r.command = exec.Command("docker-registry", "serve", folder+".yml")
	if err := r.command.Start(); err != nil {
		return nil, fmt.Errorf("a registry (apt-get install docker-registry): %w", err)
	}
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if _, err = r.call(ctx, http.MethodGet, "http://"+r.address+"/v2/", "", nil); err == nil {
			tick.Stop()
			return r, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.stop()
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func (r *registry) stop() {
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
}

// call does one exchange, and gives where the answer says to go on.
func (r *registry) call(ctx context.Context, method, at, kind string, content []byte) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", kind)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s: %s", method, at, response.Status, text)
	}
	return response.Header.Get("Location"), err
}

// The kinds of content that the registry tells the engine.
const (
	manifestKind = "application/vnd.docker.distribution.manifest.v2+json"
	configKind   = "application/vnd.docker.container.image.v1+json"
	layerKind    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// blob is how a manifest names content.
type blob struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

// push puts an image of random content there, which no engine has seen.
func (r *registry) push(ctx context.Context, name string) error {
	type object = map[string]any
	var layers []blob
	var contents []string
	for i := range *pullLayers {
		content, packed, err := r.layer(i)
		if err != nil {
			return err
		}
		layer, err := r.put(ctx, name, layerKind, packed)
		if err != nil {
			return err
		}
		layers, contents = append(layers, layer), append(contents, content)
	}
	text, err := json.Marshal(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": object{"Cmd": []string{"/noise-0"}},
		"rootfs": object{"type": "layers", "diff_ids": contents},
	})
	if err != nil {
		return err
	}
	config, err := r.put(ctx, name, configKind, text)
	if err != nil {
		return err
	}
	text, err = json.Marshal(object{"schemaVersion": 2, "mediaType": manifestKind, "config": config, "layers": layers})
	if err != nil {
		return err
	}
	_, err = r.call(ctx, http.MethodPut, "http://"+r.address+"/v2/"+name+"/manifests/1", manifestKind, text)
	return err
}

// layer is one file of noise: the digest of its archive, and that packed.
func (r *registry) layer(i int) (digest string, packed []byte, err error) {
	size := int64(*pulledMiB) << 20 / int64(*pullLayers)
	var buf bytes.Buffer
	sum := sha256.New()
	pack, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return "", nil, err
	}
	buffered := bufio.NewWriterSize(io.MultiWriter(pack, sum), 1<<20)
	w := tar.NewWriter(buffered)
	err = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("noise-%d", i), Mode: 0o644, Size: size})
	if err == nil {
		_, err = io.CopyN(w, r.noise, size)
	}
	err = errors.Join(err, w.Close(), buffered.Flush(), pack.Close())
	return fmt.Sprintf("sha256:%x", sum.Sum(nil)), buf.Bytes(), err
}

func (r *registry) put(ctx context.Context, name, kind string, content []byte) (blob, error) {
	b := blob{kind, len(content), fmt.Sprintf("sha256:%x", sha256.Sum256(content))}
	at, err := r.call(ctx, http.MethodPost, "http://"+r.address+"/v2/"+name+"/blobs/uploads/", "", nil)
	if err != nil {
		return b, err
	}
	to, err := url.Parse(at)
	if err != nil {
		return b, err
	}
	query := to.Query()
	query.Set("digest", b.Digest)
	to.RawQuery = query.Encode()
	_, err = r.call(ctx, http.MethodPut, to.String(), "application/octet-stream", content)
	return b, err
}
