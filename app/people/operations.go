package people

import (
	"context"
	"slices"
	"strings"

	"github.com/nixspace/nixspace"
)

// Operation is something that a surface of the server can be asked for, and what
// it takes to ask. docs/permissions.md is made of this table.
type Operation struct {
	// Name is "Query.x", "Mutation.x" or "Subscription.x" for GraphQL, the route for
	// HTTP, and words of its own for previews.
	Name string
	// Need is the role that it needs in every project that it names. RoleNone is for
	// operations that name none; they show only what may be seen.
	Need nixspace.Role
	// Member is for those who may make projects, Admin for administrators.
	Member, Admin bool
	// Recorded operations are in the audit trail.
	Recorded bool
}

const (
	anybody = nixspace.RoleNone
	guest   = nixspace.RoleGuest
	viewer  = nixspace.RoleViewer
	dev     = nixspace.RoleDeveloper
	maint   = nixspace.RoleMaintainer
	owner   = nixspace.RoleOwner
)

// The operations that are not of GraphQL.
const (
	OpPreview = "preview"
	OpEditor  = "editor"
	OpMetrics = "GET /metrics"
)

func reads(need nixspace.Role, names ...string) []Operation {
	out := make([]Operation, len(names))
	for i, n := range names {
		out[i] = Operation{Name: n, Need: need}
	}
	return out
}

func writes(need nixspace.Role, names ...string) []Operation {
	out := reads(need, names...)
	for i := range out {
		out[i].Recorded = true
	}
	return out
}

func members(ops []Operation) []Operation {
	for i := range ops {
		ops[i].Member = true
	}
	return ops
}

func admins(ops []Operation) []Operation {
	for i := range ops {
		ops[i].Admin = true
	}
	return ops
}

// operations is every operation of every surface. What is not in it is refused to
// all but the local owner.
var operations = slices.Concat(
	// What shows only what may be seen, or what everybody may know.
	reads(anybody, "Query.gitSettings", "Query.projects", "Query.environments", "Query.sessions", "Query.snapshots", "Query.tags", "Query.log",
		"GET /api/v1/ssh", "Query.packages", "Query.server", "Query.viewer", "Query.templates", "Query.sourceFetch",
		"Query.users", "Query.teams", "Query.tokens", "Query.searchEnvironments", "Query.prebuilds", "Query.experiments",
		"Subscription.events", "Subscription.fetchUpdates"),
	// Definitions.
	reads(guest, "Query.project", "Query.environment", "Query.version", "Query.build", "Query.blame", "Query.diff", "Query.merge",
		"Query.mergeBases", "Query.mergePreview", "Query.reflog", "Query.suggestions", "Query.why", "Subscription.buildUpdates"),
	// What runs.
	reads(viewer, "Query.session", "Query.snapshot", "Query.members", "Query.prebuild", "Query.preparation", "Query.experiment", "Subscription.experimentUpdates", "GET /api/v1/experiments/{ref}/runs/{seq}/artifacts",
		"Subscription.sessionUpdates", "Subscription.prebuildUpdates", "GET /api/v1/sessions/{ref}/logs", OpPreview,
		"POST /api/v1/sessions/{ref}/previews", "POST /api/v1/previews"),
	writes(viewer, "GET /api/v1/export"),
	// Code that is on its way into a project.
	members(reads(anybody, "Query.detect", "Query.flakeManifest")),
	members(writes(anybody, "PUT /api/v1/workspaces", "PUT /api/v1/archives", "Mutation.fetchSource", "Mutation.cancelFetch", "Mutation.deleteTemplate")),
	members(writes(dev, "Mutation.createProject", "PUT /api/v1/imports", "Mutation.saveTemplate")),
	// Work.
	writes(dev, "Mutation.branch", "Mutation.branchWithData", "Mutation.build", "Mutation.cancelBuild", "Mutation.change", "Mutation.addEnvironment", "Mutation.changeCode",
		"Mutation.startExperiment", "Mutation.repeatExperiment", "Mutation.cancelExperiment", "Mutation.resumeExperiment", "Mutation.removeExperiment",
		"Mutation.requestPrebuild", "Mutation.cancelPrebuild", "Mutation.removePrebuild", "Mutation.cherryPick",
		"Mutation.closeTerminal", "Mutation.controlService", "Mutation.createTag", "Mutation.deleteTag", "Mutation.fork", "Mutation.hibernateSession",
		"Mutation.merge", "Mutation.migrateData", "Mutation.recoverSession", "Mutation.removeSession", "Mutation.removeSnapshot",
		"Mutation.restoreSnapshot", "Mutation.resumeSession", "Mutation.revert", "Mutation.rollback", "Mutation.startSession",
		"Mutation.stopSession", "Mutation.takeSnapshot",
		// Of one's own environments; of others' they take a maintainer, which the records see to.
		"Mutation.deleteEnvironment", "Mutation.undeleteEnvironment", "Mutation.renameEnvironment",
		"GET /api/v1/sessions/{ref}/exec", "GET /api/v1/sessions/{ref}/shell", "GET /api/v1/sessions/{ref}/dial/{port}", "GET /api/v1/sessions/{ref}/ssh", "POST /api/v1/sessions/{ref}/code", "PUT /api/v1/sessions/{ref}/files"),
	reads(dev, "GET /api/v1/sessions/{ref}/files", "GET /api/v1/sessions/{ref}/list", OpEditor),
	writes(dev, "Mutation.setVisibility"),
	writes(maint, "Mutation.protectEnvironment", "Mutation.putMember", "Mutation.removeMember"),
	// Oneself.
	writes(anybody, "Mutation.createToken", "Mutation.revokeToken", "Mutation.setPassword", "Mutation.enrolTotp", "Mutation.confirmTotp", "Mutation.removeTotp",
		"Mutation.setGitIdentity", "Mutation.setGitCredential", "Mutation.removeGitCredential"),
	// The server. A maintainer may invite into a project; the use case sees to it.
	writes(maint, "Mutation.invite"),
	admins(writes(anybody, "Mutation.setUser", "Mutation.createTeam", "Mutation.deleteTeam", "Mutation.putTeamMember", "Mutation.collectGarbage")),
	admins(reads(anybody, "Query.audit", OpMetrics)),
)

// Operations returns all operations, by name.
func Operations() []Operation {
	out := slices.Clone(operations)
	slices.SortFunc(out, func(a, b Operation) int { return strings.Compare(a.Name, b.Name) })
	return out
}

var byName = func() map[string]Operation {
	m := make(map[string]Operation, len(operations))
	for _, op := range operations {
		if _, twice := m[op.Name]; twice {
			panic("people: two operations " + op.Name)
		}
		m[op.Name] = op
	}
	return m
}()

// Recorded reports whether an operation is in the audit trail. What nobody wrote
// down is.
func Recorded(name string) bool {
	op, ok := byName[name]
	return !ok && !strings.HasPrefix(name, "Query.") && !strings.HasPrefix(name, "Subscription.") || op.Recorded
}

// Authorize is the one place that lets an operation begin. It returns the context
// in which it runs: the records that it then names must allow it the role that it
// needs, wherever in the use cases they are found. It fails with kind forbidden.
func Authorize(ctx context.Context, name string) (context.Context, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	access := nixspace.AccessFrom(ctx)
	if access == nil {
		return ctx, nil
	}
	op, ok := byName[name]
	switch {
	case !ok && !access.Administers():
		return nil, nixspace.Errorf(nixspace.KindForbidden, "operation_unknown", "nobody has said who may do %s", name).
			WithHint("ask an administrator of this server")
	case op.Admin && !access.Administers():
		return nil, nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "this is for administrators of the server").
			WithHint("ask one of them")
	case op.Member && !access.MayCreate():
		return nil, nixspace.Errorf(nixspace.KindForbidden, "standing_insufficient", "this is for members of the server, not for its guests, and not for tokens of single projects").
			WithHint("ask an administrator to make you a member: nixspace user set NAME --standing member")
	}
	return nixspace.WithAccess(ctx, access.For(name, op.Need)), nil
}
