package docker_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine/enginetest"
)

// TestExam sits the exam with a real engine and a real registry.
func TestExam(t *testing.T) {
	registry := sync.OnceValue(func() *dockertest.LocalRegistry { return dockertest.Registry(t) })
	// Made once and held until all questions are answered: importing twice under
	// one tag would leave the first without any.
	ref := dockertest.Image(t)
	enginetest.Run(t, func(t *testing.T) enginetest.Subject {
		instance := dockertest.Instance()
		return enginetest.Subject{
			Engine: dockertest.Engine(t, instance),
			Other:  dockertest.Engine(t, dockertest.Instance()),
			Host:   &host{t: t, c: dockertest.Client(t), instance: instance, image: ref, registry: registry},
		}
	})
}

// host is the machine below the adapter, reached by the SDK itself.
type host struct {
	t        *testing.T
	c        *client.Client
	instance string
	image    string
	registry func() *dockertest.LocalRegistry
}

var ctx = context.Background()

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) Image() string              { return h.image }
func (h *host) NewID(prefix string) string { return dockertest.ID(prefix) }
func (h *host) BrokenImage() string        { return dockertest.Variant(h.t, "USER nobody-of-that-name") }
func (h *host) NoSuchImage() string        { return h.registry().Address + "/no/such:1" }
func (h *host) DeadRegistry() string       { return dockertest.FreeAddress(h.t) + "/team/app:1" }

// SilentImage is the same files without any configuration.
func (h *host) SilentImage() string {
	h.t.Helper()
	made, err := h.c.ContainerCreate(ctx, &container.Config{Image: h.image}, nil, nil, nil, "")
	h.must(err)
	defer func() { h.must(h.c.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true})) }()
	files, err := h.c.ContainerExport(ctx, made.ID)
	h.must(err)
	defer files.Close()
	ref := "mlridetest/" + dockertest.Instance() + ":1"
	body, err := h.c.ImageImport(ctx, image.ImportSource{Source: files, SourceName: "-"}, ref, image.ImportOptions{})
	h.must(err)
	_, err = io.Copy(io.Discard, body)
	h.must(err)
	h.must(body.Close())
	h.t.Cleanup(func() { h.forget(ref) })
	return ref
}

func (h *host) forget(ref string) {
	if _, err := h.c.ImageRemove(ctx, ref, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil && !cerrdefs.IsNotFound(err) {
		h.t.Error(err)
	}
}

func (h *host) Publish() string {
	ref := h.registry().Push(fmt.Sprintf("team/%s:1", dockertest.Instance()), 1<<20)
	h.t.Cleanup(func() { h.forget(ref) }) // two instances that pull at once may leave it
	return ref
}

func (h *host) PublishNewer(ref string) {
	h.registry().Push(strings.TrimPrefix(ref, h.registry().Address+"/"), 1<<20)
}

func (h *host) Hold(ref string) {
	h.t.Helper()
	body, err := h.c.ImagePull(ctx, ref, image.PullOptions{})
	h.must(err)
	_, err = io.Copy(io.Discard, body)
	h.must(err)
	h.must(body.Close())
	h.t.Cleanup(func() { h.forget(ref) })
}

func (h *host) Has(ref string) bool {
	h.t.Helper()
	_, err := h.c.ImageInspect(ctx, ref)
	if err != nil && !cerrdefs.IsNotFound(err) {
		h.t.Fatal(err)
	}
	return err == nil
}

func (h *host) Stranger(id string) func() bool {
	h.t.Helper()
	made, err := h.c.ContainerCreate(ctx, &container.Config{
		Image: h.image, Cmd: []string{"sleep", "3600"}, Labels: map[string]string{"mlride.id": id, "mlride.instance": "another"},
	}, nil, nil, nil, dockertest.ContainerName(h.instance, id))
	h.must(err)
	h.t.Cleanup(func() { h.must(h.c.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true})) })
	h.must(h.c.ContainerStart(ctx, made.ID, container.StartOptions{}))
	return func() bool {
		now, err := h.c.ContainerInspect(ctx, made.ID)
		h.must(err)
		return now.State.Running && now.RestartCount == 0
	}
}

func (h *host) StrangersVolume(id string) func() bool {
	h.t.Helper()
	name := dockertest.ContainerName(h.instance, id)
	made, err := h.c.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: map[string]string{"mlride.id": id, "mlride.instance": "another"}})
	h.must(err)
	h.t.Cleanup(func() { h.must(h.c.VolumeRemove(ctx, name, false)) })
	return func() bool {
		now, err := h.c.VolumeInspect(ctx, name)
		h.must(err)
		return now.CreatedAt == made.CreatedAt
	}
}

func (h *host) Kill(id string) {
	h.t.Helper()
	h.must(h.c.ContainerKill(ctx, dockertest.ContainerName(h.instance, id), "KILL"))
}

func (h *host) Destroy(id string) {
	h.t.Helper()
	h.must(h.c.ContainerRemove(ctx, dockertest.ContainerName(h.instance, id), container.RemoveOptions{Force: true}))
}

func (h *host) Say(id, text string, stderr bool) {
	h.t.Helper()
	fd := 1
	if stderr {
		fd = 2
	}
	made, err := h.c.ContainerExecCreate(ctx, dockertest.ContainerName(h.instance, id), container.ExecOptions{
		Cmd: []string{"sh", "-c", fmt.Sprintf("echo %s > /proc/1/fd/%d", text, fd)},
	})
	h.must(err)
	h.must(h.c.ContainerExecStart(ctx, made.ID, container.ExecStartOptions{Detach: true}))
}

func (h *host) networks() []network.Summary {
	h.t.Helper()
	rows, err := h.c.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mlride.instance="+h.instance))})
	h.must(err)
	return rows
}

func (h *host) Networks() []string {
	h.t.Helper()
	owners := []string{}
	for _, row := range h.networks() {
		owners = append(owners, row.Labels["mlride.owner"])
	}
	slices.Sort(owners)
	return owners
}

func (h *host) DropNetwork(owner string) {
	h.t.Helper()
	for _, row := range h.networks() {
		if row.Labels["mlride.owner"] == owner {
			h.must(h.c.NetworkRemove(ctx, row.ID))
		}
	}
}
