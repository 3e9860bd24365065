package main

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the driver "sqlite3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ledger keeps the secrets that went to and from a product, and its refusals.
type ledger struct {
	mu      sync.Mutex
	secrets map[string]bool
	errors  bytes.Buffer
}

// shortest is what counts as a secret: what is shorter is no password here, and
// a word that stands everywhere.
const shortest = 8

func (l *ledger) add(secret string) {
	if len(secret) < shortest {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.secrets == nil {
		l.secrets = map[string]bool{}
	}
	l.secrets[secret] = true
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.secrets))
}

// literal is a secret that stands in the query itself.
var literal = regexp.MustCompile(`(?i)(?:password|code): *"([^"]*)"`)

func (l *ledger) asked(body []byte) {
	var sent struct {
		Query     string
		Variables map[string]any
	}
	if json.Unmarshal(body, &sent) != nil {
		return
	}
	for _, found := range literal.FindAllStringSubmatch(sent.Query, -1) {
		l.add(found[1])
	}
	l.walk(sent.Variables, "password", "currentPassword", "newPassword", "code")
}

// answered takes what an answer hands out. Of the codes only an invitation's is
// secret: the others are those of errors.
func (l *ledger) answered(response *http.Response, text []byte, a answer) {
	for _, cookie := range response.Cookies() {
		l.add(cookie.Value)
	}
	for field, content := range a.Data {
		var value any
		if json.Unmarshal(content, &value) != nil {
			continue
		}
		l.walk(value, "oneTimePassword", "secret")
		if field == "createInvitation" {
			l.walk(value, "code")
		}
	}
	if len(a.Errors) > 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.errors.Write(text)
	}
}

// walk adds the texts under these names.
func (l *ledger) walk(value any, names ...string) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if text, ok := inner.(string); ok && slices.Contains(names, name) {
				l.add(text)
			}
			l.walk(inner, names...)
		}
	case []any:
		for _, inner := range v {
			l.walk(inner, names...)
		}
	}
}

// keepsQuiet fails the test when a product that has ended wrote a secret
// anywhere. It is asked of every product of the suite.
func (p *product) keepsQuiet() {
	if p.command == nil {
		return
	}
	wrote := p.wrote()
	for _, secret := range p.told.all() {
		assert.Empty(p.t, find(secret, wrote), "where %q was written", secret)
	}
}

// wrote is everything that a product wrote, by where.
func (p *product) wrote() map[string][]byte {
	all := map[string][]byte{"log": []byte(p.written()), "refusals": p.told.errors.Bytes()}
	var err error
	all["output"], err = os.ReadFile(p.out)
	require.NoError(p.t, err)
	require.NoError(p.t, filepath.WalkDir(p.data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		all["file "+filepath.Base(path)] = content
		return err
	}))
	p.tables(all)
	export := exec.Command(p.binary, "audit", "export")
	export.Env = append(os.Environ(), "MLRIDE_DATA="+p.data)
	all["audit"], err = export.Output()
	require.NoError(p.t, err)
	return all
}

// tables adds the rows of the database: in the file a long value may be cut in pieces.
func (p *product) tables(all map[string][]byte) {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(p.data, databaseFile)+"?mode=rw")
	require.NoError(p.t, err)
	defer func() { _ = db.Close() }()
	names, err := db.Query(`SELECT name FROM sqlite_master WHERE type = 'table'`)
	require.NoError(p.t, err)
	var tables []string
	for names.Next() {
		var name string
		require.NoError(p.t, names.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(p.t, names.Err())
	for _, table := range tables {
		rows, err := db.Query(`SELECT * FROM "` + table + `"`)
		require.NoError(p.t, err)
		columns, err := rows.Columns()
		require.NoError(p.t, err)
		var text bytes.Buffer
		for rows.Next() {
			values := make([]sql.RawBytes, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(p.t, rows.Scan(into...))
			for _, value := range values {
				text.Write(value)
				text.WriteByte('\n')
			}
		}
		require.NoError(p.t, rows.Err())
		all["table "+table] = text.Bytes()
	}
}

const databaseFile = "mlride.db"

// forms are the ways in which a secret may stand somewhere.
func forms(secret string) map[string]string {
	quoted, _ := json.Marshal(secret)
	all := map[string]string{
		"plain": secret, "json": string(bytes.Trim(quoted, `"`)), "quoted": strings.Trim(strconv.Quote(secret), `"`),
		"hex": hex.EncodeToString([]byte(secret)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query": url.QueryEscape(secret), "path": url.PathEscape(secret),
	}
	// In a longer text base64 looks different by where the secret begins; the
	// characters at the ends also hold bits of its neighbours.
	for before, skip := range []int{0, 2, 3} {
		padded := append(make([]byte, before), secret...)
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			all[fmt.Sprint(name, before)] = encoding.EncodeToString(padded)[skip : len(padded)*8/6]
		}
	}
	return all
}

// find tells where a secret stands, and in which form.
func find(secret string, in map[string][]byte) []string {
	var places []string
	for form, text := range forms(secret) {
		for place, content := range in {
			if bytes.Contains(content, []byte(text)) {
				places = append(places, place+": "+form)
			}
		}
	}
	slices.Sort(places)
	return places
}

// TestNothingSecretIsWritten uses every kind of secret there is; that none was
// written is what build asks of every product, this one too.
func TestNothingSecretIsWritten(t *testing.T) {
	p := build(t)
	const (
		setup = "set-up code of amber"
		first = "correct horse/battery+1"
		next  = `staple "orbit" & lantern`
		third = "violet ümbrella 🌂 canyon"
	)
	p.start("MLRIDE_LOG=debug,json", "MLRIDE_REGISTRATION=invite", "MLRIDE_SETUP_CODE="+setup)
	register := func(c *client, name, password, code string) answer {
		return c.ask(`mutation($input: RegisterInput!) { register(input: $input) { user { id } } }`, map[string]any{"input": map[string]any{
			"username": name, "email": name + "@example.org", "password": password, "code": code,
		}})
	}
	login := func(c *client, name, password string) answer {
		return c.ask(`mutation($input: LoginInput!) { login(input: $input) { user { id } } }`, map[string]any{"input": map[string]any{"login": name, "password": password}})
	}
	change := func(c *client, current, to string) answer {
		return c.ask(`mutation($input: ChangePasswordInput!) { changePassword(input: $input) { user { id } } }`,
			map[string]any{"input": map[string]any{"currentPassword": current, "newPassword": to}})
	}
	root, ann := p.client(), p.client()

	require.Equal(t, "BAD_USER_INPUT", register(root, "root", first, "a guessed set-up code").code())
	require.Empty(t, register(root, "root", first, setup).Errors)
	type invitation struct{ Code string }
	code := must[invitation](root, "createInvitation", `mutation { createInvitation(input: {note: "n"}) { code url } }`, nil).Code
	require.NotEmpty(t, register(ann, "ann", first, "a guessed invitation").Errors)
	require.NotEmpty(t, register(ann, "ann", "ann's own weak one", code).Errors)
	require.Empty(t, register(ann, "ann", first, code).Errors)

	require.Equal(t, "UNAUTHENTICATED", login(p.client(), "ann", "a guessed password").code())
	require.Equal(t, "UNAUTHENTICATED", login(p.client(), "typed into the name", "a guessed password").code())
	require.Empty(t, login(p.client(), "ann@example.org", first).Errors)
	require.NotEmpty(t, change(ann, "another guessed one", next).Errors)
	require.NotEmpty(t, change(ann, first, "aaaaaaaaaaaa").Errors)
	require.Empty(t, change(ann, first, next).Errors)
	// What is ill-formed is quoted in no refusal.
	for _, query := range []string{
		`mutation { login(input: {login: "ann", password: "ill-formed secret one"`,
		`mutation { login(input: {login: "ann", thePassword: "ill-formed secret two"}) { user { id } } }`,
		`mutation { updateProfile(input: {nickname: null}, password: "ill-formed secret three") { user { id } } }`,
		`mutation { login(input: {login: 1, password: "ill-formed secret four"}) { user { id } } }`,
	} {
		require.NotEmpty(t, p.client().ask(query, nil).Errors, query)
	}
	p.told.add("ill-formed secret five")
	require.NotEmpty(t, p.client().ask(`mutation($input: LoginInput!) { login(input: $input) { user { id } } }`,
		map[string]any{"input": map[string]any{"login": "ann", "password": map[string]any{"x": "ill-formed secret five"}}}).Errors)

	type viewer struct{ ID string }
	annID := must[viewer](ann, "viewer", `{ viewer { id } }`, nil).ID
	type reset struct{ OneTimePassword string }
	once := must[reset](root, "resetPassword", `mutation($id: ID!) { resetPassword(userId: $id) { oneTimePassword } }`, map[string]any{"id": annID}).OneTimePassword
	require.Empty(t, login(ann, "ann", once).Errors)
	require.Equal(t, "FORBIDDEN", ann.ask(listQuery, nil).code())
	require.Empty(t, change(ann, once, third).Errors)

	type token struct{ Secret string }
	secret := must[token](ann, "createAccessToken", `mutation { createAccessToken(input: {name: "t"}) { secret } }`, nil).Secret
	wrong := "mlr_" + strings.Repeat("Wrong0", 7)
	p.told.add(wrong)
	for _, bearer := range []string{secret, wrong, "x" + secret} {
		for _, scheme := range []string{"Bearer ", "Token "} {
			_, err := p.client().post("application/json", []byte(`{"query":"{ viewer { id } users { totalCount } }"}`), map[string]string{"Authorization": scheme + bearer})
			require.NoError(t, err)
		}
	}

	type imported struct {
		Accounts []struct{ Username, OneTimePassword string }
	}
	made := must[imported](root, "importUsers", `mutation($csv: String!) { importUsers(input: {csv: $csv}) { accounts { username oneTimePassword } } }`,
		map[string]any{"csv": "username,email\neva,eva@example.org\nfil,fil@example.org\n"}).Accounts
	require.Len(t, made, 2)
	require.Empty(t, login(p.client(), made[0].Username, made[0].OneTimePassword).Errors)
	require.Empty(t, root.ask(`mutation { createUser(input: {username: "gus", email: "gus@example.org"}) { oneTimePassword } }`, nil).Errors)

	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	require.NoError(t, form.WriteField("operations", `{"query":"mutation($f: Upload!) { uploadAvatar(file: $f) { user { id } } }","variables":{"f":null}}`))
	require.NoError(t, form.WriteField("map", `{"0":["variables.f"]}`))
	part, err := form.CreateFormFile("0", "me.png")
	require.NoError(t, err)
	require.NoError(t, png.Encode(part, image.NewGray(image.Rect(0, 0, 80, 60))))
	require.NoError(t, form.Close())
	a, err := ann.post(form.FormDataContentType(), body.Bytes(), map[string]string{"Apollo-Require-Preflight": "1"})
	require.NoError(t, err)
	require.Empty(t, a.Errors)

	const variable = "sk-live-9f8e7d6c5b4a" // of a container; only its row may have it
	input := box(ann.readyImage(), "boxed")
	inner := input["input"].(map[string]any)
	inner["environment"] = []map[string]string{{"name": "1 BAD=", "value": variable}}
	require.NotEmpty(t, ann.ask(createQuery, input).Errors)
	inner["environment"] = []map[string]string{{"name": "API_KEY", "value": variable}}
	require.Empty(t, ann.ask(createQuery, input).Errors)
	events := ann.follow(`subscription { containerChanged { id } }`)
	for must[listed](ann, "containers", listQuery, nil).Edges[0].Node.Status != "RUNNING" {
		_, open := <-events
		require.True(t, open, "it did not run")
	}

	remove := `mutation($password: String!) { deleteAccount(password: $password) { user { id } } }`
	require.NotEmpty(t, ann.ask(remove, map[string]any{"password": "a guess to delete"}).Errors)
	require.Empty(t, ann.ask(remove, map[string]any{"password": third}).Errors)
	require.Equal(t, "FORBIDDEN", login(ann, "ann", third).code())
	require.Empty(t, ann.ask(`mutation($input: LoginInput!) { restoreAccount(input: $input) { user { id } } }`,
		map[string]any{"input": map[string]any{"login": "ann", "password": third}}).Errors)

	// What the search must find, or it would find nothing.
	const planted = "planted? amber/walrus"
	require.Empty(t, ann.ask(`mutation($n: String!) { updateProfile(input: {nickname: $n}) { user { id } } }`, map[string]any{"n": planted}).Errors)
	for form, text := range forms(planted) {
		require.NoError(t, os.WriteFile(filepath.Join(p.data, "planted "+form), []byte("…"+text+"…"), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.data, "planted within"), []byte(base64.StdEncoding.EncodeToString([]byte("basic:"+planted+":end"))), 0o600))
	require.NotEmpty(t, ann.ask(`{ plantedField }`, nil).Errors)
	p.end(os.Interrupt)
	wrote := p.wrote()
	found := find(planted, wrote)
	require.Contains(t, found, "table users: plain")
	require.Contains(t, found, "file "+databaseFile+": plain")
	require.Contains(t, found, "file planted within: base640")
	for form := range forms(planted) {
		require.Contains(t, found, "file planted "+form+": "+form)
	}
	require.Contains(t, string(wrote["log"]), `"msg":"request"`)
	require.Contains(t, string(wrote["output"]), "listening on ")
	require.Contains(t, string(wrote["refusals"]), "plantedField")
	require.Contains(t, string(wrote["audit"]), "account.login")

	secrets := p.told.all()
	for _, kind := range []string{setup, first, next, third, code, once, secret, made[0].OneTimePassword, made[1].OneTimePassword, "ill-formed secret one"} {
		require.Contains(t, secrets, kind)
	}
	address, err := url.Parse(p.url)
	require.NoError(t, err)
	require.Contains(t, secrets, ann.Jar.Cookies(address)[0].Value)

	require.Contains(t, find(variable, wrote), "table containers: plain")
	for _, place := range find(variable, wrote) {
		where, _, _ := strings.Cut(place, ": ")
		if where != "table containers" {
			require.True(t, strings.HasPrefix(where, "file "+databaseFile), "a variable's value stands in %s", place)
		}
	}
}
