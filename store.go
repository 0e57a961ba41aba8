package nixspace

import (
	"strings"
	"time"
)

// StoreDir is where Nix keeps its store. A different one would change every
// hash, so it is not a setting.
const StoreDir = "/nix/store"

// PathInfo is what the Nix store knows about one valid store path.
type PathInfo struct {
	Path       string   // absolute
	Deriver    string   // the .drv that made it; empty where unknown
	NarHash    string   // "sha256:" and 64 lower-case hex digits
	NarSize    int64    // bytes of the NAR
	References []string // absolute and sorted; may include Path itself
	CA         string   // how the path follows from its content, as Nix writes it; empty where it does not
}

// StorePathName returns the name part of a store path: "bash-5.2" for
// /nix/store/<32 characters>-bash-5.2. It returns the input where that is no
// store path.
func StorePathName(path string) string {
	base := strings.TrimPrefix(path, StoreDir+"/")
	if len(base) > 33 && base[32] == '-' {
		return base[33:]
	}
	return path
}

// Package is one package that a package source offers.
type Package struct {
	Attr        string // nixpkgs' attribute name, "postgresql_15"
	Family      string // what constraints select from, "postgresql"
	Version     string // "15.18"
	Description string
	DrvPath     string
	OutPath     string
	Default     bool // the newest or recommended of its family: what "*" means
	// Download is how many bytes must be fetched before it can be used on this
	// machine, as far as known; 0 when it is present.
	Download int64
	Present  bool // its output is valid in the store
}

// Realisation is the proof that a manifest was built: what the store holds for it.
type Realisation struct {
	ManifestHash string
	DrvPath      string // provenance
	OutPath      string // the environment: bin, lib, share… of all packages
	// ClosureDigest is the SHA-256 over the sorted (path, NAR hash) pairs of the
	// closure: the proof of content.
	ClosureDigest string
	ClosureSize   int64 // bytes of all NARs
	Paths         int
	RealisedAt    time.Time
}

// StoreLayer is a set of store paths that a session mounts as one read-only
// image. Equal sets give equal images, so layers are shared between machines.
type StoreLayer struct {
	Name  string   // for people: "base", "postgresql_15"
	Paths []string // absolute store paths, sorted
}
