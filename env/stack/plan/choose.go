package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
)

// choosePackages chooses for every family that somebody wishes for.
func (p *planner) choosePackages() {
	byFamily := map[string][]stack.Need{}
	var order []string
	for _, n := range p.needs() {
		if byFamily[n.Family] == nil {
			order = append(order, n.Family)
		}
		byFamily[n.Family] = append(byFamily[n.Family], n)
	}
	slices.Sort(order)
	for _, family := range order {
		if !slices.Contains(p.decided, family) {
			p.choose(family, byFamily[family])
		}
	}
}

// needs are the wishes for packages, and those of services that run from one.
func (p *planner) needs() []stack.Need {
	var needs []stack.Need
	for _, n := range p.report.Needs {
		if !slices.Contains(p.options.Without, n.Family) {
			needs = append(needs, n)
		}
	}
	for _, s := range p.report.Services {
		if slices.Contains(p.options.Without, s.Name) {
			continue
		}
		if substitute := p.substitute(s.Name); slices.Contains(manifest.KnownServices(), substitute) {
			n := stack.Need{Family: substitute, Constraint: s.Constraint, Weight: s.Weight, Because: s.Because, Evidence: s.Evidence}
			if substitute != s.Name {
				n.Constraint = constraint.Constraint{}
			}
			needs = append(needs, n)
		}
	}
	slices.SortStableFunc(needs, func(a, b stack.Need) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(b.Weight, a.Weight))
	})
	return needs
}

// members are the packages of a family; a name that is an attribute and no family
// is that package.
func (p *planner) members(family string) []nixspace.Package {
	var out []nixspace.Package
	for _, o := range p.offers {
		if o.Family == family {
			out = append(out, o)
		}
	}
	if out == nil {
		for _, o := range p.offers {
			if o.Attr == family {
				out = append(out, o)
			}
		}
	}
	return out
}

func versions(ps []nixspace.Package) []string {
	out := make([]string, len(ps))
	for i, o := range ps {
		out[i] = o.Version
	}
	return out
}

// choose decides between the wishes for one family, the weightiest of which stands
// first.
func (p *planner) choose(family string, needs []stack.Need) {
	members := p.members(family)
	if len(members) == 0 {
		p.lacking(family, needs)
		return
	}
	offered := versions(members)
	var all constraint.Constraint
	var basis []stack.Need // those that were followed
	for _, n := range needs {
		if n.Constraint.Any() {
			continue
		}
		if n.Constraint.Empty() {
			p.Notes = append(p.Notes, fmt.Sprintf("%s, which no version is", says(n)))
			continue
		}
		if !constraint.Agree(all, n.Constraint) {
			p.conflict(family, basis, n)
			continue
		}
		next := all.And(n.Constraint)
		if len(basis) > 0 && all.Newest(offered) >= 0 && next.Newest(offered) < 0 {
			p.Lacks = append(p.Lacks, Lack{
				Package: family, Wanted: n.Constraint.String(), Reason: says(n),
				Nearest: offered[all.Newest(offered)],
			})
			continue
		}
		all, basis = next, append(basis, n)
	}
	i := all.Newest(offered)
	exact := i >= 0
	switch {
	case all.Any():
		i = max(0, slices.IndexFunc(members, func(m nixspace.Package) bool { return m.Default }))
	case !exact:
		i = max(0, all.Nearest(offered))
		p.Lacks = append(p.Lacks, Lack{Package: family, Wanted: basis[0].Constraint.String(), Nearest: offered[i], Reason: says(basis[0])})
	}
	from := needs[0]
	if len(basis) > 0 {
		from = basis[0]
	}
	key, text := value(family, members, i, all, exact)
	p.packages[family] = Choice{
		Path: "packages." + key, Value: text, Attr: members[i].Attr, Version: members[i].Version, Reason: reasons(basis, from),
		File: from.File, Line: from.Line,
	}
}

// lineParts is how many numbers name a line of releases, where it is not one.
var lineParts = map[string]int{"go": 2, "python3": 2, "ruby": 2, "php": 2, "rustc": 2, "cargo": 2, "elixir": 2, "sqlite": 2}

// value is the version as a person would write it: the line of releases, or more
// where somebody asked for more and gets it, and as much as tells the package from
// the others. Where no version does, the key is the package's own name.
func value(family string, members []nixspace.Package, i int, c constraint.Constraint, exact bool) (key, text string) {
	parts := max(lineParts[family], 1)
	if n, ok := c.Single(); ok && exact {
		parts = max(parts, n)
	}
	numbers := strings.Split(members[i].Version, ".")
	for n := min(parts, len(numbers)); n <= len(numbers); n++ {
		text := strings.Join(numbers[:n], ".")
		mc, err := manifest.ParseConstraint(text)
		if err == nil && means(family, mc, members) == members[i].Attr {
			return family, text
		}
	}
	return members[i].Attr, "*"
}

// means returns the attribute that an entry of a manifest stands for.
func means(key string, c manifest.Constraint, members []nixspace.Package) string {
	m := &manifest.Manifest{Packages: map[string]manifest.Constraint{key: c}}
	r, err := manifest.Resolve(m, "", append(slices.Clone(members), base))
	if err != nil {
		return ""
	}
	return r.Packages[0].Attr
}

// base is the base system, which plans say nothing of and Resolve wants to be there.
var base = nixspace.Package{Attr: manifest.BaseAttr, Family: manifest.BaseAttr, Version: "1"}

// says is what one wish says, for people.
func says(n stack.Need) string {
	s := n.Evidence.String()
	if text := []rune(n.Constraint.String()); !n.Constraint.Any() && (len(text) <= 60 || n.Because == "") {
		if len(text) > 60 {
			text = append(text[:60], '…')
		}
		s += ", says " + string(text)
	}
	if n.Because != "" {
		s += ": " + n.Because
	}
	return s
}

// reasons are all wishes that were followed, of which one is named first.
func reasons(basis []stack.Need, from stack.Need) string {
	out := []string{says(from)}
	for _, n := range basis {
		if n.Because == from.Because {
			n.Because = ""
		}
		if s := says(n); !strings.HasPrefix(out[0], s) && !slices.Contains(out, s) && len(out) < 3 {
			out = append(out, s)
		}
	}
	return strings.Join(out, "; ")
}

var weightWords = map[stack.Weight]string{
	stack.Pinned:   "it is what version managers follow",
	stack.Shared:   "it describes a development environment",
	stack.Declared: "the project itself declares it",
	stack.Built:    "it says what the project runs in",
	stack.Implied:  "nothing else says more",
}

func (p *planner) conflict(family string, basis []stack.Need, loser stack.Need) {
	winner := basis[0]
	for _, b := range basis {
		if !constraint.Agree(b.Constraint, loser.Constraint) {
			winner = b
			break
		}
	}
	why := weightWords[winner.Weight]
	if winner.Weight == loser.Weight {
		why = "it comes first"
		if strings.Count(winner.File, "/") < strings.Count(loser.File, "/") {
			why = "it is nearer to the root"
		}
	}
	p.Conflicts = append(p.Conflicts, Conflict{About: family, Winner: says(winner), Loser: says(loser), Why: why})
}

// lacking notes a family that the source has nothing of, unless the project's own
// package manager can bring it.
func (p *planner) lacking(family string, needs []stack.Need) {
	wanted := needs[0]
	for _, n := range needs {
		if !n.Constraint.Any() {
			wanted = n
			break
		}
	}
	if _, ok := brought[family]; ok {
		return // see command
	}
	l := Lack{Package: family, Reason: says(wanted)}
	if !wanted.Constraint.Any() {
		l.Wanted = wanted.Constraint.String()
	}
	p.Lacks = append(p.Lacks, l)
	p.leaveOut("packages", fmt.Sprintf("%s = %q: there is no such package (%s)", family, cmp.Or(l.Wanted, "*"), l.Reason))
}

// leaveOut writes a comment into a table about what it lacks.
func (p *planner) leaveOut(table, comment string) {
	if !slices.Contains(p.lines[table], comment) {
		p.lines[table] = append(p.lines[table], comment)
	}
}
