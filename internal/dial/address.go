package dial

import (
	"encoding/binary"
	"net/netip"
)

// class says what kind of network an address belongs to.
type class int

const (
	public class = iota
	// private is a network that somebody may run on purpose: the machine itself,
	// what is behind the same router, and addresses that mean nothing elsewhere.
	private
	// never is what no fetch has a reason to reach: addresses that configure
	// machines and hand out their credentials, groups, and what is no host.
	never
)

// reserved lists what is not public, by IANA's registries of special-purpose
// addresses. The first prefix that holds an address decides.
var reserved = []struct {
	prefix netip.Prefix
	class  class
	name   string
}{
	// Metadata services of clouds, which are not all link-local.
	{netip.MustParsePrefix("100.100.100.200/32"), never, "a metadata service"},
	{netip.MustParsePrefix("168.63.129.16/32"), never, "a metadata service"},
	{netip.MustParsePrefix("192.0.0.192/32"), never, "a metadata service"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), never, "a metadata service"},
	{netip.MustParsePrefix("fd20:ce::254/128"), never, "a metadata service"},

	{netip.MustParsePrefix("0.0.0.0/8"), never, "no host"},
	{netip.MustParsePrefix("10.0.0.0/8"), private, "a private network"},
	{netip.MustParsePrefix("100.64.0.0/10"), private, "a carrier's private network"},
	{netip.MustParsePrefix("127.0.0.0/8"), private, "the server itself"},
	{netip.MustParsePrefix("169.254.0.0/16"), never, "a link-local network"},
	{netip.MustParsePrefix("172.16.0.0/12"), private, "a private network"},
	{netip.MustParsePrefix("192.0.0.0/24"), never, "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), private, "reserved for documents"},
	{netip.MustParsePrefix("192.88.99.0/24"), never, "a relay of IPv6"},
	{netip.MustParsePrefix("192.168.0.0/16"), private, "a private network"},
	{netip.MustParsePrefix("198.18.0.0/15"), private, "a network for benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), private, "reserved for documents"},
	{netip.MustParsePrefix("203.0.113.0/24"), private, "reserved for documents"},
	{netip.MustParsePrefix("224.0.0.0/4"), never, "a multicast group"},
	{netip.MustParsePrefix("240.0.0.0/4"), never, "reserved"},

	{netip.MustParsePrefix("::1/128"), private, "the server itself"},
	{netip.MustParsePrefix("fc00::/7"), private, "a private network"},
	{netip.MustParsePrefix("fe80::/10"), never, "a link-local network"},
	{netip.MustParsePrefix("ff00::/8"), never, "a multicast group"},
	{netip.MustParsePrefix("2001::/23"), never, "reserved"}, // Teredo among them
	{netip.MustParsePrefix("2001:db8::/32"), private, "reserved for documents"},
	{netip.MustParsePrefix("3fff::/20"), private, "reserved for documents"},
}

var (
	unicast6  = netip.MustParsePrefix("2000::/3") // all that is global so far
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// classify says what kind of network an address belongs to, and its name.
func classify(a netip.Addr) (class, string) {
	if !a.IsValid() || a.Zone() != "" {
		return never, "a link-local network"
	}
	a = a.Unmap()
	if a.Is6() {
		b := a.As16()
		switch {
		case nat64.Contains(a): // a gateway takes it to the IPv4 address at its end
			return classify(netip.AddrFrom4([4]byte(b[12:])))
		case sixToFour.Contains(a):
			return classify(netip.AddrFrom4([4]byte(b[2:6])))
		}
	}
	for _, r := range reserved {
		if r.prefix.Contains(a) {
			return r.class, r.name
		}
	}
	if a.Is6() && !unicast6.Contains(a) {
		return never, "reserved"
	}
	return public, ""
}

// parseLiteral reads a host as the C library's resolver does where it is an IPv4
// address in one of its older forms: 127.1, 0x7f.0.0.1, 017700000001,
// 2130706433. Programs outside of Go take these for addresses, so they are known
// for what they are here as well.
func parseLiteral(host string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true
	}
	parts := make([]uint64, 0, 4)
	for rest := host; ; {
		if len(parts) == 4 {
			return netip.Addr{}, false
		}
		n, after, ok := parseNumber(rest)
		if !ok {
			return netip.Addr{}, false
		}
		parts = append(parts, n)
		if after == "" {
			break
		}
		if after[0] != '.' {
			return netip.Addr{}, false
		}
		rest = after[1:]
	}
	last := parts[len(parts)-1]
	if last >= 1<<(8*(5-len(parts))) {
		return netip.Addr{}, false
	}
	v := last
	for i, p := range parts[:len(parts)-1] {
		if p > 0xff {
			return netip.Addr{}, false
		}
		v |= p << (24 - 8*i)
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(v))
	return netip.AddrFrom4(b), true
}

// parseNumber reads a decimal, octal (0…) or hexadecimal (0x…) number of at most
// 32 bits from the beginning of s.
func parseNumber(s string) (n uint64, rest string, ok bool) {
	base := uint64(10)
	switch {
	case len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x':
		base, s = 16, s[2:]
	case len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9':
		base, s = 8, s[1:]
	}
	i := 0
	for ; i < len(s); i++ {
		d := digit(s[i])
		if d >= base {
			break
		}
		if n = n*base + d; n > 0xffffffff {
			return 0, "", false
		}
	}
	return n, s[i:], i > 0
}

func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return uint64(c|0x20-'a') + 10
	}
	return 99
}
