package nixspace

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EgressPort is the port on 127.0.0.1 of a guest where the proxy listens that
// leads out of it, in guests that may reach anything.
const EgressPort = 61080

// Egress is what a machine may reach outside of itself. The zero value is
// nothing.
type Egress struct {
	// Full is every public address.
	Full bool `json:"full,omitempty"`
	// Allow are the hosts that may be reached where not all may, as
	// [ParseEgressHost] reads them.
	Allow []string `json:"allow,omitempty"`
}

// Any reports whether anything may be reached.
func (e Egress) Any() bool { return e.Full || len(e.Allow) > 0 }

// String returns the policy in a word or two.
func (e Egress) String() string {
	switch {
	case e.Full:
		return "full"
	case len(e.Allow) > 0:
		return "allow-list"
	}
	return "none"
}

// EgressHost is a host, or all below one, with the ports that may be reached
// there.
type EgressHost struct {
	Name     string // in lower case; an address in its shortest form
	Below    bool   // the names below Name, and not Name itself
	Port     int    // 0 for those of the web: 80 and 443
	EveryOne bool   // every port
}

// ParseEgressHost reads "registry.example", "*.example", "db.example:5432",
// "db.example:*", "192.0.2.1" or "[2001:db8::1]:443".
func ParseEgressHost(s string) (EgressHost, error) {
	var h EgressHost
	name, port, found := s, "", false
	if i := strings.LastIndexByte(s, ':'); i >= 0 && (strings.IndexByte(s, ':') == i || strings.HasPrefix(s, "[") && s[i-1] == ']') {
		name, port, found = s[:i], s[i+1:], true
	}
	switch {
	case !found:
	case port == "*":
		h.EveryOne = true
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return h, fmt.Errorf("%q is no port: 1 to 65535 are, and *", port)
		}
		h.Port = int(n)
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		name, h.Below = rest, true
	}
	bare := name
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		bare = name[1 : len(name)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		if h.Below || a.Zone() != "" || a.Is6() != strings.HasPrefix(name, "[") && found {
			return h, fmt.Errorf("%q is no host: write an address of IPv6 with a port as [address]:port", s)
		}
		h.Name = a.Unmap().String()
		return h, nil
	}
	if !hostName(name) {
		return h, fmt.Errorf("%.100q is no host: write a name, as in registry.example, *.example or db.example:5432", s)
	}
	h.Name = name
	return h, nil
}

// hostName reports whether s is a name as the domain name system has them.
func hostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	digits := true // of the last label: 1.2.3 or 0x7f.1 is an address in an old form
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
		digits = label[0] >= '0' && label[0] <= '9'
	}
	return !digits
}

// String writes the host as [ParseEgressHost] reads it.
func (h EgressHost) String() string {
	name := h.Name
	if strings.Contains(name, ":") && (h.EveryOne || h.Port != 0) {
		name = "[" + name + "]"
	}
	if h.Below {
		name = "*." + name
	}
	switch {
	case h.EveryOne:
		return name + ":*"
	case h.Port != 0:
		return name + ":" + strconv.Itoa(h.Port)
	}
	return name
}

// Matches reports whether a connection to a host and port is meant. The name is
// one as [ParseEgressHost] leaves it.
func (h EgressHost) Matches(name string, port int) bool {
	switch {
	case h.EveryOne:
	case h.Port != 0:
		if port != h.Port {
			return false
		}
	case port != 80 && port != 443:
		return false
	}
	if h.Below {
		return strings.HasSuffix(name, "."+h.Name)
	}
	return name == h.Name
}

// EgressStatus is what a machine has reached, and tried to.
type EgressStatus struct {
	Policy string `json:"policy"` // "full" or "allow-list"
	Open   int    `json:"open"`   // connections just now
	EgressCount
	Hosts []EgressHostStatus `json:"hosts,omitempty"` // of up to 100 hosts, the busiest first
	// More counts what went to further hosts.
	More EgressCount `json:"more,omitzero"`
}

// EgressCount counts connections out of a machine since its start.
type EgressCount struct {
	Connections int64 `json:"connections"` // that were made
	Refused     int64 `json:"refused"`     // by the policy
	Failed      int64 `json:"failed"`      // that could not be made
	Sent        int64 `json:"sent"`        // bytes out of the machine
	Received    int64 `json:"received"`    // bytes into it
}

// Add adds the counts of o.
func (c *EgressCount) Add(o EgressCount) {
	c.Connections += o.Connections
	c.Refused += o.Refused
	c.Failed += o.Failed
	c.Sent += o.Sent
	c.Received += o.Received
}

// EgressHostStatus is what went to one host and port.
type EgressHostStatus struct {
	Host string `json:"host"` // host:port
	EgressCount
	LastError string    `json:"last_error,omitempty"` // why it was last refused, or failed
	Last      time.Time `json:"last"`                 // when it was last tried
}

// SortEgressHosts puts hosts in the order of [EgressStatus.Hosts].
func SortEgressHosts(hosts []EgressHostStatus) {
	slices.SortFunc(hosts, func(a, b EgressHostStatus) int {
		if n := (b.Connections + b.Refused + b.Failed) - (a.Connections + a.Refused + a.Failed); n != 0 {
			if n > 0 {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Host, b.Host)
	})
}
