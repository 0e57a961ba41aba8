package stack

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

// images are the programs in images of containers, by the last parts of their
// names.
var images = map[string]string{
	"postgres": "postgresql", "postgresql": "postgresql", "postgis": "postgresql", "pgvector": "postgresql", "timescaledb": "postgresql",
	"redis": "redis", "redis-stack": "redis", "redis-stack-server": "redis", "valkey": "valkey", "keydb": "redis",
	"mysql": "mysql", "mysql-server": "mysql", "mariadb": "mariadb", "mongo": "mongodb", "mongodb": "mongodb",
	"rabbitmq": "rabbitmq-server", "memcached": "memcached", "elasticsearch": "elasticsearch", "opensearch": "opensearch",
	"kafka": "apacheKafka", "cp-kafka": "apacheKafka", "nats": "nats-server", "minio": "minio", "mailpit": "mailpit", "mailhog": "mailhog",
	"localstack": "localstack", "clickhouse-server": "clickhouse", "etcd": "etcd", "consul": "consul", "vault": "vault",
	"cassandra": "cassandra", "meilisearch": "meilisearch", "typesense": "typesense", "zookeeper": "zookeeper", "nginx": "nginx", "traefik": "traefik", "caddy": "caddy",
}

// languages are images that programs of a language are developed in.
var languages = map[string]string{
	"node": "nodejs", "python": "python3", "golang": "go", "ruby": "ruby", "rust": "rustc", "php": "php", "elixir": "elixir",
	"openjdk": "jdk", "eclipse-temurin": "jdk", "amazoncorretto": "jdk", "maven": "maven", "gradle": "gradle",
}

// usualPorts are those that services listen on when nobody says otherwise.
var usualPorts = map[string]int{"postgresql": 5432, "redis": 6379, "mysql": 3306, "mariadb": 3306, "mongodb": 27017}

// serviceOwns reports whether a port is the usual one of a service, and so none of
// the project's own programs.
func serviceOwns(port int) bool {
	for _, p := range usualPorts {
		if p == port {
			return true
		}
	}
	return false
}

// image is a reference to an image: name and the version in its tag.
type image struct{ name, version string }

var tagVersion = regexp.MustCompile(`^(?:v|pg|RELEASE\.)?([0-9]+(?:\.[0-9]+){0,2})(?:$|[-._a-z])`)

// parseImage takes an image's reference apart: registry.example/library/postgres:15-alpine@sha256:….
func parseImage(ref string) image {
	ref = expand(ref)
	ref, _, _ = strings.Cut(ref, "@")
	name, tag := ref, ""
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		name, tag = ref[:i], ref[i+1:]
	}
	out := image{name: strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])}
	if i := strings.Index(tag, "pg"); i >= 0 && out.name == "timescaledb" { // the tag has its own version first
		tag = tag[i:]
	}
	if m := tagVersion.FindStringSubmatch(tag); m != nil {
		out.version = m[1]
	}
	return out
}

var composeDefault = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*(?::?[-?]([^${}]*))?\}|\$[A-Za-z_][A-Za-z0-9_]*`)

// expand puts the defaults in the place of variables: ${TAG:-15} is 15.
func expand(s string) string {
	return composeDefault.ReplaceAllString(s, "$1")
}

func detectCompose(f *folder) {
	for _, name := range []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "docker-compose.dev.yml", "docker-compose.override.yml"} {
		file := f.open(name)
		if file == nil {
			continue
		}
		for _, s := range file.tree(syntax.YAML).Get("services").All() {
			file.composeService(s)
		}
	}
}

func (f *file) composeService(s *syntax.Node) {
	ref := s.Get("image")
	img := parseImage(ref.Text())
	name, known := images[img.name]
	if s.Get("build") != nil || ref == nil || !known {
		if s.Get("build") != nil || known {
			for _, p := range s.Get("ports").All() {
				host, container := composePort(p)
				f.port(portName(s.Name), max(host, container), Declared, f.at(p.Line))
			}
		}
		if fam, version, ok := containerImage(ref.Text()); ok {
			f.need(fam, constraint.Pin, version, Built, ref.Line, "")
		} else if fam, ok := languages[img.name]; ok && ref != nil {
			f.need(fam, constraint.Pin, img.version, Built, ref.Line, "")
		} else if ref != nil && !known && s.Get("build") == nil && img.name != "" {
			f.note(f.at(ref.Line), "the service %s runs the image %s, which is no package here", shown(s.Name), shown(img.name))
		}
		return
	}
	c, err := constraint.Parse(constraint.Pin, img.version)
	if err != nil {
		f.note(f.at(ref.Line), "the version of %s is not understood", name)
	}
	v := Service{Name: name, Constraint: c, Weight: Shared, Evidence: f.at(ref.Line)}
	for _, p := range s.Get("ports").All() {
		if host, container := composePort(p); container == usualPorts[name] && host != container {
			v.Port = host
		}
	}
	// Services that share a network with the project say their port themselves.
	if port := portOf(strings.Join(s.Get("command").Strings(), " ")); port != 0 && usualPorts[name] != 0 {
		v.Port = port
	}
	for _, key := range []string{"POSTGRES_DB", "POSTGRESQL_DATABASE", "MYSQL_DATABASE", "MARIADB_DATABASE", "MONGO_INITDB_DATABASE"} {
		if db := databaseName(expand(environment(s.Get("environment"), key))); db != "" {
			v.Databases = append(v.Databases, db)
		}
	}
	f.service(v)
}

// environment returns a variable of a table, or of a list of NAME=value.
func environment(n *syntax.Node, key string) string {
	if v := n.Get(key); v != nil {
		return v.Text()
	}
	for _, s := range n.All() {
		if v, ok := strings.CutPrefix(s.Text(), key+"="); ok {
			return v
		}
	}
	return ""
}

// composePort reads "5433:5432", "127.0.0.1:5433:5432/tcp", "3000", and the long
// form.
func composePort(p *syntax.Node) (host, container int) {
	if p.Kind == syntax.Table {
		host, _ = strconv.Atoi(expand(p.Get("published").Text()))
		container, _ = strconv.Atoi(expand(p.Get("target").Text()))
		return host, container
	}
	text, _, _ := strings.Cut(expand(p.Text()), "/")
	parts := strings.Split(text, ":")
	container, _ = strconv.Atoi(parts[len(parts)-1])
	host = container
	if len(parts) > 1 {
		host, _ = strconv.Atoi(parts[len(parts)-2])
	}
	return host, container
}

var (
	databaseWord = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	portWord     = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
)

// databaseName returns a name that a database may have here, or "".
func databaseName(s string) string {
	s = strings.ReplaceAll(strings.ToLower(s), "-", "_")
	if !databaseWord.MatchString(s) || word(s, "template0", "template1", "postgres") {
		return ""
	}
	return s
}

func portName(s string) string {
	s = strings.ReplaceAll(strings.ToLower(s), "_", "-")
	if !portWord.MatchString(s) || word(s, "app", "backend", "server") {
		return "web"
	}
	return s
}

// serviceOfURL returns the service that an address is of, with its port and
// database.
func serviceOfURL(text string) (name string, port int, database string) {
	u, err := url.Parse(strings.Trim(text, `"'`))
	if err != nil {
		return "", 0, ""
	}
	scheme, _, _ := strings.Cut(u.Scheme, "+")
	name = map[string]string{
		"postgres": "postgresql", "postgresql": "postgresql", "psql": "postgresql", "postgis": "postgresql", "ecto": "postgresql", "redis": "redis", "rediss": "redis",
		"mysql": "mysql", "mysql2": "mysql", "mariadb": "mariadb", "mongodb": "mongodb", "amqp": "rabbitmq-server", "amqps": "rabbitmq-server",
		"nats": "nats-server", "memcached": "memcached", "kafka": "apacheKafka",
	}[scheme]
	port, _ = strconv.Atoi(u.Port())
	if name != "redis" {
		database = databaseName(strings.Trim(u.Path, "/"))
	}
	return name, port, database
}
