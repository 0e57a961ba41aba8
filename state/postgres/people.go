package postgres

import (
	"cmp"
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/db"
)

type people struct{ q *db.Queries }

func (s people) Accounts() nixspace.AccountStore       { return accounts(s) }
func (s people) Teams() nixspace.TeamStore             { return teams(s) }
func (s people) Members() nixspace.MemberStore         { return members(s) }
func (s people) Visibility() nixspace.VisibilityStore  { return visibility(s) }
func (s people) Credentials() nixspace.CredentialStore { return credentials(s) }
func (s people) Audit() nixspace.AuditStore            { return audit(s) }

type accounts struct{ q *db.Queries }

func (s accounts) Create(ctx context.Context, a *nixspace.Account) error {
	u, err := projects(s).EnsureUser(ctx, nixspace.User{ID: cmp.Or(a.UserID, nixspace.NewID()), Name: a.Name, CreatedAt: a.CreatedAt})
	if err != nil {
		return err
	}
	a.UserID = u.ID
	err = s.q.InsertAccount(ctx, db.InsertAccountParams{
		UserID: a.UserID, Email: a.Email, Standing: string(a.Standing), Password: a.Password, Totp: a.TOTP, CreatedAt: a.CreatedAt,
	})
	if violates(err, "accounts_pkey") {
		return nixspace.Errorf(nixspace.KindExists, "account_exists", "there is already an account %q", a.Name).WithHint("choose another name")
	}
	return mapError(err, "create an account")
}

func (s accounts) ByID(ctx context.Context, user nixspace.ID) (*nixspace.Account, error) {
	if !user.Valid() {
		return nil, notFound("account", user)
	}
	row, err := s.q.AccountByID(ctx, user)
	if err != nil {
		return nil, oneError(err, "account", user)
	}
	return account(row.Account, row.Name), nil
}

func (s accounts) ByName(ctx context.Context, name string) (*nixspace.Account, error) {
	row, err := s.q.AccountByName(ctx, name)
	if err != nil {
		return nil, oneError(err, "account", name)
	}
	return account(row.Account, row.Name), nil
}

func (s accounts) List(ctx context.Context) ([]nixspace.Account, error) {
	rows, err := s.q.Accounts(ctx)
	if err != nil {
		return nil, mapError(err, "list accounts")
	}
	list := make([]nixspace.Account, len(rows))
	for i, row := range rows {
		list[i] = *account(row.Account, row.Name)
	}
	return list, nil
}

func (s accounts) Update(ctx context.Context, a *nixspace.Account) error {
	n, err := s.q.UpdateAccount(ctx, db.UpdateAccountParams{
		UserID: a.UserID, Email: a.Email, Standing: string(a.Standing), Password: a.Password, Totp: a.TOTP, DisabledAt: nullTime(a.DisabledAt),
	})
	if err == nil && n == 0 {
		return notFound("account", a.UserID)
	}
	return mapError(err, "change an account")
}

func (s accounts) UseStep(ctx context.Context, user nixspace.ID, step int64) (bool, error) {
	n, err := s.q.UseTOTPStep(ctx, db.UseTOTPStepParams{UserID: user, Step: step})
	return n > 0, mapError(err, "use a one-time password")
}

func account(row db.Account, name string) *nixspace.Account {
	return &nixspace.Account{
		UserID: row.UserID, Name: name, Email: row.Email, Standing: nixspace.Standing(row.Standing), Password: row.Password,
		TOTP: row.Totp, TOTPStep: row.TotpStep, CreatedAt: row.CreatedAt.UTC(), DisabledAt: timeOf(row.DisabledAt),
	}
}

type teams struct{ q *db.Queries }

func (s teams) Create(ctx context.Context, t *nixspace.Team) error {
	err := s.q.InsertTeam(ctx, db.InsertTeamParams{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy})
	if violates(err, "teams_name_key") {
		return nixspace.Errorf(nixspace.KindExists, "team_exists", "there is already a team %q", t.Name).WithHint("choose another name")
	}
	return mapError(err, "create a team")
}

func (s teams) named(ctx context.Context, name string) ([]nixspace.Team, error) {
	rows, err := s.q.Teams(ctx, name)
	if err != nil {
		return nil, mapError(err, "list teams")
	}
	list := make([]nixspace.Team, len(rows))
	for i, row := range rows {
		list[i] = nixspace.Team{ID: row.Team.ID, Name: row.Team.Name, Members: row.Members, CreatedAt: row.Team.CreatedAt.UTC(), CreatedBy: row.Team.CreatedBy}
	}
	return list, nil
}

func (s teams) ByName(ctx context.Context, name string) (*nixspace.Team, error) {
	if name == "" {
		return nil, notFound("team", name)
	}
	found, err := s.named(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound("team", name)
	}
	return &found[0], nil
}

func (s teams) List(ctx context.Context) ([]nixspace.Team, error) { return s.named(ctx, "") }

func (s teams) Delete(ctx context.Context, id nixspace.ID) error {
	n, err := s.q.DeleteTeam(ctx, id)
	if err == nil && n == 0 {
		return notFound("team", id)
	}
	return mapError(err, "delete a team")
}

func (s teams) Put(ctx context.Context, team, user nixspace.ID, in bool) (bool, error) {
	if in {
		n, err := s.q.InsertTeamMember(ctx, db.InsertTeamMemberParams{TeamID: team, UserID: user})
		return n > 0, mapError(err, "add to a team")
	}
	n, err := s.q.DeleteTeamMember(ctx, db.DeleteTeamMemberParams{TeamID: team, UserID: user})
	return n > 0, mapError(err, "take out of a team")
}

type members struct{ q *db.Queries }

func (s members) Put(ctx context.Context, m *nixspace.Member) error {
	if m.TeamID != "" {
		return mapError(s.q.PutTeamMember(ctx, db.PutTeamMemberParams{
			ProjectID: m.ProjectID, TeamID: &m.TeamID, Role: string(m.Role), CreatedAt: m.CreatedAt,
		}), "add a member")
	}
	return mapError(s.q.PutUserMember(ctx, db.PutUserMemberParams{
		ProjectID: m.ProjectID, UserID: &m.UserID, Role: string(m.Role), CreatedAt: m.CreatedAt,
	}), "add a member")
}

func (s members) Delete(ctx context.Context, m *nixspace.Member) (bool, error) {
	n, err := s.q.DeleteMember(ctx, db.DeleteMemberParams{ProjectID: m.ProjectID, UserID: nullID(m.UserID), TeamID: nullID(m.TeamID)})
	return n > 0, mapError(err, "take a member out")
}

func (s members) List(ctx context.Context, project nixspace.ID) ([]nixspace.Member, error) {
	rows, err := s.q.Members(ctx, project)
	if err != nil {
		return nil, mapError(err, "list members")
	}
	list := make([]nixspace.Member, len(rows))
	for i, row := range rows {
		m := row.ProjectMember
		list[i] = nixspace.Member{
			ProjectID: m.ProjectID, Project: row.Slug, UserID: idOf(m.UserID), TeamID: idOf(m.TeamID), Name: row.Who,
			Role: nixspace.Role(m.Role), CreatedAt: m.CreatedAt.UTC(),
		}
	}
	return list, nil
}

func (s members) Occupied(ctx context.Context, user, project nixspace.ID) (ofUser, ofProject int, err error) {
	for _, name := range []string{"sessions of user " + string(user), "sessions of project " + string(project)} {
		if err := s.q.LockOccupied(ctx, name); err != nil {
			return 0, 0, mapError(err, "count sessions")
		}
	}
	row, err := s.q.Occupied(ctx, db.OccupiedParams{UserID: user, ProjectID: project})
	return int(row.OfUser), int(row.OfProject), mapError(err, "count sessions")
}

func (s members) RolesOf(ctx context.Context, user nixspace.ID) (map[nixspace.ID]nixspace.Role, error) {
	rows, err := s.q.RolesOf(ctx, &user)
	if err != nil {
		return nil, mapError(err, "read roles")
	}
	roles := make(map[nixspace.ID]nixspace.Role, len(rows))
	for _, row := range rows {
		roles[row.ProjectID] = nixspace.Higher(roles[row.ProjectID], nixspace.Role(row.Role))
	}
	return roles, nil
}

type visibility struct{ q *db.Queries }

func (s visibility) Hidden(ctx context.Context, user nixspace.ID) ([]nixspace.ID, error) {
	ids, err := s.q.HiddenEnvironments(ctx, user)
	return ids, mapError(err, "list private environments")
}

func (s visibility) Open(ctx context.Context) ([]nixspace.ID, error) {
	ids, err := s.q.OpenProjects(ctx)
	return ids, mapError(err, "list open projects")
}

func (s visibility) Set(ctx context.Context, environment nixspace.ID, v nixspace.Visibility) error {
	n, err := s.q.SetVisibility(ctx, db.SetVisibilityParams{ID: environment, Visibility: string(v)})
	if err == nil && n == 0 {
		return notFound("environment", environment)
	}
	return mapError(err, "say who may see an environment")
}

type credentials struct{ q *db.Queries }

func (s credentials) Create(ctx context.Context, c *nixspace.Credential) error {
	return mapError(s.q.InsertCredential(ctx, db.InsertCredentialParams{
		ID: c.ID, UserID: c.UserID, Kind: string(c.Kind), Name: c.Name, Hash: c.Hash, Cap: string(c.Cap), Projects: validIDs(c.Projects),
		Standing: string(c.Standing), Uses: int32(c.Uses), CreatedAt: c.CreatedAt, ExpiresAt: nullTime(c.ExpiresAt), MadeFrom: c.From,
	}), "store a credential")
}

func (s credentials) ByHash(ctx context.Context, hash []byte) (*nixspace.Credential, error) {
	row, err := s.q.CredentialByHash(ctx, hash)
	if err != nil {
		return nil, oneError(err, "credential", "like this")
	}
	return credential(row.Credential, row.Name), nil
}

func (s credentials) ByID(ctx context.Context, id nixspace.ID) (*nixspace.Credential, error) {
	if !id.Valid() {
		return nil, notFound("credential", id)
	}
	row, err := s.q.CredentialByID(ctx, id)
	if err != nil {
		return nil, oneError(err, "credential", id)
	}
	return credential(row.Credential, row.Name), nil
}

func (s credentials) List(ctx context.Context, user nixspace.ID) ([]nixspace.Credential, error) {
	rows, err := s.q.Credentials(ctx, user)
	if err != nil {
		return nil, mapError(err, "list credentials")
	}
	list := make([]nixspace.Credential, len(rows))
	for i, row := range rows {
		list[i] = *credential(row.Credential, row.Name)
	}
	return list, nil
}

func (s credentials) Use(ctx context.Context, id nixspace.ID, at time.Time) (bool, error) {
	n, err := s.q.UseCredential(ctx, db.UseCredentialParams{ID: id, At: &at})
	return n > 0, mapError(err, "use a credential")
}

func (s credentials) Revoke(ctx context.Context, id nixspace.ID, at time.Time) (bool, error) {
	n, err := s.q.RevokeCredential(ctx, db.RevokeCredentialParams{ID: id, At: &at})
	return n > 0, mapError(err, "revoke a credential")
}

func credential(row db.Credential, user string) *nixspace.Credential {
	return &nixspace.Credential{
		ID: row.ID, UserID: row.UserID, User: user, Kind: nixspace.CredentialKind(row.Kind), Name: row.Name, Hash: row.Hash,
		Cap: nixspace.Role(row.Cap), Projects: row.Projects, Standing: nixspace.Standing(row.Standing), Uses: int(row.Uses),
		CreatedAt: row.CreatedAt.UTC(), ExpiresAt: timeOf(row.ExpiresAt), LastUsedAt: timeOf(row.LastUsedAt), RevokedAt: timeOf(row.RevokedAt),
		From: row.MadeFrom,
	}
}

type audit struct{ q *db.Queries }

// auditMax is how many entries are read at a time.
const auditMax = 10_000

func (s audit) Append(ctx context.Context, e *nixspace.AuditEntry) error {
	return mapError(s.q.InsertAudit(ctx, db.InsertAuditParams{
		At: e.At, ActorID: e.ActorID, Actor: e.Actor, CredentialID: nullID(e.Credential), CameFrom: e.From,
		Operation: e.Operation, Target: e.Target, Outcome: e.Outcome,
	}), "write the audit trail")
}

func (s audit) List(ctx context.Context, f nixspace.AuditFilter) ([]nixspace.AuditEntry, error) {
	if f.Limit <= 0 || f.Limit > auditMax {
		f.Limit = auditMax
	}
	rows, err := s.q.AuditEntries(ctx, db.AuditEntriesParams{
		After: f.After, Actor: f.Actor, Operation: f.Operation, Target: f.Target,
		Since: nullTime(f.Since), Until: nullTime(f.Until), MaxRows: int32(f.Limit),
	})
	if err != nil {
		return nil, mapError(err, "read the audit trail")
	}
	list := make([]nixspace.AuditEntry, len(rows))
	for i, row := range rows {
		list[i] = nixspace.AuditEntry{
			Seq: row.Seq, At: row.At.UTC(), ActorID: row.ActorID, Actor: row.Actor, Credential: idOf(row.CredentialID),
			From: row.CameFrom, Operation: row.Operation, Target: row.Target, Outcome: row.Outcome,
		}
	}
	return list, nil
}
