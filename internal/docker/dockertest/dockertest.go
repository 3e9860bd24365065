// Package dockertest gives tests a real engine, a small image and a real
// registry. A test that asks for what is not there fails and says what is
// missing: it never skips.
package dockertest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"

	"github.com/mlride/mlride/internal/docker"
)

// patience bounds what the kit itself asks of the engine.
const patience = 60 * time.Second

// Instance is a fresh random instance name.
func Instance() string { return "t" + random() }

// ID is a fresh id with the given prefix, as ctr or img.
func ID(prefix string) string { return prefix + "_" + random() + random() }

func random() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}

// Engine connects to the engine as the given instance (Instance() makes one).
// When the test ends, all that it made of that instance is removed.
func Engine(t testing.TB, instance string) *docker.Engine {
	t.Helper()
	raw := Client(t)
	e, err := docker.New(docker.Options{Instance: instance})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = e.Close()
		Clean(t, raw, instance)
	})
	return e
}

// Client is the SDK's own client, for what a test does behind our back.
func Client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Ping(ctx); err != nil {
		t.Fatalf("these tests need a running Docker engine at %s (as root: apt-get install docker.io, then start dockerd): %v", c.DaemonHost(), err)
	}
	c.NegotiateAPIVersion(ctx)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Clean removes all containers, volumes, networks and image tags of an instance
// from the engine.
func Clean(t testing.TB, c *client.Client, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := c.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", "mlride.instance="+instance))})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, row := range rows {
		if err := c.ContainerRemove(ctx, row.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	}
	kept, err := c.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mlride.instance="+instance))})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, row := range kept.Volumes {
		if err := c.VolumeRemove(ctx, row.Name, false); err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	}
	networks, err := c.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mlride.instance="+instance))})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, row := range networks {
		if err := c.NetworkRemove(ctx, row.ID); err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	}
	cleanBuilds(ctx, t, c, instance)
	images, err := c.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("reference", "mlride-"+instance+"/*"))})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, row := range images {
		for _, tag := range row.RepoTags {
			if strings.HasPrefix(tag, "mlride-"+instance+"/") {
				untag(t, c, tag)
			}
		}
	}
}

// cleanBuilds removes networks of builds.
func cleanBuilds(ctx context.Context, t testing.TB, c *client.Client, instance string) {
	t.Helper()
	networks, err := c.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "mlride.build="+instance))})
	if err != nil {
		t.Errorf("clean up: %v", err)
	}
	for _, row := range networks {
		if err := c.NetworkRemove(ctx, row.ID); err != nil && !cerrdefs.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	}
}

// untag removes a reference; that it is missing is no error.
func untag(t testing.TB, c *client.Client, ref string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true}); err != nil && !cerrdefs.IsNotFound(err) {
		t.Errorf("clean up %s: %v", ref, err)
	}
}

// ContainerName is the engine's name of a container of ours.
func ContainerName(instance, id string) string { return fmt.Sprintf("mlride-%s-%s", instance, id) }
