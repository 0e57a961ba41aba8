// Package closure computes over the closure of an environment: everything in the
// Nix store that it needs to run.
//
// The package is pure. A [Graph] does not change once made, and is safe for
// concurrent use.
package closure

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Digest returns the proof of a closure's content: the SHA-256, in lower-case
// hex, of one line "<path> <nar hash>\n" for each path, sorted by path. The order
// of infos does not matter.
func Digest(infos []nixspace.PathInfo) string {
	lines := make([]string, len(infos))
	for i, p := range infos {
		lines[i] = p.Path + " " + p.NarHash + "\n"
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		io.WriteString(h, l) //nolint:errcheck // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Size returns the bytes of all NARs of infos.
func Size(infos []nixspace.PathInfo) int64 {
	var n int64
	for _, p := range infos {
		n += p.NarSize
	}
	return n
}

// Graph is a set of store paths with their references.
type Graph struct {
	infos []nixspace.PathInfo // sorted by path
	index map[string]int32
	refs  [][]int32 // by index, without a path's reference to itself
}

// New returns the graph of infos. It fails where a path is given twice, or where
// one refers to a path that is not given: the set must be closed.
func New(infos []nixspace.PathInfo) (*Graph, error) {
	g := &Graph{
		infos: slices.Clone(infos),
		index: make(map[string]int32, len(infos)),
		refs:  make([][]int32, len(infos)),
	}
	slices.SortFunc(g.infos, func(a, b nixspace.PathInfo) int { return strings.Compare(a.Path, b.Path) })
	for i, p := range g.infos {
		if _, twice := g.index[p.Path]; twice {
			return nil, fmt.Errorf("closure: %s is given twice", p.Path)
		}
		g.index[p.Path] = int32(i)
	}
	for i, p := range g.infos {
		for _, r := range p.References {
			j, ok := g.index[r]
			if !ok {
				return nil, fmt.Errorf("closure: %s refers to %s, which is not in it", p.Path, r)
			}
			if int(j) != i {
				g.refs[i] = append(g.refs[i], j)
			}
		}
	}
	return g, nil
}

// Paths returns every path, sorted.
func (g *Graph) Paths() []string {
	out := make([]string, len(g.infos))
	for i, p := range g.infos {
		out[i] = p.Path
	}
	return out
}

// Closure returns what the roots need, themselves included, sorted by path. It
// fails where a root is not in the graph.
func (g *Graph) Closure(roots ...string) ([]nixspace.PathInfo, error) {
	set := g.newSet()
	for _, r := range roots {
		if err := g.reach(set, r); err != nil {
			return nil, err
		}
	}
	var out []nixspace.PathInfo
	for i, in := range set {
		if in {
			out = append(out, g.infos[i])
		}
	}
	return out, nil
}

// set holds for each path of a graph, by index, whether it is in.
type set []bool

func (g *Graph) newSet() set { return make(set, len(g.infos)) }

// reach adds the closure of root to s.
func (g *Graph) reach(s set, root string) error {
	i, ok := g.index[root]
	if !ok {
		return fmt.Errorf("closure: %s is not in it", root)
	}
	if s[i] {
		return nil
	}
	s[i] = true
	// Not recursive: a chain of references may be as long as the graph.
	for todo := []int32{i}; len(todo) > 0; {
		i, todo = todo[len(todo)-1], todo[:len(todo)-1]
		for _, j := range g.refs[i] {
			if !s[j] {
				s[j] = true
				todo = append(todo, j)
			}
		}
	}
	return nil
}

// without removes what is in o.
func (s set) without(o set) {
	for i := range s {
		s[i] = s[i] && !o[i]
	}
}

func (s set) with(o set) {
	for i := range s {
		s[i] = s[i] || o[i]
	}
}

func (g *Graph) pathsOf(s set) (paths []string, size int64) {
	for i, in := range s {
		if in {
			paths = append(paths, g.infos[i].Path)
			size += g.infos[i].NarSize
		}
	}
	return paths, size
}
