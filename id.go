package nixspace

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"sync"
)

// ID is a random UUID (RFC 9562, version 4) in its lower-case text form.
type ID string

// NewID returns a new random ID.
func NewID() ID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return ID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}

// The patterns are compiled when they are first used: the agent of every guest
// links this package, and most never use them.
var idPattern = pattern(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// Valid reports whether id has the form of a UUID.
func (id ID) Valid() bool { return idPattern().MatchString(string(id)) }

var (
	namePattern   = pattern(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
	numberPattern = pattern(`^[0-9]+$`)
)

// CheckName returns an error unless name can name a project or an environment:
// 1 to 63 lower-case letters, digits, dots, underscores and hyphens, with a
// letter or digit at both ends, and not a number alone (a number names a
// session, as in shop/1).
func CheckName(what, name string) error {
	if !namePattern().MatchString(name) || numberPattern().MatchString(name) {
		return Errorf(KindInvalid, "name_invalid", "%q cannot be the name of %s", name, what).
			WithHint("use 1 to 63 lower-case letters, digits, '.', '_' or '-', with a letter or digit at both ends, and not only digits")
	}
	return nil
}
