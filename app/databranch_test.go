package app_test

import (
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

func TestBranchWithData(t *testing.T) {
	h := newHost(t)
	h.create(t)
	branch := func(name, session string, edits ...environments.Edit) (*sessions.DataBranch, error) {
		return h.BranchWithData(h.ctx, sessions.BranchWithData{Branch: environments.Branch{From: "shop", Name: name, Edits: edits}, Session: session})
	}
	_, err := branch("early", "")
	wantCode(t, err, nixspace.KindNotFound, "data_none")
	source := h.running(t, "shop")
	h.running(t, "shop")
	if _, err := h.StopSession(h.ctx, "shop/2"); err != nil {
		t.Fatal(err)
	}

	b, err := branch("try", "shop/1", set("env.X", "1")...)
	if err != nil {
		t.Fatal(err)
	}
	if b.Environment.Ref() != "shop/try" || b.Session.Ref() != "shop/try/1" || b.Source.ID != source.ID || b.Consistency != nixspace.ConsistencyCrash {
		t.Errorf("got %+v", b)
	}
	s := h.await(t, b.Session.ID, nixspace.SessionRunning)
	if spec := h.machines.Spec(s.ID); !spec.DiskOnly || spec.Snapshot == "" || spec.Env["X"] != "1" || s.ForkOf != source.ID {
		t.Errorf("got %+v, %+v", spec, s)
	}
	// The newest, which is stopped, is clean.
	b, err = branch("clean", "")
	if err != nil || b.Source.Number != 2 || b.Consistency != nixspace.ConsistencyClean {
		t.Fatalf("got %+v, %v", b, err)
	}
	h.await(t, b.Session.ID, nixspace.SessionRunning)

	_, err = branch("pg16", "shop/1", set("postgresql", "16")...)
	wantCode(t, err, nixspace.KindConflict, "data_major_mismatch")
	_, err = h.Environment(h.ctx, "pg16")
	wantCode(t, err, nixspace.KindNotFound, "environment_unknown")
	_, err = branch("try", "shop/1")
	wantCode(t, err, nixspace.KindExists, "environment_exists")
	_, err = branch("other", "try/1")
	wantCode(t, err, nixspace.KindInvalid, "data_foreign")
	// They go once it is on record that the sessions run.
	for len(h.held(t)) != 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-h.ctx.Done():
			t.Fatalf("snapshots are left: %v", h.held(t))
		}
	}
}

func TestRecover(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	ref := string(s.ID)
	recovered := func(force bool, want nixspace.SessionStatus) {
		t.Helper()
		got, err := h.RecoverSession(h.ctx, ref, force)
		if err != nil || got.Status != want || h.machines.Running(s.ID) {
			t.Errorf("got %+v, %v, want %s", got, err, want)
		}
	}
	_, err := h.RecoverSession(h.ctx, ref, false)
	wantCode(t, err, nixspace.KindConflict, "session_well")
	recovered(true, nixspace.SessionStopped)
	recovered(false, nixspace.SessionStopped)

	h.startSession(t, sessions.StartSession{Ref: ref})
	h.await(t, s.ID, nixspace.SessionRunning)
	h.hibernated(t, ref)
	_, err = h.RecoverSession(h.ctx, ref, false)
	wantCode(t, err, nixspace.KindConflict, "session_well")
	h.machines.Forget(s.ID)
	recovered(false, nixspace.SessionStopped)

	release := h.machines.Hold()
	defer release()
	h.startSession(t, sessions.StartSession{Ref: ref})
	_, err = h.RecoverSession(h.ctx, ref, false)
	wantCode(t, err, nixspace.KindConflict, "session_well")
	recovered(true, nixspace.SessionStopped)
	release()

	// A machine that is gone without a word.
	h.startSession(t, sessions.StartSession{Ref: ref})
	h.await(t, s.ID, nixspace.SessionRunning)
	h.machines.Crash(s.ID, "", true)
	recovered(false, nixspace.SessionStopped)
}
