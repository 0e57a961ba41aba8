package nixspace

import (
	"context"
	"slices"
	"sync"
)

// Role is what somebody may do in a project. Each role may do what the ones
// before it may. The zero value may do nothing.
type Role string

// The roles of a project.
const (
	RoleNone       Role = ""
	RoleGuest      Role = "guest"      // reads definitions: environments, versions, differences
	RoleViewer     Role = "viewer"     // sees sessions, logs and previews, and exports
	RoleDeveloper  Role = "developer"  // branches, changes, builds; starts sessions and works in them
	RoleMaintainer Role = "maintainer" // protects, merges into what is protected, deletes, manages members
	RoleOwner      Role = "owner"      // everything in the project
)

// Roles lists the roles, the least first.
func Roles() []Role {
	return []Role{RoleGuest, RoleViewer, RoleDeveloper, RoleMaintainer, RoleOwner}
}

// Valid reports whether r is one of [Roles].
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// AtLeast reports whether r may do what need may. Nothing is at least a role
// that does not exist, so a mistake in a table refuses.
func (r Role) AtLeast(need Role) bool {
	if need == RoleNone {
		return true
	}
	i, j := slices.Index(Roles(), r), slices.Index(Roles(), need)
	return i >= 0 && j >= 0 && i >= j
}

// Higher returns the higher of two roles.
func Higher(a, b Role) Role {
	if a.AtLeast(b) {
		return a
	}
	return b
}

// Standing is what a person is on a server, whatever the project.
type Standing string

// The standings of a server.
const (
	StandingAdmin  Standing = "admin"  // everything, and manages people
	StandingMember Standing = "member" // makes projects, and is in those where somebody added them
	StandingGuest  Standing = "guest"  // is only where somebody added them
)

// Valid reports whether s is a standing.
func (s Standing) Valid() bool {
	return s == StandingAdmin || s == StandingMember || s == StandingGuest
}

// Visibility says who may see an environment.
type Visibility string

// The visibilities of an environment.
const (
	VisibilityPrivate Visibility = "private" // who made it, and owners of the project
	VisibilityTeam    Visibility = "team"    // the members of the project
	VisibilityPublic  Visibility = "public"  // everybody who is signed in may read its definition
)

// Valid reports whether v is a visibility.
func (v Visibility) Valid() bool {
	return v == VisibilityPrivate || v == VisibilityTeam || v == VisibilityPublic
}

// Access is what the actor of a context may do: the one answer that the
// authorizer of the use cases gives to everything that asks. A nil one may do
// everything: it is that of the program itself and of the local owner.
//
// An Access is made for one request and safe for concurrent use.
type Access struct {
	Actor    ID
	Standing Standing
	// Cap bounds every role, and Only the projects: a token may do less than whoever
	// made it. An empty Cap bounds nothing, a nil Only neither.
	Cap  Role
	Only []ID
	// Open are projects with an environment that everybody may see, Hidden the
	// private environments of others.
	Open, Hidden map[ID]bool

	mu       sync.Mutex
	projects map[ID]Role

	op   string
	need Role
}

// NewAccess returns the access of an actor with these roles.
func NewAccess(actor ID, standing Standing, roles map[ID]Role) *Access {
	a := &Access{Actor: actor, Standing: standing, projects: map[ID]Role{}}
	for id, r := range roles {
		a.projects[id] = r
	}
	return a
}

// Grant adds a role: of a project that the actor has just made.
func (a *Access) Grant(project ID, r Role) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.projects[project] = Higher(a.projects[project], r)
}

// InProject returns the actor's role in a project.
func (a *Access) InProject(project ID) Role {
	if a == nil {
		return RoleOwner
	}
	if a.Only != nil && !slices.Contains(a.Only, project) {
		return RoleNone
	}
	a.mu.Lock()
	r := a.projects[project]
	a.mu.Unlock()
	if a.Standing == StandingAdmin {
		r = RoleOwner
	}
	return a.capped(r)
}

func (a *Access) capped(r Role) Role {
	if a.Cap != RoleNone && r.AtLeast(a.Cap) {
		return a.Cap
	}
	return r
}

// InEnvironment returns the actor's role in an environment.
func (a *Access) InEnvironment(e *Environment) Role {
	if a == nil {
		return RoleOwner
	}
	r := a.InProject(e.ProjectID)
	switch e.Visibility {
	case VisibilityPrivate:
		if e.CreatedBy != a.Actor && !r.AtLeast(RoleOwner) {
			return RoleNone
		}
	case VisibilityPublic:
		if a.Only == nil || slices.Contains(a.Only, e.ProjectID) {
			return a.capped(Higher(r, RoleGuest))
		}
	}
	return r
}

// Sees reports whether anything of a project may be seen.
func (a *Access) Sees(project ID) bool {
	if a == nil {
		return true
	}
	return a.InProject(project).AtLeast(RoleGuest) || a.Open[project] && (a.Only == nil || slices.Contains(a.Only, project))
}

// MayCreate reports whether the actor may make projects and store code.
func (a *Access) MayCreate() bool {
	return a == nil || a.Only == nil && a.Standing != StandingGuest && (a.Cap == RoleNone || a.Cap.AtLeast(RoleDeveloper))
}

// Administers reports whether the actor may manage the server.
func (a *Access) Administers() bool {
	return a == nil || a.Standing == StandingAdmin && a.Only == nil && (a.Cap == RoleNone || a.Cap == RoleOwner)
}

// For returns the access of one operation, which needs a role in every project
// that it names.
func (a *Access) For(op string, need Role) *Access {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := NewAccess(a.Actor, a.Standing, a.projects)
	c.Cap, c.Only, c.Open, c.Hidden, c.op, c.need = a.Cap, a.Only, a.Open, a.Hidden, op, need
	return c
}

// Need returns the role that the operation under way needs, and its name.
func (a *Access) Need() (Role, string) {
	if a == nil {
		return RoleNone, ""
	}
	return a.need, a.op
}

// Less reports whether a may do less than b in something.
func (a *Access) Less(b *Access) bool {
	if a == nil {
		return false
	}
	if b == nil || a.Standing != b.Standing && b.Standing != StandingGuest && a.Standing != StandingAdmin {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, r := range b.projects {
		if !a.InProject(id).AtLeast(b.capped(r)) && (b.Only == nil || slices.Contains(b.Only, id)) {
			return true
		}
	}
	for id := range b.Open {
		if !a.Open[id] {
			return true
		}
	}
	for id := range a.Hidden {
		if !b.Hidden[id] {
			return true
		}
	}
	return false
}

type accessKey struct{}

// WithAccess returns a context whose actor may do what a says. Every door of the
// server calls it before anything else; a context without it is one of the
// program itself.
func WithAccess(ctx context.Context, a *Access) context.Context {
	return context.WithValue(ctx, accessKey{}, a)
}

// AccessFrom returns what the actor of a context may do; nil for everything.
func AccessFrom(ctx context.Context) *Access {
	a, _ := ctx.Value(accessKey{}).(*Access)
	return a
}
