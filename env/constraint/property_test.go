package constraint

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	pep440 "github.com/aquasecurity/go-pep440-version"
	"pgregory.net/rapid"
)

var (
	number1 = rapid.IntRange(0, 4)
	ops     = map[Dialect][]string{
		NPM:    {"", "=", ">", "<", ">=", "<=", "^", "~", "!="},
		PEP440: {"==", ">", "<", ">=", "<=", "~=", "!="},
	}
)

func drawVersion(t *rapid.T, parts int, label string) string {
	var out []string
	for i := range parts {
		out = append(out, fmt.Sprint(number1.Draw(t, fmt.Sprintf("%s%d", label, i))))
	}
	return strings.Join(out, ".")
}

// drawRange draws alternatives of terms.
func drawRange(t *rapid.T, d Dialect) string {
	alternatives := 1
	and := ","
	if d == NPM {
		alternatives, and = rapid.IntRange(1, 3).Draw(t, "alternatives"), " "
	}
	var all []string
	for range alternatives {
		var terms []string
		for range rapid.IntRange(1, 3).Draw(t, "terms") {
			op := rapid.SampledFrom(ops[d]).Draw(t, "op")
			low := 1
			if op == "~=" {
				low = 2
			}
			v := drawVersion(t, rapid.IntRange(low, 3).Draw(t, "parts"), "n")
			if d == PEP440 && (op == "==" || op == "!=") && rapid.Bool().Draw(t, "wild") {
				v += ".*"
			}
			terms = append(terms, op+v)
		}
		all = append(all, strings.Join(terms, and))
	}
	return strings.Join(all, " || ")
}

// TestLikeSemver compares npm's notation with a library that reads only that.
func TestLikeSemver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, v := drawRange(t, NPM), drawVersion(t, 3, "v")
		got, err := Parse(NPM, text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lib, err := semver.NewConstraint(text)
		if err != nil {
			t.Fatalf("the library does not read %q: %v", text, err)
		}
		if want := lib.Check(semver.MustParse(v)); got.Allows(v) != want {
			t.Fatalf("%q allows %s: %v, and the library says %v", text, v, !want, want)
		}
	})
}

// TestLikePEP440 compares Python's notation with a library that reads only that.
func TestLikePEP440(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, v := drawRange(t, PEP440), drawVersion(t, 3, "v")
		got, err := Parse(PEP440, text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lib, err := pep440.NewSpecifiers(text)
		if err != nil {
			t.Fatalf("the library does not read %q: %v", text, err)
		}
		if want := lib.Check(pep440.MustParse(v)); got.Allows(v) != want {
			t.Fatalf("%q allows %s: %v, and the library says %v", text, v, !want, want)
		}
	})
}

// TestSets holds what sets mean: what is in a combination is what is in its parts.
func TestSets(t *testing.T) {
	draw := func(t *rapid.T) Constraint {
		c, err := Parse(NPM, drawRange(t, NPM))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		v, _ := numbers(drawVersion(t, 3, "v"))
		if got, want := a.And(b).set.has(v), a.set.has(v) && b.set.has(v); got != want {
			t.Fatalf("%v and %v has %v: %v", a.set, b.set, v, got)
		}
		if got, want := a.set.or(b.set).has(v), a.set.has(v) || b.set.has(v); got != want {
			t.Fatalf("%v or %v has %v: %v", a.set, b.set, v, got)
		}
		if a.set.not().has(v) == a.set.has(v) {
			t.Fatalf("%v and its complement %v: %v", a.set, a.set.not(), v)
		}
		if Agree(a, b) != Agree(b, a) {
			t.Fatalf("%q and %q agree one way only", a, b)
		}
		if !Agree(a, b) && a.set.has(v) && b.set.has(v) {
			t.Fatalf("%q and %q do not agree, but both allow %v", a, b, v)
		}
		for _, s := range []set{a.set, a.And(b).set, a.set.not()} {
			for i, r := range s {
				if r.from.compare(r.to) >= 0 || i > 0 && s[i-1].to.compare(r.from) >= 0 {
					t.Fatalf("%v is not in order", s)
				}
			}
		}
	})
}

// TestNewestIsAllowed holds that nothing newer than the newest is allowed, and that
// the nearest is the newest where there is one.
func TestNewestIsAllowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, err := Parse(NPM, drawRange(t, NPM))
		if err != nil {
			t.Fatal(err)
		}
		var versions []string
		for range rapid.IntRange(1, 8).Draw(t, "offers") {
			versions = append(versions, drawVersion(t, 3, "o"))
		}
		i := c.Newest(versions)
		for _, v := range versions {
			if c.Allows(v) && (i < 0 || Compare(v, versions[i]) > 0) {
				t.Fatalf("%q: of %v, %d is the newest, and %s is newer", c, versions, i, v)
			}
		}
		n := c.Nearest(versions)
		if n < 0 || i >= 0 && Compare(versions[n], versions[i]) != 0 {
			t.Fatalf("%q: of %v, %d is the newest and %d the nearest", c, versions, i, n)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"^1.2 || ~3", ">=3.9,<4", "~> 3.2, >= 1", "[17,18),(,9]", "go1.22rc1", "1 - 2", "7.4.*|8@dev", "==3.*", "999999999999999999999.1", "v20.11.1", "lts/*", "^^", "1..2", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := []Dialect{Pin, Minimum, NPM, PEP440, Poetry, Ruby, Composer, Maven}
		var read []Constraint
		for _, d := range all {
			c, err := Parse(d, text)
			if err != nil {
				continue
			}
			if len(text) > MaxLength+2 && !c.Any() && strings.TrimSpace(text) == text {
				t.Errorf("%s read %d bytes", d, len(text))
			}
			read = append(read, c)
			offered := []string{"0.0.0", "1.2.3", "18.20.8", "99999999999999999999.1", text}
			if i := c.Newest(offered); i >= 0 && !c.Allows(offered[i]) {
				t.Errorf("%s %q: the newest, %s, is not allowed", d, text, offered[i])
			}
			if i := c.Nearest(offered); i < 0 {
				t.Errorf("%s %q: nothing is nearest", d, text)
			}
		}
		for _, a := range read {
			for _, b := range read {
				if Agree(a, b) != Agree(b, a) {
					t.Errorf("%q: %s and %s agree one way only", text, a.dialect, b.dialect)
				}
			}
		}
	})
}
