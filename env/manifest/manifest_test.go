package manifest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nixspace/nixspace"
)

var update = flag.Bool("update", false, "write the golden files anew")

const shop = `# The shop.
schema = 1
source = "catalog"

[packages]
nodejs = "22"      # as production has it
postgresql = "15"
git = "*"

[services.postgresql]
databases = ["shop"]

[services.postgresql.settings]
max_connections = 50
auto_explain.log_min_duration = "1s"

[env]
NODE_ENV = "development"

[scripts]
test = "node --test"

[ports]
web = 3000

[resources]
cpus = 1
memory = "512MiB"
disk = "4GiB"
`

func TestParse(t *testing.T) {
	got := parse(t, shop)
	want := &Manifest{
		Source:   Catalog,
		Packages: map[string]Constraint{"nodejs": {"22"}, "postgresql": {"15"}, "git": {"*"}},
		Services: map[string]Service{"postgresql": {
			Databases: []string{"shop"},
			Settings:  map[string]any{"max_connections": int64(50), "auto_explain.log_min_duration": "1s"},
		}},
		Env:       map[string]string{"NODE_ENV": "development"},
		Scripts:   map[string]string{"test": "node --test"},
		Ports:     map[string]int{"web": 3000},
		Resources: Resources{CPUs: 1, Memory: 512, Disk: 4096},
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	if got := parse(t, ""); got.Resources.OrDefault() != (Resources{1, 512, 4096}) || !got.Source.IsCatalog() {
		t.Errorf("an empty manifest is %+v", got)
	}
}

func TestParseService(t *testing.T) {
	const text = `[services.web]
command = "node server.js"
directory = "./app/"
port = 3000
ports = [9229, 3001]
depends-on = ["worker", "postgresql"]
ready-http = "/health?deep=1"
ready-port = 3001
ready-timeout = "90s"
restart = "on-failure"
restart-limit = 5
restart-delay = "1.5s"
env.PORT = "3000"
[services.worker]
command = "node worker.js"
[services.postgresql]
`
	want := Service{
		Command: "node server.js", Directory: "app", Port: 3000, Ports: []int{3001, 9229},
		DependsOn: []string{"postgresql", "worker"}, ReadyHTTP: "/health?deep=1", ReadyPort: 3001,
		ReadyTimeout: Duration(90 * time.Second), Restart: RestartOnFailure, RestartLimit: 5,
		RestartDelay: Duration(1500 * time.Millisecond), Env: map[string]string{"PORT": "3000"},
	}
	m := parse(t, text)
	if diff := cmp.Diff(want, m.Services["web"], equal); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(m, parse(t, m.Format()), equal); diff != "" {
		t.Errorf("written and parsed again (-want +got):\n%s", diff)
	}
	got := summary([]string{"services", "web"}, m.Services["web"])
	if want := "command = node server.js; directory = app; port = 3000; ports = 3001, 9229; depends-on = postgresql, worker; " +
		"ready-http = /health?deep=1; ready-port = 3001; ready-timeout = 1m30s; restart = on-failure; restart-limit = 5; restart-delay = 1.5s; env.PORT = 3000"; got != want {
		t.Errorf("summary %s, want %s", got, want)
	}
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]nixspace.Egress{
		"":                        {},
		"network.egress = 'none'": {},
		"network.egress = []":     {},
		"network.egress = 'full'": {Full: true},
		"network.egress = ['B.example:81', '*.a.example']": {Allow: []string{"*.a.example", "b.example:81"}},
	} {
		m := parse(t, text)
		if diff := cmp.Diff(want, m.Network.Policy()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
		if diff := cmp.Diff(m, parse(t, m.Format()), equal); diff != "" {
			t.Errorf("%s, written and parsed again (-want +got):\n%s", text, diff)
		}
	}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{"90s": "1m30s", "120s": "2m", "3600s": "1h", "1500ms": "1.5s", "0.5s": "500ms", "1h30m": "1h30m"} {
		d, err := ParseDuration(text)
		if err != nil || d.String() != want {
			t.Errorf("%s is %v (%v), want %s", text, d, err, want)
		}
		if again, err := ParseDuration(d.String()); err != nil || again != d {
			t.Errorf("%v read again is %v, %v", d, again, err)
		}
	}
	for _, text := range []string{"", "1", "-1s", "1 s", "1us", "s", "1d", "1.5ms", "99999999999h"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}

// equal compares manifests by meaning: no matter whether a table is empty or
// missing, and where it stood.
var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.AllowUnexported(Constraint{}),
	cmpopts.IgnoreUnexported(Manifest{}),
}

// tester is what testing and rapid have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t tester, text string) *Manifest {
	t.Helper()
	m, err := Parse(FileName, []byte(text))
	if err != nil {
		t.Fatalf("parse %q: %v", text, err)
	}
	return m
}

// TestErrors keeps the words of every error in a golden file.
func TestErrors(t *testing.T) {
	texts := []string{
		"schema = 1\n[pakages]\n",
		"[packages\n",
		"a = \n",
		"\x00",
		"x = \"\xff\"",
		"[packages]\ngit = \"*\"\ngit = \"*\"\n",
		"packages = 1\n[packages]\n",
		"schema = 2\nfuture = true\n",
		"schema = \"1\"",
		"source = \"nixpkgs\"",
		"source = \"nixpkgs@abc\"",
		"[packages]\nnodejs = 22\n",
		"[packages]\ngo = 1.27\n",
		"[packages]\nnodejs = \"twenty\"\n",
		"[packages]\nnodejs = \"\"\n",
		"[packages]\n\"no js\" = \"1\"\n",
		"packages = [\"git\"]\n",
		"[[packages]]\n",
		"[env]\nPORT = 3000\n",
		"[env]\n\"A B\" = \"x\"\n",
		"[env]\nPATH = \"/bin\"\n",
		"[env]\nA = \"\\u0000\"\n",
		"[scripts]\n\"a b\" = \"x\"\nempty = \" \"\n",
		"[ports]\nweb = 70000\n",
		"[ports]\nweb = \"3000\"\n",
		"[ports]\na = 3000\nb = 3000\n",
		"[ports]\nWEB = 3000\n",
		"[resources]\nmemory = 512\n",
		"[resources]\nmemory = \"512MB\"\n",
		"[resources]\nmemory = \"lots\"\n",
		"[resources]\nmemory = \"1MiB\"\ndisk = \"100TiB\"\ncpus = 0\n",
		"[resources]\nmemory = \"128.3MiB\"\nram = 1\n",
		"[services]\npostgresql = true\n",
		"[services.postgres]\n",
		"[services.web]\n",
		"[services.web]\ncomand = \"x\"\n",
		"[services.web]\ncommand = \"x\"\ndirectory = \"../up\"\n",
		"[services.Web]\ncommand = \"x\"\n",
		"[services.web]\ncommand = \"x\"\nport = 5432\n[services.postgresql]\n",
		"[services.web]\ncommand = \"x\"\ndepends-on = [\"wrker\"]\n[services.worker]\ncommand = \"x\"\n",
		"[services.web]\ncommand = \"x\"\ndepends-on = [\"web\"]\n",
		"[services.a]\ncommand = \"x\"\ndepends-on = [\"b\"]\n[services.b]\ncommand = \"x\"\ndepends-on = [\"c\"]\n[services.c]\ncommand = \"x\"\ndepends-on = [\"a\"]\n",
		"[services.web]\ncommand = \"x\"\ndepends-on = \"db\"\nports = 3000\n",
		"[services.web]\ncommand = \"x\"\ndepends-on = [1, \"redis\", \"redis\"]\nports = [0, \"1\", 2, 2]\n[services.redis]\n",
		"[services.web]\ncommand = \"x\"\nport = 3000\nports = [3000]\n",
		"[services.web]\ncommand = \"x\"\nready-http = \"/health\"\n",
		"[services.web]\ncommand = \"x\"\nport = 3000\nready-http = \"http://localhost/health\"\n",
		"[services.web]\ncommand = \"x\"\nport = 3000\nready-http = \"/a b\\r\\nHost: x\"\n",
		"[services.web]\ncommand = \"x\"\nready-port = 0\nready-timeout = 30\n",
		"[services.web]\ncommand = \"x\"\nready-timeout = \"30\"\nrestart-delay = \"1h\"\n",
		"[services.web]\ncommand = \"x\"\nready-timeout = \"0s\"\nrestart-delay = \"1us\"\n",
		"[services.web]\ncommand = \"x\"\nrestart = \"sometimes\"\nrestart-limit = 0\n",
		"[services.redis]\nrestart = \"never\"\n",
		"[services.postgresql]\ndatabases = \"shop\"\n",
		"[services.postgresql]\ndatabases = [\"a b\", 1, \"template1\", \"x\", \"x\"]\n",
		"[services.postgresql]\ncommand = \"x\"\n",
		"[services.redis]\ndatabases = [\"x\"]\n",
		"[services.postgresql.settings]\nport = 5433\n",
		"[services.postgresql.settings]\nlisten_addresses = \"*\"\n",
		"[services.postgresql.settings]\nwork_mem = \"4MB'\\nport = 1\"\n",
		"[services.postgresql.settings]\nx = nan\n",
		"[services.postgresql.settings]\nx = [1]\n",
		"[services.postgresql.settings]\n\"Bad Name\" = 1\n",
		"[services.postgresql.settings]\na.b = 1\n\"a.b\" = 2\n",
		"[network]\negress = true\n",
		"[network]\negress = \"some\"\nproxy = 1\n",
		"[network]\negress = [\"a.example\", \"A.example.\", 1, \"http://b.example\", \"c.example:0\"]\n",
		"network = \"full\"\n",
		"when = 2020-01-01\n[env]\nA = 2020-01-01\n",
		"[env]\nA = \"" + strings.Repeat("long ", 50) + "\" x\n",
		"[env]\n\tÄÖ = \"x\"\n",
		"a = " + strings.Repeat("[", 11000),
		strings.Repeat("#", MaxSize+1),
	}
	var b strings.Builder
	for _, text := range texts {
		_, err := Parse(FileName, []byte(text))
		if err == nil {
			t.Errorf("no error for %q", text)
			continue
		}
		writeError(t, &b, text, err)
	}
	golden(t, "errors.txt", b.String())
}

func writeError(t *testing.T, b *strings.Builder, input string, err error) {
	t.Helper()
	var e *nixspace.Error
	if !errors.As(err, &e) {
		t.Errorf("%q: %v is no *nixspace.Error", input, err)
		return
	}
	if len(input) > 200 {
		input = input[:40] + "…"
	}
	fmt.Fprintf(b, "=== %q\n%s %s: %s\n", input, e.Kind, e.Code, e.Message)
	if e.Hint != "" {
		fmt.Fprintf(b, "    hint: %s\n", e.Hint)
	}
	if s, ok := e.Details["excerpt"].(string); ok {
		fmt.Fprintf(b, "%s\n", s)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
	}
}

func TestConstraint(t *testing.T) {
	for _, c := range []struct {
		constraint string
		yes, no    string
	}{
		{"*", "15.18 1 9.7-x", ""},
		{"latest", "15.18", ""},
		{"15", "15 15.18 15.1.2 15-beta1", "1 150 14.15 5.15"},
		{"15.18", "15.18 15.18.1 15.18-2", "15.1 15.180 15"},
		{"1.2", "1.2 1.2.9", "1.20.1 1.22.12"},
		{"1.27.4", "1.27.4", "1.27.40 1.27.3"},
		{"3.13.x", "3.13.5 3.13", "3.1.3 3.12.13"},
		{"10.0p2", "10.0p2", "10.0p1 10.0"},
		{">=20 <23", "20.20.2 22.23.3", "18.20.8 23.0.0 24.21.0"},
		{">= 20, < 23", "20.20.2 22.23.3", "24.21.0"},
		{"^3.12", "3.12.1 3.13.5", "4.0.0 3.11.9"},
		{"~22.1", "22.1.9", "22.2.0"},
		{"18 || 22", "18.20.8 22.23.3", "20.20.2"},
		{"13 - 15", "13.23 14.23 15.18", "16.14 12.9"},
		{">15", "16.14", "15.18"},
		{"!=15.18", "15.17 16.14", "15.18"},
		{">=20240101", "20250419", "20230311"},
	} {
		got, err := ParseConstraint(c.constraint)
		if err != nil {
			t.Errorf("%q: %v", c.constraint, err)
			continue
		}
		for _, v := range strings.Fields(c.yes) {
			if !got.Allows(v) {
				t.Errorf("%q refuses %s", c.constraint, v)
			}
		}
		for _, v := range strings.Fields(c.no) {
			if got.Allows(v) {
				t.Errorf("%q allows %s", c.constraint, v)
			}
		}
	}
	for _, s := range []string{"", " ", "x.y", "fifteen", ">=", "15\n16", strings.Repeat("1", 200), "1;2", "'", "><1"} {
		if c, err := ParseConstraint(s); err == nil {
			t.Errorf("%q is a constraint: %v", s, c)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	order := []string{"1.9", "1.10", "1.10.0", "1.10.1", "9.7", "10.0p1", "10.0p2", "15.18", "20240101", "20250419"}
	for i, a := range order {
		for j, b := range order {
			if got := compareVersions(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("compare %s with %s: %d", a, b, got)
			}
		}
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]Size{"512MiB": 512, "1GiB": 1024, "1.5 GiB": 1536, "2TiB": 2 << 20, "0.25GiB": 256} {
		got, err := ParseSize(s)
		if err != nil || got != want {
			t.Errorf("ParseSize(%q) = %v, %v; want %v", s, got, err, want)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%v reads back as %v, %v", got, again, err)
		}
	}
	for _, s := range []string{"", "512", "512MB", "1.5MiB", "-1MiB", "1e3MiB", "9999999999MiB", "0.1GiB"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %v", s, got)
		}
	}
}
