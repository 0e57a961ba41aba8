package search_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/search"
)

// bisect runs a search to its end and returns what it found, and in how many trials
// and rounds.
func bisect(t interface{ Fatalf(string, ...any) }, nodes []search.Node, good []string, bad string, parallel int, say func(string) search.Outcome) (b *search.Bisection, trials, rounds int) {
	outcomes := map[string]search.Outcome{}
	for {
		b, err := search.Bisect(nodes, good, bad, outcomes, parallel)
		if err != nil {
			t.Fatalf("bisect: %v", err)
		}
		if len(b.Next) == 0 {
			return b, trials, rounds
		}
		rounds++
		for _, h := range b.Next {
			if _, again := outcomes[h]; again {
				t.Fatalf("%s is tried twice", h)
			}
			outcomes[h] = say(h)
			trials++
		}
	}
}

// line is a history of n versions, v0 being the oldest.
func line(n int) []search.Node {
	nodes := make([]search.Node, n)
	for i := range nodes {
		nodes[i].Hash = fmt.Sprint("v", i)
		if i > 0 {
			nodes[i].Parents = []string{fmt.Sprint("v", i-1)}
		}
	}
	return nodes
}

func TestBisectFindsOneOf64InAtMost7(t *testing.T) {
	nodes := line(65) // v0 is known to be good: 64 are suspects
	for first := 1; first <= 64; first++ {
		b, trials, _ := bisect(t, nodes, []string{"v0"}, "v64", 1, func(h string) search.Outcome {
			var i int
			fmt.Sscanf(h, "v%d", &i)
			if i >= first {
				return search.Bad
			}
			return search.Good
		})
		if b.First != fmt.Sprint("v", first) || trials > 7 {
			t.Errorf("first bad v%d: found %q in %d trials", first, b.First, trials)
		}
	}
}

func TestBisectInParallelTakesFewerRounds(t *testing.T) {
	_, _, one := bisect(t, line(65), []string{"v0"}, "v64", 1, func(string) search.Outcome { return search.Good })
	b, _, three := bisect(t, line(65), []string{"v0"}, "v64", 3, func(string) search.Outcome { return search.Good })
	if b.First != "v64" || three > one/2 {
		t.Errorf("%q in %d rounds of three, %d rounds of one", b.First, three, one)
	}
}

func TestBisectSkips(t *testing.T) {
	b, _, _ := bisect(t, line(9), []string{"v0"}, "v8", 1, func(h string) search.Outcome {
		switch h {
		case "v4", "v5":
			return search.Skip
		case "v1", "v2", "v3":
			return search.Good
		}
		return search.Bad
	})
	if want := []string{"v4", "v5", "v6"}; b.First != "" || !slices.Equal(b.Suspects, want) {
		t.Errorf("first %q, suspects %v", b.First, b.Suspects)
	}
}

func TestBisectRefusesContradictions(t *testing.T) {
	_, err := search.Bisect(line(4), []string{"v3"}, "v1", nil, 1)
	if nixspace.ErrorCode(err) != "bisect_contradiction" {
		t.Errorf("bad before good: %v", err)
	}
	_, err = search.Bisect(line(4), nil, "v9", nil, 1)
	if nixspace.ErrorCode(err) != "bisect_unknown" {
		t.Errorf("unknown version: %v", err)
	}
}

func TestBases(t *testing.T) {
	nodes := append(line(5), search.Node{Hash: "side", Parents: []string{"v2"}}, search.Node{Hash: "alone"})
	for _, c := range []struct {
		good string
		want []string
	}{{"v1", nil}, {"side", []string{"v2"}}, {"alone", nil}} {
		if got := search.Bases(nodes, c.good, "v4"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.good, got)
		}
	}
}

// In any graph of versions, the search finds the version that everything bad comes
// from.
func TestBisectOverGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 60).Draw(t, "versions")
		nodes := line(n)
		bads := map[string]bool{}
		for i := 2; i < n; i++ {
			first := rapid.IntRange(max(0, i-6), i-1).Draw(t, "parent")
			nodes[i].Parents = []string{fmt.Sprint("v", first)}
			if second := rapid.IntRange(0, i-1).Draw(t, "second"); rapid.Bool().Draw(t, "merge") && second != first {
				nodes[i].Parents = append(nodes[i].Parents, fmt.Sprint("v", second))
			}
		}
		// The guilty one is an ancestor of the last.
		at := n - 1
		for range rapid.IntRange(0, n).Draw(t, "back") {
			if len(nodes[at].Parents) == 0 || nodes[at].Parents[0] == "v0" {
				break
			}
			var p int
			fmt.Sscanf(nodes[at].Parents[rapid.IntRange(0, len(nodes[at].Parents)-1).Draw(t, "step")], "v%d", &p)
			if p == 0 {
				break
			}
			at = p
		}
		guilty := fmt.Sprint("v", at)
		for _, node := range nodes {
			bads[node.Hash] = node.Hash == guilty || slices.ContainsFunc(node.Parents, func(p string) bool { return bads[p] })
		}
		b, trials, _ := bisect(t, nodes, []string{"v0"}, nodes[n-1].Hash, rapid.IntRange(1, 4).Draw(t, "parallel"), func(h string) search.Outcome {
			if bads[h] {
				return search.Bad
			}
			return search.Good
		})
		if b.First != guilty || trials > n {
			t.Fatalf("found %q in %d trials, not %s", b.First, trials, guilty)
		}
	})
}

// minimize runs a search to its end.
func minimize(n, parallel int, say func([]int) search.Outcome) (search.Minimum, int) {
	known, trials := map[string]search.Outcome{}, 0
	for {
		m := search.Minimize(n, func(p []int) (search.Outcome, bool) {
			o, ok := known[fmt.Sprint(p)]
			return o, ok
		}, parallel)
		if len(m.Next) == 0 {
			return m, trials
		}
		for _, p := range m.Next {
			known[fmt.Sprint(p)] = say(p)
			trials++
		}
	}
}

func TestMinimizeFindsTheGuiltyOneOfFive(t *testing.T) {
	for guilty := range 5 {
		m, trials := minimize(5, 1, func(p []int) search.Outcome {
			if slices.Contains(p, guilty) {
				return search.Bad
			}
			return search.Good
		})
		if !slices.Equal(m.Smallest, []int{guilty}) || trials > 6 {
			t.Errorf("guilty %d: found %v in %d trials", guilty, m.Smallest, trials)
		}
	}
}

func TestMinimizeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 16).Draw(t, "n")
		guilty := rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 1, min(n, 3), rapid.ID[int]).Draw(t, "guilty")
		odd := rapid.IntRange(0, 4).Draw(t, "odd") // some parts do not even build
		bad := func(p []int) bool {
			for _, g := range guilty {
				if !slices.Contains(p, g) {
					return false
				}
			}
			return true
		}
		m, _ := minimize(n, rapid.IntRange(1, 3).Draw(t, "parallel"), func(p []int) search.Outcome {
			switch {
			case bad(p):
				return search.Bad
			case odd > 0 && len(p)%5 == odd:
				return search.Skip
			}
			return search.Good
		})
		slices.Sort(guilty)
		if !slices.Equal(m.Smallest, guilty) {
			t.Fatalf("found %v, not %v", m.Smallest, guilty)
		}
	})
}
