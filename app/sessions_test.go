package app_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

func (h *host) startSession(t testing.TB, in sessions.StartSession) nixspace.Session {
	t.Helper()
	s, err := h.StartSession(h.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

func TestSession(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	if s.Ref() != "shop/shop/1" || s.Status != nixspace.SessionCreating || s.Generation != 1 {
		t.Errorf("got %+v", s)
	}
	s = h.await(t, s.ID, nixspace.SessionRunning)
	if s.VMID != "vm-shop-1" || s.Driver != "fake" || s.Isolation == "" {
		t.Errorf("got %+v", s)
	}
	spec := h.machines.Spec(s.ID)
	v, err := h.Version(h.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if spec.Environment != v.OutPath || spec.Hostname != "shop-1" || spec.Generation != 1 || !strings.Contains(spec.Base, "nixspaceBase") {
		t.Errorf("got %+v", spec)
	}
	if len(spec.Services) != 1 || spec.Services[0].Name != "postgresql" || spec.Env["PGDATABASE"] != "shop" || spec.Env["NODE_ENV"] != "development" ||
		spec.MemoryMiB != 512 || spec.CPUs != 1 || spec.DiskMiB != 4096 {
		t.Errorf("services, variables and resources: got %+v", spec)
	}
	var layers []string
	for _, l := range spec.Layers {
		layers = append(layers, l.Name)
	}
	if !slices.Equal(layers, []string{"base", "nodejs_22", "postgresql_15", "environment"}) {
		t.Errorf("layers: got %v", layers)
	}
	if _, err := h.Machine(h.ctx, "shop/1"); err != nil {
		t.Error(err)
	}
	wantCode(t, h.RemoveSession(h.ctx, "shop/1"), nixspace.KindConflict, "session_not_stopped")
	_, err = h.StartSession(h.ctx, sessions.StartSession{Ref: "shop/1"})
	wantCode(t, err, nixspace.KindConflict, "session_not_stopped")

	stopped, err := h.StopSession(h.ctx, "shop/shop/1")
	if err != nil || stopped.Status != nixspace.SessionStopped || stopped.Reason != "stopped by ada" || h.machines.Running(s.ID) {
		t.Errorf("got %+v, %v", stopped, err)
	}
	if again, err := h.StopSession(h.ctx, "shop/1"); err != nil || again.Status != nixspace.SessionStopped {
		t.Errorf("a second time: got %+v, %v", again, err)
	}
	_, err = h.Machine(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindConflict, "session_not_running")

	// Started again it has its disk, and the next generation.
	if !h.machines.HasDisk(s.ID) {
		t.Error("the disk of a stopped session is gone")
	}
	h.startSession(t, sessions.StartSession{Ref: "shop/1"})
	s = h.await(t, s.ID, nixspace.SessionRunning)
	if s.Generation != 2 || s.Number != 1 || s.Reason != "" {
		t.Errorf("got %+v", s)
	}
	if _, err := h.StopSession(h.ctx, string(s.ID)); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveSession(h.ctx, "shop/1"); err != nil {
		t.Fatal(err)
	}
	if h.machines.HasDisk(s.ID) {
		t.Error("the disk of a removed session is left")
	}
	_, err = h.Session(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindNotFound, "session_unknown")
}

func TestSessionsList(t *testing.T) {
	h := newHost(t)
	h.create(t)
	one := h.startSession(t, sessions.StartSession{Ref: "shop"})
	two := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, one.ID, nixspace.SessionRunning)
	h.await(t, two.ID, nixspace.SessionRunning)
	if _, err := h.StopSession(h.ctx, "shop/1"); err != nil {
		t.Fatal(err)
	}
	live, err := h.Sessions(h.ctx, "", false)
	if err != nil || len(live) != 1 || live[0].Number != 2 {
		t.Errorf("live: got %v, %v", live, err)
	}
	if all, err := h.Sessions(h.ctx, "shop", true); err != nil || len(all) != 2 || all[0].Number != 2 {
		t.Errorf("all: got %v, %v", all, err)
	}
}

func TestSessionBuildsFirst(t *testing.T) {
	h := newHost(t)
	_, b := branchAbsent(t, h)
	h.keepWorking(t)
	s := h.startSession(t, sessions.StartSession{Ref: "pg13"})
	h.await(t, s.ID, nixspace.SessionRunning)
	if b, err := h.BuildByID(h.ctx, b.ID); err != nil || b.Status != nixspace.BuildSucceeded {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestSessionFails(t *testing.T) {
	h := newHost(t)
	h.create(t)
	h.machines.Fail(nixspace.Errorf(nixspace.KindLimit, "memory_short", "the host has no 512 MiB left"))
	s := h.startSession(t, sessions.StartSession{Ref: "shop", Ephemeral: true})
	s = h.await(t, s.ID, nixspace.SessionFailed)
	if s.ReasonCode != "memory_short" || s.EndedAt.IsZero() || h.machines.HasDisk(s.ID) {
		t.Errorf("got %+v", s)
	}

	h.machines.Fail(nil)
	h.packages.SetPresent(false, "postgresql_14")
	h.packages.Fail(nixspace.Errorf(nixspace.KindBuild, "no_network", "there is no network"))
	if _, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg14", Edits: set("postgresql", "14")}); err != nil {
		t.Fatal(err)
	}
	h.keepWorking(t)
	s = h.startSession(t, sessions.StartSession{Ref: "pg14"})
	s = h.await(t, s.ID, nixspace.SessionFailed)
	if s.ReasonCode != "build_failed" || !strings.Contains(s.Reason, "there is no network") {
		t.Errorf("got %+v", s)
	}
}

func TestSessionIsStoppedWhileItStarts(t *testing.T) {
	h := newHost(t)
	h.create(t)
	defer h.machines.Hold()()
	s := h.startSession(t, sessions.StartSession{Ref: "shop", Ephemeral: true})
	stopped, err := h.StopSession(h.ctx, "shop/1")
	if err != nil || stopped.Status != nixspace.SessionStopped {
		t.Errorf("got %+v, %v", stopped, err)
	}
	if h.machines.Running(s.ID) || h.machines.HasDisk(s.ID) {
		t.Error("something of its machine is left")
	}
}

func TestMachineEndsByItself(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, s.ID, nixspace.SessionRunning)
	h.machines.Crash(s.ID, "the guest panicked", false)
	s = h.await(t, s.ID, nixspace.SessionFailed)
	if s.Reason != "the guest panicked" || s.ReasonCode != "crashed" {
		t.Errorf("got %+v", s)
	}

	// Nobody said a word: whoever wants to work in it notices.
	h.startSession(t, sessions.StartSession{Ref: "shop/1"})
	h.await(t, s.ID, nixspace.SessionRunning)
	h.machines.Crash(s.ID, "", true)
	_, err := h.Machine(h.ctx, "shop/1")
	wantCode(t, err, nixspace.KindConflict, "machine_lost")
	s = h.await(t, s.ID, nixspace.SessionFailed)
	if s.ReasonCode != "machine_lost" {
		t.Errorf("got %+v", s)
	}
}

func TestStaleReportsAreIgnored(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, s.ID, nixspace.SessionRunning)
	if _, err := h.StopSession(h.ctx, "shop/1"); err != nil {
		t.Fatal(err)
	}
	h.startSession(t, sessions.StartSession{Ref: "shop/1"})
	h.await(t, s.ID, nixspace.SessionRunning)
	// The runner of the first generation was away, and speaks up now.
	old := nixspace.MachineStatus{SessionID: s.ID, Generation: 1, Status: nixspace.SessionFailed, Reason: "late"}
	h.machines.Tell(old)
	// What is sent after it has been applied shows that it was heard.
	other := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, other.ID, nixspace.SessionRunning)
	h.machines.Crash(other.ID, "heard", false)
	h.await(t, other.ID, nixspace.SessionFailed)
	if now, err := h.Session(h.ctx, "shop/1"); err != nil || now.Status != nixspace.SessionRunning || now.Generation != 2 {
		t.Errorf("got %+v, %v", now, err)
	}
}

func TestShutdownWhileStarting(t *testing.T) {
	h := newHost(t)
	h.create(t)
	defer h.machines.Hold()()
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	updates, err := h.WatchSession(ctx, string(s.ID))
	if err != nil {
		t.Fatal(err)
	}
	for u := range updates {
		if u.Progress != nil { // its machine boots
			cancel()
		}
	}
	h.stop()
	now, err := h.db.Read().Sessions().ByID(h.ctx, s.ID)
	if err != nil || now.Status != nixspace.SessionFailed || now.ReasonCode != "interrupted" {
		t.Errorf("got %+v, %v", now, err)
	}
	_, err = h.StartSession(h.ctx, sessions.StartSession{Ref: "shop"})
	wantCode(t, err, nixspace.KindUnavailable, "shutting_down")
}

// TestReconcile leaves rows and machines as crashes do, and checks that the next
// server puts all of them right.
func TestReconcile(t *testing.T) {
	h := newHost(t)
	env := h.create(t)
	h.stop()

	user, err := h.Owner(h.ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	row := func(status nixspace.SessionStatus, ephemeral bool, steps ...nixspace.SessionStatus) nixspace.Session {
		s := nixspace.Session{
			ID: nixspace.NewID(), EnvironmentID: env.ID, EnvironmentVersionID: env.Head, Status: nixspace.SessionCreating,
			Generation: 1, Ephemeral: ephemeral, StartedAt: at, Since: at, LastActivity: at, CreatedBy: user.ID,
		}
		if err := h.db.Read().Sessions().Create(h.ctx, &s); err != nil {
			t.Fatal(err)
		}
		for _, to := range append(steps, status) {
			if to == s.Status {
				continue
			}
			now, err := h.db.Read().Sessions().Transition(h.ctx, nixspace.SessionChange{
				ID: s.ID, Generation: 1, From: []nixspace.SessionStatus{s.Status}, To: to, At: at,
			})
			if err != nil {
				t.Fatal(err)
			}
			s = *now
		}
		return s
	}
	run := func(s nixspace.Session, generation int64, status nixspace.SessionStatus) {
		h.machines.Put(nixspace.MachineStatus{SessionID: s.ID, Generation: generation, Status: status, VMID: "vm-x"})
	}
	running := nixspace.SessionRunning

	survivor := row(running, false)
	run(survivor, 1, running)
	gone := row(running, false)
	cameUp := row(nixspace.SessionCreating, false)
	run(cameUp, 1, running)
	coming := row(nixspace.SessionCreating, false)
	run(coming, 1, nixspace.SessionCreating)
	halfway := row(nixspace.SessionCreating, true)
	stopping := row(nixspace.SessionStopping, false, running)
	run(stopping, 1, running)
	stale := row(running, false)
	run(stale, 7, running)
	stopped := row(nixspace.SessionStopped, true, running)
	run(stopped, 1, running)
	orphan := nixspace.Session{ID: nixspace.NewID()}
	run(orphan, 1, running)

	// Two builds: one that a dead server was working on, one that waits.
	var builds []nixspace.ID
	for i, status := range []nixspace.BuildStatus{nixspace.BuildRunning, nixspace.BuildQueued} {
		_, v, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: []string{"x1", "x2"}[i], Edits: set("env.X", []string{"1", "2"}[i])})
		if err != nil {
			t.Fatal(err)
		}
		for b, err := range builtOf(h, v.ID) {
			if err != nil {
				t.Fatal(err)
			}
			b.Status, b.FinishedAt = nixspace.BuildCanceled, at
			if _, err := h.db.Read().Builds().Transition(h.ctx, &b, nixspace.BuildRunning, nixspace.BuildQueued); err != nil {
				t.Fatal(err)
			}
		}
		b := nixspace.Build{ID: nixspace.NewID(), VersionID: v.ID, Status: status, CreatedAt: at.Add(time.Second)}
		if status == nixspace.BuildRunning {
			b.StartedAt = at.Add(time.Second)
		}
		if err := h.db.Read().Builds().Create(h.ctx, &b); err != nil {
			t.Fatal(err)
		}
		builds = append(builds, b.ID)
	}
	h.jobs.Take()

	h.start(t)
	if err := h.Reconcile(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		session nixspace.Session
		status  nixspace.SessionStatus
		code    string
		machine bool
		disk    bool
	}{
		{"a machine that survived", survivor, running, "", true, true},
		{"a machine that is gone", gone, nixspace.SessionFailed, "machine_lost", false, false},
		{"a machine that came up meanwhile", cameUp, running, "", true, true},
		{"a machine that is coming up", coming, nixspace.SessionCreating, "", true, true},
		{"a start that was interrupted", halfway, nixspace.SessionFailed, "interrupted", false, false},
		{"a stop that was interrupted", stopping, nixspace.SessionStopped, "", false, true},
		{"a machine of another generation", stale, nixspace.SessionFailed, "machine_lost", false, true},
		{"a machine of a stopped, ephemeral session", stopped, nixspace.SessionStopped, "", false, false},
		{"a machine without a session", orphan, "", "", false, false},
	} {
		if h.machines.Running(test.session.ID) != test.machine {
			t.Errorf("%s: running is %t", test.name, !test.machine)
		}
		if h.machines.HasDisk(test.session.ID) != test.disk {
			t.Errorf("%s: having a disk is %t", test.name, !test.disk)
		}
		if test.status == "" {
			continue
		}
		now, err := h.Session(h.ctx, string(test.session.ID))
		if err != nil || now.Status != test.status || now.ReasonCode != test.code {
			t.Errorf("%s: got %s (%s), %v, want %s (%s)", test.name, now.Status, now.ReasonCode, err, test.status, test.code)
		}
	}
	queued := h.jobs.Take()
	slices.Sort(queued)
	slices.Sort(builds)
	if !slices.Equal(queued, builds) {
		t.Errorf("queued again: got %v, want %v", queued, builds)
	}
	for _, id := range queued {
		if err := h.RunBuild(context.Background(), id); err != nil {
			t.Error(err)
		}
		if b, err := h.BuildByID(h.ctx, id); err != nil || b.Status != nixspace.BuildSucceeded {
			t.Errorf("got %+v, %v", b, err)
		}
	}
	// The one that was coming up gets there, and Run hears of it.
	run(coming, 1, running)
	h.await(t, coming.ID, running)

	// A second time there is nothing to do.
	if err := h.Reconcile(context.Background()); err != nil {
		t.Error(err)
	}
	if now, err := h.Session(h.ctx, string(survivor.ID)); err != nil || now.Status != running {
		t.Errorf("got %+v, %v", now, err)
	}
}

// builtOf yields the builds of a version.
func builtOf(h *host, version nixspace.ID) func(func(nixspace.Build, error) bool) {
	return func(yield func(nixspace.Build, error) bool) {
		bs, err := h.db.Read().Builds().List(h.ctx, version)
		if err != nil {
			yield(nixspace.Build{}, err)
			return
		}
		for _, b := range bs {
			if !b.Status.Final() && !yield(b, nil) {
				return
			}
		}
	}
}
