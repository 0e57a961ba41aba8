package plan

import (
	"fmt"
	"strings"

	"github.com/nixspace/nixspace/env/stack"
)

// tools are the families that commands are of, by their first word.
var tools = map[string]string{
	"npm": "nodejs", "npx": "nodejs", "node": "nodejs", "pnpm": "pnpm", "yarn": "yarn", "bun": "bun", "deno": "deno",
	"go": "go", "python3": "python3", ".venv/bin/python": "python3", ".venv/bin/pip": "python3", ".venv/bin/pytest": "python3",
	"uv": "uv", "poetry": "poetry", "pipenv": "pipenv", "pdm": "pdm", "bundle": "ruby", "ruby": "ruby", "bin/rails": "ruby",
	"cargo": "cargo", "mvn": "maven", "./mvnw": "jdk", "gradle": "gradle", "./gradlew": "jdk", "composer": "php", "php": "php",
	"mix": "elixir", "dotnet": "dotnet-sdk", "make": "gnumake",
}

// brought are tools that a language's own package manager can bring, where the
// package source has none: the family of the language, and what to put in the
// command's place, with %s for a version behind an @.
var brought = map[string]struct{ by, install, run string }{
	"pnpm":   {"nodejs", "", "npx --yes pnpm%s"},
	"yarn":   {"nodejs", "", "npx --yes yarn%s"},
	"bun":    {"nodejs", "", "npx --yes bun%s"},
	"npm":    {"nodejs", "", "npm"},
	"uv":     {"python3", "uv", "~/.tools/bin/uv"},
	"poetry": {"python3", "poetry", "~/.tools/bin/poetry"},
	"pipenv": {"python3", "pipenv", "~/.tools/bin/pipenv"},
	"pdm":    {"python3", "pdm", "~/.tools/bin/pdm"},
}

// command makes a command one that works with the packages that were chosen. It
// returns the tool that is missing where none can be made.
func (p *planner) command(command string) (made, missing string) {
	first, rest, _ := strings.Cut(command, " ")
	tool, known := tools[first]
	if _, ok := p.packages[tool]; ok || !known {
		return command, ""
	}
	b, ok := brought[tool]
	if _, has := p.packages[b.by]; !ok || !has {
		return "", tool
	}
	run := b.run
	if strings.Contains(run, "%s") {
		version := p.managerVersion(tool)
		run = fmt.Sprintf(run, version)
		// The package named yarn has nothing after 1.
		if major := strings.TrimPrefix(version, "@"); tool == "yarn" && major != "" && (major[0] > '1' || len(major) > 1 && major[1] != '.') {
			run = "npx --yes -p @yarnpkg/cli-dist" + version + " yarn"
		}
	}
	return strings.TrimSpace(run + " " + rest), ""
}

// managerVersion is the version of a tool that npx fetches, behind an @.
func (p *planner) managerVersion(tool string) string {
	for _, n := range p.report.Needs {
		if n.Family != tool || n.Constraint.Any() {
			continue
		}
		if _, single := n.Constraint.Single(); single && !strings.ContainsAny(n.Constraint.String(), " '\"$`;&|<>()") {
			return "@" + strings.TrimPrefix(n.Constraint.String(), "v")
		}
	}
	if tool == "yarn" {
		return "@1"
	}
	return ""
}

// setup is the command that makes the project ready, and who says so.
func (p *planner) setup() (command, reason string) {
	var parts, reasons []string
	installed := map[string]bool{}
	for _, s := range p.report.Steps {
		made, missing := p.command(s.Command)
		if missing != "" {
			p.leaveOut("scripts", fmt.Sprintf("setup, %s: %s needs %s", s.Evidence, s.Command, missing))
			continue
		}
		if first, _, _ := strings.Cut(s.Command, " "); made != s.Command {
			if b := brought[tools[first]]; b.install != "" && !installed[b.install] {
				installed[b.install] = true
				parts = append(parts, "python3 -m venv ~/.tools && ~/.tools/bin/pip install "+b.install)
			}
		}
		parts = append(parts, inFolder(s.Dir, made))
		if r := s.Evidence.String(); len(reasons) < 3 && !strings.Contains(strings.Join(reasons, " "), r) {
			reasons = append(reasons, r)
		}
	}
	return strings.Join(parts, " && "), strings.Join(reasons, ", ")
}

// inFolder runs a command in a folder of the project.
func inFolder(dir, command string) string {
	if dir == "" {
		return command
	}
	return "(cd " + quoted(dir) + " && " + command + ")"
}

// quoted is a word as shells read it.
func quoted(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-") == "" && s != "" && s[0] != '-' {
		return s
	}
	return "'./" + strings.ReplaceAll(strings.TrimPrefix(s, "./"), "'", `'\''`) + "'"
}

// scripts are the project's commands, as they work here.
func (p *planner) scripts() []stack.Script {
	var out []stack.Script
	for _, s := range p.report.Scripts {
		made, missing := p.command(s.Command)
		if missing != "" {
			if s.Dir == "" {
				p.leaveOut("scripts", fmt.Sprintf("%s, %s: %s needs %s", s.Name, s.Evidence, s.Command, missing))
			}
			continue
		}
		if s.Name == "setup" || len(out) == maxScripts {
			continue
		}
		s.Command = inFolder(s.Dir, made)
		out = append(out, s)
	}
	return out
}

// maxScripts keeps a manifest readable.
const maxScripts = 24
