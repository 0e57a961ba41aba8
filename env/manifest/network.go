package manifest

import (
	"slices"

	"github.com/nixspace/nixspace"
)

// maxEgressHosts bounds the list of hosts.
const maxEgressHosts = 200

// Policy returns what the network lets a session reach.
func (n Network) Policy() nixspace.Egress {
	return nixspace.Egress{Full: n.Egress == EgressFull, Allow: n.Allow}
}

func (d *decoder) network(path []string, v any) Network {
	var n Network
	for k, v := range d.table(path, v, maxEntries) {
		p := below(path, k)
		if k != "egress" {
			d.unknown(p, " in [network]", []string{"egress"})
			continue
		}
		n = d.egress(p, v)
	}
	return n
}

func (d *decoder) egress(p []string, v any) Network {
	const hint = `write "none", "full", or the hosts: ["registry.example", "*.example.org", "db.example:5432"]`
	switch v := v.(type) {
	case string:
		if v != EgressNone && v != EgressFull {
			d.at(p, false, hint, "%s does not say what may be reached", quote(v))
			return Network{}
		}
		return Network{Egress: v}
	case []any:
		if len(v) > maxEgressHosts {
			d.at(p, false, "", "there are %d hosts, of %d allowed", len(v), maxEgressHosts)
			return Network{}
		}
		var hosts []string
		for _, v := range v {
			s, ok := v.(string)
			if !ok {
				d.at(p, false, hint, "a host must be text, not %s", typeName(v))
				continue
			}
			h, err := nixspace.ParseEgressHost(s)
			switch {
			case err != nil:
				d.at(p, false, "", "%v", err)
			case slices.Contains(hosts, h.String()):
				d.at(p, false, "", "the host %s is named twice", h)
			default:
				hosts = append(hosts, h.String())
			}
		}
		slices.Sort(hosts)
		if len(hosts) == 0 {
			return Network{Egress: EgressNone}
		}
		return Network{Allow: hosts}
	}
	d.at(p, false, hint, "egress must be text or a list, not %s", typeName(v))
	return Network{}
}
