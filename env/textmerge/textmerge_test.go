package textmerge

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct {
		base, ours, theirs string
		prefer             Side
		want               string
		conflicts          int
	}{
		"nothing":            {"a\nb\n", "a\nb\n", "a\nb\n", Neither, "a\nb\n", 0},
		"ours":               {"a\nb\nc\n", "A\nb\nc\n", "a\nb\nc\n", Neither, "A\nb\nc\n", 0},
		"theirs":             {"a\nb\nc\n", "a\nb\nc\n", "a\nb\nC\n", Neither, "a\nb\nC\n", 0},
		"both, apart":        {"a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", Neither, "A\nb\nC\n", 0},
		"both, the same":     {"a\nb\nc\n", "a\nB\nc\n", "a\nB\nc\n", Neither, "a\nB\nc\n", 0},
		"both, differently":  {"a\nb\nc\n", "a\nB\nc\n", "a\nX\nc\n", Neither, "a\n<<<<<<< ours\nB\n||||||| base\nb\n=======\nX\n>>>>>>> theirs\nc\n", 1},
		"prefer ours":        {"a\nb\nc\n", "a\nB\nc\n", "a\nX\nC\n", Ours, "a\nB\nc\n", 0},
		"prefer theirs":      {"a\nb\nc\n", "a\nB\nc\n", "a\nX\nc\n", Theirs, "a\nX\nc\n", 0},
		"removed, changed":   {"a\nb\nc\n", "a\nc\n", "a\nB\nc\n", Neither, "a\n<<<<<<< ours\n||||||| base\nb\n=======\nB\n>>>>>>> theirs\nc\n", 1},
		"removed by one":     {"a\nb\nc\n", "a\nc\n", "a\nb\nc\nd\n", Neither, "a\nc\nd\n", 0},
		"no last line break": {"a\nb", "a\nB", "a\nX", Neither, "a\n<<<<<<< ours\nB\n||||||| base\nb\n=======\nX\n>>>>>>> theirs\n", 1},
		"from nothing":       {"", "a\n", "b\n", Neither, "<<<<<<< ours\na\n||||||| base\n=======\nb\n>>>>>>> theirs\n", 1},
		"neighbours":         {"a\nb\n", "A\nb\n", "a\nB\n", Neither, "<<<<<<< ours\nA\nb\n||||||| base\na\nb\n=======\na\nB\n>>>>>>> theirs\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			got := Merge(c.base, c.ours, c.theirs, c.prefer)
			if got.Text != c.want || got.Conflicts != c.conflicts {
				t.Errorf("%d conflicts:\n%swant %d:\n%s", got.Conflicts, got.Text, c.conflicts, c.want)
			}
			if HasMarkers(got.Text) != (c.conflicts > 0) {
				t.Error("markers are not found")
			}
		})
	}
}

// text is one of few different lines, so that lines are found again elsewhere.
func text(t *rapid.T, name string) string {
	lines := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "b", "c", "{", "}", "  x = 1;"}), 0, 30).Draw(t, name)
	s := strings.Join(lines, "\n")
	if len(lines) > 0 && rapid.Bool().Draw(t, name+" ends") {
		s += "\n"
	}
	return s
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, ours, theirs := text(t, "base"), text(t, "ours"), text(t, "theirs")
		if m := Merge(base, base, theirs, Neither); m.Text != theirs || m.Conflicts != 0 {
			t.Fatalf("with an ancestor: %q, want %q", m.Text, theirs)
		}
		if m := Merge(base, ours, base, Neither); m.Text != ours || m.Conflicts != 0 {
			t.Fatalf("of an ancestor: %q, want %q", m.Text, ours)
		}
		if m := Merge(base, ours, ours, Neither); m.Text != ours || m.Conflicts != 0 {
			t.Fatalf("with itself: %q, want %q", m.Text, ours)
		}
		m, w := Merge(base, ours, theirs, Neither), Merge(base, theirs, ours, Neither)
		if m.Conflicts != w.Conflicts || m.Conflicts == 0 && m.Text != w.Text {
			t.Fatalf("not symmetric: %q, %q", m.Text, w.Text)
		}
		// Whatever a side brought is in the merge, and as often.
		for _, side := range []string{ours, theirs} {
			for l := range strings.Lines(side) {
				l = strings.TrimSuffix(l, "\n")
				if times(side, l) > times(base, l) && times(m.Text, l) < min(times(side, l), 1) {
					t.Fatalf("%q is lost: %q", l, m.Text)
				}
			}
		}
		if m.Conflicts > 0 {
			if o := Merge(base, ours, theirs, Ours); o.Conflicts != 0 || HasMarkers(o.Text) {
				t.Fatalf("preferring ours leaves %q", o.Text)
			}
		}
	})
}

func times(text, line string) (n int) {
	for l := range strings.Lines(text) {
		if strings.TrimSuffix(l, "\n") == line {
			n++
		}
	}
	return n
}

// TestMatch compares with the plain way to find a longest common subsequence.
func TestMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 25)
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		best := make([][]int, len(a)+1)
		for i := range best {
			best[i] = make([]int, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				best[i][j] = max(best[i+1][j], best[i][j+1])
				if a[i] == b[j] {
					best[i][j] = max(best[i][j], best[i+1][j+1]+1)
				}
			}
		}
		n, last := 0, -1
		for i, j := range match(a, b) {
			if j < 0 {
				continue
			}
			if n++; j <= last || a[i] != b[j] {
				t.Fatalf("%v in %v: %v", a, b, match(a, b))
			}
			last = j
		}
		if n != best[0][0] {
			t.Fatalf("%d lines in common, want %d: %v %v", n, best[0][0], a, b)
		}
	})
}

func TestVeryDifferent(t *testing.T) {
	a, b := strings.Repeat("a\n", 20000), strings.Repeat("b\n", 20000)
	m := Merge("x\ny\n", "x\n"+a+"y\n", "x\n"+b+"y\n", Neither)
	if m.Conflicts != 1 || !strings.HasPrefix(m.Text, "x\n<<<") {
		t.Errorf("%d conflicts", m.Conflicts)
	}
	if added, removed := Count(a, b); added != 20000 || removed != 20000 {
		t.Errorf("+%d −%d", added, removed)
	}
	if !slices.Equal(split("a\nb"), []string{"a\n", "b"}) {
		t.Error("lines")
	}
}

func FuzzMerge(f *testing.F) {
	f.Add("a\nb\n", "a\n", "b\n")
	f.Fuzz(func(t *testing.T, base, ours, theirs string) {
		if m := Merge(base, base, theirs, Neither); m.Text != theirs {
			t.Errorf("%q, want %q", m.Text, theirs)
		}
		Merge(base, ours, theirs, Neither)
	})
}
