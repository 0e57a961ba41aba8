package nixspace

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an [Error] is, and so how the outside sees it:
// an HTTP status, a process exit code, whether trying again may help.
type Kind string

// The kinds of failure.
const (
	KindInvalid      Kind = "invalid"      // the request itself is wrong; do not repeat it unchanged
	KindNotFound     Kind = "not_found"    // what it names does not exist
	KindExists       Kind = "exists"       // what it would create already exists
	KindConflict     Kind = "conflict"     // somebody else changed it meanwhile, or its state forbids this
	KindUnauthorized Kind = "unauthorized" // no valid credentials were given
	KindForbidden    Kind = "forbidden"    // the credentials do not allow this
	KindBuild        Kind = "build"        // the environment could not be built
	KindLimit        Kind = "limit"        // a quota, a size limit or a full disk
	KindUnavailable  Kind = "unavailable"  // something that is needed cannot be reached; trying again may help
	KindCanceled     Kind = "canceled"     // the caller gave up
	KindInternal     Kind = "internal"     // a defect of NixSpace
)

// Error is a failure that a person can act on. Anything else that reaches the
// outside is a defect and is shown as [KindInternal] without its text.
type Error struct {
	Kind    Kind
	Code    string // stable and machine-readable, for example "package_unknown"
	Message string // what is wrong, in one sentence without a full stop
	Hint    string // what to do about it; may be empty
	Details map[string]any
	Err     error // the cause, for logs; may be nil
}

// Error returns the message and, after a semicolon, the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is an *Error with the same code, so that
// errors.Is(err, &Error{Code: "…"}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Errorf returns an error of kind and code whose message is formatted as by
// fmt.Errorf: a %w verb sets the cause.
func Errorf(kind Kind, code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

// WithHint returns a copy of e that says what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithDetail returns a copy of e with one more machine-readable detail.
func (e *Error) WithDetail(key string, value any) *Error {
	c := *e
	c.Details = make(map[string]any, len(e.Details)+1)
	for k, v := range e.Details {
		c.Details[k] = v
	}
	c.Details[key] = value
	return &c
}

// ErrorKind returns the kind of the first *Error in err's chain, and
// [KindInternal] where there is none.
func ErrorKind(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// ErrorCode returns the code of the first *Error in err's chain, and "internal"
// where there is none.
func ErrorCode(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return "internal"
}
