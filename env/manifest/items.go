package manifest

// Item is one thing that a manifest says, at its path, as [Diff] shows it.
type Item struct {
	Path  string
	Value string
	// Also is another path under which [Diff] may show a change of it: a package
	// whose key changed within its family. Empty for most.
	Also string
}

// Items returns everything that a manifest says, in the order of its canonical
// text: packages with what they resolve to, services by their entries.
func Items(r *Resolved) []Item {
	packages := map[string]Package{}
	for _, p := range r.Packages {
		packages[p.Key] = p
	}
	var out []Item
	for _, l := range leaves(r.Manifest) {
		item := Item{Path: dotted(l.path), Value: display(l.value)}
		switch l.path[0] {
		case "flake":
			if s, ok := l.value.(string); ok && isFile(l.path) {
				item.Value = lineCount(s)
			}
		case "schema":
			continue
		case "packages":
			if p, ok := packages[l.path[1]]; ok {
				item.Value = p.display()
				if also := dotted([]string{"packages", p.Family}); also != item.Path {
					item.Also = also
				}
			}
		}
		out = append(out, item)
	}
	for _, name := range sorted(r.Manifest.Services) {
		if s := r.Manifest.Services[name]; len(serviceLeaves(nil, s)) == 0 {
			at := []string{"services", name}
			out = append(out, Item{Path: dotted(at), Value: summary(at, s)})
		}
	}
	return out
}
