package app_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

func (h *host) running(t testing.TB, ref string) nixspace.Session {
	t.Helper()
	s := h.startSession(t, sessions.StartSession{Ref: ref})
	return h.await(t, s.ID, nixspace.SessionRunning)
}

func (h *host) hibernated(t testing.TB, ref string) nixspace.Session {
	t.Helper()
	s, err := h.HibernateSession(h.ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestHibernateAndResume(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.running(t, "shop")
	s := h.hibernated(t, "shop/1")
	if s.Status != nixspace.SessionHibernated || s.ReasonCode != "hibernated" || s.Generation != 1 || h.machines.Running(s.ID) {
		t.Errorf("got %+v", s)
	}
	if again := h.hibernated(t, "shop/1"); again.Since != s.Since {
		t.Error("hibernating twice did something")
	}
	if live, err := h.Sessions(h.ctx, "", false); err != nil || len(live) != 1 {
		t.Errorf("it is not listed: %v, %v", live, err)
	}
	next, err := h.ResumeSession(h.ctx, "shop/1")
	if err != nil || next.Status != nixspace.SessionCreating || next.Generation != 2 || !next.Resuming {
		t.Errorf("got %+v, %v", next, err)
	}
	s = h.await(t, s.ID, nixspace.SessionRunning)
	if spec := h.machines.Spec(s.ID); !spec.Resume || spec.Generation != 2 {
		t.Errorf("got %+v", spec)
	}
	if again, err := h.ResumeSession(h.ctx, "shop/1"); err != nil || again.Generation != 2 {
		t.Errorf("resuming what runs: got %+v, %v", again, err)
	}

	// `start` does the same, and a stop ends what is hibernated.
	h.hibernated(t, "shop/1")
	h.startSession(t, sessions.StartSession{Ref: "shop/1"})
	h.await(t, s.ID, nixspace.SessionRunning)
	if !h.machines.Spec(s.ID).Resume {
		t.Error("started again without its memory")
	}
	h.hibernated(t, "shop/1")
	if stopped, err := h.StopSession(h.ctx, "shop/1"); err != nil || stopped.Status != nixspace.SessionStopped {
		t.Errorf("got %+v, %v", stopped, err)
	}
	_, err = h.ResumeSession(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindConflict, "session_not_hibernated")
	_, err = h.HibernateSession(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindConflict, "session_not_running")
	h.startSession(t, sessions.StartSession{Ref: "shop/1"})
	if s := h.await(t, s.ID, nixspace.SessionRunning); s.Resuming || h.machines.Spec(s.ID).Resume {
		t.Error("a stopped session was resumed")
	}
}

// TestWake resumes by traffic, from many sides at once.
func TestWake(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	h.hibernated(t, "shop/1")
	release := h.machines.Hold()
	defer release()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { _, errs[i] = h.Machine(h.ctx, "shop/1") })
	}
	h.await(t, s.ID, nixspace.SessionCreating)
	release()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionRunning || now.Generation != 2 {
		t.Errorf("got %+v, %v: want one resume", now, err)
	}

	// One that gives up does not take the others' resume with it.
	h.hibernated(t, "shop/1")
	release = h.machines.Hold()
	ctx, cancel := context.WithCancel(h.ctx)
	gaveUp := make(chan error, 1)
	go func() {
		_, err := h.Machine(ctx, "shop/1")
		gaveUp <- err
	}()
	h.await(t, s.ID, nixspace.SessionCreating)
	cancel()
	wantCode(t, <-gaveUp, nixspace.KindCanceled, "canceled")
	release()
	h.await(t, s.ID, nixspace.SessionRunning)
}

func TestHibernateFails(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	h.machines.FailSnapshots(nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk is full"))
	_, err := h.HibernateSession(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindLimit, "hibernate_failed")
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionRunning || !h.machines.Running(s.ID) {
		t.Errorf("got %+v, %v", now, err)
	}
	h.machines.FailSnapshots(nil)

	// A resume that does not come up keeps the memory, and says why.
	h.hibernated(t, "shop/1")
	h.machines.Fail(nixspace.Errorf(nixspace.KindLimit, "memory_short", "the host has no 512 MiB left"))
	_, err = h.Machine(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindUnavailable, "resume_failed")
	now, err := h.Session(h.ctx, "shop/1")
	if err != nil || now.Status != nixspace.SessionHibernated || now.ReasonCode != "memory_short" {
		t.Errorf("got %+v, %v", now, err)
	}
	h.machines.Fail(nil)
	if _, err := h.Machine(h.ctx, "shop/1"); err != nil {
		t.Error(err)
	}
}

// TestLateReports: what a runner said before it hibernated, and says afterwards,
// changes nothing.
func TestLateReports(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	h.hibernated(t, "shop/1")
	for _, status := range []nixspace.SessionStatus{nixspace.SessionRunning, nixspace.SessionStopped, nixspace.SessionFailed} {
		h.machines.Tell(nixspace.MachineStatus{SessionID: s.ID, Generation: 1, Status: status, Reason: "late"})
	}
	h.heard(t)
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionHibernated {
		t.Errorf("got %+v, %v", now, err)
	}
	if has, err := h.machines.Hibernated(h.ctx, s.ID); err != nil || !has {
		t.Error("its memory is gone")
	}
}

// heard returns once all that was told before has been applied.
func (h *host) heard(t testing.TB) {
	t.Helper()
	other := h.running(t, "shop")
	h.machines.Crash(other.ID, "heard", false)
	h.await(t, other.ID, nixspace.SessionFailed)
}

func TestMachineHibernatesByItself(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.running(t, "shop")
	m, err := h.machines.Attach(h.ctx, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.(nixspace.Snapshotter).Hibernate(h.ctx); err != nil {
		t.Fatal(err)
	}
	h.await(t, s.ID, nixspace.SessionHibernated)
}

func TestIdleSessionsHibernate(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.stop()
	h.hibernateAfter = time.Minute
	h.start(t)
	idle, busy := h.running(t, "shop"), h.running(t, "shop")
	m, err := h.Machine(h.ctx, string(busy.ID))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := m.Dial(h.ctx, 8080)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * time.Minute)
	if err := h.App.Sweep(h.ctx, later); err != nil {
		t.Fatal(err)
	}
	if s := h.await(t, idle.ID, nixspace.SessionHibernated); s.ReasonCode != "idle" {
		t.Errorf("got %+v", s)
	}
	if now, err := h.Session(h.ctx, string(busy.ID)); err != nil || now.Status != nixspace.SessionRunning || now.LastActivity.Before(later.Add(-time.Second)) {
		t.Errorf("the one that is worked in: got %+v, %v", now, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.App.Sweep(h.ctx, later.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	h.await(t, busy.ID, nixspace.SessionHibernated)
}

// An environment says itself how long its sessions may be idle, and what was done in
// one is told apart.
func TestIdleByEnvironment(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.stop()
	h.hibernateAfter = time.Hour
	h.start(t)
	h.branch(t, "shop", "soon", environments.Edit{Op: nixspace.ChangeSet, Key: "session.hibernate-after", Value: "2m"})
	h.branch(t, "shop", "never", environments.Edit{Op: nixspace.ChangeSet, Key: "session.hibernate-after", Value: "never"})
	soon, never, other := h.running(t, "soon"), h.running(t, "never"), h.running(t, "shop")
	for want, s := range map[time.Duration]nixspace.Session{2 * time.Minute: soon, 0: never, time.Hour: other} {
		if got, err := h.HibernateAfter(h.ctx, s.EnvironmentVersionID); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", s.Ref(), got, err, want)
		}
	}
	m, err := h.Machine(h.ctx, string(soon.ID))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := m.Dial(h.ctx, 8080)
	if err != nil {
		t.Fatal(err)
	}
	doing := func() []nixspace.Activity {
		t.Helper()
		got, err := h.SessionActivity(h.ctx, string(soon.ID))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := doing(); len(got) != 1 || got[0].Kind != nixspace.ActivityConnection || got[0].Open != 1 || got[0].Last.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if got := doing(); len(got) != 1 || got[0].Open != 0 {
		t.Errorf("%+v", got)
	}
	if err := h.App.Sweep(h.ctx, time.Now().Add(3*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if s := h.await(t, soon.ID, nixspace.SessionHibernated); s.Reason != "nobody worked in it for 2m0s; the last was connection" {
		t.Errorf("%q", s.Reason)
	}
	if err := h.App.Sweep(h.ctx, time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	h.await(t, other.ID, nixspace.SessionHibernated)
	if s, err := h.Session(h.ctx, string(never.ID)); err != nil || s.Status != nixspace.SessionRunning {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestReconcileHibernation leaves what a server leaves that is killed while a
// session hibernates or resumes.
func TestReconcileHibernation(t *testing.T) {
	h := newHost(t)
	h.create(t)
	var ss []nixspace.Session
	for range 4 {
		ss = append(ss, h.running(t, "shop"))
	}
	hibernating, resuming, asleep, lost := ss[0], ss[1], ss[2], ss[3]
	for _, s := range ss[1:] {
		h.hibernated(t, string(s.ID))
	}
	h.stop()
	m, err := h.machines.Attach(h.ctx, hibernating.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.(nixspace.Snapshotter).Hibernate(h.ctx); err != nil {
		t.Fatal(err)
	}
	_, err = h.db.Read().Sessions().Transition(h.ctx, nixspace.SessionChange{
		ID: resuming.ID, Generation: 1, From: []nixspace.SessionStatus{nixspace.SessionHibernated}, To: nixspace.SessionCreating,
		Restart: true, Resume: true, At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.machines.Forget(lost.ID)
	h.start(t)
	if err := h.Reconcile(h.ctx); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		id     nixspace.ID
		status nixspace.SessionStatus
		code   string
	}{
		{"it hibernated, and nobody recorded it", hibernating.ID, nixspace.SessionHibernated, "hibernated"},
		{"it was about to resume", resuming.ID, nixspace.SessionHibernated, "interrupted"},
		{"it was hibernated", asleep.ID, nixspace.SessionHibernated, "hibernated"},
		{"its memory is gone", lost.ID, nixspace.SessionFailed, "memory_lost"},
	} {
		now, err := h.Session(h.ctx, string(test.id))
		if err != nil || now.Status != test.status || now.ReasonCode != test.code {
			t.Errorf("%s: got %s (%s), %v", test.name, now.Status, now.ReasonCode, err)
			continue
		}
		if test.status == nixspace.SessionHibernated {
			if _, err := h.Machine(h.ctx, string(test.id)); err != nil || !h.machines.Spec(test.id).Resume {
				t.Errorf("%s: resume: %v", test.name, err)
			}
		}
	}
}

// TestDatabaseAway has the database away when something is recorded that has happened
// already: that a machine came up, and that one did not. Nothing of it is lost, be it
// for a moment or for longer than anybody tries.
func TestDatabaseAway(t *testing.T) {
	h := newHost(t)
	h.create(t)
	release := h.machines.Hold()
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.away.kind = nixspace.KindUnavailable
	h.away.writes.Store(3)
	release()
	h.await(t, s.ID, nixspace.SessionRunning)
	h.hibernated(t, string(s.ID))

	h.machines.Fail(errors.New("no machine"))
	for _, kind := range []nixspace.Kind{nixspace.KindUnavailable, nixspace.KindInternal} {
		release := h.machines.Hold()
		if _, err := h.ResumeSession(h.ctx, string(s.ID)); err != nil {
			t.Fatal(err)
		}
		h.away.kind = kind
		h.away.writes.Store(1)
		release()
		if kind == nixspace.KindInternal { // which nobody tries again
			for now := s; now.Status != nixspace.SessionHibernated || h.away.writes.Load() >= 0; {
				if err := h.App.Sweep(h.ctx, time.Now().Add(2*time.Minute)); err != nil {
					t.Fatal(err)
				}
				got, err := h.Session(h.ctx, string(s.ID))
				if err != nil {
					t.Fatal(err)
				}
				now = *got
			}
		}
		h.await(t, s.ID, nixspace.SessionHibernated)
	}
	h.machines.Fail(nil)
	if _, err := h.Machine(h.ctx, string(s.ID)); err != nil || !h.machines.Spec(s.ID).Resume {
		t.Errorf("its memory is gone: %v", err)
	}
}
