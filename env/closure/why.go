package closure

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Step is one line of the tree that says why something is in a closure.
type Step struct {
	Depth int // 0 for a root
	Path  string
	Size  int64 // bytes of its NAR
	// Target says that it is what was asked about.
	Target bool
	// Repeated says that what is below stands further up in the tree already.
	Repeated bool
}

// Find returns the paths that what names, sorted: a store path, its base name, the
// beginning of its hash (of 7 characters at least), a package's name
// ("openssl"), with its output ("openssl-dev") or its version ("openssl-3.0.1").
func (g *Graph) Find(what string) []string {
	what = strings.TrimPrefix(what, nixspace.StoreDir+"/")
	what, _, _ = strings.Cut(what, "/") // a file in a path
	if what == "" {
		return nil
	}
	var byHash, byName []string
	for _, p := range g.infos {
		base := strings.TrimPrefix(p.Path, nixspace.StoreDir+"/")
		n := ParseName(base)
		switch {
		case base == what:
			return []string{p.Path}
		case len(what) >= 7 && len(what) <= 32 && strings.HasPrefix(base, what):
			byHash = append(byHash, p.Path)
		case nixspace.StorePathName(p.Path) == what, n.Package == what, n.String() == what:
			byName = append(byName, p.Path)
		}
	}
	if len(byName) > 0 {
		return byName
	}
	return byHash
}

// Names returns the name of every package, sorted.
func (g *Graph) Names() []string {
	var out []string
	for _, p := range g.infos {
		out = append(out, ParseName(p.Path).Package)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Why returns the shortest chain of references from one of the roots to target:
// the first root wins where several are as near. With all, it returns the tree of
// every reference that leads there, in which what was shown once is not shown
// again. It returns nothing where no root reaches the target, and fails where a
// path is not in the graph.
func (g *Graph) Why(target string, all bool, roots ...string) ([]Step, error) {
	t, ok := g.index[target]
	if !ok {
		return nil, fmt.Errorf("closure: %s is not in it", target)
	}
	var start []int32
	for _, r := range roots {
		i, ok := g.index[r]
		if !ok {
			return nil, fmt.Errorf("closure: %s is not in it", r)
		}
		if !slices.Contains(start, i) {
			start = append(start, i)
		}
	}
	far := g.distances(t)
	best := int32(-1)
	for _, i := range start {
		if far[i] >= 0 && (best < 0 || far[i] < far[best]) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	if !all {
		return g.chain(best, t, far), nil
	}
	return g.tree(start, t, far), nil
}

// distances returns for each path how many references it is away from target;
// -1 where it does not reach it.
func (g *Graph) distances(target int32) []int {
	referrers := make([][]int32, len(g.infos))
	for i, refs := range g.refs {
		for _, j := range refs {
			referrers[j] = append(referrers[j], int32(i))
		}
	}
	far := make([]int, len(g.infos))
	for i := range far {
		far[i] = -1
	}
	far[target] = 0
	for todo := []int32{target}; len(todo) > 0; todo = todo[1:] {
		for _, i := range referrers[todo[0]] {
			if far[i] < 0 {
				far[i] = far[todo[0]] + 1
				todo = append(todo, i)
			}
		}
	}
	return far
}

func (g *Graph) step(i, target int32, depth int) Step {
	return Step{Depth: depth, Path: g.infos[i].Path, Size: g.infos[i].NarSize, Target: i == target}
}

// chain follows the references that come nearer; of several, the first by path.
func (g *Graph) chain(i, target int32, far []int) []Step {
	out := []Step{g.step(i, target, 0)}
	for i != target {
		for _, j := range g.byName(i) {
			if far[j] == far[i]-1 {
				i = j
				break
			}
		}
		out = append(out, g.step(i, target, len(out)))
	}
	return out
}

// byName returns the references of a path by their names, so that the result does
// not depend on hashes.
func (g *Graph) byName(i int32) []int32 {
	out := slices.Clone(g.refs[i])
	slices.SortStableFunc(out, func(a, b int32) int {
		return strings.Compare(nixspace.StorePathName(g.infos[a].Path), nixspace.StorePathName(g.infos[b].Path))
	})
	return out
}

// tree returns all that leads to target, what is nearest first.
func (g *Graph) tree(start []int32, target int32, far []int) []Step {
	type todo struct {
		i     int32
		depth int
	}
	var out []Step
	var stack []todo
	push := func(is []int32, depth int) {
		is = slices.DeleteFunc(slices.Clone(is), func(i int32) bool { return far[i] < 0 })
		slices.SortStableFunc(is, func(a, b int32) int { return far[b] - far[a] })
		for _, i := range is {
			stack = append(stack, todo{i, depth})
		}
	}
	reverse := slices.Clone(start)
	slices.Reverse(reverse)
	push(reverse, 0)
	seen := g.newSet()
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		s := g.step(at.i, target, at.depth)
		s.Repeated = seen[at.i] && at.i != target
		out = append(out, s)
		if seen[at.i] || at.i == target {
			continue
		}
		seen[at.i] = true
		below := g.byName(at.i)
		slices.Reverse(below)
		push(below, at.depth+1)
	}
	return out
}

// Name returns the name of the step's package, and of the output.
func (s Step) Name() string { return ParseName(s.Path).String() }

// Version returns the version of the step's package; empty where it has none.
func (s Step) Version() string { return ParseName(s.Path).Version }
