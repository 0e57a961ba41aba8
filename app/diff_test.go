package app_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/env/closure"
	"github.com/nixspace/nixspace/env/manifest"
)

func TestDiff(t *testing.T) {
	h := newHost(t)
	h.create(t)
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg13", Edits: set("postgresql", "13")}); err != nil {
		t.Fatal(err)
	}
	first, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: append(set("env.A", `"b"`), environments.Edit{Op: nixspace.ChangeAdd, Key: "git"})}); err != nil {
		t.Fatal(err)
	}

	d, err := h.Diff(h.ctx, inspect.DiffQuery{From: "shop", To: "shop/pg13"})
	if err != nil {
		t.Fatal(err)
	}
	want := []nixspace.Change{
		{Op: nixspace.ChangeRemove, Path: "env.A", From: "b"},
		{Op: nixspace.ChangeRemove, Path: "packages.git", From: "* (2.39.5)"},
		{Op: nixspace.ChangeSet, Path: "packages.postgresql", From: "15 (15.15)", To: "13 (13.23)"},
	}
	if diff := cmp.Diff(want, d.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if d.FromRef != "shop/shop" || d.ToRef != "shop/pg13" {
		t.Errorf("from %s to %s", d.FromRef, d.ToRef)
	}
	if text, err := manifest.Apply(d.From.Manifest, d.Edits); err != nil || text != d.To.Manifest {
		t.Errorf("the edits give %v\n%s", err, text)
	}
	kinds := map[string]closure.ChangeKind{}
	for _, p := range d.Closure.Packages {
		kinds[p.Name] = p.Kind
	}
	if diff := cmp.Diff(map[string]closure.ChangeKind{"git": closure.Removed, "postgresql": closure.Downgraded}, kinds); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}

	// What is compared where only one is named.
	for _, c := range []struct{ to, from string }{
		{"pg13", "shop/shop"},                     // what it was branched from, as it is now
		{"shop", first.VersionHash[:8]},           // the version before
		{d.To.VersionHash, first.VersionHash[:8]}, // a version, not its environment
		{first.VersionHash[:10], ""},              // nothing was before it
	} {
		got, err := h.Diff(h.ctx, inspect.DiffQuery{To: c.to, ManifestOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if got.FromRef != c.from || (got.From == nil) != (c.from == "") || got.Closure != nil || len(got.Unbuilt) != 0 || len(got.Changes) == 0 {
			t.Errorf("%s is compared with %q: %+v", c.to, got.FromRef, got)
		}
	}
	if d, err := h.Diff(h.ctx, inspect.DiffQuery{To: first.VersionHash[:10]}); err != nil || d.Closure == nil || d.Closure.From.Paths != 0 {
		t.Errorf("from nothing: %+v, %v", d, err)
	}
	_, err = h.Diff(h.ctx, inspect.DiffQuery{From: "nope", To: "shop"})
	wantCode(t, err, nixspace.KindNotFound, "environment_unknown")
}

func TestDiffOfWhatIsNotBuilt(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.packages.SetPresent(false, "postgresql_13")
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg13", Edits: set("postgresql", "13")}); err != nil {
		t.Fatal(err)
	}
	check := func(unbuilt ...string) {
		t.Helper()
		d, err := h.Diff(h.ctx, inspect.DiffQuery{From: "shop", To: "pg13"})
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Changes) != 1 || !cmp.Equal(d.Unbuilt, unbuilt) || (d.Closure == nil) != (len(unbuilt) > 0) {
			t.Errorf("unbuilt %v, want %v; closure %v", d.Unbuilt, unbuilt, d.Closure)
		}
	}
	check("shop/pg13")
	_, err := h.Why(h.ctx, inspect.WhyQuery{Ref: "pg13", What: "glibc"})
	wantCode(t, err, nixspace.KindInvalid, "not_built")
	h.work(t)
	check()
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	h.packages.Collect(v.OutPath)
	check("shop/shop")
}

func TestWhy(t *testing.T) {
	h := newHost(t)
	h.create(t)
	r, err := h.Why(h.ctx, inspect.WhyQuery{Ref: "shop", What: "postgresql_15"})
	if err != nil {
		t.Fatal(err)
	}
	if r.Ref != "shop/shop" || len(r.Reasons) != 1 {
		t.Fatalf("got %+v", r)
	}
	reason := r.Reasons[0]
	if len(reason.Steps) != 2 || reason.Steps[0].Name() != "nixspace-env" || !reason.Steps[1].Target || reason.Size == 0 || reason.ClosureSize < reason.Size {
		t.Errorf("got %+v", reason)
	}
	if r, err := h.Why(h.ctx, inspect.WhyQuery{Ref: "shop", What: "nixspaceBase"}); err != nil || len(r.Reasons) != 1 || len(r.Reasons[0].Steps) != 1 {
		t.Errorf("the base system: %+v, %v", r, err)
	}
	_, err = h.Why(h.ctx, inspect.WhyQuery{Ref: "shop", What: "nodejs-222-22.20.0"})
	wantCode(t, err, nixspace.KindNotFound, "package_absent")
	if e, ok := err.(*nixspace.Error); !ok || !strings.Contains(e.Hint, "nodejs") { //nolint:errorlint // as it leaves the use case
		t.Errorf("no suggestion: %v", err)
	}
}
