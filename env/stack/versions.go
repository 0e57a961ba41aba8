package stack

import (
	"path"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// versionFiles are files with one version in them.
var versionFiles = []struct{ name, family string }{
	{".nvmrc", "nodejs"},
	{".node-version", "nodejs"},
	{".python-version", "python3"},
	{"runtime.txt", "python3"},
	{".ruby-version", "ruby"},
	{".java-version", "jdk"},
	{".go-version", "go"},
	{".php-version", "php"},
	{".bun-version", "bun"},
	{".terraform-version", "terraform"},
}

// managed are the names that version managers have for what nixpkgs names
// otherwise.
var managed = map[string]string{
	"node": "nodejs", "nodejs": "nodejs", "python": "python3", "python3": "python3", "golang": "go", "go": "go",
	"ruby": "ruby", "rust": "rustc", "java": "jdk", "openjdk": "jdk", "jdk": "jdk", "php": "php", "erlang": "erlang",
	"elixir": "elixir", "postgres": "postgresql", "postgresql": "postgresql", "redis": "redis", "mysql": "mysql", "sqlite": "sqlite",
	"dotnet": "dotnet-sdk", "dotnet-core": "dotnet-sdk", "maven": "maven", "gradle": "gradle", "bun": "bun", "deno": "deno",
	"pnpm": "pnpm", "yarn": "yarn", "npm": "npm", "poetry": "poetry", "uv": "uv", "terraform": "terraform", "kubectl": "kubectl",
	"helm": "kubernetes-helm", "zig": "zig", "jq": "jq", "ripgrep": "ripgrep", "make": "gnumake", "cmake": "cmake", "just": "just", "git": "git",
	"curl": "curl", "gcc": "gcc", "awscli": "awscli2", "pre-commit": "pre-commit", "shellcheck": "shellcheck",
}

// family is the name of a tool in nixpkgs; a name that is not known here stays.
func family(tool string) string {
	tool = strings.ToLower(tool)
	// mise names where a tool comes from: core:node, npm:prettier, aqua:jqlang/jq.
	if from, name, ok := strings.Cut(tool, ":"); ok {
		if from != "core" && from != "asdf" {
			name = name[strings.LastIndexByte(name, '/')+1:]
		}
		tool = name
	}
	if f, ok := managed[tool]; ok {
		return f
	}
	return tool
}

func detectVersionManagers(f *folder) {
	for _, v := range versionFiles {
		if file := f.open(v.name); file != nil {
			if ls := file.lines(); len(ls) > 0 {
				file.pinned(v.family, ls[0].text, ls[0].no)
			}
		}
	}
	if file := f.open(".tool-versions"); file != nil {
		for _, l := range file.lines() {
			text, _, _ := strings.Cut(l.text, "#")
			if words := strings.Fields(text); len(words) > 1 {
				file.pinned(family(words[0]), words[1], l.no)
			}
		}
	}
	mise := []string{"mise.toml", ".mise.toml"}
	if path.Base(f.dir) == "mise" {
		mise = append(mise, "config.toml") // .config/mise/config.toml
	}
	for _, name := range mise {
		file := f.open(name)
		for _, tool := range file.tree(syntax.TOML).Get("tools").All() {
			version := tool
			if tool.Kind == syntax.Table {
				version = tool.Get("version")
			}
			if vs := version.Strings(); len(vs) > 0 {
				file.pinned(family(tool.Name), vs[0], tool.Line)
			}
		}
	}
	for _, name := range []string{"rust-toolchain.toml", "rust-toolchain"} {
		detectRustToolchain(f.open(name))
	}
	if file := f.open("global.json"); file != nil {
		detectDotnetSDK(file)
	}
	if file := f.open(".sdkmanrc"); file != nil {
		for _, l := range file.lines() {
			if tool, version, ok := strings.Cut(l.text, "="); ok {
				version, _, _ = strings.Cut(version, "-") // who built it
				file.pinned(family(strings.TrimSpace(tool)), version, l.no)
			}
		}
	}
}

// nodeCodenames are the names of Node.js's long-term lines.
var nodeCodenames = map[string]string{
	"argon": "4", "boron": "6", "carbon": "8", "dubnium": "10", "erbium": "12", "fermium": "14",
	"gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24",
}

// longTerm is every long-term line of Node.js: those with an even number.
var longTerm = func() string {
	var lines []string
	for n := 4; n <= 60; n += 2 {
		lines = append(lines, strconv.Itoa(n)+".x")
	}
	return strings.Join(lines, "||")
}()

// pinned adds a wish in the words of a version manager.
func (f *file) pinned(family, version string, no int) {
	version = strings.Trim(strings.TrimSpace(version), `"'`)
	d := constraint.Pin
	because := ""
	low := strings.ToLower(version)
	switch {
	case family == "nodejs" && strings.HasPrefix(low, "lts"):
		name := strings.Trim(strings.TrimPrefix(low, "lts"), "/-")
		if major, ok := nodeCodenames[name]; ok {
			version, because = major, low+" is Node.js "+major
		} else {
			version, d, because = longTerm, constraint.NPM, "any long-term line will do"
		}
	case family == "python3" && !strings.ContainsAny(low, "0123456789"), strings.HasPrefix(low, "pypy"), strings.HasPrefix(low, "miniconda"):
		f.note(f.at(no), "%s is another distribution of the language; the usual one is taken", shown(version))
		version = ""
	case family == "jdk":
		version = javaVersion(version)
	case strings.HasPrefix(low, "path:"), strings.HasPrefix(low, "ref:"), strings.HasPrefix(low, "prefix:"), strings.HasPrefix(low, "sub-"):
		_, rest, _ := strings.Cut(version, ":")
		if version = rest; !strings.HasPrefix(low, "prefix:") {
			version = ""
		}
	case strings.ContainsAny(low, "^~<>=|* "):
		d = constraint.NPM
	}
	f.need(family, d, version, Pinned, no, because)
}

// javaVersion is the feature release of a version as Java tools have it:
// temurin-17.0.9+9, 21.0.2-tem, 1.8.
func javaVersion(s string) string {
	if i := strings.IndexAny(s, "0123456789"); i > 0 {
		s = s[i:]
	}
	s = strings.TrimPrefix(s, "1.")
	if i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }); i >= 0 {
		s = s[:i]
	}
	return strings.TrimSuffix(s, ".")
}

func detectRustToolchain(file *file) {
	if file == nil {
		return
	}
	version, no := "", 1
	if n := file.toolchainTable(); n != nil {
		version, no = n.Text(), n.Line
	} else if ls := file.lines(); len(ls) > 0 {
		version, no = ls[0].text, ls[0].no
	}
	channel, date, dated := strings.Cut(version, "-")
	if channel == "nightly" || channel == "beta" {
		file.note(file.at(no), "it asks for the %s channel of Rust", channel)
		channel = ""
	}
	_ = date
	if dated && !strings.ContainsAny(channel, "0123456789") {
		channel = ""
	}
	file.need("rustc", constraint.Pin, channel, Pinned, no, "")
	file.need("cargo", constraint.Pin, channel, Pinned, no, "")
}

// toolchainTable returns the channel, where the file is of the newer form. The
// older one has the channel alone, which is no TOML.
func (f *file) toolchainTable() *syntax.Node {
	if !strings.Contains(string(f.data), "[toolchain]") {
		return nil
	}
	return f.tree(syntax.TOML).Get("toolchain", "channel")
}

func detectDotnetSDK(file *file) {
	sdk := file.tree(syntax.JSON).Get("sdk")
	v := sdk.Get("version")
	if v == nil {
		return
	}
	parts := strings.Split(v.Text(), ".")
	d, version := constraint.Pin, strings.Join(parts[:min(len(parts), 2)], ".")
	switch sdk.Get("rollForward").Text() {
	case "minor", "latestMinor":
		version = parts[0]
	case "major", "latestMajor":
		d = constraint.Minimum
	}
	file.need("dotnet-sdk", d, version, Pinned, v.Line, "")
}
