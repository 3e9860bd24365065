package account_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/record"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/account"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

const password = "correct horse battery"

type house struct {
	*account.Service
	store *store.Store
	path  string
	log   bytes.Buffer
	mu    sync.Mutex
	clock time.Time
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

func open(t *testing.T, change ...func(*account.Options)) *house {
	t.Helper()
	h := &house{path: filepath.Join(t.TempDir(), "mlride.db"), clock: time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)}
	var err error
	h.store, err = store.Open(context.Background(), h.path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.store.Close()) })
	o := account.Options{
		Client: h.store.Client, Feed: &live.Feed{}, Mode: account.Open, Now: h.now,
		Log:      slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		NewQuota: func(context.Context, *ent.Client, string, *record.Limits) error { return nil },
	}
	for _, c := range change {
		c(&o)
	}
	h.Service = account.New(o)
	return h
}

func visitor(address string) context.Context {
	return auth.With(context.Background(), auth.Viewer{IP: address, UserAgent: "test", RequestID: "r"})
}

func input(name string) account.Input {
	return account.Input{Username: name, Email: name + "@example.org", Password: password}
}

func requireFault(t *testing.T, code fault.Code, err error) *fault.Fault {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, fault.CodeOf(err), "%v", err)
	return fault.Of(err)
}

func TestD49AllViolationsAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	long := strings.Repeat("名", 65)
	_, err := h.Register(visitor("1"), account.Input{Username: "小明", Email: "nobody", Password: "12345678", Nickname: &long})
	f := requireFault(t, fault.BadUserInput, err)
	rules := map[string]string{}
	for _, v := range f.Violations {
		rules[v.Field] = v.Rule
	}
	require.Equal(t, map[string]string{"username": "format", "email": "format", "password": "strength", "nickname": "length"}, rules)
	require.Contains(t, f.Violations[0].Message, "nickname takes any script")
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	h := open(t)
	for word, rule := range map[string]string{
		"short": "length", "aaaaaaaaaaaa": "strength", "ann-likes-tea-42": "strength", strings.Repeat("x", 1025): "length",
	} {
		in := input("ann")
		in.Password = word
		_, err := h.Register(visitor("1"), in)
		f := requireFault(t, fault.BadUserInput, err)
		require.Equal(t, rule, f.Violations[0].Rule, word)
		require.NotContains(t, err.Error(), word)
	}
	for i, word := range []string{"päßwörter sind schön", "🐴🔋📎🪑🌲🎈🧊🚲🎻", "with\x00nul and more words"} {
		in := input(fmt.Sprintf("ben%d", i))
		in.Password = word
		_, err := h.Register(visitor("1"), in)
		require.NoError(t, err, word)
		_, err = h.Login(visitor("1"), in.Username, word)
		require.NoError(t, err, word)
	}
}

func TestRegisterRaces(t *testing.T) {
	t.Parallel()
	h := open(t)
	var wait sync.WaitGroup
	results := make(chan error, 20)
	for i := range 20 { // the same name in many cases, and the first account of all
		in := input("ann")
		if i%2 == 0 {
			in.Username = "ANN"
		}
		in.Email = fmt.Sprintf("a%d@example.org", i)
		wait.Go(func() {
			_, err := h.Register(visitor("1"), in)
			results <- err
		})
		wait.Go(func() {
			_, err := h.Register(visitor("1"), input(fmt.Sprintf("user%d", i)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else {
			require.Equal(t, "username", requireFault(t, fault.Conflict, err).Details["field"])
		}
	}
	require.Equal(t, 1, won)
	admins := h.store.Client.User.Query().Where(user.RoleEQ(user.RoleAdmin)).CountX(auth.AsSystem(context.Background()))
	require.Equal(t, 1, admins)
}

func TestSetupCodeAndClosed(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *account.Options) {
		o.Mode, o.SetupCode, o.Contact = account.Closed, "let-me-in", "ops@example.org"
	})
	open, needsCode, err := h.RegistrationOpen(visitor("1"))
	require.NoError(t, err)
	require.True(t, open && needsCode)
	wrong, right := "guess", "let-me-in"
	for _, code := range []*string{nil, &wrong} {
		in := input("ann")
		in.Code = code
		_, err = h.Register(visitor("1"), in)
		f := requireFault(t, fault.BadUserInput, err)
		require.Equal(t, "code", f.Violations[0].Field)
	}
	in := input("ann")
	in.Code = &right
	_, err = h.Register(visitor("1"), in)
	require.NoError(t, err)
	in = input("ben")
	in.Code = &right
	_, err = h.Register(visitor("1"), in)
	require.Contains(t, requireFault(t, fault.Forbidden, err).Message, "ops@example.org")
}

func TestD32LogoutEndsOnlyThisDevice(t *testing.T) {
	t.Parallel()
	h := open(t)
	first, err := h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	second, err := h.Login(visitor("2"), "ANN@example.org", password)
	require.NoError(t, err)
	v, err := h.Authenticate(context.Background(), first.Token)
	require.NoError(t, err)
	require.True(t, v.Admin)
	ended, stays := h.Ended(v.SessionID), h.Ended(second.Viewer.SessionID)
	require.NoError(t, h.Logout(auth.With(context.Background(), v)))
	<-ended
	_, err = h.Authenticate(context.Background(), first.Token)
	requireFault(t, fault.Unauthenticated, err)
	_, err = h.Authenticate(context.Background(), second.Token)
	require.NoError(t, err)
	select {
	case <-stays:
		t.Fatal("the other device was signed out too")
	default:
	}

	// One's own other sign-in may be ended, somebody else's is not there.
	third, err := h.Login(visitor("3"), "ann", password)
	require.NoError(t, err)
	ben, err := h.Register(visitor("4"), input("ben"))
	require.NoError(t, err)
	err = h.RevokeSession(auth.With(context.Background(), ben.Viewer), third.Viewer.SessionID)
	requireFault(t, fault.NotFound, err)
	require.NoError(t, h.RevokeSession(auth.With(context.Background(), second.Viewer), third.Viewer.SessionID))
	_, err = h.Authenticate(context.Background(), third.Token)
	requireFault(t, fault.Unauthenticated, err)
}

func TestD33NothingSecretIsWritten(t *testing.T) {
	t.Parallel()
	h := open(t)
	signed, err := h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	_, err = h.Login(visitor("1"), "ann", "a wrong secret word")
	said := fmt.Sprintf("%v %+v", err, err)
	_, err = h.Login(visitor("1"), "ann", password)
	require.NoError(t, err)
	written := []byte(said + h.log.String())
	for _, name := range []string{h.path, h.path + "-wal"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		written = append(written, content...)
	}
	require.Contains(t, string(written), "argon2id", "the search reads the right files")
	for _, secret := range []string{password, "a wrong secret word", signed.Token} {
		require.False(t, bytes.Contains(written, []byte(secret)), "%q was written", secret)
	}
}

func TestD35FailedSignInsAreSlowed(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, err := h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	refused := 0
	for range 20 {
		_, err := h.Login(visitor("evil"), "ann", "wrong words")
		if fault.CodeOf(err) == fault.RateLimited {
			refused++
			require.Positive(t, fault.Of(err).Details["retryAfter"])
		} else {
			requireFault(t, fault.Unauthenticated, err)
		}
	}
	require.Equal(t, 15, refused)
	_, err = h.Login(visitor("evil"), "ann", password)
	requireFault(t, fault.RateLimited, err) // also with the right one, while the wait lasts
	_, err = h.Login(visitor("home"), "ann", password)
	require.NoError(t, err, "the account is not locked from outside")
	h.pass(time.Hour)
	_, err = h.Login(visitor("evil"), "ann", password)
	require.NoError(t, err)
}

func TestAClassBehindOneAddressIsUnhindered(t *testing.T) {
	t.Parallel()
	h := open(t)
	for i := range 30 {
		name := fmt.Sprintf("pupil%d", i)
		_, err := h.Register(visitor("school"), input(name))
		require.NoError(t, err)
		_, err = h.Login(visitor("school"), name, "a typing mistake")
		requireFault(t, fault.Unauthenticated, err)
		_, err = h.Login(visitor("school"), name, password)
		require.NoError(t, err)
	}
}

func TestUnknownNameAndWrongPasswordSoundAlike(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, err := h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	_, wrong := h.Login(visitor("1"), "ann", "wrong words")
	_, unknown := h.Login(visitor("1"), "nobody", "nobody's")
	require.Equal(t, requireFault(t, fault.Unauthenticated, wrong), requireFault(t, fault.Unauthenticated, unknown))
}

func TestSuspendedAndExpiredAreOut(t *testing.T) {
	t.Parallel()
	h := open(t)
	signed, err := h.Register(visitor("1"), input("ann"))
	require.NoError(t, err)
	_, err = h.Authenticate(context.Background(), signed.Token)
	require.NoError(t, err)
	ended := h.Ended(signed.Viewer.SessionID)
	sys := auth.AsSystem(context.Background())
	h.store.Client.User.UpdateOneID(signed.User.ID).SetSuspendedAt(h.now()).ExecX(sys)
	h.pass(2 * time.Second) // what is known of a sign-in is looked up again
	_, err = h.Authenticate(context.Background(), signed.Token)
	requireFault(t, fault.Unauthenticated, err)
	<-ended
	_, err = h.Login(visitor("1"), "ann", "wrong words")
	requireFault(t, fault.Unauthenticated, err)
	_, err = h.Login(visitor("1"), "ann", password)
	requireFault(t, fault.Forbidden, err)
	h.store.Client.User.UpdateOneID(signed.User.ID).ClearSuspendedAt().ExecX(sys)
	signed, err = h.Login(visitor("1"), "ann", password)
	require.NoError(t, err)
	h.pass(31 * 24 * time.Hour)
	_, err = h.Authenticate(context.Background(), signed.Token)
	requireFault(t, fault.Unauthenticated, err)
}
