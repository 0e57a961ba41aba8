package auth

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Hosts are the names under which a server may be asked. A web page can make a
// name of its own point to 127.0.0.1 (DNS rebinding) and would then be of the
// same origin as the server; but the request still carries the page's name.
type Hosts []string

// Allowed reports whether a Host header names the server: by localhost, a name
// below localhost, a loopback address, or a name or address in h. The port does
// not matter.
func (h Hosts) Allowed(hostport string) bool {
	host := hostname(hostport)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h, host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// OriginAllowed reports whether an Origin header is absent, as it is from
// programs, or names the very host that the request was sent to.
func (h Hosts) OriginAllowed(origin, hostport string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, hostport) && h.Allowed(u.Host)
}

func hostname(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
