package nixspace

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"
)

// Environment is a named, movable branch in a project.
type Environment struct {
	ID        ID
	ProjectID ID
	Project   string // the project's slug
	Name      string // unique in its project; see [CheckName]
	ParentID  ID     // the environment that it was branched from; empty for a first one
	// Hash is the manifest hash of the head version. It is not unique: a branch
	// without a change has its parent's hash.
	Hash         string
	FlakeContent string     // the flake.nix of the head version
	Head         ID         // the head version
	Protected    bool       // only merges move its head
	Visibility   Visibility // who may see it; team when empty
	CreatedAt    time.Time
	UpdatedAt    time.Time
	CreatedBy    ID
	DeletedAt    time.Time // zero while it is there; a deleted one can be brought back
}

// Ref returns the environment's full name, project/name.
func (e *Environment) Ref() string { return e.Project + "/" + e.Name }

// Protected is the error of a direct change to a protected environment.
func Protected(e *Environment) *Error {
	return Errorf(KindForbidden, "environment_protected", "%s is protected: only merges change it", e.Ref()).
		WithHint("change a branch and merge it: nixspace branch %s NAME, then nixspace merge NAME --into %s", e.Ref(), e.Ref())
}

// Version is one immutable commit of an environment. A branch without a change
// has its parent's head version as its own head, as in git.
type Version struct {
	ID            ID
	EnvironmentID ID // the environment that it was committed to
	// VersionHash identifies the version by all of its content, parents included;
	// see [Version.ComputeHash].
	VersionHash string
	Parents     []string // version hashes; none for a first version, two for a merge
	// ManifestHash is the SHA-256 of Canonical: equal wherever the package lock
	// is equal.
	ManifestHash string
	Manifest     string // nixspace.toml as people wrote it
	Canonical    []byte // canonical JSON with resolved store paths
	FlakeContent string // the flake.nix rendered from the manifest
	FlakeLock    string // its flake.lock
	DrvPath      string // the store derivation of the environment; provenance, not part of the hash
	OutPath      string // where its output is once it is realised
	Message      string
	Changes      []Change // against the first parent
	Author       string
	CreatedBy    ID
	CreatedAt    time.Time
	// Seq is its position in the longest history that leads to it, from 1: one more
	// than the greatest of its parents'.
	Seq int64
}

// ComputeHash returns the version's hash: the SHA-256, in lower-case hex, of the
// compact JSON of its parents, manifest hash, manifest text, flake and lock,
// message, author and time (RFC 3339, UTC, microseconds: what PostgreSQL keeps).
// The environment is not part of it, so a version keeps its hash wherever it is
// moved, as a git commit does.
func (v *Version) ComputeHash() string {
	parents := v.Parents
	if parents == nil {
		parents = []string{}
	}
	b, err := json.Marshal(struct {
		Parents   []string `json:"parents"`
		Manifest  string   `json:"manifest_hash"`
		Text      string   `json:"manifest"`
		Flake     string   `json:"flake"`
		Lock      string   `json:"lock"`
		Message   string   `json:"message"`
		Author    string   `json:"author"`
		CreatedAt string   `json:"created_at"`
	}{
		parents, v.ManifestHash, v.Manifest, v.FlakeContent, v.FlakeLock, v.Message, v.Author,
		v.CreatedAt.UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.000000Z"),
	})
	if err != nil {
		panic("nixspace: marshal a version: " + err.Error()) // strings and times always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Change is one difference between two manifests, by meaning.
type Change struct {
	Op   ChangeOp `json:"op"`
	Path string   `json:"path"`           // the manifest key, for example "packages.postgresql"
	From string   `json:"from,omitempty"` // as people read it; empty when added
	To   string   `json:"to,omitempty"`   // empty when removed
}

// ChangeOp says what a [Change] did.
type ChangeOp string

// The operations of a change.
const (
	ChangeAdd    ChangeOp = "add"
	ChangeRemove ChangeOp = "remove"
	ChangeSet    ChangeOp = "set"
)

// SortChanges orders changes by path, in place.
func SortChanges(cs []Change) {
	slices.SortFunc(cs, func(a, b Change) int {
		switch {
		case a.Path < b.Path:
			return -1
		case a.Path > b.Path:
			return 1
		}
		return 0
	})
}
