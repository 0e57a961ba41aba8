package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nixspace/nixspace/env/manifest"
)

// render writes the manifest, and the choices that it is made of.
func (p *planner) render() {
	w := &writer{}
	w.line("# The development environment of this project, made from what its files say.")
	w.line("# It is yours to change.")
	w.line("schema = %d", manifest.Schema)

	families := slices.Sorted(maps.Keys(p.packages))
	if len(families) > 0 || len(p.lines["packages"]) > 0 {
		w.table("packages")
		for _, f := range families {
			c := p.packages[f]
			w.comment(c.Reason)
			w.line("%s = %s", key(strings.TrimPrefix(c.Path, "packages.")), text(c.Value))
			p.Choices = append(p.Choices, c)
		}
		w.comments(p.lines["packages"])
	}
	p.renderServices(w)
	p.renderScripts(w)
	p.renderPorts(w)
	if slices.ContainsFunc(p.Choices, func(c Choice) bool { return c.Path == "scripts.setup" }) {
		w.line("")
		w.comment("The setup fetches packages, and a session reaches nothing unless it is allowed to:")
		w.comment("name the hosts of the registries, or \"full\" for every public address.")
		w.comment("[network]")
		w.comment("egress = [\"registry.example\"]")
	}
	p.Text = w.String()
}

func (p *planner) renderServices(w *writer) {
	for _, s := range p.services {
		w.table("services." + s.name)
		w.comment(s.reason())
		if len(s.databases) > 0 {
			quoted := make([]string, len(s.databases))
			for i, d := range s.databases {
				quoted[i] = text(d)
			}
			w.line("databases = [%s]", strings.Join(quoted, ", "))
		}
		if s.port != 0 {
			w.line("port = %d", s.port)
		}
		p.Choices = append(p.Choices, Choice{
			Path: "services." + s.name, Value: strings.Join(s.databases, ", "), Reason: s.reason(),
			File: s.from[0].File, Line: s.from[0].Line,
		})
	}
	if l := p.lines["services"]; len(l) > 0 {
		w.line("")
		w.comments(l)
	}
}

func (p *planner) renderScripts(w *writer) {
	setup, reason := p.setup()
	scripts := p.scripts()
	if setup == "" && len(scripts) == 0 && len(p.lines["scripts"]) == 0 {
		return
	}
	w.table("scripts")
	if setup != "" {
		w.comment("makes the project ready: " + reason)
		w.line("setup = %s", text(setup))
		first := p.report.Steps[0]
		p.Choices = append(p.Choices, Choice{Path: "scripts.setup", Value: setup, Reason: reason, File: first.File, Line: first.Line})
	}
	last := ""
	for _, s := range scripts {
		// One comment for all scripts of a file that follow each other.
		if s.File != last {
			w.comment("`" + s.File + "`")
			last = s.File
		}
		w.line("%s = %s", key(s.Name), text(s.Command))
		p.Choices = append(p.Choices, Choice{Path: "scripts." + s.Name, Value: s.Command, Reason: s.Evidence.String(), File: s.File, Line: s.Line})
	}
	w.comments(p.lines["scripts"])
}

func (p *planner) renderPorts(w *writer) {
	used := map[string]bool{}
	taken := map[int]bool{}
	for _, s := range p.services {
		taken[manifest.ServicePort(s.name, manifest.Service{Port: s.port})] = true
	}
	for _, port := range p.report.Ports {
		if taken[port.Number] || len(used) == maxPorts {
			continue
		}
		name := port.Name
		for n := 2; used[name]; n++ {
			name = fmt.Sprintf("%.50s-%d", port.Name, n)
		}
		if len(used) == 0 {
			w.table("ports")
		}
		used[name], taken[port.Number] = true, true
		w.comment(port.Evidence.String())
		w.line("%s = %d", key(name), port.Number)
		p.Choices = append(p.Choices, Choice{
			Path: "ports." + name, Value: strconv.Itoa(port.Number), Reason: port.Evidence.String(), File: port.File, Line: port.Line,
		})
	}
}

// maxPorts keeps a manifest readable.
const maxPorts = 12

// writer writes TOML.
type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) table(name string) { w.line("\n[%s]", name) }

// comment writes one line that is no TOML, whatever is in it.
func (w *writer) comment(s string) {
	if s != "" {
		w.line("# %s", oneLine(s))
	}
}

func (w *writer) comments(lines []string) {
	for _, l := range lines[:min(len(lines), maxComments)] {
		w.comment(l)
	}
}

// maxComments keeps a manifest within its size.
const maxComments = 30

// oneLine is text that may stand in a comment: without line breaks and other
// control characters, which TOML forbids there.
func oneLine(s string) string {
	const most = 300
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// key writes a TOML key.
func key(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return s
	}
	return text(s)
}

// text writes a TOML string.
func text(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			b.WriteByte(' ') // commands are one line
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
