// Package fault is the vocabulary of failure: what a user may read. Anything
// that is not a Fault is internal, and its detail is for the operator's log only.
package fault

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Code names a kind of failure for programs. The codes are part of the API.
type Code string

// The codes of the API.
const (
	Unauthenticated   Code = "UNAUTHENTICATED"
	Forbidden         Code = "FORBIDDEN"
	NotFound          Code = "NOT_FOUND"
	BadUserInput      Code = "BAD_USER_INPUT"
	Conflict          Code = "CONFLICT"
	QuotaExceeded     Code = "QUOTA_EXCEEDED"
	CapacityExceeded  Code = "CAPACITY_EXCEEDED"
	ImageNotReady     Code = "IMAGE_NOT_READY"
	ImageInUse        Code = "IMAGE_IN_USE"
	VolumeInUse       Code = "VOLUME_IN_USE"
	InvalidState      Code = "INVALID_STATE"
	EngineUnavailable Code = "ENGINE_UNAVAILABLE"
	EngineError       Code = "ENGINE_ERROR"
	LowDisk           Code = "LOW_DISK"
	RateLimited       Code = "RATE_LIMITED"
	QueryTooComplex   Code = "QUERY_TOO_COMPLEX"
	Internal          Code = "INTERNAL"
)

// Fault is a failure that a user may read: a message that says what to do
// next, a code, and what a program needs to act.
type Fault struct {
	Code    Code
	Message string
	// Details go out as extensions beside the code: limit, used, status, …
	Details map[string]any
	// Violations are all the rules that an input broke; only with BadUserInput.
	Violations []Violation
	cause      error
}

// Violation is one rule that one field of an input broke.
type Violation struct {
	// Field is the path in the input: "memoryLimit", "environment.0.name".
	Field string `json:"field"`
	// Rule is a stable word: required, format, range, unique, …
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// New makes a fault with a message for a person.
func New(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// With returns a copy of f with one detail more.
func (f *Fault) With(key string, value any) *Fault {
	c := *f
	c.Details = maps.Clone(f.Details)
	if c.Details == nil {
		c.Details = map[string]any{}
	}
	c.Details[key] = value
	return &c
}

// Because returns a copy of f that remembers err for the operator's log.
func (f *Fault) Because(err error) *Fault {
	c := *f
	c.cause = err
	return &c
}

// Error is the message with its code, for logs.
func (f *Fault) Error() string {
	text := string(f.Code) + ": " + f.Message
	for _, v := range f.Violations {
		text += "; " + v.Field + ": " + v.Message
	}
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap gives the remembered cause.
func (f *Fault) Unwrap() error { return f.cause }

// Is makes errors.Is(err, fault.New(code, "")) hold for every fault of that code.
func (f *Fault) Is(target error) bool {
	var t *Fault
	return errors.As(target, &t) && t.Code == f.Code && t.Message == ""
}

// Of returns what the user may know of err. Anything that is not a Fault is
// Internal: the operator's log gets the detail, the user does not.
func Of(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return New(Internal, "Something went wrong on our side.").Because(err)
}

// CodeOf is the code of what the user may know of err; empty for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return Of(err).Code
}

// NoSuch is what everybody hears of what is not there or not theirs. The words
// are the same for both, on purpose.
func NoSuch(kind, id string) *Fault {
	if len(id) > 64 {
		id = id[:64] + "…"
	}
	return New(NotFound, "There is no %s %q that you may see.", kind, id)
}

// Named is an object that a refusal points at.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// maxNamed bounds how many objects a refusal names.
const maxNamed = 20

// InUse refuses the removal of what containers need. It names those that the
// viewer sees and counts the others; says is a sentence with a %s for them.
func InUse(code Code, says string, seen []Named, others int) *Fault {
	named, names := seen[:min(len(seen), maxNamed)], []string{}
	for _, c := range named {
		names = append(names, c.Name)
	}
	if more := len(seen) - len(named); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	if others > 0 {
		names = append(names, fmt.Sprintf("%d of other people", others))
	}
	return New(code, says, strings.Join(names, ", ")).With("containers", named).With("others", others)
}

// After is how long to wait before trying again, as a detail in seconds.
func (f *Fault) After(d time.Duration) *Fault {
	seconds := int((d + time.Second - 1) / time.Second)
	return f.With("retryAfter", max(seconds, 1))
}

// Check collects violations, so that an input hears of all of them at once.
type Check struct{ violations []Violation }

// That records a violation unless ok.
func (c *Check) That(ok bool, field, rule, format string, args ...any) {
	if !ok {
		c.violations = append(c.violations, Violation{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
}

// OK says whether nothing was violated so far.
func (c *Check) OK() bool { return len(c.violations) == 0 }

// Err is nil, or one BadUserInput with all violations.
func (c *Check) Err() error {
	if c.OK() {
		return nil
	}
	messages := make([]string, len(c.violations))
	for i, v := range c.violations {
		messages[i] = v.Message
	}
	f := New(BadUserInput, "%s", strings.Join(messages, " "))
	f.Violations = c.violations
	return f
}
