package dockertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
)

// LocalRegistry is a real registry on a loopback port, which an engine on the
// same machine uses without any setting.
type LocalRegistry struct {
	// Address is host:port, the beginning of its references.
	Address string

	t      testing.TB
	client *client.Client
	config string
	log    bytes.Buffer
	server *exec.Cmd
}

// Registry starts an empty registry. It ends with the test.
func Registry(t testing.TB) *LocalRegistry {
	t.Helper()
	return start(t, "")
}

// PrivateRegistry starts one that wants this user and password.
func PrivateRegistry(t testing.TB, user, bcryptHash string) *LocalRegistry {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(file, []byte(user+":"+bcryptHash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, fmt.Sprintf("auth:\n  htpasswd:\n    realm: test\n    path: %s\n", file))
}

func start(t testing.TB, more string) *LocalRegistry {
	t.Helper()
	r := &LocalRegistry{t: t, client: Client(t), Address: FreeAddress(t)}
	folder := t.TempDir()
	r.config = filepath.Join(folder, "conf.yml")
	text := fmt.Sprintf("version: 0.1\nlog:\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n%s", folder, r.Address, more)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Start()
	t.Cleanup(r.Stop)
	return r
}

// FreeAddress is a loopback address at which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Start runs the registry, on the same port and content as before, and waits
// until it answers.
func (r *LocalRegistry) Start() {
	r.t.Helper()
	if r.server != nil {
		return
	}
	r.log.Reset()
	r.server = exec.Command("docker-registry", "serve", r.config)
	r.server.Stdout, r.server.Stderr = &r.log, &r.log
	if err := r.server.Start(); err != nil {
		r.t.Fatalf("these tests need docker-registry (as root: apt-get install docker-registry): %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		resp, err := http.Get("http://" + r.Address + "/v2/")
		if err == nil {
			resp.Body.Close()
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.Stop()
			r.t.Fatalf("the registry does not answer: %v\n%s", err, r.log.String())
		}
	}
}

// Stop ends the registry at once, with connections open: as when its machine dies.
func (r *LocalRegistry) Stop() {
	if r.server == nil {
		return
	}
	_ = r.server.Process.Kill()
	_ = r.server.Wait()
	r.server = nil
}

// Push puts a new image (busybox and extra random bytes, so that no engine has
// its layer) into the registry under name, as "team/app:1". The engine forgets it
// again. The answer is the whole reference.
func (r *LocalRegistry) Push(name string, extra int) string {
	r.t.Helper()
	return r.PushAs(name, extra, registry.AuthConfig{})
}

// PushAs is Push with credentials.
func (r *LocalRegistry) PushAs(name string, extra int, as registry.AuthConfig) string {
	r.t.Helper()
	ref := r.Address + "/" + name
	importImage(r.t, r.client, ref, max(extra, 1))
	defer untag(r.t, r.client, ref)
	auth, err := registry.EncodeAuthConfig(as)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := r.client.ImagePush(ctx, ref, image.PushOptions{RegistryAuth: auth})
	if err != nil {
		r.t.Fatalf("push %s: %v", ref, err)
	}
	drain(r.t, "push "+ref, body)
	return ref
}
