package closure

import (
	"cmp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Root is something that an environment was asked to have: a package of its
// manifest, or the base system.
type Root struct {
	// Name says which roots of two environments are the same thing: the family,
	// "postgresql". It is unique in an environment.
	Name string
	Attr string // nixpkgs' attribute, "postgresql_15"; empty for the base system
	Path string
}

// Side is one of two closures that are compared. Its zero value is an empty one.
type Side struct {
	Graph *Graph // the closures of Env and all roots, and no more
	Roots []Root
	Env   string // the environment's own path
}

// Total is how large a closure is.
type Total struct {
	Paths int
	Size  int64 // bytes of all NARs
}

// Diff is what changed from one closure to another. Equal arguments give equal
// diffs, in the same order.
type Diff struct {
	From, To Total
	// Packages are those of which any path changed, by name. The environment
	// itself is none.
	Packages []PackageChange
	// Paths are all that came, went, or were replaced by another of the same name,
	// by the change of size: what grew most first.
	Paths []PathChange
	// Causes divides the growth of the closure among those that asked for it. No
	// path is counted twice, so they add up to To.Size - From.Size. What changed
	// most comes first.
	Causes []Cause
}

// Growth returns by how many bytes the closure grew; it is negative where it shrank.
func (d *Diff) Growth() int64 { return d.To.Size - d.From.Size }

// ChangeKind says what happened to a package.
type ChangeKind string

// The kinds of change.
const (
	Added      ChangeKind = "added"
	Removed    ChangeKind = "removed"
	Upgraded   ChangeKind = "upgraded"
	Downgraded ChangeKind = "downgraded"
	// Rebuilt is the same version with another content, or made otherwise: a
	// dependency of it has changed, or how it is built.
	Rebuilt ChangeKind = "rebuilt"
)

// PackageChange is what happened to all paths of one package name.
type PackageChange struct {
	Kind     ChangeKind
	Name     string
	From, To []string // versions, oldest first; more than one where a closure has several
	FromSize int64    // bytes of all NARs
	ToSize   int64
	// Asked says that the manifest of either side names the package itself.
	Asked bool
}

// PathChange is what happened to one store path. Where one path took the place of
// another of the same name, From and To are both set.
type PathChange struct {
	Kind        ChangeKind
	Name        string // without the version: "openssl-dev"
	From, To    string // absolute paths
	FromVersion string
	ToVersion   string
	FromSize    int64
	ToSize      int64
	// Via names the roots that need it: of To's closure, or of From's where it
	// went. Empty for the environment itself.
	Via []string
}

// Growth returns by how many bytes the path grew.
func (c *PathChange) Growth() int64 { return c.ToSize - c.FromSize }

// Cause is a part of the growth.
type Cause struct {
	// Roots are those that need the paths: one, or several that share them. Empty
	// for the environment itself.
	Roots   []string
	Added   int64 // bytes that came
	Removed int64 // bytes that went
	// Paths are indices into [Diff.Paths], in its order: of what changed for these
	// roots in either closure.
	Paths []int
}

// Growth returns what the cause adds to the closure.
func (c *Cause) Growth() int64 { return c.Added - c.Removed }

// Compare returns what changed from a to b.
func Compare(a, b Side) *Diff {
	from, to := newCompared(a), newCompared(b)
	from.changed, to.changed = from.missing(to), to.missing(from)
	from.own()
	to.own()
	d := &Diff{From: from.total(), To: to.total()}
	d.Packages = packages(from, to)
	d.paths(from, to)
	return d
}

// compared is one side of a comparison.
type compared struct {
	Side
	infos   []nixspace.PathInfo
	names   []Name
	changed set      // paths that the other side does not have
	owners  []string // for each changed path: the names of its roots, joined with NUL
	asked   map[string]bool
}

func newCompared(s Side) *compared {
	c := &compared{Side: s, asked: map[string]bool{}}
	if s.Graph != nil {
		c.infos = s.Graph.infos
	}
	c.names = make([]Name, len(c.infos))
	for i, p := range c.infos {
		c.names[i] = ParseName(p.Path)
	}
	for _, r := range s.Roots {
		if r.Attr != "" {
			c.asked[ParseName(r.Path).Package] = true
		}
	}
	return c
}

func (c *compared) total() Total { return Total{Paths: len(c.infos), Size: Size(c.infos)} }

// missing returns the paths of c that o has not, or with another content: a path
// whose build is not reproducible may be both here and there.
func (c *compared) missing(o *compared) set {
	out := make(set, len(c.infos))
	j := 0
	for i, p := range c.infos {
		for j < len(o.infos) && o.infos[j].Path < p.Path {
			j++
		}
		out[i] = j == len(o.infos) || o.infos[j].Path != p.Path || o.infos[j].NarHash != p.NarHash
	}
	return out
}

func (c *compared) isEnv(i int) bool { return c.infos[i].Path == c.Env }

// versions are the paths of one package name in one closure.
type versions struct {
	list    []string
	size    int64
	changed bool
}

func (c *compared) byPackage() map[string]*versions {
	out := make(map[string]*versions, len(c.infos))
	for i, n := range c.names {
		if c.isEnv(i) {
			continue
		}
		v := out[n.Package]
		if v == nil {
			v = &versions{}
			out[n.Package] = v
		}
		if !slices.Contains(v.list, n.Version) {
			v.list = append(v.list, n.Version)
		}
		v.size += c.infos[i].NarSize
		v.changed = v.changed || c.changed[i]
	}
	for _, v := range out {
		slices.SortFunc(v.list, orderVersions)
	}
	return out
}

func orderVersions(a, b string) int { return cmp.Or(CompareVersions(a, b), strings.Compare(a, b)) }

func packages(from, to *compared) []PackageChange {
	var out []PackageChange
	old, now := from.byPackage(), to.byPackage()
	add := func(name string, a, b *versions) {
		c := PackageChange{Name: name, Asked: from.asked[name] || to.asked[name]}
		if a != nil {
			c.From, c.FromSize = a.list, a.size
		}
		if b != nil {
			c.To, c.ToSize = b.list, b.size
		}
		c.Kind = kindOf(a != nil, b != nil, c.From, c.To)
		out = append(out, c)
	}
	for name, a := range old {
		if b := now[name]; b == nil || a.changed || b.changed {
			add(name, a, b)
		}
	}
	for name, b := range now {
		if old[name] == nil {
			add(name, nil, b)
		}
	}
	slices.SortFunc(out, func(a, b PackageChange) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func kindOf(was, is bool, from, to []string) ChangeKind {
	switch {
	case !was:
		return Added
	case !is:
		return Removed
	case slices.Equal(from, to):
		return Rebuilt
	}
	// The newest version decides; where it is the same, all that is below it.
	for i := 1; i <= min(len(from), len(to)); i++ {
		if c := orderVersions(from[len(from)-i], to[len(to)-i]); c < 0 {
			return Upgraded
		} else if c > 0 {
			return Downgraded
		}
	}
	if len(from) < len(to) {
		return Upgraded
	}
	return Downgraded
}

func (c *PathChange) kind() ChangeKind {
	switch {
	case c.From == "":
		return Added
	case c.To == "":
		return Removed
	}
	switch v := orderVersions(c.FromVersion, c.ToVersion); {
	case v < 0:
		return Upgraded
	case v > 0:
		return Downgraded
	}
	return Rebuilt
}

// pair is two paths of the same name, by index; -1 is none.
type pair struct{ from, to int }

// pairs joins the changed paths of both sides by name and output, in the order of
// their versions.
func pairs(from, to *compared) []pair {
	type key struct{ pkg, output string }
	group := func(c *compared) map[key][]int {
		n := 0
		for _, in := range c.changed {
			if in {
				n++
			}
		}
		out := make(map[key][]int, n)
		for i, in := range c.changed {
			if in && !c.isEnv(i) {
				k := key{c.names[i].Package, c.names[i].Output}
				out[k] = append(out[k], i)
			}
		}
		for _, is := range out {
			if len(is) == 1 {
				continue
			}
			slices.SortFunc(is, func(i, j int) int {
				return cmp.Or(orderVersions(c.names[i].Version, c.names[j].Version), cmp.Compare(i, j))
			})
		}
		return out
	}
	old, now := group(from), group(to)
	out := make([]pair, 0, len(old)+len(now)+1)
	for k, is := range old {
		js := now[k]
		for n, i := range is {
			if n < len(js) {
				out = append(out, pair{i, js[n]})
			} else {
				out = append(out, pair{i, -1})
			}
		}
	}
	for k, js := range now {
		for n := len(old[k]); n < len(js); n++ {
			out = append(out, pair{-1, js[n]})
		}
	}
	env := pair{from.changedEnv(), to.changedEnv()}
	if env.from >= 0 || env.to >= 0 {
		out = append(out, env)
	}
	return out
}

// changedEnv returns the index of the environment if it changed, else -1.
func (c *compared) changedEnv() int {
	if c.Graph == nil {
		return -1
	}
	if i, ok := c.Graph.index[c.Env]; ok && c.changed[i] {
		return int(i)
	}
	return -1
}

// paths fills in d.Paths and d.Causes.
func (d *Diff) paths(from, to *compared) {
	ps := pairs(from, to)
	changes := make([]PathChange, len(ps))
	split := map[string][]string{} // few sets of owners, of many paths
	via := func(owners string) []string {
		names, ok := split[owners]
		if !ok {
			names = splitOwners(owners)
			split[owners] = names
		}
		return names
	}
	for n, p := range ps {
		c := &changes[n]
		if i := p.from; i >= 0 {
			c.Name, c.From, c.FromVersion, c.FromSize = from.names[i].String(), from.infos[i].Path, from.names[i].Version, from.infos[i].NarSize
			c.Via = via(from.owners[i])
		}
		if i := p.to; i >= 0 {
			c.Name, c.To, c.ToVersion, c.ToSize = to.names[i].String(), to.infos[i].Path, to.names[i].Version, to.infos[i].NarSize
			c.Via = via(to.owners[i])
		}
		c.Kind = c.kind()
	}
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &changes[i], &changes[j]
		return cmp.Or(cmp.Compare(b.Growth(), a.Growth()), strings.Compare(a.Name, b.Name), strings.Compare(a.To, b.To), strings.Compare(a.From, b.From))
	})
	d.Paths = make([]PathChange, len(ps))
	causes := map[string]*Cause{}
	cause := func(owners string, n int) *Cause {
		c := causes[owners]
		if c == nil {
			c = &Cause{Roots: splitOwners(owners)}
			causes[owners] = c
		}
		if len(c.Paths) == 0 || c.Paths[len(c.Paths)-1] != n {
			c.Paths = append(c.Paths, n)
		}
		return c
	}
	for n, i := range order {
		d.Paths[n] = changes[i]
		if p := ps[i]; p.from >= 0 {
			cause(from.owners[p.from], n).Removed += changes[i].FromSize
		}
		if p := ps[i]; p.to >= 0 {
			cause(to.owners[p.to], n).Added += changes[i].ToSize
		}
	}
	for _, c := range causes {
		d.Causes = append(d.Causes, *c)
	}
	slices.SortFunc(d.Causes, func(a, b Cause) int {
		return cmp.Or(
			cmp.Compare(magnitude(b.Growth()), magnitude(a.Growth())),
			cmp.Compare(b.Added+b.Removed, a.Added+a.Removed),
			slices.Compare(a.Roots, b.Roots),
		)
	})
}

func magnitude(n int64) int64 { return max(n, -n) }
