package preview

import (
	"net/http"
	"strings"
)

// ours reports whether a cookie belongs to NixSpace: what runs in a session must
// neither see nor set it. It also takes those without a name, which browsers send as
// if their value was name and value.
func ours(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	name = strings.TrimPrefix(strings.TrimPrefix(name, "__host-"), "__secure-")
	return name == "" || strings.HasPrefix(name, "nixspace-")
}

// forward leaves only what is the session's own among the cookies of a request.
func forwardCookies(h http.Header) {
	var kept []string
	for _, line := range h.Values("Cookie") {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			name, _, found := strings.Cut(part, "=")
			if part != "" && found && !ours(name) {
				kept = append(kept, part)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// confineCookies keeps the cookies of an answer to the preview's own host.
func confineCookies(h http.Header) {
	lines := h.Values("Set-Cookie")
	h.Del("Set-Cookie")
	for _, line := range lines {
		name, _, found := strings.Cut(line, "=")
		if semicolon := strings.IndexByte(line, ';'); !found || ours(name) || semicolon >= 0 && semicolon < len(name) {
			continue
		}
		var kept []string
		for i, attribute := range strings.Split(line, ";") {
			key, _, _ := strings.Cut(attribute, "=")
			if i > 0 && strings.EqualFold(strings.TrimSpace(key), "domain") {
				continue
			}
			kept = append(kept, attribute)
		}
		h.Add("Set-Cookie", strings.Join(kept, ";"))
	}
}
