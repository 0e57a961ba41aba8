package closure

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Name is the name of a store path, taken apart.
type Name struct {
	Package string // "postgresql"
	Version string // "15.18"; empty where the name has none
	Output  string // "dev", "lib"…; empty for the output "out"
}

// outputs are the names that nixpkgs gives to outputs. They end a store path's
// name. Nix's own diff takes any word there for an output, and so a variant like
// git-2.47-minimal too.
var outputs = []string{"bin", "data", "debug", "dev", "devdoc", "devman", "dist", "doc", "info", "lib", "lib32", "lib64", "man", "out", "static"}

// ParseName takes a store path, or its name, apart as Nix does (DrvName in
// src/libstore/names.cc): the version begins after the first hyphen that no letter
// follows.
func ParseName(path string) Name {
	s := nixspace.StorePathName(path)
	n := Name{Package: s}
	for i := 0; i+1 < len(s); i++ {
		if c := s[i+1] | 0x20; s[i] == '-' && (c < 'a' || c > 'z') {
			n.Package, n.Version = s[:i], s[i+1:]
			break
		}
	}
	rest := &n.Version
	if n.Version == "" {
		rest = &n.Package
	}
	if i := strings.LastIndexByte(*rest, '-'); i > 0 && slices.Contains(outputs, (*rest)[i+1:]) {
		n.Output = (*rest)[i+1:]
		*rest = (*rest)[:i]
	}
	return n
}

// String writes the name without its version: "postgresql", "openssl-dev".
func (n Name) String() string {
	if n.Output != "" {
		return n.Package + "-" + n.Output
	}
	return n.Package
}

// CompareVersions orders versions as Nix does (compareVersions in
// src/libstore/names.cc): by runs of digits and of other characters, where "pre"
// comes before anything and a number after any word.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = component(a)
		y, b = component(b)
		switch {
		case x == y:
		case componentLess(x, y):
			return -1
		case componentLess(y, x):
			return 1
		}
	}
	return 0
}

// component splits the first component off a version.
func component(v string) (first, rest string) {
	v = strings.TrimLeft(v, ".-")
	if v == "" {
		return "", ""
	}
	digits := isDigit(v[0])
	i := 1
	for i < len(v) && isDigit(v[i]) == digits && v[i] != '.' && v[i] != '-' {
		i++
	}
	return v[:i], v[i:]
}

func componentLess(x, y string) bool {
	nx, ny := x != "" && isDigit(x[0]), y != "" && isDigit(y[0])
	switch {
	case nx && ny:
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)) < 0
	case x == "" && ny, x == "pre" && y != "pre":
		return true
	case y == "pre":
		return false
	case ny:
		return true
	case nx:
		return false
	}
	return x < y
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
