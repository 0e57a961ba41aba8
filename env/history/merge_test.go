package history

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// texts gives each version of a world a manifest.
type texts map[string]string

func (x texts) text(hash string) (string, error) { return x[hash], nil }

func TestMergeCrissCross(t *testing.T) {
	w := &world{nodes: append(graphOf("a\nb a\nc a"), graphOf("d b c\ne c b\nf d\ng e")...)}
	for i := range w.nodes {
		w.nodes[i].Seq = map[string]int64{"a": 1, "b": 2, "c": 2, "d": 3, "e": 3, "f": 4, "g": 4}[w.nodes[i].Hash]
	}
	env := func(pairs ...string) string {
		s := "[env]\n"
		for i := 0; i < len(pairs); i += 2 {
			s += fmt.Sprintf("%s = %q\n", pairs[i], pairs[i+1])
		}
		return s
	}
	x := texts{
		"a": env("X", "0", "Y", "0"),
		"b": env("X", "1", "Y", "0"), // changes X
		"c": env("X", "0", "Y", "1"), // changes Y
		"d": env("X", "1", "Y", "1"),
		"e": env("X", "1", "Y", "1"),
		"f": env("X", "2", "Y", "1"),
		"g": env("X", "1", "Y", "2"),
	}
	m, bases, err := Merge(w.load, x.text, "f", "g", manifest.MergeOptions{})
	if err != nil || len(bases) != 2 || len(m.Conflicts) != 0 || m.Text != env("X", "2", "Y", "2") {
		t.Fatalf("bases %v, conflicts %v, %v\n%s", bases, m.Conflicts, err, m.Text)
	}
	// Both bases set X, so nobody knows what it was: two values of it conflict, one
	// that both have does not.
	x["b"], x["c"] = env("X", "1", "Y", "0"), env("X", "3", "Y", "1")
	x["d"], x["e"] = env("X", "1", "Y", "1"), env("X", "3", "Y", "1")
	x["f"], x["g"] = env("X", "1", "Y", "1"), env("X", "3", "Y", "2")
	m, _, err = Merge(w.load, x.text, "f", "g", manifest.MergeOptions{})
	want := []manifest.Conflict{{Kind: manifest.ConflictValue, Path: "env.X", Ours: "1", Theirs: "3"}}
	if diff := cmp.Diff(want, m.Conflicts); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	x["g"] = env("X", "1", "Y", "2")
	if m, _, err = Merge(w.load, x.text, "f", "g", manifest.MergeOptions{}); err != nil || len(m.Conflicts) != 0 || m.Text != env("X", "1", "Y", "2") {
		t.Errorf("conflicts %v, %v\n%s", m.Conflicts, err, m.Text)
	}
	_, _, err = Merge((&world{nodes: graphOf("p\nq")}).load, x.text, "p", "q", manifest.MergeOptions{})
	if nixspace.ErrorCode(err) != "histories_unrelated" {
		t.Errorf("unrelated: %v", err)
	}
}

// TestMergeGraphProperty merges versions of random histories in which every
// version sets some variables. Whatever the graph is: merging is symmetric,
// merging with an ancestor or oneself changes nothing, and a variable that only
// one side set since every base has the value of that side.
func TestMergeGraphProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, 14)
		x := texts{}
		for i, n := range w.nodes {
			vars := map[string]string{}
			if len(n.Parents) > 0 {
				vars = varsOf(x[n.Parents[0]])
			}
			if len(n.Parents) > 1 {
				if m, _, err := Merge(w.load, x.text, n.Parents[0], n.Parents[1], manifest.MergeOptions{Prefer: manifest.Ours}); err == nil {
					vars = varsOf(m.Text)
				}
			}
			for range rapid.IntRange(0, 2).Draw(t, "edits") {
				vars[rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "var")] = fmt.Sprint(i)
			}
			x[n.Hash] = textOf(vars)
		}
		a := rapid.SampledFrom(w.nodes).Draw(t, "a").Hash
		b := rapid.SampledFrom(w.nodes).Draw(t, "b").Hash
		m, bases, err := Merge(w.load, x.text, a, b, manifest.MergeOptions{})
		if nixspace.ErrorCode(err) == "histories_unrelated" {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		other, _, err := Merge(w.load, x.text, b, a, manifest.MergeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range other.Conflicts {
			other.Conflicts[i].Ours, other.Conflicts[i].Theirs = c.Theirs, c.Ours
		}
		if diff := cmp.Diff(m.Conflicts, other.Conflicts); diff != "" {
			t.Fatalf("the other way round:\n%s", diff)
		}
		got := varsOf(m.Text)
		if len(m.Conflicts) == 0 && !cmp.Equal(got, varsOf(other.Text)) {
			t.Fatalf("the other way round:\n%s\n%s", m.Text, other.Text)
		}
		if w.ancestors(a)[b] && (len(m.Conflicts) > 0 || m.Text != x[a]) {
			t.Fatalf("merging an ancestor: %v\n%s\nis not\n%s", m.Conflicts, m.Text, x[a])
		}
		va, vb := varsOf(x[a]), varsOf(x[b])
		for _, k := range []string{"A", "B", "C"} {
			conflicts := false
			for _, c := range m.Conflicts {
				conflicts = conflicts || c.Path == "env."+k
			}
			oursSame, theirsSame := true, true
			for _, base := range bases {
				oursSame = oursSame && varsOf(x[base.Hash])[k] == va[k]
				theirsSame = theirsSame && varsOf(x[base.Hash])[k] == vb[k]
			}
			switch {
			case va[k] == vb[k]:
				if conflicts || got[k] != va[k] {
					t.Fatalf("%s is %q on both sides, and merged %q, conflict %t", k, va[k], got[k], conflicts)
				}
			case oursSame && (conflicts || got[k] != vb[k]):
				t.Fatalf("only theirs changed %s to %q: merged %q, conflict %t", k, vb[k], got[k], conflicts)
			case theirsSame && (conflicts || got[k] != va[k]):
				t.Fatalf("only ours changed %s to %q: merged %q, conflict %t", k, va[k], got[k], conflicts)
			case len(bases) == 1 && !oursSame && !theirsSame && !conflicts:
				t.Fatalf("both changed %s: merged %q without a conflict", k, got[k])
			}
		}
	})
}

func varsOf(text string) map[string]string {
	m, err := manifest.Parse("test", []byte(text))
	if err != nil {
		panic(err)
	}
	if m.Env == nil {
		return map[string]string{}
	}
	return m.Env
}

func textOf(vars map[string]string) string {
	s := "[env]\n"
	for _, k := range []string{"A", "B", "C"} {
		if v, ok := vars[k]; ok {
			s += fmt.Sprintf("%s = %q\n", k, v)
		}
	}
	return s
}
