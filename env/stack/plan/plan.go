// Package plan makes a nixspace.toml of what a repository needs and what a package
// source offers. Every choice in it has its reason; what was decided between files
// that disagree, and what the source lacks, is told beside it.
//
// The package is pure, and its functions may be called by many goroutines at once.
package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nixspace/nixspace"
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
