package main

import (
	"bytes"
	"context"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/internal/docker/dockertest"
)

// The rows of the list of known failures that are about people, each against
// the real program and the real engine.

// team is a running product with an administrator and two people.
type team struct {
	*product
	root, ann, ben *client
	annUser        user
	image          string
}

func gather(t *testing.T, more ...string) *team {
	t.Helper()
	p := build(t)
	p.start(more...)
	w := &team{product: p, root: p.client(), ann: p.client(), ben: p.client()}
	w.root.register("root")
	w.annUser = w.ann.register("ann")
	w.ben.register("ben")
	w.image = w.ann.readyImage()
	return w
}

const setQuotaQuery = `mutation($id: ID!, $input: QuotaInput!) { setQuota(userId: $id, input: $input) { quota { maxContainers maxCpu maxMemory maxImages } } }`

func (w *team) quotaChange(by *client, input map[string]any) answer {
	return by.ask(setQuotaQuery, map[string]any{"id": w.annUser.User.ID, "input": input})
}

func TestD01OnlyAdministratorsChangeQuotas(t *testing.T) {
	w := gather(t)
	require.Equal(t, "FORBIDDEN", w.quotaChange(w.ann, map[string]any{"maxCpu": 100}).code())
	require.Equal(t, "FORBIDDEN", w.quotaChange(w.ben, map[string]any{"maxCpu": 100}).code())
	require.Equal(t, "UNAUTHENTICATED", w.quotaChange(w.client(), map[string]any{"maxCpu": 100}).code())
	many := w.ann.ask(`mutation($id: ID!) { setQuotas(userIds: [$id], input: {maxCpu: 100}) { id } }`, map[string]any{"id": w.annUser.User.ID})
	require.Equal(t, "FORBIDDEN", many.code())
	type viewer struct{ Quota quota }
	require.Equal(t, w.annUser.User.Quota, must[viewer](w.ann, "viewer", `{ viewer { quota { maxContainers maxCpu maxMemory maxImages } } }`, nil).Quota)
}

func TestD02PartialQuotaChange(t *testing.T) {
	w := gather(t)
	type payload struct{ Quota quota }
	got := must[payload](w.root, "setQuota", setQuotaQuery, map[string]any{"id": w.annUser.User.ID, "input": map[string]any{"maxCpu": 1.5}})
	require.Equal(t, quota{MaxContainers: 20, MaxImages: 20, MaxCPU: 1.5, MaxMemory: 4 << 30}, got.Quota)
}

func TestD03NewAccountWorksAtOnce(t *testing.T) {
	w := gather(t)
	require.Equal(t, quota{MaxContainers: 20, MaxImages: 20, MaxCPU: 20, MaxMemory: 4 << 30}, w.annUser.User.Quota)
	require.Empty(t, w.ann.ask(createQuery, box(w.image, "mine")).Errors)
}

// TestD08TheCallersQuota: what is made counts for whoever asks, and no input
// names another owner.
func TestD08TheCallersQuota(t *testing.T) {
	w := gather(t)
	used := func(c *client) int {
		type viewer struct{ Usage struct{ Containers int } }
		return must[viewer](c, "viewer", `{ viewer { usage { containers } } }`, nil).Usage.Containers
	}
	input := box(w.image, "mine")
	inner, ok := input["input"].(map[string]any)
	require.True(t, ok)
	for _, field := range []string{"ownerId", "owner", "userId"} {
		inner[field] = w.annUser.User.ID
		a := w.ben.ask(createQuery, input)
		require.NotEmpty(t, a.Errors, field)
		delete(inner, field)
	}
	require.Empty(t, w.ben.ask(createQuery, input).Errors)
	require.Equal(t, 1, used(w.ben))
	require.Zero(t, used(w.ann))
	mine := must[listed](w.ben, "containers", listQuery, nil).Edges[0].Node.ID
	a := w.ben.ask(`mutation($id: ID!, $input: UpdateContainerInput!) { updateContainer(id: $id, input: $input) { container { id } } }`,
		map[string]any{"id": mine, "input": map[string]any{"ownerId": w.annUser.User.ID}})
	require.NotEmpty(t, a.Errors)
	require.Equal(t, 1, used(w.ben))
}

// TestD14DeletedAccountsAreGone: containers, volumes and images of an account
// are gone from the engine after its grace, and those of others are not.
func TestD14DeletedAccountsAreGone(t *testing.T) {
	w := gather(t, "MLRIDE_DELETION_GRACE=5s")
	input := box(w.image, "mine")
	inner, ok := input["input"].(map[string]any)
	require.True(t, ok)
	inner["workspace"] = "work"
	require.Empty(t, w.ann.ask(createQuery, input).Errors)
	require.Empty(t, w.ben.ask(createQuery, box(w.image, "bens")).Errors)
	require.Empty(t, w.ann.ask(`mutation { createVolume(input: {name: "spare"}) { volume { id } } }`, nil).Errors)
	require.Empty(t, w.ann.ask(`mutation { createAccessToken(input: {name: "t"}) { secret } }`, nil).Errors)
	engine := dockertest.Engine(t, w.instance)
	ctx := context.Background()
	containers := func() int {
		states, err := engine.List(ctx)
		require.NoError(t, err)
		return len(states)
	}
	require.Eventually(t, func() bool { return containers() == 2 }, patience, 50*time.Millisecond)

	require.Equal(t, "BAD_USER_INPUT", w.ann.ask(`mutation { deleteAccount(password: "wrong") { user { id } } }`, nil).code())
	require.Empty(t, w.ann.ask(`mutation { deleteAccount(password: "correct horse battery") { user { id } } }`, nil).Errors)
	require.Equal(t, "null", string(w.ann.ask(`{ viewer { id } }`, nil).Data["viewer"]))
	type users struct{ TotalCount int }
	people := `{ users(where: {nameContains: "ann"}) { totalCount } }`
	defer func() {
		if t.Failed() {
			t.Log(w.written())
		}
	}()
	require.Eventually(t, func() bool { return must[users](w.root, "users", people, nil).TotalCount == 0 }, 2*patience, 200*time.Millisecond)
	require.Equal(t, 1, containers(), "ben's stays")
	type connection struct{ TotalCount int }
	require.Equal(t, 1, must[connection](w.root, "containers", `{ containers { totalCount } }`, nil).TotalCount)
	require.Zero(t, must[connection](w.root, "volumes", `{ volumes { totalCount } }`, nil).TotalCount)
	again := w.client()
	again.register("ann")
	require.Empty(t, must[listed](again, "containers", listQuery, nil).Edges, "a new account of the name has nothing of the old one")
}

func TestD15WithoutASignIn(t *testing.T) {
	w := gather(t)
	for _, query := range []string{
		listQuery, `{ images { totalCount } }`, `{ users { totalCount } }`, `{ imageCatalogue { name } }`, `{ system { version } }`,
		`{ auditEvents { totalCount } }`, `{ quotaRequests { totalCount } }`, `{ invitations { totalCount } }`,
		`{ node(id: "` + w.annUser.User.ID + `") { id } }`, `mutation { logout }`, `mutation { removeContainer(id: "ctr_1") { container { id } } }`,
		`mutation { updateProfile(input: {nickname: "x"}) { user { id } } }`,
	} {
		require.Equal(t, "UNAUTHENTICATED", w.client().ask(query, nil).code(), query)
	}
	require.Equal(t, "null", string(w.client().ask(`{ viewer { id } }`, nil).Data["viewer"]))
	require.Empty(t, w.client().ask(`{ serverInfo { version } }`, nil).Errors)
}

// TestD34NothingSecretIsKept: neither the data folder nor the log holds a
// password, a sign-in or an access token, and nothing secret is built in: two
// servers that were told nothing share none.
func TestD34NothingSecretIsKept(t *testing.T) {
	w := gather(t)
	type made struct{ Secret string }
	secrets := []string{"correct horse battery", "staple orbit lantern", "a wrong password"}
	secrets = append(secrets, must[made](w.ann, "createAccessToken", `mutation { createAccessToken(input: {name: "t"}) { secret } }`, nil).Secret)
	type reset struct{ OneTimePassword string }
	secrets = append(secrets, must[reset](w.root, "createUser", `mutation { createUser(input: {username: "eva", email: "eva@example.org"}) { oneTimePassword } }`, nil).OneTimePassword)
	type invited struct{ Code string }
	secrets = append(secrets, must[invited](w.root, "createInvitation", `mutation { createInvitation(input: {note: "n"}) { code } }`, nil).Code)
	w.client().ask(`mutation { login(input: {login: "ann", password: "a wrong password"}) { user { id } } }`, nil)
	require.Empty(t, w.ann.ask(`mutation { changePassword(input: {currentPassword: "correct horse battery", newPassword: "staple orbit lantern"}) { user { id } } }`, nil).Errors)
	address, err := url.Parse(w.url)
	require.NoError(t, err)
	for _, c := range []*client{w.root, w.ann, w.ben} {
		jar := c.Jar.Cookies(address)
		require.Len(t, jar, 1)
		secrets = append(secrets, jar[0].Value)
	}
	w.end(os.Interrupt)
	written := []byte(w.written())
	require.NoError(t, filepath.WalkDir(w.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // of the test's own folder
		written = append(written, content...)
		return err
	}))
	require.Contains(t, string(written), "argon2id", "the search reads the right files")
	for _, secret := range secrets {
		require.NotEmpty(t, secret)
		require.False(t, bytes.Contains(written, []byte(secret)), "a secret was written")
	}
}

// TestD41OthersPublicThings: what is public is seen by everybody and changed by
// nobody but its owner and administrators.
func TestD41OthersPublicThings(t *testing.T) {
	w := gather(t)
	for _, mutation := range []string{
		`deleteImage(id: $id) { image { id } }`, `cancelImage(id: $id) { image { id } }`,
	} {
		a := w.ben.ask(`mutation($id: ID!) { `+mutation+` }`, map[string]any{"id": w.image})
		require.Contains(t, []string{"NOT_FOUND", "FORBIDDEN"}, a.code(), mutation)
	}
	type volume struct{ Volume struct{ ID string } }
	id := must[volume](w.root, "createVolume", `mutation { createVolume(input: {name: "course"}) { volume { id } } }`, nil).Volume.ID
	require.Empty(t, w.root.ask(`mutation($id: ID!) { updateVolume(id: $id, input: {visibility: PUBLIC}) { volume { id } } }`, map[string]any{"id": id}).Errors)
	require.NotEqual(t, "null", string(w.ben.ask(`query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": id}).Data["node"]))
	for _, mutation := range []string{
		`updateVolume(id: $id, input: {name: "mine"}) { volume { id } }`, `updateVolume(id: $id, input: {visibility: PRIVATE}) { volume { id } }`,
		`deleteVolume(id: $id) { volume { id } }`, `restoreVolume(id: $id) { volume { id } }`, `purgeVolume(id: $id)`,
	} {
		a := w.ben.ask(`mutation($id: ID!) { `+mutation+` }`, map[string]any{"id": id})
		require.Contains(t, []string{"NOT_FOUND", "FORBIDDEN"}, a.code(), mutation)
	}
	require.NotEqual(t, "null", string(w.root.ask(`query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": id}).Data["node"]))
}

func TestWhatIsSomebodyElsesIsNotThere(t *testing.T) {
	w := gather(t)
	require.Empty(t, w.ann.ask(createQuery, box(w.image, "mine")).Errors)
	mine := must[listed](w.ann, "containers", listQuery, nil).Edges[0].Node.ID
	require.Empty(t, must[listed](w.ben, "containers", listQuery, nil).Edges)
	require.Equal(t, "null", string(w.ben.ask(`query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": mine}).Data["node"]))
	a := w.ben.ask(`mutation($id: ID!) { removeContainer(id: $id) { container { id } } }`, map[string]any{"id": mine})
	require.Equal(t, "NOT_FOUND", a.code())
	none := w.ben.ask(`mutation($id: ID!) { removeContainer(id: $id) { container { id } } }`, map[string]any{"id": "ctr_none"})
	require.Equal(t, strings.ReplaceAll(none.Errors[0].Message, "ctr_none", mine), a.Errors[0].Message, "the words tell nothing")
	require.Len(t, must[listed](w.root, "containers", listQuery, nil).Edges, 1)
}
