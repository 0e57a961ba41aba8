package gitaccess

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/nixspace/nixspace"
)

// sealer keeps tokens unreadable, each for one user and one host.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) *sealer {
	if len(key) != 32 {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil
	}
	return &sealer{aead}
}

func about(user nixspace.ID, host string) []byte {
	return []byte("git\x00" + string(user) + "\x00" + host)
}

func (s *sealer) seal(user nixspace.ID, host, token string) []byte {
	return s.aead.Seal(nil, nil, []byte(token), about(user, host))
}

// open returns the token, unless what is sealed is another's, or of another key.
func (s *sealer) open(user nixspace.ID, host string, sealed []byte) (string, bool) {
	b, err := s.aead.Open(nil, nil, sealed, about(user, host))
	return string(b), err == nil
}
