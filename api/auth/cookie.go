package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/nixspace/nixspace"
)

// cookieLife is how long a browser stays signed in.
const cookieLife = 30 * 24 * time.Hour

// SignInCode returns the code with which a browser signs in to the server that
// has the token. It is good for that alone, and as long as the token is.
func SignInCode(token string) string {
	return base64.RawURLEncoding.EncodeToString(mac([]byte(token), []byte("nixspace sign-in")))
}

// Browser authenticates, besides what another authenticator lets in, browsers
// that have signed in: by a cookie that the server signed. Nothing about them is
// stored, so the cookies are good for as long as the key is, restarts included.
type Browser struct {
	next  Authenticator
	key   []byte
	code  [sha256.Size]byte
	actor nixspace.Actor
	now   func() time.Time
}

// NewBrowser returns an authenticator that takes browsers that signed in with
// the code for actor, and leaves requests with an Authorization header, and
// those without a cookie, to next. The key, at least 32 secret bytes, signs the
// cookies.
func NewBrowser(next Authenticator, key []byte, code string, actor nixspace.Actor) (*Browser, error) {
	if len(key) < 32 || code == "" {
		return nil, nixspace.Errorf(nixspace.KindInternal, "key_short", "the key for cookies or the code to sign in is too short")
	}
	return &Browser{next: next, key: key, code: sha256.Sum256([]byte(code)), actor: actor, now: time.Now}, nil
}

// Authenticate finds out who asks.
func (b *Browser) Authenticate(r *http.Request) (nixspace.Actor, error) {
	if r.Header.Get("Authorization") == "" {
		// There may be several of one name: other servers of this host set theirs
		// for all ports.
		for _, c := range r.CookiesNamed(cookieName(r)) {
			if b.valid(c.Value) {
				return b.actor, nil
			}
		}
	}
	return b.next.Authenticate(r)
}

// SignIn gives the browser that sent r a cookie, if the code is right.
func (b *Browser) SignIn(w http.ResponseWriter, r *http.Request, code string) error {
	sum := sha256.Sum256([]byte(code))
	if subtle.ConstantTimeCompare(sum[:], b.code[:]) != 1 {
		return nixspace.Errorf(nixspace.KindUnauthorized, "code_wrong", "this link does not sign in here").
			WithHint("the server makes a new link at each start; print it with: nixspace web")
	}
	expires := b.now().Add(cookieLife)
	http.SetCookie(w, b.cookie(r, b.sign(expires), int(cookieLife/time.Second)))
	return nil
}

// SignOut takes the cookie from the browser that sent r.
func (b *Browser) SignOut(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, b.cookie(r, "", -1))
}

// cookie is one that pages of others cannot send, and scripts cannot read.
func (b *Browser) cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
}

// cookieName keeps apart the servers of one host: cookies know no ports.
func cookieName(r *http.Request) string {
	sum := sha256.Sum256([]byte(r.Host))
	name := "nixspace-" + base64.RawURLEncoding.EncodeToString(sum[:6])
	if r.TLS != nil {
		return "__Host-" + name
	}
	return name
}

// sign returns a value that says, and proves, until when it is good.
func (b *Browser) sign(expires time.Time) string {
	v := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(append(v, mac(b.key, v)...))
}

func (b *Browser) valid(value string) bool {
	v, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(v) != 8+sha256.Size || !hmac.Equal(v[8:], mac(b.key, v[:8])) {
		return false
	}
	return b.now().Unix() < int64(binary.BigEndian.Uint64(v))
}

func mac(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(message) // never fails
	return h.Sum(nil)
}
