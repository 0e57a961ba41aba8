package app_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
)

// branchAbsent makes a branch that needs a package which is not in the store.
func branchAbsent(t testing.TB, h *host) (*nixspace.Version, *nixspace.Build) {
	t.Helper()
	h.create(t)
	h.packages.SetPresent(false, "postgresql_13")
	_, v, b, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "pg13", Edits: set("postgresql", "13")})
	if err != nil {
		t.Fatal(err)
	}
	return v, b
}

func watch(t testing.TB, h *host, id nixspace.ID) <-chan nixspace.BuildUpdate {
	t.Helper()
	c, err := h.WatchBuild(h.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// gather reads all that a watch sends.
func gather(t testing.TB, c <-chan nixspace.BuildUpdate) (states []nixspace.BuildStatus, log []string, progress int) {
	t.Helper()
	seq := int64(0)
	for u := range c {
		switch {
		case u.Build != nil:
			states = append(states, u.Build.Status)
		case u.Line != nil:
			if seq++; u.Line.Seq != seq {
				t.Errorf("line %d came in place of %d", u.Line.Seq, seq)
			}
			log = append(log, u.Line.Text)
		case u.Progress != nil:
			progress++
		default:
			t.Error("an empty update")
		}
	}
	return states, log, progress
}

func TestBuildIsQueued(t *testing.T) {
	h := newHost(t)
	v, b := branchAbsent(t, h)
	if b.Status != nixspace.BuildQueued {
		t.Fatalf("got %+v", b)
	}
	if again, err := h.Build(h.ctx, "pg13"); err != nil || again.ID != b.ID {
		t.Errorf("a build is under way, and another began: %+v, %v", again, err)
	}
	_, err := h.Realisation(h.ctx, "pg13")
	wantCode(t, err, nixspace.KindNotFound, "realisation_unknown")

	release := h.packages.Hold()
	first, second := watch(t, h, b.ID), watch(t, h, b.ID)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.work(t)
	}()
	watched := make(chan struct{})
	var states []nixspace.BuildStatus
	var log []string
	var progress int
	go func() {
		defer close(watched)
		states, log, progress = gather(t, second)
	}()
	for u := range first {
		if u.Line != nil { // it works: let it go on
			release()
		}
	}
	<-done
	<-watched
	if states[len(states)-1] != nixspace.BuildSucceeded || !slices.Contains(log, "realising nodejs_22 postgresql_13") || progress == 0 {
		t.Errorf("got states %v, log %q, %d reports of progress", states, log, progress)
	}
	r, err := h.Realisation(h.ctx, "pg13")
	if err != nil || r.DrvPath != v.DrvPath {
		t.Errorf("got %+v, %v", r, err)
	}
	// What is final is replayed.
	states, log, _ = gather(t, watch(t, h, b.ID))
	if !slices.Equal(states, []nixspace.BuildStatus{nixspace.BuildSucceeded}) || len(log) != 1 {
		t.Errorf("replay: got states %v, log %q", states, log)
	}
	if lines, err := h.BuildLog(h.ctx, b.ID, 0, 10); err != nil || len(lines) != 1 {
		t.Errorf("got %v, %v", lines, err)
	}
	if again, err := h.Build(h.ctx, "pg13"); err != nil || again.ID != b.ID {
		t.Errorf("what is built was built again: %+v, %v", again, err)
	}
	// Running a job again does nothing.
	runs := h.packages.Runs()
	if err := h.RunBuild(h.ctx, b.ID); err != nil || h.packages.Runs() != runs {
		t.Errorf("a final build ran again: %v", err)
	}
	// What the store has lost is built anew.
	h.packages.Collect(v.OutPath)
	again, err := h.Build(h.ctx, "pg13")
	if err != nil || again.ID == b.ID || again.Status != nixspace.BuildSucceeded {
		t.Errorf("got %+v, %v", again, err)
	}
	if bs, err := h.Builds(h.ctx, "pg13"); err != nil || len(bs) != 2 || bs[0].ID != again.ID {
		t.Errorf("got %v, %v", bs, err)
	}
}

func TestBuildFails(t *testing.T) {
	h := newHost(t)
	_, b := branchAbsent(t, h)
	h.packages.Fail(nixspace.Errorf(nixspace.KindBuild, "hash_mismatch", "the download is not what the lock names").WithHint("try again"))
	h.work(t)
	b, err := h.BuildByID(h.ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b.Status != nixspace.BuildFailed || b.ErrorCode != "hash_mismatch" || !strings.Contains(b.Error, "try again") || b.FinishedAt.IsZero() {
		t.Errorf("got %+v", b)
	}
	h.packages.Fail(errors.New("secret detail"))
	b, err = h.Build(h.ctx, "pg13")
	if err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if b, err = h.BuildByID(h.ctx, b.ID); err != nil || b.ErrorCode != "internal" || strings.Contains(b.Error, "secret") {
		t.Errorf("a defect: got %+v, %v", b, err)
	}
	h.packages.Fail(nil)
	if b, err = h.Build(h.ctx, "pg13"); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if b, err = h.BuildByID(h.ctx, b.ID); err != nil || b.Status != nixspace.BuildSucceeded {
		t.Errorf("after that: got %+v, %v", b, err)
	}
}

func TestBuildIsCanceled(t *testing.T) {
	h := newHost(t)
	_, b := branchAbsent(t, h)
	defer h.packages.Hold()()
	ran := make(chan error, 1)
	id := h.jobs.Take()[0]
	go func() { ran <- h.RunBuild(h.ctx, id) }()
	c, err := h.WatchBuild(h.ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	for u := range c {
		if u.Line != nil {
			if _, err := h.CancelBuild(h.ctx, b.ID); err != nil {
				t.Error(err)
			}
		}
	}
	if err := <-ran; err != nil {
		t.Errorf("the job of a build that was canceled: %v", err)
	}
	b, err = h.BuildByID(h.ctx, b.ID)
	if err != nil || b.Status != nixspace.BuildCanceled {
		t.Errorf("got %+v, %v", b, err)
	}
	if !slices.Contains(h.jobs.Canceled(), b.ID) {
		t.Error("its job was not canceled")
	}
	if again, err := h.CancelBuild(h.ctx, b.ID); err != nil || again.Status != nixspace.BuildCanceled {
		t.Errorf("a second time: got %+v, %v", again, err)
	}
}

// TestBuildIsInterrupted ends the job of a build in the middle.
func TestBuildIsInterrupted(t *testing.T) {
	h := newHost(t)
	_, b := branchAbsent(t, h)
	release := h.packages.Hold()
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	ran := make(chan error, 1)
	id := h.jobs.Take()[0]
	go func() { ran <- h.RunBuild(ctx, id) }()
	c, err := h.WatchBuild(h.ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	var last *nixspace.Build
	for u := range c {
		if u.Line != nil && u.Line.Seq == 1 {
			cancel()
			if err := <-ran; err == nil {
				t.Error("an interrupted build was reported as done")
			}
			release()
			// The queue runs it again.
			go func() { ran <- h.RunBuild(h.ctx, id) }()
		}
		if u.Build != nil {
			last = u.Build
		}
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if last.Status != nixspace.BuildSucceeded {
		t.Errorf("got %+v", last)
	}
	if lines, err := h.BuildLog(h.ctx, b.ID, 0, 10); err != nil || len(lines) != 2 {
		t.Errorf("the log of two runs: got %v, %v", lines, err)
	}
}

func TestSourceMoves(t *testing.T) {
	h := newHost(t)
	v, b := branchAbsent(t, h)
	h.packages.SetVersion("postgresql_13", "13.24")
	h.work(t)
	b, err := h.BuildByID(h.ctx, b.ID)
	if err != nil || b.ErrorCode != "source_changed" {
		t.Errorf("a version whose packages are gone: got %+v, %v", b, err)
	}
	same, err := h.Version(h.ctx, "pg13")
	if err != nil || same.DrvPath != v.DrvPath {
		t.Errorf("the version changed: %+v, %v", same, err)
	}
	// One that is in the store stays usable whatever the source offers.
	h.packages.SetVersion("postgresql_15", "15.99")
	if b, err := h.Build(h.ctx, "shop/shop"); err != nil || b.Status != nixspace.BuildSucceeded {
		t.Errorf("got %+v, %v", b, err)
	}
}

func TestEvents(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	live, err := h.WatchEvents(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.create(t)
	want := []string{"project.created", "build.succeeded"}
	for _, kind := range want {
		if e := <-live; e.Kind != kind || e.Actor != "ada" || e.Message == "" {
			t.Errorf("got %+v, want %s", e, kind)
		}
	}
	past, err := h.WatchEvents(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if e := <-past; e.Kind != "build.succeeded" {
		t.Errorf("after the first: got %+v", e)
	}
	for n, kind := range map[int64]string{-1: "build.succeeded", -2: "project.created", -100: "project.created"} {
		last, err := h.WatchEvents(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		if e := <-last; e.Kind != kind {
			t.Errorf("of the last %d: got %+v first, want %s", -n, e, kind)
		}
	}
}
