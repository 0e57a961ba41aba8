package suggest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
)

var update = flag.Bool("update", false, "write the golden file again")

var offers = func() []nixspace.Package {
	var out []nixspace.Package
	for _, s := range strings.Fields(`git/git/2.47.3* gnumake/gnumake/4.4.1* gcc/gcc/14.2.0* jq/jq/1.7.1* sqlite/sqlite/3.46.1*
		go_1_24/go/1.24.13 go_1_25/go/1.25.10 go_1_26/go/1.26.11 go_1_27/go/1.27.4* nixspaceBase/nixspaceBase/1*
		nodejs_18/nodejs/18.20.8 nodejs_20/nodejs/20.20.2 nodejs_22/nodejs/22.23.3 nodejs_24/nodejs/24.21.0*
		postgresql_13/postgresql/13.23 postgresql_14/postgresql/14.23 postgresql_15/postgresql/15.18 postgresql_16/postgresql/16.14
		postgresql_17/postgresql/17.10* postgresql_18/postgresql/18.4 python313/python3/3.13.5* redis/redis/8.0.2* ripgrep/ripgrep/14.1.1*`) {
		s, isDefault := strings.CutSuffix(s, "*")
		p := strings.Split(s, "/")
		out = append(out, nixspace.Package{Attr: p[0], Family: p[1], Version: p[2], Default: isDefault})
	}
	return out
}()

var today = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func look(t tester, text string, code *stack.Report, now time.Time) []Suggestion {
	t.Helper()
	m, err := manifest.Parse("nixspace.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	r, err := manifest.Resolve(m, "x86_64-linux", offers)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	out, err := For(Input{Resolved: r, Code: code, Offers: offers, Name: "shop", Now: now})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return out
}

func detect(t tester, files map[string]string) *stack.Report {
	t.Helper()
	if files == nil {
		return nil
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	r, err := stack.Detect(fsys)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &r
}

func TestSuggestions(t *testing.T) {
	var b strings.Builder
	for _, c := range []struct {
		name, manifest string
		files          map[string]string
	}{
		{"all is well", "[packages]\nnodejs = \"22\"\ngit = \"*\"\n", nil},
		{"at their ends", "[packages]\nnodejs = \"20\"\npostgresql_13 = \"*\"\ngo = \"1.25\"\n", nil},
		{"near its end", "[packages]\nnodejs = \"22\"\n[services.worker]\ncommand = \"node x.js\"\n", map[string]string{"Makefile": "test:\n\ttrue\n"}},
		{"left open", "[packages]\nnodejs = \">=20\"\npostgresql = \"*\"\ngit = \"*\"\npython3 = \"latest\"\nredis = \"*\"\ngo = \">=1.26 <2\"\n", nil},
		{"the code asks for another", "[packages]\nnodejs = \"22\"\npostgresql = \"15\"\n[services.postgresql]\n", map[string]string{
			".nvmrc": "24\n", "compose.yaml": "services:\n  db:\n    image: postgres:17\n",
		}},
		{"the code asks for what is not there", "[packages]\npython3 = \"3.13\"\nnodejs = \"24\"\n", map[string]string{
			".python-version": "3.11\n", ".nvmrc": "19\n", "package.json": "{}",
		}},
		{"the end allows no other", "[packages]\nnodejs = \"18\"\n", map[string]string{"package.json": "{\n\"engines\": {\"node\": \"18.x\"}\n}"}},
		{"files disagree", "[packages]\nnodejs = \"24\"\n", map[string]string{".nvmrc": "24\n", "package.json": `{"engines": {"node": "22"}}`}},
		{"things are missing", "[packages]\nnodejs = \"24\"\n", map[string]string{
			"package.json": "{\n\"dependencies\": {\n\"pg\": \"8\",\n\"ioredis\": \"5\"}}", "api/go.mod": "module x\ngo 1.26\n", ".gitignore": "x\n",
		}},
		{"things are not used", "[packages]\nnodejs = \"24\"\ngo = \"1.27\"\nredis = \"8\"\njq = \"*\"\npython3 = \"3.13\"\npostgresql = \"17\"\n[services.redis]\n[scripts]\ndump = \"pg_dump $URL\"\n[services.worker]\ncommand = \"exec python3 work.py\"\n", map[string]string{
			"package.json": "{}",
		}},
	} {
		fmt.Fprintf(&b, "%s\n", c.name)
		for i, s := range look(t, c.manifest, detect(t, c.files), today) {
			fmt.Fprintf(&b, "  %d %s %s: %s\n", i+1, s.Kind, s.Path, s.Message)
			for _, e := range s.Evidence {
				fmt.Fprintf(&b, "      %s\n", e)
			}
			for _, e := range s.Edits {
				fmt.Fprintf(&b, "    > %s %s %s\n", e.Op, e.Key, e.Value)
			}
		}
	}
	const golden = "testdata/suggestions.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got (-update writes it anew):\n%s", diff)
	}
}

// TestApplied holds that every suggestion that has edits can be carried out: what
// comes of it resolves, and the suggestion is gone.
func TestApplied(t *testing.T) {
	archives, err := filepath.Glob("../stack/testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no repositories: %v", err)
	}
	var reports []*stack.Report
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, f := range a.Files {
			files[f.Name] = string(f.Data)
		}
		reports = append(reports, detect(t, files))
	}
	applied := 0
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		text.WriteString("# a manifest\n[packages]\n")
		has := map[string]bool{}
		for _, f := range []string{"nodejs", "postgresql", "go", "python3", "redis", "git", "jq"} {
			choices := []string{""}
			for _, o := range offers {
				if o.Family == f {
					n := strings.Split(o.Version, ".")
					line := strings.Join(n[:max(known.Families[f].Parts, 1)], ".")
					choices = append(choices, fmt.Sprintf("%s = %q\n", f, line), fmt.Sprintf("%s = \"*\" # any\n", o.Attr), f+" = \">="+line+"\"\n", f+" = \"*\"\n")
				}
			}
			c := rapid.SampledFrom(choices).Draw(t, f)
			has[f] = c != ""
			text.WriteString(c)
		}
		for _, s := range []string{"postgresql", "redis"} {
			if has[s] && rapid.Bool().Draw(t, "service "+s) {
				text.WriteString("[services." + s + "]\n")
			}
		}
		code := rapid.SampledFrom(append(reports, nil)).Draw(t, "code")
		all := look(t, text.String(), code, today)
		keys := map[string]bool{}
		for _, s := range all {
			if keys[s.Key] {
				t.Fatalf("two suggestions are %s", s.Key)
			}
			keys[s.Key] = true
			if len(s.Evidence) == 0 || s.Message == "" {
				t.Fatalf("%s says nothing", s.Key)
			}
			if len(s.Edits) == 0 {
				continue
			}
			applied++
			after, err := manifest.Apply(text.String(), s.Edits)
			if err != nil {
				t.Fatalf("%s cannot be carried out: %v\n%s", s.Key, err, text.String())
			}
			if !strings.HasPrefix(after, "# a manifest\n") {
				t.Fatalf("a comment is lost:\n%s", after)
			}
			for _, again := range look(t, after, code, today) {
				if again.Key == s.Key {
					t.Fatalf("%s is there after it was carried out: %v\nbefore:\n%s\nafter:\n%s", s.Key, again, text.String(), after)
				}
			}
		}
	})
	if applied == 0 {
		t.Error("no suggestion was carried out")
	}
}

// TestDays holds that the same environment is well before an end and not after it.
func TestDays(t *testing.T) {
	const text = "[packages]\nnodejs = \"22\"\n"
	for day, want := range map[string]Kind{"2026-06-01": "", "2027-03-01": EndsSoon, "2027-04-30": EndsSoon, "2027-05-02": EndOfLife, "2035-01-01": EndOfLife} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		var got Kind
		if all := look(t, text, nil, now); len(all) > 0 {
			got = all[0].Kind
		}
		if got != want {
			t.Errorf("on %s: %q, want %q", day, got, want)
		}
	}
}

func TestLifecycle(t *testing.T) {
	if _, err := readLifecycle(lifecycleJSON); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{`{`, `{"families": {"x": {}}}`, `{"families": {"x": {"source": "s", "parts": 1, "ends": {"1": "soon"}}}}`} {
		if _, err := readLifecycle([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}
