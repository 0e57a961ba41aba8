package people

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what authenticator programs know (RFC 6238)
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/nixspace/nixspace"
)

// One-time passwords as of RFC 6238, with what every authenticator program takes.
const (
	totpStep   = 30 * time.Second
	totpDigits = 6
	totpSecret = 20 // bytes
)

// totpAt is the one-time password of a step.
func totpAt(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(step))) // never fails
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// totpMatch returns the step that a one-time password is of: now, or one before or
// after, as clocks differ.
func totpMatch(secret []byte, code string, now time.Time) (int64, bool) {
	current := now.Unix() / int64(totpStep/time.Second)
	found, ok := int64(0), false
	for step := current - 1; step <= current+1; step++ {
		if subtle.ConstantTimeCompare([]byte(totpAt(secret, step)), []byte(code)) == 1 {
			found, ok = step, true
		}
	}
	return found, ok
}

// TOTP is what an authenticator program is set up with.
type TOTP struct {
	Secret string // base32, to be typed
	URI    string // otpauth, to be shown as a QR code
}

// EnrolTOTP makes a new secret for the actor's one-time passwords. They are asked
// for once ConfirmTOTP has seen one.
func (u *UseCases) EnrolTOTP(ctx context.Context) (*TOTP, error) {
	actor, a, err := u.me(ctx)
	if err != nil {
		return nil, err
	}
	if len(a.TOTP) > 0 && !pending(a.TOTP) {
		return nil, nixspace.Errorf(nixspace.KindConflict, "totp_on", "one-time passwords are asked for already").WithHint("remove them first")
	}
	secret := make([]byte, totpSecret)
	_, _ = rand.Read(secret) // never fails
	sealed, err := u.seal(secret)
	if err != nil {
		return nil, err
	}
	a.TOTP = append([]byte{totpPending}, sealed...)
	if err := u.store().Accounts().Update(ctx, a); err != nil {
		return nil, err
	}
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	uri := url.URL{
		Scheme: "otpauth", Host: "totp", Path: "/NixSpace:" + actor.Name,
		RawQuery: url.Values{"secret": {text}, "issuer": {"NixSpace"}}.Encode(),
	}
	return &TOTP{Secret: text, URI: uri.String()}, nil
}

// The first byte of a stored secret says whether it was ever used.
const (
	totpPending = 0
	totpOn      = 1
)

// HasTOTP reports whether an account asks for one-time passwords.
func HasTOTP(a *nixspace.Account) bool { return len(a.TOTP) > 0 && !pending(a.TOTP) }

func pending(stored []byte) bool { return len(stored) > 0 && stored[0] == totpPending }

// ConfirmTOTP asks for one-time passwords from now on, if code is one.
func (u *UseCases) ConfirmTOTP(ctx context.Context, code string) error {
	_, a, err := u.me(ctx)
	if err != nil {
		return err
	}
	if !pending(a.TOTP) {
		return nixspace.Errorf(nixspace.KindConflict, "totp_unknown", "there is no new secret to confirm").WithHint("make one first")
	}
	if err := u.useCode(ctx, a, code); err != nil {
		return err
	}
	a.TOTP[0] = totpOn
	return u.store().Accounts().Update(ctx, a)
}

// RemoveTOTP asks for no one-time passwords any more. It takes the password, so that
// a browser left open is not enough.
func (u *UseCases) RemoveTOTP(ctx context.Context, password string) error {
	_, a, err := u.me(ctx)
	if err != nil {
		return err
	}
	if err := u.check(ctx, a, password); err != nil {
		return err
	}
	a.TOTP = nil
	return u.store().Accounts().Update(ctx, a)
}

// useCode takes a one-time password, once.
func (u *UseCases) useCode(ctx context.Context, a *nixspace.Account, code string) error {
	secret, err := u.open(a.TOTP[1:])
	if err != nil {
		return err
	}
	wrong := nixspace.Errorf(nixspace.KindUnauthorized, "code_wrong", "the one-time password is wrong, or was used already").
		WithHint("wait for the next one; are the clocks right?")
	step, ok := totpMatch(secret, code, u.now())
	if !ok {
		return wrong
	}
	fresh, err := u.store().Accounts().UseStep(ctx, a.UserID, step)
	if err == nil && !fresh {
		return wrong
	}
	return err
}

// seal encrypts with the server's key.
func (u *UseCases) seal(plain []byte) ([]byte, error) {
	key, err := u.sealKey()
	if err != nil {
		return nil, err
	}
	var nonce [24]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return secretbox.Seal(nonce[:], plain, &nonce, key), nil
}

func (u *UseCases) open(sealed []byte) ([]byte, error) {
	key, err := u.sealKey()
	if err != nil {
		return nil, err
	}
	if len(sealed) > 24 {
		if plain, ok := secretbox.Open(nil, sealed[24:], (*[24]byte)(sealed), key); ok {
			return plain, nil
		}
	}
	return nil, nixspace.Errorf(nixspace.KindUnavailable, "key_other", "what was encrypted cannot be read: the server's key is another one").
		WithHint("bring back the file secrets.key of the state directory")
}

func (u *UseCases) sealKey() (*[32]byte, error) {
	if len(u.key) != 32 {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "key_missing", "this server has no key to encrypt with")
	}
	return (*[32]byte)(u.key), nil
}
