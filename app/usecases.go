package app

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
)

// The signatures of the use cases. Bodies follow.

// Store is the database. Its interface is in the root package because state
// implements it, and state imports nothing that is above the domain.
type Store = nixspace.Database

// Tx is a transaction on the database.
type Tx = nixspace.Tx

// Actor is who asks.
type Actor struct {
	ID   nixspace.ID
	Name string
}

type actorKey struct{}

// WithActor returns a context on whose behalf a acts.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns on whose behalf a context acts; kind unauthorized when it
// says nothing.
func ActorFrom(ctx context.Context) (Actor, error) {
	a, ok := ctx.Value(actorKey{}).(Actor)
	if !ok {
		return Actor{}, nixspace.Errorf(nixspace.KindUnauthorized, "no_actor", "nobody is named on whose behalf this is asked")
	}
	return a, nil
}

// Edit is one change that somebody asks for.
type Edit struct {
	Op    nixspace.ChangeOp
	Key   string // "postgresql" (a package) or a manifest path: "env.NODE_ENV", "resources.memory", "services.postgresql.port"
	Value string // a version constraint or a TOML value; empty for a removal
}

// CreateProject asks for a project with its first environment.
type CreateProject struct {
	Slug      string
	Source    string // words for people
	Workspace string // digest of a stored archive; may be empty
	Manifest  string // nixspace.toml; when empty it is read from the workspace
	Message   string
}

// Change asks for a new version of an environment.
type Change struct {
	Ref string
	// ExpectedHead, when not empty, is the version hash that the environment must
	// still have; otherwise the change fails with kind conflict.
	ExpectedHead string
	Edits        []Edit
	// Manifest, when not empty, replaces nixspace.toml as a whole; Edits must then
	// be empty.
	Manifest string
	Message  string
}

// Branch asks for a new environment that starts where another one is.
type Branch struct {
	From    string // an environment or version reference
	Name    string
	Edits   []Edit // made in the first version of the branch; it may be none
	Message string
}

// StartSession asks for a machine.
type StartSession struct {
	Ref       string // an environment or version reference, or a stopped session ("shop/1") to start again
	Ephemeral bool   // delete its disk once it stops
}

// References. An environment is named "env" where that name is unique,
// "project/env" always, or by its UUID; a version by its environment (the head)
// or by a unique prefix, of 6 digits at least, of its version hash; a session by
// "env/1", "project/env/1" or its UUID.

// PutWorkspace stores an archive of code.
func (a *App) PutWorkspace(ctx context.Context, r io.Reader) (nixspace.Workspace, error) {
	panic("to come")
}

// CreateProject makes a project, its first environment (named as the project)
// and that one's first version, and queues its build.
func (a *App) CreateProject(ctx context.Context, in CreateProject) (*nixspace.Project, *nixspace.Environment, *nixspace.Build, error) {
	panic("to come")
}

// Projects lists all projects by slug.
func (a *App) Projects(ctx context.Context) ([]nixspace.Project, error) { panic("to come") }

// Project returns one, by slug or ID.
func (a *App) Project(ctx context.Context, ref string) (*nixspace.Project, error) { panic("to come") }

// Environments lists the environments of a project, or of all when it is empty.
func (a *App) Environments(ctx context.Context, project string) ([]nixspace.Environment, error) {
	panic("to come")
}

// Environment returns one by reference.
func (a *App) Environment(ctx context.Context, ref string) (*nixspace.Environment, error) {
	panic("to come")
}

// EnvironmentsByID returns those of the environments that exist, in any order.
func (a *App) EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error) {
	panic("to come")
}

// Branch makes an environment from another one's version.
func (a *App) Branch(ctx context.Context, in Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error) {
	panic("to come")
}

// Change makes a new version of an environment, and queues its build.
func (a *App) Change(ctx context.Context, in Change) (*nixspace.Version, *nixspace.Build, error) {
	panic("to come")
}

// Version returns a version by reference.
func (a *App) Version(ctx context.Context, ref string) (*nixspace.Version, error) { panic("to come") }

// VersionsByID returns those of the versions that exist, in any order.
func (a *App) VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error) {
	panic("to come")
}

// Versions lists an environment's versions, newest first: limit of them, those
// before the sequence number before (0 for the newest).
func (a *App) Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error) {
	panic("to come")
}

// Realisation returns what was built for a version; kind not_found where it has
// not been built.
func (a *App) Realisation(ctx context.Context, versionRef string) (*nixspace.Realisation, error) {
	panic("to come")
}

// Build queues a build of a version, or returns the one that is under way.
func (a *App) Build(ctx context.Context, versionRef string) (*nixspace.Build, error) {
	panic("to come")
}

// BuildByID returns a build.
func (a *App) BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	panic("to come")
}

// Builds lists the builds of a version, newest first.
func (a *App) Builds(ctx context.Context, versionRef string) ([]nixspace.Build, error) {
	panic("to come")
}

// BuildLog returns at most limit lines of a build's log, those after the
// sequence number after.
func (a *App) BuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error) {
	panic("to come")
}

// CancelBuild stops a build.
func (a *App) CancelBuild(ctx context.Context, id nixspace.ID) (*nixspace.Build, error) {
	panic("to come")
}

// WatchBuild sends the progress and log of a build, from the beginning, until it
// is final or ctx ends; the channel is then closed.
func (a *App) WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error) {
	panic("to come")
}

// RunBuild does the work of a queued build. It is what the build job calls; it
// can be called again after a crash.
func (a *App) RunBuild(ctx context.Context, id nixspace.ID) error { panic("to come") }

// SearchPackages finds packages whose attribute, family or description contains
// every word of query, best first.
func (a *App) SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error) {
	panic("to come")
}

// StartSession starts a machine and returns at once, with the session creating;
// follow it with WatchSession. The version is built first where it was not.
func (a *App) StartSession(ctx context.Context, in StartSession) (*nixspace.Session, error) {
	panic("to come")
}

// Sessions lists sessions, newest first: those of an environment, or all when
// ref is empty; only live ones unless all.
func (a *App) Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error) {
	panic("to come")
}

// Session returns one by reference.
func (a *App) Session(ctx context.Context, ref string) (*nixspace.Session, error) { panic("to come") }

// WatchSession sends the session and its machine's status whenever either
// changes, at first as they are, until ctx ends; the channel is then closed.
func (a *App) WatchSession(ctx context.Context, ref string) (<-chan nixspace.SessionUpdate, error) {
	panic("to come")
}

// StopSession stops a session's machine and returns when it is stopped.
func (a *App) StopSession(ctx context.Context, ref string) (*nixspace.Session, error) {
	panic("to come")
}

// RemoveSession deletes a stopped or failed session with its disk.
func (a *App) RemoveSession(ctx context.Context, ref string) error { panic("to come") }

// Machine returns the running machine of a session, to work in it, and counts
// as activity.
func (a *App) Machine(ctx context.Context, ref string) (nixspace.Machine, error) { panic("to come") }

// WatchEvents sends events as they happen, those after the sequence number
// after first (0 for none of the past), until ctx ends.
func (a *App) WatchEvents(ctx context.Context, after int64) (<-chan nixspace.Event, error) {
	panic("to come")
}

// Reconcile brings the database and the machines of this host together: it
// finds sessions that survived a restart of the server, fails those whose
// machine is gone, ends machines that no session owns, and queues again builds
// that a crash interrupted. It runs at start, before requests are served.
func (a *App) Reconcile(ctx context.Context) error { panic("to come") }

// Run keeps sessions' rows true to their machines until ctx ends.
func (a *App) Run(ctx context.Context) error { panic("to come") }
