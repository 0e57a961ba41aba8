package manifest

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
)

// The keys of [services.<name>], for known services and for others.
var (
	knownServiceKeys = []string{"port", "settings", "databases"}
	otherServiceKeys = []string{
		"command", "directory", "port", "ports", "depends-on", "ready", "ready-http", "ready-port", "ready-timeout",
		"restart", "restart-limit", "restart-delay", "env",
	}
)

func (d *decoder) services(at []string, v any) map[string]Service {
	out := map[string]Service{}
	owner := map[int]string{}
	for name, v := range d.table(at, v, maxServices) {
		p := below(at, name)
		if !serviceName.MatchString(name) {
			d.at(p, true, "use lower-case letters, digits and '-', with a letter first, 63 at most", "%s cannot be the name of a service", quote(name))
			continue
		}
		s := d.service(p, name, v)
		d.ownPorts(p, name, s, owner)
		out[name] = s
	}
	d.dependencies(at, out)
	return out
}

// ownPorts reports ports that another service has already.
func (d *decoder) ownPorts(p []string, name string, s Service, owner map[int]string) {
	claim := func(key string, port int) {
		if other, ok := owner[port]; ok && port != 0 {
			d.at(below(p, key), false, "", "port %d is that of the service %s already", port, other)
		}
		owner[port] = name
	}
	claim("port", ServicePort(name, s))
	for _, port := range s.Ports {
		claim("ports", port)
	}
}

// dependencies reports services that need one that there is not, or each other.
func (d *decoder) dependencies(at []string, services map[string]Service) {
	const ( // of visit
		fresh = iota
		open
		done
	)
	state := map[string]int{}
	var visit func(name string, way []string)
	visit = func(name string, way []string) {
		state[name] = open
		way = append(way, name)
		for _, need := range services[name].DependsOn {
			place := below(below(at, name), "depends-on")
			if _, ok := services[need]; !ok {
				d.at(place, false, didYouMean(need, sorted(services)), "%s depends on %s, and there is no such service", name, quote(need))
				continue
			}
			switch state[need] {
			case fresh:
				visit(need, way)
			case open:
				circle := append(slices.Clone(way[slices.Index(way, need):]), need)
				d.at(place, false, "", "services depend on each other: %s", strings.Join(circle, " → "))
			}
		}
		state[name] = done
	}
	for _, name := range sorted(services) {
		if state[name] == fresh {
			visit(name, nil)
		}
	}
}

func (d *decoder) service(at []string, name string, v any) Service {
	kind, known := serviceKinds[name]
	keys, where := otherServiceKeys, fmt.Sprintf(" in [services.%s]", name)
	if known {
		keys = knownServiceKeys
		if !kind.databases {
			keys = keys[:2]
		}
	}
	var s Service
	complained := len(d.problems)
	for k, v := range d.table(at, v, maxEntries) {
		p := below(at, k)
		if !slices.Contains(keys, k) {
			d.unknown(p, where, keys)
			continue
		}
		switch k {
		case "port":
			s.Port, _ = d.port(p, v)
		case "command":
			s.Command = d.shell(p, v)
		case "ready":
			s.Ready = d.shell(p, v)
		case "directory":
			s.Directory = d.directory(p, v)
		case "env":
			s.Env = d.env(p, v)
		case "databases":
			s.Databases = d.databases(p, v)
		case "settings":
			s.Settings = d.settings(p, v, name, kind)
		default:
			d.supervision(p, k, v, &s)
		}
	}
	if s.ReadyHTTP != "" && s.ReadyPort == 0 && s.Port == 0 {
		d.at(below(at, "ready-http"), false, fmt.Sprintf("write the port that it listens on: port = 3000 in [services.%s]", name), "there is no port to ask for %s", quote(s.ReadyHTTP))
	}
	if !known && s.Command == "" && len(d.problems) == complained {
		hint := "give it one, as in command = \"node server.js\""
		if near := nearest(name, KnownServices()); len(near) > 0 {
			hint = fmt.Sprintf("did you mean [services.%s]?", near[0])
		}
		d.at(at, true, hint, "the service %s has no command", name)
	}
	return s
}

func (d *decoder) shell(p []string, v any) string {
	s, ok := d.text(p, v)
	if ok && strings.TrimSpace(s) == "" {
		d.at(p, false, "", "%s is empty", p[len(p)-1])
	}
	return s
}

func (d *decoder) directory(p []string, v any) string {
	s, ok := d.text(p, v)
	if !ok {
		return ""
	}
	if path.IsAbs(s) || !localPath(s) {
		d.at(p, false, "it is relative to the project's folder", "%s is outside the project", quote(s))
		return ""
	}
	if s = path.Clean(s); s == "." {
		return ""
	}
	return s
}

// localPath reports whether a slash-separated path stays below where it starts.
func localPath(s string) bool {
	c := path.Clean(s)
	return c != ".." && !strings.HasPrefix(c, "../")
}

func (d *decoder) databases(p []string, v any) []string {
	l, ok := v.([]any)
	if !ok {
		d.at(p, false, `write a list of names, as in ["shop"]`, "databases must be a list, not %s", typeName(v))
		return nil
	}
	if len(l) > maxEntries {
		d.at(p, false, "", "there are %d databases, of %d allowed", len(l), maxEntries)
		return nil
	}
	var out []string
	for _, v := range l {
		s, ok := v.(string)
		switch {
		case !ok:
			d.at(p, false, `write a list of names, as in ["shop"]`, "the name of a database must be text, not %s", typeName(v))
		case !databaseName.MatchString(s):
			d.at(p, false, "use lower-case letters, digits and '_', 63 at most", "%s cannot be the name of a database", quote(s))
		case s == "template0" || s == "template1":
			d.at(p, false, "", "the database %s is PostgreSQL's own", s)
		case slices.Contains(out, s):
			d.at(p, false, "", "the database %s is named twice", s)
		default:
			out = append(out, s)
		}
	}
	return out
}

func (d *decoder) settings(at []string, v any, service string, kind serviceKind) map[string]any {
	out := map[string]any{}
	d.flatten(at, v, "", kind, func(p []string, name string, v any) {
		switch {
		case !kind.setting.MatchString(name):
			d.at(p, true, "", "%s cannot be a setting of %s", quote(name), service)
			return
		case slices.Contains(kind.own, name):
			hint := ""
			if name == "port" {
				hint = fmt.Sprintf("write it as port in [services.%s]", service)
			}
			d.at(p, true, hint, "the setting %s is made by NixSpace itself", name)
			return
		}
		switch v := v.(type) {
		case bool, int64:
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				d.at(p, false, "", "%s must be a finite number", name)
				return
			}
		case string:
			if err := checkSetting(v); err != nil {
				d.at(p, false, "", "%s cannot be set: %v", name, err)
				return
			}
		default:
			d.at(p, false, "", "%s must be text, a number, or true or false, not %s", name, typeName(v))
			return
		}
		if _, twice := out[name]; twice {
			d.at(p, true, "", "%s is set twice", name)
		}
		out[name] = v
	})
	return out
}

// flatten calls fn for each setting. PostgreSQL has settings of extensions with
// a dot in their names, which TOML reads as a table.
func (d *decoder) flatten(at []string, v any, prefix string, kind serviceKind, fn func([]string, string, any)) {
	for k, v := range d.table(at, v, maxEntries) {
		p := below(at, k)
		if _, isTable := v.(map[string]any); isTable && prefix == "" && kind.databases {
			d.flatten(p, v, k+".", kind, fn)
			continue
		}
		fn(p, prefix+k, v)
	}
}
