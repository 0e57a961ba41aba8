package closure

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Package is a package that gets a layer of its own.
type Package struct {
	Attr    string // nixpkgs' attribute, "postgresql_15"
	OutPath string
}

// MinLayers is the least number of layers that [Layers] can do with.
const MinLayers = 3

// Layers divides what an environment needs into at most most layers, in the
// order in which they are mounted:
//
//   - "base", the closure of the base system;
//   - one layer for each package, named by its attribute: its closure without the
//     base. It depends on nothing else, so two environments that have the package
//     have the layer. A path that two packages need is in both layers.
//   - "environment", the rest: the environment's own path.
//
// Where there are more packages than layers, the smaller ones share the layers
// "packages-1" and so on. Which of them a package is in depends on its attribute
// without the version, and packages are compared by the magnitude of their size,
// so that another version of one package changes one layer.
//
// Layers without a path are left out. It fails where most is less than
// [MinLayers] or a path is not in the graph.
func Layers(g *Graph, base string, packages []Package, environment string, most int) ([]nixspace.StoreLayer, error) {
	if most < MinLayers {
		return nil, fmt.Errorf("closure: %d layers are too few", most)
	}
	baseSet := g.newSet()
	if err := g.reach(baseSet, base); err != nil {
		return nil, err
	}
	covered := slices.Clone(baseSet)
	var own []packageLayer
	for _, p := range packages {
		s := g.newSet()
		if err := g.reach(s, p.OutPath); err != nil {
			return nil, err
		}
		s.without(baseSet)
		covered.with(s)
		if paths, size := g.pathsOf(s); len(paths) > 0 {
			own = append(own, packageLayer{attr: p.Attr, set: s, paths: paths, magnitude: bits.Len64(uint64(size))})
		}
	}
	rest := g.newSet()
	if err := g.reach(rest, environment); err != nil {
		return nil, err
	}
	rest.without(covered)

	var layers []nixspace.StoreLayer
	add := func(name string, s set) {
		if paths, _ := g.pathsOf(s); len(paths) > 0 {
			layers = append(layers, nixspace.StoreLayer{Name: name, Paths: paths})
		}
	}
	add("base", baseSet)
	own, shared := divide(own, most-2)
	for _, p := range own {
		layers = append(layers, nixspace.StoreLayer{Name: p.attr, Paths: p.paths})
	}
	for i, ps := range shared {
		s := g.newSet()
		for _, p := range ps {
			s.with(p.set)
		}
		add(fmt.Sprintf("packages-%d", i+1), s)
	}
	add("environment", rest)
	return layers, nil
}

// packageLayer is what one package needs beyond the base.
type packageLayer struct {
	attr      string
	set       set
	paths     []string
	magnitude int // the number of binary digits of its size
}

// divide decides which packages have a layer of their own, sorted by attribute,
// and which share one, so that there are at most slots layers.
func divide(ps []packageLayer, slots int) (own []packageLayer, shared [][]packageLayer) {
	byAttr := func(a, b packageLayer) int { return strings.Compare(a.attr, b.attr) }
	if len(ps) <= slots {
		slices.SortStableFunc(ps, byAttr)
		return ps, nil
	}
	shared = make([][]packageLayer, max(1, slots/3))
	slices.SortStableFunc(ps, func(a, b packageLayer) int {
		return cmp.Or(cmp.Compare(b.magnitude, a.magnitude), strings.Compare(stem(a.attr), stem(b.attr)), byAttr(a, b))
	})
	alone := slots - len(shared)
	for _, p := range ps[alone:] {
		h := fnv.New32a()
		h.Write([]byte(stem(p.attr))) //nolint:errcheck // a hash never fails
		i := int(h.Sum32() % uint32(len(shared)))
		shared[i] = append(shared[i], p)
	}
	own = ps[:alone]
	slices.SortStableFunc(own, byAttr)
	return own, shared
}

// stem is an attribute without the version that nixpkgs puts at its end:
// "postgresql" of postgresql_15, "go" of go_1_27, "python" of python313.
func stem(attr string) string { return strings.TrimRight(attr, "_0123456789") }
