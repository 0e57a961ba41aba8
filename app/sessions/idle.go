package sessions

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/env/manifest"
)

// idleness knows how long sessions of a version may be idle. Versions never change.
type idleness struct {
	mu sync.Mutex
	m  map[nixspace.ID]time.Duration
}

// maxIdleness bounds what is remembered; it is cheap to find out again.
const maxIdleness = 10_000

// HibernateAfter returns how long nobody must have worked in a session of a version before
// it is hibernated: never when 0.
func (a *UseCases) HibernateAfter(ctx context.Context, version nixspace.ID) (time.Duration, error) {
	a.idleness.mu.Lock()
	limit, known := a.idleness.m[version]
	a.idleness.mu.Unlock()
	if known {
		return limit, nil
	}
	v, err := records.OneVersion(ctx, a.records.Store.Read(), version)
	if err != nil {
		return 0, err
	}
	m, err := manifest.Parse(manifest.FileName, []byte(v.Manifest))
	if err != nil {
		return 0, fmt.Errorf("read version %s: %w", v.ID, err)
	}
	limit = m.Session.Idle(a.hibernateAfter)
	a.idleness.mu.Lock()
	defer a.idleness.mu.Unlock()
	if a.idleness.m == nil || len(a.idleness.m) >= maxIdleness {
		a.idleness.m = map[nixspace.ID]time.Duration{}
	}
	a.idleness.m[version] = limit
	return limit, nil
}

// hibernateIdle hibernates a running session that nobody has worked in for as long
// as its environment says, or the server where that says nothing.
func (a *UseCases) hibernateIdle(ctx context.Context, s *nixspace.Session, now time.Time) {
	if s.Ephemeral || s.Throwaway {
		return
	}
	limit, err := a.HibernateAfter(ctx, s.EnvironmentVersionID)
	if err != nil {
		a.log.Warn("cannot find out how long a session may be idle", "session", s.ID, "error", err)
		return
	}
	if limit <= 0 {
		return
	}
	idle := func() bool {
		open, last := a.activity.get(s.ID)
		for _, t := range []time.Time{s.LastActivity, s.Since} {
			if t.After(last) {
				last = t
			}
		}
		return open == 0 && now.Sub(last) >= limit
	}
	if !idle() {
		if open, _ := a.activity.get(s.ID); open > 0 {
			if err := a.records.Store.Read().Sessions().Touch(ctx, s.ID, now); err != nil {
				a.log.Warn("cannot store a session's activity", "session", s.ID, "error", err)
			}
		}
		return
	}
	err = a.tasks.Start(ctx, func(ctx context.Context) {
		leave, err := a.gates.enter(ctx, s.ID)
		if err != nil {
			return
		}
		defer leave()
		if !idle() {
			return // somebody came while the gate was shut
		}
		why := "nobody worked in it for " + limit.String()
		if last := a.activity.lastKind(s.ID); last != "" {
			why += "; the last was " + string(last)
		}
		if _, err := a.hibernate(ctx, s.ID, why, "idle"); err != nil && !records.IsCode(err, "session_not_running") {
			a.log.Warn("cannot hibernate an idle session", "session", s.ID, "error", err)
			a.activity.touch(s.ID, "") // not again at once
		}
	})
	if err != nil {
		a.log.Debug("an idle session is left to the end of the server", "session", s.ID)
	}
}

// SessionActivity returns what was done in a session since this server found it, as
// far as that counts as activity: the kind that was last comes first.
func (a *UseCases) SessionActivity(ctx context.Context, ref string) ([]nixspace.Activity, error) {
	s, err := a.Session(ctx, ref)
	if err != nil {
		return nil, err
	}
	return a.activity.list(s.ID), nil
}
