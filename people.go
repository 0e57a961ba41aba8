package nixspace

import (
	"context"
	"time"
)

// Account is what a server knows of a [User] who signs in.
type Account struct {
	UserID   ID
	Name     string // of the user
	Email    string
	Standing Standing
	// Password is the hash of the password, in PHC's string format; empty for one
	// who signs in otherwise. It never leaves the server.
	Password string
	// TOTP is the secret of one-time passwords, encrypted with the server's key;
	// empty where none are asked for. TOTPStep is the last step that was used.
	TOTP       []byte
	TOTPStep   int64
	CreatedAt  time.Time
	DisabledAt time.Time // zero while the account can be used
}

// Team is a group of users, which can be a member of projects as a whole.
type Team struct {
	ID        ID
	Name      string // unique; see [CheckName]
	Members   []string
	CreatedAt time.Time
	CreatedBy ID
}

// Member is a user or a team with a role in a project.
type Member struct {
	ProjectID ID
	Project   string // the project's slug
	UserID    ID     // one of UserID and TeamID is set
	TeamID    ID
	Name      string // of the user or the team
	Role      Role
	CreatedAt time.Time
}

// CredentialKind says how a [Credential] is shown.
type CredentialKind string

// The kinds of credentials.
const (
	CredentialToken   CredentialKind = "token"   // in the Authorization header
	CredentialBrowser CredentialKind = "browser" // as a cookie
	CredentialInvite  CredentialKind = "invite"  // once or some times, for an account
)

// Credential is something secret that lets somebody in. Only its hash is stored.
type Credential struct {
	ID       ID
	UserID   ID // who made an invitation; otherwise who it lets in
	User     string
	Kind     CredentialKind
	Name     string // for people: "laptop", "CI"
	Hash     []byte // SHA-256 of the secret
	Cap      Role   // the most that it may do; empty for all that the user may
	Projects []ID   // where it is good; none for everywhere
	// Standing, and Cap in Projects, are what an invitation gives.
	Standing   Standing
	Uses       int // how often it can still be used; 0 for any number
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero for never
	LastUsedAt time.Time
	RevokedAt  time.Time
	From       string // the address and the program that made it
}

// Good reports whether a credential can be used at a time.
func (c *Credential) Good(now time.Time) bool {
	return c.RevokedAt.IsZero() && (c.ExpiresAt.IsZero() || now.Before(c.ExpiresAt))
}

// AuditEntry is one line of the audit trail. It never holds content: no secret,
// no code, no manifest.
type AuditEntry struct {
	Seq        int64
	At         time.Time
	ActorID    ID
	Actor      string
	Credential ID     // empty for the local owner
	From       string // the address that the request came from
	Operation  string // as docs/permissions.md names it
	Target     string // what it was about, as the request named it
	Outcome    string // "ok", or the code of the error
}

// AuditFilter selects entries; its zero value selects all.
type AuditFilter struct {
	Actor, Operation, Target string
	After                    int64 // Seq
	Since, Until             time.Time
	Limit                    int
}

// PeopleStore keeps who may come in, and what they did.
type PeopleStore interface {
	Accounts() AccountStore
	Teams() TeamStore
	Members() MemberStore
	Visibility() VisibilityStore
	Credentials() CredentialStore
	Audit() AuditStore
}

// AccountStore keeps accounts.
type AccountStore interface {
	// Create makes an account, of a user that exists already or is made. It fails
	// with kind [KindExists] where that user has one.
	Create(ctx context.Context, a *Account) error
	ByID(ctx context.Context, user ID) (*Account, error)
	ByName(ctx context.Context, name string) (*Account, error)
	List(ctx context.Context) ([]Account, error) // by name
	// Update stores everything but the name.
	Update(ctx context.Context, a *Account) error
	// UseStep takes a step of one-time passwords, and reports whether it and all
	// later ones were unused.
	UseStep(ctx context.Context, user ID, step int64) (bool, error)
}

// TeamStore keeps teams.
type TeamStore interface {
	Create(ctx context.Context, t *Team) error
	ByName(ctx context.Context, name string) (*Team, error)
	List(ctx context.Context) ([]Team, error) // by name
	Delete(ctx context.Context, id ID) error
	// Put makes a user a member, or takes them out, and reports whether that changed
	// anything.
	Put(ctx context.Context, team, user ID, in bool) (bool, error)
}

// MemberStore keeps the members of projects.
type MemberStore interface {
	// Put gives a role, in place of an earlier one.
	Put(ctx context.Context, m *Member) error
	// Delete takes a member out, and reports whether there was one.
	Delete(ctx context.Context, m *Member) (bool, error)
	List(ctx context.Context, project ID) ([]Member, error) // by name
	// Occupied returns how many live sessions a user has started, and how many a
	// project has. In a transaction, nobody else who asks about the same user or the
	// same project gets an answer before it ends.
	Occupied(ctx context.Context, user, project ID) (ofUser, ofProject int, err error)
	// RolesOf returns a user's roles by project, their own and their teams'.
	RolesOf(ctx context.Context, user ID) (map[ID]Role, error)
}

// VisibilityStore keeps who may see which environments.
type VisibilityStore interface {
	Set(ctx context.Context, environment ID, v Visibility) error
	// Open lists projects with a public environment.
	Open(ctx context.Context) ([]ID, error)
	// Hidden lists private environments that others than the user made.
	Hidden(ctx context.Context, user ID) ([]ID, error)
}

// CredentialStore keeps credentials.
type CredentialStore interface {
	Create(ctx context.Context, c *Credential) error
	// ByHash returns the credential of a secret, whether it is good or not.
	ByHash(ctx context.Context, hash []byte) (*Credential, error)
	ByID(ctx context.Context, id ID) (*Credential, error)
	// List lists those of a user, newest first, without ones that were revoked.
	List(ctx context.Context, user ID) ([]Credential, error)
	// Use notes that one was used at a time. For one that can be used some times
	// only, it takes one use and reports whether there was one left.
	Use(ctx context.Context, id ID, at time.Time) (bool, error)
	// Revoke ends one, and reports whether it was good until then.
	Revoke(ctx context.Context, id ID, at time.Time) (bool, error)
}

// AuditStore keeps the audit trail. Nothing in it can be changed or removed.
type AuditStore interface {
	Append(ctx context.Context, e *AuditEntry) error
	// List lists entries, oldest first.
	List(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}
