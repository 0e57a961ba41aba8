package nixspace

// FlakeSource is a flake input that packages come from, with its lock.
type FlakeSource struct {
	URL string // as written in flake.nix
	// Locked is the "locked" attribute set of the lock file's node, Original its
	// "original" one, both as Nix writes them (lock file version 7).
	Locked   map[string]any
	Original map[string]any
	// Digest identifies the source's content on every machine: the SHA-256 of
	// its package lock.
	Digest string
}
