package manifest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// decoder turns the values of a document into a manifest and collects what is
// wrong with them.
type decoder struct {
	doc      *document
	problems []problem
}

// The limits on how many entries a table may have.
const (
	maxPackages = 200
	maxServices = 32
	maxEntries  = 500
)

var topLevel = []string{"schema", "source", "packages", "services", "env", "scripts", "checks", "ports", "resources", "network", "session", "flake"}

func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	return d.doc.error(d.problems)
}

// at reports a problem with the value at path, or with its key when onKey.
func (d *decoder) at(path []string, onKey bool, hint, format string, args ...any) {
	d.problems = append(d.problems, problem{at: d.doc.place(path, onKey), message: fmt.Sprintf(format, args...), hint: hint})
}

// place returns the offset of a key or its value.
func (d *document) place(path []string, onKey bool) int {
	i := d.find(path, true)
	if i < 0 {
		return 0
	}
	e := d.entries[i]
	if onKey || e.header || len(e.path) != len(path) {
		return e.key.start
	}
	return e.value.start
}

func (d *decoder) manifest(v map[string]any) *Manifest {
	m := &Manifest{Source: Catalog}
	schema := int64(Schema)
	for _, k := range sorted(v) {
		path, value := []string{k}, v[k]
		switch k {
		case "schema":
			if n, ok := d.integer(path, value); ok {
				schema = n
			}
		case "source":
			m.Source = d.source(path, value)
		case "packages":
			m.Packages = d.packages(path, value)
		case "services":
			m.Services = d.services(path, value)
		case "env":
			m.Env = d.env(path, value)
		case "scripts":
			m.Scripts = d.scripts(path, value)
		case "checks":
			m.Checks = d.checks(path, value)
		case "ports":
			m.Ports = d.ports(path, value)
		case "resources":
			m.Resources = d.resources(path, value)
		case "network":
			m.Network = d.network(path, value)
		case "session":
			m.Session = d.session(path, value)
		case "flake":
			m.Flake = d.flake(path, value)
		default:
			d.unknown(path, "", topLevel)
		}
	}
	if schema != Schema {
		// Whatever else is wrong may be right in that other schema.
		d.problems = nil
		d.at([]string{"schema"}, false, "this version of NixSpace reads schema 1; a newer one may be needed", "schema %d is unknown", schema)
	}
	return m
}

func (d *decoder) source(path []string, v any) Source {
	s, ok := d.text(path, v)
	if !ok {
		return Catalog
	}
	if err := checkSource(s); err != nil {
		d.at(path, false, `write "catalog", or "nixpkgs@" and a commit in full: 40 hexadecimal digits`, "%v", err)
	}
	return Source(s)
}

func (d *decoder) packages(path []string, v any) map[string]Constraint {
	out := map[string]Constraint{}
	for k, v := range d.table(path, v, maxPackages) {
		p := below(path, k)
		if !packageName.MatchString(k) {
			d.at(p, true, "", "%s cannot be the name of a package", quote(k))
			continue
		}
		switch v.(type) {
		case int64, float64:
			d.at(p, false, fmt.Sprintf(`write it in quotes: %s = "%s"`, k, d.doc.written(p)), "a version is text, not a number")
			continue
		}
		s, ok := d.text(p, v)
		if !ok {
			continue
		}
		c, err := ParseConstraint(s)
		if err != nil {
			d.at(p, false, `examples: "15", "15.18", ">=20 <23", "*", "latest"`, "%v", err)
		}
		out[k] = c
	}
	return out
}

func (d *decoder) env(path []string, v any) map[string]string {
	out := map[string]string{}
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		if err := checkEnvName(k); err != nil {
			d.at(p, true, "", "%v", err)
		}
		if s, ok := d.text(p, v); ok {
			out[k] = s
		}
	}
	return out
}

func (d *decoder) scripts(path []string, v any) map[string]string {
	out := map[string]string{}
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		if !scriptName.MatchString(k) {
			d.at(p, true, "use letters, digits, '-', '_', '.' and ':', with a letter or digit first, 64 at most", "%s cannot be the name of a script", quote(k))
		}
		if s, ok := d.text(p, v); ok {
			if strings.TrimSpace(s) == "" {
				d.at(p, false, "", "the script is empty")
			}
			out[k] = s
		}
	}
	return out
}

func (d *decoder) ports(path []string, v any) map[string]int {
	out := map[string]int{}
	owner := map[int]string{}
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		if !portName.MatchString(k) {
			d.at(p, true, "use lower-case letters, digits and '-', with a letter first, 63 at most", "%s cannot be the name of a port", quote(k))
		}
		n, ok := d.port(p, v)
		if !ok {
			continue
		}
		if other, ok := owner[n]; ok {
			d.at(p, false, "", "port %d is %s already", n, quote(other))
		}
		owner[n], out[k] = k, n
	}
	return out
}

func (d *decoder) resources(path []string, v any) Resources {
	var r Resources
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		switch k {
		case "cpus":
			n, ok := d.integer(p, v)
			if ok && (n < 1 || n > MaxCPUs) {
				d.at(p, false, "", "%d is no number of CPUs: 1 to %d are possible", n, MaxCPUs)
			}
			r.CPUs = int(n)
		case "memory":
			r.Memory = d.size(p, v, MinMemory, MaxMemory)
		case "disk":
			r.Disk = d.size(p, v, MinDisk, MaxDisk)
		default:
			d.unknown(p, " in [resources]", []string{"cpus", "memory", "disk"})
		}
	}
	return r
}

func (d *decoder) size(path []string, v any, least, most Size) Size {
	if n, ok := v.(int64); ok {
		d.at(path, false, fmt.Sprintf(`write the unit, in quotes: "%dMiB"`, n), "an amount needs a unit")
		return 0
	}
	s, ok := d.text(path, v)
	if !ok {
		return 0
	}
	n, err := ParseSize(s)
	switch {
	case err != nil:
		d.at(path, false, "", "%v", err)
	case n < least:
		d.at(path, false, "", "%s is too little: the least is %v", s, least)
	case n > most:
		d.at(path, false, "", "%s is too much: the most is %v", s, most)
	}
	return n
}

// table iterates over a table in order of its keys. It reports other values, and
// tables with more than limit entries.
func (d *decoder) table(path []string, v any, limit int) func(func(string, any) bool) {
	t, ok := v.(map[string]any)
	if !ok {
		d.at(path, true, fmt.Sprintf("write it as [%s], with its entries below", strings.Join(path, ".")), "%s must be a table, not %s", strings.Join(path, "."), typeName(v))
	}
	if len(t) > limit {
		d.at(path, true, "", "[%s] has %d entries, of %d allowed", strings.Join(path, "."), len(t), limit)
		t = nil
	}
	return func(yield func(string, any) bool) {
		for _, k := range sorted(t) {
			if !yield(k, t[k]) {
				return
			}
		}
	}
}

func (d *decoder) text(path []string, v any) (string, bool) {
	s, ok := v.(string)
	if !ok {
		hint := ""
		switch v.(type) {
		case int64, float64, bool:
			hint = fmt.Sprintf(`write it in quotes: "%s"`, d.doc.written(path))
		}
		d.at(path, false, hint, "%s must be text, not %s", path[len(path)-1], typeName(v))
		return "", false
	}
	if strings.ContainsRune(s, 0) {
		d.at(path, false, "", "%s has a NUL character", path[len(path)-1])
		return "", false
	}
	return s, true
}

func (d *decoder) integer(path []string, v any) (int64, bool) {
	n, ok := v.(int64)
	if !ok {
		hint := ""
		if s, isText := v.(string); isText && allDigits(s) {
			hint = "write it without quotes"
		}
		d.at(path, false, hint, "%s must be a whole number, not %s", path[len(path)-1], typeName(v))
	}
	return n, ok
}

func (d *decoder) port(path []string, v any) (int, bool) {
	n, ok := d.integer(path, v)
	if ok && (n < 1 || n > math.MaxUint16) {
		d.at(path, false, "", "%d is no port: 1 to 65535 are", n)
		return 0, false
	}
	return int(n), ok
}

func (d *decoder) unknown(path []string, where string, known []string) {
	k := path[len(path)-1]
	d.at(path, true, didYouMean(k, known), "unknown key %s%s", quote(k), where)
}

// written returns the text of a value as it stands in the file.
func (d *document) written(path []string) string {
	if i := d.find(path, false); i >= 0 {
		return string(d.text[d.entries[i].value.start:d.entries[i].value.end])
	}
	return ""
}

// typeName names the TOML type of a value for people.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "text"
	case int64:
		return "a number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func below(path []string, key string) []string { return append(slices.Clone(path), key) }

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
