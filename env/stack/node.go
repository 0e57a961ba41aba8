package stack

import (
	"slices"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// nodeLocks are the lock files of JavaScript's package managers, the ones first
// that count where there are several.
var nodeLocks = []struct{ file, manager string }{
	{"pnpm-lock.yaml", "pnpm"},
	{"yarn.lock", "yarn"},
	{"bun.lock", "bun"},
	{"bun.lockb", "bun"},
	{"package-lock.json", "npm"},
	{"npm-shrinkwrap.json", "npm"},
}

func detectNode(f *folder) {
	file := f.open("package.json")
	if file == nil {
		return
	}
	root := file.tree(syntax.JSON)
	f.implied("nodejs", "package.json", "the project is of JavaScript")
	if n := root.Get("engines", "node"); n != nil {
		file.need("nodejs", constraint.NPM, n.Text(), Declared, n.Line, "")
	}
	if n := root.Get("volta", "node"); n != nil {
		file.need("nodejs", constraint.Pin, n.Text(), Pinned, n.Line, "")
	}
	if n := root.Get("devEngines", "runtime"); n != nil && n.Get("name").Text() == "node" {
		file.need("nodejs", constraint.NPM, n.Get("version").Text(), Declared, n.Line, "")
	}
	m := file.manager(root)
	f.javascript = &m
	if m.part {
		return // its packages are not installed
	}
	m.add(f)
	file.nodeScripts(root, m)
	for _, key := range []string{"dependencies", "optionalDependencies"} {
		for _, dep := range root.Get(key).All() {
			file.client(npmClients, dep.Name, dep.Line)
		}
	}
	file.nodePorts(root)
}

// manager is the package manager of a JavaScript project.
type manager struct {
	name, version string
	locked        bool // there is a lock file of it
	at            Evidence
	workspaces    bool // package.json names some
	member        bool // of a workspace above, which installs for it
	// part is a package of a project above that is no workspace, such as a theme.
	part bool
}

// manager finds out which package manager a project uses: what packageManager
// says, then volta, then the lock files.
func (f *file) manager(root *syntax.Node) manager {
	m := manager{name: "npm", at: Evidence{File: f.path}, workspaces: root.Get("workspaces") != nil}
	var locks []string
	for _, l := range nodeLocks {
		if f.has(l.file) && !slices.Contains(locks, l.manager) {
			locks = append(locks, l.manager)
			if len(locks) == 1 {
				m.name, m.locked, m.at = l.manager, true, f.whole(l.file)
			}
		}
	}
	for _, name := range []string{"pnpm", "yarn"} {
		if n := root.Get("volta", name); n != nil {
			m.name, m.version, m.at = name, n.Text(), f.at(n.Line)
		}
	}
	if n := root.Get("packageManager"); n != nil {
		name, version, _ := strings.Cut(n.Text(), "@")
		version, _, _ = strings.Cut(version, "+") // a hash
		if word(name, "npm", "pnpm", "yarn", "bun") {
			m.name, m.version, m.at = name, version, f.at(n.Line)
		}
	}
	if len(locks) > 1 {
		f.note(m.at, "there are lock files of %s; %s is used", strings.Join(locks, " and "), m.name)
	} else if len(locks) == 1 && locks[0] != m.name {
		f.note(m.at, "it says %s, but the lock file is of %s", m.name, locks[0])
	}
	m.locked = slices.Contains(locks, m.name)
	if up := f.workspaceAbove(); up != nil && len(locks) == 0 {
		// It is installed from there, with what is used there.
		m = *up
		m.member = true
		return m
	}
	m.part = len(locks) == 0 && f.partOf("package.json")
	return m
}

// workspaceAbove returns the package manager of the workspace above: its
// installation covers what is below. Folders above were looked at before.
func (f *folder) workspaceAbove() *manager {
	for i := range f.folders {
		up := &f.folders[i]
		if up.dir == f.dir || up.dir != "" && !strings.HasPrefix(f.dir, up.dir+"/") || up.javascript == nil {
			continue
		}
		if up.has("pnpm-workspace.yaml") || up.has("lerna.json") || up.javascript.workspaces {
			return up.javascript
		}
	}
	return nil
}

// run is how a project's script is started.
func (m manager) run(script string) string {
	switch {
	case m.name == "npm" && word(script, "test", "start"):
		return "npm " + script
	case m.name == "npm" || m.name == "bun":
		return m.name + " run " + script
	}
	return m.name + " " + script
}

// add adds what the manager needs, and the step that installs.
func (m manager) add(f *folder) {
	install := m.name + " install"
	switch {
	case m.name == "npm" && m.locked:
		install = "npm ci"
	case m.locked && m.name == "yarn" && !strings.HasPrefix(m.version, "1.") && (m.version != "" || f.has(".yarnrc.yml")):
		install += " --immutable"
	case m.locked:
		install += " --frozen-lockfile"
	}
	if m.name != "npm" {
		c, err := constraint.Parse(constraint.Pin, m.version)
		if err != nil {
			f.note(m.at, "the version of %s is not understood", m.name)
		}
		f.needs(Need{Family: m.name, Constraint: c, Weight: Declared, Because: "it installs the project's packages", Evidence: m.at})
	}
	if !m.member {
		f.step(install, m.at)
	}
}

// usualScripts are the scripts that are worth a name in an environment, first
// those that everybody looks for.
var usualScripts = []string{"dev", "start", "test", "build", "lint", "serve", "develop", "watch", "typecheck", "format", "migrate", "seed", "bench", "e2e"}

func (f *file) nodeScripts(root *syntax.Node, m manager) {
	scripts := root.Get("scripts")
	for _, name := range usualScripts {
		n := scripts.Get(name)
		text := n.Text()
		if text == "" || strings.Contains(text, "no test specified") {
			continue
		}
		f.script(name, m.run(name), f.at(n.Line))
	}
}

// nodeFrameworks listen on a port of their own choice when they are developed.
var nodeFrameworks = []struct {
	dep  string
	port int
}{
	{"next", 3000},
	{"nuxt", 3000},
	{"react-scripts", 3000},
	{"@remix-run/dev", 3000},
	{"@nestjs/core", 3000},
	{"astro", 4321},
	{"gatsby", 8000},
	{"@angular/cli", 4200},
	{"@sveltejs/kit", 5173},
	{"vite", 5173},
}

func (f *file) nodePorts(root *syntax.Node) {
	for _, name := range []string{"dev", "start", "serve", "develop"} {
		if n := root.Get("scripts", name); n != nil {
			if port := portOf(n.Text()); port > 0 {
				f.port("web", port, Declared, f.at(n.Line))
				return
			}
		}
	}
	if root.Get("scripts", "dev") == nil && root.Get("scripts", "start") == nil && root.Get("scripts", "serve") == nil {
		return
	}
	for _, fw := range nodeFrameworks {
		for _, key := range []string{"dependencies", "devDependencies"} {
			if n := root.Get(key, fw.dep); n != nil {
				f.port("web", fw.port, Implied, f.at(n.Line))
				return
			}
		}
	}
}
