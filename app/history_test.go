package app_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/env/manifest"
)

func (h *host) branch(t testing.TB, from, name string, edits ...app.Edit) *nixspace.Environment {
	t.Helper()
	env, _, _, err := h.Branch(h.ctx, app.Branch{From: from, Name: name, Edits: edits})
	if err != nil {
		t.Fatalf("branch %s: %v", name, err)
	}
	return env
}

func (h *host) change(t testing.TB, ref, key, value string) *nixspace.Version {
	t.Helper()
	v, _, err := h.Change(h.ctx, app.Change{Ref: ref, Edits: set(key, value)})
	if err != nil {
		t.Fatalf("change %s: %v", ref, err)
	}
	return v
}

func (h *host) version(t testing.TB, ref string) *nixspace.Version {
	t.Helper()
	v, err := h.Version(h.ctx, ref)
	if err != nil {
		t.Fatalf("version %s: %v", ref, err)
	}
	return v
}

func (h *host) merge(t testing.TB, in app.Merge, want app.MergeOutcome) *app.Merged {
	t.Helper()
	out, err := h.Merge(h.ctx, in)
	if err != nil {
		t.Fatalf("merge %s into %s: %v", in.From, in.Into, err)
	}
	if out.Outcome != want {
		t.Fatalf("merge %s into %s: %s (conflicts %v), want %s", in.From, in.Into, out.Outcome, out.Conflicts, want)
	}
	return out
}

func TestVersionReferences(t *testing.T) {
	h := newHost(t)
	first := h.create(t).Head
	v2 := h.change(t, "shop", "env.A", "1")
	h.branch(t, "shop", "side", set("env.B", "1")...)
	v3 := h.change(t, "shop", "env.A", "2")
	m := h.merge(t, app.Merge{From: "side", Into: "shop"}, app.MergeMerged).Version
	side := h.version(t, "side")
	if _, err := h.CreateTag(h.ctx, app.CreateTag{Name: "v1", Version: "shop~1"}); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]nixspace.ID{
		"shop": m.ID, "shop/shop": m.ID, "shop~0": m.ID, "shop^0": m.ID, "shop~": v3.ID, "shop^": v3.ID, "shop^2": side.ID,
		"shop~2": v2.ID, "shop~3": first, "shop^2~1": v2.ID, "shop@{0}": m.ID, "shop@{1}": v3.ID, "shop@{2}": v2.ID, "shop@{3}": first,
		"shop@{1}~1": v2.ID, "v1": v3.ID, "shop/v1": v3.ID, "v1~1": v2.ID, "shop@{2100-01-01}": m.ID, "side": side.ID,
		m.VersionHash: m.ID, m.VersionHash[:10] + "^2^": v2.ID, string(v2.ID): v2.ID, string(v2.ID) + "~1": first,
	} {
		if v, err := h.Version(h.ctx, ref); err != nil || v.ID != want {
			t.Errorf("%s: got %v, %v", ref, v, err)
		}
	}
	for ref, code := range map[string]string{
		"shop~4": "version_unknown", "shop^2^2": "version_unknown", "shop@{4}": "version_unknown", "shop@{2001-01-01}": "version_unknown",
		"v1@{1}": "reference_invalid", m.VersionHash + "@{1}": "reference_invalid", "shop@{x}": "reference_invalid", "shop~x": "reference_invalid",
		"nope~1": "environment_unknown", "abcdef1234~1": "version_unknown",
	} {
		if _, err := h.Version(h.ctx, ref); nixspace.ErrorCode(err) != code {
			t.Errorf("%s: got %v, want %s", ref, err, code)
		}
	}
	// What needs an environment takes none of these.
	_, _, err := h.Change(h.ctx, app.Change{Ref: "shop~1", Edits: set("env.A", "3")})
	wantCode(t, err, nixspace.KindInvalid, "reference_invalid")
}

func TestLog(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.branch(t, "shop", "side", set("env.B", "1")...)
	h.change(t, "shop", "env.A", "2")
	h.merge(t, app.Merge{From: "side", Into: "shop"}, app.MergeMerged)
	h.change(t, "side", "env.C", "1")
	whole, rest, err := h.Log(h.ctx, "", nil, nil, 0)
	if err != nil || len(whole) != 5 || len(rest) != 0 {
		t.Fatalf("got %d versions, %d left, %v", len(whole), len(rest), err)
	}
	if !cmp.Equal(whole[0].Environments, []string{"shop/side"}) || !cmp.Equal(whole[1].Environments, []string{"shop/shop"}) || len(whole[1].Parents) != 2 {
		t.Errorf("got %+v", whole[:2])
	}
	var paged []app.LogEntry
	for from := []string(nil); ; {
		page, rest, err := h.Log(h.ctx, "shop", nil, from, 2)
		if err != nil {
			t.Fatal(err)
		}
		if paged = append(paged, page...); len(rest) == 0 {
			break
		}
		from = rest
	}
	if diff := cmp.Diff(whole, paged); diff != "" {
		t.Errorf("in pages (-whole +pages):\n%s", diff)
	}
	one, rest, err := h.Log(h.ctx, "", []string{"shop~1"}, nil, 1)
	if err != nil || len(one) != 1 || len(rest) != 1 || one[0].Hash != h.version(t, "shop^").VersionHash {
		t.Errorf("got %v, %v, %v", one, rest, err)
	}
	_, _, err = h.Log(h.ctx, "", nil, []string{strings.Repeat("0", 64)}, 1)
	wantCode(t, err, nixspace.KindNotFound, "version_unknown")
	moves, err := h.Reflog(h.ctx, "shop", 0, 2)
	if err != nil || len(moves) != 2 || moves[0].Action != nixspace.MoveMerge || moves[1].Action != nixspace.MoveChange || moves[1].To != moves[0].From {
		t.Errorf("reflog: got %+v, %v", moves, err)
	}
}

func TestMerge(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.branch(t, "shop", "a", set("postgresql", "14")...)
	h.branch(t, "shop", "b", set("postgresql", "16")...)
	h.change(t, "b", "env.B", "1")

	out := h.merge(t, app.Merge{From: "b", Into: "a"}, app.MergeConflicts)
	want := []manifest.Conflict{{Kind: manifest.ConflictValue, Path: "packages.postgresql", Base: "15", Ours: "14", Theirs: "16"}}
	if diff := cmp.Diff(want, out.Conflicts); diff != "" || out.Version != nil {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	before := h.version(t, "a")
	h.merge(t, app.Merge{From: "b", Into: "a", Prefer: manifest.Theirs, DryRun: true}, app.MergeMerged)
	if v := h.version(t, "a"); v.ID != before.ID {
		t.Error("a dry run changed something")
	}
	out = h.merge(t, app.Merge{From: "b", Into: "a", Takes: []manifest.Take{{Path: "postgresql", Side: manifest.Theirs}}}, app.MergeMerged)
	v := h.version(t, "a")
	if v.ID != out.Version.ID || !cmp.Equal(v.Parents, []string{before.VersionHash, h.version(t, "b").VersionHash}) ||
		v.VersionHash != v.ComputeHash() || !strings.Contains(v.Manifest, `postgresql = "16"`) || v.Message != "Merge b into a" {
		t.Errorf("got %+v", v)
	}
	if r, err := h.Realisation(h.ctx, "a"); err != nil || r.OutPath != v.OutPath {
		t.Errorf("it was not built: %v, %v", r, err)
	}
	h.merge(t, app.Merge{From: "b", Into: "a"}, app.MergeUpToDate)
	h.merge(t, app.Merge{From: "a", Into: "a"}, app.MergeUpToDate)
	h.merge(t, app.Merge{From: "a~1", Into: "a"}, app.MergeUpToDate)
	if ff := h.merge(t, app.Merge{From: "a", Into: "b"}, app.MergeFastForward); ff.Version.ID != v.ID || h.version(t, "b").ID != v.ID {
		t.Errorf("fast-forward: got %+v", ff)
	}
	h.change(t, "a", "env.A", "1")
	if out := h.merge(t, app.Merge{From: "a", Into: "b", NoFastForward: true}, app.MergeMerged); len(out.Version.Parents) != 2 {
		t.Errorf("got %+v", out.Version)
	}
	_, err := h.Merge(h.ctx, app.Merge{From: "a", Into: "b", ExpectedHead: before.VersionHash})
	wantCode(t, err, nixspace.KindConflict, "head_moved")
	_, _, _, err = h.CreateProject(h.ctx, app.CreateProject{Slug: "other", Manifest: shop})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Merge(h.ctx, app.Merge{From: "other/other", Into: "a"})
	wantCode(t, err, nixspace.KindInvalid, "project_mismatch")

	// Each side is valid; together they are not.
	h.branch(t, "shop", "c", app.Edit{Op: nixspace.ChangeRemove, Key: "services.postgresql"}, app.Edit{Op: nixspace.ChangeRemove, Key: "postgresql"})
	h.branch(t, "shop", "d", set("services.postgresql.port", "5433")...)
	out = h.merge(t, app.Merge{From: "c", Into: "d", Takes: []manifest.Take{{Path: "services.postgresql", Side: manifest.Ours}}}, app.MergeConflicts)
	if len(out.Conflicts) != 1 || out.Conflicts[0].Kind != manifest.ConflictInvalid {
		t.Errorf("got %+v", out.Conflicts)
	}
}

// TestMergeIsBuiltFirst has merges whose result must be fetched first.
func TestMergeIsBuiltFirst(t *testing.T) {
	h := newHost(t)
	h.create(t)
	begin := func(name string) (*app.Merged, *nixspace.Version) {
		t.Helper()
		h.packages.Fail(nil)
		h.branch(t, "shop", name+"-theirs", set("postgresql", "16")...)
		h.branch(t, "shop", name, set("env.NAME", name)...)
		h.work(t)
		h.packages.SetPresent(false, "postgresql_16")
		before := h.version(t, name)
		out := h.merge(t, app.Merge{From: name + "-theirs", Into: name}, app.MergeBuilding)
		if h.version(t, name).ID != before.ID {
			t.Fatalf("%s: the head moved before the result was built", name)
		}
		return out, before
	}
	ends := func(name string, out *app.Merged, head nixspace.ID, status nixspace.MergeStatus, code string) {
		t.Helper()
		m, err := h.MergeByID(h.ctx, out.Merge.ID)
		if err != nil || m.Status != status || m.ErrorCode != code {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
		if v := h.version(t, name); v.ID != head {
			t.Errorf("%s: the head is %s", name, v.Message)
		}
	}
	out, _ := begin("good")
	h.work(t)
	ends("good", out, out.Version.ID, nixspace.MergeDone, "")

	out, before := begin("failed")
	h.packages.Fail(nixspace.Errorf(nixspace.KindBuild, "smoke_failed", "no"))
	h.work(t)
	ends("failed", out, before.ID, nixspace.MergeFailed, "smoke_failed")

	out, before = begin("canceled")
	if _, err := h.CancelBuild(h.ctx, out.Build.ID); err != nil {
		t.Fatal(err)
	}
	ends("canceled", out, before.ID, nixspace.MergeFailed, "canceled")

	out, _ = begin("moved")
	h.packages.SetPresent(true, "postgresql_16")
	v := h.change(t, "moved", "env.NAME", "other")
	h.work(t)
	ends("moved", out, v.ID, nixspace.MergeFailed, "head_moved")

	out, _ = begin("protected")
	if _, err := h.ProtectEnvironment(h.ctx, "protected", true); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	ends("protected", out, out.Version.ID, nixspace.MergeDone, "")

	// A server that ends meanwhile goes on when it is there again.
	out, _ = begin("restarted")
	h.jobs.Take() // the job is lost too
	h.stop()
	h.start(t)
	if err := h.Reconcile(h.ctx); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	ends("restarted", out, out.Version.ID, nixspace.MergeDone, "")

	// A fast-forward waits for the build of the other side.
	h.branch(t, "shop", "ff")
	h.packages.SetPresent(false, "postgresql_14")
	h.branch(t, "shop", "ff-theirs", set("postgresql", "14")...)
	out = h.merge(t, app.Merge{From: "ff-theirs", Into: "ff"}, app.MergeBuilding)
	h.work(t)
	ends("ff", out, h.version(t, "ff-theirs").ID, nixspace.MergeDone, "")
}

func TestGoingBack(t *testing.T) {
	h := newHost(t)
	h.create(t)
	v1 := h.change(t, "shop", "postgresql", "14")
	h.change(t, "shop", "env.B", "1")
	v, _, err := h.Rollback(h.ctx, app.Rollback{Ref: "shop"})
	if err != nil || v.Manifest != v1.Manifest || v.ManifestHash != v1.ManifestHash || v.DrvPath != v1.DrvPath || v.Seq != 4 {
		t.Fatalf("rollback: got %+v, %v", v, err)
	}
	// Exactly as it was, whatever the source offers by now.
	h.packages.SetVersion("postgresql_15", "15.99")
	if v, _, err = h.Rollback(h.ctx, app.Rollback{Ref: "shop", To: "~3"}); err != nil || v.Canonical == nil || string(v.Canonical) != string(h.version(t, "shop~4").Canonical) {
		t.Errorf("rollback to the first: got %+v, %v", v, err)
	}
	if v, _, err = h.Rollback(h.ctx, app.Rollback{Ref: "shop", To: "@{2}"}); err != nil || !strings.Contains(v.Manifest, "B =") {
		t.Errorf("rollback to what it was two moves ago: got %v, %v", v, err)
	}
	_, _, err = h.Rollback(h.ctx, app.Rollback{Ref: "shop", To: "shop"})
	wantCode(t, err, nixspace.KindInvalid, "nothing_changed")
	_, _, err = h.Rollback(h.ctx, app.Rollback{Ref: "shop", ExpectedHead: v1.VersionHash})
	wantCode(t, err, nixspace.KindConflict, "head_moved")

	undone := h.change(t, "shop", "env.C", "1")
	h.change(t, "shop", "env.D", "1")
	p, err := h.Revert(h.ctx, app.Pick{Version: undone.VersionHash[:8]})
	if err != nil || strings.Contains(p.Version.Manifest, "C =") || !strings.Contains(p.Version.Manifest, "D =") {
		t.Fatalf("revert: got %+v, %v", p, err)
	}
	h.change(t, "shop", "env.D", "2")
	if p, err = h.Revert(h.ctx, app.Pick{Version: "shop~2"}); err != nil || len(p.Conflicts) != 1 || p.Version != nil {
		t.Errorf("revert of what changed since: got %+v, %v", p, err)
	}
	h.branch(t, "shop~9", "old")
	if p, err = h.CherryPick(h.ctx, app.Pick{Version: "shop", Ref: "old"}); err != nil || len(p.Conflicts) != 1 {
		t.Errorf("cherry-pick: got %+v, %v", p, err)
	}
	if p, err = h.CherryPick(h.ctx, app.Pick{Version: "shop", Ref: "old", Prefer: manifest.Theirs}); err != nil || !strings.Contains(p.Version.Manifest, `D = "2"`) {
		t.Errorf("cherry-pick: got %+v, %v", p, err)
	}
	h.merge(t, app.Merge{From: "shop", Into: "old", Prefer: manifest.Ours, NoFastForward: true}, app.MergeMerged)
	_, err = h.Revert(h.ctx, app.Pick{Version: "old"})
	wantCode(t, err, nixspace.KindInvalid, "mainline_missing")
	if _, err = h.Revert(h.ctx, app.Pick{Version: "old", Mainline: 1}); err != nil {
		t.Errorf("revert of a merge: %v", err)
	}
}

func TestManageEnvironments(t *testing.T) {
	h := newHost(t)
	h.create(t)
	side := h.branch(t, "shop", "side")
	s, err := h.StartSession(h.ctx, app.StartSession{Ref: "side"})
	if err != nil {
		t.Fatal(err)
	}
	h.await(t, s.ID, nixspace.SessionRunning)
	_, err = h.DeleteEnvironment(h.ctx, "side")
	wantCode(t, err, nixspace.KindConflict, "environment_in_use")
	if _, err := h.StopSession(h.ctx, string(s.ID)); err != nil {
		t.Fatal(err)
	}
	if e, err := h.RenameEnvironment(h.ctx, "side", "edge"); err != nil || e.Ref() != "shop/edge" {
		t.Fatalf("rename: got %v, %v", e, err)
	}
	_, err = h.RenameEnvironment(h.ctx, "edge", "shop")
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	if _, err := h.DeleteEnvironment(h.ctx, "edge"); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Change(h.ctx, app.Change{Ref: string(side.ID), Edits: set("env.A", "1")})
	wantCode(t, err, nixspace.KindNotFound, "environment_deleted")
	_, err = h.StartSession(h.ctx, app.StartSession{Ref: string(side.ID)})
	if nixspace.ErrorKind(err) != nixspace.KindNotFound {
		t.Errorf("a session of a deleted environment: %v", err)
	}
	h.branch(t, "shop", "edge")
	_, err = h.UndeleteEnvironment(h.ctx, "edge", "")
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	back, err := h.UndeleteEnvironment(h.ctx, "edge", "back")
	if err != nil || back.ID != side.ID || back.Ref() != "shop/back" {
		t.Fatalf("undelete: got %v, %v", back, err)
	}
	_, err = h.UndeleteEnvironment(h.ctx, "edge", "")
	wantCode(t, err, nixspace.KindNotFound, "environment_unknown")

	if _, err := h.ProtectEnvironment(h.ctx, "back", true); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.Change(h.ctx, app.Change{Ref: "back", Edits: set("env.A", "1")})
	wantCode(t, err, nixspace.KindForbidden, "environment_protected")
	_, _, err = h.Rollback(h.ctx, app.Rollback{Ref: "back", To: "shop"})
	if nixspace.ErrorCode(err) == "" || err == nil {
		t.Error("a protected environment was rolled back")
	}
	_, err = h.DeleteEnvironment(h.ctx, "back")
	wantCode(t, err, nixspace.KindForbidden, "environment_protected")
	if _, err := h.CreateTag(h.ctx, app.CreateTag{Name: "v1", Version: "back"}); err != nil {
		t.Fatal(err)
	}
	_, err = h.CreateTag(h.ctx, app.CreateTag{Name: "v1", Version: "back"})
	wantCode(t, err, nixspace.KindExists, "tag_exists")
	_, err = h.CreateTag(h.ctx, app.CreateTag{Name: "back", Version: "back"})
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	_, _, _, err = h.Branch(h.ctx, app.Branch{From: "shop", Name: "v1"})
	wantCode(t, err, nixspace.KindExists, "tag_exists")
	if _, err := h.DeleteTag(h.ctx, "shop/v1"); err != nil {
		t.Error(err)
	}
	_, err = h.DeleteTag(h.ctx, "v1")
	wantCode(t, err, nixspace.KindNotFound, "tag_unknown")
}

func TestRebase(t *testing.T) {
	h := newHost(t)
	h.create(t)
	seen := h.version(t, "shop")
	h.change(t, "shop", "env.A", "1")
	in := app.Change{Ref: "shop", ExpectedHead: seen.VersionHash, Edits: set("env.B", "1")}
	_, _, err := h.Change(h.ctx, in)
	wantCode(t, err, nixspace.KindConflict, "head_moved")
	in.Rebase = true
	v, _, err := h.Change(h.ctx, in)
	if err != nil || !strings.Contains(v.Manifest, "A =") || !strings.Contains(v.Manifest, "B =") {
		t.Fatalf("rebase: got %v, %v", v, err)
	}
	// A whole manifest that was edited elsewhere is rebased too.
	text := strings.Replace(seen.Manifest, `nodejs = "22"`, `nodejs = "20"`, 1)
	v, _, err = h.Change(h.ctx, app.Change{Ref: "shop", ExpectedHead: seen.VersionHash, Manifest: text, Rebase: true})
	if err != nil || !strings.Contains(v.Manifest, "B =") || !strings.Contains(v.Manifest, `nodejs = "20"`) {
		t.Fatalf("rebase: got %v, %v", v, err)
	}
	in.Edits = set("env.A", "2")
	_, _, err = h.Change(h.ctx, in)
	wantCode(t, err, nixspace.KindConflict, "rebase_conflict")
	in.ExpectedHead = h.branch(t, "shop", "side", set("env.S", "1")...).Hash
	_, _, err = h.Change(h.ctx, in)
	wantCode(t, err, nixspace.KindConflict, "head_moved")
}

func TestBlame(t *testing.T) {
	h := newHost(t)
	h.create(t)
	first := h.version(t, "shop").VersionHash
	h.branch(t, "shop", "side")
	b := h.change(t, "side", "env.B", "1").VersionHash
	pg := h.change(t, "side", "postgresql", "14").VersionHash
	a := h.change(t, "shop", "env.A", "1").VersionHash
	h.merge(t, app.Merge{From: "side", Into: "shop"}, app.MergeMerged)
	again := h.change(t, "shop", "env.NODE_ENV", "test").VersionHash
	lines, err := h.Blame(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range lines {
		got[l.Path] = l.Entry.Hash
	}
	want := map[string]string{
		"packages.nodejs": first, "packages.postgresql": pg, "services.postgresql.databases": first,
		"env.A": a, "env.B": b, "env.NODE_ENV": again, "source": first,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("blame (-want +got):\n%s", diff)
	}
}

// TestFiftyWriters has fifty people change, merge into and roll back one
// environment at once. Every version that was acknowledged is in its history.
func TestFiftyWriters(t *testing.T) {
	h := newHost(t)
	h.create(t)
	for i := range 5 {
		h.branch(t, "shop", fmt.Sprintf("b%d", i), set(fmt.Sprintf("env.B%d", i), "1")...)
	}
	const writers = 50
	acked := make([]*nixspace.Version, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			var v *nixspace.Version
			var err error
			switch {
			case i < 5:
				var out *app.Merged
				if out, err = h.Merge(h.ctx, app.Merge{From: fmt.Sprintf("b%d", i), Into: "shop"}); err == nil {
					v = out.Version
				}
			case i == 5:
				v, _, err = h.Change(h.ctx, app.Change{Ref: "shop", Manifest: shop + "LAST = \"1\"\n"})
			case i < 10: // as they saw it at the start: all but one of them fail
				head := h.version(t, "shop@{2100-01-01}")
				v, _, err = h.Change(h.ctx, app.Change{Ref: "shop", Edits: set(fmt.Sprintf("env.W%d", i), "1"), ExpectedHead: head.VersionHash})
			default:
				v, _, err = h.Change(h.ctx, app.Change{Ref: "shop", Edits: set(fmt.Sprintf("env.W%d", i), "1")})
			}
			if code := nixspace.ErrorCode(err); err != nil && (i < 5 || i >= 10 || code != "head_moved") {
				t.Errorf("writer %d: %v", i, err)
			}
			acked[i] = v
		})
	}
	wg.Wait()
	var refs []string
	all, rest, err := h.Log(h.ctx, "", []string{"shop"}, refs, 500)
	if err != nil || len(rest) > 0 {
		t.Fatal(err)
	}
	line := map[string]bool{}
	for _, e := range all {
		line[e.Hash] = true
	}
	n := 0
	for i, v := range acked {
		if v == nil {
			continue
		}
		n++
		if !line[v.VersionHash] {
			t.Errorf("writer %d was told of version %s, which is not in the history", i, v.VersionHash)
		}
	}
	t.Logf("%d of %d writers succeeded; %d versions", n, writers, len(all))
	// And nothing that they set is lost, unless the whole manifest was replaced.
	moves, err := h.Reflog(h.ctx, "shop", 0, 500)
	if err != nil || len(moves) != n+1 {
		t.Errorf("%d moves for %d acknowledged versions, %v", len(moves), n, err)
	}
	for i := 1; i < len(moves); i++ {
		if moves[i-1].From != moves[i].To {
			t.Errorf("move %d does not begin where the one before ended", i)
		}
	}
	if acked[5] == nil {
		text := h.version(t, "shop").Manifest
		for i := range writers {
			if acked[i] == nil {
				continue
			}
			key := fmt.Sprintf("W%d =", i)
			if i < 5 {
				key = fmt.Sprintf("B%d =", i)
			}
			if !strings.Contains(text, key) {
				t.Errorf("the change of writer %d is lost", i)
			}
		}
	}
}

// TestMergingKeepsEverything makes random changes on random branches and merges
// them at random; a change that nobody undid is in the end in the environment
// that all were merged into, and merging again changes nothing.
func TestMergingKeepsEverything(t *testing.T) {
	h := newHost(t)
	h.create(t)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		if round > 8 {
			return // each takes a second, and they share a database
		}
		base := fmt.Sprintf("r%d", round)
		h.branch(t, "shop", base)
		names := []string{base}
		want := map[string]string{}
		for i := range rapid.IntRange(3, 9).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "at")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				next := fmt.Sprintf("%s-%d", base, i)
				h.branch(t, name, next)
				names = append(names, next)
			case 1:
				if _, err := h.Merge(h.ctx, app.Merge{From: rapid.SampledFrom(names).Draw(rt, "from"), Into: name}); err != nil {
					rt.Fatal(err)
				}
			default:
				key := fmt.Sprintf("K%d_%d", round, i)
				h.change(t, name, "env."+key, fmt.Sprint(i))
				want[key] = fmt.Sprint(i)
			}
		}
		for _, name := range names {
			if out, err := h.Merge(h.ctx, app.Merge{From: name, Into: base}); err != nil || len(out.Conflicts) > 0 {
				rt.Fatalf("merge %s: %+v, %v", name, out, err)
			}
		}
		v := h.version(t, base)
		m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
		if err != nil {
			rt.Fatal(err)
		}
		delete(m.Env, "NODE_ENV")
		if len(want) > 0 && !cmp.Equal(want, m.Env) {
			rt.Fatalf("got %v, want %v", m.Env, want)
		}
		for _, name := range names {
			if out, err := h.Merge(h.ctx, app.Merge{From: name, Into: base}); err != nil || out.Outcome != app.MergeUpToDate {
				rt.Fatalf("merge %s again: %+v, %v", name, out, err)
			}
		}
	})
}

// TestVersionHashVectors holds hashes to what they are, in every run and on every
// machine. Another program, in another language, computed them.
func TestVersionHashVectors(t *testing.T) {
	at := time.Date(2026, 11, 24, 10, 20, 30, 123456789, time.FixedZone("", 3600))
	v := nixspace.Version{
		Parents: []string{strings.Repeat("a", 64), strings.Repeat("b", 64)}, ManifestHash: strings.Repeat("c", 64), Manifest: "schema = 1\n",
		FlakeContent: "{ }\n", FlakeLock: "{}\n", Message: "Merge <pg14> into shop & more\n\nüber", Author: "ada", CreatedAt: at,
	}
	for _, c := range []struct {
		change func(*nixspace.Version)
		want   string
	}{
		{func(*nixspace.Version) {}, "f8ae4364741410499da01785efaa75940ccd9d1b8ebe252387e9b65fd509c8a3"},
		{func(v *nixspace.Version) { slices.Reverse(v.Parents) }, "30feccf086e4047bee259a7611b99417a1d1c71d708f5c00ee4d844fda8b5d6e"},
		{func(v *nixspace.Version) { v.Parents = nil }, "5495eacbb845aa73857664fb54dabee60012479e7e7bcdc0529d398e38235f3d"},
	} {
		w := v
		w.Parents = slices.Clone(v.Parents)
		c.change(&w)
		if got := w.ComputeHash(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
