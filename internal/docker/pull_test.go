package docker_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/mlride/mlride/internal/docker"
	"github.com/mlride/mlride/internal/docker/dockertest"
	"github.com/mlride/mlride/internal/engine"
)

func minute(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// TestPrivateRegistry: the operator's own credentials serve, and without them the
// refusal says so.
func TestPrivateRegistry(t *testing.T) {
	t.Parallel()
	ctx := minute(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	r := dockertest.PrivateRegistry(t, "ann", string(hash))
	ref := r.PushAs("team/app:1", 1000, registry.AuthConfig{Username: "ann", Password: "secret", ServerAddress: r.Address})

	instance := dockertest.Instance()
	dockertest.Engine(t, instance) // cleans up
	pull := func(config string) error {
		folder := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(folder, "config.json"), []byte(config), 0o600))
		e, err := docker.New(docker.Options{Instance: instance, RegistryConfig: folder})
		require.NoError(t, err)
		defer e.Close()
		_, err = e.Pull(ctx, dockertest.ID("img"), ref, engine.Discard)
		return err
	}
	auth := func(password string) string {
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, r.Address, base64.StdEncoding.EncodeToString([]byte("ann:"+password)))
	}
	require.ErrorIs(t, pull(`{}`), engine.ErrUnauthorized)
	require.ErrorIs(t, pull(auth("wrong")), engine.ErrUnauthorized)
	require.NoError(t, pull(auth("secret")))
}

// TestPullLeavesOthersTagsAlone: a newer image under a tag that the machine's
// owner has, does not take it from under him.
func TestPullLeavesOthersTagsAlone(t *testing.T) {
	t.Parallel()
	ctx := minute(t)
	r, e, raw, id := dockertest.Registry(t), dockertest.Engine(t, dockertest.Instance()), dockertest.Client(t), dockertest.ID("img")
	ref := r.Push("team/app:1", 1000)
	(&host{t: t, c: raw}).Hold(ref)
	before, err := raw.ImageInspect(ctx, ref)
	require.NoError(t, err)
	// The engine has the older one under another name while the newer is pushed.
	aside := "mlridetest/" + dockertest.Instance() + ":1"
	require.NoError(t, raw.ImageTag(ctx, ref, aside))
	t.Cleanup(func() { (&host{t: t, c: raw}).forget(aside) })
	r.Push("team/app:1", 2000)
	require.NoError(t, raw.ImageTag(ctx, aside, ref))

	info, err := e.Pull(ctx, id, ref, engine.Discard)
	require.NoError(t, err)
	require.NotEqual(t, before.ID, info.EngineID)
	after, err := raw.ImageInspect(ctx, ref)
	require.NoError(t, err)
	require.Equal(t, before.ID, after.ID)
	require.NoError(t, e.RemoveImage(ctx, id))
	_, err = raw.ImageInspect(ctx, info.EngineID)
	require.True(t, cerrdefs.IsNotFound(err), "the newer content goes with our tag: %v", err)
}

// TestPullKeepsOthersDigests: what somebody holds by its digest stays his.
func TestPullKeepsOthersDigests(t *testing.T) {
	t.Parallel()
	ctx := minute(t)
	r, e, raw, id := dockertest.Registry(t), dockertest.Engine(t, dockertest.Instance()), dockertest.Client(t), dockertest.ID("img")
	ref := r.Push("team/app:1", 1000)
	info, err := e.Pull(ctx, id, ref, engine.Discard)
	require.NoError(t, err)
	require.NoError(t, e.RemoveImage(ctx, id))
	theirs := r.Address + "/team/app@" + info.Digest
	h := &host{t: t, c: raw}
	h.Hold(theirs)
	t.Cleanup(func() { h.forget(ref) })

	_, err = e.Pull(ctx, id, ref, engine.Discard)
	require.NoError(t, err)
	require.True(t, h.Has(theirs))
	require.NoError(t, e.RemoveImage(ctx, id))
	require.True(t, h.Has(theirs))
}

// TestPullByDigest names just one content, and leaves no reference behind either.
func TestPullByDigest(t *testing.T) {
	t.Parallel()
	ctx := minute(t)
	r, e, raw, id := dockertest.Registry(t), dockertest.Engine(t, dockertest.Instance()), dockertest.Client(t), dockertest.ID("img")
	ref := r.Push("team/app:1", 1000)
	byTag, err := e.Pull(ctx, id, ref, engine.Discard)
	require.NoError(t, err)
	require.NoError(t, e.RemoveImage(ctx, id))
	_, err = raw.ImageInspect(ctx, byTag.EngineID)
	require.True(t, cerrdefs.IsNotFound(err), "the content goes with our tag: %v", err)

	byDigest, err := e.Pull(ctx, id, r.Address+"/team/app@"+byTag.Digest, engine.Discard)
	require.NoError(t, err)
	require.Equal(t, byTag, byDigest)
	require.NoError(t, e.RemoveImage(ctx, id))
	_, err = raw.ImageInspect(ctx, byTag.EngineID)
	require.True(t, cerrdefs.IsNotFound(err), "the content goes with our tag: %v", err)
}

// TestRegistryGoesAndComes: what failed while it was away works afterwards.
func TestRegistryGoesAndComes(t *testing.T) {
	t.Parallel()
	ctx := minute(t)
	r, e, id := dockertest.Registry(t), dockertest.Engine(t, dockertest.Instance()), dockertest.ID("img")
	ref := r.Push("team/app:1", 1000)
	r.Stop()
	_, err := e.Pull(ctx, id, ref, engine.Discard)
	require.ErrorIs(t, err, engine.ErrRegistry)
	r.Start()
	_, err = e.Pull(ctx, id, ref, engine.Discard)
	require.NoError(t, err)
}

// TestOwnTagsAreNoReferences: nobody comes by another user's image through the
// tag under which we hold it.
func TestOwnTagsAreNoReferences(t *testing.T) {
	t.Parallel()
	instance := dockertest.Instance()
	b := newBox(t, instance)
	for _, ref := range []string{"mlride-" + instance + "/" + b.image, "docker.io/mlride-" + instance + "/" + b.image + ":latest"} {
		_, err := b.engine.Adopt(b.ctx, dockertest.ID("img"), ref)
		require.ErrorIs(t, err, engine.ErrNotFound)
		_, err = b.engine.Pull(b.ctx, dockertest.ID("img"), ref, engine.Discard)
		require.ErrorIs(t, err, engine.ErrNotFound)
	}
}

// TestKitCleansUp: the kit itself leaves nothing in the engine.
func TestKitCleansUp(t *testing.T) {
	instance := dockertest.Instance()
	raw := dockertest.Client(t)
	t.Run("use", func(t *testing.T) {
		newBox(t, instance).start("sleep", "3600")
	})
	rows, err := raw.ImageList(minute(t), image.ListOptions{})
	require.NoError(t, err)
	for _, row := range rows {
		for _, tag := range row.RepoTags {
			require.NotContains(t, tag, instance)
		}
	}
}
