package manifest

import (
	"slices"
	"strings"
)

// Format writes the manifest in the canonical order, without comments. Parse
// reads the same manifest back.
func (m *Manifest) Format() string {
	var b strings.Builder
	var table []string
	all := leaves(m)
	// A service without any entry still is a service.
	for _, name := range sorted(m.Services) {
		at := []string{"services", name}
		if len(serviceLeaves(at, m.Services[name])) == 0 {
			i := slices.IndexFunc(all, func(l leaf) bool { return after(l.path, at) })
			if i < 0 {
				i = len(all)
			}
			all = slices.Insert(all, i, leaf{path: below(at, "")})
		}
	}
	for _, l := range all {
		in, key := l.path[:len(l.path)-1], l.path[len(l.path)-1]
		if !slices.Equal(in, table) {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString("[" + dotted(in) + "]\n")
			table = in
		}
		if l.value != nil {
			b.WriteString(dotted([]string{key}) + " = " + tomlValue(l.value) + "\n")
		}
	}
	return b.String()
}

// after reports whether path comes after the table at in the canonical order.
func after(path, at []string) bool {
	a, b := slices.Index(topLevel, path[0]), slices.Index(topLevel, at[0])
	return a > b || a == b && slices.Compare(path[1:], at[1:]) > 0
}
