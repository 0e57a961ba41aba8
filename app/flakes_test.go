package app_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/env/manifest"
)

const userFlake = `{
  outputs = { self, nixpkgs }: let pkgs = nixpkgs.legacyPackages.x86_64-linux; in {
    packages = [ pkgs.git pkgs.nodejs_22 ];
    # what it says
    GREETING = "hi";
    NODE_ENV = "flake";
  };
}
`

// createFlake makes a project of a flake, with something on top of it.
func (h *host) createFlake(t testing.TB, flake string) *nixspace.Environment {
	t.Helper()
	text, err := manifest.WithFlake("[packages]\npostgresql = \"15\"\n\n[env]\nNODE_ENV = \"top\"\n\n[services.postgresql]\n", manifest.Flake{Files: map[string]string{"flake.nix": flake}})
	if err != nil {
		t.Fatal(err)
	}
	_, env, b, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Manifest: text})
	if err != nil {
		t.Fatal(err)
	}
	if b.Status != nixspace.BuildSucceeded {
		t.Fatalf("the build is %+v", b)
	}
	return env
}

func TestFlakeEnvironment(t *testing.T) {
	h := newHost(t)
	env := h.createFlake(t, userFlake)
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	// The text is as it came, and the lock is kept in the manifest too.
	if env.FlakeContent != userFlake || v.FlakeContent != userFlake || v.FlakeLock == "" {
		t.Errorf("flake %q, lock %q", v.FlakeContent, v.FlakeLock)
	}
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil || m.Flake.Files["flake.lock"] != v.FlakeLock {
		t.Errorf("%v: %s", err, v.Manifest)
	}

	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	s = h.await(t, s.ID, nixspace.SessionRunning)
	spec := h.machines.Spec(s.ID)
	if spec.Env["GREETING"] != "hi" || spec.Env["NODE_ENV"] != "top" || spec.Environment != v.OutPath || len(spec.Services) != 1 {
		t.Errorf("the machine is %+v", spec)
	}
	var layers []string
	for _, l := range spec.Layers {
		layers = append(layers, l.Name)
	}
	if !slices.Equal(layers, []string{"base", "flake.git", "flake.nodejs", "postgresql_15", "environment"}) {
		t.Errorf("layers %v", layers)
	}

	// A comment is another version, and the same environment.
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: []environments.Edit{{
		Op: nixspace.ChangeSet, Key: manifest.FilePath("flake.nix"), Value: manifest.Text("# hello\n" + userFlake),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	next, err := h.Version(h.ctx, "shop")
	if err != nil || next.ManifestHash != v.ManifestHash || next.VersionHash == v.VersionHash || next.OutPath != v.OutPath {
		t.Errorf("%v: %s, before %s", err, next.ManifestHash, v.ManifestHash)
	}
	d, err := h.Diff(h.ctx, inspect.DiffQuery{From: "shop~1", To: "shop"})
	if err != nil || len(d.Texts) != 1 || !strings.Contains(d.Texts[0].Diff, "\n+# hello\n") || d.Closure == nil {
		t.Errorf("%v: %+v", err, d)
	}
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: []environments.Edit{{
		Op: nixspace.ChangeSet, Key: manifest.FilePath("flake.nix"), Value: manifest.Text("throw"),
	}}})
	wantCode(t, err, nixspace.KindInvalid, "flake_invalid")

	// Going back evaluates nothing, and is what it was.
	if _, _, err := h.Rollback(h.ctx, environments.Rollback{Ref: "shop"}); err != nil {
		t.Fatal(err)
	}
	back, err := h.Version(h.ctx, "shop")
	if err != nil || back.Manifest != v.Manifest || back.FlakeContent != userFlake {
		t.Errorf("%v: %s", err, back.Manifest)
	}
}

// TestFlakeCollected builds a version whose derivations the garbage collector took.
func TestFlakeCollected(t *testing.T) {
	h := newHost(t)
	h.createFlake(t, userFlake)
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	h.packages.Collect(v.OutPath)
	h.packages.Forget(v.DrvPath)
	b, err := h.Build(h.ctx, "shop")
	if err != nil || b.Status != nixspace.BuildSucceeded {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := h.Realisation(h.ctx, "shop"); err != nil {
		t.Error(err)
	}
	// What it was made from is no longer to be had.
	h.packages.Collect(v.OutPath)
	h.packages.Forget(v.DrvPath)
	h.packages.SetVersion("git", "3.0")
	if b, err = h.Build(h.ctx, "shop"); err != nil || b.Status != nixspace.BuildFailed || b.ErrorCode != "source_changed" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestFlakeMerge(t *testing.T) {
	h := newHost(t)
	h.createFlake(t, userFlake)
	branch := func(name, old, new string) {
		t.Helper()
		_, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: name, Edits: []environments.Edit{{
			Op: nixspace.ChangeSet, Key: manifest.FilePath("flake.nix"), Value: manifest.Text(strings.Replace(userFlake, old, new, 1)),
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	branch("one", `"hi"`, `"one"`)
	branch("two", `"hi"`, `"two"`)
	branch("three", "pkgs.git ", "")
	out, err := h.Merge(h.ctx, environments.Merge{From: "three", Into: "one"})
	if err != nil || out.Outcome != environments.MergeMerged || !strings.Contains(out.Version.FlakeContent, `"one"`) || strings.Contains(out.Version.FlakeContent, "pkgs.git") {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = h.Merge(h.ctx, environments.Merge{From: "two", Into: "one"})
	if err != nil || out.Outcome != environments.MergeConflicts || len(out.Conflicts) != 1 || out.Conflicts[0].Kind != manifest.ConflictText || !strings.Contains(out.Conflicts[0].Merged, "<<<<<<< ours") {
		t.Fatalf("%+v, %v", out, err)
	}
	// A resolution that does not evaluate is no merge.
	take := func(text string) []manifest.Take {
		return []manifest.Take{{Path: out.Conflicts[0].Path, Side: manifest.Value, Value: manifest.Text(text)}}
	}
	bad, err := h.Merge(h.ctx, environments.Merge{From: "two", Into: "one", Takes: take(out.Conflicts[0].Merged)})
	if err != nil || bad.Outcome != environments.MergeConflicts || bad.Conflicts[0].Kind != manifest.ConflictInvalid {
		t.Errorf("with markers: %+v, %v", bad, err)
	}
	good, err := h.Merge(h.ctx, environments.Merge{From: "two", Into: "one", Takes: take(userFlake)})
	if err != nil || good.Outcome != environments.MergeMerged || good.Version.FlakeContent != userFlake {
		t.Errorf("%+v, %v", good, err)
	}
}
