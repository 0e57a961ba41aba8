package app_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

func TestControlService(t *testing.T) {
	h := newHost(t)
	h.create(t)
	s := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, s.ID, nixspace.SessionRunning)
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	events, err := h.WatchEvents(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind string) nixspace.Event {
		t.Helper()
		for e := range events {
			if e.Kind == kind && e.SessionID == s.ID {
				return e
			}
		}
		t.Fatalf("there is no event %s", kind)
		return nixspace.Event{}
	}
	got, err := h.ControlService(h.ctx, "shop/1", "web", nixspace.ServiceStop)
	if err != nil || got.State != nixspace.ServiceStopped {
		t.Errorf("got %+v, %v", got, err)
	}
	if e := next("service.stopped"); e.Actor != "ada" || e.Message != "service web of session shop/shop/1 was stopped" || e.Data["service"] != "web" {
		t.Errorf("%+v", e)
	}
	if got, err = h.ControlService(h.ctx, "shop/1", "web", nixspace.ServiceRestart); err != nil || got.State != nixspace.ServiceReady {
		t.Errorf("got %+v, %v", got, err)
	}
	next("service.restarted")
	_, err = h.ControlService(h.ctx, "shop/1", "broken", nixspace.ServiceStart)
	wantCode(t, err, nixspace.KindUnavailable, "service_failed")
	next("service.started")
	_, err = h.ControlService(h.ctx, "shop/1", "nothing", nixspace.ServiceStart)
	wantCode(t, err, nixspace.KindNotFound, "service_not_found")
	_, err = h.ControlService(h.ctx, "shop/9", "web", nixspace.ServiceStart)
	wantCode(t, err, nixspace.KindNotFound, "session_unknown")
	if _, err := h.ControlService(context.Background(), "shop/1", "web", nixspace.ServiceStop); err == nil {
		t.Error("somebody unknown stops a service")
	}

	// What happens to services by themselves.
	status := func(services ...nixspace.ServiceStatus) nixspace.MachineStatus {
		return nixspace.MachineStatus{SessionID: s.ID, Generation: 1, Status: nixspace.SessionRunning, Services: services}
	}
	seven := 7
	h.machines.Tell(status(nixspace.ServiceStatus{Name: "web", State: "ready"}, nixspace.ServiceStatus{Name: "job", State: "starting"}))
	h.machines.Tell(status(nixspace.ServiceStatus{Name: "web", State: "starting", Restarts: 1, ExitCode: &seven, Message: "it exited with status 7"}, nixspace.ServiceStatus{Name: "job", State: "done"}))
	if e := next("service.crashed"); e.Message != "service web of session shop/shop/1 crashed: it exited with status 7" || e.Data["exitCode"] != float64(7) || e.Actor == "ada" {
		t.Errorf("%+v", e)
	}
	h.machines.Tell(status(nixspace.ServiceStatus{Name: "web", State: "failed", Restarts: 1, Message: "it was given up\nits log"}))
	if e := next("service.failed"); e.Message != "service web of session shop/shop/1 failed: it was given up" || e.Data["service"] != "web" {
		t.Errorf("%+v", e)
	}
}

func TestEgressPolicy(t *testing.T) {
	h := newHost(t)
	h.create(t)
	_, _, _, err := h.Branch(h.ctx, environments.Branch{From: "shop", Name: "open", Edits: set("network.egress", "b.example, a.example:81")})
	if err != nil {
		t.Fatal(err)
	}
	h.keepWorking(t)
	s := h.startSession(t, sessions.StartSession{Ref: "open"})
	h.await(t, s.ID, nixspace.SessionRunning)
	if spec := h.machines.Spec(s.ID); !slices.Equal(spec.Egress.Allow, []string{"a.example:81", "b.example"}) || spec.Egress.Full || spec.Env["HTTPS_PROXY"] == "" {
		t.Errorf("%+v, %v", spec.Egress, spec.Env)
	}
	shut := h.startSession(t, sessions.StartSession{Ref: "shop"})
	h.await(t, shut.ID, nixspace.SessionRunning)
	if spec := h.machines.Spec(shut.ID); spec.Egress.Any() || spec.Env["HTTPS_PROXY"] != "" {
		t.Errorf("%+v, %v", spec.Egress, spec.Env)
	}
	tell := func(made, sent int64) {
		h.machines.Tell(nixspace.MachineStatus{
			SessionID: s.ID, Generation: 1, Status: nixspace.SessionRunning,
			Egress: &nixspace.EgressStatus{EgressCount: nixspace.EgressCount{Connections: made, Sent: sent}},
		})
	}
	tell(2, 100)
	tell(3, 150)
	tell(3, 150) // heard once the one before was counted
	if n := h.EgressTotals(); n.Connections != 3 || n.Sent != 150 {
		t.Errorf("%+v", n)
	}
}
