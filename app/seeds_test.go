package app_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

// What a service's first start would make is made once for each package, and left to
// the machine where that fails.
func TestSeeds(t *testing.T) {
	h := newHost(t)
	h.create(t)
	seed := func(ref string) *nixspace.ServiceSeed {
		t.Helper()
		s := h.startSession(t, sessions.StartSession{Ref: ref})
		h.await(t, s.ID, nixspace.SessionRunning)
		for _, svc := range h.machines.Spec(s.ID).Services {
			if svc.Name == "postgresql" {
				return svc.Seed
			}
		}
		t.Fatal("there is no PostgreSQL")
		return nil
	}
	first := seed("shop")
	if !strings.Contains(first.Path, "-postgresql-15.15-seed") || first.Dir != "/data/postgresql" || !first.Cluster || strings.Join(first.Args, " ") != "shop" {
		t.Errorf("%+v", first)
	}
	if again := seed("shop"); again.Path != first.Path {
		t.Errorf("the second session has another one: %s", again.Path)
	}
	for _, e := range []environments.Edit{
		{Op: nixspace.ChangeSet, Key: "postgresql", Value: "14"},
		{Op: nixspace.ChangeSet, Key: "env.OTHER", Value: "x"},
	} {
		name := e.Key[:3]
		if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: name, Edits: []environments.Edit{e}}); err != nil {
			t.Fatal(err)
		}
		if got := seed(name); (got.Path == first.Path) != (name == "env") {
			t.Errorf("with %s: %s", e.Key, got.Path)
		}
	}
	n := 0
	for name := range h.packages.Roots() {
		if strings.HasPrefix(name, builds.SeedRoots) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d are kept, want 2", n)
	}
	h.packages.Fail(errors.New("no sandbox"))
	if got := seed("shop"); got.Path != "" {
		t.Errorf("one that could not be made: %s", got.Path)
	}
}
