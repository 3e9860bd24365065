package docker_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

// system is the file system of an image, borrowed from this machine: what
// apt-get, dpkg and python3 are made of here. It takes seconds where a bootstrap
// from a mirror takes minutes, and no network.
type system struct {
	t    *testing.T
	into *tar.Writer
	has  map[string]bool
}

// merged is where a file of the old top folders is on a system that has merged
// them into /usr.
func merged(path string) string {
	for _, top := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(path, top) {
			return "/usr" + path
		}
	}
	return path
}

func (s *system) write(path string, mode int64, content []byte) {
	s.t.Helper()
	path = strings.TrimPrefix(merged(path), "/")
	if s.has[path] {
		return
	}
	s.has[path] = true
	require.NoError(s.t, s.into.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content))}))
	_, err := s.into.Write(content)
	require.NoError(s.t, err)
}

func (s *system) link(path, to string) {
	s.t.Helper()
	require.NoError(s.t, s.into.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: to, Mode: 0o777}))
}

func (s *system) folder(path string, mode int64) {
	s.t.Helper()
	require.NoError(s.t, s.into.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: mode}))
}

// borrow copies a file of this machine, under its own name, and the libraries
// that it needs.
func (s *system) borrow(path string) {
	s.t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(s.t, err, "this test borrows from a Debian system: install apt, python3 and python3-pip-whl")
	s.write(path, 0o755, content)
	if !bytes.HasPrefix(content, []byte("\x7fELF")) {
		return
	}
	libraries, _ := exec.Command("ldd", path).Output() // fails for what is not linked dynamically
	for line := range strings.Lines(string(libraries)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				library, err := os.ReadFile(word)
				require.NoError(s.t, err)
				s.write(word, 0o755, library)
			}
		}
	}
}

// borrowTree copies a folder, without what only tests and speed need.
func (s *system) borrowTree(folder string) {
	s.t.Helper()
	require.NoError(s.t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "__pycache__" || entry.Name() == "test" || strings.HasPrefix(entry.Name(), "config-")):
			return fs.SkipDir
		case entry.Type().IsRegular():
			s.borrow(path)
		}
		return nil
	}))
}

// debian is a system with package managers and a package for each of them.
func debian(t *testing.T) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	s := &system{t: t, into: tar.NewWriter(&buf), has: map[string]bool{}}
	for _, top := range []string{"bin", "sbin", "lib", "lib64"} {
		s.folder("usr/"+top, 0o755)
		s.link(top, "usr/"+top)
	}
	for _, folder := range []string{
		"dev", "proc", "sys", "root", "run", "etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/dpkg",
		"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/dpkg/alternatives",
		"var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
	} {
		s.folder(folder, 0o755)
	}
	s.folder("tmp", 0o1777)
	s.write("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nmail:x:8:8::/:/bin/sh\n_apt:x:42:65534::/nonexistent:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"))
	s.write("etc/group", 0o644, []byte("root:x:0:\nmail:x:8:\nnogroup:x:65534:\n"))
	s.write("etc/apt/sources.list", 0o644, []byte("deb [trusted=yes] file:/repo ./\n"))
	s.write("var/lib/dpkg/status", 0o644, nil)
	for _, program := range []string{
		"sh", "rm", "tar", "diff", "cat", "stat", "chown", "chgrp", "chmod", "id", "dpkg", "dpkg-deb", "dpkg-split", "dpkg-query", "apt-get", "env",
	} {
		path, err := exec.LookPath("/usr/bin/" + program)
		require.NoError(t, err)
		s.borrow(path)
	}
	for _, path := range []string{"/usr/sbin/ldconfig", "/usr/sbin/start-stop-daemon", "/usr/lib/apt/methods/file", "/usr/lib/apt/methods/copy", "/usr/lib/apt/methods/store", "/usr/lib/apt/methods/gpgv"} {
		s.borrow(path)
	}
	for _, table := range []string{"cputable", "ostable", "tupletable"} {
		s.borrow("/usr/share/dpkg/" + table)
	}
	s.borrowPython()
	s.packages()
	require.NoError(t, s.into.Close())
	return &buf
}

// borrowPython takes this machine's Python and the wheel of pip that it makes
// virtual environments with.
func (s *system) borrowPython() {
	s.t.Helper()
	library, err := exec.Command("/usr/bin/python3", "-c", "import os; print(os.path.dirname(os.__file__))").Output()
	require.NoError(s.t, err, "this test needs Debian's python3")
	s.borrow("/usr/bin/python3")
	s.borrowTree(strings.TrimSpace(string(library)))
	wheels, err := filepath.Glob("/usr/share/python-wheels/pip-*.whl")
	require.NoError(s.t, err)
	require.NotEmpty(s.t, wheels, "this test needs pip's wheel: apt-get install python3-pip-whl")
	pip, err := os.ReadFile(wheels[0])
	require.NoError(s.t, err)
	s.write("pip.whl", 0o644, pip)
}

// packages puts a Debian package that does what packages do (files of others, a
// folder with the set-group-id bit, a script that gives away) into a repository,
// and a Python package beside it.
func (s *system) packages() {
	s.t.Helper()
	const control = "Package: mlride-probe\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.invalid>\nDescription: a probe\n"
	root := filepath.Join(s.t.TempDir(), "root")
	for file, content := range map[string]string{
		"DEBIAN/control": control, "DEBIAN/postinst": "#!/bin/sh\nset -e\nchgrp mail /var/probe/box\nchmod 2775 /var/probe/box\nchown 42:8 /etc/probe.conf\n",
		"usr/bin/probe": "#!/bin/sh\necho the probe runs\n", "etc/probe.conf": "x\n", "var/probe/box/empty": "",
	} {
		require.NoError(s.t, os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		require.NoError(s.t, os.WriteFile(filepath.Join(root, file), []byte(content), mode))
	}
	require.NoError(s.t, os.Chown(filepath.Join(root, "var/probe/box/empty"), 8, 8))
	deb := filepath.Join(s.t.TempDir(), "probe.deb")
	out, err := exec.Command("dpkg-deb", "--build", root, deb).CombinedOutput()
	require.NoError(s.t, err, "%s", out)
	content, err := os.ReadFile(deb)
	require.NoError(s.t, err)
	s.write("repo/probe.deb", 0o644, content)
	s.write("repo/Packages", 0o644, fmt.Appendf(nil, "%sFilename: ./probe.deb\nSize: %d\nSHA256: %x\n", control, len(content), sha256.Sum256(content)))

	var wheel bytes.Buffer
	w := zip.NewWriter(&wheel)
	for _, file := range [][2]string{
		{"probe_mlride.py", "print('the module runs')\n"},
		{"probe_mlride-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: probe-mlride\nVersion: 1.0\n"},
		{"probe_mlride-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"probe_mlride-1.0.dist-info/RECORD", "probe_mlride.py,,\nprobe_mlride-1.0.dist-info/METADATA,,\nprobe_mlride-1.0.dist-info/WHEEL,,\nprobe_mlride-1.0.dist-info/RECORD,,\n"},
	} {
		entry, err := w.Create(file[0])
		require.NoError(s.t, err)
		_, err = io.WriteString(entry, file[1])
		require.NoError(s.t, err)
	}
	require.NoError(s.t, w.Close())
	s.write("wheels/probe_mlride-1.0-py3-none-any.whl", 0o644, wheel.Bytes())
}

// TestPackagesInstall: the default profile lets a person work. apt-get drops to a
// user of its own, dpkg gives files away, pip writes into the system's folders.
func TestPackagesInstall(t *testing.T) {
	t.Parallel()
	b := newBox(t, dockertest.Instance())
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	b.ctx = ctx // a busy machine takes its time over three hundred files of Python
	raw := dockertest.Client(t)
	ref := "mlridetest/" + dockertest.Instance() + ":1"
	body, err := raw.ImageImport(b.ctx, image.ImportSource{Source: debian(t), SourceName: "-"}, ref, image.ImportOptions{
		Changes: []string{"ENV PATH=/usr/sbin:/usr/bin", "ENV DEBIAN_FRONTEND=noninteractive"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { (&host{t: t, c: raw}).forget(ref) })
	_, err = io.Copy(io.Discard, body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	b.image, b.memory = dockertest.ID("img"), 512<<20
	_, err = b.engine.Adopt(b.ctx, b.image, ref)
	require.NoError(t, err)

	id := b.start("sh", "-c", strings.Join([]string{
		"set -e",
		"apt-get update", "apt-get install -y mlride-probe", "probe",
		"stat -c '%n %u:%g %a' /var/probe/box /var/probe/box/empty /etc/probe.conf",
		"export PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1",
		"python3 /pip.whl/pip install --no-index --find-links /wheels probe-mlride", "python3 -c 'import probe_mlride'",
	}, "\n"))
	said := strings.Join(b.output(id), "\n")
	for _, line := range []string{
		"Setting up mlride-probe", "the probe runs", "/var/probe/box 0:8 2775", "/var/probe/box/empty 8:8 644", "/etc/probe.conf 42:8 644",
		"Successfully installed probe-mlride-1.0", "the module runs",
	} {
		require.Contains(t, said, line)
	}
	state, err := b.engine.Inspect(b.ctx, id)
	require.NoError(t, err)
	require.Equal(t, engine.StatusExited, state.Status)
	require.Zero(t, state.ExitCode, said)
	require.NotContains(t, said, "W: ", "apt-get could do without its own user, and says so")
}
