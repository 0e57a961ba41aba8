package app_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/sessions"
)

func (h *host) held(t testing.TB) []nixspace.ID {
	t.Helper()
	infos, err := h.machines.Snapshots(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	var ids []nixspace.ID
	for _, i := range infos {
		ids = append(ids, i.ID)
	}
	return ids
}

func TestSnapshots(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	one, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1"})
	if err != nil {
		t.Fatal(err)
	}
	if one.Ref() != "shop/shop@s1" || one.State != nixspace.SnapshotReady || !one.Memory || one.Session != "shop/shop/1" || one.Size <= one.Shared {
		t.Errorf("got %+v", one)
	}
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionRunning || now.Generation != 1 {
		t.Errorf("the session does not go on: %+v, %v", now, err)
	}
	_, err = h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "s1"})
	wantCode(t, err, nixspace.KindExists, "snapshot_exists")
	_, err = h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "Über"})
	wantCode(t, err, nixspace.KindInvalid, "name_invalid")

	// Hibernated it has memory, and stays hibernated; stopped it is a disk.
	h.hibernated(t, "shop/1")
	if two, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "asleep"}); err != nil || !two.Memory {
		t.Errorf("got %+v, %v", two, err)
	}
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionHibernated {
		t.Errorf("got %+v, %v", now, err)
	}
	if _, err := h.StopSession(h.ctx, "shop/1"); err != nil {
		t.Fatal(err)
	}
	if disk, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "disk"}); err != nil || disk.Memory || disk.Consistency != nixspace.ConsistencyClean {
		t.Errorf("got %+v, %v", disk, err)
	}

	// A session from it, and a snapshot of that: the lineage.
	restored, err := h.RestoreSnapshot(h.ctx, sessions.RestoreSnapshot{Ref: "shop@s1"})
	if err != nil {
		t.Fatal(err)
	}
	now := h.await(t, restored.ID, nixspace.SessionRunning)
	if now.SnapshotID != one.ID || now.ForkOf != s.ID || now.NeedsSnapshot != "" || now.DiskOnly {
		t.Errorf("got %+v", now)
	}
	if spec := h.machines.Spec(restored.ID); spec.Snapshot != one.ID || spec.DiskOnly || spec.Throwaway {
		t.Errorf("got %+v", spec)
	}
	child, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: string(restored.ID), Name: "child"})
	if err != nil || child.ParentID != one.ID {
		t.Errorf("got %+v, %v", child, err)
	}
	all, err := h.Snapshots(h.ctx, "shop", false)
	if err != nil || len(all) != 4 || all[0].Name != "child" {
		t.Errorf("got %v, %v", all, err)
	}
	if some, err := h.Snapshots(h.ctx, "shop/1", false); err != nil || len(some) != 3 {
		t.Errorf("got %v, %v", some, err)
	}
	// Started again it has a disk of its own, and needs the snapshot no more.
	if _, err := h.StopSession(h.ctx, string(restored.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.RemoveSnapshot(h.ctx, "shop@s1"); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(h.held(t), one.ID) {
		t.Error("its files are left")
	}
	if child, err := h.Snapshot(h.ctx, "shop@child"); err != nil || child.ParentID != "" {
		t.Errorf("its child: got %+v, %v", child, err)
	}
	h.startSession(t, sessions.StartSession{Ref: string(restored.ID)})
	h.await(t, restored.ID, nixspace.SessionRunning)
	if h.machines.Spec(restored.ID).Snapshot != "" {
		t.Error("its own disk would have been replaced")
	}
	_, err = h.RestoreSnapshot(h.ctx, sessions.RestoreSnapshot{Ref: "shop@s1"})
	wantCode(t, err, nixspace.KindNotFound, "snapshot_unknown")
}

// TestSnapshotInUse: a session that has no disk of its own yet keeps what it will
// be made from.
func TestSnapshotInUse(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.running(t, "shop")
	if _, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1"}); err != nil {
		t.Fatal(err)
	}
	h.machines.Fail(nixspace.Errorf(nixspace.KindLimit, "memory_short", "the host has no 512 MiB left"))
	s, err := h.RestoreSnapshot(h.ctx, sessions.RestoreSnapshot{Ref: "shop@s1"})
	if err != nil {
		t.Fatal(err)
	}
	h.await(t, s.ID, nixspace.SessionFailed)
	_, err = h.RemoveSnapshot(h.ctx, "shop@s1")
	wantCode(t, err, nixspace.KindConflict, "snapshot_in_use")
	h.machines.Fail(nil)
	h.startSession(t, sessions.StartSession{Ref: string(s.ID)})
	h.await(t, s.ID, nixspace.SessionRunning)
	if spec := h.machines.Spec(s.ID); spec.Snapshot == "" || spec.Generation != 2 {
		t.Errorf("got %+v", spec)
	}
	if _, err = h.RemoveSnapshot(h.ctx, "shop@s1"); err != nil {
		t.Error(err)
	}

	// A throw-away shares memory with it for as long as it lives.
	if _, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "x"}); err != nil {
		t.Fatal(err)
	}
	s, err = h.RestoreSnapshot(h.ctx, sessions.RestoreSnapshot{Ref: "shop@x", Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	h.await(t, s.ID, nixspace.SessionRunning)
	_, err = h.RemoveSnapshot(h.ctx, "shop@x")
	wantCode(t, err, nixspace.KindConflict, "snapshot_in_use")
	_, err = h.HibernateSession(h.ctx, string(s.ID))
	wantCode(t, err, nixspace.KindConflict, "session_throwaway")
	_, _, err = h.Fork(h.ctx, sessions.Fork{Session: string(s.ID)})
	wantCode(t, err, nixspace.KindConflict, "session_throwaway")
	if _, err := h.StopSession(h.ctx, string(s.ID)); err != nil || h.machines.HasDisk(s.ID) {
		t.Errorf("its disk is left, or %v", err)
	}
	_, err = h.StartSession(h.ctx, sessions.StartSession{Ref: string(s.ID)})
	wantCode(t, err, nixspace.KindConflict, "session_throwaway")
	if _, err = h.RemoveSnapshot(h.ctx, "shop@x"); err != nil {
		t.Error(err)
	}
}

func TestFork(t *testing.T) {
	h := newHost(t)
	h.create(t)
	origin := h.running(t, "shop")
	snap, forks, err := h.Fork(h.ctx, sessions.Fork{Session: "shop/1", Count: 3})
	if err != nil || len(forks) != 3 || snap.Name != "" || !snap.Implicit {
		t.Fatalf("got %+v, %v, %v", snap, forks, err)
	}
	for _, f := range forks {
		now := h.await(t, f.ID, nixspace.SessionRunning)
		if now.ForkOf != origin.ID || now.SnapshotID != snap.ID || now.EnvironmentVersionID != origin.EnvironmentVersionID {
			t.Errorf("got %+v", now)
		}
		if h.machines.Began(f.ID) != snap.ID {
			t.Errorf("fork %s began from %q", f.Ref(), h.machines.Began(f.ID))
		}
	}
	if err := h.App.Sweep(h.ctx, origin.Since); err != nil {
		t.Fatal(err)
	}
	if ids := h.held(t); len(ids) != 0 {
		t.Errorf("the snapshot of a fork is left: %v", ids)
	}

	// Some fail: the others do not, and the snapshot stays for another try.
	release := h.machines.Hold()
	snap, forks, err = h.Fork(h.ctx, sessions.Fork{Session: "shop/1", Count: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.StopSession(h.ctx, string(forks[0].ID)); err != nil {
		t.Fatal(err)
	}
	release()
	h.await(t, forks[1].ID, nixspace.SessionRunning)
	if ids := h.held(t); !slices.Equal(ids, []nixspace.ID{snap.ID}) {
		t.Errorf("held: %v", ids)
	}
	if err := h.RemoveSession(h.ctx, string(forks[0].ID)); err != nil {
		t.Fatal(err)
	}
	if ids := h.held(t); len(ids) != 0 {
		t.Errorf("held: %v", ids)
	}

	// A fork that fails leaves nothing.
	h.machines.FailSnapshots(errors.New("broken"))
	if _, _, err = h.Fork(h.ctx, sessions.Fork{Session: "shop/1"}); err == nil {
		t.Error("a broken machine was forked")
	}
	if all, err := h.Snapshots(h.ctx, "", true); err != nil || len(all) != 0 {
		t.Errorf("left: %v, %v", all, err)
	}
	_, _, err = h.Fork(h.ctx, sessions.Fork{Session: "shop/1", Count: 1000})
	wantCode(t, err, nixspace.KindInvalid, "count_invalid")
}

// TestReconcileSnapshots leaves rows and files as crashes do.
func TestReconcileSnapshots(t *testing.T) {
	h := newHost(t)
	env := h.create(t)
	s := h.running(t, "shop")
	kept, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	lost, err := h.TakeSnapshot(h.ctx, sessions.TakeSnapshot{Session: "shop/1", Name: "lost"})
	if err != nil {
		t.Fatal(err)
	}
	h.hibernated(t, "shop/1")
	h.stop()
	half := nixspace.Snapshot{
		ID: nixspace.NewID(), EnvironmentID: env.ID, VersionID: env.Head, SessionID: s.ID, SessionNumber: 1, Name: "half",
		State: nixspace.SnapshotTaking, CreatedAt: s.Since, CreatedBy: s.CreatedBy,
	}
	if err := h.db.Read().Snapshots().Create(h.ctx, &half); err != nil {
		t.Fatal(err)
	}
	h.machines.PutSnapshot(nixspace.SnapshotInfo{ID: half.ID})
	h.machines.PutSnapshot(nixspace.SnapshotInfo{ID: nixspace.NewID()})
	if err := h.machines.RemoveSnapshot(h.ctx, lost.ID); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	if err := h.Reconcile(h.ctx); err != nil {
		t.Fatal(err)
	}
	if ids := h.held(t); !slices.Equal(ids, []nixspace.ID{kept.ID}) {
		t.Errorf("held: %v, want %s", ids, kept.ID)
	}
	all, err := h.Snapshots(h.ctx, "", true)
	if err != nil || len(all) != 2 {
		t.Errorf("got %v, %v", all, err)
	}
	_, err = h.RestoreSnapshot(h.ctx, sessions.RestoreSnapshot{Ref: "shop@lost"})
	wantCode(t, err, nixspace.KindNotFound, "snapshot_lost")
	if _, err := h.RemoveSnapshot(h.ctx, "shop@lost"); err != nil {
		t.Error(err)
	}
}
