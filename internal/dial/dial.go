// Package dial makes the connections that people ask the server to make: to
// repositories, archives, and whatever a session may reach.
//
// Whoever may name an address must not reach with it what only the server can
// reach: itself, its network, the metadata service of its cloud. What is refused
// is decided when a connection is made, on the address that it is made to. So it
// does not matter what a name resolved to before, where a redirect leads, or how
// an address is written.
package dial

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/nixspace/nixspace"
)

// CodeRefused is the code of the error for an address that is not to be reached.
const CodeRefused = "address_refused"

// Policy says which addresses may be reached. Its zero value allows public ones
// only. It is safe for concurrent use.
type Policy struct {
	// Private allows the machine itself and private networks as well: loopback,
	// RFC 1918, RFC 6598 and unique local addresses. Link-local addresses,
	// metadata services and multicast groups stay refused.
	Private bool
	// Allow are private networks, or parts of them, that may be reached as well.
	Allow []netip.Prefix
}

// ParsePolicy reads networks as people write them in a setting: "private" for all
// private ones, an address, or a network as 10.1.0.0/16. It fails with code
// network_invalid.
func ParsePolicy(networks ...string) (Policy, error) {
	var p Policy
	for _, n := range networks {
		if n == "private" {
			p.Private = true
			continue
		}
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(n); err == nil && a.Zone() == "" {
				prefix = netip.PrefixFrom(a, a.BitLen())
			}
		}
		if !prefix.IsValid() {
			return Policy{}, nixspace.Errorf(nixspace.KindInvalid, "network_invalid", "%.80q is no network", n).
				WithHint("write one as 10.1.0.0/16, or private for all private networks")
		}
		p.Allow = append(p.Allow, prefix.Masked())
	}
	return p, nil
}

// Inside reports whether anything private may be reached.
func (p Policy) Inside() bool { return p.Private || len(p.Allow) > 0 }

// Check fails, with kind forbidden and code [CodeRefused], where an address is
// not to be reached.
func (p Policy) Check(a netip.Addr) error {
	c, name := classify(a)
	if c == public || c == private && (p.Private || p.allows(a)) {
		return nil
	}
	err := nixspace.Errorf(nixspace.KindForbidden, CodeRefused, "the address %s is refused: it is %s", a, name)
	if c == private {
		return err.WithHint("to fetch from there all the same, start the server with --allow-network %s", a.Unmap().WithZone(""))
	}
	return err
}

func (p Policy) allows(a netip.Addr) bool {
	for _, n := range p.Allow {
		if n.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

// CheckHost fails as [Policy.Check] does where host is an address, in whichever
// form programs take for one, or a name that always stands for the machine
// itself. A name is not looked up: that it leads nowhere it must not is seen when
// it is connected to. It is for a clear answer early.
func (p Policy) CheckHost(host string) error {
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if a, ok := parseLiteral(host); ok {
		return p.Check(a)
	}
	if lower := strings.ToLower(host); lower == "localhost" || strings.HasSuffix(lower, ".localhost") {
		return p.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	}
	return nil
}

// Dialer returns a dialer that connects to addresses that may be reached only.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{
		Timeout:   30 * time.Second, // of all addresses of a name together
		KeepAlive: 30 * time.Second,
		Control:   p.control,
	}
}

// control is asked after a name was resolved and before a socket connects.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp4", "tcp6", "udp4", "udp6":
	default:
		return nixspace.Errorf(nixspace.KindForbidden, CodeRefused, "connections by %.20s are refused", network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nixspace.Errorf(nixspace.KindForbidden, CodeRefused, "the address %.80q is refused: it is none", address)
	}
	return p.Check(ap.Addr())
}

// DialContext connects as [net.Dialer.DialContext] does, to addresses that may be
// reached only. A name of which some addresses are refused is connected to by the
// others.
func (p Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "address_invalid", "%.80q is no address of a host and port", address)
	}
	if err := p.CheckHost(host); err != nil {
		return nil, err
	}
	return p.Dialer().DialContext(ctx, network, address)
}

// Transport returns a transport for HTTP whose every connection, redirects' too,
// is made by the policy. It uses no proxy: one would resolve names by itself. The
// caller closes its idle connections.
func (p Policy) Transport() *http.Transport {
	return &http.Transport{
		DialContext:            p.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    15 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		MaxResponseHeaderBytes: 1 << 20,
	}
}
