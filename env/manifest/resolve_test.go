package manifest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

// offers is a small package source.
var offers = func() []nixspace.Package {
	var ps []nixspace.Package
	for _, s := range strings.Fields(`
		bash/bash/5.2.37* git/git/2.47.3* go_1_26/go/1.26.11 go_1_27/go/1.27.4*
		nixspaceBase/nixspaceBase/1* nodejs_18/nodejs/18.20.8 nodejs_20/nodejs/20.20.2 nodejs_22/nodejs/22.23.3* nodejs_24/nodejs/24.21.0
		postgresql_13/postgresql/13.23 postgresql_14/postgresql/14.23 postgresql_15/postgresql/15.18 postgresql_17/postgresql/17.10*
		python313/python3/3.13.5* redis/redis/8.0.2*`) {
		s, isDefault := strings.CutSuffix(s, "*")
		p := strings.Split(s, "/")
		ps = append(ps, nixspace.Package{
			Attr: p[0], Family: p[1], Version: p[2], Default: isDefault,
			OutPath: nixspace.StoreDir + "/" + (p[0] + strings.Repeat("0", 32))[:32] + "-" + p[1] + "-" + p[2],
		})
	}
	return ps
}()

func resolve(t tester, text string) *Resolved {
	t.Helper()
	r, err := Resolve(parse(t, text), "x86_64-linux", offers)
	if err != nil {
		t.Fatalf("resolve %q: %v", text, err)
	}
	return r
}

func TestResolve(t *testing.T) {
	for _, c := range []struct{ packages, want string }{
		{`postgresql = "15"`, "postgresql_15"},
		{`postgresql = "15.18"`, "postgresql_15"},
		{`postgresql = "*"`, "postgresql_17"},
		{`postgresql_13 = "*"`, "postgresql_13"},
		{`postgresql_13 = "13"`, "postgresql_13"},
		{`postgresql = "<17"`, "postgresql_15"},
		{`nodejs = "*"`, "nodejs_22"},
		{`nodejs = "latest"`, "nodejs_24"},
		{`nodejs = ">=18 <22"`, "nodejs_20"},
		{`go = "1.27"`, "go_1_27"},
		{`python3 = "3.13.5"`, "python313"},
		{`python313 = "*"`, "python313"},
		{"redis = \"8\"\ngit = \"*\"\nbash = \"5\"", "bash git redis"},
	} {
		got := strings.Join(resolve(t, "[packages]\n"+c.packages).Attrs(), " ")
		if got != c.want {
			t.Errorf("%s is %s, want %s", c.packages, got, c.want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	var b strings.Builder
	for _, text := range []string{
		"[packages]\nnodejs = \"22\"\npostgres = \"15\"\n",
		"[packages]\nrediss = \"*\"\n",
		"[packages]\nquux = \"*\"\n",
		"[packages]\nnixspaceBase = \"*\"\n",
		"[packages]\npostgresql = \"12\"\n",
		"[packages]\nnodejs = \">=30\"\ngo_1_26 = \"1.27\"\n",
		"[packages]\npostgresql = \"15\"\npostgresql_13 = \"*\"\n",
		"[packages]\nnodejs = \"22\"\n\n[services.postgresql]\n",
		"source = \"nixpkgs@" + strings.Repeat("0123456789", 4) + "\"\n[packages]\nhello = \"*\"\n",
	} {
		_, err := Resolve(parse(t, text), "x86_64-linux", offers)
		if err == nil {
			t.Errorf("no error for %q", text)
			continue
		}
		writeError(t, &b, text, err)
	}
	_, err := Resolve(&Manifest{Packages: map[string]Constraint{"nope": {}}}, "x86_64-linux", offers)
	writeError(t, &b, "without text", err)
	_, err = Resolve(&Manifest{}, "x86_64-linux", nil)
	writeError(t, &b, "without a base", err)
	golden(t, "resolve_errors.txt", b.String())

	_, err = Resolve(parse(t, "[packages]\nnodejs = \"19\"\n"), "x86_64-linux", offers)
	var e *nixspace.Error
	if !errors.As(err, &e) || !cmp.Equal(e.Details["versions"], []string{"24.21.0", "22.23.3", "20.20.2", "18.20.8"}) {
		t.Errorf("versions in the details of %v: %v", err, e.Details)
	}
}

func TestCanonical(t *testing.T) {
	r := resolve(t, shop)
	j := r.Canonical().JSON()
	var pretty strings.Builder
	e := json.NewEncoder(&pretty)
	e.SetIndent("", "  ")
	if err := e.Encode(json.RawMessage(j)); err != nil {
		t.Fatal(err)
	}
	golden(t, "canonical.json", pretty.String())
	golden(t, "hash.txt", r.Hash()+"\n")

	// What the text does not change, the hash does not either.
	for _, same := range []string{
		shop + "# a comment\n",
		strings.Replace(shop, `nodejs = "22" `, `nodejs_22 = "*"`, 1),
		strings.Replace(shop, `postgresql = "15"`, `postgresql = "15.18"`, 1),
		strings.Replace(shop, "cpus = 1\n", "", 1),
		strings.Replace(shop, "source = \"catalog\"\n", "", 1),
		strings.Replace(shop, "[services.postgresql]\n", "[services.postgresql]\nport = 5432\n", 1),
		parse(t, shop).Format(),
	} {
		if got := resolve(t, same).Hash(); got != r.Hash() {
			t.Errorf("hash %s, want %s, of:\n%s", got, r.Hash(), same)
		}
	}
	for _, other := range []string{
		strings.Replace(shop, `"22"`, `"20"`, 1),
		strings.Replace(shop, "= 50", "= 51", 1),
		strings.Replace(shop, "git = \"*\"\n", "", 1),
		strings.Replace(shop, "512MiB", "513MiB", 1),
	} {
		if resolve(t, other).Hash() == r.Hash() {
			t.Errorf("the hash did not change with:\n%s", other)
		}
	}

	// What a service can say besides is part of the hash where it is said, and of
	// no account where it says the default.
	const web = shop + "[services.web]\ncommand = \"x\"\nport = 80\n"
	plain := resolve(t, web)
	if got := resolve(t, web+"restart = \"always\"\ndepends-on = []\nports = []\n").Hash(); got != plain.Hash() {
		t.Errorf("hash %s with defaults, want %s", got, plain.Hash())
	}
	for text, same := range map[string]bool{"none": true, "full": false} {
		if got := resolve(t, web+"[network]\negress = \""+text+"\"\n").Hash() == plain.Hash(); got != same {
			t.Errorf("the hash with egress %q is that without: %v", text, got)
		}
	}
	seen := map[string]string{plain.Hash(): "nothing"}
	for _, line := range []string{
		`restart = "never"`, `restart-limit = 3`, `restart-delay = "1s"`, `ready-http = "/"`, `ready-port = 81`, `ready-timeout = "1s"`,
		`ports = [81]`, `depends-on = ["postgresql"]`,
	} {
		h := resolve(t, web+line+"\n").Hash()
		if other, ok := seen[h]; ok {
			t.Errorf("%s has the hash of %s", line, other)
		}
		seen[h] = line
	}

	again, err := Restore(parse(t, shop), j)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, again, equal); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if _, err := Restore(parse(t, "[packages]\nredis = \"*\"\n"), j); err == nil {
		t.Error("a manifest was restored from the canonical form of another")
	}
}

func TestDiff(t *testing.T) {
	from := resolve(t, shop)
	to := resolve(t, `
[packages]
nodejs_24 = "*"
postgresql = "13"
redis = "8"
[services.postgresql]
databases = ["shop", "test"]
[services.postgresql.settings]
work_mem = "8MB"
[services.redis]
[env]
NODE_ENV = "test"
TZ = "UTC"
[ports]
web = 3000
[resources]
memory = "1GiB"
`)
	got := Diff(from, to)
	want := []nixspace.Change{
		{Op: "add", Path: "env.TZ", To: "UTC"},
		{Op: "set", Path: "env.NODE_ENV", From: "development", To: "test"},
		{Op: "remove", Path: "packages.git", From: "* (2.47.3)"},
		{Op: "set", Path: "packages.nodejs", From: "nodejs 22 (22.23.3)", To: "nodejs_24 * (24.21.0)"},
		{Op: "set", Path: "packages.postgresql", From: "15 (15.18)", To: "13 (13.23)"},
		{Op: "add", Path: "packages.redis", To: "8 (8.0.2)"},
		{Op: "set", Path: "resources.memory", From: "512MiB", To: "1GiB"},
		{Op: "remove", Path: "scripts.test", From: "node --test"},
		{Op: "set", Path: "services.postgresql.databases", From: "shop", To: "shop, test"},
		{Op: "remove", Path: `services.postgresql.settings."auto_explain.log_min_duration"`, From: "1s"},
		{Op: "remove", Path: "services.postgresql.settings.max_connections", From: "50"},
		{Op: "add", Path: "services.postgresql.settings.work_mem", To: "8MB"},
		{Op: "add", Path: "services.redis", To: "port 6379"},
	}
	nixspace.SortChanges(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if got := Diff(from, from); len(got) != 0 {
		t.Errorf("an environment differs from itself: %v", got)
	}
	if got := Diff(nil, resolve(t, "[packages]\ngit = \"*\"\n")); !cmp.Equal(got, []nixspace.Change{{Op: "add", Path: "packages.git", To: "* (2.47.3)"}}) {
		t.Errorf("a first version: %v", got)
	}

	rebuilt := *from
	rebuilt.Packages = append([]Package(nil), from.Packages...)
	rebuilt.Packages[0].OutPath = nixspace.StoreDir + "/" + strings.Repeat("1", 32) + "-git-2.47.3"
	rebuilt.Base = nixspace.StoreDir + "/" + strings.Repeat("2", 32) + "-base-2"
	golden(t, "diff_rebuilt.txt", func() string {
		var b strings.Builder
		for _, c := range Diff(from, &rebuilt) {
			b.WriteString(string(c.Op) + " " + c.Path + ": " + c.From + " -> " + c.To + "\n")
		}
		return b.String()
	}())
}
