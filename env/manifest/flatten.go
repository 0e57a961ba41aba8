package manifest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// leaf is one value of a manifest at its path.
type leaf struct {
	path  []string
	value any // string, int64, float64, bool, []string or []int
}

// leaves returns everything that a manifest says, in the order of the canonical
// text. Defaults that it does not say are not in it.
func leaves(m *Manifest) []leaf {
	var out []leaf
	add := func(value any, path ...string) { out = append(out, leaf{path, value}) }
	add(int64(Schema), "schema")
	if m.Source != "" {
		add(string(m.Source), "source")
	}
	for _, k := range sorted(m.Packages) {
		add(m.Packages[k].String(), "packages", k)
	}
	for _, name := range sorted(m.Services) {
		out = append(out, serviceLeaves([]string{"services", name}, m.Services[name])...)
	}
	for _, k := range sorted(m.Env) {
		add(m.Env[k], "env", k)
	}
	for _, k := range sorted(m.Scripts) {
		add(m.Scripts[k], "scripts", k)
	}
	out = append(out, checkLeaves(m.Checks)...)
	for _, k := range sorted(m.Ports) {
		add(int64(m.Ports[k]), "ports", k)
	}
	switch n := m.Network; {
	case n.Egress != "":
		add(n.Egress, "network", "egress")
	case len(n.Allow) > 0:
		add(n.Allow, "network", "egress")
	}
	if m.Session.HibernateAfter != 0 {
		add(m.Session.text(), "session", "hibernate-after")
	}
	if r := m.Resources; r != (Resources{}) {
		if r.CPUs != 0 {
			add(int64(r.CPUs), "resources", "cpus")
		}
		if r.Memory != 0 {
			add(r.Memory.String(), "resources", "memory")
		}
		if r.Disk != 0 {
			add(r.Disk.String(), "resources", "disk")
		}
	}
	return append(out, flakeLeaves(m.Flake)...)
}

func serviceLeaves(at []string, s Service) []leaf {
	var out []leaf
	text := func(key, v string) {
		if v != "" {
			out = append(out, leaf{below(at, key), v})
		}
	}
	number := func(key string, v int) {
		if v != 0 {
			out = append(out, leaf{below(at, key), int64(v)})
		}
	}
	duration := func(key string, v Duration) {
		if v != 0 {
			text(key, v.String())
		}
	}
	text("command", s.Command)
	text("directory", s.Directory)
	number("port", s.Port)
	if len(s.Ports) > 0 {
		out = append(out, leaf{below(at, "ports"), s.Ports})
	}
	if len(s.DependsOn) > 0 {
		out = append(out, leaf{below(at, "depends-on"), s.DependsOn})
	}
	text("ready", s.Ready)
	text("ready-http", s.ReadyHTTP)
	number("ready-port", s.ReadyPort)
	duration("ready-timeout", s.ReadyTimeout)
	text("restart", string(s.Restart))
	number("restart-limit", s.RestartLimit)
	duration("restart-delay", s.RestartDelay)
	if len(s.Databases) > 0 {
		out = append(out, leaf{below(at, "databases"), s.Databases})
	}
	for _, k := range sorted(s.Env) {
		out = append(out, leaf{below(below(at, "env"), k), s.Env[k]})
	}
	for _, k := range sorted(s.Settings) {
		out = append(out, leaf{below(below(at, "settings"), k), s.Settings[k]})
	}
	return out
}

var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// dotted writes a path as a TOML key.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = p
		if !bareKey.MatchString(p) {
			parts[i] = tomlString(p)
		}
	}
	return strings.Join(parts, ".")
}

// tomlValue writes a leaf's value as TOML.
func tomlValue(v any) string {
	switch v := v.(type) {
	case string:
		return tomlString(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		return s
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = tomlString(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []int:
		return "[" + numbers(v) + "]"
	}
	panic(fmt.Sprintf("manifest: a value of type %T", v)) // leaf names all types that there are
}

// tomlString writes a basic string on one line.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\t':
			b.WriteString(`\t`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				if r > 0xffff {
					fmt.Fprintf(&b, `\U%08X`, r)
				} else {
					fmt.Fprintf(&b, `\u%04X`, r)
				}
				continue
			}
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// display writes a leaf's value for people: text without quotes.
func display(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ", ")
	case []int:
		return numbers(v)
	}
	return tomlValue(v)
}

func numbers(v []int) string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ", ")
}
