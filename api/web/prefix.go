package web

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/nixspace/nixspace"
)

var pathPrefix = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// CheckPathPrefix fails where a prefix is no plain path: it goes into pages.
func CheckPathPrefix(prefix string) error {
	if pathPrefix.MatchString(prefix) {
		return nil
	}
	return nixspace.Errorf(nixspace.KindInvalid, "path_prefix_invalid", "%q is no path prefix", prefix).
		WithHint("write it with a slash first and none last, in letters, digits, '-', '_', '~' and '.': /tools/nixspace")
}

// below takes the prefix off the paths of requests that have it.
func (h *Handler) below(next http.Handler) http.Handler {
	prefix := h.cfg.PathPrefix
	if prefix == "" {
		return next
	}
	strip := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == prefix && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			http.Redirect(w, r, prefix+"/", http.StatusPermanentRedirect)
		case strings.HasPrefix(r.URL.Path, prefix+"/"):
			strip.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
