package search

import "slices"

// Minimum is how far a search for the smallest bad part of a change is.
type Minimum struct {
	// Next are the parts to try, each a sorted list of indices: any of them may run
	// at once. It is empty once the search has ended.
	Next [][]int
	// Smallest is the smallest part that is known to be bad. Once the search has
	// ended, no element can be left out of it such that a trial still says bad.
	Smallest []int
	// Tried is how many different parts had to be known to get here.
	Tried int
}

// Minimize searches the smallest part of a change of n elements that is bad, given
// that all of it is bad and nothing of it is good, by delta debugging (Zeller's
// ddmin). known returns what a trial of a part said, and whether there was one. Of
// the parts that it needs to know next, it returns up to parallel.
func Minimize(n int, known func(part []int) (Outcome, bool), parallel int) Minimum {
	m := Minimum{Smallest: make([]int, n)}
	for i := range m.Smallest {
		m.Smallest[i] = i
	}
	seen := map[string]bool{}
	grain := 2
	for len(m.Smallest) > 1 {
		chunks := split(m.Smallest, grain)
		var parts [][]int
		parts = append(parts, chunks...)
		if grain > 2 { // of two halves, each is the other's complement
			for _, c := range chunks {
				parts = append(parts, without(m.Smallest, c))
			}
		}
		found := false
		for i, p := range parts {
			o, ok := known(p)
			if !ok {
				m.Next = append(m.Next, p)
				for _, q := range parts[i+1:] {
					if len(m.Next) >= max(1, parallel) {
						break
					}
					if _, ok := known(q); !ok {
						m.Next = append(m.Next, q)
					}
				}
				m.Tried = len(seen)
				return m
			}
			seen[key(p)] = true
			if o != Bad {
				continue
			}
			if i < len(chunks) {
				grain = 2
			} else {
				grain = max(grain-1, 2)
			}
			m.Smallest, found = p, true
			break
		}
		if found {
			continue
		}
		if grain >= len(m.Smallest) {
			break
		}
		grain = min(2*grain, len(m.Smallest))
	}
	m.Tried = len(seen)
	return m
}

// split divides a list into n parts of about one size.
func split(list []int, n int) [][]int {
	n = min(n, len(list))
	out := make([][]int, n)
	for i := range n {
		out[i] = list[len(list)*i/n : len(list)*(i+1)/n]
	}
	return out
}

func without(list, part []int) []int {
	out := make([]int, 0, len(list)-len(part))
	for _, x := range list {
		if !slices.Contains(part, x) {
			out = append(out, x)
		}
	}
	return out
}

func key(part []int) string {
	b := make([]byte, 0, 2*len(part))
	for _, x := range part {
		b = append(b, byte(x>>8), byte(x))
	}
	return string(b)
}
