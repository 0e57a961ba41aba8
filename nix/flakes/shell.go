package flakes

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nix-community/go-nix/pkg/derivation"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/nix/evalbox"
)

// lists are the variables of a shell's derivation whose packages are in PATH, first
// ones first, as the set-up of a nixpkgs shell has them.
var lists = []string{
	"depsBuildBuild", "nativeBuildInputs", "depsBuildTarget", "depsHostHost", "buildInputs", "depsTargetTarget",
	"depsBuildBuildPropagated", "propagatedNativeBuildInputs", "depsBuildTargetPropagated",
	"depsHostHostPropagated", "propagatedBuildInputs", "depsTargetTargetPropagated",
}

// internal are variables that say how the derivation would be built, and mean nothing
// to whoever works in the shell.
var internal = map[string]bool{
	"name": true, "pname": true, "version": true, "builder": true, "system": true, "stdenv": true, "shell": true, "args": true,
	"outputs": true, "out": true, "shellHook": true, "phases": true, "buildPhase": true, "configurePhase": true, "installPhase": true,
	"unpackPhase": true, "patchPhase": true, "checkPhase": true, "fixupPhase": true, "buildCommand": true, "patches": true, "src": true,
	"strictDeps": true, "doCheck": true, "doInstallCheck": true, "cmakeFlags": true, "configureFlags": true, "mesonFlags": true,
	"preferLocalBuild": true, "allowSubstitutes": true, "passAsFile": true, "dontUnpack": true, "dontBuild": true,
	"outputHash": true, "outputHashAlgo": true, "outputHashMode": true, "enableParallelBuilding": true, "enableParallelChecking": true,
	"enableParallelInstalling": true, "PATH": true, "HOME": true, "TMPDIR": true, "TMP": true, "TEMP": true, "TEMPDIR": true, "SHELL": true, "USER": true,
}

var (
	variable  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	storePath = regexp.MustCompile(`/nix/store/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+._?=-]{1,211}`)
	versioned = regexp.MustCompile(`^(.*?)-([0-9].*)$`)
)

// The bounds of what is taken over from a shell.
const (
	maxPackages  = 300
	maxVariables = 200
	maxValue     = 16 << 10
)

// storePaths returns the store paths that a text names, each once, sorted.
func storePaths(text string) []string {
	found := storePath.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// describe says what the environment has: for a package that package, for a shell
// what it puts into PATH and its variables.
func (g *graph) describe(res *evalbox.Result, out *nixspace.FlakeOutput) error {
	d := g.drvs[res.DrvPath]
	if !res.Shell {
		o, ok := d.Outputs[res.Output]
		if !ok {
			return nixspace.Errorf(nixspace.KindInvalid, evalbox.CodeInvalid, "%s has no output %.80q", res.Attr, res.Output)
		}
		out.Packages = []nixspace.FlakePackage{g.pkg(o.Path)}
		return nil
	}
	env := shellEnv(d)
	seen := map[string]bool{}
	for _, l := range lists {
		for p := range strings.FieldsSeq(env[l]) {
			path := storePath.FindString(p)
			if path == "" || seen[path] || !g.has(d, path) {
				continue
			}
			seen[path] = true
			out.Packages = append(out.Packages, g.pkg(path))
		}
	}
	if len(out.Packages) > maxPackages {
		return nixspace.Errorf(nixspace.KindLimit, evalbox.CodeLimit, "the shell has %d packages, of %d allowed", len(out.Packages), maxPackages)
	}
	g.variables(d, env, seen, out)
	return nil
}

// variables takes over the variables that are plain text.
func (g *graph) variables(d *derivation.Derivation, env map[string]string, seen map[string]bool, out *nixspace.FlakeOutput) {
	const maxUses = 40
	out.Env = map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		v := env[k]
		_, isOutput := d.Outputs[k]
		if internal[k] || isOutput || strings.HasPrefix(k, "__") || strings.HasPrefix(k, "NIX_") || slices.Contains(lists, k) {
			continue
		}
		paths := storePaths(v)
		known := !slices.ContainsFunc(paths, func(p string) bool { return !g.has(d, p) })
		if !variable.MatchString(k) || len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsRune(v, 0) || !known ||
			len(out.Env) >= maxVariables || len(out.Uses)+len(paths) > maxUses {
			out.Skipped = append(out.Skipped, k)
			continue
		}
		for _, p := range paths {
			if !seen[p] {
				seen[p] = true
				out.Uses = append(out.Uses, g.pkg(p))
			}
		}
		out.Env[k] = v
	}
}

// shellEnv returns the variables of a derivation, structured ones too.
func shellEnv(d *derivation.Derivation) map[string]string {
	text, ok := d.Env["__json"]
	if !ok {
		return d.Env
	}
	var all map[string]any
	if json.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	out := map[string]string{}
	for k, v := range all {
		switch v := v.(type) {
		case string:
			out[k] = v
		case []any:
			if !slices.Contains(lists, k) {
				continue
			}
			var parts []string
			for _, p := range v {
				if s, ok := p.(string); ok {
					parts = append(parts, s)
				}
			}
			out[k] = strings.Join(parts, " ")
		case map[string]any:
			if k != "env" {
				continue
			}
			for name, v := range v {
				if s, ok := v.(string); ok {
					out[name] = s
				}
			}
		}
	}
	return out
}

// has reports whether a derivation may name a path: an output of one that it depends
// on, or a file.
func (g *graph) has(d *derivation.Derivation, path string) bool {
	if slices.Contains(d.InputSources, path) {
		return true
	}
	o, ok := g.outs[path]
	return ok && slices.Contains(d.InputDerivations[o.drv], o.name)
}

func (g *graph) pkg(path string) nixspace.FlakePackage {
	name := nixspace.StorePathName(path)
	p := nixspace.FlakePackage{Name: name, OutPath: path}
	if o, ok := g.outs[path]; ok {
		p.DrvPath, p.Output = o.drv, o.name
		if o.name != "out" {
			name = strings.TrimSuffix(name, "-"+o.name)
		}
	}
	if m := versioned.FindStringSubmatch(name); m != nil {
		p.Name, p.Version = m[1], m[2]
	}
	return p
}
