package wire

import (
	"io"
	"strconv"
	"strings"
)

// A Line is one message on the control port: a verb and at most one argument,
// ended by a line feed.
//
//	host → guest   RESET <nonce>     forget all streams; begin anew
//	guest → host   OK <nonce>        done: the data port was reopened
//	host → guest   HELLO <version>   the newest version that the host speaks
//	guest → host   READY <version>   the version that both will speak
//	guest → host   ERR <nonce> …     the reset failed
type Line struct {
	Verb string
	Arg  string
}

// The verbs of the control port.
const (
	VerbReset = "RESET"
	VerbOK    = "OK"
	VerbHello = "HELLO"
	VerbReady = "READY"
	VerbError = "ERR"
)

// String returns the line without its end.
func (l Line) String() string {
	if l.Arg == "" {
		return l.Verb
	}
	return l.Verb + " " + l.Arg
}

// WriteLine sends a line in one write. Its text must hold no line feed.
func WriteLine(w io.Writer, l Line) error {
	_, err := io.WriteString(w, l.String()+"\n")
	return err
}

// ParseLine reads one line without its end. It reports whether it is a message.
func ParseLine(s string) (Line, bool) {
	verb, arg, _ := strings.Cut(s, " ")
	switch verb {
	case VerbReset, VerbOK:
		if !validNonce(arg) {
			return Line{}, false
		}
	case VerbHello, VerbReady:
		if v, err := strconv.ParseUint(arg, 10, 16); err != nil || v == 0 {
			return Line{}, false
		}
	case VerbError:
	default:
		return Line{}, false
	}
	return Line{verb, arg}, true
}

// Number returns the version that a HELLO or READY line carries.
func (l Line) Number() int {
	v, err := strconv.ParseUint(l.Arg, 10, 16)
	if err != nil {
		return 0
	}
	return int(v)
}

// validNonce reports whether s is 1 to 32 lower-case hexadecimal digits.
func validNonce(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// A LineScanner takes bytes as they come and finds the lines in them. Lines that
// are too long or mean nothing are dropped: what is left on a port from before a
// reset must not matter.
type LineScanner struct {
	buf     []byte
	tooLong bool
}

// Feed takes bytes and returns the messages that they complete.
func (s *LineScanner) Feed(p []byte) []Line {
	var lines []Line
	for _, c := range p {
		if c != '\n' {
			if s.tooLong = s.tooLong || len(s.buf) >= MaxLine-1; !s.tooLong {
				s.buf = append(s.buf, c)
			}
			continue
		}
		if l, ok := ParseLine(string(s.buf)); ok && !s.tooLong {
			lines = append(lines, l)
		}
		s.buf, s.tooLong = s.buf[:0], false
	}
	return lines
}

// Marker is what the guest sends on the data port as its first bytes after the
// reset with this nonce. The host drops everything before it.
func Marker(nonce string) string { return "\x00nixspace " + nonce + "\n" }
