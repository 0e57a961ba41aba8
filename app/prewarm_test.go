package app_test

import (
	"slices"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/sessions"
)

// Templates are made for the heads of environments that are built, once each, and
// not while a session starts.
func TestPrewarm(t *testing.T) {
	h := newHost(t)
	queue := &apptest.Prewarms{}
	h.prewarms = queue
	h.stop()
	h.start(t)
	env := h.create(t)
	events, err := h.WatchEvents(h.ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	first := h.version(t, "shop")
	if got := queue.Take(); !slices.Equal(got, []nixspace.ID{first.ID}) {
		t.Fatalf("queued: %v, want that of %s", got, first.ID)
	}
	for range 2 {
		if err := h.RunPrewarm(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
	}
	second := h.change(t, "shop", "env.NODE_ENV", "production")
	// Nobody starts sessions of what is no head any more, nor of what was never there.
	if err := h.RunPrewarm(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.RunPrewarm(t.Context(), nixspace.NewID()); err != nil {
		t.Fatal(err)
	}

	waiting := h.machines.HoldPrewarms()
	done := make(chan error, 1)
	go func() { done <- h.RunPrewarm(h.ctx, second.ID) }()
	select {
	case <-waiting:
	case <-h.ctx.Done():
		t.Fatal("no template is made")
	}
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	wantCode(t, <-done, nixspace.KindUnavailable, "prewarm_yields")
	h.await(t, s.ID, nixspace.SessionRunning)

	// A server that starts looks after the heads that there are.
	queue.Take()
	h.stop()
	h.start(t)
	if err := h.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := queue.Take(); !slices.Equal(got, []nixspace.ID{second.ID}) {
		t.Errorf("queued at the start: %v, want that of %s", got, second.ID)
	}
	made := 0
	for e := range events {
		if e.Kind == "environment.prewarmed" {
			if made++; e.EnvironmentID != env.ID || e.Data["version"] != string(first.ID) {
				t.Errorf("%+v", e)
			}
		}
		if e.Kind == "session.running" {
			break
		}
	}
	if made != 1 {
		t.Errorf("%d events, want one", made)
	}
}
