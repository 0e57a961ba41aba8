// Package debian reads what the catalog needs of Debian's formats: package
// indexes (deb822), version order, dependencies, and the data of a .deb file.
// It does no I/O of its own.
package debian

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Package is one stanza of a package index.
type Package struct {
	Name         string
	Version      string
	Architecture string // "amd64" or "all"
	Section      string
	SHA256       string // of the .deb, lower-case hex
	Size         int64  // of the .deb, bytes
	Depends      []string
	Provides     []string
}

// Limits of what [ReadIndex] accepts: far above what Debian publishes.
const (
	maxLine     = 1 << 20
	maxPackages = 1 << 20
)

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`)
	versionPattern = regexp.MustCompile(`^[A-Za-z0-9.+~:-]+$`)
	sha256Pattern  = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Index is a set of packages of one suite.
type Index struct {
	packages  map[string]*Package
	providers map[string][]string // virtual name → names, in the order of the index
}

// ReadIndex reads stanzas in the format of deb-control(5), as `apt-cache
// dumpavail` prints them. Of two versions of a package the newer counts.
// Stanzas for other architectures, and those without a usable name, version,
// size or SHA-256, are left out: nothing can be pinned to them.
func ReadIndex(r io.Reader) (*Index, error) {
	x := &Index{packages: map[string]*Package{}, providers: map[string][]string{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	cur := &Package{}
	var preDepends, depends string
	flush := func() error {
		if cur.usable() {
			cur.Depends = append(alternatives(preDepends), alternatives(depends)...)
			if old := x.packages[cur.Name]; old == nil || CompareVersions(cur.Version, old.Version) > 0 {
				x.packages[cur.Name] = cur
			}
			if len(x.packages) > maxPackages {
				return fmt.Errorf("read package index: more than %d packages", maxPackages)
			}
		}
		cur, preDepends, depends = &Package{}, "", ""
		return nil
	}
	for sc.Scan() {
		line := sc.Text()
		if line == "" {
			if err := flush(); err != nil {
				return nil, err
			}
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue // a continuation line: none of our fields has one
		}
		value = strings.TrimSpace(value)
		switch key {
		case "Package":
			cur.Name = value
		case "Version":
			cur.Version = value
		case "Architecture":
			cur.Architecture = value
		case "Section":
			cur.Section = value
		case "SHA256":
			cur.SHA256 = value
		case "Size":
			cur.Size, _ = strconv.ParseInt(value, 10, 64)
		case "Pre-Depends":
			preDepends = value
		case "Depends":
			depends = value
		case "Provides":
			cur.Provides = alternatives(value)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("read package index: %w", err)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	for name, p := range x.packages {
		for _, virtual := range p.Provides {
			x.providers[virtual] = append(x.providers[virtual], name)
		}
	}
	return x, nil
}

func (p *Package) usable() bool {
	return namePattern.MatchString(p.Name) && versionPattern.MatchString(p.Version) && sha256Pattern.MatchString(p.SHA256) &&
		p.Size > 0 && (p.Architecture == "amd64" || p.Architecture == "all")
}

// alternatives returns the first alternative of each member of a relation field,
// without version and architecture restrictions.
func alternatives(field string) []string {
	var names []string
	for member := range strings.SplitSeq(field, ",") {
		first, _, _ := strings.Cut(member, "|")
		first = strings.TrimSpace(first)
		if i := strings.IndexAny(first, " ([:<"); i >= 0 {
			first = first[:i]
		}
		if namePattern.MatchString(first) {
			names = append(names, first)
		}
	}
	return names
}

// Len returns how many packages the index holds.
func (x *Index) Len() int { return len(x.packages) }

// Get returns the package called name, or nil.
func (x *Index) Get(name string) *Package { return x.packages[name] }

// find returns the package called name or the least of those that provide it,
// so that the answer does not depend on the order of the index.
func (x *Index) find(name string) *Package {
	if p := x.packages[name]; p != nil {
		return p
	}
	var best string
	for _, n := range x.providers[name] {
		if best == "" || n < best {
			best = n
		}
	}
	return x.packages[best]
}

// Libraries returns the names of the shared libraries that the named packages
// need, directly or through others, in breadth-first order and without the
// named packages themselves. Left out are the C library and its locales, which
// every unit has, and packages that hold no library.
func (x *Index) Libraries(roots ...string) []string {
	seen := map[string]bool{}
	for _, r := range roots {
		seen[r] = true
	}
	var libs []string
	queue := append([]string(nil), roots...)
	for len(queue) > 0 {
		p := x.find(queue[0])
		queue = queue[1:]
		if p == nil {
			continue
		}
		for _, dep := range p.Depends {
			d := x.find(dep)
			if d == nil || seen[d.Name] || !d.isLibrary() {
				continue
			}
			seen[d.Name] = true
			libs = append(libs, d.Name)
			queue = append(queue, d.Name)
		}
	}
	return libs
}

func (p *Package) isLibrary() bool {
	switch p.Name {
	case "libc6", "libc-bin", "libc-l10n", "libc-dev-bin", "libcap2-bin", "libpam-modules-bin", "libpam-runtime":
		return false
	}
	if strings.HasSuffix(p.Name, "-base") || strings.HasSuffix(p.Name, "-common") || strings.HasSuffix(p.Name, "-data") ||
		strings.HasSuffix(p.Name, "-perl") || strings.HasSuffix(p.Name, "-dev") {
		return false
	}
	return p.Section == "libs" || strings.HasPrefix(p.Name, "lib") || p.Name == "zlib1g"
}
