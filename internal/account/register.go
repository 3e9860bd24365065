package account

import (
	"context"
	"crypto/subtle"
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mlride/mlride/ent"
	"github.com/mlride/mlride/ent/auditevent"
	"github.com/mlride/mlride/ent/user"
	"github.com/mlride/mlride/internal/audit"
	"github.com/mlride/mlride/internal/auth"
	"github.com/mlride/mlride/internal/fault"
	"github.com/mlride/mlride/internal/live"
	"github.com/mlride/mlride/internal/store"
)

// Input is a new account.
type Input struct {
	Username, Email, Password string
	Nickname, Code            *string
}

// Signed is a sign-in: the only time that its token is known.
type Signed struct {
	User  *ent.User
	Token string
	// Viewer is who asks from now on.
	Viewer  auth.Viewer
	Expires time.Time
}

var usernameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{2,31}$`)

const (
	maxEmail    = 254 // RFC 5321
	maxNickname = 64
)

func (in Input) check() error {
	var check fault.Check
	check.That(usernameForm.MatchString(in.Username), "username", "format",
		"A user name is 3 to 32 letters a–z, digits, _ and -, and begins with a letter. The nickname takes any script.")
	address, err := mail.ParseAddress(in.Email)
	check.That(err == nil && address.Address == in.Email && len(in.Email) <= maxEmail, "email", "format", "That is not an address such as ann@example.org.")
	checkPassword(&check, "password", in.Password, in.Username)
	check.That(in.Nickname == nil || utf8.ValidString(*in.Nickname) && utf8.RuneCountInString(*in.Nickname) <= maxNickname,
		"nickname", "length", "A nickname has at most %d characters.", maxNickname)
	return check.Err()
}

// RegistrationOpen says whether anybody may register now, and whether that
// needs the set-up code.
func (s *Service) RegistrationOpen(ctx context.Context) (open, needsCode bool, err error) {
	first, err := s.nobodyYet(ctx, s.Client)
	if err != nil {
		return false, false, err
	}
	return s.Mode == Open || first, first && s.SetupCode != "", nil
}

func (s *Service) nobodyYet(ctx context.Context, client *ent.Client) (bool, error) {
	exist, err := client.User.Query().Exist(auth.AsSystem(ctx))
	return !exist, err
}

// Register makes an account and signs in. The first account administers; it may
// be made whatever the mode, with the set-up code where one is needed.
func (s *Service) Register(ctx context.Context, in Input) (*Signed, error) {
	open, needsCode, err := s.RegistrationOpen(ctx)
	if err != nil {
		return nil, err
	}
	if !open {
		return nil, fault.New(fault.Forbidden, "Registration is closed here.%s", s.askWhom())
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if needsCode && (in.Code == nil || subtle.ConstantTimeCompare([]byte(*in.Code), []byte(s.SetupCode)) != 1) {
		var check fault.Check
		check.That(false, "code", "setupCode", "The first account needs the set-up code that the server printed when it started.")
		return nil, check.Err()
	}
	hash, err := s.hashing.hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	signed := &Signed{}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error { return s.insert(ctx, tx, in, hash, signed) })
	if err != nil {
		return nil, err
	}
	signed.User = signed.User.Unwrap()
	s.Feed.Publish(live.Change{Kind: live.User, ID: signed.User.ID, Owner: signed.User.ID, Op: live.Created})
	return signed, nil
}

func (s *Service) insert(ctx context.Context, tx *ent.Client, in Input, hash string, signed *Signed) error {
	sys := auth.AsSystem(ctx)
	first, err := s.nobodyYet(ctx, tx)
	if err != nil {
		return err
	}
	if !first && s.Mode != Open { // somebody was faster with the first account
		return fault.New(fault.Forbidden, "Registration is closed here.%s", s.askWhom())
	}
	if err := taken(sys, tx, in); err != nil {
		return err
	}
	create := tx.User.Create().
		SetUsername(in.Username).SetUsernameKey(strings.ToLower(in.Username)).
		SetEmail(in.Email).SetEmailKey(strings.ToLower(in.Email)).
		SetNillableNickname(in.Nickname).SetPasswordHash(hash).SetLastSeenAt(s.Now().UTC())
	if first {
		create.SetRole(user.RoleAdmin)
	}
	if signed.User, err = create.Save(sys); err != nil {
		return err
	}
	if err := s.NewQuota(ctx, tx, signed.User.ID); err != nil {
		return err
	}
	if err := s.begin(ctx, tx, signed); err != nil {
		return err
	}
	return audit.Record(ctx, tx, audit.Entry{Action: "account.register", Actor: signed.User, Target: signed.User.ID, TargetName: signed.User.Username})
}

func taken(sys context.Context, tx *ent.Client, in Input) error {
	name, err := tx.User.Query().Where(user.UsernameKey(strings.ToLower(in.Username))).Exist(sys)
	if err != nil {
		return err
	}
	if name {
		return fault.New(fault.Conflict, "The user name %s is taken.", in.Username).With("field", "username")
	}
	address, err := tx.User.Query().Where(user.EmailKey(strings.ToLower(in.Email))).Exist(sys)
	if err != nil {
		return err
	}
	if address {
		return fault.New(fault.Conflict, "There is an account with this address already. Sign in instead.").With("field", "email")
	}
	return nil
}

// Login signs in by user name or address. Whether the name is unknown or the
// password wrong, the answer and the time it takes are the same.
func (s *Service) Login(ctx context.Context, login, password string) (*Signed, error) {
	key := strings.ToLower(strings.TrimSpace(login))
	if len(key) > maxEmail {
		key = key[:maxEmail]
	}
	address := auth.Of(ctx).IP
	if err := s.throttle.check(key, address); err != nil {
		return nil, err
	}
	if len(password) > maxPassword {
		password = "" // cannot be right, and is not worth the work
	}
	sys := auth.AsSystem(ctx)
	u, err := s.Client.User.Query().Where(user.Or(user.UsernameKey(key), user.EmailKey(key))).Only(sys)
	if err != nil && !ent.IsNotFound(err) {
		return nil, err
	}
	hash := ""
	if u != nil {
		hash = u.PasswordHash
	}
	ok, outdated, err := s.hashing.matches(ctx, password, hash)
	if err != nil {
		return nil, err
	}
	if !ok {
		s.throttle.failed(key, address)
		err := audit.Record(ctx, s.Client, audit.Entry{Action: "account.login", TargetName: key, Outcome: auditevent.OutcomeFailed})
		if err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Unauthenticated, "The name or the password is wrong.")
	}
	s.throttle.succeeded(key, address)
	if u.SuspendedAt != nil {
		err := audit.Record(ctx, s.Client, audit.Entry{Action: "account.login", Actor: u, Detail: "suspended", Outcome: auditevent.OutcomeDenied})
		if err != nil {
			return nil, err
		}
		return nil, fault.New(fault.Forbidden, "This account is suspended.%s", s.askWhom())
	}
	if outdated {
		if hash, err = s.hashing.hash(ctx, password); err != nil {
			return nil, err
		}
	}
	return s.signIn(ctx, u, hash)
}

func (s *Service) signIn(ctx context.Context, u *ent.User, hash string) (*Signed, error) {
	sys := auth.AsSystem(ctx)
	signed := &Signed{}
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		var err error
		signed.User, err = tx.User.UpdateOneID(u.ID).SetPasswordHash(hash).SetLastSeenAt(s.Now().UTC()).Save(sys)
		if err != nil {
			return err
		}
		if err := s.begin(ctx, tx, signed); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: "account.login", Actor: u})
	})
	if err != nil {
		return nil, err
	}
	signed.User = signed.User.Unwrap()
	return signed, nil
}
