package sessions

import (
	"context"
	"fmt"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// ControlService starts, stops or restarts one service of a session and returns
// how it then stands, once it is ready, done or stopped. A hibernated session is
// resumed first. It fails with code "service_not_found" and, when the service does
// not get ready, "service_failed".
func (a *UseCases) ControlService(ctx context.Context, ref, name string, action nixspace.ServiceAction) (*nixspace.ServiceStatus, error) {
	tx, err := a.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	s, err := records.FindSession(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	m, err := a.Machine(ctx, ref)
	if err != nil {
		return nil, err
	}
	c, ok := m.(activeMachine).Machine.(nixspace.ServiceController)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "service_unsupported", "the machine of session %s cannot control single services", s.Ref())
	}
	// Before it is done: what its service then does has its own events.
	done := map[nixspace.ServiceAction]string{
		nixspace.ServiceStart: "started", nixspace.ServiceStop: "stopped", nixspace.ServiceRestart: "restarted",
	}[action]
	status, err := c.ControlService(ctx, name, action)
	if err == nil || records.IsCode(err, "service_failed") {
		said := a.serviceEvent(ctx, s, done, status, fmt.Sprintf("service %s of session %s was %s", name, s.Ref(), done))
		if err == nil {
			err = said
		}
	}
	if err != nil {
		return nil, err
	}
	return &status, nil
}

// serviceEvent appends an event about a service.
func (a *UseCases) serviceEvent(ctx context.Context, s *nixspace.Session, kind string, status nixspace.ServiceStatus, message string) error {
	return a.records.Write(ctx, func(actor nixspace.Actor, tx records.Tx) error {
		env, err := records.OneEnvironment(ctx, tx, s.EnvironmentID)
		if err != nil {
			return err
		}
		data := map[string]any{"service": status.Name, "state": status.State, "restarts": status.Restarts}
		if status.ExitCode != nil {
			data["exitCode"] = *status.ExitCode
		}
		return tx.Events().Append(ctx, &nixspace.Event{
			At: records.Now(), Kind: "service." + kind, ProjectID: env.ProjectID, EnvironmentID: env.ID, SessionID: s.ID,
			Actor: actor.Name, Message: records.CleanText(message), Data: data,
		})
	})
}

// incident is what happened to a service by itself.
type incident struct {
	kind   string // "failed" or "crashed"
	status nixspace.ServiceStatus
}

// incidents compares two reports of a machine that runs.
func incidents(before, now *nixspace.MachineStatus) []incident {
	was := map[string]nixspace.ServiceStatus{}
	for _, s := range before.Services {
		was[s.Name] = s
	}
	var out []incident
	for _, s := range now.Services {
		old, known := was[s.Name]
		switch {
		case !known:
		case s.State == nixspace.ServiceFailed && old.State != nixspace.ServiceFailed:
			out = append(out, incident{"failed", s})
		case s.Restarts > old.Restarts:
			out = append(out, incident{"crashed", s})
		}
	}
	return out
}

// applyServices appends events of services that failed, or had to be started
// again, while their session ran.
func (a *UseCases) applyServices(ctx context.Context, before *nixspace.MachineStatus, now nixspace.MachineStatus) {
	if before == nil || before.Generation != now.Generation || before.Status != nixspace.SessionRunning || now.Status != nixspace.SessionRunning {
		return
	}
	found := incidents(before, &now)
	if len(found) == 0 {
		return
	}
	// Not here: the database may be slow, and reports wait.
	err := a.tasks.Start(ctx, func(ctx context.Context) {
		s, err := a.records.Store.Read().Sessions().ByID(ctx, now.SessionID)
		for _, i := range found {
			if err == nil {
				message := fmt.Sprintf("service %s of session %s %s", i.status.Name, s.Ref(), i.kind)
				if i.status.Message != "" {
					message += ": " + records.FirstLine(i.status.Message)
				}
				err = a.serviceEvent(ctx, s, i.kind, i.status, message)
			}
		}
		if err != nil && !records.NotFound(err) && ctx.Err() == nil {
			a.log.Warn("cannot record what happened to a service", "session", now.SessionID, "error", err)
		}
	})
	if err != nil {
		a.log.Debug("a service failed while the server stops", "session", now.SessionID)
	}
}
