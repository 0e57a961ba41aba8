package postgres

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

// mergeVersion makes a version of two parents.
func mergeVersion(w *world, a, b *nixspace.Version, text string) *nixspace.Version {
	v := newTestVersion(w, w.env.ID, a, text)
	v.Parents = append(v.Parents, b.VersionHash)
	v.Seq = max(a.Seq, b.Seq) + 1
	v.CreatedAt = v.CreatedAt.Add(time.Hour)
	v.VersionHash = v.ComputeHash()
	return v
}

func TestHistory(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	a, b := newTestVersion(w, w.env.ID, w.first, "a"), newTestVersion(w, w.env.ID, w.first, "b")
	m := mergeVersion(w, a, b, "m")
	for _, v := range []*nixspace.Version{a, b, m} {
		parent := a
		if v != m {
			parent = w.first
		}
		if err := tx.Versions().Create(ctx, v, parent.ID); err != nil {
			t.Fatal(err)
		}
	}
	nodes, err := tx.History().Nodes(ctx, []string{m.VersionHash, strings.Repeat("0", 64)}, 100)
	if err != nil || len(nodes) != 4 || nodes[0].Hash != m.VersionHash || nodes[3].Hash != w.first.VersionHash || !nodes[0].Time.Equal(m.CreatedAt) {
		t.Errorf("nodes: got %v, %v", nodes, err)
	}
	if nodes, err = tx.History().Nodes(ctx, []string{m.VersionHash}, 2); err != nil || len(nodes) != 2 {
		t.Errorf("two nodes: got %v, %v", nodes, err)
	}
	commits, err := tx.History().Commits(ctx, []string{a.VersionHash})
	if err != nil || len(commits) != 1 || commits[0].Message != "say a" || !cmp.Equal(commits[0].Changes, a.Changes) {
		t.Errorf("commits: got %v, %v", commits, err)
	}
	for n, want := range []nixspace.ID{m.ID, a.ID, w.first.ID} {
		if id, err := tx.History().FirstParent(ctx, m.ID, n); err != nil || id != want {
			t.Errorf("first parent %d: got %s, %v; want %s", n, id, err, want)
		}
	}
	_, err = tx.History().FirstParent(ctx, m.ID, 3)
	wantKind(t, err, nixspace.KindNotFound, "version_too_far")

	// The reflog.
	move := change(w.env, w.first)
	if err := tx.Environments().MoveHead(ctx, a, move); err != nil {
		t.Fatal(err)
	}
	moves, err := tx.History().Moves(ctx, w.env.ID, 0, 0, 10)
	if err != nil || len(moves) != 2 {
		t.Fatalf("reflog: got %v, %v", moves, err)
	}
	move.Seq, move.To = moves[0].Seq, a.ID
	first := firstMove
	first.Seq, first.EnvironmentID, first.To, first.At = moves[1].Seq, w.env.ID, w.first.ID, w.env.CreatedAt
	if diff := cmp.Diff([]nixspace.HeadMove{move, first}, moves); diff != "" {
		t.Errorf("reflog (-want +got):\n%s", diff)
	}
	if at, err := tx.History().MoveAt(ctx, w.env.ID, move.At.Add(-time.Microsecond)); err != nil || at.To != w.first.ID {
		t.Errorf("before the move: got %v, %v", at, err)
	}
	if at, err := tx.History().MoveAt(ctx, w.env.ID, move.At); err != nil || at.To != a.ID {
		t.Errorf("at the move: got %v, %v", at, err)
	}
	_, err = tx.History().MoveAt(ctx, w.env.ID, at.Add(-time.Hour))
	wantKind(t, err, nixspace.KindNotFound, "head_unknown")
	if heads, err := tx.History().HeadsAt(ctx, a.ID, b.ID); err != nil || len(heads) != 1 || heads[0].ID != w.env.ID {
		t.Errorf("heads: got %v, %v", heads, err)
	}
}

// TestVersionsFollowTheirParents tries what would break walks and searches.
func TestVersionsFollowTheirParents(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	for name, spoil := range map[string]func(v *nixspace.Version){
		"a wrong position":      func(v *nixspace.Version) { v.Seq = 3 },
		"older than its parent": func(v *nixspace.Version) { v.CreatedAt = w.first.CreatedAt },
		"an unknown parent":     func(v *nixspace.Version) { v.Parents = append(v.Parents, strings.Repeat("0", 64)) },
		"a parent twice":        func(v *nixspace.Version) { v.Parents = append(v.Parents, v.Parents[0]) },
		"another first parent":  func(v *nixspace.Version) { v.Parents[0] = strings.Repeat("0", 64) },
	} {
		v := newTestVersion(w, w.env.ID, w.first, name)
		spoil(v)
		v.VersionHash = v.ComputeHash()
		if err := d.Read().Versions().Create(ctx, v, w.first.ID); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestEnvironmentsChange(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	v := newTestVersion(w, w.env.ID, w.first, "a")
	if err := tx.Versions().Create(ctx, v, w.first.ID); err != nil {
		t.Fatal(err)
	}
	e := *w.env
	e.Protected = true
	if err := tx.Environments().Update(ctx, &e); err != nil {
		t.Fatal(err)
	}
	move := change(w.env, w.first)
	wantKind(t, tx.Environments().MoveHead(ctx, v, move), nixspace.KindForbidden, "environment_protected")
	move.Action = nixspace.MoveMerge
	if err := tx.Environments().MoveHead(ctx, v, move); err != nil {
		t.Error(err)
	}
	wantKind(t, tx.Environments().MoveHead(ctx, v, move), nixspace.KindConflict, "head_moved")

	e.DeletedAt = at.Add(time.Hour)
	if err := tx.Environments().Update(ctx, &e); err != nil {
		t.Fatal(err)
	}
	move.From = v.ID
	wantKind(t, tx.Environments().MoveHead(ctx, v, move), nixspace.KindNotFound, "environment_deleted")
	if found, err := tx.Environments().Named(ctx, "", "shop"); err != nil || len(found) != 0 {
		t.Errorf("a deleted environment is found: %v, %v", found, err)
	}
	gone, err := tx.Environments().Deleted(ctx, "shop", "shop")
	if err != nil || len(gone) != 1 || !gone[0].DeletedAt.Equal(e.DeletedAt) {
		t.Errorf("deleted: got %v, %v", gone, err)
	}
	// Its name is free, and cannot be taken back then.
	twin := *w.env
	twin.ID = nixspace.NewID()
	if err := tx.Environments().Create(ctx, &twin, firstMove); err != nil {
		t.Fatal(err)
	}
	e.DeletedAt = time.Time{}
	wantKind(t, tx.Environments().Update(ctx, &e), nixspace.KindExists, "environment_exists")
	e.ID = nixspace.NewID()
	wantKind(t, tx.Environments().Update(ctx, &e), nixspace.KindNotFound, "environment_unknown")
	_, err = tx.Environments().Lock(ctx, e.ID)
	wantKind(t, err, nixspace.KindNotFound, "environment_unknown")
}

func TestTags(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	tag := nixspace.Tag{
		ProjectID: w.project.ID, Project: "shop", Name: "v1", VersionID: w.first.ID, Message: "one", CreatedAt: at, CreatedBy: w.user, Author: "ada",
	}
	if err := tx.Tags().Create(ctx, &tag, false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, tx.Tags().Create(ctx, &tag, false), nixspace.KindExists, "tag_exists")
	tag.Message = "again"
	if err := tx.Tags().Create(ctx, &tag, true); err != nil {
		t.Fatal(err)
	}
	for what, list := range map[string]func() ([]nixspace.Tag, error){
		"named": func() ([]nixspace.Tag, error) { return tx.Tags().Named(ctx, "", "v1") },
		"list":  func() ([]nixspace.Tag, error) { return tx.Tags().List(ctx, w.project.ID) },
		"all":   func() ([]nixspace.Tag, error) { return tx.Tags().List(ctx, "") },
		"at":    func() ([]nixspace.Tag, error) { return tx.Tags().At(ctx, w.first.ID) },
	} {
		got, err := list()
		if diff := cmp.Diff([]nixspace.Tag{tag}, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
		}
	}
	for i, want := range []bool{true, false} {
		if gone, err := tx.Tags().Delete(ctx, w.project.ID, "v1"); err != nil || gone != want {
			t.Errorf("delete %d: got %t, %v", i, gone, err)
		}
	}
}

func TestMerges(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	m := &nixspace.Merge{
		ID: nixspace.NewID(), EnvironmentID: w.env.ID, VersionID: w.first.ID, FromHead: w.first.ID, TheirsID: w.first.ID,
		Status: nixspace.MergeBuilding, Message: "m", Actor: "ada", CreatedAt: at,
	}
	if err := tx.Merges().Create(ctx, m); err != nil {
		t.Fatal(err)
	}
	for _, version := range []nixspace.ID{"", w.first.ID} {
		if got, err := tx.Merges().Building(ctx, version); err != nil || !cmp.Equal(got, []nixspace.Merge{*m}) {
			t.Errorf("building: got %v, %v", got, err)
		}
	}
	m.Status, m.Error, m.ErrorCode, m.FinishedAt = nixspace.MergeFailed, "no", "smoke_failed", at.Add(time.Second)
	for i, want := range []bool{true, false} {
		if ended, err := tx.Merges().End(ctx, m); err != nil || ended != want {
			t.Errorf("end %d: got %t, %v", i, ended, err)
		}
	}
	if got, err := tx.Merges().ByID(ctx, m.ID); err != nil || !cmp.Equal(got, m) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := tx.Merges().Building(ctx, ""); err != nil || len(got) != 0 {
		t.Errorf("building: got %v, %v", got, err)
	}
	_, err := tx.Merges().ByID(ctx, nixspace.NewID())
	wantKind(t, err, nixspace.KindNotFound, "merge_unknown")
}

func TestHashes(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	hashes, err := d.Read().Versions().Hashes(ctx, w.first.ID, nixspace.NewID())
	if err != nil || !slices.Equal(hashes, []string{w.first.VersionHash}) {
		t.Errorf("got %v, %v", hashes, err)
	}
}
