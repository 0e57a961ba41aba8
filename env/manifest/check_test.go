package manifest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

const checked = "[packages]\nnodejs = \"22\"\n\n[checks.test]\ncommand = \"npm test\"\ntimeout = \"2m\"\n\n[checks.lint]\ncommand = \"npm run lint\"\n"

func TestChecks(t *testing.T) {
	m := parse(t, checked)
	want := map[string]Check{"test": {"npm test", Duration(2 * time.Minute), false}, "lint": {Command: "npm run lint"}}
	if diff := cmp.Diff(want, m.Checks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again := parse(t, m.Format()); cmp.Diff(m.Checks, again.Checks) != "" {
		t.Errorf("formatted: %v", again.Checks)
	}
	edited, err := Apply(checked, []Edit{
		{Op: nixspace.ChangeSet, Key: "checks.size.command", Value: "test -f a"},
		{Op: nixspace.ChangeRemove, Key: "checks.lint"},
		{Op: nixspace.ChangeSet, Key: "checks.test.timeout", Value: "5m"},
		{Op: nixspace.ChangeSet, Key: "checks.test.required", Value: "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]Check{"test": {"npm test", Duration(5 * time.Minute), true}, "size": {Command: "test -f a"}}
	if diff := cmp.Diff(want, parse(t, edited).Checks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, bad := range []string{"[checks.a]\n", "[checks]\na = 1\n", "[checks.a]\ncommand = \" \"\n", "[checks.a]\ncommand = \"x\"\nother = 1\n", "[checks.a]\ncommand = \"x\"\nrequired = \"yes\"\n", "[checks.a]\ncommand = \"x\"\ntimeout = \"99h\"\n"} {
		if _, err := Parse(FileName, []byte(bad)); nixspace.ErrorCode(err) != "manifest_invalid" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Apply(checked, []Edit{{Op: nixspace.ChangeSet, Key: "checks.a.b", Value: "1"}}); nixspace.ErrorCode(err) != "manifest_edit_invalid" {
		t.Errorf("an entry that does not exist: %v", err)
	}
	merged, err := Merge(checked, edited, "[packages]\nnodejs = \"24\"\n\n[checks.test]\ncommand = \"npm test\"\ntimeout = \"2m\"\n\n[checks.lint]\ncommand = \"npm run lint\"\n")
	if err != nil || len(merged.Conflicts) > 0 {
		t.Fatal(err, merged)
	}
	got := parse(t, merged.Text)
	if diff := cmp.Diff(want, got.Checks); diff != "" || got.Packages["nodejs"].String() != "24" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}
