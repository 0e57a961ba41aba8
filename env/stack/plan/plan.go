// Package plan makes a nixspace.toml of what a repository needs and what a package
// source offers. Every choice in it has its reason; what was decided between files
// that disagree, and what the source lacks, is told beside it.
//
// The package is pure, and its functions may be called by many goroutines at once.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
)

// Plan is a proposal for an environment.
type Plan struct {
	// Text is the nixspace.toml, with the reasons as comments. It is a valid
	// manifest and resolves against the offers that it was made for.
	Text      string     `json:"text"`
	Choices   []Choice   `json:"choices"`
	Conflicts []Conflict `json:"conflicts"`
	Lacks     []Lack     `json:"lacks"`
	Notes     []string   `json:"notes"`
	// Defined are environments that the repository has in other tools' formats.
	Defined []Defined `json:"defined"`
}

// Choice is one thing that the manifest says.
type Choice struct {
	Path    string `json:"path"`              // packages.nodejs, services.postgresql, scripts.test, ports.web
	Value   string `json:"value"`             // as the manifest has it; empty for a table
	Attr    string `json:"attr,omitempty"`    // of a package: what it resolves to
	Version string `json:"version,omitempty"` // of a package
	Reason  string `json:"reason"`            // "`.nvmrc`, line 1, says 22"
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
}

// Conflict is two files that disagree.
type Conflict struct {
	About  string `json:"about"` // the package
	Winner string `json:"winner"`
	Loser  string `json:"loser"`
	Why    string `json:"why"` // the winner won
}

// String returns the conflict as a sentence without a full stop.
func (c Conflict) String() string {
	return fmt.Sprintf("%s: %s, but %s; the former counts, because %s", c.About, c.Winner, c.Loser, c.Why)
}

// Lack is something that the package source does not have.
type Lack struct {
	Package string `json:"package"`
	Wanted  string `json:"wanted,omitempty"`  // the version; empty where any would do
	Nearest string `json:"nearest,omitempty"` // what is taken in its place; empty where there is nothing
	Reason  string `json:"reason"`            // who wants it
}

// String returns the lack as a sentence without a full stop.
func (l Lack) String() string {
	s := "there is no package " + l.Package
	if l.Wanted != "" && l.Nearest != "" {
		s = fmt.Sprintf("there is no %s %s", l.Package, l.Wanted)
	}
	s += " (" + l.Reason + ")"
	if l.Nearest != "" {
		s += "; the nearest that there is, " + l.Nearest + ", is taken"
	}
	return s
}

// Defined is an environment in another tool's format.
type Defined struct {
	Tool string `json:"tool"`
	File string `json:"file"`
}

// Options are what the repository itself does not say.
type Options struct {
	// Name is the project's: a database gets it where none is named.
	Name string
	// Packages are versions by package that a person decided on, in the notation of
	// manifests. What the repository says of these does not count.
	Packages map[string]string
	// Without are packages and services that a person does not want.
	Without []string
}

// planner makes one plan.
type planner struct {
	Plan
	report   stack.Report
	offers   []nixspace.Package
	options  Options
	packages map[string]Choice // by family
	decided  []string          // families that a person decided on
	services []service
	lines    map[string][]string // comments about what is left out, by table
}

// Make makes a plan. Equal reports and offers give equal plans. It fails where the
// offers have nothing at all (code offers_missing), and as [manifest.Resolve] does
// where they have not what a person decided on.
func Make(report stack.Report, offers []nixspace.Package, o Options) (*Plan, error) {
	offers = slices.DeleteFunc(slices.Clone(offers), func(p nixspace.Package) bool { return p.Attr == manifest.BaseAttr })
	if len(offers) == 0 {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "offers_missing", "the package source offers nothing")
	}
	p := &planner{report: report, offers: offers, options: o, packages: map[string]Choice{}, lines: map[string][]string{}}
	if err := p.decide(); err != nil {
		return nil, err
	}
	p.choosePackages()
	p.chooseServices()
	for _, n := range report.Notes {
		p.Notes = append(p.Notes, n.Evidence.String()+": "+n.Message)
	}
	for _, d := range report.Defined {
		p.Defined = append(p.Defined, Defined{Tool: d.Tool, File: d.File})
	}
	p.render()
	if _, err := manifest.Parse(manifest.FileName, []byte(p.Text)); err != nil {
		return nil, fmt.Errorf("a plan that is no manifest: %w\n%s", err, p.Text)
	}
	return &p.Plan, nil
}

// decide takes what a person decided on.
func (p *planner) decide() error {
	m := &manifest.Manifest{Packages: map[string]manifest.Constraint{}}
	for name, version := range p.options.Packages {
		c, err := manifest.ParseConstraint(version)
		if err != nil {
			return nixspace.Errorf(nixspace.KindInvalid, "version_invalid", "%s: %w", name, err)
		}
		m.Packages[name] = c
	}
	// A plan says nothing of the base system, which Resolve wants to be there.
	base := nixspace.Package{Attr: manifest.BaseAttr, Family: manifest.BaseAttr, Version: "1"}
	r, err := manifest.Resolve(m, "", append(slices.Clone(p.offers), base))
	if err != nil {
		return placeless(err)
	}
	for _, c := range r.Packages {
		p.decided = append(p.decided, c.Family)
		p.packages[c.Family] = Choice{
			Path: "packages." + c.Key, Value: c.Constraint.String(), Attr: c.Attr, Version: c.Version, Reason: "you decided so",
		}
	}
	return nil
}

// placeless is an error about a manifest without the place in its text: there is
// none yet.
func placeless(err error) error {
	var e *nixspace.Error
	if !errors.As(err, &e) {
		return err
	}
	ps, ok := e.Details["problems"].([]manifest.Problem)
	if !ok || len(ps) == 0 {
		return err
	}
	return &nixspace.Error{Kind: e.Kind, Code: e.Code, Message: ps[0].Message, Hint: ps[0].Hint}
}

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
	c := Choice{
		Path: "packages." + family, Attr: members[i].Attr, Version: members[i].Version, Reason: reasons(basis, from),
		Value: value(family, members, i, all, exact), File: from.File, Line: from.Line,
	}
	p.packages[family] = c
}

// lineParts is how many numbers name a line of releases, where it is not one.
var lineParts = map[string]int{"go": 2, "python3": 2, "ruby": 2, "php": 2, "rustc": 2, "cargo": 2, "elixir": 2, "sqlite": 2}

// value is the version as a person would write it: the line of releases, or more
// where somebody asked for more and gets it, and as much as tells the package from
// the others.
func value(family string, members []nixspace.Package, i int, c constraint.Constraint, exact bool) string {
	parts := max(lineParts[family], 1)
	if n, ok := c.Single(); ok && exact {
		parts = max(parts, n)
	}
	numbers := strings.Split(members[i].Version, ".")
	for n := min(parts, len(numbers)); n < len(numbers); n++ {
		text := strings.Join(numbers[:n], ".")
		mc, err := manifest.ParseConstraint(text)
		if err != nil {
			continue
		}
		newest := i
		for j, m := range members {
			if mc.Allows(m.Version) && constraint.Compare(m.Version, members[newest].Version) > 0 {
				newest = j
			}
		}
		if newest == i && mc.Allows(members[i].Version) {
			return text
		}
	}
	if _, err := manifest.ParseConstraint(members[i].Version); err != nil {
		return "*"
	}
	return members[i].Version
}

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
