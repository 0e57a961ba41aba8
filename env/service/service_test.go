package service

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
)

func plan(t testing.TB, text string) ([]nixspace.Service, map[string]string) {
	t.Helper()
	m, err := manifest.Parse(manifest.FileName, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Plan(m)
}

func TestPlan(t *testing.T) {
	services, env := plan(t, `
[services.web]
command = "node server.js"
directory = "app"
port = 3000
[services.web.env]
PORT = "3000"
[services.worker]
command = "node worker.js"
ready = "test -e /tmp/up"
[services.redis]
[services.postgresql]
databases = ["shop", "shop_test"]
[env]
PGDATABASE = "other"
NODE_ENV = "test"
`)
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	if want := []string{"postgresql", "redis", "web", "worker"}; !cmp.Equal(names, want) {
		t.Errorf("services %v, want %v", names, want)
	}
	wantEnv := map[string]string{
		"PGHOST": "/run/postgresql", "PGPORT": "5432", "PGUSER": "dev", "PGDATABASE": "other",
		"DATABASE_URL": "postgresql://dev@127.0.0.1:5432/shop",
		"REDIS_URL":    "redis://127.0.0.1:6379", "NODE_ENV": "test",
	}
	if diff := cmp.Diff(wantEnv, env); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	needs := []string{"postgresql", "redis"}
	want := []nixspace.Service{
		{
			Name: "web", Argv: []string{"sh", "-c", "node server.js"}, Env: map[string]string{"PORT": "3000"}, Dir: "/workspace/app",
			Needs: needs, Ready: nixspace.Probe{TCP: 3000}, Ports: []int{3000},
		},
		{
			Name: "worker", Argv: []string{"sh", "-c", "node worker.js"}, Dir: "/workspace",
			Needs: needs, Ready: nixspace.Probe{Exec: []string{"sh", "-c", "test -e /tmp/up"}},
		},
	}
	if diff := cmp.Diff(want, services[2:]); diff != "" {
		t.Errorf("own services (-want +got):\n%s", diff)
	}
	services, _ = plan(t, `
[services.api]
command = "api"
port = 3000
ports = [3001]
depends-on = ["worker", "redis"]
ready-http = "/health"
ready-timeout = "1m"
restart = "on-failure"
restart-limit = 3
restart-delay = "2s"
[services.other]
command = "other"
port = 4000
ready = "true"
ready-port = 4001
[services.worker]
command = "worker"
[services.redis]
`)
	want = []nixspace.Service{
		{Name: "worker", Argv: []string{"sh", "-c", "worker"}, Dir: "/workspace", Needs: []string{"redis"}},
		{
			Name: "api", Argv: []string{"sh", "-c", "api"}, Dir: "/workspace", Needs: []string{"redis", "worker"},
			Ready: nixspace.Probe{TCP: 3000, HTTP: "/health"}, Ports: []int{3000, 3001}, ReadyTimeout: time.Minute,
			Restart: nixspace.Restart{When: nixspace.RestartOnFailure, Limit: 3, Delay: 2 * time.Second},
		},
		{
			Name: "other", Argv: []string{"sh", "-c", "other"}, Dir: "/workspace", Needs: []string{"redis"},
			Ready: nixspace.Probe{TCP: 4001, Exec: []string{"sh", "-c", "true"}}, Ports: []int{4000},
		},
	}
	if diff := cmp.Diff(want, services[1:]); diff != "" {
		t.Errorf("supervised services (-want +got):\n%s", diff)
	}
	services, env = plan(t, "")
	if len(services) != 0 || len(env) != 0 {
		t.Errorf("an empty manifest has services %v and variables %v", services, env)
	}
}

func TestProxyVariables(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"network.egress = 'none'":        "",
		"network.egress = 'full'":        "http://127.0.0.1:61080",
		"network.egress = ['a.example']": "http://127.0.0.1:61080",
		"network.egress = 'full'\nenv.HTTPS_PROXY = 'http://other'": "http://other",
	} {
		if _, env := plan(t, text); env["HTTPS_PROXY"] != want {
			t.Errorf("%s: HTTPS_PROXY is %q, want %q", text, env["HTTPS_PROXY"], want)
		}
	}
}

func TestPostgreSQLConfiguration(t *testing.T) {
	services, env := plan(t, `
[services.postgresql]
port = 5433
[services.postgresql.settings]
max_connections = 50
fsync = false
random_page_cost = 1.1
search_path = "'quoted', \\ \"x\""
auto_explain.log_min_duration = "1s"
`)
	want := `# Written by NixSpace at each start, from nixspace.toml.
include = '/data/postgresql/postgresql.conf'
listen_addresses = '127.0.0.1'
port = '5433'
unix_socket_directories = '/run/postgresql'
logging_collector = 'off'
auto_explain.log_min_duration = '1s'
fsync = off
max_connections = 50
random_page_cost = '1.1'
search_path = '''quoted'', \\ "x"'
`
	if diff := cmp.Diff(want, services[0].Files[postgresqlConfig]); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got := env["DATABASE_URL"]; got != "postgresql://dev@127.0.0.1:5433/postgres" {
		t.Errorf("DATABASE_URL is %s", got)
	}
}

func TestRedisConfiguration(t *testing.T) {
	services, env := plan(t, `
[services.redis]
port = 6380
[services.redis.settings]
appendonly = true
maxmemory = "64mb"
requirepass = "p@ss \" word\\"
save = "900 1 60 100"
hz = 5
`)
	want := `# Written by NixSpace at each start, from nixspace.toml.
bind 127.0.0.1
port 6380
unixsocket /run/redis/redis.sock
dir /data/redis
daemonize no
logfile ""
appendonly yes
hz 5
maxmemory "64mb"
requirepass "p@ss \" word\\"
save "900" "1" "60" "100"
`
	if diff := cmp.Diff(want, services[0].Files[redisConfig]); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got := env["REDIS_URL"]; got != "redis://:p%40ss%20%22%20word%5C@127.0.0.1:6380" {
		t.Errorf("REDIS_URL is %s", got)
	}
}
