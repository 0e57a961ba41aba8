package preview

import (
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace"
)

// A preview's host is PORT--SESSION.DOMAIN, where SESSION is
// NUMBER--ENVIRONMENT--PROJECT if these can stand in a host's name, and the
// session's ID without hyphens otherwise. The editor's host has "code" for PORT.
const separator = "--"

// Editor stands for the editor of a session where a port is named.
const Editor = 0

const editorWord = "code"

// labelMax is how long a part of a host's name may be.
const labelMax = 63

var (
	hostWord = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	hexID    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	digits   = regexp.MustCompile(`^[1-9][0-9]{0,8}$`)
)

// target is what a preview shows.
type target struct {
	port    int
	session string // a reference
}

// label returns the first part of a preview's host.
func label(s *nixspace.Session, port int) string {
	p := portText(port)
	if port == Editor {
		p = editorWord
	}
	if project, env, ok := strings.Cut(s.Environment, "/"); ok && hostWord.MatchString(project) && hostWord.MatchString(env) {
		l := strings.Join([]string{p, strconv.Itoa(s.Number), env, project}, separator)
		if len(l) <= labelMax {
			return l
		}
	}
	return p + separator + strings.ReplaceAll(string(s.ID), "-", "")
}

// parseLabel is the other direction.
func parseLabel(l string) (target, bool) {
	parts := strings.Split(l, separator)
	if len(parts) < 2 || len(l) > labelMax {
		return target{}, false
	}
	port, ok := parsePort(parts[0])
	if !ok {
		return target{}, false
	}
	switch {
	case len(parts) == 2 && hexID.MatchString(parts[1]):
		h := parts[1]
		return target{port, h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}, true
	case len(parts) == 4 && digits.MatchString(parts[1]) && hostWord.MatchString(parts[2]) && hostWord.MatchString(parts[3]):
		return target{port, parts[3] + "/" + parts[2] + "/" + parts[1]}, true
	}
	return target{}, false
}

func parsePort(s string) (int, bool) {
	if s == editorWord {
		return Editor, true
	}
	if !digits.MatchString(s) {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && n <= 65535
}

// split returns the first part of a host and the rest, in lower case and without
// a port or a final dot.
func split(hostport string) (first, rest string) {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	first, rest, _ = strings.Cut(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	return first, rest
}

// Owns reports whether a Host header is one of a preview, well-formed or not: such a
// request must never reach the platform.
func (p *Proxy) Owns(hostport string) bool {
	first, rest := split(hostport)
	below := rest == p.domain || strings.HasSuffix(rest, "."+p.domain)
	if p.domain != defaultDomain && (below || first+"."+rest == p.domain) {
		return true // below a domain of its own there is nothing but previews
	}
	if !below && rest != defaultDomain && !strings.HasSuffix(rest, "."+defaultDomain) {
		return false
	}
	n, _, ok := strings.Cut(first, separator)
	return ok && (n == editorWord || n != "" && strings.Trim(n, "0123456789") == "")
}
