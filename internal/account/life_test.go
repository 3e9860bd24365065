package account_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
)

const newPassword = "staple orbit lantern"

func as(v auth.Viewer) context.Context { return auth.With(context.Background(), v) }

func sys() context.Context { return auth.AsSystem(context.Background()) }

// pair is an administrator and a user.
func pair(t *testing.T, h *house) (root, ann *account.Signed) {
	t.Helper()
	root, err := h.Register(visitor("1"), input("root"))
	require.NoError(t, err)
	ann, err = h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	return root, ann
}

func requireEnded(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("what was open did not end")
	}
}

func requireOpen(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	select {
	case <-ended:
		t.Fatal("what was open ended")
	default:
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, here := pair(t, h)
	there, err := h.Login(visitor("2"), "ann", password)
	require.NoError(t, err)
	endedHere, endedThere := h.Ended(here.Viewer.SessionID), h.Ended(there.Viewer.SessionID)

	_, err = h.ChangePassword(as(here.Viewer), "not it at all", newPassword)
	require.Equal(t, "currentPassword", requireFault(t, fault.BadUserInput, err).Violations[0].Field)
	for _, weak := range []string{"short", "aaaaaaaaaaaa", "ann-likes-tea-42", password} {
		_, err = h.ChangePassword(as(here.Viewer), password, weak)
		f := requireFault(t, fault.BadUserInput, err)
		require.Equal(t, "newPassword", f.Violations[0].Field)
		require.NotEmpty(t, f.Violations[0].Message)
	}
	requireOpen(t, endedHere)

	signed, err := h.ChangePassword(as(here.Viewer), password, newPassword)
	require.NoError(t, err)
	requireEnded(t, endedHere)
	requireEnded(t, endedThere)
	for _, token := range []string{here.Token, there.Token} {
		_, err = h.Authenticate(context.Background(), token)
		requireFault(t, fault.Unauthenticated, err)
	}
	v, err := h.Authenticate(context.Background(), signed.Token)
	require.NoError(t, err)
	require.NotEqual(t, here.Viewer.SessionID, v.SessionID)
	_, err = h.Login(visitor("1"), "ann", password)
	requireFault(t, fault.Unauthenticated, err)
	_, err = h.Login(visitor("1"), "ann", newPassword)
	require.NoError(t, err)
}

// TestPasswordGuessesBySessionAreSlowed: a stolen session is no way around the throttle.
func TestPasswordGuessesBySessionAreSlowed(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, ann := pair(t, h)
	slowed := 0
	for range 10 {
		_, err := h.DeleteOwn(as(ann.Viewer), "wrong words")
		if fault.CodeOf(err) == fault.RateLimited {
			slowed++
		}
	}
	require.Equal(t, 5, slowed)
}

func TestOneTimePassword(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	_, err := h.ResetPassword(as(ann.Viewer), root.User.ID)
	requireFault(t, fault.Forbidden, err)
	_, secret, err := h.CreateToken(as(ann.Viewer), account.NewToken{Name: "laptop"})
	require.NoError(t, err)
	ended := h.Ended(ann.Viewer.SessionID)
	made, err := h.ResetPassword(as(root.Viewer), ann.User.ID)
	require.NoError(t, err)
	requireEnded(t, ended)
	_, err = h.Login(visitor("1"), "ann", password)
	requireFault(t, fault.Unauthenticated, err)
	signed, err := h.Login(visitor("1"), "ann", made.Password)
	require.NoError(t, err)
	for _, token := range []string{signed.Token, secret} {
		v, err := h.Authenticate(context.Background(), token)
		require.NoError(t, err)
		require.True(t, v.MustChange)
	}
	changed, err := h.ChangePassword(as(signed.Viewer), made.Password, newPassword)
	require.NoError(t, err)
	for _, token := range []string{changed.Token, secret} {
		v, err := h.Authenticate(context.Background(), token)
		require.NoError(t, err)
		require.False(t, v.MustChange)
	}
}

func TestCreateForSomebody(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	_, err := h.Create(as(ann.Viewer), account.NewUser{Username: "ben", Email: "ben@example.org", Role: user.RoleUser})
	requireFault(t, fault.Forbidden, err)
	_, err = h.Create(as(root.Viewer), account.NewUser{Username: "ANN", Email: "x@example.org", Role: user.RoleUser})
	require.Equal(t, "username", requireFault(t, fault.Conflict, err).Details["field"])
	past := h.now().Add(-time.Hour)
	_, err = h.Create(as(root.Viewer), account.NewUser{Username: "b", Email: "x", Role: user.RoleUser, Expires: &past})
	require.Len(t, requireFault(t, fault.BadUserInput, err).Violations, 3)
	made, err := h.Create(as(root.Viewer), account.NewUser{Username: "ben", Email: "ben@example.org", Role: user.RoleUser})
	require.NoError(t, err)
	signed, err := h.Login(visitor("1"), "ben@example.org", made.Password)
	require.NoError(t, err)
	require.True(t, signed.Viewer.MustChange)
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	users, admin, yes := user.RoleUser, user.RoleAdmin, true
	later := h.now().Add(time.Hour)
	for name, e := range map[string]account.Edit{
		"demoted": {Role: &users}, "suspended": {Suspended: &yes}, "ended": {Ends: true, Expires: &later},
	} {
		_, err := h.Update(as(root.Viewer), root.User.ID, e)
		require.Equal(t, "LAST_ADMINISTRATOR", requireFault(t, fault.InvalidState, err).Details["reason"], name)
	}
	_, err := h.Delete(as(root.Viewer), root.User.ID)
	requireFault(t, fault.InvalidState, err)
	_, err = h.DeleteOwn(as(root.Viewer), password)
	requireFault(t, fault.InvalidState, err)
	_, err = h.EndTerm(as(root.Viewer), account.Term{IDs: []string{ann.User.ID, root.User.ID}, DryRun: false})
	requireFault(t, fault.InvalidState, err)
	require.Nil(t, h.store.Client.User.GetX(sys(), ann.User.ID).DeletionScheduledAt, "all or none")

	// two that demote each other at once: one stays
	_, err = h.Update(as(root.Viewer), ann.User.ID, account.Edit{Role: &admin})
	require.NoError(t, err)
	both := as(root.Viewer)
	var wait sync.WaitGroup
	for _, id := range []string{root.User.ID, ann.User.ID} {
		wait.Go(func() { _, _ = h.Update(both, id, account.Edit{Role: &users}) })
	}
	wait.Wait()
	require.Equal(t, 1, h.store.Client.User.Query().Where(user.RoleEQ(user.RoleAdmin)).CountX(sys()))
}

func TestWhoMayNotBeHereIsSignedOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, _ := pair(t, h)
	yes := true
	for name, e := range map[string]account.Edit{
		"SUSPENDED": {Suspended: &yes},
		"EXPIRED":   {Ends: true, Expires: new(h.now().Add(-time.Minute))},
	} {
		in := input("u" + strings.ToLower(name))
		signed, err := h.Register(visitor("1"), in)
		require.NoError(t, err)
		row, secret, err := h.CreateToken(as(signed.Viewer), account.NewToken{Name: "t"})
		require.NoError(t, err)
		_, err = h.Authenticate(context.Background(), secret)
		require.NoError(t, err)
		bySession, byToken := h.Ended(signed.Viewer.SessionID), h.Ended(row.ID)
		_, err = h.Update(as(root.Viewer), signed.User.ID, e)
		require.NoError(t, err)
		requireEnded(t, bySession)
		requireEnded(t, byToken)
		for _, token := range []string{signed.Token, secret} {
			_, err = h.Authenticate(context.Background(), token)
			requireFault(t, fault.Unauthenticated, err)
		}
		_, err = h.Login(visitor("1"), in.Username, password)
		require.Equal(t, name, requireFault(t, fault.Forbidden, err).Details["reason"])
		_, err = h.Login(visitor("2"), in.Username, "wrong words")
		require.Equal(t, fault.Unauthenticated, fault.CodeOf(err), "who does not know the password learns nothing")
	}
	denied := h.store.Client.AuditEvent.Query().Where(auditevent.OutcomeEQ(auditevent.OutcomeDenied)).CountX(sys())
	require.Equal(t, 2, denied)
}

// TestRecheck: an end that comes by time, and one that another process wrote.
func TestRecheck(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	_, err := h.Update(as(root.Viewer), ann.User.ID, account.Edit{Ends: true, Expires: new(h.now().Add(time.Hour))})
	require.NoError(t, err)
	token, _, err := h.CreateToken(as(root.Viewer), account.NewToken{Name: "t", Expires: new(h.now().Add(2 * time.Hour))})
	require.NoError(t, err)
	ofAnn, ofRoot, ofToken := h.Ended(ann.Viewer.SessionID), h.Ended(root.Viewer.SessionID), h.Ended(token.ID)
	require.NoError(t, h.Recheck(context.Background()))
	requireOpen(t, ofAnn)
	h.pass(time.Hour)
	require.NoError(t, h.Recheck(context.Background()))
	requireEnded(t, ofAnn)
	requireOpen(t, ofToken)
	h.pass(time.Hour)
	require.NoError(t, h.Recheck(context.Background()))
	requireEnded(t, ofToken)
	requireOpen(t, ofRoot)
	h.store.Client.Session.DeleteOneID(root.Viewer.SessionID).ExecX(sys())
	require.NoError(t, h.Recheck(context.Background()))
	requireEnded(t, ofRoot)
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	h := open(t)
	root, ann := pair(t, h)
	for name, in := range map[string]account.NewToken{
		"no name": {Name: "  "}, "long name": {Name: strings.Repeat("x", 65)}, "past": {Name: "t", Expires: new(h.now())},
	} {
		_, _, err := h.CreateToken(as(ann.Viewer), in)
		require.Equal(t, fault.BadUserInput, fault.CodeOf(err), name)
	}
	row, secret, err := h.CreateToken(as(ann.Viewer), account.NewToken{Name: "laptop", ReadOnly: true, Expires: new(h.now().Add(time.Hour))})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(secret, "mlr_"))
	require.NotContains(t, row.TokenHash, secret)
	_, _, err = h.CreateToken(as(ann.Viewer), account.NewToken{Name: "laptop"})
	requireFault(t, fault.Conflict, err)
	v, err := h.Authenticate(context.Background(), secret)
	require.NoError(t, err)
	require.Equal(t, auth.Viewer{UserID: ann.User.ID, Username: "ann", TokenID: row.ID, ReadOnly: true}, v)
	_, _, err = h.CreateToken(as(v), account.NewToken{Name: "another"})
	requireFault(t, fault.Forbidden, err)
	requireFault(t, fault.Forbidden, h.Logout(as(v)))
	requireFault(t, fault.NotFound, h.RevokeToken(as(root.Viewer), row.ID))

	ended := h.Ended(row.ID)
	require.NoError(t, h.RevokeToken(as(ann.Viewer), row.ID))
	requireEnded(t, ended)
	_, err = h.Authenticate(context.Background(), secret)
	requireFault(t, fault.Unauthenticated, err)

	_, secret, err = h.CreateToken(as(ann.Viewer), account.NewToken{Name: "laptop", Expires: new(h.now().Add(time.Hour))})
	require.NoError(t, err)
	h.pass(time.Hour)
	_, err = h.Authenticate(context.Background(), secret)
	requireFault(t, fault.Unauthenticated, err)
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *account.Options) { o.Mode = account.Invite })
	root, err := h.Register(visitor("1"), input("root"))
	require.NoError(t, err)
	openNow, needsCode, err := h.RegistrationOpen(visitor("1"))
	require.NoError(t, err)
	require.True(t, openNow && needsCode)
	_, err = h.Register(visitor("1"), input("ann"))
	requireFault(t, fault.Forbidden, err)
	invite := func(in account.NewInvitation) string {
		_, code, err := h.Invite(as(root.Viewer), in)
		require.NoError(t, err)
		return code
	}
	_, _, err = h.Invite(as(root.Viewer), account.NewInvitation{MaxUses: 0, Expires: new(h.now())})
	require.Len(t, requireFault(t, fault.BadUserInput, err).Violations, 2)

	// ten at once for three places
	code := invite(account.NewInvitation{MaxUses: 3})
	results := make(chan error, 10)
	var wait sync.WaitGroup
	for i := range 10 {
		wait.Go(func() {
			in := input(fmt.Sprintf("pupil%d", i))
			in.Code = &code
			_, err := h.Register(visitor("1"), in)
			results <- err
		})
	}
	wait.Wait()
	close(results)
	let := 0
	for err := range results {
		if err == nil {
			let++
		} else {
			require.Equal(t, "code", requireFault(t, fault.BadUserInput, err).Violations[0].Field)
		}
	}
	require.Equal(t, 3, let)

	join := func(name, code string) error {
		in := input(name)
		in.Code = &code
		_, err := h.Register(visitor("1"), in)
		return err
	}
	short := invite(account.NewInvitation{MaxUses: 1, Expires: new(h.now().Add(time.Hour))})
	h.pass(time.Hour)
	requireFault(t, fault.BadUserInput, join("late", short))
	requireFault(t, fault.BadUserInput, join("guess", "guess"))
	row, revoked, err := h.Invite(as(root.Viewer), account.NewInvitation{MaxUses: 1})
	require.NoError(t, err)
	require.NoError(t, h.RevokeInvitation(as(root.Viewer), row.ID))
	requireFault(t, fault.BadUserInput, join("revoked", revoked))
	requireFault(t, fault.NotFound, h.RevokeInvitation(as(root.Viewer), row.ID))

	// a refused registration uses nothing up
	code = invite(account.NewInvitation{MaxUses: 1})
	requireFault(t, fault.Conflict, join("ROOT", code))
	require.NoError(t, join("dora", code))
}

// belongings counts what is asked of them.
type belongings struct {
	mu      sync.Mutex
	stopped map[string]int
	// left is how often Erase says that there is more.
	left int
	err  error
	// archived are the folders that were written, and full whose cannot be.
	archived []string
	full     string
}

func (b *belongings) Archive(_ context.Context, id, folder string) (record.Bytes, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id == b.full {
		return 0, fault.New(fault.LowDisk, "There is no room.")
	}
	b.archived = append(b.archived, folder)
	return 20, nil
}

func (b *belongings) Stop(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped == nil {
		b.stopped = map[string]int{}
	}
	b.stopped[id]++
	return b.err
}

func (b *belongings) Erase(context.Context, string) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left--
	return b.left < 0, b.err
}

func (b *belongings) Measure(context.Context, string) (account.Holding, error) {
	return account.Holding{Containers: 1, Volumes: 2, VolumeBytes: 10, Bytes: 15}, nil
}

func TestDeletion(t *testing.T) {
	t.Parallel()
	things := &belongings{left: 1}
	h := open(t, func(o *account.Options) { o.Grace, o.Belongings = 24*time.Hour, things })
	root, ann := pair(t, h)
	_, secret, err := h.CreateToken(as(ann.Viewer), account.NewToken{Name: "t"})
	require.NoError(t, err)
	ended := h.Ended(ann.Viewer.SessionID)
	_, err = h.DeleteOwn(as(ann.Viewer), "wrong words")
	require.Equal(t, "password", requireFault(t, fault.BadUserInput, err).Violations[0].Field)
	row, err := h.DeleteOwn(as(ann.Viewer), password)
	require.NoError(t, err)
	require.Equal(t, h.now().Add(24*time.Hour), *row.DeletionScheduledAt)
	requireEnded(t, ended)
	require.Equal(t, 1, things.stopped[ann.User.ID])
	for _, token := range []string{ann.Token, secret} {
		_, err = h.Authenticate(context.Background(), token)
		requireFault(t, fault.Unauthenticated, err)
	}
	_, err = h.Login(visitor("1"), "ann", password)
	require.Equal(t, "DELETED", requireFault(t, fault.Forbidden, err).Details["reason"])

	_, err = h.Restore(visitor("1"), "ann", "wrong words")
	requireFault(t, fault.Unauthenticated, err)
	signed, err := h.Restore(visitor("1"), "ann", password)
	require.NoError(t, err)
	require.Nil(t, signed.User.DeletionScheduledAt)
	_, err = h.Restore(visitor("1"), "ann", password)
	requireFault(t, fault.InvalidState, err)
	_, err = h.Delete(as(root.Viewer), ann.User.ID)
	require.NoError(t, err)
	_, err = h.RestoreOther(as(root.Viewer), ann.User.ID)
	require.NoError(t, err)
	_, err = h.Delete(as(root.Viewer), ann.User.ID)
	require.NoError(t, err)
	yes := true
	_, err = h.Update(as(root.Viewer), ann.User.ID, account.Edit{Suspended: &yes})
	require.NoError(t, err)
	_, err = h.Restore(visitor("1"), "ann", password)
	require.Equal(t, "SUSPENDED", requireFault(t, fault.Forbidden, err).Details["reason"])

	before := things.stopped[ann.User.ID]
	require.NoError(t, h.Erase(context.Background()))
	require.Equal(t, before+1, things.stopped[ann.User.ID], "what was started meanwhile stops")
	h.pass(24 * time.Hour)
	_, err = h.RestoreOther(as(root.Viewer), ann.User.ID)
	requireFault(t, fault.Forbidden, err)
	things.err = fmt.Errorf("the engine is away")
	require.Error(t, h.Erase(context.Background()))
	things.err = nil
	things.left = 1
	require.NoError(t, h.Erase(context.Background())) // there is more
	require.True(t, h.store.Client.User.Query().Where(user.ID(ann.User.ID)).ExistX(sys()))
	require.NoError(t, h.Erase(context.Background()))
	require.False(t, h.store.Client.User.Query().Where(user.ID(ann.User.ID)).ExistX(sys()))
	trail := h.store.Client.AuditEvent.Query().Where(auditevent.ActorID(ann.User.ID)).AllX(sys())
	require.NotEmpty(t, trail)
	require.Equal(t, "ann", trail[0].ActorName)
	_, err = h.Register(visitor("1"), input("ann"))
	require.NoError(t, err, "the name is free again")
}

func TestEndOfTerm(t *testing.T) {
	t.Parallel()
	things := &belongings{}
	h := open(t, func(o *account.Options) { o.Grace, o.Belongings = time.Hour, things })
	root, ann := pair(t, h)
	ben, err := h.Register(visitor("1"), input("ben"))
	require.NoError(t, err)
	ids := []string{ann.User.ID, ben.User.ID, ann.User.ID}
	ends, err := h.EndTerm(as(root.Viewer), account.Term{IDs: ids, Archive: true, DryRun: true})
	require.NoError(t, err)
	require.Len(t, ends, 2)
	require.EqualValues(t, 15, ends[0].Bytes)
	require.EqualValues(t, 10, ends[0].Archived)
	require.Equal(t, "ann-2026-11-24", ends[0].Folder)
	_, err = h.Authenticate(context.Background(), ann.Token)
	require.NoError(t, err, "a dry run changes nothing")
	_, err = h.EndTerm(as(root.Viewer), account.Term{IDs: append(ids, "user_none"), Archive: true})
	requireFault(t, fault.NotFound, err)
	require.Empty(t, things.archived, "nothing is archived for what is refused")

	things.full = ben.User.ID
	ends, err = h.EndTerm(as(root.Viewer), account.Term{IDs: ids[1:2], Archive: true})
	require.NoError(t, err)
	requireFault(t, fault.LowDisk, ends[0].Problem)
	require.Empty(t, ends[0].Folder)
	require.Nil(t, h.store.Client.User.GetX(sys(), ben.User.ID).DeletionScheduledAt)
	require.Zero(t, things.stopped[ben.User.ID])
	_, err = h.Authenticate(context.Background(), ben.Token)
	require.NoError(t, err, "who could not be archived is untouched")
	things.full = ""

	ends, err = h.EndTerm(as(root.Viewer), account.Term{IDs: ids, Archive: true})
	require.NoError(t, err)
	require.NotNil(t, ends[1].User.DeletionScheduledAt)
	require.Equal(t, []string{"ann-2026-11-24", "ben-2026-11-24"}, things.archived)
	require.EqualValues(t, 20, ends[1].Archived)
	_, err = h.Authenticate(context.Background(), ann.Token)
	requireFault(t, fault.Unauthenticated, err)
}

func TestProfile(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, ann := pair(t, h)
	nickname, address, taken, bad := "小明", "new@example.org", "ROOT@example.org", "nobody"
	_, err := h.UpdateProfile(as(ann.Viewer), account.Profile{Email: &bad, Nickname: new(strings.Repeat("x", 65))})
	require.Len(t, requireFault(t, fault.BadUserInput, err).Violations, 2)
	_, err = h.UpdateProfile(as(ann.Viewer), account.Profile{Email: &taken})
	require.Equal(t, "email", requireFault(t, fault.Conflict, err).Details["field"])
	row, err := h.UpdateProfile(as(ann.Viewer), account.Profile{Nickname: &nickname})
	require.NoError(t, err)
	require.Equal(t, "ann@example.org", *row.Email, "only what is given changes")
	row, err = h.UpdateProfile(as(ann.Viewer), account.Profile{Email: &address, Nickname: new(string)})
	require.NoError(t, err)
	require.Nil(t, row.Nickname)
	_, err = h.Login(visitor("1"), "NEW@example.org", password)
	require.NoError(t, err)
}

func picture(width, height int) image.Image {
	p := image.NewNRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			p.Set(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: 90, A: 255}) //nolint:gosec // any colour will do
		}
	}
	return p
}

// bomb is a PNG whose header says that it is enormous.
func bomb(t *testing.T, width, height uint32) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, picture(1, 1)))
	content := b.Bytes()
	binary.BigEndian.PutUint32(content[16:], width)
	binary.BigEndian.PutUint32(content[20:], height)
	binary.BigEndian.PutUint32(content[29:], crc32.ChecksumIEEE(content[12:29]))
	return content
}

func TestAvatars(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	h := open(t, func(o *account.Options) { o.Avatars = folder })
	root, ann := pair(t, h)
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(folder, "*"))
		require.NoError(t, err)
		return found
	}
	set := func(v auth.Viewer, content []byte) (string, error) {
		row, err := h.SetAvatar(as(v), bytes.NewReader(content))
		if err != nil {
			return "", err
		}
		return *row.Avatar, nil
	}
	for name, bad := range map[string]struct {
		content []byte
		rule    string
	}{
		"empty":     {nil, "format"},
		"svg":       {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "format"},
		"html":      {[]byte("<!doctype html><script>alert(1)</script>"), "format"},
		"bomb":      {bomb(t, 50_000, 50_000), "pixels"},
		"wide bomb": {bomb(t, 1<<26, 1<<20), "pixels"},
		"damaged":   {bomb(t, 100, 100), "format"},
		"large":     {make([]byte, account.MaxAvatar+1), "size"},
	} {
		_, err := set(ann.Viewer, bad.content)
		f := requireFault(t, fault.BadUserInput, err)
		if len(f.Violations) != 1 || f.Violations[0].Rule != bad.rule {
			t.Errorf("%s: %v", name, err)
		}
	}
	require.Empty(t, files())

	var asPNG, asJPEG, asGIF bytes.Buffer
	require.NoError(t, png.Encode(&asPNG, picture(300, 200)))
	require.NoError(t, jpeg.Encode(&asJPEG, picture(50, 900), nil))
	require.NoError(t, gif.Encode(&asGIF, picture(40, 40), nil))
	first, err := set(ann.Viewer, append(asPNG.Bytes(), "GPS 52.5 13.4"...)) // what follows the picture goes too
	require.NoError(t, err)
	require.Regexp(t, account.AvatarName, first)
	content, err := os.ReadFile(filepath.Join(folder, first))
	require.NoError(t, err)
	require.NotContains(t, string(content), "GPS")
	kept, kind, err := image.DecodeConfig(bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, "jpeg", kind)
	require.Equal(t, kept.Width, kept.Height)

	second, err := set(ann.Viewer, asJPEG.Bytes())
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.Len(t, files(), 1, "the old file is gone")
	same, err := set(root.Viewer, asJPEG.Bytes())
	require.NoError(t, err)
	require.Equal(t, second, same)
	_, err = set(ann.Viewer, asGIF.Bytes())
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(folder, same), "somebody else has the same picture")
	row, err := h.RemoveAvatar(as(ann.Viewer))
	require.NoError(t, err)
	require.Nil(t, row.Avatar)
	require.Len(t, files(), 1)
}

// TestHashesRiseWithTheirParameters: a hash that was made with less is made anew
// when its owner signs in, and goes on to hold.
func TestHashesRiseWithTheirParameters(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, ann := pair(t, h)
	weak, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	require.NoError(t, err)
	h.store.Client.User.UpdateOneID(ann.User.ID).SetPasswordHash(weak).ExecX(sys())
	for range 2 {
		_, err = h.Login(visitor("1"), "ann", password)
		require.NoError(t, err)
		require.Contains(t, h.store.Client.User.GetX(sys(), ann.User.ID).PasswordHash, "m=19456,t=2,p=1")
	}
}

// TestManyTriesAtOnce: tries that are under way together do not all pass.
func TestManyTriesAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	pair(t, h)
	results := make(chan error, 200)
	var wait sync.WaitGroup
	for range 200 {
		wait.Go(func() {
			_, err := h.Login(visitor("evil"), "ann", "wrong words")
			results <- err
		})
	}
	wait.Wait()
	close(results)
	tried := 0
	for err := range results {
		if fault.CodeOf(err) == fault.Unauthenticated {
			tried++
		}
	}
	require.LessOrEqual(t, tried, 5+runtime.GOMAXPROCS(0))
	_, err := h.Login(visitor("home"), "ann", password)
	require.NoError(t, err)
}
