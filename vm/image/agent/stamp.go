package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
)

// Stamp returns what tells one agent that [Binary] may return from another,
// without the work of unpacking it; empty where that cannot be told.
func Stamp() string {
	if path := os.Getenv("NIXSPACE_AGENT"); path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
	}
	b, err := embedded.ReadFile(embeddedName)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
