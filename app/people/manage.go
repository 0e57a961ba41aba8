package people

import (
	"context"
	"strings"
	"time"
	"unicode"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// Users lists the accounts of the server, without what is secret. Those who do not
// administer it see names alone.
func (u *UseCases) Users(ctx context.Context) ([]nixspace.Account, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	access := nixspace.AccessFrom(ctx)
	all, err := u.store().Accounts().List(ctx)
	out := all[:0]
	for _, a := range all {
		if !access.Administers() {
			if access.Standing == nixspace.StandingGuest && a.UserID != access.Actor {
				continue
			}
			a = nixspace.Account{UserID: a.UserID, Name: a.Name, Standing: a.Standing, CreatedAt: a.CreatedAt}
		}
		out = append(out, a)
	}
	return out, err
}

// SetUser changes an account. What is nil stays.
type SetUser struct {
	Name     string
	Standing *nixspace.Standing
	Disabled *bool
	Email    *string
}

// SetUser changes an account. Disabling one ends all that it has open. The local
// owner stays an administrator.
func (u *UseCases) SetUser(ctx context.Context, in SetUser) (*nixspace.Account, error) {
	var out *nixspace.Account
	err := u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) error {
		a, err := store.Accounts().ByName(ctx, in.Name)
		if err != nil {
			return err
		}
		u.mu.Lock()
		local := a.UserID == u.owner
		u.mu.Unlock()
		if local && (in.Standing != nil && *in.Standing != nixspace.StandingAdmin || in.Disabled != nil && *in.Disabled) {
			return nixspace.Errorf(nixspace.KindConflict, "owner_fixed", "%s owns this server", a.Name)
		}
		if in.Standing != nil {
			if !in.Standing.Valid() {
				return standingInvalid(*in.Standing)
			}
			a.Standing = *in.Standing
		}
		if in.Email != nil {
			if err := records.CheckText("the address", *in.Email, 254); err != nil {
				return err
			}
			a.Email = *in.Email
		}
		if in.Disabled != nil {
			a.DisabledAt = time.Time{}
			if *in.Disabled {
				a.DisabledAt = u.now()
				if err := u.revokeAll(ctx, store, a.UserID); err != nil {
					return err
				}
			}
		}
		out = a
		return store.Accounts().Update(ctx, a)
	})
	return out, err
}

// SetPassword gives the actor another password, and ends all their other
// credentials. It takes the old one, where there is one and the actor is not the
// local owner.
func (u *UseCases) SetPassword(ctx context.Context, old, password string) error {
	actor, a, err := u.me(ctx)
	if err != nil {
		return err
	}
	if a.Password != "" && actor.Credential != "" {
		if err := u.tries.try(u.now(), "", a.Name); err != nil {
			return err
		}
		if err := u.check(ctx, a, old); err != nil {
			return err
		}
	}
	if err := checkPassword(a.Name, password); err != nil {
		return err
	}
	if a.Password, err = u.hash(ctx, password); err != nil {
		return err
	}
	return u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) error {
		if err := store.Accounts().Update(ctx, a); err != nil {
			return err
		}
		all, err := store.Credentials().List(ctx, a.UserID)
		if err != nil {
			return err
		}
		for _, c := range all {
			if c.ID == actor.Credential || c.Kind != nixspace.CredentialBrowser {
				continue // tokens are not made of the password, and are revoked by name
			}
			if _, err := store.Credentials().Revoke(ctx, c.ID, u.now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Teams lists the teams of the server.
func (u *UseCases) Teams(ctx context.Context) ([]nixspace.Team, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	access := nixspace.AccessFrom(ctx)
	if access != nil && access.Standing == nixspace.StandingGuest {
		return nil, nil
	}
	return u.store().Teams().List(ctx)
}

// CreateTeam makes a team.
func (u *UseCases) CreateTeam(ctx context.Context, name string) (*nixspace.Team, error) {
	if err := nixspace.CheckName("a team", name); err != nil {
		return nil, err
	}
	t := &nixspace.Team{ID: nixspace.NewID(), Name: name, CreatedAt: u.now()}
	return t, u.write(ctx, func(actor nixspace.Actor, store nixspace.PeopleStore) error {
		t.CreatedBy = actor.ID
		return store.Teams().Create(ctx, t)
	})
}

// DeleteTeam deletes a team; its members lose what they had by it.
func (u *UseCases) DeleteTeam(ctx context.Context, name string) (*nixspace.Team, error) {
	var t *nixspace.Team
	err := u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) (err error) {
		if t, err = store.Teams().ByName(ctx, name); err != nil {
			return err
		}
		// One by one, so that each of them is told.
		for _, m := range t.Members {
			a, err := store.Accounts().ByName(ctx, m)
			if err != nil {
				return err
			}
			if _, err := store.Teams().Put(ctx, t.ID, a.UserID, false); err != nil {
				return err
			}
		}
		return store.Teams().Delete(ctx, t.ID)
	})
	return t, err
}

// PutTeamMember adds a user to a team, or takes them out.
func (u *UseCases) PutTeamMember(ctx context.Context, team, user string, in bool) (*nixspace.Team, error) {
	var t *nixspace.Team
	err := u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) (err error) {
		if t, err = store.Teams().ByName(ctx, team); err != nil {
			return err
		}
		a, err := store.Accounts().ByName(ctx, user)
		if err != nil {
			return err
		}
		if _, err := store.Teams().Put(ctx, t.ID, a.UserID, in); err != nil {
			return err
		}
		t, err = store.Teams().ByName(ctx, team)
		return err
	})
	return t, err
}

// Members lists the members of a project.
func (u *UseCases) Members(ctx context.Context, project string) ([]nixspace.Member, error) {
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := records.FindProject(ctx, tx, project)
	if err != nil {
		return nil, err
	}
	return tx.People().Members().List(ctx, p.ID)
}

// PutMember gives a user or a team a role in a project. Maintainers give roles up
// to their own, and take none from those above them.
func (u *UseCases) PutMember(ctx context.Context, project, who string, role nixspace.Role) (*nixspace.Member, error) {
	p, err := u.manage(ctx, project, role)
	if err != nil {
		return nil, err
	}
	m := &nixspace.Member{ProjectID: p.ID, Project: p.Slug, Name: who, Role: role, CreatedAt: u.now()}
	return m, u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) error {
		if err := u.member(ctx, store, m); err != nil {
			return err
		}
		return store.Members().Put(ctx, m)
	})
}

// RemoveMember takes a user or a team out of a project. What they have open in it
// ends at once.
func (u *UseCases) RemoveMember(ctx context.Context, project, who string) (*nixspace.Member, error) {
	p, err := u.manage(ctx, project, nixspace.RoleGuest)
	if err != nil {
		return nil, err
	}
	m := &nixspace.Member{ProjectID: p.ID, Project: p.Slug, Name: who}
	return m, u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) error {
		if err := u.member(ctx, store, m); err != nil {
			return err
		}
		gone, err := store.Members().Delete(ctx, m)
		if err == nil && !gone {
			return nixspace.Errorf(nixspace.KindNotFound, "member_unknown", "%s is no member of %s", who, p.Slug).
				WithHint("nixspace member list %s", p.Slug)
		}
		return err
	})
}

// member finds the user or the team of m's name, and makes sure that the actor is
// not below them, and that an owner is left.
func (u *UseCases) member(ctx context.Context, store nixspace.PeopleStore, m *nixspace.Member) error {
	a, err := store.Accounts().ByName(ctx, m.Name)
	switch {
	case err == nil:
		m.UserID = a.UserID
	case records.NotFound(err):
		t, err := store.Teams().ByName(ctx, m.Name)
		if records.NotFound(err) {
			return nixspace.Errorf(nixspace.KindNotFound, "user_unknown", "there is no user and no team %.100q", m.Name).
				WithHint("nixspace user list, nixspace team list; invite somebody with nixspace user invite")
		}
		if err != nil {
			return err
		}
		m.TeamID = t.ID
	default:
		return err
	}
	all, err := store.Members().List(ctx, m.ProjectID)
	if err != nil {
		return err
	}
	have, owners, loses := nixspace.AccessFrom(ctx).InProject(m.ProjectID), 0, false
	for _, old := range all {
		if old.UserID == m.UserID && old.TeamID == m.TeamID {
			if !have.AtLeast(old.Role) {
				return records.Forbidden(have, old.Role, m.Project)
			}
			loses = old.Role == nixspace.RoleOwner && m.Role != nixspace.RoleOwner
			if m.Role == nixspace.RoleNone {
				m.Role = old.Role // what they had
			}
			continue
		}
		if old.Role == nixspace.RoleOwner {
			owners++
		}
	}
	if loses && owners == 0 && !nixspace.AccessFrom(ctx).Administers() {
		return nixspace.Errorf(nixspace.KindConflict, "owner_last", "%s would have no owner any more", m.Project).WithHint("make somebody else an owner first")
	}
	return nil
}

// SetVisibility says who may see an environment: who made it, and owners of its
// project. What others have open of it ends when they may not any more.
func (u *UseCases) SetVisibility(ctx context.Context, ref string, v nixspace.Visibility) (*nixspace.Environment, error) {
	if !v.Valid() {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "visibility_invalid", "%q is no visibility", string(v)).WithHint("one of private, team and public")
	}
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	env, err := records.FindEnvironment(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	access := nixspace.AccessFrom(ctx)
	need := nixspace.RoleMaintainer
	if v == nixspace.VisibilityPrivate {
		need = nixspace.RoleOwner // a maintainer would lose sight of it
	}
	if have := access.InEnvironment(env); access != nil && env.CreatedBy != access.Actor && !have.AtLeast(need) {
		return nil, records.Forbidden(have, need, env.Ref())
	}
	err = u.write(ctx, func(_ nixspace.Actor, store nixspace.PeopleStore) error {
		return store.Visibility().Set(ctx, env.ID, v)
	})
	env.Visibility = v
	return env, err
}

// Audit lists entries of the audit trail, oldest first.
func (u *UseCases) Audit(ctx context.Context, f nixspace.AuditFilter) ([]nixspace.AuditEntry, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if !nixspace.AccessFrom(ctx).Administers() {
		return nil, nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "this is for administrators of the server")
	}
	return u.store().Audit().List(ctx, f)
}

// Record writes one entry into the audit trail. It does so also for a request that
// its client has given up.
func (u *UseCases) Record(ctx context.Context, op, target string, failure error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		actor = nixspace.Actor{ID: nixspace.SystemActor.ID, Name: "nobody"}
	}
	e := &nixspace.AuditEntry{
		At: u.now(), ActorID: actor.ID, Actor: actor.Name, Credential: actor.Credential, Operation: op, Outcome: "ok",
		From: from(ctx), Target: clean(target, 300),
	}
	if failure != nil {
		e.Outcome = nixspace.ErrorCode(failure)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditLimit)
	defer cancel()
	if err := u.store().Audit().Append(ctx, e); err != nil {
		u.log.Error("cannot write the audit trail", "operation", op, "actor", e.Actor, "error", err)
	}
}

const auditLimit = 10 * time.Second

// clean makes text of a stranger's one line that a log, a table or a spreadsheet
// can show.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return ' '
		}
		return r
	}, records.CleanText(s))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return strings.TrimSpace(s)
}
