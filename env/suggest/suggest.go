// Package suggest looks at an environment, and at the code that it is for, and says
// what could be better: versions that nobody fixes any more, versions that are left
// open or that the code asks otherwise, what is missing and what nobody uses. Each
// suggestion has its evidence, and the edits that carry it out.
//
// The package is pure: the day is an argument. Its functions may be called by many
// goroutines at once.
package suggest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
)

// Kind says what a suggestion is about.
type Kind string

// The kinds, the most pressing first.
const (
	EndOfLife      Kind = "end_of_life"     // nobody fixes the version any more
	Conflict       Kind = "conflict"        // the code asks for another version
	Disagreement   Kind = "disagreement"    // files of the code ask for different versions
	MissingService Kind = "missing_service" // the code talks to one that is not there
	MissingPackage Kind = "missing_package" // the code needs one that is not there
	EndsSoon       Kind = "ends_soon"       // the version's end is near
	Unpinned       Kind = "unpinned"        // the manifest leaves the version open
	Unused         Kind = "unused"          // nothing in the code speaks of it
	Smaller        Kind = "smaller"         // the closure could be smaller without it
)

var order = []Kind{EndOfLife, Conflict, Disagreement, MissingService, MissingPackage, EndsSoon, Unpinned, Unused, Smaller}

// soon is how near an end is that is worth a word.
const soon = 90 * 24 * time.Hour

// Suggestion is one thing that could be better.
type Suggestion struct {
	// Key names the suggestion as long as the environment does not change:
	// end_of_life:packages.nodejs.
	Key     string
	Kind    Kind
	Path    string // in the manifest
	Message string // one sentence without a full stop
	// Evidence is where it is said: files with lines, policies with days.
	Evidence []string
	// Edits carry the suggestion out. There are none where a person must decide.
	Edits []manifest.Edit
}

// Input is what is looked at.
type Input struct {
	Resolved *manifest.Resolved
	// Code is what the code says; nil where there is none.
	Code   *stack.Report
	Offers []nixspace.Package
	// Closure is what was built of the environment; nil where that is not known.
	Closure *Closure
	// Name is the project's.
	Name string
	Now  time.Time
}

// looker is one look.
type looker struct {
	Input
	out  []Suggestion
	plan *plan.Plan // what would be made of the code; nil without code
}

// For returns suggestions, the most pressing first, in an order that depends on
// nothing but the input. Carrying any of them out gives a manifest that resolves.
func For(in Input) ([]Suggestion, error) {
	l := &looker{Input: in}
	// What the flake of a user has is not ours to judge by names.
	if in.Code != nil && in.Resolved.Manifest.Flake == nil {
		p, err := plan.Make(*in.Code, in.Offers, plan.Options{Name: in.Name})
		if err != nil {
			return nil, err
		}
		l.plan = p
	}
	for _, p := range in.Resolved.Packages {
		l.versions(p)
	}
	if l.plan != nil {
		l.quarrels()
		l.missing()
		l.unused()
	}
	l.smaller()
	slices.SortStableFunc(l.out, func(a, b Suggestion) int {
		return cmp.Or(slices.Index(order, a.Kind)-slices.Index(order, b.Kind), cmp.Compare(a.Path, b.Path))
	})
	return l.out, nil
}

func (l *looker) add(kind Kind, path, message string, evidence []string, edits ...manifest.Edit) {
	l.out = append(l.out, Suggestion{
		Key: string(kind) + ":" + path, Kind: kind, Path: path, Message: message, Evidence: evidence, Edits: edits,
	})
}

func (l *looker) members(name string) []nixspace.Package {
	var out []nixspace.Package
	for _, o := range l.Offers {
		if o.Family == name && o.Attr != manifest.BaseAttr {
			out = append(out, o)
		}
	}
	return out
}

// wishes are what the code says about the version of a family, the weightiest
// first.
func (l *looker) wishes(name string) []stack.Need {
	if l.Code == nil {
		return nil
	}
	var out []stack.Need
	for _, n := range l.Code.Needs {
		if n.Family == name && !n.Constraint.Any() {
			out = append(out, n)
		}
	}
	for _, s := range l.Code.Services {
		if s.Name == name && !s.Constraint.Any() {
			out = append(out, stack.Need{Family: name, Constraint: s.Constraint, Weight: s.Weight, Evidence: s.Evidence})
		}
	}
	slices.SortStableFunc(out, func(a, b stack.Need) int { return cmp.Compare(b.Weight, a.Weight) })
	return out
}

// versions looks at the version of one package.
func (l *looker) versions(p manifest.Package) {
	path := "packages." + p.Key
	f, tabled := known.Families[p.Family]
	members := l.members(p.Family)
	if why, yes := f.unsupported(p.Family, p.Version, members, l.Now); tabled && yes {
		l.leave(EndOfLife, path, p, f, members, why, fmt.Sprintf("%s %s gets no fixes any more", p.Family, p.Version))
	} else if day, _, ok := f.end(p.Version, l.Now); ok && day.Sub(l.Now) < soon {
		why := fmt.Sprintf("%s (as of %s)", f.Source, known.AsOf)
		l.leave(EndsSoon, path, p, f, members, why, fmt.Sprintf("%s %s gets fixes until %s", p.Family, p.Version, day.Format(time.DateOnly)))
	}
	l.disagrees(path, p, members)
	// A name with a version in it, such as postgresql_15, is pinned by that.
	if open(p.Constraint) && p.Key == p.Family && (tabled || len(members) > 1) {
		l.add(Unpinned, path, fmt.Sprintf("the version of %s is left open: a change of the package source may bring another one", p.Family),
			[]string{manifest.FileName + " says " + p.Constraint.String()}, set(p.Key, f.lineOf(p.Version)))
	}
}

// open reports whether a constraint is about no line of releases.
func open(c manifest.Constraint) bool {
	s := c.String()
	return c.Any() || s == "latest" || strings.ContainsAny(s, "><") && !strings.Contains(s, "<")
}

// leave suggests the nearest line that is supported: of those that the code allows,
// if there is one.
func (l *looker) leave(kind Kind, path string, p manifest.Package, f family, members []nixspace.Package, why, message string) {
	var good, allowed []nixspace.Package
	for _, m := range members {
		_, bad := f.unsupported(p.Family, m.Version, members, l.Now)
		day, _, ok := f.end(m.Version, l.Now)
		if bad || constraint.Compare(m.Version, p.Version) <= 0 || ok && day.Sub(l.Now) < soon {
			continue
		}
		good = append(good, m)
		if !slices.ContainsFunc(l.wishes(p.Family), func(n stack.Need) bool { return !n.Constraint.Allows(m.Version) }) {
			allowed = append(allowed, m)
		}
	}
	evidence := []string{why}
	if len(allowed) == 0 {
		for _, n := range l.wishes(p.Family) {
			evidence = append(evidence, n.Evidence.String()+", says "+n.Constraint.String())
		}
		allowed = good
	}
	if len(allowed) == 0 {
		l.add(kind, path, message+", and the package source has no newer one that does", evidence)
		return
	}
	to := slices.MinFunc(allowed, func(a, b nixspace.Package) int { return constraint.Compare(a.Version, b.Version) })
	if p.Family == "postgresql" {
		message += "; the data of a session is carried over with nixspace migrate-data"
	}
	l.add(kind, path, message, evidence, l.change(p, f.lineOf(to.Version))...)
}

// change sets the version of a package, under the family's name where the key has
// a version in it.
func (l *looker) change(p manifest.Package, version string) []manifest.Edit {
	if p.Key == p.Family {
		return []manifest.Edit{set(p.Key, version)}
	}
	return []manifest.Edit{{Op: nixspace.ChangeRemove, Key: "packages." + p.Key}, {Op: nixspace.ChangeAdd, Key: "packages." + p.Family, Value: version}}
}

func set(key, version string) manifest.Edit {
	return manifest.Edit{Op: nixspace.ChangeSet, Key: "packages." + key, Value: version}
}

// disagrees looks for the weightiest wish of the code that the version does not
// meet.
func (l *looker) disagrees(path string, p manifest.Package, members []nixspace.Package) {
	var met constraint.Constraint
	wishes := l.wishes(p.Family)
	for at, n := range wishes {
		if n.Constraint.Allows(p.Version) {
			met = met.And(n.Constraint)
			continue
		}
		if !constraint.Agree(met, n.Constraint) {
			continue // with what counts more, see quarrels
		}
		message := fmt.Sprintf("the environment has %s %s, and the code asks for %s", p.Family, p.Version, n.Constraint)
		evidence := []string{n.Evidence.String() + ", says " + n.Constraint.String()}
		versions := make([]string, len(members))
		for i, m := range members {
			versions[i] = m.Version
		}
		// Of what it allows, what those that count less ask for too.
		want := met.And(n.Constraint)
		for _, less := range wishes[at+1:] {
			if both := want.And(less.Constraint); constraint.Agree(want, less.Constraint) && both.Newest(versions) >= 0 {
				want = both
			}
		}
		i := want.Newest(versions)
		if i < 0 {
			i = n.Constraint.Newest(versions)
		}
		if i < 0 {
			// The nearest that there is, is no reason to complain about.
			if j := n.Constraint.Nearest(versions); j >= 0 && members[j].Version == p.Version {
				return
			}
			l.add(Conflict, path, message+", which the package source does not have", evidence)
			return
		}
		edits := l.change(p, known.Families[p.Family].lineOf(versions[i]))
		// Leaving a version that is at its end may be the same thing to do.
		if j := slices.IndexFunc(l.out, func(s Suggestion) bool { return s.Path == path && slices.Equal(s.Edits, edits) }); j >= 0 {
			l.out[j].Evidence = append(l.out[j].Evidence, evidence...)
			return
		}
		l.add(Conflict, path, message, evidence, edits...)
		return
	}
}

// quarrels are files of the code that disagree with each other where the environment
// follows one of them: only a person can make them agree.
func (l *looker) quarrels() {
	for _, c := range l.plan.Conflicts {
		path := "packages." + c.About
		if _, ok := l.Resolved.Family(c.About); !ok || slices.ContainsFunc(l.out, func(s Suggestion) bool { return (s.Kind == Conflict || s.Kind == Disagreement) && s.Path == path }) {
			continue
		}
		l.add(Disagreement, path, "files of the code disagree about "+c.About+": change one of them", []string{c.Winner, c.Loser})
	}
}

// missing looks for what would be made of the code and is not there.
func (l *looker) missing() {
	has := func(family string) bool { _, ok := l.Resolved.Family(family); return ok }
	for _, c := range l.plan.Choices {
		table, name, _ := strings.Cut(c.Path, ".")
		evidence := []string{c.Reason}
		add := manifest.Edit{Op: nixspace.ChangeAdd, Key: "packages." + name, Value: c.Value}
		switch {
		case table == "packages" && !has(name) && name != "git" && !slices.Contains(manifest.KnownServices(), name):
			l.add(MissingPackage, c.Path, "the code needs "+name+", which the environment does not have", evidence, add)
		case table == "services":
			if _, ok := l.Resolved.Manifest.Services[name]; ok {
				continue
			}
			var edits []manifest.Edit
			if !has(name) {
				add.Value = l.chosen(name)
				edits = append(edits, add)
			}
			edits = append(edits, manifest.Edit{Op: nixspace.ChangeAdd, Key: "services." + name})
			if name == "postgresql" && c.Value != "" {
				quoted := make([]string, 0, 1)
				for _, d := range strings.Split(c.Value, ", ") {
					quoted = append(quoted, `"`+d+`"`)
				}
				edits = append(edits, manifest.Edit{Op: nixspace.ChangeSet, Key: "services.postgresql.databases", Value: "[" + strings.Join(quoted, ", ") + "]"})
			}
			l.add(MissingService, c.Path, "the code talks to "+name+", which no session has", evidence, edits...)
		}
	}
}

// chosen is the version that the plan has for a package.
func (l *looker) chosen(name string) string {
	for _, c := range l.plan.Choices {
		if c.Path == "packages."+name {
			return c.Value
		}
	}
	return "*"
}

// words are the programs of what is only there to be used by code that detectors
// know.
var words = map[string][]string{
	"nodejs": {"node", "npm", "npx", "yarn", "pnpm"}, "python3": {"python", "python3", "pip", "pip3", "uv", "poetry"}, "go": {"go", "gofmt"},
	"ruby": {"ruby", "bundle", "rake", "rails"}, "postgresql": {"psql", "pg_dump", "pg_restore", "createdb", "pgbench", "postgres"},
	"redis": {"redis-cli", "redis-server"}, "php": {"php", "composer"},
}

// commands are those that the manifest has.
func (l *looker) commands() []string {
	var out []string
	for _, s := range l.Resolved.Manifest.Scripts {
		out = append(out, s)
	}
	for _, s := range l.Resolved.Manifest.Services {
		out = append(out, s.Command, s.Ready)
	}
	return out
}

// unused looks for packages that nothing speaks of: no file of the code, and no
// command of the manifest.
func (l *looker) unused() {
	m := l.Resolved.Manifest
	used := map[string]bool{}
	for _, c := range l.commands() {
		for _, w := range strings.FieldsFunc(c, func(r rune) bool { return strings.ContainsRune(" \t\n;&|()'\"`/", r) }) {
			used[w] = true
		}
	}
	for _, p := range l.Resolved.Packages {
		programs, ok := words[p.Family]
		if !ok || slices.ContainsFunc(programs, func(w string) bool { return used[w] }) || l.spokenOf(p.Family) {
			continue
		}
		evidence := []string{fmt.Sprintf("none of %d files that say what the code needs speaks of it, and no script or service of the manifest does", l.Code.Files)}
		edits := []manifest.Edit{{Op: nixspace.ChangeRemove, Key: "packages." + p.Key}}
		what := p.Family
		if sv, ok := m.Services[p.Family]; ok {
			// Whoever says what a service is to hold means it; the code may have a client of
			// its own.
			if len(sv.Databases) > 0 || len(sv.Settings) > 0 || len(sv.Env) > 0 {
				continue
			}
			edits = append([]manifest.Edit{{Op: nixspace.ChangeRemove, Key: "services." + p.Family}}, edits...)
			what = "the service " + p.Family
		}
		l.add(Unused, "packages."+p.Key, "nothing uses "+what, evidence, edits...)
	}
}

// spokenOf reports whether the code says anything about a family.
func (l *looker) spokenOf(name string) bool {
	return l.Code.Files == 0 ||
		slices.ContainsFunc(l.Code.Needs, func(n stack.Need) bool { return n.Family == name }) ||
		slices.ContainsFunc(l.Code.Services, func(s stack.Service) bool { return s.Name == name || name == "redis" && s.Name == "valkey" })
}
