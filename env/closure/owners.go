package closure

import (
	"encoding/binary"
	"slices"
	"strings"
)

// own finds the roots that need each changed path.
//
// A path that the other side has brings its whole closure along, so a changed
// path is only reached over changed ones, and only those have to be looked at.
// (Where a build is not reproducible that may be otherwise: such a path then has
// fewer owners, or none.)
func (c *compared) own() {
	c.owners = make([]string, len(c.infos))
	if c.Graph == nil {
		return
	}
	words := (len(c.Roots) + 63) / 64
	masks := make([]uint64, len(c.infos)*words)
	mask := func(i int32) []uint64 { return masks[int(i)*words : (int(i)+1)*words] }
	roots := slices.Clone(c.Roots)
	slices.SortFunc(roots, func(a, b Root) int { return strings.Compare(a.Name, b.Name) })
	var start []int32
	for n, r := range roots {
		if i, ok := c.Graph.index[r.Path]; ok && c.changed[i] {
			mask(i)[n/64] |= 1 << (n % 64)
			start = append(start, i)
		}
	}
	order := c.Graph.topological(start, c.changed)
	position := make([]int, len(c.infos))
	for at, i := range order {
		position[i] = at
	}
	// One round is enough unless references make a circle, which Nix does not
	// build, but data from elsewhere may have.
	for again := true; again; {
		again = false
		for at, i := range order {
			from := mask(i)
			for _, j := range c.Graph.refs[i] {
				if c.changed[j] && join(mask(j), from) && position[j] < at {
					again = true
				}
			}
		}
	}
	known := map[string]string{} // equal sets of owners share one string
	var key []byte
	for i, in := range c.changed {
		if !in {
			continue
		}
		key = key[:0]
		for _, m := range mask(int32(i)) {
			key = binary.LittleEndian.AppendUint64(key, m)
		}
		owners, ok := known[string(key)]
		if !ok {
			owners = ownerNames(roots, mask(int32(i)))
			known[string(key)] = owners
		}
		c.owners[i] = owners
	}
}

// join adds from to the set to, and reports whether that changed it.
func join(to, from []uint64) (changed bool) {
	for w := range from {
		if from[w]&^to[w] != 0 {
			to[w] |= from[w]
			changed = true
		}
	}
	return changed
}

func ownerNames(roots []Root, mask []uint64) string {
	var names []string
	for n, r := range roots {
		if mask[n/64]&(1<<(n%64)) != 0 {
			names = append(names, r.Name)
		}
	}
	return strings.Join(names, "\x00")
}

func splitOwners(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\x00")
}

// topological returns what can be reached from start inside of in, each path
// before those that it refers to as far as there are no circles.
func (g *Graph) topological(start []int32, in set) []int32 {
	type frame struct {
		i    int32
		next int
	}
	seen := g.newSet()
	var out []int32
	for _, s := range start {
		if seen[s] {
			continue
		}
		seen[s] = true
		for stack := []frame{{i: s}}; len(stack) > 0; {
			f := &stack[len(stack)-1]
			if f.next == len(g.refs[f.i]) {
				out = append(out, f.i)
				stack = stack[:len(stack)-1]
				continue
			}
			j := g.refs[f.i][f.next]
			f.next++
			if in[j] && !seen[j] {
				seen[j] = true
				stack = append(stack, frame{i: j})
			}
		}
	}
	slices.Reverse(out)
	return out
}
