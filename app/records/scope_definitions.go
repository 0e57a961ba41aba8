package records

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

type scopedProjects struct{ s *scope }

func (p scopedProjects) Create(ctx context.Context, project *nixspace.Project) error {
	if !p.s.access.MayCreate() {
		return nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "guests of this server, and tokens for single projects, make no projects").
			WithHint("ask an administrator to make you a member: nixspace user set NAME --standing member")
	}
	if err := p.s.raw().Projects().Create(ctx, project); err != nil {
		return err
	}
	p.s.access.Grant(project.ID, nixspace.RoleOwner)
	return p.s.raw().People().Members().Put(ctx, &nixspace.Member{
		ProjectID: project.ID, UserID: p.s.access.Actor, Role: nixspace.RoleOwner, CreatedAt: project.CreatedAt,
	})
}

// show returns a project as it may be seen.
func (p scopedProjects) show(project *nixspace.Project, err error) (*nixspace.Project, error) {
	if err != nil {
		return nil, err
	}
	have := p.s.access.InProject(project.ID)
	if have == nixspace.RoleNone && p.s.access.Sees(project.ID) {
		have = nixspace.RoleGuest
	}
	if err := p.s.check(have, nixspace.RoleGuest, "project", project.Slug); err != nil {
		return nil, err
	}
	if !have.AtLeast(nixspace.RoleViewer) {
		project.Workspace = "" // who knows the digest can have the code
	}
	return project, nil
}

func (p scopedProjects) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Project, error) {
	return p.show(p.s.raw().Projects().ByID(ctx, id))
}

func (p scopedProjects) BySlug(ctx context.Context, slug string) (*nixspace.Project, error) {
	return p.show(p.s.raw().Projects().BySlug(ctx, slug))
}

func (p scopedProjects) List(ctx context.Context) ([]nixspace.Project, error) {
	all, err := p.s.raw().Projects().List(ctx)
	out := make([]nixspace.Project, 0, len(all))
	for i := range all {
		if shown, err := p.show(&all[i], nil); err == nil {
			out = append(out, *shown)
		}
	}
	return out, err
}

func (p scopedProjects) EnsureUser(ctx context.Context, u nixspace.User) (*nixspace.User, error) {
	return p.s.raw().Projects().EnsureUser(ctx, u)
}

type scopedEnvironments struct{ s *scope }

func (e scopedEnvironments) Create(ctx context.Context, env *nixspace.Environment, first nixspace.HeadMove) error {
	if err := e.s.check(e.s.access.InProject(env.ProjectID), nixspace.RoleDeveloper, "project", env.Project); err != nil {
		return err
	}
	return e.s.raw().Environments().Create(ctx, env, first)
}

func (e scopedEnvironments) ByIDs(ctx context.Context, ids ...nixspace.ID) ([]nixspace.Environment, error) {
	found, err := e.s.raw().Environments().ByIDs(ctx, ids...)
	if err != nil {
		return nil, err
	}
	return e.named(found)
}

// named returns those that an operation may name. Where there is one, and it may be
// seen but not used, it says so.
func (e scopedEnvironments) named(found []nixspace.Environment) ([]nixspace.Environment, error) {
	out := found[:0]
	var refused error
	for i := range found {
		have := e.s.access.InEnvironment(&found[i])
		err := e.s.check(have, nixspace.RoleGuest, "environment", found[i].Ref())
		switch {
		case err == nil:
			out = append(out, found[i])
		case have != nixspace.RoleNone:
			refused = err
		}
	}
	if len(out) == 0 {
		return nil, refused
	}
	return out, nil
}

func (e scopedEnvironments) Named(ctx context.Context, project, name string) ([]nixspace.Environment, error) {
	found, err := e.s.raw().Environments().Named(ctx, project, name)
	if err != nil {
		return nil, err
	}
	return e.named(found)
}

func (e scopedEnvironments) Deleted(ctx context.Context, project, name string) ([]nixspace.Environment, error) {
	found, err := e.s.raw().Environments().Deleted(ctx, project, name)
	if err != nil {
		return nil, err
	}
	return e.named(found)
}

func (e scopedEnvironments) List(ctx context.Context, project nixspace.ID) ([]nixspace.Environment, error) {
	found, err := e.s.raw().Environments().List(ctx, project)
	out := make([]nixspace.Environment, 0, len(found))
	for i := range found {
		if e.s.mayIn(&found[i], nixspace.RoleGuest) {
			out = append(out, found[i])
		}
	}
	return out, err
}

// Page cuts what List has: the database cannot know what may be seen.
func (e scopedEnvironments) Page(ctx context.Context, project nixspace.ID, after *nixspace.Environment, limit int) ([]nixspace.Environment, int, error) {
	all, err := e.List(ctx, project)
	if err != nil {
		return nil, 0, err
	}
	from := 0
	if after != nil {
		for from < len(all) && (all[from].Project < after.Project || all[from].Project == after.Project && all[from].Name <= after.Name) {
			from++
		}
	}
	return all[from:min(from+limit, len(all))], len(all), nil
}

// Search reads more than it was asked for, since some of it is left out.
func (e scopedEnvironments) Search(ctx context.Context, words []string, limit int) ([]nixspace.Environment, error) {
	found, err := e.s.raw().Environments().Search(ctx, words, max(limit, searched))
	out := make([]nixspace.Environment, 0, limit)
	for i := range found {
		if len(out) < limit && e.s.mayIn(&found[i], nixspace.RoleGuest) {
			out = append(out, found[i])
		}
	}
	return out, err
}

// searched is how many environments are looked at for those that may be seen.
const searched = 5000

func (e scopedEnvironments) Refs(ctx context.Context, limit int) ([]string, error) {
	found, err := e.List(ctx, "")
	refs := make([]string, 0, min(limit, len(found)))
	for i := range found[:min(limit, len(found))] {
		refs = append(refs, found[i].Ref())
	}
	return refs, err
}

func (e scopedEnvironments) MoveHead(ctx context.Context, v *nixspace.Version, m nixspace.HeadMove) error {
	envs, err := e.s.environmentsOf(ctx, []nixspace.ID{m.EnvironmentID})
	if err != nil {
		return err
	}
	env, least := envs[m.EnvironmentID], nixspace.RoleDeveloper
	if env == nil {
		return e.s.check(nixspace.RoleNone, least, "environment", string(m.EnvironmentID))
	}
	if env.Protected {
		least = nixspace.RoleMaintainer
	}
	if err := e.s.check(e.s.access.InEnvironment(env), least, "environment", env.Ref()); err != nil {
		return err
	}
	return e.s.raw().Environments().MoveHead(ctx, v, m)
}

func (e scopedEnvironments) Lock(ctx context.Context, id nixspace.ID) (*nixspace.Environment, error) {
	env, err := e.s.raw().Environments().Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	return env, e.s.check(e.s.access.InEnvironment(env), nixspace.RoleDeveloper, "environment", env.Ref())
}

func (e scopedEnvironments) Update(ctx context.Context, env *nixspace.Environment) error {
	envs, err := e.s.environmentsOf(ctx, []nixspace.ID{env.ID})
	if err != nil {
		return err
	}
	old, least := envs[env.ID], nixspace.RoleDeveloper
	if old == nil {
		return e.s.check(nixspace.RoleNone, least, "environment", env.Ref())
	}
	// Others' environments, and what protects them, are for maintainers.
	if old.CreatedBy != e.s.access.Actor || old.Protected != env.Protected || old.Protected {
		least = nixspace.RoleMaintainer
	}
	if err := e.s.check(e.s.access.InEnvironment(old), least, "environment", old.Ref()); err != nil {
		return err
	}
	return e.s.raw().Environments().Update(ctx, env)
}

type scopedVersions struct{ s *scope }

func (v scopedVersions) Create(ctx context.Context, version *nixspace.Version, parent nixspace.ID) error {
	if err := v.s.environment(ctx, version.EnvironmentID, nixspace.RoleDeveloper, "environment", string(version.EnvironmentID)); err != nil {
		return err
	}
	return v.s.raw().Versions().Create(ctx, version, parent)
}

// inGraph leaves out what is of projects that cannot be seen.
func (v scopedVersions) inGraph(ctx context.Context, found []nixspace.Version) ([]nixspace.Version, error) {
	ids := make([]nixspace.ID, len(found))
	for i := range found {
		ids[i] = found[i].EnvironmentID
	}
	envs, err := v.s.environmentsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := found[:0]
	var refused error
	for i := range found {
		have := v.s.inGraph(envs[found[i].EnvironmentID])
		err := v.s.check(have, nixspace.RoleGuest, "version", found[i].VersionHash)
		switch {
		case err == nil:
			out = append(out, found[i])
		case have != nixspace.RoleNone:
			refused = err
		}
	}
	if len(out) == 0 {
		return nil, refused
	}
	return out, nil
}

func (v scopedVersions) ByIDs(ctx context.Context, ids ...nixspace.ID) ([]nixspace.Version, error) {
	found, err := v.s.raw().Versions().ByIDs(ctx, ids...)
	if err != nil {
		return nil, err
	}
	return v.inGraph(ctx, found)
}

func (v scopedVersions) Hashes(ctx context.Context, ids ...nixspace.ID) ([]string, error) {
	found, err := v.ByIDs(ctx, ids...)
	hashes := make([]string, len(found))
	for i := range found {
		hashes[i] = found[i].VersionHash
	}
	return hashes, err
}

// ByHash finds by a guess at what a hash begins with, so it is strict: only what was
// committed to an environment that may be seen is found by less than a whole hash.
func (v scopedVersions) ByHash(ctx context.Context, prefix string, limit int) ([]nixspace.Version, error) {
	found, err := v.s.raw().Versions().ByHash(ctx, prefix, 100)
	if err != nil {
		return nil, err
	}
	if len(prefix) == 64 {
		found, err = v.inGraph(ctx, found)
	} else {
		found, err = keep(ctx, v.s, found, nixspace.RoleGuest, func(x *nixspace.Version) nixspace.ID { return x.EnvironmentID })
	}
	return found[:min(limit, len(found))], err
}

func (v scopedVersions) History(ctx context.Context, head nixspace.ID, before int64, limit int) ([]nixspace.Version, error) {
	if err := v.s.version(ctx, head, nixspace.RoleGuest); err != nil {
		return nil, err
	}
	return v.s.raw().Versions().History(ctx, head, before, limit)
}

func (v scopedVersions) Realisation(ctx context.Context, drvPath string) (*nixspace.Realisation, error) {
	return v.s.raw().Versions().Realisation(ctx, drvPath)
}

// PutRealisation records what is true of a derivation, whoever found it out.
func (v scopedVersions) PutRealisation(ctx context.Context, r *nixspace.Realisation) error {
	return v.s.raw().Versions().PutRealisation(ctx, r)
}

type scopedHistory struct{ s *scope }

// Nodes are hashes, their parents and times: nothing of what is in versions.
func (h scopedHistory) Nodes(ctx context.Context, hashes []string, limit int) ([]nixspace.VersionNode, error) {
	return h.s.raw().History().Nodes(ctx, hashes, limit)
}

func (h scopedHistory) Commits(ctx context.Context, hashes []string) ([]nixspace.Commit, error) {
	found, err := h.s.raw().History().Commits(ctx, hashes)
	if err != nil {
		return nil, err
	}
	ids := make([]nixspace.ID, len(found))
	for i := range found {
		ids[i] = found[i].EnvironmentID
	}
	envs, err := h.s.environmentsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := found[:0]
	for i := range found {
		if h.s.inGraph(envs[found[i].EnvironmentID]).AtLeast(h.s.at(nixspace.RoleGuest)) {
			out = append(out, found[i])
		}
	}
	return out, nil
}

func (h scopedHistory) FirstParent(ctx context.Context, version nixspace.ID, n int) (nixspace.ID, error) {
	if err := h.s.version(ctx, version, nixspace.RoleGuest); err != nil {
		return "", err
	}
	return h.s.raw().History().FirstParent(ctx, version, n)
}

func (h scopedHistory) Moves(ctx context.Context, environment nixspace.ID, before int64, skip, limit int) ([]nixspace.HeadMove, error) {
	if err := h.s.environment(ctx, environment, nixspace.RoleGuest, "environment", string(environment)); err != nil {
		return nil, err
	}
	return h.s.raw().History().Moves(ctx, environment, before, skip, limit)
}

func (h scopedHistory) MoveAt(ctx context.Context, environment nixspace.ID, at time.Time) (*nixspace.HeadMove, error) {
	if err := h.s.environment(ctx, environment, nixspace.RoleGuest, "environment", string(environment)); err != nil {
		return nil, err
	}
	return h.s.raw().History().MoveAt(ctx, environment, at)
}

func (h scopedHistory) HeadsAt(ctx context.Context, versions ...nixspace.ID) ([]nixspace.Environment, error) {
	found, err := h.s.raw().History().HeadsAt(ctx, versions...)
	out := found[:0]
	for i := range found {
		if h.s.mayIn(&found[i], nixspace.RoleGuest) {
			out = append(out, found[i])
		}
	}
	return out, err
}
