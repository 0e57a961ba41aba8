package stack

import (
	"regexp"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

func detectPython(f *folder) {
	p := f.open("pyproject.toml")
	project := p.tree(syntax.TOML)
	if n := project.Get("project", "requires-python"); n != nil {
		p.need("python3", constraint.PEP440, n.Text(), Declared, n.Line, "")
	}
	poetry := project.Get("tool", "poetry")
	if n := poetry.Get("dependencies", "python"); n != nil {
		p.need("python3", constraint.Poetry, n.Text(), Declared, n.Line, "")
	}
	for _, n := range project.Get("project", "dependencies").All() {
		p.client(pythonClients, requirement(n.Text()), n.Line)
	}
	for _, n := range poetry.Get("dependencies").All() {
		p.client(pythonClients, requirement(n.Name), n.Line)
	}
	pip := f.open("Pipfile")
	pipfile := pip.tree(syntax.TOML)
	for _, key := range []string{"python_full_version", "python_version"} {
		if n := pipfile.Get("requires", key); n != nil {
			pip.need("python3", constraint.Pin, n.Text(), Declared, n.Line, "")
			break
		}
	}
	for _, n := range pipfile.Get("packages").All() {
		pip.client(pythonClients, requirement(n.Name), n.Line)
	}
	if setup := f.open("setup.cfg"); setup != nil {
		for _, l := range setup.lines() {
			if v, ok := strings.CutPrefix(l.text, "python_requires"); ok {
				setup.need("python3", constraint.PEP440, strings.TrimLeft(v, " ="), Declared, l.no, "")
			}
		}
	}
	if setup := f.open("setup.py"); setup != nil {
		for no, l := range setup.raw() {
			if m := pythonRequires.FindStringSubmatch(l); m != nil {
				setup.need("python3", constraint.PEP440, m[1], Declared, no+1, "")
			}
		}
	}
	var requirements []string
	for _, name := range []string{"requirements.txt", "requirements-dev.txt", "dev-requirements.txt", "requirements-test.txt"} {
		if f.has(name) {
			requirements = append(requirements, name)
		}
	}
	if req := f.open("requirements.txt"); req != nil {
		for _, l := range req.lines() {
			req.client(pythonClients, requirement(l.text), l.no)
		}
	}
	because := f.first("pyproject.toml", "Pipfile", "requirements.txt", "requirements-dev.txt", "setup.py", "setup.cfg", "manage.py", "environment.yml")
	if because == "" {
		return
	}
	f.implied("python3", because, "the project is of Python")
	f.pythonSteps(project, requirements, p)
	f.pythonScripts(project)
}

var pythonRequires = regexp.MustCompile(`python_requires\s*=\s*["']([^"']*)["']`)

// requirement is the name in a requirement: of "psycopg[binary]>=3; …" that is
// psycopg. Names are as PEP 503 has them.
func requirement(s string) string {
	if i := strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}); i >= 0 {
		s = s[:i]
	}
	return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(s))
}

// python is how programs of the project are started: in its virtual environment.
const python = ".venv/bin/"

func (f *folder) pythonSteps(project *syntax.Node, requirements []string, p *file) {
	tool := func(family, command string, at Evidence) {
		f.needs(Need{Family: family, Weight: Declared, Because: "it installs the project's packages", Evidence: at})
		f.step(command, at)
	}
	switch {
	case f.has("uv.lock"):
		tool("uv", "uv sync --frozen", f.whole("uv.lock"))
	case f.has("poetry.lock"):
		tool("poetry", "poetry install", f.whole("poetry.lock"))
	case f.has("Pipfile"):
		tool("pipenv", "pipenv install --dev", f.whole("Pipfile"))
	case f.has("pdm.lock"):
		tool("pdm", "pdm sync", f.whole("pdm.lock"))
	case len(requirements) > 0:
		f.step(venv+"-r "+strings.Join(requirements, " -r "), f.whole(requirements[0]))
	case project.Get("tool", "poetry") != nil:
		tool("poetry", "poetry install", p.at(project.Get("tool", "poetry").At()))
	case f.has("pyproject.toml") && (project.Get("project") != nil || project.Get("build-system") != nil):
		f.step(venv+f.editable(project), f.whole("pyproject.toml"))
	case f.has("setup.py"):
		f.step(venv+f.editable(project), f.whole("setup.py"))
	}
}

const venv = "python3 -m venv .venv && " + python + "pip install "

// editable is what to install of a project that is a package itself: the package,
// and what its developers and tests need.
func (f *folder) editable(project *syntax.Node) string {
	var extras []string
	pytest := false
	for _, n := range project.Get("project", "optional-dependencies").All() {
		if word(n.Name, "dev", "test", "tests", "testing") {
			extras = append(extras, n.Name)
			for _, d := range n.Strings() {
				pytest = pytest || requirement(d) == "pytest"
			}
		}
	}
	what := "-e ."
	if len(extras) > 0 {
		what = "-e '.[" + strings.Join(extras, ",") + "]'"
	}
	if !pytest && f.pytest(project) != "" {
		what += " pytest"
	}
	return what
}

// pytest returns the file that says that the tests are for pytest, or "".
func (f *folder) pytest(project *syntax.Node) string {
	if name := f.first("pytest.ini", "conftest.py"); name != "" {
		return name
	}
	if project.Get("tool", "pytest") != nil {
		return "pyproject.toml"
	}
	return ""
}

func (f *folder) pythonScripts(project *syntax.Node) {
	run := python
	switch {
	case f.has("uv.lock"):
		run = "uv run "
	case f.has("poetry.lock"), project.Get("tool", "poetry") != nil && f.first("requirements.txt") == "":
		run = "poetry run "
	case f.has("Pipfile"):
		run = "pipenv run "
	case f.has("pdm.lock"):
		run = "pdm run "
	}
	if f.has("manage.py") {
		at := f.whole("manage.py")
		f.script("dev", run+"python manage.py runserver", at)
		f.script("migrate", run+"python manage.py migrate", at)
		f.script("test", run+"python manage.py test", at)
		f.port("web", 8000, Implied, at)
	}
	if at := f.pytest(project); at != "" {
		f.script("test", run+"pytest", f.whole(at))
	}
}
