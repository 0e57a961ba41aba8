package records

import (
	"context"

	"github.com/nixspace/nixspace"
)

// scope is the database as somebody may use it: what they may not see is not
// there, and what they may not do is refused. It is what [Records.Read] and
// [Records.Write] hand out for everybody but the program itself and the local
// owner, so that no use case can forget to ask.
//
// Its rules: what an operation names needs the operation's role, what it lists is
// without what lacks it, and whatever it writes needs a developer at least.
// Every store is written out: a store, or a method of one, that is new does not
// compile before somebody said who may use it.
type scope struct {
	tx     Tx
	access *nixspace.Access
	quota  Quota
}

var _ Tx = (*scope)(nil)

// scoped bounds a transaction by the access of a context.
func (r *Records) scoped(ctx context.Context, tx Tx) Tx {
	if a := nixspace.AccessFrom(ctx); a != nil {
		return &scope{tx, a, r.Quota}
	}
	return tx
}

// Plain returns the transaction below the bounds of an actor, for those that put
// it together with something else: the job queue.
func Plain(tx Tx) Tx {
	if s, ok := tx.(*scope); ok {
		return s.raw()
	}
	return tx
}

func (s *scope) raw() Tx { return s.tx }

func (s *scope) Projects() nixspace.ProjectStore         { return scopedProjects{s} }
func (s *scope) Environments() nixspace.EnvironmentStore { return scopedEnvironments{s} }
func (s *scope) Versions() nixspace.VersionStore         { return scopedVersions{s} }
func (s *scope) History() nixspace.HistoryStore          { return scopedHistory{s} }
func (s *scope) Tags() nixspace.TagStore                 { return scopedTags{s} }
func (s *scope) Merges() nixspace.MergeStore             { return scopedMerges{s} }
func (s *scope) Builds() nixspace.BuildStore             { return scopedBuilds{s} }
func (s *scope) Sessions() nixspace.SessionStore         { return scopedSessions{s} }
func (s *scope) Snapshots() nixspace.SnapshotStore       { return scopedSnapshots{s} }
func (s *scope) Fetches() nixspace.FetchStore            { return scopedFetches{s} }
func (s *scope) Templates() nixspace.TemplateStore       { return scopedTemplates{s} }
func (s *scope) Code() nixspace.CodeStore                { return scopedCode{s} }
func (s *scope) Prebuilds() nixspace.PrebuildStore       { return scopedPrebuilds{s} }
func (s *scope) Experiments() nixspace.ExperimentStore   { return scopedExperiments{s} }
func (s *scope) ExperimentRuns() nixspace.ExperimentRunStore {
	return scopedExperimentRuns{s}
}
func (s *scope) Git() nixspace.GitStore      { return scopedGit{s} }
func (s *scope) Events() nixspace.EventStore { return scopedEvents{s} }

// People is not bounded: package people asks the access itself.
func (s *scope) People() nixspace.PeopleStore { return s.raw().People() }

// at returns the higher of the role that a kind of record needs by itself and the
// one of the operation.
func (s *scope) at(least nixspace.Role) nixspace.Role {
	need, _ := s.access.Need()
	return nixspace.Higher(least, need)
}

// check compares a role with what is needed. Nothing at all is as if there were no
// such record.
func (s *scope) check(have, least nixspace.Role, what, name string) error {
	need := s.at(least)
	if have.AtLeast(need) && have != nixspace.RoleNone {
		return nil
	}
	if have == nixspace.RoleNone {
		return nixspace.Errorf(nixspace.KindNotFound, what+"_unknown", "there is no %s %s", what, name)
	}
	return Forbidden(have, need, name)
}

// Forbidden is the error of a role that does not suffice.
func Forbidden(have, need nixspace.Role, name string) *nixspace.Error {
	return nixspace.Errorf(nixspace.KindForbidden, "role_insufficient", "this needs the role %s in %s, and yours is %s", need, name, have).
		WithHint("ask a maintainer of the project: nixspace member add PROJECT USER --role %s", need).
		WithDetail("need", string(need)).WithDetail("have", string(have))
}

// environmentsOf returns environments by ID, also deleted ones, unbounded.
func (s *scope) environmentsOf(ctx context.Context, ids []nixspace.ID) (map[nixspace.ID]*nixspace.Environment, error) {
	out := map[nixspace.ID]*nixspace.Environment{}
	var unique []nixspace.ID
	for _, id := range ids {
		if _, ok := out[id]; !ok && id != "" {
			out[id] = nil
			unique = append(unique, id)
		}
	}
	if len(unique) == 0 {
		return out, nil
	}
	found, err := s.raw().Environments().ByIDs(ctx, unique...)
	if err != nil {
		return nil, err
	}
	for i := range found {
		out[found[i].ID] = &found[i]
	}
	return out, nil
}

// environment checks the role in the environment of an ID.
func (s *scope) environment(ctx context.Context, id nixspace.ID, least nixspace.Role, what, name string) error {
	envs, err := s.environmentsOf(ctx, []nixspace.ID{id})
	if err != nil {
		return err
	}
	e := envs[id]
	if e == nil {
		return s.check(nixspace.RoleNone, least, what, name)
	}
	return s.check(s.access.InEnvironment(e), least, what, e.Ref())
}

// mayIn reports whether the role in an environment suffices for a list.
func (s *scope) mayIn(e *nixspace.Environment, least nixspace.Role) bool {
	return e != nil && s.access.InEnvironment(e) != nixspace.RoleNone && s.access.InEnvironment(e).AtLeast(s.at(least))
}

// keep returns those items whose environment may be seen.
func keep[T any](ctx context.Context, s *scope, items []T, least nixspace.Role, of func(*T) nixspace.ID) ([]T, error) {
	ids := make([]nixspace.ID, len(items))
	for i := range items {
		ids[i] = of(&items[i])
	}
	envs, err := s.environmentsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, len(items))
	for i := range items {
		if s.mayIn(envs[ids[i]], least) {
			out = append(out, items[i])
		}
	}
	return out, nil
}

// version checks the role in the project of a version: versions of a project are
// one graph, whichever of its environments they were committed to.
func (s *scope) version(ctx context.Context, id nixspace.ID, least nixspace.Role) error {
	found, err := s.raw().Versions().ByIDs(ctx, id)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return s.check(nixspace.RoleNone, least, "version", string(id))
	}
	envs, err := s.environmentsOf(ctx, []nixspace.ID{found[0].EnvironmentID})
	if err != nil {
		return err
	}
	return s.check(s.inGraph(envs[found[0].EnvironmentID]), least, "version", found[0].VersionHash)
}

// inGraph is the role that somebody has for the versions of an environment.
func (s *scope) inGraph(e *nixspace.Environment) nixspace.Role {
	if e == nil {
		return nixspace.RoleNone
	}
	r := nixspace.Higher(s.access.InProject(e.ProjectID), s.access.InEnvironment(e))
	if r == nixspace.RoleNone && s.access.Sees(e.ProjectID) {
		return nixspace.RoleGuest
	}
	return r
}
