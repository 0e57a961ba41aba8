package suggest

import (
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

// TestSmaller looks at what a closure is made of.
func TestSmaller(t *testing.T) {
	path := func(name string) string { return "/nix/store/00000000000000000000000000000000-" + name }
	sizes := map[string]int64{
		"nodejs_22": 90 << 20, "jq": 1 << 20, "gcc": 150 << 20, "ripgrep": 30 << 20, "git": 60 << 20, "go_1_27": 200 << 20,
		"postgresql_17": 100 << 20, "sqlite": 25 << 20, "nixspaceBase": 40 << 20,
	}
	priced := make([]nixspace.Package, len(offers))
	for i, o := range offers {
		o.OutPath = path(o.Attr)
		priced[i] = o
	}
	for _, c := range []struct {
		name, manifest string
		files          map[string]string
		want           string // key: message prefix, one a line
	}{
		{
			"heavy and silent", "[packages]\nnodejs = \"22\"\ngcc = \"14\"\njq = \"1.7\"\n[scripts]\nx = \"node x.js\"\n",
			map[string]string{"package.json": "{}"},
			"smaller:packages.gcc: without gcc the environment is 150.0 MiB smaller, and nothing seems to use it",
		},
		{"heavy and called", "[packages]\nnodejs = \"22\"\ngcc = \"14\"\n[scripts]\nx = \"node x.js\"\nbuild = \"gcc -o x x.c\"\n", map[string]string{"package.json": "{}"}, ""},
		{"a service", "[packages]\nnodejs = \"22\"\npostgresql = \"17\"\n[services.postgresql]\ndatabases = [\"x\"]\n[scripts]\nx = \"node x.js\"\n", map[string]string{"package.json": "{}"}, ""},
		{"without code nothing is known", "[packages]\nnodejs = \"22\"\ngcc = \"14\"\n", nil, ""},
		{"unused says how much", "[packages]\nnodejs = \"22\"\ngo = \"1.27\"\n", map[string]string{"package.json": "{}"}, "unused:packages.go: nothing uses go"},
		{"a small part of all", "[packages]\ngo = \"1.27\"\nnodejs = \"22\"\ngcc = \"14\"\nsqlite = \"3.46\"\n[scripts]\nx = \"node x.js && go test && gcc x.c\"\n", map[string]string{"package.json": "{}", "go.mod": "module x\ngo 1.27\n"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := manifest.Parse("nixspace.toml", []byte(c.manifest))
			if err != nil {
				t.Fatal(err)
			}
			r, err := manifest.Resolve(m, "x86_64-linux", priced)
			if err != nil {
				t.Fatal(err)
			}
			infos := []nixspace.PathInfo{{Path: path("nixspaceBase"), NarSize: sizes["nixspaceBase"]}}
			for _, p := range r.Packages {
				infos = append(infos, nixspace.PathInfo{Path: p.OutPath, NarSize: sizes[p.Attr], References: []string{path("nixspaceBase")}})
			}
			g, err := closure.New(infos)
			if err != nil {
				t.Fatal(err)
			}
			all, err := For(Input{Resolved: r, Code: detect(t, c.files), Offers: priced, Name: "shop", Now: today, Closure: &Closure{Graph: g, Size: closure.Size(infos), Base: path("nixspaceBase")}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range all {
				if s.Kind != Smaller && s.Kind != Unused {
					continue
				}
				got = append(got, s.Key+": "+s.Message)
				if !strings.Contains(strings.Join(s.Evidence, "\n"), "are there for it alone") || len(s.Edits) == 0 {
					t.Errorf("%s has the evidence %q and the edits %v", s.Key, s.Evidence, s.Edits)
				}
				// It can be carried out, and is then gone.
				text, err := manifest.Apply(c.manifest, s.Edits)
				if err != nil {
					t.Fatal(err)
				}
				for _, again := range look(t, text, detect(t, c.files), today) {
					if again.Key == s.Key {
						t.Errorf("%s is still there in\n%s", s.Key, text)
					}
				}
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}
