package stack

import (
	"path"
	"regexp"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// detectNix reads the environments that a repository has for Nix and for the tools
// around it.
func detectNix(f *folder) {
	if file := f.open("flake.nix"); file != nil {
		f.defined("Nix flake", f.whole("flake.nix"))
		file.nixPackages()
	}
	for _, name := range []string{"shell.nix", "default.nix"} {
		if file := f.open(name); file != nil && !f.has("flake.nix") && !f.has("devenv.nix") {
			if name == "shell.nix" {
				f.defined("nix-shell", f.whole(name))
			}
			file.nixPackages()
		}
	}
	if file := f.open("devenv.nix"); file != nil {
		f.defined("devenv", f.whole("devenv.nix"))
		file.devenv()
	}
	if file := f.open("devbox.json"); file != nil {
		f.defined("Devbox", f.whole("devbox.json"))
		file.devbox()
	}
}

// nixPackages finds the lists of packages in a shell, as far as they are literal.
func (f *file) nixPackages() {
	for _, b := range bindings(f.data) {
		last := b.path[strings.LastIndexByte(b.path, '.')+1:]
		if !word(last, "packages", "buildInputs", "nativeBuildInputs") {
			continue
		}
		for _, w := range b.words {
			f.nixPackage(w)
		}
	}
}

var nixName = regexp.MustCompile(`^(?:pkgs\.)?[A-Za-z_][A-Za-z0-9_-]*$`)

func (f *file) nixPackage(w nixWord) {
	if w.quoted || !nixName.MatchString(w.text) || word(w.text, "with", "pkgs", "let", "in", "inherit", "rec", "lib", "if", "then", "else", "true", "false", "null", "pkgs.lib") {
		return
	}
	fam, version := attribute(w.text)
	f.need(fam, constraint.Pin, version, Shared, w.line, "")
}

// devenvLanguages and devenvServices are devenv's names.
var (
	devenvLanguages = map[string]string{
		"javascript": "nodejs", "typescript": "nodejs", "python": "python3", "go": "go", "ruby": "ruby", "rust": "rustc", "java": "jdk",
		"php": "php", "elixir": "elixir", "erlang": "erlang", "dotnet": "dotnet-sdk", "deno": "deno", "zig": "zig", "c": "gcc", "cplusplus": "gcc",
	}
	devenvServices = map[string]string{
		"postgres": "postgresql", "redis": "redis", "mysql": "mysql", "mongodb": "mongodb", "rabbitmq": "rabbitmq-server",
		"memcached": "memcached", "elasticsearch": "elasticsearch", "kafka": "apacheKafka", "nats": "nats-server", "minio": "minio",
		"mailpit": "mailpit", "mailhog": "mailhog", "caddy": "caddy", "nginx": "nginx",
	}
)

func (f *file) devenv() {
	all := bindings(f.data)
	at := map[string]binding{}
	for _, b := range all {
		if _, twice := at[b.path]; !twice {
			at[b.path] = b
		}
	}
	value := func(p string) string {
		if ws := at[p].words; len(ws) > 0 {
			return ws[0].text
		}
		return ""
	}
	for _, b := range all {
		if at[b.path].line != b.line {
			continue // it stands there twice
		}
		parts := strings.Split(b.path, ".")
		on := len(b.words) > 0 && b.words[0].text == "true"
		switch {
		case b.path == "packages":
			for _, w := range b.words {
				f.nixPackage(w)
			}
		case len(parts) == 3 && parts[0] == "languages" && parts[2] == "enable" && on:
			fam, ok := devenvLanguages[parts[1]]
			if !ok {
				continue
			}
			version := value("languages." + parts[1] + ".version")
			if version == "" {
				_, version = attribute(value("languages." + parts[1] + ".package"))
			}
			f.need(fam, constraint.Pin, version, Shared, b.line, "")
		case len(parts) == 3 && parts[0] == "services" && parts[2] == "enable" && on:
			name, ok := devenvServices[parts[1]]
			if !ok {
				f.note(f.at(b.line), "the service %s is not known here", shown(parts[1]))
				continue
			}
			s := Service{Name: name, Weight: Shared, Evidence: f.at(b.line)}
			_, version := attribute(value("services." + parts[1] + ".package"))
			if c, err := constraint.Parse(constraint.Pin, version); err == nil {
				s.Constraint = c
			}
			for _, b := range all {
				if strings.HasPrefix(b.path, "services."+parts[1]+".initialDatabases") || b.path == "name" && name == "postgresql" {
					for _, w := range b.words {
						if db := databaseName(w.text); w.quoted && db != "" {
							s.Databases = append(s.Databases, db)
						}
					}
				}
			}
			f.service(s)
		case len(parts) == 3 && parts[0] == "scripts" && parts[2] == "exec" && len(b.words) == 1 && b.words[0].quoted:
			if text := strings.TrimSpace(b.words[0].text); !strings.ContainsAny(text, "\n$") {
				f.script(parts[1], command(text), f.at(b.line))
			}
		}
	}
}

func (f *file) devbox() {
	root := f.tree(syntax.JSON)
	for _, n := range root.Get("packages").All() {
		name, version := n.Name, n.Text()
		if n.Kind == syntax.Table {
			version = n.Get("version").Text()
		}
		if name == "" { // in a list: "nodejs@22"
			name, version, _ = strings.Cut(n.Text(), "@")
		}
		fam, v := attribute(name)
		if v != "" && (version == "" || version == "latest") {
			version = v
		}
		f.need(fam, constraint.Pin, version, Shared, n.Line, "")
		// Devbox starts these as services.
		if word(fam, "postgresql", "redis", "mysql", "mariadb", "mongodb") {
			s := Service{Name: fam, Weight: Shared, Because: "Devbox runs it as a service", Evidence: f.at(n.Line)}
			if c, err := constraint.Parse(constraint.Pin, version); err == nil {
				s.Constraint = c
			}
			f.service(s)
		}
	}
	for _, n := range root.Get("shell", "scripts").All() {
		if cmds := n.Strings(); len(cmds) > 0 {
			f.script(n.Name, command(strings.Join(cmds, " && ")), f.at(n.Line))
		}
	}
}

// features are those of Dev Containers that bring a language or a tool.
var features = map[string]string{
	"node": "nodejs", "python": "python3", "go": "go", "ruby": "ruby", "rust": "rustc", "java": "jdk", "php": "php", "dotnet": "dotnet-sdk",
	"git": "git", "elixir": "elixir", "deno": "deno", "bun": "bun", "terraform": "terraform",
}

// containerImages are the images that Dev Containers usually begin with.
var containerImages = map[string]string{
	"javascript-node": "nodejs", "typescript-node": "nodejs", "python": "python3", "go": "go", "ruby": "ruby", "rust": "rustc", "java": "jdk",
	"php": "php", "dotnet": "dotnet-sdk",
}

var containerVersion = regexp.MustCompile(`^(?:[0-9.]+-)?([0-9]+(?:\.[0-9]+)*)(?:-|$)`)

// containerImage takes a reference to one of those images apart:
// registry.example/devcontainers/python:1-3.12-bookworm.
func containerImage(ref string) (fam, version string, ok bool) {
	base, tag, _ := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
	fam, ok = containerImages[base]
	if m := containerVersion.FindStringSubmatch(tag); m != nil {
		version = m[1]
	}
	return fam, version, ok && strings.Contains(ref, "devcontainers")
}

func detectDevcontainer(f *folder) {
	name := ".devcontainer.json"
	if path.Base(f.dir) == ".devcontainer" {
		name = "devcontainer.json"
	}
	file := f.open(name)
	if file == nil {
		return
	}
	f.defined("Dev Container", f.whole(name))
	root := file.tree(syntax.JSON)
	if n := root.Get("image"); n != nil {
		ref, _, _ := strings.Cut(n.Text(), "@")
		if fam, version, ok := containerImage(ref); ok {
			file.need(fam, constraint.Pin, version, Shared, n.Line, "")
		} else if img := parseImage(ref); languages[img.name] != "" {
			file.need(languages[img.name], constraint.Pin, img.version, Shared, n.Line, "")
		}
	}
	for _, n := range root.Get("features").All() {
		base, _, _ := strings.Cut(n.Name[strings.LastIndexByte(n.Name, '/')+1:], ":")
		if fam, ok := features[base]; ok {
			version := n.Get("version").Text()
			if word(version, "lts", "os-provided", "none") {
				version = ""
			}
			file.need(fam, constraint.Pin, version, Shared, n.Line, "")
		}
	}
	for _, n := range root.Get("forwardPorts").All() {
		text := n.Text()
		if number, ok := n.Int(); ok && !serviceOwns(number) {
			file.port("web", number, Declared, file.at(n.Line))
		} else if host, _, ok := strings.Cut(text, ":"); ok {
			if _, number := composePort(n); !serviceOwns(number) {
				file.port(portName(host), number, Declared, file.at(n.Line))
			}
		}
	}
	// What it runs after its creation is the set-up of last resort: its commands
	// are often for the image that it begins with.
	if n := root.Get("postCreateCommand"); command(n.Text()) != "" && len(f.report.Steps) == 0 {
		f.report.Steps = append(f.report.Steps, Step{Command: command(n.Text()), Evidence: file.at(n.Line)})
	}
}
