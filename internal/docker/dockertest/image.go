package dockertest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// busybox is where Debian's busybox-static puts its one program.
const busybox = "/bin/busybox"

// busyboxImage holds it under the names of its commands. The tag's number is
// raised when the content changes. It stays in the engine for the next test.
const busyboxImage = "mlridetest/busybox:1"

// applets are the commands of the image.
var applets = []string{
	"sh", "sleep", "cat", "echo", "dd", "yes", "head", "tail", "ls", "wget", "httpd", "true", "false", "kill", "ps", "id",
	"env", "hostname", "mkdir", "rm", "cp", "mv", "touch", "chmod", "chown", "su", "nc", "ip", "ping", "seq", "wc", "grep",
	"sed", "awk", "cut", "sort", "tr", "printf", "date", "df", "du", "mount", "umount", "top", "stty", "tty", "vi", "nproc",
	"free", "find", "test", "md5sum", "od", "uname", "whoami", "ln", "stat", "tee", "timeout", "tar", "usleep", "mktemp", "pwd",
}

// Image gives the reference of a small busybox image in the engine, whose command
// is sh. It is made once; tests of several processes may ask at the same time.
func Image(t testing.TB) string {
	t.Helper()
	c := Client(t)
	// Among processes: without the lock two would import the same content under
	// two ids, and the slower one would take the tag from under the other's test.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "mlride-dockertest.lock"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close() // lets go of the lock too
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.ImageInspect(ctx, busyboxImage); err == nil {
		return busyboxImage
	} else if !cerrdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	importImage(t, c, busyboxImage, 0)
	return busyboxImage
}

// Variant gives the reference of that image with one instruction more, as "USER
// 1000". It goes with the test.
func Variant(t testing.TB, change string) string {
	t.Helper()
	c := Client(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	made, err := c.ContainerCreate(ctx, &container.Config{Image: Image(t)}, nil, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}()
	ref := "mlridetest/" + Instance() + ":1"
	if _, err := c.ContainerCommit(ctx, made.ID, container.CommitOptions{Reference: ref, Changes: []string{change}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { untag(t, c, ref) })
	return ref
}

// importImage makes an image of busybox and a file of extra random bytes, so that
// the engine has no layer of it yet.
func importImage(t testing.TB, c *client.Client, ref string, extra int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := c.ImageImport(ctx, image.ImportSource{Source: rootFS(t, extra), SourceName: "-"}, ref, image.ImportOptions{
		Changes: []string{`CMD ["sh"]`, `ENV PATH=/bin`},
	})
	if err != nil {
		t.Fatalf("import %s: %v", ref, err)
	}
	drain(t, "import "+ref, body)
}

// rootFS is the image's file system as a tar.
func rootFS(t testing.TB, extra int) io.Reader {
	t.Helper()
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatalf("these tests need busybox-static (as root: apt-get install busybox-static): %v", err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{"bin/", "etc/", "home/", "proc/", "root/", "sys/", "dev/", "var/"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755}, nil)
	}
	add(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(&tar.Header{Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n"))
	add(&tar.Header{Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nuser:x:1000:\n"))
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, program)
	for _, name := range applets {
		add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
	}
	if extra > 0 {
		noise := make([]byte, extra)
		_, _ = rand.Read(noise) // never fails
		add(&tar.Header{Name: "noise", Mode: 0o644}, noise)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

// drain reads a stream of the engine's to its end and fails on an error in it.
func drain(t testing.TB, what string, body io.ReadCloser) {
	t.Helper()
	defer body.Close()
	for decoder := json.NewDecoder(body); ; {
		var m struct {
			Error string `json:"error"`
		}
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if m.Error != "" {
			t.Fatalf("%s: %s", what, m.Error)
		}
	}
}

// Bare gives the reference of an image with nothing but one program of busybox's,
// under its name in the root folder, and these arguments as its command: there is
// no shell. It goes with the test.
func Bare(t testing.TB, name string, args ...string) string {
	t.Helper()
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatalf("these tests need busybox-static (as root: apt-get install busybox-static): %v", err)
	}
	command, err := json.Marshal(append([]string{"/" + name}, args...))
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program))}), write(w, program), w.Close()); err != nil {
		t.Fatal(err)
	}
	c := Client(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ref := "mlridetest/" + Instance() + ":1"
	body, err := c.ImageImport(ctx, image.ImportSource{Source: &buf, SourceName: "-"}, ref, image.ImportOptions{
		Changes: []string{"CMD " + string(command)},
	})
	if err != nil {
		t.Fatalf("import %s: %v", ref, err)
	}
	drain(t, "import "+ref, body)
	t.Cleanup(func() { untag(t, c, ref) })
	return ref
}

func write(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
