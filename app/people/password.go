package people

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/nixspace/nixspace"
)

// The cost of a password's hash: OWASP's recommendation for argon2id.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32 // bytes
)

const (
	passwordMin = 10  // characters
	passwordMax = 256 // bytes
)

// hash returns the argon2id hash of a password with a new salt, in PHC's string
// format. Only some are computed at a time, because each takes memory.
func (u *UseCases) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	key, err := u.argon(ctx, password, salt, argonMemory, argonTime, argonThreads)
	if err != nil {
		return "", err
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc.EncodeToString(salt), enc.EncodeToString(key)), nil
}

func (u *UseCases) argon(ctx context.Context, password string, salt []byte, memory, time uint32, threads uint8) ([]byte, error) {
	select {
	case u.hashing <- struct{}{}:
		defer func() { <-u.hashing }()
	case <-ctx.Done():
		return nil, nixspace.Errorf(nixspace.KindCanceled, "canceled", "canceled: %w", ctx.Err())
	}
	return argon2.IDKey([]byte(password), salt, time, memory, threads, argonKey), nil
}

// verify compares a password with a hash. It takes as long for no hash as for one,
// so that time does not tell which accounts there are.
func (u *UseCases) verify(ctx context.Context, hash, password string) (bool, error) {
	salt, want, memory, time, threads, ok := parsePHC(hash)
	if !ok {
		salt, want = make([]byte, 16), nil
		memory, time, threads = argonMemory, argonTime, argonThreads
	}
	if len(password) > passwordMax {
		password = ""
	}
	got, err := u.argon(ctx, password, salt, memory, time, threads)
	return err == nil && ok && subtle.ConstantTimeCompare(got, want) == 1, err
}

func parsePHC(s string) (salt, key []byte, memory, time uint32, threads uint8, ok bool) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, nil, 0, 0, 0, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || memory > 1<<20 || time == 0 || time > 16 || threads == 0 {
		return nil, nil, 0, 0, 0, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	return salt, key, memory, time, threads, err == nil && err2 == nil && len(key) == argonKey && len(salt) >= 8
}

// checkPassword refuses passwords that are too easy to guess or too long to hash.
func checkPassword(name, password string) error {
	switch {
	case utf8.RuneCountInString(password) < passwordMin:
		return nixspace.Errorf(nixspace.KindInvalid, "password_short", "the password has fewer than %d characters", passwordMin).
			WithHint("several words in a row are easy to remember and hard to guess")
	case len(password) > passwordMax || !utf8.ValidString(password):
		return nixspace.Errorf(nixspace.KindInvalid, "password_long", "the password has more than %d bytes, or is no text", passwordMax)
	case strings.Contains(strings.ToLower(password), strings.ToLower(name)) && len(password) < 2*len(name)+4:
		return nixspace.Errorf(nixspace.KindInvalid, "password_weak", "the password is little more than the name")
	case strings.Count(password, password[:1]) == len(password):
		return nixspace.Errorf(nixspace.KindInvalid, "password_weak", "the password is one character over and over")
	}
	return nil
}
