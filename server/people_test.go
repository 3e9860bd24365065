package server

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/graph"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/quota"
	"github.com/mlride/mlride/internal/store"
)

// town is the site with real accounts and a real database, and no engine.
type town struct {
	*rig
	accounts *account.Service
	store    *store.Store
}

const secretWords = "correct horse battery"

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{}
	data := t.TempDir()
	ctx := auth.AsSystem(context.Background())
	var err error
	w.store, err = store.Open(ctx, filepath.Join(data, "mlride.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	feed, log := &live.Feed{}, slog.New(slog.DiscardHandler)
	ledger, err := quota.New(ctx, quota.Options{
		Client: w.store.Client, Feed: feed, Log: log, Now: time.Now,
		Default: quota.Limits{Containers: 5, CPU: record.CoresOf(2), Memory: 4 << 30, Images: 20, Volumes: 10, Disk: 20 << 30},
	})
	require.NoError(t, err)
	w.accounts = account.New(account.Options{
		Client: w.store.Client, Feed: feed, Log: log, Now: time.Now, Mode: account.Open,
		NewQuota: ledger.GiveOther, Quota: ledger, Grace: time.Hour, Avatars: filepath.Join(data, avatarFolder),
	})
	w.rig = newRig(t, func(deps *Deps, _ *Handler) {
		deps.Config.Data = data
		deps.Resolver = &graph.Resolver{Account: w.accounts, Quota: ledger}
		deps.Accounts = w.accounts
	})
	return w
}

// cookie is the sign-in that an answer sets.
func cookie(t *testing.T, a answerOf) string {
	t.Helper()
	require.Empty(t, a.Errors)
	r := http.Response{Header: a.header}
	for _, c := range r.Cookies() {
		if c.Name == cookieName {
			return c.Value
		}
	}
	t.Fatal("no cookie was set")
	return ""
}

func (w *town) register(t *testing.T, name string) (token, id string) {
	t.Helper()
	a := w.post(t, "", `mutation($i: RegisterInput!) { register(input: $i) { user { id } } }`,
		map[string]any{"i": map[string]any{"username": name, "email": name + "@example.org", "password": secretWords}})
	token = cookie(t, a)
	return token, at[string](t, a, "register", "user", "id")
}

// at is a value within the data of an answer.
func at[T any](t *testing.T, a answerOf, path ...string) T {
	t.Helper()
	require.Empty(t, a.Errors, a.body)
	var v any = a.Data
	for _, step := range path {
		within, ok := v.(map[string]any)
		require.True(t, ok, "%v of %s", path, a.body)
		v = within[step]
	}
	found, ok := v.(T)
	require.True(t, ok, "%v of %s", path, a.body)
	return found
}

// bearing asks with an access token.
func (w *town) bearing(t *testing.T, scheme, token, query string) answerOf {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query})
	require.NoError(t, err)
	return w.do(t, request{
		method: http.MethodPost, path: "/graphql", body: string(body),
		header: map[string]string{"Content-Type": typeJSON, "Authorization": scheme + " " + token},
	})
}

func (w *town) token(t *testing.T, session string, readOnly bool) (secret, id string) {
	t.Helper()
	a := w.post(t, session, `mutation($r: Boolean!) { createAccessToken(input: {name: "laptop", readOnly: $r}) { secret accessToken { id lastUsedAt } } }`, map[string]any{"r": readOnly})
	return at[string](t, a, "createAccessToken", "secret"), at[string](t, a, "createAccessToken", "accessToken", "id")
}

// TestD31TokenHeader: a request with only a token header is authenticated.
func TestD31TokenHeader(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	session, id := w.register(t, "ann")
	secret, tokenID := w.token(t, session, false)
	for _, scheme := range []string{"Bearer", "Token", "bearer"} {
		a := w.bearing(t, scheme, secret, `{ viewer { id accessTokens { name } } }`)
		require.Equal(t, id, at[string](t, a, "viewer", "id"), scheme)
		require.Empty(t, a.header.Values("Set-Cookie"))
	}
	for _, wrong := range []string{"", "mlr_", "mlr_guess", "xyz_" + secret[4:], session, secret + "x", secret + strings.Repeat("x", 10_000)} {
		a := w.bearing(t, "Bearer", wrong, `{ viewer { id } }`)
		require.Equal(t, http.StatusUnauthorized, a.status, wrong)
		require.Equal(t, "UNAUTHENTICATED", a.code())
		require.NotContains(t, a.body, secret[4:])
	}
	// a cookie is no place for it
	require.Nil(t, w.post(t, secret, `{ viewer { id } }`, nil).Data["viewer"])
	require.Equal(t, true, at[bool](t, w.post(t, session, `mutation { revokeAccessToken(id: "`+tokenID+`") }`, nil), "revokeAccessToken"))
	require.Equal(t, http.StatusUnauthorized, w.bearing(t, "Bearer", secret, `{ viewer { id } }`).status)
}

func TestReadOnlyTokens(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	session, _ := w.register(t, "ann")
	secret, _ := w.token(t, session, true)
	require.Equal(t, "ann", at[string](t, w.bearing(t, "Bearer", secret, `{ viewer { username } }`), "viewer", "username"))
	for _, mutation := range []string{
		`updateProfile(input: {nickname: "x"}) { user { id } }`, `login(input: {login: "ann", password: "x"}) { user { id } }`,
		`logout`, `requestQuota(input: {limits: {maxCpu: 3}}) { quotaRequest { id } }`,
	} {
		a := w.bearing(t, "Bearer", secret, "mutation { "+mutation+" }")
		require.Equal(t, "FORBIDDEN", a.code(), mutation)
		require.Equal(t, "READ_ONLY", a.Errors[0].Extensions["reason"])
	}
}

func (w *town) bearingSocket(t *testing.T, init string) client {
	t.Helper()
	c := w.socket(t, "", transportWS, false)
	c.send(`{"type":"connection_init","payload":` + init + `}`)
	return c
}

// over is the code with which the server ends the socket.
func (c client) over() websocket.StatusCode {
	code, _ := c.closed()
	return code
}

// TestTokenSockets: a token in connection_init is who asks; revoked, the socket
// ends and not another.
func TestTokenSockets(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	session, _ := w.register(t, "ann")
	secret, id := w.token(t, session, false)
	c := w.bearingSocket(t, `{"Authorization":"Bearer `+secret+`"}`)
	require.Equal(t, "connection_ack", c.read().Type)
	c.subscribe("1", `subscription { usageChanged { containers } }`)
	require.Equal(t, "next", c.read().Type)
	byCookie := w.socket(t, session, transportWS, true)
	require.Equal(t, closeUnauthorized, w.bearingSocket(t, `{"Authorization":"Bearer mlr_guess"}`).over())
	at[bool](t, w.post(t, session, `mutation { revokeAccessToken(id: "`+id+`") }`, nil), "revokeAccessToken")
	require.Equal(t, closeSignedOut, c.over())
	byCookie.subscribe("1", `subscription { usageChanged { containers } }`)
	require.Equal(t, "next", byCookie.read().Type)
}

// TestPasswordChangeEndsEverythingElse, sockets too, and gives a new cookie.
func TestPasswordChangeEndsEverythingElse(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	here, _ := w.register(t, "ann")
	login := `mutation { login(input: {login: "ann", password: "` + secretWords + `"}) { user { id } } }`
	there := cookie(t, w.post(t, "", login, nil))
	sockets := []client{w.socket(t, here, transportWS, true), w.socket(t, there, transportWS, true)}
	change := `mutation($i: ChangePasswordInput!) { changePassword(input: $i) { user { username } } }`
	a := w.post(t, here, change, map[string]any{"i": map[string]any{"currentPassword": secretWords, "newPassword": "short"}})
	require.Equal(t, "BAD_USER_INPUT", a.code())
	fresh := cookie(t, w.post(t, here, change, map[string]any{"i": map[string]any{"currentPassword": secretWords, "newPassword": "staple orbit lantern"}}))
	require.NotEqual(t, here, fresh)
	for _, s := range sockets {
		require.Equal(t, closeSignedOut, s.over())
	}
	require.Nil(t, w.post(t, here, `{ viewer { id } }`, nil).Data["viewer"])
	require.Nil(t, w.post(t, there, `{ viewer { id } }`, nil).Data["viewer"])
	require.Equal(t, "ann", at[string](t, w.post(t, fresh, `{ viewer { username } }`, nil), "viewer", "username"))
}

// TestOneTimePasswordMustBeChanged: until then everything else is refused, by
// every transport, and says why.
func TestOneTimePasswordMustBeChanged(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, _ := w.register(t, "root")
	a := w.post(t, admin, `mutation { createUser(input: {username: "ben", email: "ben@example.org", quota: {maxCpu: 1.5}}) {
		oneTimePassword user { quota { maxCpu maxContainers } } } }`, nil)
	require.InDelta(t, 1.5, at[float64](t, a, "createUser", "user", "quota", "maxCpu"), 0)
	require.InDelta(t, 5, at[float64](t, a, "createUser", "user", "quota", "maxContainers"), 0)
	once := at[string](t, a, "createUser", "oneTimePassword")
	ben := cookie(t, w.post(t, "", `mutation { login(input: {login: "ben", password: "`+once+`"}) { user { mustChangePassword } } }`, nil))
	require.True(t, at[bool](t, w.post(t, ben, `{ viewer { mustChangePassword } }`, nil), "viewer", "mustChangePassword"))
	refused := func(a answerOf) {
		require.Equal(t, "FORBIDDEN", a.code(), a.body)
		require.Equal(t, "PASSWORD_CHANGE_REQUIRED", a.Errors[0].Extensions["reason"])
	}
	refused(w.post(t, ben, `{ quotaRequests { totalCount } }`, nil))
	refused(w.post(t, ben, `mutation { createAccessToken(input: {name: "x"}) { secret } }`, nil))
	c := w.socket(t, ben, transportWS, true)
	c.subscribe("1", `subscription { usageChanged { containers } }`)
	require.Contains(t, string(c.read().Payload), "PASSWORD_CHANGE_REQUIRED")
	ben = cookie(t, w.post(t, ben, `mutation { changePassword(input: {currentPassword: "`+once+`", newPassword: "`+secretWords+`"}) { user { mustChangePassword } } }`, nil))
	require.Empty(t, w.post(t, ben, `{ quotaRequests { totalCount } }`, nil).Errors)
}

// TestEndsReachOpenSockets: suspended, demoted, ended and deleted people's
// sockets end; what a session may is looked at anew.
func TestEndsReachOpenSockets(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, _ := w.register(t, "root")
	for name, change := range map[string]string{
		"suspended": `updateUser(id: $id, input: {suspended: true}) { user { id } }`,
		"promoted":  `updateUser(id: $id, input: {role: ADMIN}) { user { id } }`,
		"ended":     `updateUser(id: $id, input: {expiresAt: "2020-01-01T00:00:00Z"}) { user { id } }`,
		"reset":     `resetPassword(userId: $id) { oneTimePassword }`,
		"deleted":   `deleteUser(id: $id) { user { deletionScheduledAt } }`,
	} {
		session, id := w.register(t, name)
		c := w.socket(t, session, transportWS, true)
		c.subscribe("1", `subscription { usageChanged { containers } }`)
		require.Equal(t, "next", c.read().Type)
		require.Empty(t, w.post(t, admin, `mutation($id: ID!) { `+change+` }`, map[string]any{"id": id}).Errors)
		require.Equal(t, closeSignedOut, c.over(), name)
		alive := w.post(t, session, `{ viewer { role } }`, nil)
		if name == "promoted" {
			require.Equal(t, "ADMIN", at[string](t, alive, "viewer", "role"))
			continue
		}
		require.Nil(t, alive.Data["viewer"], name)
	}
}

// files makes a multipart request.
func (w *town) files(t *testing.T, token, operations, mapping string, content []byte, header map[string]string) answerOf {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("operations", operations))
	require.NoError(t, form.WriteField("map", mapping))
	part, err := form.CreateFormFile("0", "me.png")
	require.NoError(t, err)
	_, err = part.Write(content)
	require.NoError(t, err)
	require.NoError(t, form.Close())
	headers := map[string]string{"Content-Type": form.FormDataContentType()}
	for name, value := range header {
		headers[name] = value
	}
	return w.do(t, request{method: http.MethodPost, path: "/graphql", token: token, body: body.String(), header: headers})
}

func TestAvatarOverHTTP(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	session, _ := w.register(t, "ann")
	var picture bytes.Buffer
	require.NoError(t, png.Encode(&picture, image.NewGray(image.Rect(0, 0, 80, 60))))
	operations := `{"query":"mutation($f: Upload!) { uploadAvatar(file: $f) { user { avatarUrl } } }","variables":{"f":null}}`
	asked := map[string]string{"Apollo-Require-Preflight": "1"}

	require.Equal(t, http.StatusForbidden, w.files(t, session, operations, `{"0":["variables.f"]}`, picture.Bytes(), nil).status)
	for _, mapping := range []string{
		`{"0":["variables.g"]}`, `{"0":["variables"]}`, `{"0":["query"]}`, `{"0":["variables.f.x"]}`, `{"0":[]}`, `{"1":["variables.f"]}`, `{}`, `[]`,
		`{"0":["variables.f"],"1":["variables.f"]}`, `{"0":["variables.f","variables.f"]}`,
	} {
		a := w.files(t, session, operations, mapping, picture.Bytes(), asked)
		require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", mapping, a.body)
		require.Equal(t, "BAD_USER_INPUT", a.code())
	}
	require.Equal(t, "BAD_USER_INPUT", w.files(t, session, operations, `{"0":["variables.f"]}`, []byte("<svg/>"), asked).code())
	require.Equal(t, http.StatusRequestEntityTooLarge, w.files(t, session, operations, `{"0":["variables.f"]}`, make([]byte, maxMultipart), asked).status)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.files(t, "", operations, `{"0":["variables.f"]}`, make([]byte, maxBody), asked).status)
	require.Equal(t, "UNAUTHENTICATED", w.files(t, "", operations, `{"0":["variables.f"]}`, picture.Bytes(), asked).code())
	require.Equal(t, "BAD_USER_INPUT", w.post(t, session, `mutation { uploadAvatar(file: "x") { user { id } } }`, nil).code())

	address := at[string](t, w.files(t, session, operations, `{"0":["variables.f"]}`, picture.Bytes(), asked), "uploadAvatar", "user", "avatarUrl")
	require.True(t, strings.HasPrefix(address, w.URL+"/avatars/"), address)
	answered, err := http.Get(address) //nolint:noctx // the test server's own
	require.NoError(t, err)
	defer func() { _ = answered.Body.Close() }()
	content, err := io.ReadAll(answered.Body)
	require.NoError(t, err)
	require.Equal(t, "image/jpeg", answered.Header.Get("Content-Type"))
	require.Contains(t, answered.Header.Get("Cache-Control"), "immutable")
	require.NotEmpty(t, content)
	for _, wrong := range []string{"/avatars/none", "/avatars/..%2Fmlride.db", "/avatars/" + strings.Repeat("a", 64) + ".jpg"} {
		require.Equal(t, http.StatusNotFound, w.do(t, request{method: http.MethodGet, path: wrong}).status, wrong)
	}
	at[map[string]any](t, w.post(t, session, `mutation { removeAvatar { user { avatarUrl } } }`, nil), "removeAvatar")
	require.Equal(t, http.StatusNotFound, w.do(t, request{method: http.MethodGet, path: strings.TrimPrefix(address, w.URL)}).status)
}

func TestImportAndRequestsOverHTTP(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	admin, _ := w.register(t, "root")
	ann, _ := w.register(t, "ann")
	ben, _ := w.register(t, "ben")
	operations := `{"query":"mutation($f: Upload!) { importUsers(input: {file: $f}) { dryRun errors { line } accounts { username oneTimePassword user { username } } } }","variables":{"f":null}}`
	a := w.files(t, admin, operations, `{"0":["variables.f"]}`, []byte("username,email\neva,eva@example.org\n"), map[string]string{"X-Requested-With": "test"})
	require.Len(t, at[[]any](t, a, "importUsers", "accounts"), 1)
	a = w.post(t, admin, `mutation { importUsers(input: {csv: "username,email\neva,x\n"}, dryRun: true) { dryRun errors { line column message } accounts { line } } }`, nil)
	require.Len(t, at[[]any](t, a, "importUsers", "errors"), 2)
	require.Equal(t, "BAD_USER_INPUT", w.post(t, admin, `mutation { importUsers(input: {}) { dryRun } }`, nil).code())

	ask := `mutation { requestQuota(input: {limits: {maxCpu: 3, maxMemory: "8GiB"}, reason: "a thesis"}) { quotaRequest { id status limits { maxCpu maxGpu } } } }`
	replaced := at[string](t, w.post(t, ann, ask, nil), "requestQuota", "quotaRequest", "id")
	id := at[string](t, w.post(t, ann, ask, nil), "requestQuota", "quotaRequest", "id")
	require.InDelta(t, 0, at[float64](t, w.post(t, ben, `{ quotaRequests { totalCount } }`, nil), "quotaRequests", "totalCount"), 0)
	require.Nil(t, w.post(t, ben, `{ node(id: "`+id+`") { id } }`, nil).Data["node"])
	require.InDelta(t, 1, at[float64](t, w.post(t, admin, `{ quotaRequests(status: OPEN) { totalCount } }`, nil), "quotaRequests", "totalCount"), 0)
	require.Equal(t, "FORBIDDEN", w.post(t, ann, `mutation { grantQuota(id: "`+id+`") { quotaRequest { id } } }`, nil).code())
	require.Equal(t, "INVALID_STATE", w.post(t, admin, `mutation { grantQuota(id: "`+replaced+`") { quotaRequest { id } } }`, nil).code())
	a = w.post(t, admin, `mutation { grantQuota(id: "`+id+`", input: {maxCpu: 2.5}, answer: "Good luck") { quotaRequest { status answer user { quota { maxCpu maxMemory maxContainers } } } } }`, nil)
	require.Equal(t, map[string]any{"maxCpu": 2.5, "maxMemory": float64(8 << 30), "maxContainers": 5.0},
		at[map[string]any](t, a, "grantQuota", "quotaRequest", "user", "quota"))
	require.Equal(t, "INVALID_STATE", w.post(t, admin, `mutation { declineQuota(id: "`+id+`") { quotaRequest { id } } }`, nil).code())
}

// TestDeletedAccountOverHTTP: the cookie goes, and the account comes back within
// its grace.
func TestDeletedAccountOverHTTP(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	w.register(t, "root")
	ann, id := w.register(t, "ann")
	a := w.post(t, ann, `mutation { deleteAccount(password: "`+secretWords+`") { user { id deletionScheduledAt } } }`, nil)
	require.NotEmpty(t, at[string](t, a, "deleteAccount", "user", "deletionScheduledAt"))
	require.Contains(t, a.header.Get("Set-Cookie"), "Max-Age=0")
	a = w.post(t, "", `mutation { login(input: {login: "ann", password: "`+secretWords+`"}) { user { id } } }`, nil)
	require.Equal(t, "FORBIDDEN", a.code())
	require.Equal(t, "DELETED", a.Errors[0].Extensions["reason"])
	a = w.post(t, "", `mutation { restoreAccount(input: {login: "ann", password: "`+secretWords+`"}) { user { id deletionScheduledAt } } }`, nil)
	require.Equal(t, id, at[string](t, a, "restoreAccount", "user", "id"))
	require.Equal(t, "ann", at[string](t, w.post(t, cookie(t, a), `{ viewer { username } }`, nil), "viewer", "username"))
}
