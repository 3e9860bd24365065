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
	"github.com/mlride/mlride/ent/record"
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
	checkUsername(&check, in.Username)
	checkEmail(&check, in.Email)
	checkPassword(&check, "password", in.Password, in.Username)
	checkNickname(&check, in.Nickname)
	return check.Err()
}

func checkUsername(check *fault.Check, name string) {
	check.That(usernameForm.MatchString(name), "username", "format",
		"A user name is 3 to 32 letters a–z, digits, _ and -, and begins with a letter. The nickname takes any script.")
}

func checkEmail(check *fault.Check, text string) {
	address, err := mail.ParseAddress(text)
	check.That(err == nil && address.Address == text && len(text) <= maxEmail, "email", "format", "That is not an address such as ann@example.org.")
}

func checkNickname(check *fault.Check, name *string) {
	check.That(name == nil || utf8.ValidString(*name) && utf8.RuneCountInString(*name) <= maxNickname,
		"nickname", "length", "A nickname has at most %d characters.", maxNickname)
}

// RegistrationOpen says whether anybody may register now, and whether that
// needs a code: an invitation's or the set-up code.
func (s *Service) RegistrationOpen(ctx context.Context) (open, needsCode bool, err error) {
	first, err := s.nobodyYet(ctx, s.Client)
	if err != nil {
		return false, false, err
	}
	if first {
		return true, s.SetupCode != "", nil
	}
	return s.Mode != Closed, s.Mode == Invite, nil
}

func (s *Service) nobodyYet(ctx context.Context, client *ent.Client) (bool, error) {
	exist, err := client.User.Query().Exist(auth.AsSystem(ctx))
	return !exist, err
}

func (s *Service) closed() error {
	if s.Mode == Invite {
		return fault.New(fault.Forbidden, "Registration needs an invitation here.%s", s.askWhom())
	}
	return fault.New(fault.Forbidden, "Registration is closed here.%s", s.askWhom())
}

// Register makes an account and signs in. The first account administers; it may
// be made whatever the mode, with the set-up code where one is needed. Later
// ones may where registration is open, and everywhere with an invitation.
func (s *Service) Register(ctx context.Context, in Input) (*Signed, error) {
	first, err := s.nobodyYet(ctx, s.Client)
	if err != nil {
		return nil, err
	}
	if !first && s.Mode != Open && (in.Code == nil || *in.Code == "") {
		return nil, s.closed()
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if first && s.SetupCode != "" && (in.Code == nil || subtle.ConstantTimeCompare([]byte(*in.Code), []byte(s.SetupCode)) != 1) {
		return nil, badCode("setupCode", "The first account needs the set-up code that the server printed when it started.")
	}
	if !first && s.Mode != Open { // before the hashing, which is dear
		if err := s.checkInvitation(ctx, s.Client, *in.Code); err != nil {
			return nil, err
		}
	}
	hash, err := s.hashing.hash(ctx, in.Password)
	if err != nil {
		return nil, err
	}
	signed := &Signed{}
	err = store.Tx(ctx, s.Client, func(tx *ent.Client) error { return s.register(ctx, tx, in, hash, signed) })
	if err != nil {
		return nil, err
	}
	signed.User = signed.User.Unwrap()
	s.tell(signed.User.ID, live.Created)
	return signed, nil
}

func badCode(rule, message string) error {
	var check fault.Check
	check.That(false, "code", rule, "%s", message)
	return check.Err()
}

func (s *Service) tell(id string, op live.Op) {
	s.Feed.Publish(live.Change{Kind: live.User, ID: id, Owner: id, Op: op})
}

func (s *Service) register(ctx context.Context, tx *ent.Client, in Input, hash string, signed *Signed) error {
	first, err := s.nobodyYet(ctx, tx)
	if err != nil {
		return err
	}
	n := newcomer{
		username: in.Username, email: in.Email, nickname: in.Nickname, hash: hash, role: user.RoleUser, here: true,
	}
	detail := ""
	switch {
	case first:
		n.role = user.RoleAdmin
	case in.Code != nil && *in.Code != "": // also where registration is open: it may come with a quota
		invitation, err := s.useInvitation(ctx, tx, *in.Code)
		if err != nil && s.Mode == Open {
			break // a code is not needed, and nothing is lost by a wrong one
		}
		if err != nil {
			return err
		}
		n.quota, detail = invitation.Quota, "invitation "+invitation.ID
	case s.Mode != Open: // somebody was faster with the first account
		return s.closed()
	}
	if signed.User, err = s.insert(ctx, tx, n); err != nil {
		return err
	}
	if err := s.begin(ctx, tx, signed); err != nil {
		return err
	}
	return audit.Record(ctx, tx, audit.Entry{
		Action: "account.register", Actor: signed.User, Target: signed.User.ID, TargetName: signed.User.Username, Detail: detail,
	})
}

// newcomer is the row of an account to come.
type newcomer struct {
	username, email string
	nickname        *string
	hash            string
	role            user.Role
	expires         *time.Time
	oneTime         bool
	// here says that the person is here as the account is made.
	here  bool
	quota *record.Limits
}

// insert makes the row of an account with its quota.
func (s *Service) insert(ctx context.Context, tx *ent.Client, n newcomer) (*ent.User, error) {
	sys := auth.AsSystem(ctx)
	if err := free(sys, tx, "", n.username, n.email); err != nil {
		return nil, err
	}
	if n.nickname != nil && *n.nickname == "" {
		n.nickname = nil
	}
	create := tx.User.Create().
		SetUsername(n.username).SetUsernameKey(strings.ToLower(n.username)).
		SetEmail(n.email).SetEmailKey(strings.ToLower(n.email)).
		SetNillableNickname(n.nickname).SetPasswordHash(n.hash).SetRole(n.role).
		SetMustChangePassword(n.oneTime).SetNillableExpiresAt(n.expires)
	if n.here {
		create.SetLastSeenAt(s.Now().UTC())
	}
	row, err := create.Save(sys)
	if err != nil {
		return nil, err
	}
	return row, s.NewQuota(ctx, tx, row.ID, n.quota)
}

// free refuses a name or an address that somebody else than except has. An
// empty one is not asked about.
func free(sys context.Context, tx *ent.Client, except, username, email string) error {
	if username != "" {
		taken, err := tx.User.Query().Where(user.UsernameKey(strings.ToLower(username)), user.IDNEQ(except)).Exist(sys)
		if err != nil {
			return err
		}
		if taken {
			return fault.New(fault.Conflict, "The user name %s is taken.", username).With("field", "username")
		}
	}
	if email == "" {
		return nil
	}
	taken, err := tx.User.Query().Where(user.EmailKey(strings.ToLower(email)), user.IDNEQ(except)).Exist(sys)
	if err != nil {
		return err
	}
	if taken {
		return fault.New(fault.Conflict, "There is an account with this address already.").With("field", "email")
	}
	return nil
}

// Login signs in by user name or address. Whether the name is unknown or the
// password wrong, the answer and the time it takes are the same.
func (s *Service) Login(ctx context.Context, login, password string) (*Signed, error) {
	p, err := s.prove(ctx, login, password, "account.login")
	if err != nil {
		return nil, err
	}
	return s.signIn(ctx, p, "account.login", func(u *ent.User, _ *ent.UserUpdateOne) error { return s.standing(u) })
}

// proved is somebody whose password was right.
type proved struct {
	user *ent.User
	// hash is that of the password with today's parameters.
	hash string
}

// prove checks a password. It tells nothing of the account's standing: whoever
// does not know the password learns nothing of it.
func (s *Service) prove(ctx context.Context, login, password, action string) (proved, error) {
	key := strings.ToLower(strings.TrimSpace(login))
	if len(key) > maxEmail {
		key = key[:maxEmail]
	}
	u, err := s.Client.User.Query().Where(user.Or(user.UsernameKey(key), user.EmailKey(key))).First(auth.AsSystem(ctx))
	if err != nil && !ent.IsNotFound(err) {
		return proved{}, err
	}
	if u != nil {
		key = u.UsernameKey // name and address are one account to whoever guesses
	}
	hash, ok, err := s.verify(ctx, key, u, password)
	if err != nil {
		return proved{}, err
	}
	if !ok {
		// a name that nobody has is not kept: people type passwords into that field
		failed := audit.Entry{Action: action, Outcome: auditevent.OutcomeFailed}
		if u != nil {
			failed.Target, failed.TargetName = u.ID, u.Username
		}
		if err := audit.Record(ctx, s.Client, failed); err != nil {
			return proved{}, err
		}
		return proved{}, fault.New(fault.Unauthenticated, "The name or the password is wrong.")
	}
	return proved{user: u, hash: hash}, nil
}

// verify compares a password with that of u, who may be nobody, slowed by the
// throttle; the hash is the one to keep.
func (s *Service) verify(ctx context.Context, key string, u *ent.User, password string) (hash string, ok bool, err error) {
	address := auth.Of(ctx).IP
	slow := func() error { return s.throttle.check(key, address) }
	if err := slow(); err != nil {
		return "", false, err
	}
	if len(password) > maxPassword {
		password = "" // cannot be right, and is not worth the work
	}
	if u != nil {
		hash = u.PasswordHash
	}
	ok, outdated, err := s.hashing.matches(ctx, password, hash, slow)
	if err != nil {
		return "", false, err
	}
	if !ok {
		s.throttle.failed(key, address)
		return "", false, nil
	}
	s.throttle.succeeded(key, address)
	if outdated {
		hash, err = s.hashing.hash(ctx, password)
	}
	return hash, true, err
}

// The reasons for which an account that is there lets nobody in, as the detail
// `reason` tells them.
const (
	reasonSuspended = "SUSPENDED"
	reasonExpired   = "EXPIRED"
	reasonDeleted   = "DELETED"
)

// standing refuses an account that lets nobody in.
func (s *Service) standing(u *ent.User) error {
	switch {
	case u.SuspendedAt != nil:
		return fault.New(fault.Forbidden, "This account is suspended.%s", s.askWhom()).With("reason", reasonSuspended)
	case over(u, s.Now()):
		return fault.New(fault.Forbidden, "This account ended on %s.%s", u.ExpiresAt.UTC().Format(time.DateOnly), s.askWhom()).With("reason", reasonExpired)
	case u.DeletionScheduledAt != nil:
		return fault.New(fault.Forbidden, "This account is deleted. It can be restored until %s.", u.DeletionScheduledAt.UTC().Format("2006-01-02 15:04 MST")).
			With("reason", reasonDeleted).With("deletionScheduledAt", record.FormatTime(*u.DeletionScheduledAt))
	}
	return nil
}

func over(u *ent.User, now time.Time) bool { return u.ExpiresAt != nil && !u.ExpiresAt.After(now) }

// signIn begins a session of somebody whose password was right, unless it is
// another by now or may says no.
func (s *Service) signIn(ctx context.Context, p proved, action string, may func(*ent.User, *ent.UserUpdateOne) error) (*Signed, error) {
	sys := auth.AsSystem(ctx)
	signed := &Signed{}
	var refusal error
	err := store.Tx(ctx, s.Client, func(tx *ent.Client) error {
		u, err := tx.User.Get(sys, p.user.ID)
		if ent.IsNotFound(err) || err == nil && u.PasswordHash != p.user.PasswordHash {
			return fault.New(fault.Unauthenticated, "The name or the password is wrong.") // it changed meanwhile
		}
		if err != nil {
			return err
		}
		up := u.Update().SetPasswordHash(p.hash).SetLastSeenAt(s.Now().UTC())
		if refusal = may(u, up); refusal != nil {
			reason, _ := fault.Of(refusal).Details["reason"].(string)
			return audit.Record(ctx, tx, audit.Entry{
				Action: action, Actor: u, Target: u.ID, TargetName: u.Username,
				Detail: strings.ToLower(reason), Outcome: auditevent.OutcomeDenied,
			})
		}
		if signed.User, err = up.Save(sys); err != nil {
			return err
		}
		if err := s.begin(ctx, tx, signed); err != nil {
			return err
		}
		return audit.Record(ctx, tx, audit.Entry{Action: action, Actor: u, Target: u.ID, TargetName: u.Username})
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	signed.User = signed.User.Unwrap()
	return signed, nil
}
