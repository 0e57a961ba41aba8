package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// Constraint says which versions of a package will do. It is one of
//
//	"*"         the version that the source recommends
//	"latest"    the newest that the source has
//	"15"        the newest 15.something, and so on for more numbers
//	"15.18"     that version (or 15.18.something)
//	">=20 <23"  a range, in the notation of npm and Cargo: = != > >= < <= ~ ^ - || and spaces or commas
//
// The zero value means "*". Constraints are equal when their texts are.
type Constraint struct{ text string }

var (
	plainVersion    = regexp.MustCompile(`^[0-9]{1,9}([._+-][0-9A-Za-z]{1,20}|[a-z]{1,5}[0-9]{1,9}){0,8}$`)
	constraintChars = regexp.MustCompile(`^[0-9A-Za-z.*+_<>=!~^|, -]+$`)
	wildcardTail    = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)*)(?:\.[xX*])+$`)
)

// maxConstraint bounds a constraint's text, in bytes.
const maxConstraint = 100

// ParseConstraint reads a constraint.
func ParseConstraint(s string) (Constraint, error) {
	t := strings.TrimSpace(s)
	switch {
	case t == "":
		return Constraint{}, errors.New(`the version is empty: write "*" for the recommended one`)
	case len(t) > maxConstraint || !constraintChars.MatchString(t):
		return Constraint{}, fmt.Errorf("%s is no version", quote(s))
	case strings.EqualFold(t, "latest"):
		return Constraint{"latest"}, nil
	}
	if m := wildcardTail.FindStringSubmatch(t); m != nil {
		t = m[1] // 15.x means what 15 means
	}
	if plainVersion.MatchString(t) {
		return Constraint{t}, nil
	}
	if _, err := semver.NewConstraint(t); err != nil {
		return Constraint{}, fmt.Errorf("%s is no version", quote(s))
	}
	return Constraint{t}, nil
}

// String returns the text of the constraint.
func (c Constraint) String() string {
	if c.text == "" {
		return "*"
	}
	return c.text
}

// Any reports whether every version will do, so that the source's
// recommendation decides.
func (c Constraint) Any() bool { return c.text == "" || c.text == "*" }

// latest reports whether the newest version is asked for.
func (c Constraint) latest() bool { return c.text == "latest" }

// Allows reports whether a version meets the constraint.
func (c Constraint) Allows(version string) bool {
	switch {
	case c.Any() || c.latest():
		return true
	case plainVersion.MatchString(c.text):
		return hasVersionPrefix(version, c.text)
	}
	cs, err := semver.NewConstraint(c.text)
	if err != nil {
		return false
	}
	return cs.Check(semverOf(version))
}

// hasVersionPrefix reports whether version is prefix or refines it: 15.18 is a
// 15, and 1.20 is no 1.2.
func hasVersionPrefix(version, prefix string) bool {
	rest, ok := strings.CutPrefix(version, prefix)
	if !ok {
		return false
	}
	if rest == "" {
		return true
	}
	return (rest[0] < '0' || rest[0] > '9') && (rest[0] == '.' || rest[0] == '-' || rest[0] == '+' || rest[0] == '_' || rest[0] >= 'a')
}

// semverOf reads any version as a semantic one, by its first three numbers:
// upstreams number as 15.18, 3.13.5, 10.0p2, 20250419 or 9.1.1230. What follows
// the numbers counts as a build, so that ranges do not refuse it.
func semverOf(version string) *semver.Version {
	var n [3]uint64
	for i, s := range numbersOf(version) {
		if i < len(n) {
			n[i], _ = strconv.ParseUint(s, 10, 64) // too large counts as the largest
		}
	}
	return semver.New(n[0], n[1], n[2], "", "")
}

// numbersOf returns the runs of digits of a version.
func numbersOf(version string) []string {
	return strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
}

// compareVersions orders versions by their numbers, then by text.
func compareVersions(a, b string) int {
	na, nb := numbersOf(a), numbersOf(b)
	for i := range min(len(na), len(nb)) {
		x, y := strings.TrimLeft(na[i], "0"), strings.TrimLeft(nb[i], "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(len(na), len(nb)), cmp.Compare(a, b))
}
