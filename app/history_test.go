package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/env/manifest"
)

func (h *host) branch(t testing.TB, from, name string, edits ...environments.Edit) *nixspace.Environment {
	t.Helper()
	env, _, _, err := h.Branch(h.ctx, environments.Branch{From: from, Name: name, Edits: edits})
	if err != nil {
		t.Fatalf("branch %s: %v", name, err)
	}
	return env
}

func (h *host) change(t testing.TB, ref, key, value string) *nixspace.Version {
	t.Helper()
	v, _, err := h.Change(h.ctx, environments.Change{Ref: ref, Edits: set(key, value)})
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

func (h *host) merge(t testing.TB, in environments.Merge, want environments.MergeOutcome) *environments.Merged {
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
	m := h.merge(t, environments.Merge{From: "side", Into: "shop"}, environments.MergeMerged).Version
	side := h.version(t, "side")
	if _, err := h.CreateTag(h.ctx, environments.CreateTag{Name: "v1", Version: "shop~1"}); err != nil {
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
	_, _, err := h.Change(h.ctx, environments.Change{Ref: "shop~1", Edits: set("env.A", "3")})
	wantCode(t, err, nixspace.KindInvalid, "reference_invalid")
}

func TestLog(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.branch(t, "shop", "side", set("env.B", "1")...)
	h.change(t, "shop", "env.A", "2")
	h.merge(t, environments.Merge{From: "side", Into: "shop"}, environments.MergeMerged)
	h.change(t, "side", "env.C", "1")
	whole, rest, err := h.Log(h.ctx, "", nil, nil, 0)
	if err != nil || len(whole) != 5 || len(rest) != 0 {
		t.Fatalf("got %d versions, %d left, %v", len(whole), len(rest), err)
	}
	if !cmp.Equal(whole[0].Environments, []string{"shop/side"}) || !cmp.Equal(whole[1].Environments, []string{"shop/shop"}) || len(whole[1].Parents) != 2 {
		t.Errorf("got %+v", whole[:2])
	}
	var paged []inspect.LogEntry
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

func TestGoingBack(t *testing.T) {
	h := newHost(t)
	h.create(t)
	v1 := h.change(t, "shop", "postgresql", "14")
	h.change(t, "shop", "env.B", "1")
	v, _, err := h.Rollback(h.ctx, environments.Rollback{Ref: "shop"})
	if err != nil || v.Manifest != v1.Manifest || v.ManifestHash != v1.ManifestHash || v.DrvPath != v1.DrvPath || v.Seq != 4 {
		t.Fatalf("rollback: got %+v, %v", v, err)
	}
	// Exactly as it was, whatever the source offers by now.
	h.packages.SetVersion("postgresql_15", "15.99")
	if v, _, err = h.Rollback(h.ctx, environments.Rollback{Ref: "shop", To: "~3"}); err != nil || v.Canonical == nil || string(v.Canonical) != string(h.version(t, "shop~4").Canonical) {
		t.Errorf("rollback to the first: got %+v, %v", v, err)
	}
	if v, _, err = h.Rollback(h.ctx, environments.Rollback{Ref: "shop", To: "@{2}"}); err != nil || !strings.Contains(v.Manifest, "B =") {
		t.Errorf("rollback to what it was two moves ago: got %v, %v", v, err)
	}
	_, _, err = h.Rollback(h.ctx, environments.Rollback{Ref: "shop", To: "shop"})
	wantCode(t, err, nixspace.KindInvalid, "nothing_changed")
	_, _, err = h.Rollback(h.ctx, environments.Rollback{Ref: "shop", ExpectedHead: v1.VersionHash})
	wantCode(t, err, nixspace.KindConflict, "head_moved")

	undone := h.change(t, "shop", "env.C", "1")
	h.change(t, "shop", "env.D", "1")
	p, err := h.Revert(h.ctx, environments.Pick{Version: undone.VersionHash[:8]})
	if err != nil || strings.Contains(p.Version.Manifest, "C =") || !strings.Contains(p.Version.Manifest, "D =") {
		t.Fatalf("revert: got %+v, %v", p, err)
	}
	h.change(t, "shop", "env.D", "2")
	if p, err = h.Revert(h.ctx, environments.Pick{Version: "shop~2"}); err != nil || len(p.Conflicts) != 1 || p.Version != nil {
		t.Errorf("revert of what changed since: got %+v, %v", p, err)
	}
	h.branch(t, "shop~9", "old")
	if p, err = h.CherryPick(h.ctx, environments.Pick{Version: "shop", Ref: "old"}); err != nil || len(p.Conflicts) != 1 {
		t.Errorf("cherry-pick: got %+v, %v", p, err)
	}
	if p, err = h.CherryPick(h.ctx, environments.Pick{Version: "shop", Ref: "old", Prefer: manifest.Theirs}); err != nil || !strings.Contains(p.Version.Manifest, `D = "2"`) {
		t.Errorf("cherry-pick: got %+v, %v", p, err)
	}
	h.merge(t, environments.Merge{From: "shop", Into: "old", Prefer: manifest.Ours, NoFastForward: true}, environments.MergeMerged)
	_, err = h.Revert(h.ctx, environments.Pick{Version: "old"})
	wantCode(t, err, nixspace.KindInvalid, "mainline_missing")
	if _, err = h.Revert(h.ctx, environments.Pick{Version: "old", Mainline: 1}); err != nil {
		t.Errorf("revert of a merge: %v", err)
	}
}

func TestManageEnvironments(t *testing.T) {
	h := newHost(t)
	h.create(t)
	side := h.branch(t, "shop", "side")
	s, err := h.StartSession(h.ctx, sessions.StartSession{Ref: "side"})
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
	_, _, err = h.Change(h.ctx, environments.Change{Ref: string(side.ID), Edits: set("env.A", "1")})
	wantCode(t, err, nixspace.KindNotFound, "environment_deleted")
	_, err = h.StartSession(h.ctx, sessions.StartSession{Ref: string(side.ID)})
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
	_, _, err = h.Change(h.ctx, environments.Change{Ref: "back", Edits: set("env.A", "1")})
	wantCode(t, err, nixspace.KindForbidden, "environment_protected")
	_, _, err = h.Rollback(h.ctx, environments.Rollback{Ref: "back", To: "shop"})
	if nixspace.ErrorCode(err) == "" || err == nil {
		t.Error("a protected environment was rolled back")
	}
	_, err = h.DeleteEnvironment(h.ctx, "back")
	wantCode(t, err, nixspace.KindForbidden, "environment_protected")
	if _, err := h.CreateTag(h.ctx, environments.CreateTag{Name: "v1", Version: "back"}); err != nil {
		t.Fatal(err)
	}
	_, err = h.CreateTag(h.ctx, environments.CreateTag{Name: "v1", Version: "back"})
	wantCode(t, err, nixspace.KindExists, "tag_exists")
	_, err = h.CreateTag(h.ctx, environments.CreateTag{Name: "back", Version: "back"})
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	_, _, _, err = h.Branch(h.ctx, environments.Branch{From: "shop", Name: "v1"})
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
	in := environments.Change{Ref: "shop", ExpectedHead: seen.VersionHash, Edits: set("env.B", "1")}
	_, _, err := h.Change(h.ctx, in)
	wantCode(t, err, nixspace.KindConflict, "head_moved")
	in.Rebase = true
	v, _, err := h.Change(h.ctx, in)
	if err != nil || !strings.Contains(v.Manifest, "A =") || !strings.Contains(v.Manifest, "B =") {
		t.Fatalf("rebase: got %v, %v", v, err)
	}
	// A whole manifest that was edited elsewhere is rebased too.
	text := strings.Replace(seen.Manifest, `nodejs = "22"`, `nodejs = "20"`, 1)
	v, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", ExpectedHead: seen.VersionHash, Manifest: text, Rebase: true})
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
	h.merge(t, environments.Merge{From: "side", Into: "shop"}, environments.MergeMerged)
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
