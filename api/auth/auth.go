// Package auth decides who gets in: it finds out who asks and puts that into the
// request's context, and it keeps out requests that a web page of somebody
// else's made.
//
// A local server knows one user, by one token that the server wrote where only
// that user can read it. Accounts come on top of [Authenticator].
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/nixspace/nixspace"
)

// Authenticator says on whose behalf a request acts. It fails with kind
// unauthorized when the request does not show it.
type Authenticator interface {
	Authenticate(r *http.Request) (nixspace.Actor, error)
}

// Token authenticates requests that bear one token.
type Token struct {
	sum   [sha256.Size]byte
	actor nixspace.Actor
}

// NewToken returns an authenticator that takes whoever bears token for actor.
// The token must not be empty.
func NewToken(token string, actor nixspace.Actor) (*Token, error) {
	if token == "" {
		return nil, nixspace.Errorf(nixspace.KindInternal, "token_empty", "the server has no token")
	}
	return &Token{sum: sha256.Sum256([]byte(token)), actor: actor}, nil
}

// RandomToken returns a new token: 256 random bits as 43 characters that need
// no quoting anywhere.
func RandomToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Authenticate takes the token from the Authorization header. It compares
// digests in constant time, so that time tells nothing of the token or its
// length.
func (t *Token) Authenticate(r *http.Request) (nixspace.Actor, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nixspace.Actor{}, nixspace.Errorf(nixspace.KindUnauthorized, "token_missing", "the request bears no token").
			WithHint("send the token of the server as \"Authorization: Bearer …\"; nixspace finds it in the state directory or in NIXSPACE_TOKEN")
	}
	scheme, token, _ := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(sum[:], t.sum[:]) != 1 {
		return nixspace.Actor{}, nixspace.Errorf(nixspace.KindUnauthorized, "token_wrong", "the token is not the one of this server").
			WithHint("the server makes a new token at each start; remove NIXSPACE_TOKEN and --token to use the one in the state directory")
	}
	return t.actor, nil
}
