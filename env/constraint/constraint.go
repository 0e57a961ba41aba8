// Package constraint reads what other tools say about versions, each in its own
// notation, and answers for all of them alike: which versions do they allow, and
// do two of them agree?
//
// Libraries exist for single notations, but none tells whether an npm range and
// a PEP 440 specifier have a version in common. So every notation is read into
// the same thing, a set of versions; the libraries are what the tests compare with.
//
// A version is its first three numbers. What follows them (a pre-release, a build)
// is not looked at: package sources offer releases only.
//
// The package is pure, its values never change, and all of it may be used by many
// goroutines at once. Texts longer than [MaxLength] are refused.
package constraint

import (
	"cmp"
	"fmt"
	"strings"
)

// MaxLength bounds the text of a constraint, in bytes.
const MaxLength = 256

// Dialect is a notation.
type Dialect string

// The notations.
const (
	Pin      Dialect = "pin"      // one version or its beginning, as version managers have it: 20, v20.11.1, 3.12
	Minimum  Dialect = "minimum"  // the oldest version that will do: go.mod, Cargo's rust-version
	NPM      Dialect = "npm"      // npm, yarn, pnpm, Cargo requirements: ^18 || >=20.1 <23, 18.x, 1 - 2
	PEP440   Dialect = "pep440"   // Python: >=3.9,<4, ~=3.9, ==3.*
	Poetry   Dialect = "poetry"   // Poetry: that of Python, and ^3.9, ~3.9, ||
	Ruby     Dialect = "ruby"     // RubyGems and Elixir: ~> 3.2, >= 2.7, "and", "or"
	Composer Dialect = "composer" // PHP: ^8.1, ~8.1, 8.1.*, 7.4 | 8.0
	Maven    Dialect = "maven"    // Maven and Gradle: [17,18), (,17], 17, 17+
)

// Constraint is a set of versions, with the text that says so. The zero value
// allows every version.
type Constraint struct {
	dialect Dialect
	text    string
	set     set
	some    bool // set counts; otherwise every version will do
	parts   int  // numbers of a single version: 1 for 20, 3 for 20.11.1; 0 for a range
}

// Parse reads a constraint. Empty text, "*", "latest" and their like allow every
// version. It fails where the text is too long or is none in the dialect.
func Parse(d Dialect, text string) (Constraint, error) {
	text = strings.TrimSpace(text)
	if len(text) > MaxLength {
		return Constraint{}, fmt.Errorf("a version of %d bytes, of %d allowed", len(text), MaxLength)
	}
	c := Constraint{dialect: d, text: text}
	switch strings.ToLower(text) {
	case "", "*", "x", "latest", "any", "stable", "node", "current", "system", "default":
		return c, nil
	}
	var err error
	switch d {
	case Pin:
		c.set, c.parts, err = parsePin(text)
	case Minimum:
		var v version
		if v, _, err = parseWhole(text); err == nil {
			c.set = set{{v, end}}
		}
	case Maven:
		c.set, c.parts, err = parseMaven(text)
	default:
		c.set, c.parts, err = parseRange(d, text)
	}
	if err != nil {
		return Constraint{}, fmt.Errorf("%q is no version: %w", text, err)
	}
	c.some = true
	return c, nil
}

// String returns the text that was parsed; "*" where it is empty.
func (c Constraint) String() string { return cmp.Or(c.text, "*") }

// Dialect returns the notation.
func (c Constraint) Dialect() Dialect { return c.dialect }

// Any reports whether every version will do.
func (c Constraint) Any() bool { return !c.some }

// Single reports whether the constraint is one version or its beginning, and how
// many numbers of it are given: 1 for "20", 3 for "20.11.1" and more.
func (c Constraint) Single() (parts int, ok bool) { return c.parts, c.parts > 0 }

// Empty reports whether no version is allowed, as by ">2 <1".
func (c Constraint) Empty() bool { return c.some && len(c.set) == 0 }

// Allows reports whether the constraint allows a version. One without any number
// in it is allowed by constraints that allow every one.
func (c Constraint) Allows(v string) bool {
	if !c.some {
		return true
	}
	n, ok := numbers(v)
	return ok && c.set.has(n)
}

// And returns what both constraints allow. Its text is that of c.
func (c Constraint) And(o Constraint) Constraint {
	if !o.some {
		return c
	}
	if !c.some {
		o.dialect, o.text, o.parts = c.dialect, c.text, c.parts
		return o
	}
	c.set = c.set.and(o.set)
	return c
}

// Agree reports whether there is any version that both allow, offered or not.
func Agree(a, b Constraint) bool { return !a.And(b).Empty() }

// Newest returns the index of the newest version that is allowed, or -1.
func (c Constraint) Newest(versions []string) int {
	best := -1
	for i, v := range versions {
		if c.Allows(v) && (best < 0 || Compare(v, versions[best]) > 0) {
			best = i
		}
	}
	return best
}

// Nearest returns the index of the version that is closest to what is allowed, or
// -1 where there are no versions with a number. One that is allowed is nearest,
// the newest of them first. Then one of the same line (17.2 for 17.5), then the
// first above, then the last below.
func (c Constraint) Nearest(versions []string) int {
	if i := c.Newest(versions); i >= 0 {
		return i
	}
	best, bestRank := -1, distance{}
	for i, s := range versions {
		v, ok := numbers(s)
		if !ok {
			continue
		}
		if r := c.rank(v); best < 0 || r.less(bestRank) {
			best, bestRank = i, r
		}
	}
	return best
}

// distance orders versions by how far they are from a set: the smaller the nearer.
type distance struct {
	line  int // numbers that differ, from the left: 0 is the same minor line
	below bool
	by    version // how far, number by number
}

func (d distance) less(o distance) bool {
	switch {
	case d.line != o.line:
		return d.line < o.line
	case d.below != o.below:
		return !d.below
	}
	return d.by.compare(o.by) < 0
}

func (c Constraint) rank(v version) distance {
	best := distance{line: 4}
	for _, r := range c.set {
		d := distance{}
		from := r.from
		if v.compare(r.from) >= 0 { // beyond the end, or in between two ranges
			from = r.to.before()
		}
		switch {
		case v[0] == from[0] && v[1] == from[1]:
		case v[0] == from[0]:
			d.line = 1
		default:
			d.line = 2
		}
		d.below = v.compare(from) < 0
		for i := range v {
			d.by[i] = max(v[i], from[i]) - min(v[i], from[i])
		}
		// Where the line is the same the newest is best, whatever was asked for.
		if d.line == 0 {
			d.below = false
			d.by[2] = limit - min(v[2], limit)
		}
		if d.less(best) {
			best = d
		}
	}
	return best
}

// Compare orders versions by their first three numbers; one without any number is
// the smallest.
func Compare(a, b string) int {
	x, okX := numbers(a)
	y, okY := numbers(b)
	switch {
	case okX && okY:
		return x.compare(y)
	case okX:
		return 1
	case okY:
		return -1
	}
	return 0
}
