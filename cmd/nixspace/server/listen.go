package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"

	"github.com/nixspace/nixspace"
)

// listen takes a TCP address. It fails with code "port_in_use" or
// "listen_invalid".
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, nixspace.Errorf(nixspace.KindConflict, "port_in_use", "another program listens on %s", addr).
			WithHint("stop it, or choose another address with --listen, for example --listen 127.0.0.1:0 for any free port")
	case errors.Is(err, fs.ErrPermission):
		return nil, nixspace.Errorf(nixspace.KindForbidden, "listen_invalid", "this user may not listen on %s", addr).
			WithHint("choose a port above 1023 with --listen")
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, nixspace.Errorf(nixspace.KindInvalid, "listen_invalid", "the server cannot listen on %q: %w", addr, err).
		WithHint("give an address of this machine as host:port with --listen, for example 127.0.0.1:7070")
}

// address returns the URL of a listener as a program on this machine uses it.
func address(ln net.Listener) string {
	ap, err := netip.ParseAddrPort(ln.Addr().String())
	if err != nil {
		return "http://" + ln.Addr().String()
	}
	if ap.Addr().IsUnspecified() {
		// It listens on every address, the local one included.
		ap = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port())
	}
	return "http://" + ap.String()
}

// Public reports whether an address to listen on can be reached from other
// machines, as far as it shows.
func Public(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err != nil || !ip.IsLoopback()
}

// CheckPreviewDomain fails where a preview could share cookies with the platform:
// when a name of the platform is the domain, or lies above or below it.
func CheckPreviewDomain(domain string, hosts []string) error {
	domain = strings.Trim(strings.ToLower(domain), ".")
	if domain == "" || domain == "localhost" {
		return nil
	}
	if strings.ContainsAny(domain, "/: ") || net.ParseIP(domain) != nil || !strings.Contains(domain, ".") {
		return nixspace.Errorf(nixspace.KindInvalid, "preview_domain_invalid", "%q is no domain for previews", domain).
			WithHint("give a domain as preview.example.net, without a port")
	}
	for _, h := range hosts {
		h = strings.Trim(strings.ToLower(h), ".")
		if h == domain || strings.HasSuffix(h, "."+domain) || strings.HasSuffix(domain, "."+h) {
			return nixspace.Errorf(nixspace.KindInvalid, "preview_domain_invalid", "previews below %s could set cookies for %s", domain, h).
				WithHint("use a domain of its own, such as example-preview.net")
		}
	}
	return nil
}
