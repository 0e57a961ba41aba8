// Package search finds what broke something, in as few trials as it can: the first
// bad version of a history, and the smallest part of a change that is to blame.
//
// Both searches are functions of what is known so far: they say what to try next,
// or what they found. Nothing is kept between calls, so a search that was
// interrupted goes on from its recorded outcomes. The package is pure; its
// functions may be called by many goroutines at once.
package search

import (
	"cmp"
	"slices"

	"github.com/nixspace/nixspace"
)

// Outcome is what a trial said.
type Outcome string

// The outcomes.
const (
	Good Outcome = "good"
	Bad  Outcome = "bad"
	Skip Outcome = "skip" // it says neither
)

// Node is a version and what it was made from.
type Node struct {
	Hash    string
	Parents []string
}

// Bisection is how far a search for the first bad version is.
type Bisection struct {
	// Next are the versions to try, the most telling one first: as many as may run at
	// once. It is empty once the search has ended.
	Next []string
	// First is the first bad version, once it is known.
	First string
	// Suspects are the versions that may still be the first bad one, older ones
	// first. Where Next and First are empty, trials that say nothing stand in the way.
	Suspects []string
	// Steps is about how many more rounds of trials it takes.
	Steps int
}

// Bisect searches the first bad version among the ancestors of bad that are no
// ancestors of a version in good. The nodes must hold all of those, and may hold
// more. What outcomes says of a version counts as if it were given as good or bad.
//
// As with git, a version whose ancestors are good and that is bad is the first one;
// where good and bad alternate along a history, the search finds one of the changes.
//
// It fails with code "bisect_contradiction" where an ancestor of a good version is
// the only bad one left, and with "bisect_unknown" where bad is not among the nodes.
func Bisect(nodes []Node, good []string, bad string, outcomes map[string]Outcome, parallel int) (*Bisection, error) {
	parents := make(map[string][]string, len(nodes))
	for _, n := range nodes {
		parents[n.Hash] = n.Parents
	}
	if _, ok := parents[bad]; !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "bisect_unknown", "the history does not hold the bad version %.12s", bad)
	}
	excluded := map[string]bool{}
	exclude := func(h string) { reach(parents, h, excluded, nil) }
	for _, h := range good {
		exclude(h)
	}
	for h, o := range outcomes {
		if o == Good {
			exclude(h)
		}
	}
	if excluded[bad] {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "bisect_contradiction", "version %.12s is bad, and an ancestor of a good one", bad).
			WithHint("swap good and bad to find what repaired it")
	}
	suspects := ancestors(parents, bad, excluded)
	for narrowed := true; narrowed; {
		narrowed = false
		for _, h := range suspects {
			if outcomes[h] == Bad && h != bad {
				bad, narrowed = h, true
				suspects = ancestors(parents, bad, excluded)
				break
			}
		}
	}
	b := &Bisection{Suspects: order(parents, suspects)}
	if len(suspects) == 1 {
		b.First = bad
		return b, nil
	}
	// Of each suspect, how many suspects it has below it, itself included.
	in := map[string]bool{}
	for _, h := range suspects {
		in[h] = true
	}
	type choice struct {
		hash         string
		below, worth int
	}
	var open []choice
	for _, h := range b.Suspects {
		if h == bad || outcomes[h] == Skip {
			continue
		}
		n := len(within(parents, h, in))
		open = append(open, choice{h, n, min(n, len(suspects)-n)})
	}
	for n := len(suspects); n > 1; n = (n + 1) / 2 {
		b.Steps++
	}
	if len(open) == 0 {
		b.Steps = 0
		return b, nil
	}
	// The first one halves what is left, whatever comes of it; those that run beside
	// it divide the halves.
	for i := range max(1, parallel) {
		if len(open) == 0 {
			break
		}
		parts := max(1, parallel) + 1
		target := len(suspects) * (i + 1) / parts
		if parallel <= 1 {
			target = len(suspects) / 2
		}
		best := slices.MinFunc(open, func(x, y choice) int {
			return cmp.Or(cmp.Compare(distance(x.below, target), distance(y.below, target)), cmp.Compare(y.worth, x.worth))
		})
		b.Next = append(b.Next, best.hash)
		open = slices.DeleteFunc(open, func(c choice) bool { return c.hash == best.hash })
	}
	return b, nil
}

// Bases returns the nearest common ancestors of a good version and the bad one: none
// where the good one is itself an ancestor of the bad one. A bisection takes for
// granted that they are good; where they are bad, the good version was repaired.
func Bases(nodes []Node, good, bad string) []string {
	parents := make(map[string][]string, len(nodes))
	for _, n := range nodes {
		parents[n.Hash] = n.Parents
	}
	ofBad := map[string]bool{}
	reach(parents, bad, ofBad, nil)
	if ofBad[good] {
		return nil
	}
	common := map[string]bool{}
	ofGood := map[string]bool{}
	reach(parents, good, ofGood, nil)
	for h := range ofGood {
		if ofBad[h] {
			common[h] = true
		}
	}
	below := map[string]bool{} // what is an ancestor of another common one
	for h := range common {
		for _, p := range parents[h] {
			below[p] = true
		}
	}
	var out []string
	for h := range common {
		if !below[h] {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out
}

func distance(a, b int) int { return max(a-b, b-a) }

// reach marks a version and its ancestors, as far as allowed, unless it is nil.
func reach(parents map[string][]string, from string, seen, allowed map[string]bool) {
	stack := []string{from}
	for len(stack) > 0 {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[h] || allowed != nil && !allowed[h] {
			continue
		}
		seen[h] = true
		stack = append(stack, parents[h]...)
	}
}

// ancestors returns a version and those of its ancestors that are not excluded.
func ancestors(parents map[string][]string, from string, excluded map[string]bool) []string {
	seen := map[string]bool{}
	stack := []string{from}
	var out []string
	for len(stack) > 0 {
		h := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if _, known := parents[h]; seen[h] || excluded[h] || !known {
			continue
		}
		seen[h] = true
		out = append(out, h)
		stack = append(stack, parents[h]...)
	}
	return out
}

func within(parents map[string][]string, from string, in map[string]bool) map[string]bool {
	seen := map[string]bool{}
	reach(parents, from, seen, in)
	return seen
}

// order sorts versions so that parents come before their children.
func order(parents map[string][]string, hashes []string) []string {
	in := map[string]bool{}
	for _, h := range hashes {
		in[h] = true
	}
	depth := map[string]int{}
	type frame struct {
		hash string
		next int
	}
	for _, h := range hashes {
		stack := []frame{{hash: h}}
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if _, done := depth[f.hash]; done {
				stack = stack[:len(stack)-1]
				continue
			}
			ps := parents[f.hash]
			if f.next < len(ps) {
				f.next++
				if p := ps[f.next-1]; in[p] {
					stack = append(stack, frame{hash: p})
				}
				continue
			}
			d := 0
			for _, p := range ps {
				if in[p] {
					d = max(d, depth[p]+1)
				}
			}
			depth[f.hash] = d
		}
	}
	out := slices.Clone(hashes)
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(depth[a], depth[b]), cmp.Compare(a, b)) })
	return out
}
