package records

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

type scopedTags struct{ s *scope }

func (t scopedTags) in(project nixspace.ID, least nixspace.Role) bool {
	r := t.s.access.InProject(project)
	return r != nixspace.RoleNone && r.AtLeast(t.s.at(least))
}

func (t scopedTags) visible(found []nixspace.Tag, err error) ([]nixspace.Tag, error) {
	out := found[:0]
	for i := range found {
		if t.in(found[i].ProjectID, nixspace.RoleGuest) {
			out = append(out, found[i])
		}
	}
	return out, err
}

func (t scopedTags) Create(ctx context.Context, tag *nixspace.Tag, replace bool) error {
	if err := t.s.check(t.s.access.InProject(tag.ProjectID), nixspace.RoleDeveloper, "project", tag.Project); err != nil {
		return err
	}
	return t.s.raw().Tags().Create(ctx, tag, replace)
}

func (t scopedTags) Named(ctx context.Context, project, name string) ([]nixspace.Tag, error) {
	return t.visible(t.s.raw().Tags().Named(ctx, project, name))
}

func (t scopedTags) List(ctx context.Context, project nixspace.ID) ([]nixspace.Tag, error) {
	return t.visible(t.s.raw().Tags().List(ctx, project))
}

func (t scopedTags) At(ctx context.Context, versions ...nixspace.ID) ([]nixspace.Tag, error) {
	return t.visible(t.s.raw().Tags().At(ctx, versions...))
}

func (t scopedTags) Delete(ctx context.Context, project nixspace.ID, name string) (bool, error) {
	if err := t.s.check(t.s.access.InProject(project), nixspace.RoleDeveloper, "project", string(project)); err != nil {
		return false, err
	}
	return t.s.raw().Tags().Delete(ctx, project, name)
}

type scopedMerges struct{ s *scope }

func (m scopedMerges) Create(ctx context.Context, merge *nixspace.Merge) error {
	if err := m.s.environment(ctx, merge.EnvironmentID, nixspace.RoleDeveloper, "environment", string(merge.EnvironmentID)); err != nil {
		return err
	}
	return m.s.raw().Merges().Create(ctx, merge)
}

func (m scopedMerges) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Merge, error) {
	found, err := m.s.raw().Merges().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return found, m.s.environment(ctx, found.EnvironmentID, nixspace.RoleGuest, "merge", string(id))
}

func (m scopedMerges) Building(ctx context.Context, version nixspace.ID) ([]nixspace.Merge, error) {
	found, err := m.s.raw().Merges().Building(ctx, version)
	if err != nil {
		return nil, err
	}
	return keep(ctx, m.s, found, nixspace.RoleGuest, func(x *nixspace.Merge) nixspace.ID { return x.EnvironmentID })
}

func (m scopedMerges) End(ctx context.Context, merge *nixspace.Merge) (bool, error) {
	if err := m.s.environment(ctx, merge.EnvironmentID, nixspace.RoleDeveloper, "merge", string(merge.ID)); err != nil {
		return false, err
	}
	return m.s.raw().Merges().End(ctx, merge)
}

type scopedBuilds struct{ s *scope }

func (b scopedBuilds) Create(ctx context.Context, build *nixspace.Build) error {
	if err := b.s.version(ctx, build.VersionID, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return b.s.raw().Builds().Create(ctx, build)
}

func (b scopedBuilds) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	found, err := b.s.raw().Builds().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	return found, b.s.version(ctx, found.VersionID, nixspace.RoleGuest)
}

func (b scopedBuilds) Lock(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	found, err := b.s.raw().Builds().Lock(ctx, id)
	if err != nil {
		return nil, err
	}
	return found, b.s.version(ctx, found.VersionID, nixspace.RoleDeveloper)
}

func (b scopedBuilds) List(ctx context.Context, version nixspace.ID) ([]nixspace.Build, error) {
	if version != "" {
		if err := b.s.version(ctx, version, nixspace.RoleGuest); err != nil {
			return nil, err
		}
		return b.s.raw().Builds().List(ctx, version)
	}
	found, err := b.s.raw().Builds().List(ctx, "")
	out := found[:0]
	for i := range found {
		if b.s.version(ctx, found[i].VersionID, nixspace.RoleGuest) == nil {
			out = append(out, found[i])
		}
	}
	return out, err
}

func (b scopedBuilds) Transition(ctx context.Context, build *nixspace.Build, from ...nixspace.BuildStatus) (bool, error) {
	if err := b.s.version(ctx, build.VersionID, nixspace.RoleDeveloper); err != nil {
		return false, err
	}
	return b.s.raw().Builds().Transition(ctx, build, from...)
}

func (b scopedBuilds) AppendLog(context.Context, []nixspace.BuildLogLine) error {
	return nixspace.Errorf(nixspace.KindForbidden, "operation_forbidden", "only the server writes the logs of builds")
}

func (b scopedBuilds) Log(ctx context.Context, build nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	if _, err := b.ByID(ctx, build); err != nil {
		return nil, err
	}
	return b.s.raw().Builds().Log(ctx, build, after, limit)
}

type scopedSessions struct{ s *scope }

func (x scopedSessions) Create(ctx context.Context, session *nixspace.Session) error {
	if err := x.s.environment(ctx, session.EnvironmentID, nixspace.RoleDeveloper, "environment", string(session.EnvironmentID)); err != nil {
		return err
	}
	if err := x.s.place(ctx, session.EnvironmentID); err != nil {
		return err
	}
	return x.s.raw().Sessions().Create(ctx, session)
}

// named checks what an operation names.
func (x scopedSessions) named(ctx context.Context, id nixspace.ID, least nixspace.Role) (*nixspace.Session, error) {
	found, err := x.s.raw().Sessions().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := x.s.environment(ctx, found.EnvironmentID, least, "session", string(id)); err != nil {
		return nil, err
	}
	return found, nil
}

func (x scopedSessions) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Session, error) {
	return x.named(ctx, id, nixspace.RoleViewer)
}

func (x scopedSessions) List(ctx context.Context, f nixspace.SessionFilter) ([]nixspace.Session, error) {
	limit := f.Limit
	if f.Environment == "" {
		f.Limit = 0 // what is left out does not count
	}
	found, err := x.s.raw().Sessions().List(ctx, f)
	if err != nil {
		return nil, err
	}
	found, err = keep(ctx, x.s, found, nixspace.RoleViewer, func(s *nixspace.Session) nixspace.ID { return s.EnvironmentID })
	if limit > 0 {
		found = found[:min(limit, len(found))]
	}
	return found, err
}

func (x scopedSessions) Transition(ctx context.Context, c nixspace.SessionChange) (*nixspace.Session, error) {
	old, err := x.named(ctx, c.ID, nixspace.RoleDeveloper)
	if err != nil {
		return nil, err
	}
	if c.Restart {
		if err := x.s.place(ctx, old.EnvironmentID); err != nil {
			return nil, err
		}
	}
	return x.s.raw().Sessions().Transition(ctx, c)
}

func (x scopedSessions) Touch(ctx context.Context, id nixspace.ID, at time.Time) error {
	if _, err := x.named(ctx, id, nixspace.RoleViewer); err != nil {
		return err
	}
	return x.s.raw().Sessions().Touch(ctx, id, at)
}

func (x scopedSessions) Delete(ctx context.Context, id nixspace.ID) error {
	if _, err := x.named(ctx, id, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().Sessions().Delete(ctx, id)
}

type scopedSnapshots struct{ s *scope }

func (x scopedSnapshots) Create(ctx context.Context, snap *nixspace.Snapshot) error {
	if err := x.s.environment(ctx, snap.EnvironmentID, nixspace.RoleDeveloper, "environment", string(snap.EnvironmentID)); err != nil {
		return err
	}
	return x.s.raw().Snapshots().Create(ctx, snap)
}

func (x scopedSnapshots) named(ctx context.Context, id nixspace.ID, least nixspace.Role) (*nixspace.Snapshot, error) {
	found, err := x.s.raw().Snapshots().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := x.s.environment(ctx, found.EnvironmentID, least, "snapshot", string(id)); err != nil {
		return nil, err
	}
	return found, nil
}

func (x scopedSnapshots) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Snapshot, error) {
	return x.named(ctx, id, nixspace.RoleViewer)
}

func (x scopedSnapshots) List(ctx context.Context, f nixspace.SnapshotFilter) ([]nixspace.Snapshot, error) {
	found, err := x.s.raw().Snapshots().List(ctx, f)
	if err != nil {
		return nil, err
	}
	return keep(ctx, x.s, found, nixspace.RoleViewer, func(s *nixspace.Snapshot) nixspace.ID { return s.EnvironmentID })
}

func (x scopedSnapshots) Update(ctx context.Context, snap *nixspace.Snapshot) error {
	if _, err := x.named(ctx, snap.ID, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().Snapshots().Update(ctx, snap)
}

func (x scopedSnapshots) Delete(ctx context.Context, id nixspace.ID) error {
	if _, err := x.named(ctx, id, nixspace.RoleDeveloper); err != nil {
		return err
	}
	return x.s.raw().Snapshots().Delete(ctx, id)
}

type scopedFetches struct{ s *scope }

func (f scopedFetches) Create(ctx context.Context, fetch *nixspace.SourceFetch) error {
	if !f.s.access.MayCreate() {
		return nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "guests of this server fetch no code").
			WithHint("ask an administrator to make you a member: nixspace user set NAME --standing member")
	}
	return f.s.raw().Fetches().Create(ctx, fetch)
}

// ByID finds one's own fetches only: others' may tell of private repositories.
func (f scopedFetches) ByID(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error) {
	found, err := f.s.raw().Fetches().ByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if found.CreatedBy != f.s.access.Actor && !f.s.access.Administers() {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "fetch_unknown", "there is no fetch %s", id)
	}
	return found, nil
}

func (f scopedFetches) Open(ctx context.Context) ([]nixspace.SourceFetch, error) {
	found, err := f.s.raw().Fetches().Open(ctx)
	out := found[:0]
	for i := range found {
		if found[i].CreatedBy == f.s.access.Actor || f.s.access.Administers() {
			out = append(out, found[i])
		}
	}
	return out, err
}

func (f scopedFetches) Transition(ctx context.Context, fetch *nixspace.SourceFetch, from ...nixspace.BuildStatus) (bool, error) {
	if _, err := f.ByID(ctx, fetch.ID); err != nil {
		return false, err
	}
	return f.s.raw().Fetches().Transition(ctx, fetch, from...)
}

type scopedTemplates struct{ s *scope }

func (t scopedTemplates) Create(ctx context.Context, template *nixspace.Template) error {
	if !t.s.access.MayCreate() {
		return nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "guests of this server save no templates")
	}
	return t.s.raw().Templates().Create(ctx, template)
}

func (t scopedTemplates) ByName(ctx context.Context, name string) (*nixspace.Template, error) {
	return t.s.raw().Templates().ByName(ctx, name)
}

func (t scopedTemplates) List(ctx context.Context) ([]nixspace.Template, error) {
	return t.s.raw().Templates().List(ctx)
}

func (t scopedTemplates) Delete(ctx context.Context, name string) error {
	if !t.s.access.Administers() {
		found, err := t.ByName(ctx, name)
		if err != nil {
			return err
		}
		if found.CreatedBy != t.s.access.Actor {
			return nixspace.Errorf(nixspace.KindForbidden, "template_foreign", "the template %s is somebody else's", name).
				WithHint("whoever saved it, or an administrator, can delete it")
		}
	}
	return t.s.raw().Templates().Delete(ctx, name)
}

type scopedEvents struct{ s *scope }

func (e scopedEvents) Append(ctx context.Context, event *nixspace.Event) error {
	return e.s.raw().Events().Append(ctx, event)
}

// After reads on until there is something to be seen, or nothing at all.
func (e scopedEvents) After(ctx context.Context, seq int64, limit int) ([]nixspace.Event, error) {
	for {
		found, err := e.s.raw().Events().After(ctx, seq, limit)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		full := len(found) == limit
		seq = found[len(found)-1].Seq
		ids := make([]nixspace.ID, len(found))
		for i := range found {
			ids[i] = found[i].EnvironmentID
		}
		envs, err := e.s.environmentsOf(ctx, ids)
		if err != nil {
			return nil, err
		}
		out := found[:0]
		for i := range found {
			env := envs[found[i].EnvironmentID]
			r := e.s.access.InProject(found[i].ProjectID)
			if env != nil {
				r = e.s.access.InEnvironment(env)
			} else if found[i].EnvironmentID != "" || found[i].ProjectID == "" {
				r = nixspace.RoleNone // of something that is gone, or of the whole server
			}
			if e.s.access.Administers() || r != nixspace.RoleNone && r.AtLeast(e.s.at(nixspace.RoleViewer)) {
				out = append(out, found[i])
			}
		}
		if len(out) > 0 || !full {
			return out, nil
		}
	}
}

func (e scopedEvents) Last(ctx context.Context) (int64, error) { return e.s.raw().Events().Last(ctx) }
