package foreign

import (
	"slices"
	"strings"

	"github.com/nixspace/nixspace/env/manifest"
)

// Direnv writes an .envrc. Packages come from a flake, where there is one beside
// it.
func Direnv(e Environment) Export {
	var b strings.Builder
	out := Export{}
	b.WriteString(made("#", "direnv"))
	b.WriteString("watch_file " + manifest.FileName + "\n")
	if e.Flake {
		b.WriteString("use flake\n")
	} else {
		out.Left = append(out.Left, "packages: there is no flake.nix beside it; nixspace export ENVIRONMENT --flake DIR writes one")
	}
	if slices.ContainsFunc(e.Packages, func(p Package) bool { return p.Family == "nodejs" }) {
		b.WriteString("PATH_add node_modules/.bin\n")
	}
	for _, k := range sorted(e.Manifest.Env) {
		b.WriteString("export " + k + "=" + shellText(e.Manifest.Env[k]) + "\n")
	}
	for _, name := range sorted(e.Manifest.Services) {
		out.Left = append(out.Left, "the service "+name+": a session runs it, a shell does not")
	}
	out.Files = []File{{".envrc", b.String()}}
	return out
}

// shellText quotes a word as shells read it.
func shellText(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
