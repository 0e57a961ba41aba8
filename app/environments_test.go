package app_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

func TestEveryUseCaseNeedsAnActor(t *testing.T) {
	h := newHost(t)
	ctx := t.Context()
	_, err := h.Projects(ctx)
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
	_, _, _, err = h.CreateProject(ctx, environments.CreateProject{Slug: "shop", Manifest: shop})
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
	_, err = h.StartSession(ctx, sessions.StartSession{Ref: "shop"})
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
	_, err = h.PutWorkspace(ctx, nil)
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
	_, err = h.SearchPackages(ctx, "x", 1)
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
	_, err = h.WatchEvents(ctx, 0)
	wantCode(t, err, nixspace.KindUnauthorized, "no_actor")
}

func TestCreateProject(t *testing.T) {
	h := newHost(t)
	p, env, b, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Source: "examples/shop", Manifest: shop})
	if err != nil {
		t.Fatal(err)
	}
	if p.Slug != "shop" || env.Ref() != "shop/shop" || b.Status != nixspace.BuildSucceeded {
		t.Errorf("got %+v, %+v, %+v", p, env, b)
	}
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if v.VersionHash != v.ComputeHash() || v.Seq != 1 || len(v.Parents) != 0 || v.Author != "ada" || v.ManifestHash != env.Hash {
		t.Errorf("got %+v", v)
	}
	if !slices.ContainsFunc(v.Changes, func(c nixspace.Change) bool { return c.Path == "packages.postgresql" && c.Op == nixspace.ChangeAdd }) {
		t.Errorf("changes: got %v", v.Changes)
	}
	if !strings.Contains(v.FlakeContent, "postgresql_15") || !strings.Contains(v.FlakeLock, `"version": 7`) || env.FlakeContent != v.FlakeContent {
		t.Errorf("flake: got %s\n%s", v.FlakeContent, v.FlakeLock)
	}
	r, err := h.Realisation(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if r.OutPath != v.OutPath || len(r.ClosureDigest) != 64 || r.Paths < 3 {
		t.Errorf("got %+v", r)
	}
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Manifest: shop})
	wantCode(t, err, nixspace.KindExists, "project_exists")
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "Shop!", Manifest: shop})
	wantCode(t, err, nixspace.KindInvalid, "name_invalid")
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "other", Manifest: strings.Replace(shop, "nodejs", "nodejz", 1)})
	wantCode(t, err, nixspace.KindInvalid, "package_unknown")
}

func TestCreateProjectFromWorkspace(t *testing.T) {
	h := newHost(t)
	put := func(name, content string) string {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		ws, err := h.PutWorkspace(h.ctx, &b)
		if err != nil {
			t.Fatal(err)
		}
		return ws.Digest
	}
	p, _, _, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "a", Workspace: put("./nixspace.toml", shop)})
	if err != nil || p.Workspace == "" {
		t.Errorf("got %+v, %v", p, err)
	}
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "b", Workspace: put("main.js", "1")})
	wantCode(t, err, nixspace.KindInvalid, "manifest_missing")
	if err == nil || !strings.Contains(err.Error(), "[packages]") {
		t.Errorf("the error does not say what to write: %v", err)
	}
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "c"})
	wantCode(t, err, nixspace.KindInvalid, "manifest_missing")
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "d", Workspace: strings.Repeat("0", 64), Manifest: shop})
	wantCode(t, err, nixspace.KindNotFound, "workspace_unknown")
}

func TestBranch(t *testing.T) {
	h := newHost(t)
	parent := h.create(t)

	same, v, b, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "same"})
	if err != nil {
		t.Fatal(err)
	}
	if same.Hash != parent.Hash || same.Head != parent.Head || same.ParentID != parent.ID || v.ID != parent.Head || b.Status != nixspace.BuildSucceeded {
		t.Errorf("a branch without a change: got %+v, %+v, %+v", same, v, b)
	}

	pg13, v13, b13, err := h.Branch(h.ctx, environments.Branch{From: "shop/same", Name: "pg13", Edits: set("postgresql", "13")})
	if err != nil {
		t.Fatal(err)
	}
	if pg13.Hash == parent.Hash || v13.EnvironmentID != pg13.ID || v13.Seq != 2 || v13.Parents[0] != v.VersionHash || b13.Status != nixspace.BuildSucceeded {
		t.Errorf("a branch with a change: got %+v, %+v, %+v", pg13, v13, b13)
	}
	if len(v13.Changes) != 1 || v13.Changes[0].Path != "packages.postgresql" {
		t.Errorf("changes: got %v", v13.Changes)
	}
	if v13.Message != "Set postgresql to 13" {
		t.Errorf("message: got %q", v13.Message)
	}
	history, err := h.Versions(h.ctx, "pg13", 0, 10)
	if err != nil || len(history) != 2 || history[1].ID != parent.Head {
		t.Errorf("history: got %d versions, %v", len(history), err)
	}
	if older, err := h.Versions(h.ctx, "pg13", 2, 10); err != nil || len(older) != 1 {
		t.Errorf("history before 2: got %d versions, %v", len(older), err)
	}

	_, _, _, err = h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg13"})
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	_, _, _, err = h.Branch(h.ctx, environments.Branch{From: "shop", Name: "17"})
	wantCode(t, err, nixspace.KindInvalid, "name_invalid")
	_, _, _, err = h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg99", Edits: set("postgresql", "99")})
	wantCode(t, err, nixspace.KindInvalid, "version_unknown")
	_, _, _, err = h.Branch(h.ctx, environments.Branch{From: v13.VersionHash[:8], Name: "by-hash"})
	if err != nil {
		t.Error(err)
	}
}

func TestChange(t *testing.T) {
	h := newHost(t)
	h.create(t)
	first, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	v, b, err := h.Change(h.ctx, environments.Change{Ref: "shop", ExpectedHead: first.VersionHash, Edits: set("postgresql", "16"), Message: "Newer"})
	if err != nil {
		t.Fatal(err)
	}
	if v.Seq != 2 || v.Message != "Newer" || b.Status != nixspace.BuildSucceeded || !strings.Contains(v.Manifest, `"16"`) {
		t.Errorf("got %+v, %+v", v, b)
	}
	env, err := h.Environment(h.ctx, "shop")
	if err != nil || env.Head != v.ID || env.Hash != v.ManifestHash || env.FlakeContent != v.FlakeContent {
		t.Errorf("got %+v, %v", env, err)
	}
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", ExpectedHead: first.VersionHash, Edits: set("postgresql", "14")})
	wantCode(t, err, nixspace.KindConflict, "head_moved")
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set("postgresql", "16")})
	wantCode(t, err, nixspace.KindInvalid, "nothing_changed")
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set("postgresql", "16"), Manifest: shop})
	wantCode(t, err, nixspace.KindInvalid, "change_invalid")
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop"})
	wantCode(t, err, nixspace.KindInvalid, "change_invalid")
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set("env.BAD", `"a\u0000b"`)})
	if nixspace.ErrorKind(err) != nixspace.KindInvalid {
		t.Errorf("text that PostgreSQL cannot keep: got %v", err)
	}
	if back, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Manifest: shop}); err != nil || back.ManifestHash != first.ManifestHash || back.DrvPath != first.DrvPath {
		t.Errorf("back again: got %+v, %v", back, err)
	}

	// The source has newer packages: the same text is another environment.
	h.packages.SetVersion("postgresql_15", "15.16")
	newer, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Manifest: shop})
	if err != nil || newer.ManifestHash == first.ManifestHash {
		t.Errorf("after an update: got %+v, %v", newer, err)
	}
}

// TestChangesAtOnce has rivals change one environment at the same time.
func TestChangesAtOnce(t *testing.T) {
	h := newHost(t)
	h.create(t)
	head, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	race := func(change func(i int) error) (won, lost int) {
		const rivals = 4
		errs := make([]error, rivals)
		var wg sync.WaitGroup
		for i := range rivals {
			wg.Add(1)
			go func() {
				defer wg.Done()
				errs[i] = change(i)
			}()
		}
		wg.Wait()
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case nixspace.ErrorCode(err) == "head_moved":
				lost++
			default:
				t.Error(err)
			}
		}
		return won, lost
	}
	won, lost := race(func(i int) error {
		_, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", ExpectedHead: head.VersionHash, Edits: set("env.RIVAL", fmt.Sprint(i))})
		return err
	})
	if won != 1 || lost != 3 {
		t.Errorf("with an expected head: %d won and %d lost, want 1 and 3", won, lost)
	}
	won, _ = race(func(i int) error {
		_, _, err := h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set(fmt.Sprintf("env.RIVAL%d", i), "1")})
		return err
	})
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(v.Manifest, "RIVAL"); got != won+1 || v.Seq != int64(2+won) {
		t.Errorf("%d changes won, but the manifest has %d and the history %d versions:\n%s", won, got-1, v.Seq, v.Manifest)
	}
	won, lost = race(func(int) error {
		_, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "one"})
		if nixspace.ErrorCode(err) == "environment_exists" {
			return &nixspace.Error{Code: "head_moved"}
		}
		return err
	})
	if won != 1 || lost != 3 {
		t.Errorf("branches of one name: %d won and %d lost, want 1 and 3", won, lost)
	}
}

func TestReferences(t *testing.T) {
	h := newHost(t)
	env := h.create(t)
	for _, slug := range []string{"blog", "wiki"} {
		if _, _, _, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: slug, Manifest: shop}); err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: slug, Name: "pg13"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, ref := range []string{"shop", "shop/shop", string(env.ID)} {
		if got, err := h.Environment(h.ctx, ref); err != nil || got.ID != env.ID {
			t.Errorf("%s: got %v, %v", ref, got, err)
		}
	}
	_, err := h.Environment(h.ctx, "pg13")
	wantCode(t, err, nixspace.KindInvalid, "environment_ambiguous")
	if err == nil || !strings.Contains(err.Error(), "blog/pg13 or wiki/pg13") {
		t.Errorf("the candidates are not named: %v", err)
	}
	_, err = h.Environment(h.ctx, "shpo")
	wantCode(t, err, nixspace.KindNotFound, "environment_unknown")
	if err == nil || !strings.Contains(err.Error(), "shop/shop") {
		t.Errorf("the nearest name is not named: %v", err)
	}
	_, err = h.Project(h.ctx, "wikki")
	wantCode(t, err, nixspace.KindNotFound, "project_unknown")
	for _, ref := range []string{"", "/", "a/b/c", "/shop", strings.Repeat("x", 300)} {
		_, err = h.Environment(h.ctx, ref)
		wantCode(t, err, nixspace.KindInvalid, "reference_invalid")
	}
	_, err = h.Version(h.ctx, "0123456789abcdef")
	wantCode(t, err, nixspace.KindNotFound, "version_unknown")
	_, err = h.Version(h.ctx, string(nixspace.NewID()))
	wantCode(t, err, nixspace.KindNotFound, "version_unknown")
	_, err = h.Session(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindNotFound, "session_unknown")
	_, err = h.Session(h.ctx, "shop")
	wantCode(t, err, nixspace.KindInvalid, "reference_invalid")
}

func TestSearchPackages(t *testing.T) {
	h := newHost(t)
	got, err := h.SearchPackages(h.ctx, "Postgres", 2)
	if err != nil || len(got) != 2 || got[0].Attr != "postgresql_16" {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := h.SearchPackages(h.ctx, "nixspaceBase", 0); err != nil || len(got) != 0 {
		t.Errorf("the base system was found: %v, %v", got, err)
	}
	if got, err := h.SearchPackages(h.ctx, "", 0); err != nil || len(got) != 7 {
		t.Errorf("got %d packages, %v", len(got), err)
	}
}

// TestHistories makes random histories and checks what must hold for each.
func TestHistories(t *testing.T) {
	h := newHost(t)
	h.create(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		names := []string{"shop/shop"}
		heads := map[string]*nixspace.Version{}
		for step := range rapid.IntRange(1, 8).Draw(r, "steps") {
			from := rapid.SampledFrom(names).Draw(r, "from")
			edits := set("env.STEP", fmt.Sprintf("%d-%d", n, step))
			if rapid.Bool().Draw(r, "branch") {
				name := fmt.Sprintf("b%d-%d", n, step)
				if rapid.Bool().Draw(r, "unchanged") {
					edits = nil
				}
				env, v, _, err := h.Branch(h.ctx, environments.Branch{From: from, Name: name, Edits: edits})
				if err != nil {
					r.Fatal(err)
				}
				names = append(names, env.Ref())
				heads[env.Ref()] = v
			} else {
				v, _, err := h.Change(h.ctx, environments.Change{Ref: from, Edits: edits})
				if err != nil {
					r.Fatal(err)
				}
				heads[from] = v
			}
		}
		for ref, head := range heads {
			history, err := h.Versions(h.ctx, ref, 0, 0)
			if err != nil {
				r.Fatal(err)
			}
			if history[0].ID != head.ID {
				r.Fatalf("%s: its head is %s, not %s", ref, history[0].ID, head.ID)
			}
			for i, v := range history {
				if v.VersionHash != v.ComputeHash() {
					r.Fatalf("%s: version %d has another hash than it was stored with", ref, v.Seq)
				}
				if v.Seq != int64(len(history)-i) {
					r.Fatalf("%s: version %d is at place %d", ref, v.Seq, len(history)-i)
				}
				if i+1 < len(history) && (v.Parents[0] != history[i+1].VersionHash || !v.CreatedAt.After(history[i+1].CreatedAt)) {
					r.Fatalf("%s: version %d does not follow version %d", ref, v.Seq, history[i+1].Seq)
				}
			}
		}
	})
}
