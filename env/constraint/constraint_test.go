package constraint

import (
	"strings"
	"testing"
)

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		text    string
		yes, no string // versions
	}{
		{Pin, "20", "20.0.0 20.99.1", "2.0 21.0.0 19.9"},
		{Pin, "v20.11.1", "20.11.1", "20.11.2 20.11.0"},
		{Pin, "3.12", "3.12.0 3.12.9", "3.13 3.1"},
		{Pin, "ruby-3.2.2", "3.2.2", "3.2.3"},
		{Pin, "go1.22", "1.22.5", "1.23"},
		{Pin, "15.4-alpine", "15.4", "15.5"},
		{Pin, "latest", "1 99", ""},
		{Minimum, "1.22", "1.22 1.22.1 1.27.4 2.0", "1.21.9"},
		{Minimum, "go1.22rc1", "1.22.0", "1.21"},
		{NPM, "^18.12.0 || >=20.9", "18.12.0 18.99.9 20.9.0 24.0.0", "18.11.9 19.0.0 20.8.9"},
		{NPM, ">= 18 < 21", "18.0.0 20.99.0", "21.0.0 17.9"},
		{NPM, "18.x", "18.0.0 18.20.8", "19.0.0"},
		{NPM, "18 - 20", "18.0.0 20.99.9", "21.0.0"},
		{NPM, ">20", "21.0.0", "20.0.1"},
		{NPM, "<=20", "20.9.9", "21.0.0"},
		{NPM, "~18.2", "18.2.9", "18.3.0 18.1.9"},
		{NPM, "~18", "18.9.0", "19.0.0"},
		{NPM, "^0.2.3", "0.2.9", "0.3.0 0.2.2"},
		{NPM, "^0.0.3", "0.0.3", "0.0.4"},
		{NPM, "!=18.1.0", "18.1.1", "18.1.0"},
		{NPM, "*", "1.0.0", ""},
		{PEP440, ">=3.9,<4", "3.9.0 3.13.5", "4.0 3.8.9"},
		{PEP440, "~=3.9", "3.9.0 3.13.5", "4.0 3.8"},
		{PEP440, "~=3.9.2", "3.9.9", "3.10.0 3.9.1"},
		{PEP440, "==3.*", "3.0 3.13", "4.0"},
		{PEP440, "==3.9", "3.9.0", "3.9.1"},
		{PEP440, ">3.9", "3.9.1 3.10", "3.9.0"},
		{PEP440, ">=3.8, !=3.9.*, !=3.10.1", "3.8.5 3.10.0 3.11", "3.9.0 3.9.7 3.10.1"},
		{Poetry, "^3.9", "3.9.0 3.13", "4.0 3.8"},
		{Poetry, "~3.9", "3.9.7", "3.10"},
		{Poetry, ">=3.9,<3.12 || ^3.13", "3.11 3.13.1", "3.12"},
		{Poetry, "3.11", "3.11.4", "3.12"},
		{Ruby, "~> 3.2", "3.2.0 3.4.1", "4.0 3.1.9"},
		{Ruby, "~> 3.2.1", "3.2.9", "3.3.0 3.2.0"},
		{Ruby, ">= 2.7, < 3.3", "2.7.0 3.2.9", "3.3.0"},
		{Ruby, "~> 1.14 or ~> 2.0", "1.15.0 2.1.0", "3.0.0"},
		{Ruby, ">= 1.14.0 and < 1.16.0", "1.15.9", "1.16.0"},
		{Ruby, "3.2", "3.2.5", "3.3.0"},
		{Composer, "^8.1", "8.1.0 8.4.1", "9.0 8.0.9"},
		{Composer, "~8.1", "8.1.0 8.4.0", "9.0"},
		{Composer, "~8.1.2", "8.1.9", "8.2.0"},
		{Composer, "7.4.* | 8.0.*", "7.4.33 8.0.1", "8.1.0"},
		{Composer, ">=8.1@dev", "8.2.0", "8.0.0"},
		{Maven, "17", "17.0.9", "18 16"},
		{Maven, "1.8", "8.0.392", "1.8.0"},
		{Maven, "[17,18)", "17.0.0 17.9.9", "18.0.0"},
		{Maven, "(,17]", "11.0.0 17.0.0", "17.0.1"},
		{Maven, "[11,12),[17,18)", "11.0.1 17.0.1", "12.0.0"},
		{Maven, "17+", "17.0.0 21.0.0", "16.0.0"},
	} {
		p, err := Parse(c.dialect, c.text)
		if err != nil {
			t.Errorf("%s %q: %v", c.dialect, c.text, err)
			continue
		}
		for _, v := range strings.Fields(c.yes) {
			if !p.Allows(v) {
				t.Errorf("%s %q does not allow %s (%v)", c.dialect, c.text, v, p.set)
			}
		}
		for _, v := range strings.Fields(c.no) {
			if p.Allows(v) {
				t.Errorf("%s %q allows %s (%v)", c.dialect, c.text, v, p.set)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		text    string
	}{
		{Pin, ">=20"},
		{Pin, "twenty"},
		{Minimum, "~> 3"},
		{NPM, "18..2"},
		{NPM, ">=>18"},
		{NPM, "18 $(rm)"},
		{PEP440, ">=3.9;"},
		{Ruby, "three"},
		{Maven, "[17"},
		{Maven, "[a,b)"},
		{NPM, strings.Repeat("1", MaxLength+1)},
	} {
		if p, err := Parse(c.dialect, c.text); err == nil {
			t.Errorf("%s %q was read as %v", c.dialect, c.text, p.set)
		}
	}
}

func TestChoosing(t *testing.T) {
	offered := strings.Fields("18.20.8 24.21.0 20.20.2 22.23.3")
	for _, c := range []struct {
		dialect         Dialect
		text            string
		newest, nearest string
	}{
		{NPM, ">=18", "24.21.0", "24.21.0"},
		{NPM, "^20 || ^22", "22.23.3", "22.23.3"},
		{Pin, "20.11.0", "", "20.20.2"}, // the same line
		{Pin, "16", "", "18.20.8"},      // the first above
		{Pin, "21", "", "22.23.3"},
		{Pin, "26", "", "24.21.0"}, // the last below
		{NPM, ">=30", "", "24.21.0"},
		{NPM, "<10", "", "18.20.8"},
		{NPM, ">20 <20", "", "18.20.8"},
	} {
		p, err := Parse(c.dialect, c.text)
		if err != nil {
			t.Fatal(err)
		}
		got := func(i int) string {
			if i < 0 {
				return ""
			}
			return offered[i]
		}
		if n := got(p.Newest(offered)); n != c.newest {
			t.Errorf("newest for %q: %q, want %q", c.text, n, c.newest)
		}
		if n := got(p.Nearest(offered)); n != c.nearest {
			t.Errorf("nearest to %q: %q, want %q", c.text, n, c.nearest)
		}
	}
}

func TestAgree(t *testing.T) {
	must := func(d Dialect, text string) Constraint {
		c, err := Parse(d, text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		a, b Constraint
		want bool
	}{
		{must(Pin, "20"), must(NPM, ">=18"), true},
		{must(Pin, "20.11.0"), must(NPM, ">=22"), false},
		{must(Pin, "16"), must(NPM, "14 || 18"), false},
		{must(PEP440, ">=3.9,<3.12"), must(Poetry, "^3.11"), true},
		{must(PEP440, "<3.9"), must(Poetry, "^3.9"), false},
		{must(NPM, ">1.2.3 <1.2.5"), must(NPM, "!=1.2.4"), false},
		{must(Pin, "latest"), must(NPM, ">=22"), true},
	} {
		if got := Agree(c.a, c.b); got != c.want {
			t.Errorf("%v and %v agree: %v, want %v", c.a, c.b, got, c.want)
		}
		if Agree(c.a, c.b) != Agree(c.b, c.a) {
			t.Errorf("%v and %v agree one way only", c.a, c.b)
		}
	}
}
