package daemon

import (
	"crypto/sha256"

	"github.com/nix-community/go-nix/pkg/nixbase32"

	"github.com/nixspace/nixspace"
)

// SourcePath is the store path of a file tree with this NAR hash (SHA-256, lower-case
// hex), as Nix gives it to the source of a flake (Nix manual, "Store path
// specification": a fixed output, hashed as a NAR).
func SourcePath(narSHA256 string) string { return FixedPath("source", "source", narSHA256) }

// FixedPath is the store path that a kind of content has by its hash: "source" with
// the hash of a NAR, "text" with that of a file (and ":" and its references before it,
// as in "text:/nix/store/…").
func FixedPath(kind, name, sha256Hex string) string {
	sum := sha256.Sum256([]byte(kind + ":sha256:" + sha256Hex + ":" + nixspace.StoreDir + ":" + name))
	var short [20]byte
	for i, b := range sum {
		short[i%20] ^= b
	}
	return nixspace.StoreDir + "/" + nixbase32.EncodeToString(short[:]) + "-" + name
}
