package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nixspace/nixspace"
)

// world is one project with one environment of one version.
type world struct {
	user    nixspace.ID
	project *nixspace.Project
	env     *nixspace.Environment
	first   *nixspace.Version
}

func newTestVersion(w *world, env nixspace.ID, parent *nixspace.Version, text string) *nixspace.Version {
	canonical := []byte(`{"text":"` + text + `"}`)
	sum := sha256.Sum256(canonical)
	v := &nixspace.Version{
		ID: nixspace.NewID(), EnvironmentID: env, Manifest: text, Canonical: canonical, ManifestHash: hex.EncodeToString(sum[:]),
		FlakeContent: "{ }", FlakeLock: "{}", Message: "say " + text, Author: "ada", CreatedBy: w.user, CreatedAt: at, Seq: 1,
		DrvPath: "/nix/store/00000000000000000000000000000000-a.drv", OutPath: "/nix/store/00000000000000000000000000000000-a",
		Changes: []nixspace.Change{{Op: nixspace.ChangeSet, Path: "text", To: text}},
	}
	v.Parents = []string{}
	if parent != nil {
		v.Parents, v.Seq = []string{parent.VersionHash}, parent.Seq+1
		v.CreatedAt = parent.CreatedAt.Add(time.Second)
	}
	v.VersionHash = v.ComputeHash()
	return v
}

var firstMove = nixspace.HeadMove{Action: nixspace.MoveCreate, Message: "Create shop", Actor: "ada"}

// change moves the head of an environment on from a version.
func change(e *nixspace.Environment, from *nixspace.Version) nixspace.HeadMove {
	return nixspace.HeadMove{
		EnvironmentID: e.ID, From: from.ID, Action: nixspace.MoveChange, Message: "change", Actor: "ada", At: from.CreatedAt.Add(time.Second),
	}
}

func newWorld(t testing.TB, d *DB) *world {
	t.Helper()
	ctx := testContext(t)
	u, err := d.Read().Projects().EnsureUser(ctx, nixspace.User{ID: nixspace.NewID(), Name: "ada", CreatedAt: at})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{user: u.ID}
	w.project = &nixspace.Project{ID: nixspace.NewID(), Slug: "shop", Source: "examples/shop", CreatedAt: at, CreatedBy: u.ID}
	w.env = &nixspace.Environment{
		ID: nixspace.NewID(), ProjectID: w.project.ID, Project: "shop", Name: "shop", FlakeContent: "{ }",
		CreatedAt: at, UpdatedAt: at, CreatedBy: u.ID,
	}
	w.first = newTestVersion(w, w.env.ID, nil, "one")
	w.env.Head, w.env.Hash = w.first.ID, w.first.ManifestHash
	err = d.InTx(ctx, func(tx nixspace.Tx) error {
		if err := tx.Projects().Create(ctx, w.project); err != nil {
			return err
		}
		if err := tx.Environments().Create(ctx, w.env, firstMove); err != nil {
			return err
		}
		return tx.Versions().Create(ctx, w.first, "")
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestEnvironmentsAndVersions(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()

	got, err := tx.Environments().ByIDs(ctx, w.env.ID, "garbage", nixspace.NewID())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]nixspace.Environment{*w.env}, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	vs, err := tx.Versions().ByHash(ctx, w.first.VersionHash[:6], 5)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]nixspace.Version{*w.first}, vs); diff != "" {
		t.Errorf("version (-want +got):\n%s", diff)
	}
	if vs[0].ComputeHash() != w.first.VersionHash {
		t.Error("a version that was stored and read has another hash")
	}

	wantKind(t, tx.Projects().Create(ctx, &nixspace.Project{ID: nixspace.NewID(), Slug: "shop", CreatedAt: at, CreatedBy: w.user}),
		nixspace.KindExists, "project_exists")
	twin := *w.env
	twin.ID = nixspace.NewID()
	wantKind(t, tx.Environments().Create(ctx, &twin, firstMove), nixspace.KindExists, "environment_exists")
	_, err = tx.Projects().BySlug(ctx, "nope")
	wantKind(t, err, nixspace.KindNotFound, "project_unknown")
}

func TestHeadMovesOnce(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	a, b := newTestVersion(w, w.env.ID, w.first, "a"), newTestVersion(w, w.env.ID, w.first, "b")
	for i, v := range []*nixspace.Version{a, b} {
		err := d.InTx(ctx, func(tx nixspace.Tx) error {
			if err := tx.Environments().MoveHead(ctx, v, change(w.env, w.first)); err != nil {
				return err
			}
			return tx.Versions().Create(ctx, v, w.first.ID)
		})
		if i == 0 && err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			wantKind(t, err, nixspace.KindConflict, "head_moved")
		}
	}
	history, err := d.Read().Versions().History(ctx, a.ID, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]nixspace.Version{*a, *w.first}, history); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	older, err := d.Read().Versions().History(ctx, a.ID, a.Seq, 10)
	if err != nil || len(older) != 1 || older[0].ID != w.first.ID {
		t.Errorf("history before %d: got %v, %v", a.Seq, older, err)
	}
}

func TestVersionsAreImmutable(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	for _, q := range []string{
		`UPDATE environment_versions SET message = 'other'`,
		`DELETE FROM environment_versions`,
		`TRUNCATE environment_versions CASCADE`,
		`INSERT INTO environment_versions SELECT (v).* FROM (SELECT v FROM environment_versions AS v) AS x`,
	} {
		if _, err := d.pool.Exec(ctx, q); err == nil {
			t.Errorf("%s: succeeded", q)
		}
	}
	forged := newTestVersion(w, w.env.ID, w.first, "forged")
	forged.Canonical = []byte(`{"text":"not what the hash says"}`)
	if err := d.Read().Versions().Create(ctx, forged, w.first.ID); err == nil {
		t.Error("a version whose canonical form does not have its hash was stored")
	}
}

func TestBuilds(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	b := &nixspace.Build{ID: nixspace.NewID(), VersionID: w.first.ID, Status: nixspace.BuildQueued, CreatedAt: at}
	if err := tx.Builds().Create(ctx, b); err != nil {
		t.Fatal(err)
	}
	wantKind(t, tx.Builds().Create(ctx, &nixspace.Build{ID: nixspace.NewID(), VersionID: w.first.ID, Status: nixspace.BuildQueued, CreatedAt: at}),
		nixspace.KindExists, "build_open")
	var want []nixspace.BuildLogLine
	for i := range 5 {
		want = append(want, nixspace.BuildLogLine{BuildID: b.ID, Seq: int64(i + 1), At: at, Text: fmt.Sprint("line ", i)})
	}
	if err := tx.Builds().AppendLog(ctx, want); err != nil {
		t.Fatal(err)
	}
	got, err := tx.Builds().Log(ctx, b.ID, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[2:4], got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	b.Status, b.StartedAt, b.FinishedAt = nixspace.BuildSucceeded, at, at.Add(time.Second)
	moved, err := tx.Builds().Transition(ctx, b, nixspace.BuildQueued)
	if err != nil || !moved {
		t.Fatalf("got %t, %v", moved, err)
	}
	stored, err := tx.Builds().ByID(ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, stored); diff != "" {
		t.Errorf("build (-want +got):\n%s", diff)
	}
	if moved, err := tx.Builds().Transition(ctx, b, nixspace.BuildQueued); err != nil || moved {
		t.Errorf("a final build moved: %t, %v", moved, err)
	}
}

var statuses = []nixspace.SessionStatus{
	nixspace.SessionCreating, nixspace.SessionRunning, nixspace.SessionHibernated,
	nixspace.SessionStopping, nixspace.SessionStopped, nixspace.SessionFailed,
}

// TestSessionStates holds the database's state machine and the domain's together.
func TestSessionStates(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	for _, from := range statuses {
		for _, to := range statuses {
			var got bool
			if err := d.pool.QueryRow(ctx, `SELECT session_can_become($1, $2)`, string(from), string(to)).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != from.CanBecome(to) {
				t.Errorf("%s → %s: the database says %t, the domain %t", from, to, got, from.CanBecome(to))
			}
		}
	}
}

func TestSessions(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	tx := d.Read()
	s := &nixspace.Session{
		ID: nixspace.NewID(), EnvironmentID: w.env.ID, EnvironmentVersionID: w.first.ID, Status: nixspace.SessionCreating,
		Generation: 1, StartedAt: at, Since: at, LastActivity: at, CreatedBy: w.user,
	}
	if err := tx.Sessions().Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	if s.Ref() != "shop/shop/1" {
		t.Errorf("got %s", s.Ref())
	}
	step := func(c nixspace.SessionChange) (*nixspace.Session, error) {
		c.ID = s.ID
		return tx.Sessions().Transition(ctx, c)
	}
	run := nixspace.SessionChange{
		Generation: 1, From: []nixspace.SessionStatus{nixspace.SessionCreating}, To: nixspace.SessionRunning,
		At: at.Add(time.Second), VMID: "vm-1", Driver: "qemu", Isolation: "microVM",
	}
	got, err := step(run)
	if err != nil {
		t.Fatal(err)
	}
	if got.VMID != "vm-1" || got.Status != nixspace.SessionRunning || !got.Since.Equal(at.Add(time.Second)) {
		t.Errorf("got %+v", got)
	}
	stale := run
	stale.Generation, stale.From, stale.To = 7, statuses, nixspace.SessionStopping
	_, err = step(stale)
	wantKind(t, err, nixspace.KindConflict, "session_moved")
	wantKind(t, tx.Sessions().Delete(ctx, s.ID), nixspace.KindConflict, "session_moved")

	if _, err = step(nixspace.SessionChange{Generation: 1, From: statuses, To: nixspace.SessionFailed, Reason: "it broke", At: at}); err != nil {
		t.Fatal(err)
	}
	got, err = step(nixspace.SessionChange{Generation: 1, From: statuses, To: nixspace.SessionCreating, Restart: true, At: at.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if got.Generation != 2 || got.VMID != "" || got.Reason != "" || !got.EndedAt.IsZero() || !got.StartedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("started again: got %+v", got)
	}
	if _, err := d.pool.Exec(ctx, `UPDATE sessions SET generation = generation + 1`); err == nil {
		t.Error("the generation of a session grew while it ran")
	}
	if _, err := step(nixspace.SessionChange{Generation: 2, From: statuses, To: nixspace.SessionStopped, At: at.Add(2 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := tx.Sessions().Delete(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	s.ID, s.Status = nixspace.NewID(), nixspace.SessionCreating
	if err := tx.Sessions().Create(ctx, s); err != nil {
		t.Fatal(err)
	}
	if s.Number != 2 {
		t.Errorf("number of a session after one was removed: got %d, want 2", s.Number)
	}
}

func TestNoticesAndEvents(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	w := newWorld(t, d)
	notices, err := d.Subscribe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b := &nixspace.Build{ID: nixspace.NewID(), VersionID: w.first.ID, Status: nixspace.BuildQueued, CreatedAt: at}
	err = d.InTx(ctx, func(tx nixspace.Tx) error {
		if err := tx.Builds().Create(ctx, b); err != nil {
			return err
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: at, Kind: "build.queued", BuildID: b.ID, Actor: "ada", Message: "queued", Data: map[string]any{"n": 1.0},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[nixspace.Notice]bool{
		{Topic: nixspace.NoticeBuild, ID: b.ID}: true,
		{Topic: nixspace.NoticeEvent}:           true,
	}
	for len(want) > 0 {
		select {
		case n := <-notices:
			if !want[n] {
				t.Errorf("unexpected notice %v", n)
			}
			delete(want, n)
		case <-ctx.Done():
			t.Fatalf("no notice of %v", want)
		}
	}
	es, err := d.Read().Events().After(ctx, 0, 10)
	if err != nil || len(es) != 1 || es[0].BuildID != b.ID || es[0].Data["n"] != 1.0 {
		t.Errorf("got %v, %v", es, err)
	}

	// A lost connection is made again, and every subscriber is told.
	mustExec(t, ctx, d.pool, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()`)
	select {
	case n := <-notices:
		if n.Topic != nixspace.NoticeResync {
			t.Errorf("got %v, want a resync", n)
		}
	case <-ctx.Done():
		t.Fatal("no resync")
	}
}

// TestEventsCommitInOrder has many writers; a reader that always continues after
// the last event it has seen must see them all.
func TestEventsCommitInOrder(t *testing.T) {
	d, ctx := openTest(t), testContext(t)
	const writers, each = 8, 25
	errs := make(chan error, writers)
	for w := range writers {
		go func() {
			for range each {
				err := d.InTx(ctx, func(tx nixspace.Tx) error {
					return tx.Events().Append(ctx, &nixspace.Event{At: at, Kind: "test.event", Actor: fmt.Sprint(w), Message: "x"})
				})
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	seen, last := 0, int64(0)
	for seen < writers*each {
		es, err := d.Read().Events().After(ctx, last, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			seen, last = seen+1, e.Seq
		}
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
