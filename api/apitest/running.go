package apitest

import (
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
)

// Version returns one.
func (a *App) Version(ctx context.Context, ref string) (*nixspace.Version, error) {
	unlock, err := a.enter(ctx, "Version")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.versionOf(ref)
}

func (a *App) versionOf(ref string) (*nixspace.Version, error) {
	if e, err := a.environment(ref); err == nil {
		return copied(a.versionByID(e.Head)), nil
	}
	v := find(a.versions, func(v *nixspace.Version) bool { return len(ref) >= 6 && strings.HasPrefix(v.VersionHash, ref) })
	if v == nil {
		return nil, notFound("version", ref)
	}
	return copied(v), nil
}

// VersionsByID returns those that exist.
func (a *App) VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error) {
	unlock, err := a.enter(ctx, "VersionsByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var vs []nixspace.Version
	for _, v := range a.versions {
		if slices.Contains(ids, v.ID) {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// Versions lists an environment's versions, newest first.
func (a *App) Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error) {
	unlock, err := a.enter(ctx, "Versions")
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := a.environment(ref)
	if err != nil {
		return nil, err
	}
	vs := []nixspace.Version{}
	for _, v := range slices.Backward(a.versions) {
		if v.EnvironmentID == e.ID && (before == 0 || v.Seq < before) && len(vs) < limit {
			vs = append(vs, v)
		}
	}
	return vs, nil
}

// Realisation returns what was built.
func (a *App) Realisation(ctx context.Context, ref string) (*nixspace.Realisation, error) {
	unlock, err := a.enter(ctx, "Realisation")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	b := find(a.builds, func(b *nixspace.Build) bool { return b.VersionID == v.ID && b.Status == nixspace.BuildSucceeded })
	if b == nil {
		return nil, notFound("realisation", ref)
	}
	out := nixspace.StoreDir + "/" + digest(v.ManifestHash)[:32] + "-shop-env"
	return &nixspace.Realisation{
		ManifestHash: v.ManifestHash, DrvPath: out + ".drv", OutPath: out, ClosureDigest: digest(out),
		ClosureSize: 123456789, Paths: 42, RealisedAt: b.FinishedAt,
	}, nil
}

// Build queues a build.
func (a *App) Build(ctx context.Context, ref string) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Build")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	if b := find(a.builds, func(b *nixspace.Build) bool { return b.VersionID == v.ID && !b.Status.Final() }); b != nil {
		return copied(b), nil
	}
	return a.newBuild(v), nil
}

func (a *App) build(id nixspace.ID) (*nixspace.Build, error) {
	b := find(a.builds, func(b *nixspace.Build) bool { return b.ID == id })
	if b == nil {
		return nil, notFound("build", string(id))
	}
	return b, nil
}

// BuildByID returns a build.
func (a *App) BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "BuildByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	return copied(b), nil
}

// Builds lists the builds of a version.
func (a *App) Builds(ctx context.Context, ref string) ([]nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Builds")
	if err != nil {
		return nil, err
	}
	defer unlock()
	v, err := a.versionOf(ref)
	if err != nil {
		return nil, err
	}
	bs := []nixspace.Build{}
	for _, b := range slices.Backward(a.builds) {
		if b.VersionID == v.ID {
			bs = append(bs, b)
		}
	}
	return bs, nil
}

func logLine(b *nixspace.Build, seq int64) nixspace.BuildLogLine {
	return nixspace.BuildLogLine{BuildID: b.ID, Seq: seq, At: b.CreatedAt, Text: []string{"unpacking", "linking \x1b[31mfiles"}[seq-1]}
}

// BuildLog has two lines.
func (a *App) BuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	unlock, err := a.enter(ctx, "BuildLog")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	lines := []nixspace.BuildLogLine{}
	for seq := after + 1; seq <= 2 && len(lines) < limit; seq++ {
		lines = append(lines, logLine(b, seq))
	}
	return lines, nil
}

// CancelBuild ends a build.
func (a *App) CancelBuild(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	unlock, err := a.enter(ctx, "CancelBuild")
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := a.build(id)
	if err != nil {
		return nil, err
	}
	if !b.Status.Final() {
		b.Status, b.FinishedAt = nixspace.BuildCanceled, a.now()
	}
	return copied(b), nil
}

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

// WatchBuild runs the build while it is watched. A build of a version whose
// message is "broken" fails.
func (a *App) WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error) {
	unlock, err := a.enter(ctx, "WatchBuild")
	if err != nil {
		return nil, err
	}
	b, err := a.build(id)
	if err != nil {
		unlock()
		return nil, err
	}
	begin := *b
	if !b.Status.Final() {
		b.Status, b.StartedAt = nixspace.BuildSucceeded, a.now()
		b.FinishedAt = a.now()
		if a.versionByID(b.VersionID).Message == "broken" {
			b.Status, b.Error, b.ErrorCode = nixspace.BuildFailed, "postgresql_15 does not start", "smoke_failed"
		}
	}
	end := *b
	unlock()
	one, two := logLine(&end, 1), logLine(&end, 2)
	updates := []nixspace.BuildUpdate{
		{Build: &begin},
		{Progress: &nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 1000, Total: 2000, Unit: "B"}},
		{Line: &one},
		{Progress: &nixspace.Progress{Job: "postgresql_15", Phase: "fetch", Done: 2000, Total: 2000, Unit: "B", Final: true}},
		{Line: &two},
		{Build: &end},
	}
	return watch(ctx, a, func(emit func(nixspace.BuildUpdate) bool) {
		for _, u := range updates {
			if !emit(u) {
				return
			}
		}
	}), nil
}

// StartSession makes a session that runs at once.
func (a *App) StartSession(ctx context.Context, in app.StartSession) (*nixspace.Session, error) {
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
	e, err := a.environment(string(v.EnvironmentID))
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
		Services: []nixspace.ServiceStatus{{Name: "postgresql", State: "ready"}},
	}
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
	return copied(s), nil
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
