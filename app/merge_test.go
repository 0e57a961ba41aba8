package app_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/env/manifest"
)

func TestMerge(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.branch(t, "shop", "a", set("postgresql", "14")...)
	h.branch(t, "shop", "b", set("postgresql", "16")...)
	h.change(t, "b", "env.B", "1")

	out := h.merge(t, environments.Merge{From: "b", Into: "a"}, environments.MergeConflicts)
	want := []manifest.Conflict{{Kind: manifest.ConflictValue, Path: "packages.postgresql", Base: "15", Ours: "14", Theirs: "16"}}
	if diff := cmp.Diff(want, out.Conflicts); diff != "" || out.Version != nil {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	before := h.version(t, "a")
	h.merge(t, environments.Merge{From: "b", Into: "a", Prefer: manifest.Theirs, DryRun: true}, environments.MergeMerged)
	if v := h.version(t, "a"); v.ID != before.ID {
		t.Error("a dry run changed something")
	}
	out = h.merge(t, environments.Merge{From: "b", Into: "a", Takes: []manifest.Take{{Path: "postgresql", Side: manifest.Theirs}}}, environments.MergeMerged)
	v := h.version(t, "a")
	if v.ID != out.Version.ID || !cmp.Equal(v.Parents, []string{before.VersionHash, h.version(t, "b").VersionHash}) ||
		v.VersionHash != v.ComputeHash() || !strings.Contains(v.Manifest, `postgresql = "16"`) || v.Message != "Merge b into a" {
		t.Errorf("got %+v", v)
	}
	if r, err := h.Realisation(h.ctx, "a"); err != nil || r.OutPath != v.OutPath {
		t.Errorf("it was not built: %v, %v", r, err)
	}
	h.merge(t, environments.Merge{From: "b", Into: "a"}, environments.MergeUpToDate)
	h.merge(t, environments.Merge{From: "a", Into: "a"}, environments.MergeUpToDate)
	h.merge(t, environments.Merge{From: "a~1", Into: "a"}, environments.MergeUpToDate)
	if ff := h.merge(t, environments.Merge{From: "a", Into: "b"}, environments.MergeFastForward); ff.Version.ID != v.ID || h.version(t, "b").ID != v.ID {
		t.Errorf("fast-forward: got %+v", ff)
	}
	h.change(t, "a", "env.A", "1")
	if out := h.merge(t, environments.Merge{From: "a", Into: "b", NoFastForward: true}, environments.MergeMerged); len(out.Version.Parents) != 2 {
		t.Errorf("got %+v", out.Version)
	}
	_, err := h.Merge(h.ctx, environments.Merge{From: "a", Into: "b", ExpectedHead: before.VersionHash})
	wantCode(t, err, nixspace.KindConflict, "head_moved")
	_, _, _, err = h.CreateProject(h.ctx, environments.CreateProject{Slug: "other", Manifest: shop})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Merge(h.ctx, environments.Merge{From: "other/other", Into: "a"})
	wantCode(t, err, nixspace.KindInvalid, "project_mismatch")

	// Each side is valid; together they are not.
	h.branch(t, "shop", "c", environments.Edit{Op: nixspace.ChangeRemove, Key: "services.postgresql"}, environments.Edit{Op: nixspace.ChangeRemove, Key: "postgresql"})
	h.branch(t, "shop", "d", set("services.postgresql.port", "5433")...)
	out = h.merge(t, environments.Merge{From: "c", Into: "d", Takes: []manifest.Take{{Path: "services.postgresql", Side: manifest.Ours}}}, environments.MergeConflicts)
	if len(out.Conflicts) != 1 || out.Conflicts[0].Kind != manifest.ConflictInvalid {
		t.Errorf("got %+v", out.Conflicts)
	}
}

// TestMergeIsBuiltFirst has merges whose result must be fetched first.
func TestMergeIsBuiltFirst(t *testing.T) {
	h := newHost(t)
	h.create(t)
	begin := func(name string) (*environments.Merged, *nixspace.Version) {
		t.Helper()
		h.packages.Fail(nil)
		h.branch(t, "shop", name+"-theirs", set("postgresql", "16")...)
		h.branch(t, "shop", name, set("env.NAME", name)...)
		h.work(t)
		h.packages.SetPresent(false, "postgresql_16")
		before := h.version(t, name)
		out := h.merge(t, environments.Merge{From: name + "-theirs", Into: name}, environments.MergeBuilding)
		if h.version(t, name).ID != before.ID {
			t.Fatalf("%s: the head moved before the result was built", name)
		}
		return out, before
	}
	ends := func(name string, out *environments.Merged, head nixspace.ID, status nixspace.MergeStatus, code string) {
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
	out = h.merge(t, environments.Merge{From: "ff-theirs", Into: "ff"}, environments.MergeBuilding)
	h.work(t)
	ends("ff", out, h.version(t, "ff-theirs").ID, nixspace.MergeDone, "")
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
				var out *environments.Merged
				if out, err = h.Merge(h.ctx, environments.Merge{From: fmt.Sprintf("b%d", i), Into: "shop"}); err == nil {
					v = out.Version
				}
			case i == 5:
				v, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Manifest: shop + "LAST = \"1\"\n"})
			case i < 10: // as they saw it at the start: all but one of them fail
				head := h.version(t, "shop@{2100-01-01}")
				v, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set(fmt.Sprintf("env.W%d", i), "1"), ExpectedHead: head.VersionHash})
			default:
				v, _, err = h.Change(h.ctx, environments.Change{Ref: "shop", Edits: set(fmt.Sprintf("env.W%d", i), "1")})
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
				if _, err := h.Merge(h.ctx, environments.Merge{From: rapid.SampledFrom(names).Draw(rt, "from"), Into: name}); err != nil {
					rt.Fatal(err)
				}
			default:
				key := fmt.Sprintf("K%d_%d", round, i)
				h.change(t, name, "env."+key, fmt.Sprint(i))
				want[key] = fmt.Sprint(i)
			}
		}
		for _, name := range names {
			if out, err := h.Merge(h.ctx, environments.Merge{From: name, Into: base}); err != nil || len(out.Conflicts) > 0 {
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
			if out, err := h.Merge(h.ctx, environments.Merge{From: name, Into: base}); err != nil || out.Outcome != environments.MergeUpToDate {
				rt.Fatalf("merge %s again: %+v, %v", name, out, err)
			}
		}
	})
}
