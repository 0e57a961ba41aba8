package preview

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	ticketLife = time.Minute    // from the platform to the preview's own host
	passLife   = 12 * time.Hour // of the cookie there
	ticketsMax = 10_000         // that are remembered as used
)

// claim is who may see what, until when. It is signed, and so needs no store.
type claim struct {
	Label   string      `json:"l"` // of the host, where alone it is good
	Session nixspace.ID `json:"s"`
	Actor   nixspace.ID `json:"a"`
	Name    string      `json:"n,omitempty"`
	// Credential is what they came to the platform by.
	Credential nixspace.ID `json:"c,omitempty"`
	Expires    int64       `json:"e"` // Unix time, milliseconds
	Nonce      string      `json:"r,omitempty"`
}

// signer signs claims with one key for one use.
type signer struct {
	key []byte
	use string
}

func (s signer) sum(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	_, _ = h.Write([]byte(s.use + "\x00")) // never fails
	_, _ = h.Write(b)
	return h.Sum(nil)
}

func (s signer) sign(c claim) string {
	b, _ := json.Marshal(c) // strings and a number
	enc := base64.RawURLEncoding
	return enc.EncodeToString(b) + "." + enc.EncodeToString(s.sum(b))
}

// open returns the claim of a value, if it was signed here, for this host, and is
// still good.
func (s signer) open(value, label string, now time.Time) (claim, bool) {
	var c claim
	text, mac, ok := strings.Cut(value, ".")
	enc := base64.RawURLEncoding.Strict()
	b, err := enc.DecodeString(text)
	sum, macErr := enc.DecodeString(mac)
	if !ok || err != nil || macErr != nil || !hmac.Equal(sum, s.sum(b)) || json.Unmarshal(b, &c) != nil {
		return claim{}, false
	}
	return c, c.Label == label && now.UnixMilli() < c.Expires
}

// tickets are claims that are good once.
type tickets struct {
	signer
	mu   sync.Mutex
	used map[string]int64 // nonces, with when they end
}

// newTickets returns tickets of a key of their own: none is good after a restart,
// since nobody remembers then which were used.
func newTickets() *tickets {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return &tickets{signer: signer{key, "ticket"}, used: map[string]int64{}}
}

func (t *tickets) issue(c claim, now time.Time) string {
	c.Nonce, c.Expires = rand.Text(), now.Add(ticketLife).UnixMilli()
	return t.sign(c)
}

// redeem takes a ticket. It fails for one that was taken already.
func (t *tickets) redeem(value, label string, now time.Time) (claim, bool) {
	c, ok := t.open(value, label, now)
	if !ok || c.Nonce == "" {
		return claim{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for nonce, end := range t.used {
		if end < now.UnixMilli() {
			delete(t.used, nonce)
		}
	}
	if _, again := t.used[c.Nonce]; again || len(t.used) >= ticketsMax {
		return claim{}, false
	}
	t.used[c.Nonce] = c.Expires
	c.Nonce = ""
	return c, true
}
