package apptest

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

var (
	used     = regexp.MustCompile(`\bpkgs\.([a-z0-9_]+)`)
	assigned = regexp.MustCompile(`(?m)^\s*([A-Z_]+) = "(.*)";$`)
	remote   = regexp.MustCompile(`inputs\.([a-z]+)\.url = "github:`)
)

// EvaluateFlake implements builds.Flakes. It takes a flake for what a few patterns
// find in its flake.nix: packages, variables, an input from elsewhere, and "throw".
func (p *Packages) EvaluateFlake(_ context.Context, f nixspace.UserFlake) (*nixspace.FlakeOutput, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := f.Files["flake.nix"]
	if m := remote.FindStringSubmatch(text); m != nil && f.Overrides[m[1]] == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "flake_input_missing", "the input %s is not on this machine", m[1]).
			WithHint("use the catalog in its place with --override-input %s=catalog", m[1])
	}
	if strings.Contains(text, "throw") || strings.Contains(text, "<<<<<<<") {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "flake_invalid", "the flake cannot be evaluated: flake.nix:1:1: it throws")
	}
	out := &nixspace.FlakeOutput{Attr: "devShells.x86_64-linux.default", Env: map[string]string{}, Lock: cmp.Or(f.Files["flake.lock"], "{\n  \"version\": 7\n}\n")}
	for _, m := range used.FindAllStringSubmatch(text, -1) {
		i := slices.IndexFunc(p.offers, func(o nixspace.Package) bool { return o.Attr == m[1] })
		if i < 0 {
			return nil, nixspace.Errorf(nixspace.KindInvalid, "flake_invalid", "the flake cannot be evaluated: flake.nix:1:1: attribute '%s' missing", m[1])
		}
		o := p.offers[i]
		out.Packages = append(out.Packages, nixspace.FlakePackage{Name: o.Family, Version: o.Version, DrvPath: o.DrvPath, Output: "out", OutPath: o.OutPath})
	}
	for _, m := range assigned.FindAllStringSubmatch(text, -1) {
		out.Env[m[1]] = m[2]
	}
	return out, nil
}

// InstantiateFlake implements builds.Flakes.
func (p *Packages) InstantiateFlake(ctx context.Context, name string, attrs []string, out *nixspace.FlakeOutput) (drvPath, outPath string, err error) {
	all := slices.Clone(attrs)
	for _, pkg := range out.Packages {
		p.mu.Lock()
		i := slices.IndexFunc(p.offers, func(o nixspace.Package) bool { return o.OutPath == pkg.OutPath })
		p.mu.Unlock()
		if i < 0 {
			return "", "", fmt.Errorf("instantiate %s: there is no %s", name, pkg.OutPath)
		}
		all = append(all, p.offers[i].Attr)
	}
	return p.Instantiate(ctx, name, all)
}

// RealiseFlake implements builds.Flakes.
func (p *Packages) RealiseFlake(ctx context.Context, drvPath string, _ []string, root string, progress nixspace.ProgressFunc) error {
	p.mu.Lock()
	d, ok := p.drvs[drvPath]
	p.mu.Unlock()
	if !ok {
		return nixspace.Errorf(nixspace.KindNotFound, "package_not_instantiated", "%s is not in the store", drvPath)
	}
	return p.Realise(ctx, drvPath, d.attrs, root, progress)
}

// Forget loses a derivation, as a garbage collector does.
func (p *Packages) Forget(drvPath string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.drvs, drvPath)
}
