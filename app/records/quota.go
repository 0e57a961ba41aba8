package records

import (
	"context"

	"github.com/nixspace/nixspace"
)

// Quota bounds how many sessions have a machine at a time: those that are created,
// run or stop. Hibernated ones take no place. Zero is no bound.
type Quota struct {
	UserSessions    int // that one user started
	ProjectSessions int // of one project
}

// place makes sure that there is a place for one more session of an environment. It
// is asked in the transaction that takes it, in which others have to wait: of many
// who ask for the last place, one gets it.
func (s *scope) place(ctx context.Context, environment nixspace.ID) error {
	if s.quota == (Quota{}) {
		return nil
	}
	envs, err := s.environmentsOf(ctx, []nixspace.ID{environment})
	if err != nil {
		return err
	}
	env := envs[environment]
	if env == nil {
		return nil // creating the session says so
	}
	ofUser, ofProject, err := s.raw().People().Members().Occupied(ctx, s.access.Actor, env.ProjectID)
	if err != nil {
		return err
	}
	if n := s.quota.UserSessions; n > 0 && ofUser >= n {
		return exceeded("you have", ofUser, n)
	}
	if n := s.quota.ProjectSessions; n > 0 && ofProject >= n {
		return exceeded("the project "+env.Project+" has", ofProject, n)
	}
	return nil
}

func exceeded(who string, used, limit int) error {
	return nixspace.Errorf(nixspace.KindLimit, "quota_sessions", "%s %d sessions with a machine, and may have %d", who, used, limit).
		WithHint("stop or hibernate some: nixspace list sessions").WithDetail("used", used).WithDetail("limit", limit)
}
