package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// record is a version as a member holds it.
type record struct {
	Hash         string            `json:"hash"`
	Parents      []string          `json:"parents"`
	ManifestHash string            `json:"manifestHash"`
	Manifest     string            `json:"manifest"`
	Canonical    string            `json:"canonical"`
	Flake        string            `json:"flake"`
	FlakeLock    string            `json:"flakeLock"`
	DrvPath      string            `json:"drvPath"`
	OutPath      string            `json:"outPath"`
	Message      string            `json:"message"`
	Changes      []nixspace.Change `json:"changes"`
	Author       string            `json:"author"`
	CreatedAt    time.Time         `json:"createdAt"`
}

// encodeVersion writes a version in the one form that it has in a file.
func encodeVersion(v *nixspace.Version) ([]byte, error) {
	r := record{
		Hash: v.VersionHash, Parents: v.Parents, ManifestHash: v.ManifestHash, Manifest: v.Manifest, Canonical: string(v.Canonical),
		Flake: v.FlakeContent, FlakeLock: v.FlakeLock, DrvPath: v.DrvPath, OutPath: v.OutPath,
		Message: v.Message, Changes: v.Changes, Author: v.Author, CreatedAt: v.CreatedAt.UTC(),
	}
	if r.Parents == nil {
		r.Parents = []string{}
	}
	if r.Changes == nil {
		r.Changes = []nixspace.Change{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encode version %s: %w", v.VersionHash, err)
	}
	if b.Len() > maxVersion {
		return nil, fmt.Errorf("encode version %s: it has %d bytes", v.VersionHash, b.Len())
	}
	return b.Bytes(), nil
}

// decodeVersion reads a version and proves that it is the one of that hash. What
// the hash does not cover is checked as far as it can be: the canonical form by its
// own hash and against the manifest, the changes by their form.
func decodeVersion(data []byte, hash string) (*nixspace.Version, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var r record
	if err := d.Decode(&r); err != nil {
		return nil, invalid("version %s is no JSON of the right form", hash)
	}
	if _, err := d.Token(); err != io.EOF { //nolint:errorlint // a decoder's end is bare
		return nil, invalid("more follows after version %s", hash)
	}
	v := &nixspace.Version{
		VersionHash: r.Hash, Parents: r.Parents, ManifestHash: r.ManifestHash, Manifest: r.Manifest, Canonical: []byte(r.Canonical),
		FlakeContent: r.Flake, FlakeLock: r.FlakeLock, DrvPath: r.DrvPath, OutPath: r.OutPath,
		Message: r.Message, Changes: r.Changes, Author: r.Author, CreatedAt: r.CreatedAt.UTC(),
	}
	if r.Hash != hash || v.ComputeHash() != hash {
		return nil, mismatch("version " + hash)
	}
	sum := sha256.Sum256(v.Canonical)
	if hex.EncodeToString(sum[:]) != v.ManifestHash {
		return nil, mismatch("the manifest of version " + hash)
	}
	if !v.CreatedAt.Equal(v.CreatedAt.Truncate(time.Microsecond)) || v.CreatedAt.Year() < 1970 || v.CreatedAt.Year() > 9999 {
		return nil, invalid("version %s was made at %v", hash, v.CreatedAt)
	}
	if len(v.Parents) > 2 {
		return nil, invalid("version %s has %d parents", hash, len(v.Parents))
	}
	if err := distinctHashes("version", v.Parents); err != nil {
		return nil, err
	}
	for what, s := range map[string]string{
		"message": v.Message, "author": v.Author, "manifest": v.Manifest, "flake": v.FlakeContent, "lock": v.FlakeLock, "canonical form": string(v.Canonical),
	} {
		if !isText(s) {
			return nil, invalid("the %s of version %s is no text", what, hash)
		}
	}
	if v.Author == "" || len(v.Author) > 255 {
		return nil, invalid("version %s has no author", hash)
	}
	if !isStorePath(v.OutPath) || !isStorePath(v.DrvPath) || !strings.HasSuffix(v.DrvPath, ".drv") {
		return nil, invalid("version %s names no store paths", hash)
	}
	for _, c := range v.Changes {
		if c.Op != nixspace.ChangeAdd && c.Op != nixspace.ChangeRemove && c.Op != nixspace.ChangeSet || !isText(c.Path+c.From+c.To) {
			return nil, invalid("version %s has a change of no known kind", hash)
		}
	}
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return nil, invalid("the manifest of version %s: %w", hash, err)
	}
	resolved, err := manifest.Restore(m, v.Canonical)
	if err != nil {
		return nil, invalid("version %s: %w", hash, err)
	}
	// The canonical form says what the manifest says, and nothing besides.
	if resolved.Hash() != v.ManifestHash {
		return nil, invalid("the canonical form of version %s is not its manifest's", hash)
	}
	return v, nil
}

func mismatch(what string) error {
	return nixspace.Errorf(nixspace.KindInvalid, CodeHash, "%s is not what its hash says: the file is damaged or forged", what).
		WithHint("export it again, and compare the copies")
}

// isText reports whether PostgreSQL can keep s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
