package stack

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
)

// detectGit looks for signs that the project is kept in git.
func detectGit(f *folder) {
	if !f.root() {
		return
	}
	if name := f.first(".gitignore", ".gitattributes", ".gitmodules"); name != "" {
		f.implied("git", name, "the project is kept in git")
	} else if hasName(f.names, ".git/") || f.has(".git") {
		f.needs(Need{Family: "git", Weight: Implied, Because: "the project is kept in git", Evidence: Evidence{File: ".git"}})
	}
}

var makeTarget = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9_.-]*(?:\s+[A-Za-z0-9][A-Za-z0-9_.-]*)*)\s*:(?:[^=]|$)`)

func detectMake(f *folder) {
	file := f.open(f.first("GNUmakefile", "Makefile", "makefile"))
	if file == nil || !f.root() {
		return
	}
	f.implied("gnumake", file.path, "the project has a Makefile")
	at := map[string]int{}
	for no, l := range file.raw() {
		if m := makeTarget.FindStringSubmatch(l); m != nil {
			for _, t := range strings.Fields(m[1]) {
				if at[t] == 0 {
					at[t] = no + 1
				}
			}
		}
	}
	for _, name := range append([]string{"run"}, usualScripts...) {
		if no := at[name]; no > 0 {
			f.script(name, "make "+name, file.at(no))
		}
	}
}

var (
	dockerFrom   = regexp.MustCompile(`(?i)^from\s+(?:--\S+\s+)*(\S+)`)
	dockerArg    = regexp.MustCompile(`(?i)^arg\s+([A-Za-z_][A-Za-z0-9_]*)=(\S+)`)
	dockerExpose = regexp.MustCompile(`(?i)^expose\s+(.+)$`)
	dockerVar    = regexp.MustCompile(`\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))`)
)

// project reports whether the folder has code of its own, and is not only about how
// some is packed.
func (f *folder) project() bool {
	return f.first("package.json", "go.mod", "pyproject.toml", "requirements.txt", "Pipfile", "setup.py", "Cargo.toml", "Gemfile",
		"pom.xml", "build.gradle", "build.gradle.kts", "composer.json", "mix.exs") != ""
}

func detectDockerfile(f *folder) {
	for _, name := range []string{"Dockerfile", "Dockerfile.dev", "Containerfile"} {
		file := f.open(name)
		if file == nil {
			continue
		}
		args := map[string]string{}
		for _, l := range file.lines() {
			if m := dockerArg.FindStringSubmatch(l.text); m != nil {
				args[m[1]] = strings.Trim(m[2], `"'`)
			}
			if m := dockerFrom.FindStringSubmatch(l.text); m != nil {
				ref := dockerVar.ReplaceAllStringFunc(m[1], func(v string) string { return args[strings.Trim(v, "${}")] })
				img := parseImage(ref)
				if fam, ok := languages[img.name]; ok && (f.root() || f.project() || path.Base(f.dir) == ".devcontainer") {
					file.need(fam, constraint.Pin, img.version, Built, l.no, "")
				}
			}
			if m := dockerExpose.FindStringSubmatch(l.text); m != nil {
				for _, p := range strings.Fields(m[1]) {
					p, _, _ = strings.Cut(p, "/")
					if n, err := strconv.Atoi(p); err == nil {
						file.port("web", n, Built, file.at(l.no))
					}
				}
			}
		}
	}
}

var (
	procLine = regexp.MustCompile(`^([A-Za-z0-9_-]+)\s*:\s*(.+)$`)
	// procServices are programs of services, which some people start this way.
	procServices = map[string]string{
		"redis-server": "redis", "postgres": "postgresql", "mysqld": "mysql", "mongod": "mongodb", "memcached": "memcached", "rabbitmq-server": "rabbitmq-server",
	}
)

func detectProcfile(f *folder) {
	for _, name := range []string{"Procfile.dev", "Procfile"} {
		file := f.open(name)
		if file == nil {
			continue
		}
		for _, l := range file.lines() {
			m := procLine.FindStringSubmatch(l.text)
			if m == nil {
				continue
			}
			words := strings.Fields(m[2])
			program := words[0][strings.LastIndexByte(words[0], '/')+1:]
			if s, ok := procServices[program]; ok {
				f.service(Service{Name: s, Weight: Shared, Because: "it is started with the project", Evidence: file.at(l.no)})
				continue
			}
			if m[1] == "release" {
				continue // what is done when it is deployed
			}
			f.script(m[1], command(m[2]), file.at(l.no))
			if m[1] == "web" {
				f.port("web", portOf(m[2]), Declared, file.at(l.no))
			}
		}
	}
}

var envLine = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$`)

// envHosts are variables that say by their name which service they are about.
var envHosts = []struct {
	pattern *regexp.Regexp
	service string
}{
	{regexp.MustCompile(`^(PG|POSTGRES|POSTGRESQL)_?(HOST|DB|DATABASE|PORT|DSN|URL|URI)$`), "postgresql"},
	{regexp.MustCompile(`^(REDIS)_?(HOST|PORT|URL|URI|DSN)$`), "redis"},
	{regexp.MustCompile(`^(MYSQL)_?(HOST|DB|DATABASE|PORT|URL|URI)$`), "mysql"},
	{regexp.MustCompile(`^(MONGO|MONGODB)_?(HOST|DB|URL|URI)$`), "mongodb"},
	{regexp.MustCompile(`^(AMQP|RABBITMQ)_?(HOST|URL|URI)$`), "rabbitmq-server"},
}

// detectVariables reads the examples of a project's variables. Their values are
// looked at for addresses and ports, and never kept: an example may be somebody's
// password. The real files (.env) are not read at all.
func detectVariables(f *folder) {
	for _, name := range []string{".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", ".env.local.example", ".env.development.example", "example.env"} {
		file := f.open(name)
		if file == nil {
			continue
		}
		for _, l := range file.lines() {
			if m := envLine.FindStringSubmatch(l.text); m != nil {
				file.variable(m[1], strings.TrimSpace(m[2]), Evidence{File: file.path, Line: l.no})
			}
		}
	}
}

func (f *file) variable(name, value string, at Evidence) {
	if len(f.report.Variables) < maxItems {
		f.report.Variables = append(f.report.Variables, Variable{Name: name, Evidence: at})
	}
	value = strings.Trim(value, `"'`)
	if service, port, database := serviceOfURL(value); service != "" {
		s := Service{Name: service, Weight: Declared, Because: name + " is an address of it", Evidence: at}
		if port != usualPorts[service] {
			s.Port = port
		}
		if database != "" {
			s.Databases = []string{database}
		}
		f.service(s)
		return
	}
	if name == "DB_CONNECTION" || name == "DATABASE_CLIENT" || name == "DB_CLIENT" || name == "DB_DIALECT" || name == "DB_ENGINE" {
		service := map[string]string{"pgsql": "postgresql", "postgres": "postgresql", "postgresql": "postgresql", "pg": "postgresql", "django.db.backends.postgresql": "postgresql", "mysql": "mysql", "mariadb": "mariadb"}[strings.ToLower(value)]
		if service != "" {
			f.service(Service{Name: service, Weight: Declared, Because: name + " names it", Evidence: at})
		}
		return
	}
	for _, h := range envHosts {
		if h.pattern.MatchString(name) {
			s := Service{Name: h.service, Weight: Declared, Because: name + " is about it", Evidence: at}
			if strings.HasSuffix(name, "DB") || strings.HasSuffix(name, "DATABASE") {
				if db := databaseName(value); db != "" && h.service != "redis" {
					s.Databases = []string{db}
				}
			}
			f.service(s)
			return
		}
	}
	if slices.Contains([]string{"PORT", "APP_PORT", "SERVER_PORT", "HTTP_PORT", "WEB_PORT"}, name) {
		if n, err := strconv.Atoi(value); err == nil {
			f.port("web", n, Declared, at)
		}
	}
}

var prismaProvider = regexp.MustCompile(`^provider\s*=\s*"([a-z]+)"`)

// detectPrisma reads which database a schema of Prisma is for: such projects need
// no other client.
func detectPrisma(f *folder) {
	file := f.open("schema.prisma")
	if file == nil {
		return
	}
	for _, l := range file.lines() {
		if m := prismaProvider.FindStringSubmatch(l.text); m != nil {
			if m[1] == "postgresql" || m[1] == "mysql" || m[1] == "mongodb" {
				f.service(Service{Name: m[1], Weight: Declared, Because: "Prisma's schema is for it", Evidence: file.at(l.no)})
			}
		}
	}
}
