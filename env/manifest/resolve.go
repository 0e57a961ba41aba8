package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/nixspace/nixspace"
)

// BaseAttr is the attribute of the base system that every session gets: a
// shell, the usual tools, certificates and a locale. It is no part of a
// manifest's packages, but of its identity.
const BaseAttr = "nixspaceBase"

// Resolved is a manifest whose every package is one known store path.
type Resolved struct {
	Manifest *Manifest
	System   string    // Nix's name of the platform: "x86_64-linux"
	Base     string    // the store path of the base system
	Packages []Package // sorted by attribute
	// Flake is what the manifest's flake came to. Resolve leaves it out, because that
	// takes an evaluation.
	Flake *CanonicalFlake
}

// Package is what one entry of [packages] was resolved to.
type Package struct {
	Key        string // as written in the manifest: a family or an attribute
	Constraint Constraint
	Attr       string
	Family     string
	Version    string
	OutPath    string
}

// Attrs returns the attributes of all packages, sorted.
func (r *Resolved) Attrs() []string {
	attrs := make([]string, 0, len(r.Packages))
	for _, p := range r.Packages {
		attrs = append(attrs, p.Attr)
	}
	return attrs
}

// Family returns the package of a family.
func (r *Resolved) Family(name string) (Package, bool) {
	i := slices.IndexFunc(r.Packages, func(p Package) bool { return p.Family == name })
	if i < 0 {
		return Package{}, false
	}
	return r.Packages[i], true
}

// Resolve chooses one package for each entry of [packages] among the offers of
// the package source: of a family, the newest version that the constraint
// allows; for "*", the recommended one. It fails with kind invalid and code
// package_unknown, version_unknown, package_conflict (two packages of one
// family), service_package_missing or source_offline (the manifest asks for
// nixpkgs, which these offers are not), and with base_missing where the source
// has no base system.
func Resolve(m *Manifest, system string, offers []nixspace.Package) (*Resolved, error) {
	r := resolver{manifest: m, offers: offers}
	if !m.Source.IsCatalog() {
		return nil, r.offline()
	}
	out := &Resolved{Manifest: m, System: system}
	for _, key := range sorted(m.Packages) {
		if p, ok := r.choose(key, m.Packages[key]); ok {
			out.Packages = append(out.Packages, p)
		}
	}
	slices.SortFunc(out.Packages, func(a, b Package) int { return cmp.Compare(a.Attr, b.Attr) })
	r.checkFamilies(out.Packages)
	if len(r.problems) == 0 {
		r.checkServices(out)
	}
	if len(r.problems) > 0 {
		return nil, r.doc().error(r.problems)
	}
	base := slices.IndexFunc(offers, func(p nixspace.Package) bool { return p.Attr == BaseAttr })
	if base < 0 {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, codeBaseMissing, "the package source has no base system (%s)", BaseAttr)
	}
	out.Base = offers[base].OutPath
	return out, nil
}

type resolver struct {
	manifest *Manifest
	offers   []nixspace.Package
	problems []problem
}

// doc returns the document that the manifest was read from. One that was not
// read from text gets an empty one, so that errors point at its beginning.
func (r *resolver) doc() *document {
	if r.manifest.doc != nil {
		return r.manifest.doc
	}
	return &document{file: FileName}
}

func (r *resolver) problem(code string, path []string, onKey bool, details map[string]any, hint, format string, args ...any) {
	r.problems = append(r.problems, problem{
		at: r.doc().place(path, onKey), code: code, message: fmt.Sprintf(format, args...), hint: hint, details: details,
	})
}

func (r *resolver) choose(key string, c Constraint) (Package, bool) {
	path := []string{"packages", key}
	var all []nixspace.Package
	for _, p := range r.offers {
		if (p.Family == key || p.Attr == key) && p.Attr != BaseAttr {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		near := nearest(key, r.names())
		hint := "look for it with `nixspace catalog search`"
		if len(near) > 0 {
			hint = "did you mean " + list(near, "or") + "?"
		}
		r.problem(codePackageUnknown, path, true, map[string]any{"package": key, "nearest": near}, hint, "there is no package %s", quote(key))
		return Package{}, false
	}
	// The best first: newest, and of equal versions the recommended one.
	slices.SortFunc(all, func(a, b nixspace.Package) int {
		return cmp.Or(compareVersions(b.Version, a.Version), prefer(a.Default, b.Default), cmp.Compare(a.Attr, b.Attr))
	})
	i := slices.IndexFunc(all, func(p nixspace.Package) bool { return c.Allows(p.Version) })
	if c.Any() {
		i = max(0, slices.IndexFunc(all, func(p nixspace.Package) bool { return p.Default }))
	}
	if i < 0 {
		var versions []string
		for _, p := range all {
			if !slices.Contains(versions, p.Version) {
				versions = append(versions, p.Version)
			}
		}
		r.problem(codeVersionUnknown, path, false,
			map[string]any{"package": key, "constraint": c.String(), "versions": versions},
			"there is "+list(versions, "and"), "there is no version %s of %s", c, key)
		return Package{}, false
	}
	p := all[i]
	return Package{Key: key, Constraint: c, Attr: p.Attr, Family: p.Family, Version: p.Version, OutPath: p.OutPath}, true
}

func prefer(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// names are all names that a key may have.
func (r *resolver) names() []string {
	var names []string
	for _, p := range r.offers {
		if p.Attr != BaseAttr {
			names = append(names, p.Family, p.Attr)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkFamilies refuses two packages of one family: both have the same programs,
// and only one of them can be in PATH.
func (r *resolver) checkFamilies(ps []Package) {
	first := map[string]Package{}
	for _, p := range ps {
		other, twice := first[p.Family]
		if !twice {
			first[p.Family] = p
			continue
		}
		path := []string{"packages", p.Key}
		r.problem(codePackageConflict, path, true, map[string]any{"packages": []string{other.Key, p.Key}}, "remove one of them",
			"%s and %s are both a version of %s, and an environment has one", other.Key, p.Key, p.Family)
	}
}

func (r *resolver) checkServices(out *Resolved) {
	for _, name := range sorted(out.Manifest.Services) {
		kind, known := serviceKinds[name]
		if !known {
			continue
		}
		if _, ok := out.Family(kind.family); !ok {
			r.problem(codeServicePackage, []string{"services", name}, true, map[string]any{"service": name, "package": kind.family},
				fmt.Sprintf("add %s = \"*\" to [packages], or remove [services.%s]", kind.family, name),
				"the service %s needs the package %s", name, kind.family)
		}
	}
}

// offline is the error for a manifest that asks for nixpkgs.
func (r *resolver) offline() error {
	src := r.manifest.Source
	r.problem(codeSourceOffline, []string{"source"}, false, map[string]any{"source": string(src)},
		`use source = "catalog" on this machine`,
		"the packages of %s cannot be resolved: that needs a network and the sources of nixpkgs", src)
	return r.doc().error(r.problems)
}
