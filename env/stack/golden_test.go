package stack_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
)

var update = flag.Bool("update", false, "write the golden files again")

// offers is a package source like the catalog: attribute, family, version; * is
// the recommended one of a family.
var offers = func() []nixspace.Package {
	var out []nixspace.Package
	for _, s := range strings.Fields(`
		git/git/2.47.3* gcc/gcc/14.2.0* gnumake/gnumake/4.4.1* jq/jq/1.7.1* sqlite/sqlite/3.46.1* ripgrep/ripgrep/14.1.1*
		go_1_23/go/1.23.12 go_1_24/go/1.24.13 go_1_25/go/1.25.10 go_1_26/go/1.26.11 go_1_27/go/1.27.4*
		nixspaceBase/nixspaceBase/1*
		nodejs_18/nodejs/18.20.8 nodejs_20/nodejs/20.20.2 nodejs_22/nodejs/22.23.3 nodejs_24/nodejs/24.21.0*
		postgresql_13/postgresql/13.23 postgresql_14/postgresql/14.23 postgresql_15/postgresql/15.18 postgresql_16/postgresql/16.14
		postgresql_17/postgresql/17.10* postgresql_18/postgresql/18.4 python313/python3/3.13.5* redis/redis/8.0.2*`) {
		s, isDefault := strings.CutSuffix(s, "*")
		p := strings.Split(s, "/")
		out = append(out, nixspace.Package{
			Attr: p[0], Family: p[1], Version: p[2], Default: isDefault,
			OutPath: nixspace.StoreDir + "/" + (p[0] + strings.Repeat("0", 32))[:32] + "-" + p[1],
		})
	}
	return out
}()

// repository is the files of a txtar archive.
func repository(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{}
	for _, f := range a.Files {
		fsys[f.Name] = &fstest.MapFile{Data: f.Data, Mode: 0o644}
	}
	return fsys
}

// TestRepositories holds what is found in small repositories, and the manifest that
// is made of it, against what it was when somebody looked at it.
func TestRepositories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no repositories: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			got := describe(t, repository(t, file))
			golden := strings.TrimSuffix(file, ".txtar") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
			}
		})
	}
}

// describe is everything about a repository's plan, in words.
func describe(t testing.TB, fsys fstest.MapFS) string {
	t.Helper()
	r, err := stack.Detect(fsys)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(r, offers, plan.Options{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse("nixspace.toml", []byte(p.Text))
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := manifest.Resolve(m, "x86_64-linux", offers)
	if err != nil {
		t.Fatalf("the plan does not resolve: %v\n%s", err, p.Text)
	}
	// What the plan says that it chose is what the manifest means.
	for _, c := range p.Choices {
		if c.Attr == "" {
			continue
		}
		if !slices.ContainsFunc(resolved.Packages, func(q manifest.Package) bool { return q.Attr == c.Attr && q.Version == c.Version }) {
			t.Errorf("%s was chosen as %s %s, but the manifest means %v", c.Path, c.Attr, c.Version, resolved.Attrs())
		}
	}
	var b strings.Builder
	b.WriteString(p.Text)
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("packages:", resolved.Attrs())
	var conflicts, lacks, vars, defined []string
	for _, c := range p.Conflicts {
		conflicts = append(conflicts, c.String())
	}
	for _, l := range p.Lacks {
		lacks = append(lacks, l.String())
	}
	for _, v := range r.Variables {
		vars = append(vars, v.Name+" ("+v.Evidence.String()+")")
	}
	for _, d := range p.Defined {
		defined = append(defined, d.Tool+" ("+d.File+")")
	}
	list("conflicts:", conflicts)
	list("lacks:", lacks)
	list("variables:", vars)
	list("defined:", defined)
	list("notes:", p.Notes)
	return b.String()
}
