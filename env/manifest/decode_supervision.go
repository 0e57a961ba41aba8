package manifest

import (
	"net/url"
	"slices"
	"strings"
)

// supervision reads what says when a service of the project's own starts, is
// ready and is started again.
func (d *decoder) supervision(p []string, key string, v any, s *Service) {
	switch key {
	case "ports":
		s.Ports = d.portList(p, v)
	case "depends-on":
		s.DependsOn = d.names(p, v)
	case "ready-http":
		s.ReadyHTTP = d.httpPath(p, v)
	case "ready-port":
		s.ReadyPort, _ = d.port(p, v)
	case "ready-timeout":
		s.ReadyTimeout = d.duration(p, v, MaxReadyTimeout)
	case "restart":
		s.Restart = d.restart(p, v)
	case "restart-limit":
		n, ok := d.integer(p, v)
		if ok && (n < 1 || n > MaxRestartLimit) {
			d.at(p, false, `for none write restart = "never"`, "%d is no limit of restarts: 1 to %d are possible", n, MaxRestartLimit)
			return
		}
		s.RestartLimit = int(n)
	case "restart-delay":
		s.RestartDelay = d.duration(p, v, MaxRestartDelay)
	}
}

// names reads a list of services, and sorts it: its order means nothing.
func (d *decoder) names(p []string, v any) []string {
	const hint = `write a list of names, as in ["postgresql"]`
	l, ok := v.([]any)
	if !ok {
		d.at(p, false, hint, "%s must be a list, not %s", p[len(p)-1], typeName(v))
		return nil
	}
	if len(l) > maxServices {
		d.at(p, false, "", "there are %d names, of %d allowed", len(l), maxServices)
		return nil
	}
	var out []string
	for _, v := range l {
		s, ok := v.(string)
		switch {
		case !ok:
			d.at(p, false, hint, "the name of a service must be text, not %s", typeName(v))
		case slices.Contains(out, s):
			d.at(p, false, "", "%s is named twice", quote(s))
		default:
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

func (d *decoder) portList(p []string, v any) []int {
	l, ok := v.([]any)
	if !ok {
		d.at(p, false, "write a list of numbers, as in [3000, 9229]", "%s must be a list, not %s", p[len(p)-1], typeName(v))
		return nil
	}
	if len(l) > maxServices {
		d.at(p, false, "", "there are %d ports, of %d allowed", len(l), maxServices)
		return nil
	}
	var out []int
	for _, v := range l {
		n, ok := d.port(p, v)
		switch {
		case !ok:
		case slices.Contains(out, n):
			d.at(p, false, "", "port %d is named twice", n)
		default:
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// httpPath reads the path of a request, with its query.
func (d *decoder) httpPath(p []string, v any) string {
	s, ok := d.text(p, v)
	if !ok {
		return ""
	}
	u, err := url.ParseRequestURI(s)
	if err != nil || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || u.Host != "" || len(s) > 500 ||
		strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		d.at(p, false, `write the path of a page, as in "/health"`, "%s is no path of a request", quote(s))
		return ""
	}
	return s
}

func (d *decoder) restart(p []string, v any) RestartPolicy {
	s, ok := d.text(p, v)
	policy := RestartPolicy(s)
	policies := []string{string(RestartAlways), string(RestartOnFailure), string(RestartNever)}
	switch {
	case !ok:
		return ""
	case !slices.Contains(policies, s):
		d.at(p, false, `"always", "on-failure" and "never" are possible`, "%s does not say when to start a service again", quote(s))
		return ""
	}
	return policy
}

// duration reads a length of time above 0 and up to most.
func (d *decoder) duration(p []string, v any, most Duration) Duration {
	if n, ok := v.(int64); ok {
		d.at(p, false, `write the unit, in quotes: "`+numbers([]int{int(n)})+`s"`, "a length of time needs a unit")
		return 0
	}
	s, ok := d.text(p, v)
	if !ok {
		return 0
	}
	n, err := ParseDuration(s)
	switch {
	case err != nil:
		d.at(p, false, "", "%v", err)
	case n == 0:
		d.at(p, false, "", "%s is too short", quote(s))
	case n > most:
		d.at(p, false, "", "%s is too long: the most is %v", s, most)
	}
	return n
}
