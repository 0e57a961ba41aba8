// Package flake renders an environment as a flake: what plain Nix needs to build
// it, or to open a shell in it, without NixSpace.
//
// The package is pure, and equal inputs give equal bytes.
package flake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

// Render returns the flake.nix of a resolved environment and its flake.lock, as
// Nix would write it (version 7). The name is that of the derivation that
// packages.<system>.default is. Packages come in the order of their attributes.
// It fails where the source's lock is no JSON.
func Render(name string, r *manifest.Resolved, source nixspace.FlakeSource) (flakeNix, flakeLock string, err error) {
	f := file{name: name, system: r.System, url: source.URL, manifest: r.Manifest}
	for _, p := range r.Packages {
		f.packages = append(f.packages, packageLine{attr: p.Attr, note: p.Version})
	}
	if flakeLock, err = lock(source); err != nil {
		return "", "", err
	}
	return f.render(), flakeLock, nil
}

// lock writes a lock file with one input, nixpkgs, that has no inputs itself.
func lock(source nixspace.FlakeSource) (string, error) {
	type object = map[string]any
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"nodes": object{
			"nixpkgs": object{"locked": source.Locked, "original": source.Original},
			"root":    object{"inputs": object{"nixpkgs": "nixpkgs"}},
		},
		"root":    "root",
		"version": 7,
	})
	if err != nil {
		return "", fmt.Errorf("write flake.lock: %w", err)
	}
	return b.String(), nil
}

// file is a flake.nix.
type file struct {
	name     string
	system   string
	url      string
	packages []packageLine
	manifest *manifest.Manifest
}

type packageLine struct {
	attr string
	note string // a comment; may be empty
}

func (f file) render() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	line("# Rendered from nixspace.toml by NixSpace. Change it there, not here.")
	line("{")
	line("  description = %s;", nixString("The environment "+f.name))
	line("")
	line("  inputs.nixpkgs.url = %s;", nixString(f.url))
	line("")
	line("  outputs =")
	line("    { self, nixpkgs }:")
	line("    let")
	line("      system = %s;", nixString(f.system))
	line("      pkgs = nixpkgs.legacyPackages.${system};")
	if len(f.packages) == 0 {
		line("      packages = [ ];")
	} else {
		line("      packages = [")
		for _, p := range f.packages {
			comment := ""
			if p.note != "" {
				comment = " # " + oneLine(p.note)
			}
			line("        pkgs.%s%s", attrName(p.attr), comment)
		}
		line("      ];")
	}
	line("    in")
	line("    {")
	line("      packages.${system}.default = pkgs.buildEnv {")
	line("        name = %s;", nixString(f.name))
	line("        paths = packages;")
	line("      };")
	line("")
	line("      devShells.${system}.default = pkgs.mkShell {")
	line("        inherit packages;")
	f.variables(line)
	line("      };")
	line("    };")
	line("}")
	return b.String()
}

// variables writes the environment variables of the shell. Names in lower case
// could be a derivation's own attributes (name, builder…), so the shell exports
// those itself.
func (f file) variables(line func(string, ...any)) {
	var plain, exported []string
	for _, k := range slices.Sorted(maps.Keys(f.manifest.Env)) {
		if strings.ToUpper(k) == k && !strings.HasPrefix(k, "__") {
			plain = append(plain, k)
		} else {
			exported = append(exported, k)
		}
	}
	if len(plain) > 0 {
		line("        env = {")
		for _, k := range plain {
			line("          %s = %s;", attrName(k), nixString(f.manifest.Env[k]))
		}
		line("        };")
	}
	if len(exported) > 0 {
		var hook strings.Builder
		for _, k := range exported {
			hook.WriteString("export " + k + "='" + strings.ReplaceAll(f.manifest.Env[k], "'", `'\''`) + "'\n")
		}
		line("        shellHook = %s;", nixString(hook.String()))
	}
	if names := slices.Sorted(maps.Keys(f.manifest.Services)); len(names) > 0 {
		line("        # NixSpace also runs: %s.", strings.Join(names, ", "))
	}
}

// nixString writes a string literal of the Nix language.
func nixString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// keywords of the Nix language cannot be attribute names without quotes.
var keywords = []string{"assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"}

// attrName writes an attribute name, in quotes where it needs them.
func attrName(s string) string {
	plain := s != "" && !slices.Contains(keywords, s)
	for i, c := range []byte(s) {
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c != '-' && c != '\'' && (c < '0' || c > '9')) {
			plain = false
		}
	}
	if plain {
		return s
	}
	return nixString(s)
}

// oneLine makes text fit for a comment.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
