package people

import (
	"cmp"
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/records"
)

// CreateToken asks for a token.
type CreateToken struct {
	Name     string
	Cap      nixspace.Role // the most that it may do; empty for all that the actor may
	Projects []string      // where it is good; none for everywhere
	Days     int           // until it ends; 90 when 0
}

// CreateToken makes a token of the actor's own. A token cannot make one that may do
// more than itself.
func (u *UseCases) CreateToken(ctx context.Context, in CreateToken) (*Granted, error) {
	actor, _, err := u.me(ctx)
	if err != nil {
		return nil, err
	}
	if in.Name == "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "name_invalid", "a token needs a name").WithHint("say what it is for: nixspace token create ci")
	}
	if in.Cap != nixspace.RoleNone && !in.Cap.Valid() {
		return nil, roleInvalid(in.Cap)
	}
	life := tokenLife
	if in.Days != 0 {
		life = time.Duration(in.Days) * 24 * time.Hour
	}
	if life <= 0 || life > tokenMax {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "expiry_invalid", "a token is good for 1 to 366 days")
	}
	c := nixspace.Credential{UserID: actor.ID, User: actor.Name, Kind: nixspace.CredentialToken, Name: in.Name, Cap: in.Cap, ExpiresAt: u.now().Add(life)}
	access := nixspace.AccessFrom(ctx)
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	for _, ref := range in.Projects {
		p, err := records.FindProject(ctx, tx, ref)
		if err != nil {
			return nil, err
		}
		c.Projects = append(c.Projects, p.ID)
	}
	if access != nil {
		if len(c.Projects) == 0 {
			c.Projects = access.Only
		}
		if access.Cap != nixspace.RoleNone && (c.Cap == nixspace.RoleNone || c.Cap.AtLeast(access.Cap)) {
			c.Cap = access.Cap
		}
	}
	return u.grant(ctx, c)
}

// Tokens lists the actor's tokens, browsers and invitations, newest first.
func (u *UseCases) Tokens(ctx context.Context) ([]nixspace.Credential, error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return nil, err
	}
	all, err := u.store().Credentials().List(ctx, actor.ID)
	good := all[:0]
	for _, c := range all {
		if c.Good(u.now()) && c.Uses >= 0 {
			good = append(good, c)
		}
	}
	return good, err
}

// RevokeToken ends a credential, by its ID or the name of one of the actor's own.
// Whatever is open by it ends at once. Administrators end those of others too.
func (u *UseCases) RevokeToken(ctx context.Context, ref string) (*nixspace.Credential, error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return nil, err
	}
	unknown := nixspace.Errorf(nixspace.KindNotFound, "credential_unknown", "there is no token %.100q", ref).WithHint("nixspace token list shows them")
	var found *nixspace.Credential
	if nixspace.ID(ref).Valid() {
		if found, err = u.store().Credentials().ByID(ctx, nixspace.ID(ref)); records.NotFound(err) {
			err = unknown
		}
		if err == nil && found.UserID != actor.ID && !nixspace.AccessFrom(ctx).Administers() {
			err = unknown
		}
	} else {
		var mine []nixspace.Credential
		mine, err = u.Tokens(ctx)
		for i := range mine {
			if mine[i].Name != ref {
				continue
			}
			if found != nil {
				return nil, nixspace.Errorf(nixspace.KindInvalid, "credential_ambiguous", "several have the name %q", ref).
					WithHint("name it by its ID: nixspace token list --json")
			}
			found = &mine[i]
		}
		if found == nil {
			err = cmp.Or[error](err, unknown)
		}
	}
	if err != nil {
		return nil, err
	}
	_, err = u.store().Credentials().Revoke(ctx, found.ID, u.now())
	return found, err
}

// Invite asks for an invitation.
type Invite struct {
	// Name is the account that it makes, or renews the password of; empty for
	// whatever name somebody takes.
	Name     string
	Standing nixspace.Standing // of a new account; member when empty
	Project  string            // that it adds them to; may be empty
	Role     nixspace.Role     // in the project
	Uses     int               // how often it is good; once when 0
}

// Invite makes an invitation, whose secret is shown only now. Maintainers of a
// project invite guests of the server into it; everything else is for
// administrators.
func (u *UseCases) Invite(ctx context.Context, in Invite) (*Granted, error) {
	actor, err := nixspace.ActorFrom(ctx)
	if err != nil {
		return nil, err
	}
	access := nixspace.AccessFrom(ctx)
	in.Standing = cmp.Or(in.Standing, nixspace.StandingMember)
	if !in.Standing.Valid() {
		return nil, standingInvalid(in.Standing)
	}
	if in.Name != "" {
		if err := nixspace.CheckName("a user", in.Name); err != nil {
			return nil, err
		}
	}
	in.Uses = cmp.Or(in.Uses, 1)
	if in.Uses < 1 || in.Uses > 1000 || in.Uses > 1 && in.Name != "" {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "uses_invalid", "an invitation is good 1 to 1000 times, and one for somebody by name once")
	}
	if !access.Administers() && (in.Project == "" || in.Name != "" || in.Standing == nixspace.StandingAdmin) {
		return nil, nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "administrators invite members of the server, and people by name").
			WithHint("invite a guest into a project of yours: nixspace user invite --project PROJECT --role viewer")
	}
	c := nixspace.Credential{
		UserID: actor.ID, User: actor.Name, Kind: nixspace.CredentialInvite, Name: in.Name, Standing: in.Standing, Uses: in.Uses,
		ExpiresAt: u.now().Add(inviteLife),
	}
	if !access.Administers() {
		c.Standing = nixspace.StandingGuest
	}
	if in.Project != "" {
		p, err := u.manage(ctx, in.Project, in.Role)
		if err != nil {
			return nil, err
		}
		c.Projects, c.Cap = []nixspace.ID{p.ID}, in.Role
	}
	return u.grant(ctx, c)
}

// manage returns a project in which the actor may give a role: maintainers up to
// their own.
func (u *UseCases) manage(ctx context.Context, ref string, role nixspace.Role) (*nixspace.Project, error) {
	if !role.Valid() {
		return nil, roleInvalid(role)
	}
	tx, err := u.records.Read(ctx)
	if err != nil {
		return nil, err
	}
	p, err := records.FindProject(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	have := nixspace.AccessFrom(ctx).InProject(p.ID)
	if !have.AtLeast(nixspace.RoleMaintainer) {
		return nil, records.Forbidden(have, nixspace.RoleMaintainer, p.Slug)
	}
	if !have.AtLeast(role) {
		return nil, records.Forbidden(have, role, p.Slug)
	}
	return p, nil
}

func roleInvalid(r nixspace.Role) error {
	return nixspace.Errorf(nixspace.KindInvalid, "role_invalid", "%q is no role", string(r)).WithHint("one of guest, viewer, developer, maintainer and owner")
}

func standingInvalid(s nixspace.Standing) error {
	return nixspace.Errorf(nixspace.KindInvalid, "standing_invalid", "%q is no standing", string(s)).WithHint("one of admin, member and guest")
}
