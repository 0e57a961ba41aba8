package apitest

import (
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/sessions"
)

// watch sends what send sends, on a channel that is closed at the end.
func watch[T any](ctx context.Context, a *App, send func(emit func(T) bool)) <-chan T {
	ch := make(chan T)
	a.mu.Lock()
	a.watching++
	a.changed.Broadcast()
	a.mu.Unlock()
	go func() {
		defer close(ch)
		defer func() {
			a.mu.Lock()
			a.watching--
			a.changed.Broadcast()
			a.mu.Unlock()
		}()
		send(func(v T) bool {
			select {
			case ch <- v:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	return ch
}

// StartSession makes a session that runs at once.
func (a *App) StartSession(ctx context.Context, in sessions.StartSession) (*nixspace.Session, error) {
	unlock, err := a.enter(ctx, "StartSession")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if s, err := a.session(in.Ref); err == nil {
		if !s.Status.CanBecome(nixspace.SessionCreating) {
			return nil, nixspace.Errorf(nixspace.KindConflict, "session_running", "session %s is %s", s.Ref(), s.Status)
		}
		s.Status, s.Generation = nixspace.SessionRunning, s.Generation+1
		return copied(s), nil
	}
	v, err := a.versionOf(in.Ref)
	if err != nil {
		return nil, err
	}
	e, err := a.environment(in.Ref) // a version that branches share belongs to the first
	if err != nil {
		e, err = a.environment(string(v.EnvironmentID))
	}
	if err != nil {
		return nil, err
	}
	n := 1
	for _, s := range a.sessions {
		if s.EnvironmentID == e.ID {
			n++
		}
	}
	at := a.now()
	s := nixspace.Session{
		ID: a.id(), Number: n, EnvironmentID: e.ID, EnvironmentVersionID: v.ID, Environment: e.Ref(), Status: nixspace.SessionRunning,
		Generation: 1, Driver: "fake", Isolation: "none", Ephemeral: in.Ephemeral, StartedAt: at, LastActivity: at, CreatedBy: Owner.ID,
	}
	a.sessions = append(a.sessions, s)
	created := s
	created.Status = nixspace.SessionCreating
	return &created, nil
}

func (a *App) session(ref string) (*nixspace.Session, error) {
	s := find(a.sessions, func(s *nixspace.Session) bool {
		return s.Ref() == ref || string(s.ID) == ref || strings.HasSuffix(s.Ref(), "/"+ref) && strings.Contains(ref, "/")
	})
	if s == nil {
		return nil, notFound("session", ref)
	}
	return s, nil
}

// Sessions lists sessions, newest first.
func (a *App) Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error) {
	unlock, err := a.enter(ctx, "Sessions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var env nixspace.ID
	if ref != "" {
		e, err := a.environment(ref)
		if err != nil {
			return nil, err
		}
		env = e.ID
	}
	ss := []nixspace.Session{}
	for _, s := range slices.Backward(a.sessions) {
		if (env == "" || s.EnvironmentID == env) && (all || s.Status.Live()) {
			ss = append(ss, s)
		}
	}
	return ss, nil
}

// Session returns one.
func (a *App) Session(ctx context.Context, ref string) (*nixspace.Session, error) {
	unlock, err := a.enter(ctx, "Session")
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := a.session(ref)
	if err != nil {
		return nil, err
	}
	return copied(s), nil
}

// WatchSession sends the session whenever it changes.
func (a *App) WatchSession(ctx context.Context, ref string) (<-chan nixspace.SessionUpdate, error) {
	unlock, err := a.enter(ctx, "WatchSession")
	if err != nil {
		return nil, err
	}
	s, err := a.session(ref)
	if err != nil {
		unlock()
		return nil, err
	}
	id := s.ID
	unlock()
	return watch(ctx, a, func(emit func(nixspace.SessionUpdate) bool) {
		defer context.AfterFunc(ctx, a.wake)()
		var last nixspace.Session
		for {
			a.mu.Lock()
			for {
				s := find(a.sessions, func(s *nixspace.Session) bool { return s.ID == id })
				if s == nil || ctx.Err() != nil {
					a.mu.Unlock()
					return
				}
				if *s != last {
					last = *s
					break
				}
				a.changed.Wait()
			}
			a.mu.Unlock()
			if !emit(nixspace.SessionUpdate{Session: last, Machine: machine(&last)}) {
				return
			}
		}
	}), nil
}

func machine(s *nixspace.Session) *nixspace.MachineStatus {
	if !s.Status.Live() {
		return nil
	}
	return &nixspace.MachineStatus{
		SessionID: s.ID, Generation: s.Generation, Status: s.Status, Driver: s.Driver, Isolation: s.Isolation, VMID: "fake-" + string(s.ID),
		Layers:   []nixspace.LayerImage{{Name: "base", Digest: digest("base"), Size: 1 << 20}, {Name: "postgresql_15", Digest: digest("pg15"), Size: 2 << 20}},
		Services: []nixspace.ServiceStatus{{Name: "postgresql", State: "ready", Ports: []int{5432}}},
		View: nixspace.MachineView{
			Terminals: []nixspace.TerminalStatus{{
				Name: "main", ID: "0123456789abcdef", Cols: 120, Rows: 40, Process: "vim", StartedAt: s.StartedAt,
				Viewers: []nixspace.TerminalViewer{{Key: 1, Who: "owner"}, {Key: 2, Who: "ada", ReadOnly: true}},
			}},
			Ports: []nixspace.ListeningPort{{Port: 5432, Process: "postgres", PID: 42}},
		},
	}
}

// ControlService finds the service postgresql.
func (a *App) ControlService(ctx context.Context, ref, name string, action nixspace.ServiceAction) (*nixspace.ServiceStatus, error) {
	unlock, err := a.enter(ctx, "ControlService")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := a.session(ref); err != nil {
		return nil, err
	}
	if name != "postgresql" {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "service_not_found", "there is no service %q in the machine", name).WithHint("there is postgresql")
	}
	s := &nixspace.ServiceStatus{Name: name, State: nixspace.ServiceReady, Ports: []int{5432}}
	if action == nixspace.ServiceStop {
		s.State = nixspace.ServiceStopped
	}
	return s, nil
}

// StopSession stops a session.
func (a *App) StopSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	unlock, err := a.enter(ctx, "StopSession")
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := a.session(ref)
	if err != nil {
		return nil, err
	}
	if !s.Status.CanBecome(nixspace.SessionStopped) {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s", s.Ref(), s.Status)
	}
	s.Status, s.EndedAt = nixspace.SessionStopped, a.now()
	s.Reason, s.ReasonCode = "stopped by "+Owner.Name, "stopped"
	return copied(s), nil
}

// CloseTerminal finds none.
func (a *App) CloseTerminal(ctx context.Context, session, name string) error {
	unlock, err := a.enter(ctx, "CloseTerminal")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := a.session(session); err != nil {
		return err
	}
	return nixspace.Errorf(nixspace.KindNotFound, "terminal_not_found", "there is no terminal %q", name)
}

// RemoveSession deletes a session.
func (a *App) RemoveSession(ctx context.Context, ref string) error {
	unlock, err := a.enter(ctx, "RemoveSession")
	if err != nil {
		return err
	}
	defer unlock()
	s, err := a.session(ref)
	if err != nil {
		return err
	}
	if s.Status.Live() {
		return nixspace.Errorf(nixspace.KindConflict, "session_running", "session %s is %s", s.Ref(), s.Status).WithHint("stop it first: nixspace stop %s", s.Ref())
	}
	id := s.ID
	a.sessions = slices.DeleteFunc(a.sessions, func(s nixspace.Session) bool { return s.ID == id })
	return nil
}

// WatchEvents sends events.
func (a *App) WatchEvents(ctx context.Context, after int64) (<-chan nixspace.Event, error) {
	unlock, err := a.enter(ctx, "WatchEvents")
	if err != nil {
		return nil, err
	}
	if after <= 0 {
		after = int64(len(a.events)) // none of the past
	}
	unlock()
	return watch(ctx, a, func(emit func(nixspace.Event) bool) {
		defer context.AfterFunc(ctx, a.wake)()
		for next := after; ; next++ {
			a.mu.Lock()
			for int64(len(a.events)) <= next && ctx.Err() == nil {
				a.changed.Wait()
			}
			if ctx.Err() != nil {
				a.mu.Unlock()
				return
			}
			e := a.events[next]
			a.mu.Unlock()
			if !emit(e) {
				return
			}
		}
	}), nil
}

// wake lets all that wait look again. It takes the lock, so that nobody is
// between looking and waiting.
func (a *App) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed.Broadcast()
}
