package manifest

import (
	"fmt"
	"strings"

	"github.com/nixspace/nixspace"
)

// Diff returns what changed from a to b by meaning, sorted by path. Packages are
// shown with the version that they resolve to: "15 (15.18)". A package whose
// constraint is the same but whose store path is not has changed too. A nil a is
// an empty environment.
func Diff(a, b *Resolved) []nixspace.Change {
	var out []nixspace.Change
	add := func(path []string, from, to string) {
		c := nixspace.Change{Op: nixspace.ChangeSet, Path: dotted(path), From: from, To: to}
		out = append(out, c)
	}
	if a != nil {
		if a.System != b.System {
			add([]string{"system"}, a.System, b.System)
		}
		if a.Base != b.Base {
			add([]string{"base"}, storeName(a.Base), storeName(b.Base))
		}
	}
	out = append(out, diffPackages(a, b)...)
	out = append(out, diffServices(a, b)...)
	out = append(out, diffFlake(a, b)...)

	from, to := settingsOf(a), settingsOf(b)
	for path, v := range from {
		w, ok := to[path]
		switch {
		case !ok:
			out = append(out, nixspace.Change{Op: nixspace.ChangeRemove, Path: path, From: v})
		case v != w:
			out = append(out, nixspace.Change{Op: nixspace.ChangeSet, Path: path, From: v, To: w})
		}
	}
	for path, w := range to {
		if _, ok := from[path]; !ok {
			out = append(out, nixspace.Change{Op: nixspace.ChangeAdd, Path: path, To: w})
		}
	}
	nixspace.SortChanges(out)
	return out
}

// settingsOf returns all that a manifest says but packages and services, as
// people read it, with the defaults of resources; the resources of an empty
// environment are not shown as removed or added unless they were written down.
func settingsOf(r *Resolved) map[string]string {
	out := map[string]string{}
	m := &Manifest{}
	if r != nil {
		c := *r.Manifest
		m = &c
	}
	m.Source, m.Resources = m.Source.orDefault(), m.Resources.OrDefault()
	for _, l := range leaves(m) {
		if l.path[0] != "packages" && l.path[0] != "services" && !isFile(l.path) {
			out[dotted(l.path)] = display(l.value)
		}
	}
	return out
}

func diffPackages(a, b *Resolved) []nixspace.Change {
	var out []nixspace.Change
	from, to := byFamily(a), byFamily(b)
	for family, p := range from {
		q, ok := to[family]
		if !ok {
			out = append(out, nixspace.Change{Op: nixspace.ChangeRemove, Path: dotted([]string{"packages", p.Key}), From: p.display()})
			continue
		}
		if p.Key == q.Key && p.Constraint == q.Constraint && p.OutPath == q.OutPath {
			continue
		}
		path, old, now := family, p.display(), q.display()
		if p.Key == q.Key {
			path = p.Key
		} else {
			old, now = p.Key+" "+old, q.Key+" "+now
		}
		if old == now { // the same version, made anew
			old, now = old+" "+storeHash(p.OutPath), now+" "+storeHash(q.OutPath)
		}
		out = append(out, nixspace.Change{Op: nixspace.ChangeSet, Path: dotted([]string{"packages", path}), From: old, To: now})
	}
	for family, q := range to {
		if _, ok := from[family]; !ok {
			out = append(out, nixspace.Change{Op: nixspace.ChangeAdd, Path: dotted([]string{"packages", q.Key}), To: q.display()})
		}
	}
	return out
}

func byFamily(r *Resolved) map[string]Package {
	out := map[string]Package{}
	if r != nil {
		for _, p := range r.Packages {
			out[p.Family] = p
		}
	}
	return out
}

// display shows a package's constraint and version: "15 (15.18)".
func (p Package) display() string {
	if c := p.Constraint.String(); c != p.Version {
		return c + " (" + p.Version + ")"
	}
	return p.Version
}

// diffServices shows a service that came or went as one change, and one that
// changed by its entries.
func diffServices(a, b *Resolved) []nixspace.Change {
	var out []nixspace.Change
	from, to := map[string]Service{}, b.Manifest.Services
	if a != nil {
		from = a.Manifest.Services
	}
	for name, s := range from {
		at := []string{"services", name}
		t, ok := to[name]
		if !ok {
			out = append(out, nixspace.Change{Op: nixspace.ChangeRemove, Path: dotted(at), From: summary(at, s)})
			continue
		}
		old, now := leafTexts(at, s), leafTexts(at, t)
		for path, v := range old {
			w, ok := now[path]
			switch {
			case !ok:
				out = append(out, nixspace.Change{Op: nixspace.ChangeRemove, Path: path, From: v})
			case v != w:
				out = append(out, nixspace.Change{Op: nixspace.ChangeSet, Path: path, From: v, To: w})
			}
		}
		for path, w := range now {
			if _, ok := old[path]; !ok {
				out = append(out, nixspace.Change{Op: nixspace.ChangeAdd, Path: path, To: w})
			}
		}
	}
	for name, t := range to {
		if _, ok := from[name]; !ok {
			at := []string{"services", name}
			out = append(out, nixspace.Change{Op: nixspace.ChangeAdd, Path: dotted(at), To: summary(at, t)})
		}
	}
	return out
}

func leafTexts(at []string, s Service) map[string]string {
	out := map[string]string{}
	for _, l := range serviceLeaves(at, s) {
		out[dotted(l.path)] = display(l.value)
	}
	return out
}

// summary shows a whole service in one line.
func summary(at []string, s Service) string {
	var parts []string
	for _, l := range serviceLeaves(at, s) {
		parts = append(parts, dotted(l.path[len(at):])+" = "+display(l.value))
	}
	if len(parts) == 0 {
		if port := ServicePort(at[len(at)-1], s); port != 0 {
			return fmt.Sprintf("port %d", port)
		}
		return "defaults"
	}
	return strings.Join(parts, "; ")
}

// storeName shows a store path as its name and the beginning of its hash.
func storeName(path string) string {
	return nixspace.StorePathName(path) + " " + storeHash(path)
}

func storeHash(path string) string {
	h := strings.TrimPrefix(path, nixspace.StoreDir+"/")
	return "[" + h[:min(len(h), 8)] + "]"
}
