package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Lock is catalog.lock.json: the pins. It names packages, versions and hashes,
// and never a host: the machine's own registry clients know where to ask.
type Lock struct {
	Version int               `json:"version"` // of the format: 1
	Seed    Seed              `json:"seed"`
	Sources map[string]Source `json:"sources"`
	Units   map[string]Unit   `json:"units"`
}

// Source kinds.
const (
	SourceDeb = "deb"
	SourceNpm = "npm"
	SourceGo  = "go"
)

// Source is one file to fetch, and the fixed-output store path that it becomes.
type Source struct {
	Kind    string `json:"kind"`
	Suite   string `json:"suite,omitempty"` // of a deb
	Package string `json:"package"`         // deb, npm package or Go module
	Version string `json:"version"`         // as the registry names it
	Arch    string `json:"arch,omitempty"`  // of a deb
	Name    string `json:"name"`            // of the store path
	Algo    string `json:"algo"`            // "sha256" or "sha512"
	Hash    string `json:"hash"`            // of the file, lower-case hex
	Size    int64  `json:"size"`            // bytes
	Sum     string `json:"sum,omitempty"`   // of a Go module, as go.sum has it
}

// Seed is the static busybox that the first builds run with: one program of a
// deb, imported unpacked because nothing can unpack it before.
type Seed struct {
	Source string `json:"source"` // the deb, a key of Sources
	Hash   string `json:"hash"`   // SHA-256 of the NAR of the directory, lower-case hex
}

// Unit is one derivation of the catalog.
type Unit struct {
	Version string   `json:"version"`         // upstream's
	Suite   string   `json:"suite,omitempty"` // whose C library it uses
	Srcs    []string `json:"srcs"`            // keys of Sources
	Libs    []string `json:"libs"`            // keys of Units: all shared libraries that it may load
}

// ParseLock reads a lock, and checks that every reference in it resolves and
// that libraries form no cycle.
func ParseLock(b []byte) (*Lock, error) {
	var l Lock
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("read catalog lock: %w", err)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("read catalog lock: %w", err)
	}
	return &l, nil
}

var (
	storeName = regexp.MustCompile(`^[0-9a-zA-Z+_?=-][0-9a-zA-Z+._?=-]{0,190}$`)
	hexHash   = regexp.MustCompile(`^[0-9a-f]+$`)
	// Arguments of registry clients: none may start with a hyphen.
	argument = regexp.MustCompile(`^[0-9a-zA-Z@][0-9a-zA-Z@/.+~:_-]*$`)
)

func (l *Lock) check() error {
	if l.Version != 1 {
		return fmt.Errorf("format version %d is not known", l.Version)
	}
	for key, s := range l.Sources {
		if err := s.check(); err != nil {
			return fmt.Errorf("source %s: %w", key, err)
		}
	}
	if _, ok := l.Sources[l.Seed.Source]; !ok || len(l.Seed.Hash) != 64 || !hexHash.MatchString(l.Seed.Hash) {
		return fmt.Errorf("the seed is not pinned")
	}
	for name, u := range l.Units {
		for _, s := range u.Srcs {
			if _, ok := l.Sources[s]; !ok {
				return fmt.Errorf("unit %s: no source %s", name, s)
			}
		}
		for _, lib := range u.Libs {
			if _, ok := l.Units[lib]; !ok {
				return fmt.Errorf("unit %s: no unit %s", name, lib)
			}
		}
	}
	return l.checkCycles()
}

func (s Source) check() error {
	digits := map[string]int{"sha256": 64, "sha512": 128}[s.Algo]
	switch {
	case digits == 0:
		return fmt.Errorf("hash algorithm %q is not known", s.Algo)
	case len(s.Hash) != digits || !hexHash.MatchString(s.Hash):
		return fmt.Errorf("hash %q is not a %s", s.Hash, s.Algo)
	case !storeName.MatchString(s.Name):
		return fmt.Errorf("%q is not a store path name", s.Name)
	case !argument.MatchString(s.Package) || !argument.MatchString(s.Version):
		return fmt.Errorf("%q %q is not a package and version", s.Package, s.Version)
	case s.Size <= 0:
		return fmt.Errorf("size %d is not positive", s.Size)
	case s.Kind != SourceDeb && s.Kind != SourceNpm && s.Kind != SourceGo:
		return fmt.Errorf("kind %q is not known", s.Kind)
	case s.Kind == SourceDeb && (!argument.MatchString(s.Suite) || !argument.MatchString(s.Arch)):
		return fmt.Errorf("suite %q and architecture %q are not usable", s.Suite, s.Arch)
	}
	return nil
}

// checkCycles refuses libraries that need each other: Nix could not evaluate them.
func (l *Lock) checkCycles() error {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		switch state[name] {
		case visiting:
			return fmt.Errorf("unit %s needs itself", name)
		case done:
			return nil
		}
		state[name] = visiting
		for _, lib := range l.Units[name].Libs {
			if err := visit(lib); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.Units)) {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// Encode renders the lock: the same bytes for the same pins.
func (l *Lock) Encode() []byte {
	b, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		panic("catalog: marshal a lock: " + err.Error()) // strings and numbers always marshal
	}
	return append(b, '\n')
}

// Digest is the SHA-256 of the encoded lock, in lower-case hex.
func (l *Lock) Digest() string {
	sum := sha256.Sum256(l.Encode())
	return hex.EncodeToString(sum[:])
}
