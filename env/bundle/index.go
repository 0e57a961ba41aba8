// Package bundle is the file that an environment travels in: its versions with all
// of their history, the project's code, and where wanted the store paths that it
// needs to run. docs/export.md describes the format.
//
// The package trusts nothing that it reads: every hash is computed again, and
// whatever is not exactly as the format says is an error. It keeps no more than the
// index and one version in memory.
package bundle

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// The format and its only version so far.
const (
	Format  = "nixspace-export"
	Version = 1
)

// indexName is the first member's name.
const indexName = "index.json"

// Limits bound what a file may hold; zero fields mean their defaults.
type Limits struct {
	Unpacked int64 // bytes of all members together; 64 GiB
	Versions int   // 100,000
	Paths    int   // 100,000
}

func (l Limits) orDefault() Limits {
	if l.Unpacked == 0 {
		l.Unpacked = 64 << 30
	}
	if l.Versions == 0 {
		l.Versions = 100_000
	}
	if l.Paths == 0 {
		l.Paths = 100_000
	}
	return l
}

// The bounds on single members, in bytes.
const (
	maxIndex   = 128 << 20
	maxVersion = 4 << 20
)

// Index is the first member: what the file is, and all that follows with its hash.
type Index struct {
	Format      string `json:"format"`
	Version     int    `json:"version"`
	Project     string `json:"project"`
	Source      string `json:"source"` // where the project's code came from, in words
	Environment string `json:"environment"`
	Head        string `json:"head"` // the environment's newest version, by its hash
	// Versions are the hashes of all versions in the file, parents before children;
	// the head is the last.
	Versions []string `json:"versions"`
	// Prerequisites are parents that are not in the file: whoever imports it must
	// have them.
	Prerequisites []string `json:"prerequisites"`
	// Workspace is the digest of the project's code; empty when it is not there.
	Workspace string `json:"workspace"`
	// Roots are what the closure is the closure of; none without store paths.
	Roots []Root `json:"roots"`
	// Paths are the store paths of the closure, references before what refers.
	Paths []Path `json:"paths"`
	// Members are all members that follow, in order.
	Members []Member `json:"members"`
}

// Root is a store path that is wanted for itself.
type Root struct {
	Name string `json:"name"` // "environment", "base" or "source"
	Path string `json:"path"`
}

// Names of roots.
const (
	RootEnvironment = "environment" // the environment of the head
	RootBase        = "base"        // the base system of its sessions
	RootSource      = "source"      // the package source that its flake names
)

// Path is what the store knows about a path.
type Path struct {
	Path       string   `json:"path"`
	Deriver    string   `json:"deriver"`
	NarHash    string   `json:"narHash"` // "sha256:" and hex
	NarSize    int64    `json:"narSize"`
	References []string `json:"references"`
	CA         string   `json:"ca"` // how the path follows from its content; empty where it does not
}

// Member is one member of the archive.
type Member struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hex
}

// Info returns the path as the store's own record.
func (p Path) Info() nixspace.PathInfo {
	return nixspace.PathInfo{Path: p.Path, Deriver: p.Deriver, NarHash: p.NarHash, NarSize: p.NarSize, References: p.References, CA: p.CA}
}

// PathOf returns the record of a store path as the index has it.
func PathOf(i nixspace.PathInfo) Path {
	refs := i.References
	if refs == nil {
		refs = []string{}
	}
	return Path{Path: i.Path, Deriver: i.Deriver, NarHash: i.NarHash, NarSize: i.NarSize, References: refs, CA: i.CA}
}

func versionName(hash string) string { return "versions/" + hash + ".json" }

func workspaceName(digest string) string { return "workspace/" + digest + ".tar" }

func narName(path string) string {
	return "nar/" + strings.TrimPrefix(path, nixspace.StoreDir+"/")[:32] + ".nar"
}

// The codes of errors.
const (
	CodeFormat    = "import_format"    // it is no export
	CodeVersion   = "import_version"   // an export of a newer NixSpace
	CodeTruncated = "import_truncated" // it ends too early
	CodeInvalid   = "import_invalid"   // it contradicts itself or the format
	CodeHash      = "import_hash"      // something is not what its hash says
	CodeTooLarge  = "import_too_large"
)

func invalid(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindInvalid, CodeInvalid, "the file is damaged or forged: "+format, args...).
		WithHint("export it again, and compare the copies")
}

func tooLarge(format string, args ...any) error {
	return nixspace.Errorf(nixspace.KindLimit, CodeTooLarge, "the file is too large: "+format, args...).
		WithHint("the server's limits can be raised where it is started")
}

// readIndex reads and checks an index.
func readIndex(data []byte, lim Limits) (*Index, error) {
	var idx Index
	if err := json.Unmarshal(data, &idx); err != nil {
		return nil, invalid("its index is no JSON of the right form")
	}
	switch {
	case idx.Format != Format:
		return nil, notAnExport()
	case idx.Version != Version:
		return nil, nixspace.Errorf(nixspace.KindInvalid, CodeVersion, "the file has version %d of the format; this NixSpace reads version %d", idx.Version, Version).
			WithHint("a newer NixSpace may read it")
	case len(idx.Versions) > lim.Versions:
		return nil, tooLarge("it holds %d versions, of %d allowed", len(idx.Versions), lim.Versions)
	case len(idx.Paths) > lim.Paths:
		return nil, tooLarge("it holds %d store paths, of %d allowed", len(idx.Paths), lim.Paths)
	}
	return &idx, idx.check(lim)
}

func notAnExport() error {
	return nixspace.Errorf(nixspace.KindInvalid, CodeFormat, "this is no file that `nixspace export` wrote")
}

func (x *Index) check(lim Limits) error {
	for what, name := range map[string]string{"a project": x.Project, "an environment": x.Environment} {
		if err := nixspace.CheckName(what, name); err != nil {
			return invalid("%q cannot be the name of %s", name, what)
		}
	}
	if len(x.Source) > 1<<10 || !isText(x.Source) {
		return invalid("the project's source is no text")
	}
	if len(x.Versions) == 0 || x.Versions[len(x.Versions)-1] != x.Head {
		return invalid("its head is not its last version")
	}
	if err := distinctHashes("version", slices.Concat(x.Versions, x.Prerequisites)); err != nil {
		return err
	}
	if x.Workspace != "" && !isHash(x.Workspace) {
		return invalid("%.80q is no digest", x.Workspace)
	}
	if err := x.checkPaths(); err != nil {
		return err
	}
	return x.checkMembers(lim)
}

func distinctHashes(what string, hashes []string) error {
	seen := make(map[string]bool, len(hashes))
	for _, h := range hashes {
		if !isHash(h) {
			return invalid("%.80q is no %s hash", h, what)
		}
		if seen[h] {
			return invalid("%s %s is named twice", what, h)
		}
		seen[h] = true
	}
	return nil
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && strings.ToLower(s) == s
}

func (x *Index) checkPaths() error {
	known := make(map[string]bool, len(x.Paths))
	parts := make(map[string]bool, len(x.Paths)) // the hash parts, by which members are named
	for _, p := range x.Paths {
		if err := checkPath(p); err != nil {
			return err
		}
		part := narName(p.Path)
		if parts[part] {
			return invalid("%s is named twice", p.Path)
		}
		known[p.Path], parts[part] = true, true
		for _, r := range p.References {
			if !known[r] {
				return invalid("%s refers to %.300q, which does not come before it", p.Path, r)
			}
		}
	}
	roots := map[string]bool{}
	for _, r := range x.Roots {
		if roots[r.Name] || !slices.Contains([]string{RootEnvironment, RootBase, RootSource}, r.Name) {
			return invalid("%.80q is no root, or is named twice", r.Name)
		}
		roots[r.Name] = true
		if !known[r.Path] {
			return invalid("the root %s is not among its store paths", r.Name)
		}
	}
	if (len(x.Roots) > 0) != (len(x.Paths) > 0) || len(x.Roots) > 0 && !roots[RootEnvironment] {
		return invalid("its store paths have no environment as their root")
	}
	return nil
}

func checkPath(p Path) error {
	if !isStorePath(p.Path) {
		return invalid("%.300q is no store path", p.Path)
	}
	if p.Deriver != "" && (!isStorePath(p.Deriver) || !strings.HasSuffix(p.Deriver, ".drv")) {
		return invalid("%.300q is no derivation", p.Deriver)
	}
	if h, ok := strings.CutPrefix(p.NarHash, "sha256:"); !ok || !isHash(h) {
		return invalid("%.100q is no hash of a store path", p.NarHash)
	}
	if p.NarSize <= 0 {
		return invalid("%s has a size of %d", p.Path, p.NarSize)
	}
	if len(p.CA) > 300 || !isText(p.CA) || strings.ContainsAny(p.CA, "\n\r") {
		return invalid("%s has no valid content address", p.Path)
	}
	if !slices.IsSorted(p.References) || len(slices.Compact(slices.Clone(p.References))) != len(p.References) {
		return invalid("the references of %s are not sorted", p.Path)
	}
	return nil
}

// isStorePath reports whether p has the form of a store path.
func isStorePath(p string) bool {
	base, ok := strings.CutPrefix(p, nixspace.StoreDir+"/")
	if !ok || len(base) < 34 || len(base) > 33+211 || base[32] != '-' || base[33] == '.' {
		return false
	}
	for i, c := range []byte(base) {
		switch {
		case i < 32 && !strings.ContainsRune("0123456789abcdfghijklmnpqrsvwxyz", rune(c)):
			return false
		case i > 32 && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("+-._?=", rune(c)):
			return false
		}
	}
	return true
}

// expected returns the names of the members, without sizes and hashes, and those
// of which the index says more.
func (x *Index) expected() []Member {
	var out []Member
	for _, h := range x.Versions {
		out = append(out, Member{Name: versionName(h)})
	}
	if x.Workspace != "" {
		out = append(out, Member{Name: workspaceName(x.Workspace), SHA256: x.Workspace})
	}
	for _, p := range x.Paths {
		out = append(out, Member{Name: narName(p.Path), Size: p.NarSize, SHA256: strings.TrimPrefix(p.NarHash, "sha256:")})
	}
	return out
}

func (x *Index) checkMembers(lim Limits) error {
	want := x.expected()
	if len(want) != len(x.Members) {
		return invalid("its index lists %d members, where %d are needed", len(x.Members), len(want))
	}
	left := lim.Unpacked
	for i, m := range x.Members {
		w := want[i]
		if m.Name != w.Name || w.SHA256 != "" && m.SHA256 != w.SHA256 || w.Size != 0 && m.Size != w.Size {
			return invalid("member %d is %.100q, where %q belongs", i, m.Name, w.Name)
		}
		if !isHash(m.SHA256) || m.Size < 0 {
			return invalid("%s has no size or hash", m.Name)
		}
		if i < len(x.Versions) && m.Size > maxVersion {
			return tooLarge("%s has %d bytes, of %d allowed", m.Name, m.Size, maxVersion)
		}
		if left -= m.Size; left < 0 {
			return tooLarge("its members have more than %d bytes", lim.Unpacked)
		}
	}
	return nil
}

// String names the environment.
func (x *Index) String() string { return fmt.Sprintf("%s/%s %.8s", x.Project, x.Environment, x.Head) }
