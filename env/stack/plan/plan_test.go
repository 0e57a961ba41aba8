package plan_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/env/constraint"
	"github.com/nixspace/nixspace/env/manifest"
	"github.com/nixspace/nixspace/env/stack"
	"github.com/nixspace/nixspace/env/stack/plan"
)

func offers(list string) []nixspace.Package {
	var out []nixspace.Package
	for _, s := range strings.Fields(list) {
		s, isDefault := strings.CutSuffix(s, "*")
		p := strings.Split(s, "/")
		out = append(out, nixspace.Package{Attr: p[0], Family: p[1], Version: p[2], Default: isDefault})
	}
	return out
}

var usual = offers(`nixspaceBase/nixspaceBase/1* nodejs_20/nodejs/20.20.2 nodejs_22/nodejs/22.23.3* nodejs_24/nodejs/24.21.0
	postgresql_15/postgresql/15.18 postgresql_17/postgresql/17.10* redis/redis/8.0.2* jq/jq/1.7.1*`)

func report(t *testing.T, files map[string]string) stack.Report {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	r, err := stack.Detect(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestDecided holds that what a person decides on counts, and that nothing is said
// of what it replaces.
func TestDecided(t *testing.T) {
	r := report(t, map[string]string{
		".nvmrc": "22\n", "package.json": `{"engines": {"node": ">=24"}, "dependencies": {"pg": "8", "redis": "4"}}`,
	})
	p, err := plan.Make(r, usual, plan.Options{
		Name: "my-shop", Packages: map[string]string{"nodejs": "20", "postgresql_15": "*", "jq": "*"}, Without: []string{"redis"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"nodejs = \"20\"", "postgresql_15 = \"*\"", "jq = \"*\"", "# you decided so", "databases = [\"my_shop\"]"} {
		if !strings.Contains(p.Text, want) {
			t.Errorf("there is no %s in\n%s", want, p.Text)
		}
	}
	if strings.Contains(p.Text, "redis") || len(p.Conflicts) > 0 || len(p.Lacks) > 0 {
		t.Errorf("what was decided is not all: %v %v\n%s", p.Conflicts, p.Lacks, p.Text)
	}

	for name, c := range map[string]struct {
		packages map[string]string
		code     string
	}{
		"a version that is not there": {map[string]string{"nodejs": "19"}, "version_unknown"},
		"a package that is not there": {map[string]string{"nodjs": "*"}, "package_unknown"},
		"no version":                  {map[string]string{"nodejs": "$"}, "version_invalid"},
		"two of one family":           {map[string]string{"nodejs": "20", "nodejs_22": "*"}, "package_conflict"},
	} {
		_, err := plan.Make(r, usual, plan.Options{Packages: c.packages})
		if !errors.Is(err, &nixspace.Error{Code: c.code}) || strings.Contains(err.Error(), "nixspace.toml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsWrittenIsWhatWasChosen holds, for any versions that a source may have
// and any wish for them, that the manifest means the version that the plan says,
// and that this is the newest which the wish allows.
func TestWhatIsWrittenIsWhatWasChosen(t *testing.T) {
	number := rapid.IntRange(0, 5)
	rapid.Check(t, func(t *rapid.T) {
		var list []nixspace.Package
		seen := map[string]bool{}
		for i := range rapid.IntRange(1, 8).Draw(t, "offers") {
			v := []string{}
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				v = append(v, string(rune('0'+number.Draw(t, "number"))))
			}
			version := strings.Join(v, ".")
			if seen[version] {
				continue
			}
			seen[version] = true
			list = append(list, nixspace.Package{Attr: "tool_" + string(rune('a'+i)), Family: "tool", Version: version, Default: i == 0})
		}
		wish := rapid.SampledFrom([]string{"", "1", "2.3", "^1", ">=2", "<3", "~2.1", "1.2.3", "4 || 2", "!=3"}).Draw(t, "wish")
		c, err := constraint.Parse(constraint.NPM, wish)
		if err != nil {
			t.Fatal(err)
		}
		r := stack.Report{Needs: []stack.Need{{Family: "tool", Constraint: c, Weight: stack.Pinned, Evidence: stack.Evidence{File: "f", Line: 1}}}}
		p, err := plan.Make(r, list, plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := manifest.Parse("nixspace.toml", []byte(p.Text))
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := manifest.Resolve(m, "x86_64-linux", append(list, nixspace.Package{Attr: manifest.BaseAttr, Family: manifest.BaseAttr, Version: "1"}))
		if err != nil {
			t.Fatalf("%v\n%s", err, p.Text)
		}
		got, chosen := resolved.Packages[0], p.Choices[0]
		if got.Version != chosen.Version {
			t.Fatalf("the manifest means %s, and the plan chose %s of %v:\n%s", got.Version, chosen.Version, list, p.Text)
		}
		allowed := false
		for _, o := range list {
			if c.Allows(o.Version) {
				allowed = true
				if !c.Any() && constraint.Compare(o.Version, got.Version) > 0 {
					t.Fatalf("%s is newer than %s, and %q allows it", o.Version, got.Version, wish)
				}
			}
		}
		if allowed != c.Allows(got.Version) || allowed == (len(p.Lacks) > 0) {
			t.Fatalf("%q, %v: %s, missing %v", wish, list, got.Version, p.Lacks)
		}
	})
}
