package manifest

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
)

const flaky = `# on top
[packages]
git = "*"

[flake.files]
"flake.nix" = """
{
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }: {
    # one
    a = "\\${x}";

    b = 2;
  };
}
"""
`

func parsed(t *testing.T, text string) *Manifest {
	t.Helper()
	m, err := Parse(FileName, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestFlakeTable(t *testing.T) {
	m := parsed(t, flaky)
	if u := m.User(); u == nil || !strings.HasPrefix(u.Files["flake.nix"], "{\n  inputs") {
		t.Fatalf("flake %+v", u)
	}
	text, err := Apply(flaky, []Edit{
		{Op: nixspace.ChangeSet, Key: InputPath("nixpkgs"), Value: "catalog"},
		{Op: nixspace.ChangeSet, Key: FilePath("nix/a b.nix"), Value: Text("{\n\t\"\"\"\n}\r\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	u := parsed(t, text).User()
	if u.Overrides["nixpkgs"] != "catalog" || u.Files["nix/a b.nix"] != "{\n\t\"\"\"\n}\r\n" || !strings.HasPrefix(text, "# on top\n") {
		t.Errorf("%s", text)
	}
	for _, bad := range []string{
		"[flake]", "[flake.files]\n\"a.nix\" = \"\"", "[flake.files]\n\"flake.nix\" = 1", "[flake.files]\n\"flake.nix\" = \"\"\n\"../x\" = \"\"",
		"[flake.files]\n\"flake.nix\" = \"\"\n\"/etc/x\" = \"\"", "[flake.files]\n\"flake.nix\" = \"\"\n[flake.inputs]\nx = \"path:/etc\"",
		"[flake.files]\n\"flake.nix\" = \"\"\n[flake.other]\nx = 1", "[flake.files]\n\"flake.nix\" = \"" + strings.Repeat("x", maxFlakeText+1) + "\"",
	} {
		if _, err := Parse(FileName, []byte(bad)); nixspace.ErrorCode(err) != "manifest_invalid" {
			t.Errorf("%.80q: %v", bad, err)
		}
	}
}

func TestTextIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`([ -~]|\n|\t|\r|"|\\|\\t|é|"""|\\"|\x{202e}){0,40}`).Draw(t, "text")
		var doc document
		if !doc.load("v = "+Text(s)) || doc.values["v"] != s {
			t.Fatalf("%q became %q by %s", s, doc.values["v"], Text(s))
		}
	})
}

func TestMergeFlakes(t *testing.T) {
	edit := func(old, new string) string { return strings.Replace(flaky, old, new, 1) }
	base, one, two := flaky, edit("# one", "# ours"), edit("b = 2", "b = 3")
	m, err := Merge(base, one, two)
	if err != nil || len(m.Conflicts) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if got := parsed(t, m.Text).Flake.Files["flake.nix"]; !strings.Contains(got, "# ours") || !strings.Contains(got, "b = 3") {
		t.Errorf("merged:\n%s", got)
	}
	other, err := Merge(base, two, one)
	if err != nil || !reflect.DeepEqual(parsed(t, other.Text).Flake, parsed(t, m.Text).Flake) {
		t.Errorf("the other way round: %v\n%s", err, other.Text)
	}

	two = edit("# one", "# theirs")
	if m, err = Merge(base, one, two); err != nil || len(m.Conflicts) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	c := m.Conflicts[0]
	if c.Kind != ConflictText || c.Path != FilePath("flake.nix") || !strings.Contains(c.Merged, "<<<<<<< ours\n    # ours\n||||||| base\n    # one\n=======\n    # theirs\n>>>>>>> theirs\n") {
		t.Errorf("%+v", c)
	}
	for side, want := range map[Side]string{Ours: "# ours", Theirs: "# theirs"} {
		m, err := MergeWith(base, one, two, MergeOptions{Prefer: side})
		if err != nil || len(m.Conflicts) > 0 || !strings.Contains(m.Text, want) {
			t.Errorf("%s: %+v, %v", side, m, err)
		}
	}
	resolved := strings.Replace(parsed(t, one).Flake.Files["flake.nix"], "# ours", "# both", 1)
	m, err = MergeWith(base, one, two, MergeOptions{Takes: []Take{{Path: c.Path, Side: Value, Value: Text(resolved)}}})
	if err != nil || len(m.Conflicts) > 0 || parsed(t, m.Text).Flake.Files["flake.nix"] != resolved {
		t.Errorf("%+v, %v", m, err)
	}
	// One of them threw the flake away.
	without := "[packages]\ngit = \"*\"\n"
	if m, err = Merge(base, one, without); err != nil || len(m.Conflicts) != 1 || m.Conflicts[0].Kind != ConflictRemoved {
		t.Errorf("removed: %+v, %v", m, err)
	}
}

func TestDiffFlakes(t *testing.T) {
	resolved := func(text, version string) *Resolved {
		return &Resolved{Manifest: parsed(t, text), System: "x", Base: "/nix/store/b", Flake: &CanonicalFlake{
			Attr: "a", Packages: []CanonicalProgram{{Name: "jq", Version: version, Path: "/nix/store/" + version}}, Env: map[string]string{"A": version},
		}}
	}
	got := Diff(resolved(flaky, "1"), resolved(strings.Replace(flaky, "b = 2", "b = 3", 1), "2"))
	want := []nixspace.Change{
		{Op: nixspace.ChangeSet, Path: "flake.env.A", From: "1", To: "2"},
		{Op: nixspace.ChangeSet, Path: `flake.files."flake.nix"`, From: "9 lines", To: "9 lines (+1 −1)"},
		{Op: nixspace.ChangeSet, Path: "flake.packages.jq", From: "1", To: "2"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	// The canonical form brings it back.
	r := resolved(flaky, "1")
	r.Packages = []Package{{Key: "git", Attr: "git", Family: "git", Version: "1", OutPath: "/nix/store/g"}}
	back, err := Restore(parsed(t, flaky), r.Canonical().JSON())
	if err != nil || back.Hash() != r.Hash() || !reflect.DeepEqual(back.Flake, r.Flake) {
		t.Errorf("%+v, %v", back, err)
	}
	if _, err := Restore(parsed(t, "[packages]\ngit = \"*\"\n"), r.Canonical().JSON()); err == nil {
		t.Error("a manifest without a flake goes with the canonical form of one that has it")
	}
}
