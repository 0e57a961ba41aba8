package plan

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
)

// substitutes are services that others stand in for: they speak the same protocol.
var substitutes = map[string]string{"valkey": "redis", "keydb": "redis"}

// substitute is the service that is run for one of a name.
func (p *planner) substitute(name string) string {
	if s, ok := substitutes[name]; ok && len(p.members(name)) == 0 {
		return s
	}
	return name
}

// service is one that the manifest has.
type service struct {
	name      string
	databases []string
	port      int
	from      []stack.Service
}

// chooseServices collects what is said about each service.
func (p *planner) chooseServices() {
	for _, s := range p.report.Services {
		if slices.Contains(p.options.Without, s.Name) {
			continue
		}
		name := p.substitute(s.Name)
		if _, ok := p.packages[name]; !ok || !slices.Contains(manifest.KnownServices(), name) {
			p.lackingService(s)
			continue
		}
		if name != s.Name && !slices.ContainsFunc(p.Lacks, func(l Lack) bool { return l.Package == s.Name }) {
			p.Lacks = append(p.Lacks, Lack{Package: s.Name, Wanted: s.Constraint.String(), Nearest: name, Reason: s.Evidence.String()})
		}
		i := slices.IndexFunc(p.services, func(o service) bool { return o.name == name })
		if i < 0 {
			i = len(p.services)
			p.services = append(p.services, service{name: name})
		}
		at := &p.services[i]
		at.from = append(at.from, s)
		for _, db := range s.Databases {
			if !slices.Contains(at.databases, db) && len(at.databases) < 20 {
				at.databases = append(at.databases, db)
			}
		}
		if at.port == 0 {
			at.port = s.Port
		}
	}
	for i := range p.services {
		s := &p.services[i]
		if s.name == "postgresql" && len(s.databases) == 0 {
			if db := databaseName(p.options.Name); db != "" {
				s.databases = []string{db}
			}
		}
		if s.port == manifest.ServicePort(s.name, manifest.Service{}) || p.portTaken(s.port, i) {
			s.port = 0
		}
	}
}

func (p *planner) portTaken(port, except int) bool {
	for i, s := range p.services {
		if i != except && port != 0 && port == manifest.ServicePort(s.name, manifest.Service{Port: s.port}) {
			return true
		}
	}
	return false
}

func (p *planner) lackingService(s stack.Service) {
	if slices.ContainsFunc(p.Lacks, func(l Lack) bool { return l.Package == s.Name }) {
		return
	}
	l := Lack{Package: s.Name, Reason: s.Evidence.String()}
	if s.Because != "" {
		l.Reason += ": " + s.Because
	}
	if !s.Constraint.Any() {
		l.Wanted = s.Constraint.String()
	}
	p.Lacks = append(p.Lacks, l)
	p.leaveOut("services", s.Name+": there is no such package ("+l.Reason+")")
}

// reason is who wants a service.
func (s service) reason() string {
	var out []string
	for _, f := range s.from {
		r := f.Evidence.String()
		if f.Because != "" {
			r += ": " + f.Because
		}
		if !slices.Contains(out, r) && len(out) < 3 {
			out = append(out, r)
		}
	}
	return strings.Join(out, "; ")
}

var databaseWord = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// databaseName makes a database's name of a project's.
func databaseName(project string) string {
	s := strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, strings.ToLower(project))
	if !databaseWord.MatchString(s) || strings.HasPrefix(s, "template") || s == "postgres" {
		return ""
	}
	return s
}
