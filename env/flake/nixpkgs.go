package flake

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// versioned are the families of which nixpkgs has several versions side by side,
// with how it names them: $1 and $2 are the first two numbers of the version.
var versioned = map[string]struct {
	numbers int
	attr    string
}{
	"go":         {2, "go_$1_$2"},
	"jdk":        {1, "jdk$1"},
	"nodejs":     {1, "nodejs_$1"},
	"php":        {2, "php$1$2"},
	"postgresql": {1, "postgresql_$1"},
	"python3":    {2, "python$1$2"},
	"ruby":       {2, "ruby_$1_$2"},
}

var versionNumbers = regexp.MustCompile(`^([0-9]+)(?:\.([0-9]+))?(\.[0-9]+)*$`)

// Nixpkgs returns the flake.nix of a manifest whose source is a commit of
// nixpkgs, by the names that nixpkgs gives to versions: nodejs 22 is nodejs_22.
// Which patch release that is, the commit decides. There is no lock: only Nix can
// write it, once it has fetched the commit. It fails with code version_unknown
// where no name of nixpkgs can say what a constraint does, and with
// source_invalid where the manifest has another source.
func Nixpkgs(name, system string, m *manifest.Manifest) (string, error) {
	rev := m.Source.Rev()
	if rev == "" {
		return "", nixspace.Errorf(nixspace.KindInvalid, "source_invalid", "the source %s is no commit of nixpkgs", m.Source)
	}
	f := file{name: name, system: system, url: "github:NixOS/nixpkgs/" + rev, manifest: m}
	for _, key := range slices.Sorted(maps.Keys(m.Packages)) {
		attr, err := nixpkgsAttr(key, m.Packages[key])
		if err != nil {
			return "", err
		}
		p := packageLine{attr: attr}
		if c := m.Packages[key]; !c.Any() {
			p.note = key + " " + c.String()
		}
		f.packages = append(f.packages, p)
	}
	slices.SortFunc(f.packages, func(a, b packageLine) int { return cmp.Compare(a.attr, b.attr) })
	return f.render(), nil
}

func nixpkgsAttr(key string, c manifest.Constraint) (string, error) {
	if c.Any() {
		return key, nil // nixpkgs names the recommended version of a family as the family
	}
	unknown := func(hint string, args ...any) error {
		return nixspace.Errorf(nixspace.KindInvalid, "version_unknown", "nixpkgs has no name for version %s of %s", c, key).WithHint(hint, args...)
	}
	family, ok := versioned[key]
	if !ok {
		return "", unknown(`write %s = "*": the commit of nixpkgs decides which version it is`, key)
	}
	example := map[int]string{1: "22", 2: "1.27"}[family.numbers]
	m := versionNumbers.FindStringSubmatch(c.String())
	if m == nil || family.numbers == 2 && m[2] == "" {
		return "", unknown("write %d number(s), as in %q, or \"*\"", family.numbers, example)
	}
	return strings.NewReplacer("$1", m[1], "$2", m[2]).Replace(family.attr), nil
}
