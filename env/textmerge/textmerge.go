// Package textmerge merges texts that NixSpace does not understand, line by line, as
// version control does. It is pure.
package textmerge

import (
	"slices"
	"strings"
)

// Merged is the result of [Merge].
type Merged struct {
	// Text is the merge. Where the sides conflict it has both, and what they
	// started from, between markers.
	Text string
	// Conflicts is how many such places there are.
	Conflicts int
}

// The markers of a conflict, each at the beginning of a line of its own.
const (
	MarkOurs   = "<<<<<<< ours"
	MarkBase   = "||||||| base"
	MarkMiddle = "======="
	MarkTheirs = ">>>>>>> theirs"
)

// Side says what becomes of a conflict.
type Side int

// The sides.
const (
	Neither Side = iota // markers
	Ours
	Theirs
)

// Merge makes in ours what theirs changed since base. It is symmetric: where nothing
// conflicts, the sides may be exchanged; otherwise the same places conflict. Changes
// to neighbouring lines conflict, because nobody knows whether they go together.
func Merge(base, ours, theirs string, prefer Side) Merged {
	b, o, t := split(base), split(ours), split(theirs)
	toOurs, toTheirs := match(b, o), match(b, t)
	var out strings.Builder
	m := Merged{}
	bi, oi, ti := 0, 0, 0
	for {
		// What is the same in all three goes as it is.
		for bi < len(b) && toOurs[bi] == oi && toTheirs[bi] == ti {
			out.WriteString(b[bi])
			bi, oi, ti = bi+1, oi+1, ti+1
		}
		if bi == len(b) && oi == len(o) && ti == len(t) {
			m.Text = out.String()
			return m
		}
		// Then comes a piece up to the next line that both sides kept.
		be, oe, te := bi, len(o), len(t)
		for ; be < len(b); be++ {
			if toOurs[be] >= 0 && toTheirs[be] >= 0 {
				oe, te = toOurs[be], toTheirs[be]
				break
			}
		}
		m.piece(&out, b[bi:be], o[oi:oe], t[ti:te], prefer)
		bi, oi, ti = be, oe, te
	}
}

func (m *Merged) piece(out *strings.Builder, b, o, t []string, prefer Side) {
	write := func(lines []string) {
		for _, l := range lines {
			out.WriteString(l)
		}
	}
	marked := func(mark string, lines []string) {
		out.WriteString(mark + "\n")
		write(lines)
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			out.WriteByte('\n')
		}
	}
	switch {
	case slices.Equal(o, t), slices.Equal(b, t):
		write(o)
	case slices.Equal(b, o):
		write(t)
	case prefer == Ours:
		write(o)
	case prefer == Theirs:
		write(t)
	default:
		m.Conflicts++
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteByte('\n')
		}
		marked(MarkOurs, o)
		marked(MarkBase, b)
		marked(MarkMiddle, t)
		out.WriteString(MarkTheirs + "\n")
	}
}

// HasMarkers reports whether a text has a line that begins as a conflict does.
func HasMarkers(text string) bool {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, "<<<<<<< ") || strings.HasPrefix(l, ">>>>>>> ") {
			return true
		}
	}
	return false
}

// Count returns how many lines a change adds and removes.
func Count(from, to string) (added, removed int) {
	a, b := split(from), split(to)
	kept := 0
	for _, j := range match(a, b) {
		if j >= 0 {
			kept++
		}
	}
	return len(b) - kept, len(a) - kept
}

// split returns the lines of a text with their ends.
func split(text string) []string {
	return slices.Collect(strings.Lines(text))
}

// maxDistance bounds how different two texts may be for their common lines to be
// found one by one. The work grows with its square.
const maxDistance = 1500

// match returns, for each line of a, its place in b, and -1 for a line that b does
// not have there: a longest common subsequence (E. Myers, "An O(ND) Difference
// Algorithm", 1986). Of texts that are very different only the beginning and the end
// are compared.
func match(a, b []string) []int {
	to := make([]int, len(a))
	for i := range to {
		to[i] = -1
	}
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		to[start] = start
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
		to[endA] = endB
	}
	middle(a[start:endA], b[start:endB], func(i, j int) { to[start+i] = start + j })
	return to
}

// middle calls pair for the lines that a and b have in common.
func middle(a, b []string, pair func(i, j int)) {
	n, m := len(a), len(b)
	if n == 0 || m == 0 {
		return
	}
	limit := min(n+m, maxDistance)
	offset := limit + 1
	furthest := make([]int, 2*limit+3)
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(furthest[offset-d-1:offset+d+2]))
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || k != d && furthest[offset+k-1] < furthest[offset+k+1] {
				x = furthest[offset+k+1]
			} else {
				x = furthest[offset+k-1] + 1
			}
			y := x - k
			for x < n && y < m && a[x] == b[y] {
				x, y = x+1, y+1
			}
			furthest[offset+k] = x
			if x >= n && y >= m {
				back(trace, n, m, pair)
				return
			}
		}
	}
}

// back walks the way that was found, from its end.
func back(trace [][]int, x, y int, pair func(i, j int)) {
	for d := len(trace) - 1; d >= 0; d-- {
		v := trace[d] // the furthest places for k from -d-1 to d+1
		at := func(k int) int { return v[k+d+1] }
		k := x - y
		before := k - 1
		if k == -d || k != d && at(k-1) < at(k+1) {
			before = k + 1
		}
		px := at(before)
		py := px - before
		if d == 0 {
			px, py = 0, 0
		}
		for x > px && y > py {
			x, y = x-1, y-1
			pair(x, y)
		}
		x, y = px, py
	}
}
