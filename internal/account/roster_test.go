package account_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/fault"
)

func TestImport(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	_, _, err := h.Import(as(ann.Viewer), []byte("username,email\nben,ben@example.org\n"), true)
	requireFault(t, fault.Forbidden, err)

	file := "\xef\xbb\xbfEmail;Username;nickname;role;expiresAt;maxCpu;maxMemory\r\n" +
		"ben@example.org;ben;小明;;2026-12-31;1.5;2GiB\r\n" +
		"dora@example.org;dora;;admin;;;\r\n"
	rows, wrong, err := h.Import(as(root.Viewer), []byte(file), true)
	require.NoError(t, err)
	require.Empty(t, wrong)
	require.Len(t, rows, 2)
	require.Nil(t, rows[0].Made)
	require.Equal(t, 2, h.store.Client.User.Query().CountX(sys()), "a dry run makes nothing")
	rows, wrong, err = h.Import(as(root.Viewer), []byte(file), false)
	require.NoError(t, err)
	require.Empty(t, wrong)
	require.Equal(t, user.RoleAdmin, rows[1].Made.User.Role)
	require.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), rows[0].Made.User.ExpiresAt.UTC())
	signed, err := h.Login(visitor("1"), "ben", rows[0].Made.Password)
	require.NoError(t, err)
	require.True(t, signed.Viewer.MustChange)

	// all that is wrong at once, and nothing made
	rows, wrong, err = h.Import(as(root.Viewer), []byte("username,email,role,expiresAt,maxGpu\n"+
		"eva,eva@example.org,USER,,\n"+
		"EVA,other@example.org,,,\n"+
		"x,nobody,chief,tomorrow,-1\n"+
		"ann,fresh@example.org,,,\n"+
		"short\n"), false)
	require.NoError(t, err)
	require.Empty(t, rows)
	var told []string
	for _, e := range wrong {
		require.NotEmpty(t, e.Message)
		told = append(told, fmt.Sprintf("%d %s", e.Line, e.Column))
	}
	require.Equal(t, []string{"3 username", "4 username", "4 email", "4 role", "4 expiresAt", "4 maxGpu", "5 username", "6 "}, told)
	require.False(t, h.store.Client.User.Query().Where(user.UsernameKey("eva")).ExistX(sys()))
}

func TestImportRefusesFiles(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, _ := pair(t, h)
	for name, bad := range map[string]struct{ content, rule, says string }{
		"empty":          {"", "required", "empty"},
		"only columns":   {"username,email\n", "required", "no accounts"},
		"missing column": {"username,nickname\nben,b\n", "columns", "email is missing"},
		"unknown column": {"username,email,password\nben,b@example.org,x\n", "columns", "password"},
		"doubled column": {"username,email,Email\nben,b@example.org,c\n", "columns", "twice"},
		"GBK":            {"username,email,nickname\nben,b@example.org,\xd0\xa1\xc3\xf7\n", "encoding", "line 2"},
		"UTF-16":         {"\xff\xfeu\x00s\x00", "encoding", "UTF-16"},
		"spreadsheet":    {"PK\x03\x04\x00\x00", "encoding", "no text"},
		"large":          {strings.Repeat("x", 1<<20+1), "size", "bytes"},
		"many":           {"username,email\n" + strings.Repeat("a,b\n", 1001), "size", "1000"},
	} {
		rows, wrong, err := h.Import(as(root.Viewer), []byte(bad.content), false)
		require.Error(t, err, name)
		f := requireFault(t, fault.BadUserInput, err)
		require.Equal(t, bad.rule, f.Violations[0].Rule, name)
		require.Contains(t, f.Message, bad.says, name)
		require.Empty(t, rows)
		require.Empty(t, wrong)
	}
	_, wrong, err := h.Import(as(root.Viewer), []byte("username,email\n\"ben,b@example.org\n"), false)
	require.NoError(t, err)
	require.Len(t, wrong, 1)
	require.Equal(t, 2, wrong[0].Line)
}

// TestClassOfThirty: a whole class is made in one go, and signs in.
func TestClassOfThirty(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, _ := pair(t, h)
	file := "username,email\n"
	for i := range 30 {
		file += fmt.Sprintf("pupil%d,pupil%d@example.org\n", i, i)
	}
	rows, wrong, err := h.Import(as(root.Viewer), []byte(file), false)
	require.NoError(t, err)
	require.Empty(t, wrong)
	seen := map[string]bool{}
	for _, r := range rows {
		require.False(t, seen[r.Made.Password])
		seen[r.Made.Password] = true
	}
	require.Len(t, seen, 30)
	_, wrong, err = h.Import(as(root.Viewer), []byte(file), false)
	require.NoError(t, err)
	require.Len(t, wrong, 60, "again: every name and address is taken")
}
