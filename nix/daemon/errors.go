package daemon

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrNotValid says that a store path is not valid: the store does not have it.
var ErrNotValid = errors.New("not a valid store path")

// Error is a failure that the daemon reported. The connection it came over is
// still in order.
type Error struct {
	Message string   // as Nix words it, without terminal colours
	Traces  []string // what Nix adds about where it happened, innermost first
}

// Error returns Nix's message.
func (e *Error) Error() string { return "nix daemon: " + e.Message }

// ProtocolError is a failure of the conversation itself: the connection broke,
// or the daemon sent what the protocol does not allow. The connection is closed.
type ProtocolError struct {
	Op  string // what was asked: "QueryPathInfo"
	Err error
}

// Error says what was asked and what went wrong.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("talk to the nix daemon (%s): %v", e.Op, e.Err)
}

// Unwrap returns the cause: an error of the socket, or a context's.
func (e *ProtocolError) Unwrap() error { return e.Err }

var ansi = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]|\x1b\\][^\a\x1b]*(\a|\x1b\\\\)")

// Plain removes what is meant for a terminal from a text of the daemon.
func Plain(s string) string {
	if strings.IndexByte(s, 0x1b) < 0 {
		return s
	}
	return ansi.ReplaceAllString(s, "")
}
