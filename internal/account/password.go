package account

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	validator "github.com/wagslane/go-password-validator"

	"github.com/mlride/mlride/internal/fault"
)

const (
	minPassword = 8    // characters
	maxPassword = 1024 // bytes: hashing must not become a way to keep the server busy
	// maxWaiting is how many wait for their turn to be hashed at most.
	maxWaiting = 1000
	// minEntropy in bits, as go-password-validator counts it.
	minEntropy = 50
)

// PasswordRules says the rules for a person.
func PasswordRules() string {
	return fmt.Sprintf("At least %d characters that are not easy to guess: several words, or letters mixed with digits and signs; without your user name.", minPassword)
}

func checkPassword(check *fault.Check, field, password, username string) {
	length := utf8.RuneCountInString(password)
	switch {
	case length < minPassword:
		check.That(false, field, "length", "A password has at least %d characters; this has %d.", minPassword, length)
	case len(password) > maxPassword:
		check.That(false, field, "length", "A password has at most %d bytes.", maxPassword)
	case username != "" && strings.Contains(strings.ToLower(password), strings.ToLower(username)):
		check.That(false, field, "strength", "The password must not contain the user name.")
	default:
		if err := validator.Validate(password, minEntropy); err != nil {
			check.That(false, field, "strength", "The password is too easy to guess: %s.", err)
		}
	}
}

// parameters are OWASP's minimum for argon2id. They stand in each hash; one made
// with others is made anew at the next sign-in.
var parameters = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hasher bounds how many passwords are hashed at once: each takes 19 MiB, and a
// flood of sign-ins must not take the memory.
type hasher struct {
	slots   chan struct{}
	waiting *atomic.Int64
	// nobody gives the hash that an unknown name is compared with, so that it
	// takes as long as a known one. It is made at the first sign-in, whoever's:
	// making it takes memory that a server at rest need not have.
	nobody func() (string, error)
}

func newHasher() hasher {
	return hasher{
		waiting: &atomic.Int64{},
		slots:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		nobody:  sync.OnceValues(func() (string, error) { return argon2id.CreateHash("nobody's", parameters) }),
	}
}

// enter waits for one's turn, in the order of coming.
func (h hasher) enter(ctx context.Context) error {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return fault.New(fault.RateLimited, "Too many people sign in at this moment. Try again shortly.").After(time.Second)
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.slots }()
	return argon2id.CreateHash(password, parameters)
}

// matches compares in the time that a comparison takes, whoever it is about.
// slow is asked again once it is this one's turn: many tries at once must not
// all pass a question that was answered before the first of them failed.
func (h hasher) matches(ctx context.Context, password, hash string, slow func() error) (ok, outdated bool, err error) {
	if err := h.enter(ctx); err != nil {
		return false, false, err
	}
	defer func() { <-h.slots }()
	if err := slow(); err != nil {
		return false, false, err
	}
	nobody, err := h.nobody()
	if err != nil {
		return false, false, err
	}
	if hash == "" {
		hash = nobody
	}
	ok, used, err := argon2id.CheckHash(password, hash)
	if errors.Is(err, argon2id.ErrInvalidHash) {
		return false, false, nil // an account that cannot sign in by password
	}
	return ok && hash != nobody, err == nil && *used != *parameters, err
}
