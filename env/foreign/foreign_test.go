package foreign

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
	"github.com/nixspace/nixspace/env/stack/syntax"
)

var update = flag.Bool("update", false, "write the golden files again")

var offers = func() []nixspace.Package {
	var out []nixspace.Package
	for _, s := range strings.Fields(`git/git/2.47.3* gnumake/gnumake/4.4.1* go_1_26/go/1.26.11 go_1_27/go/1.27.4* nixspaceBase/nixspaceBase/1*
		nodejs_20/nodejs/20.20.2 nodejs_22/nodejs/22.23.3 nodejs_24/nodejs/24.21.0* postgresql_13/postgresql/13.23 postgresql_15/postgresql/15.18
		postgresql_17/postgresql/17.10* python313/python3/3.13.5* redis/redis/8.0.2* odd/odd/1*`) {
		s, isDefault := strings.CutSuffix(s, "*")
		p := strings.Split(s, "/")
		out = append(out, nixspace.Package{Attr: p[0], Family: p[1], Version: p[2], Default: isDefault})
	}
	return out
}()

func environment(t tester, text string, flake bool) Environment {
	t.Helper()
	m, err := manifest.Parse("nixspace.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r, err := manifest.Resolve(m, "x86_64-linux", offers)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	e := Environment{Name: "shop", Manifest: m, Flake: flake}
	for _, p := range r.Packages {
		e.Packages = append(e.Packages, Package{Family: p.Family, Version: p.Version, Constraint: p.Constraint})
	}
	return e
}

type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

const shop = `
[packages]
git = "*"
go = "1.26"
nodejs_22 = "*"
odd = "1"
postgresql = "15.18"
python3 = "3.13"
redis = "8"

[services.postgresql]
databases = ["shop", "test"]
port = 5433
[services.postgresql.settings]
max_connections = 50

[services.redis]

[services.worker]
command = "node worker.js"

[env]
GREETING = "it's $5 \"cash\""
NODE_ENV = "development"

[scripts]
setup = "npm ci && echo \"done\""
start = "node server.js"

[ports]
web = 3000
admin = 3001
`

func TestGolden(t *testing.T) {
	e := environment(t, shop, true)
	var b strings.Builder
	for _, x := range []Export{DevContainer(e), Dockerfile(e), Direnv(e)} {
		for _, f := range x.Files {
			b.WriteString("==> " + f.Path + "\n" + f.Text + "\n")
		}
		b.WriteString("left: " + strings.Join(x.Left, "\nleft: ") + "\n\n")
	}
	if *update {
		if err := os.WriteFile("testdata/shop.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/shop.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got (-update writes it anew):\n%s", diff)
	}
}

// TestThereAndBack holds that the environment which is found in an exported Dev
// Container is the one that was exported.
func TestThereAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("[packages]\n")
		want := map[string]string{}
		for _, f := range []string{"go", "nodejs", "postgresql", "redis"} {
			versions := []string{""}
			for _, o := range offers {
				if o.Family == f {
					n := strings.Split(o.Version, ".")
					versions = append(versions, strings.Join(n[:max(lineParts[f], 1)], "."))
				}
			}
			if v := rapid.SampledFrom(versions).Draw(t, f); v != "" {
				want[f] = v
				b.WriteString(f + " = \"" + v + "\"\n")
			}
		}
		for _, s := range []string{"postgresql", "redis"} {
			if want[s] != "" {
				b.WriteString("[services." + s + "]\n")
				if port := rapid.SampledFrom([]string{"", "port = 7001\n"}).Draw(t, s+" port"); port != "" {
					b.WriteString(strings.Replace(port, "7001", map[string]string{"postgresql": "7001", "redis": "7002"}[s], 1))
				}
				if s == "postgresql" {
					b.WriteString("databases = [\"orders\"]\n")
				}
			}
		}
		b.WriteString("[scripts]\nsetup = \"sh ready.sh\"\n[ports]\nweb = 3100\n")
		e := environment(t, b.String(), false)

		fsys := fstest.MapFS{}
		for _, f := range DevContainer(e).Files {
			fsys[f.Path] = &fstest.MapFile{Data: []byte(f.Text), Mode: 0o644}
		}
		r, err := stack.Detect(fsys)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Make(r, offers, plan.Options{Name: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		got := environment(t, p.Text, false)
		if diff := cmp.Diff(families(e), families(got)); diff != "" {
			t.Fatalf("packages (-exported +found): %s\n%s", diff, p.Text)
		}
		if diff := cmp.Diff(e.Manifest.Services, got.Manifest.Services); diff != "" {
			t.Fatalf("services (-exported +found): %s\n%s", diff, p.Text)
		}
		if got.Manifest.Scripts["setup"] != "sh ready.sh" || got.Manifest.Ports["web"] != 3100 {
			t.Fatalf("the set-up and the port were not found:\n%s", p.Text)
		}
		for _, n := range p.Notes {
			t.Fatalf("a note: %s", n)
		}
	})
}

func families(e Environment) []string {
	var out []string
	for _, p := range e.Packages {
		out = append(out, p.Family+" "+p.Version)
	}
	slices.Sort(out)
	return out
}

// TestQuoting holds that values arrive as they are, whatever is in them: the shell
// reads the .envrc, and the parsers of JSON and YAML the Dev Container.
func TestQuoting(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("NOT TESTED: there is no sh on this machine")
	}
	for _, value := range []string{"plain", "it's", `"quoted" \ back`, "$HOME `id` $(id)", "a\nb", "#no comment", "ünï", "-n"} {
		e := environment(t, "", false)
		e.Manifest.Env = map[string]string{"VALUE": value}
		e.Manifest.Scripts = map[string]string{"setup": value}
		cmd := exec.Command(sh, "-c", "watch_file() { :; }\n"+Direnv(e).Files[0].Text+`printf %s "$VALUE"`)
		got, err := cmd.CombinedOutput()
		if err != nil || string(got) != value {
			t.Errorf("%q arrives as %q: %v", value, got, err)
		}
		n, err := syntax.JSON([]byte(DevContainer(e).Files[0].Text))
		if err != nil || n.Get("postCreateCommand").Text() != value {
			t.Errorf("%q is %q in devcontainer.json: %v", value, n.Get("postCreateCommand").Text(), err)
		}
		// No value ends its line: what follows would be another instruction.
		for _, f := range DevContainer(e).Files {
			if strings.HasSuffix(f.Path, "Dockerfile") && strings.Contains(f.Text, "\nb") {
				t.Errorf("%q ends its line:\n%s", value, f.Text)
			}
		}
	}
}
