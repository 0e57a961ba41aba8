// Package graph is the GraphQL API: a schema, and thin resolvers over the use
// cases of package app.
package graph

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/collect"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/people"
	"github.com/nixspace/nixspace/app/prebuilds"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/env/suggest"
)

// App is what the API asks for. [app.App] is the one that serves; tests have
// another.
type App interface {
	Projects
	Environments
	Versions
	History
	Builds
	Sessions
	Hibernation
	Snapshots
	Catalog
	Events
	Differences
	Git
	Sources
	Terminals
	Advice
	Services
	Garbage
	Meters
	Prebuilds
	Codes
	Experiments
	People
	Idleness
}

// Idleness are the use cases of sessions in which nobody works.
type Idleness interface {
	SessionActivity(ctx context.Context, ref string) ([]nixspace.Activity, error)
	HibernateAfter(ctx context.Context, version nixspace.ID) (time.Duration, error)
}

// Codes are the use cases of the code of single environments.
type Codes interface {
	AddEnvironment(ctx context.Context, in environments.AddEnvironment) (*nixspace.Environment, *nixspace.Build, error)
	ChangeCode(ctx context.Context, in environments.ChangeCode) (*nixspace.Environment, error)
	CodeOf(ctx context.Context, env nixspace.ID) (*nixspace.EnvironmentCode, error)
}

// Prebuilds are the use cases of code that is made ready.
type Prebuilds interface {
	RequestPrebuild(ctx context.Context, ref string, again bool) (*nixspace.Prebuild, error)
	Prebuilds(ctx context.Context, ref string) ([]nixspace.Prebuild, error)
	PrebuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error)
	PrebuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error)
	CancelPrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error)
	RemovePrebuild(ctx context.Context, id nixspace.ID) (*nixspace.Prebuild, error)
	WatchPrebuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.PrebuildUpdate, error)
	Prepared(ctx context.Context, ref string) (*prebuilds.Preparation, error)
	BeganFrom(ctx context.Context, s *nixspace.Session) (p *nixspace.Prebuild, earlier bool, err error)
	CommitOf(ctx context.Context, p *nixspace.Prebuild) (string, error)
}

// Experiments are the use cases of commands that are run on several versions.
type Experiments interface {
	StartExperiment(ctx context.Context, in experiments.Start) (*nixspace.Experiment, error)
	RepeatExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error)
	CancelExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error)
	RemoveExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error)
	ResumeExperiment(ctx context.Context, ref string) (*nixspace.Experiment, error)
	Experiment(ctx context.Context, ref string) (*nixspace.Experiment, error)
	Experiments(ctx context.Context, kind nixspace.ExperimentKind, project string, before int64, limit int) ([]nixspace.Experiment, error)
	ExperimentRuns(ctx context.Context, id nixspace.ID, full bool) ([]nixspace.ExperimentRun, error)
	ExperimentRun(ctx context.Context, id nixspace.ID, seq int) (*nixspace.ExperimentRun, error)
	WatchExperiment(ctx context.Context, ref string) (<-chan experiments.Update, error)
}

// People are the use cases about who may come in, and what they may do.
type People interface {
	Accounts
	Credentials
	Members
	Authorizer
}

// Accounts are the use cases of accounts and teams.
type Accounts interface {
	Me(ctx context.Context) (*nixspace.Account, error)
	Users(ctx context.Context) ([]nixspace.Account, error)
	SetUser(ctx context.Context, in people.SetUser) (*nixspace.Account, error)
	Teams(ctx context.Context) ([]nixspace.Team, error)
	CreateTeam(ctx context.Context, name string) (*nixspace.Team, error)
	DeleteTeam(ctx context.Context, name string) (*nixspace.Team, error)
	PutTeamMember(ctx context.Context, team, user string, in bool) (*nixspace.Team, error)
}

// Credentials are the use cases of what lets somebody in.
type Credentials interface {
	Tokens(ctx context.Context) ([]nixspace.Credential, error)
	CreateToken(ctx context.Context, in people.CreateToken) (*people.Granted, error)
	RevokeToken(ctx context.Context, ref string) (*nixspace.Credential, error)
	Invite(ctx context.Context, in people.Invite) (*people.Granted, error)
	SetPassword(ctx context.Context, old, password string) error
	EnrolTOTP(ctx context.Context) (*people.TOTP, error)
	ConfirmTOTP(ctx context.Context, code string) error
	RemoveTOTP(ctx context.Context, password string) error
}

// Members are the use cases of who is in a project, and of who may see what.
type Members interface {
	Members(ctx context.Context, project string) ([]nixspace.Member, error)
	PutMember(ctx context.Context, project, name string, role nixspace.Role) (*nixspace.Member, error)
	RemoveMember(ctx context.Context, project, name string) (*nixspace.Member, error)
	SetVisibility(ctx context.Context, ref string, v nixspace.Visibility) (*nixspace.Environment, error)
}

// Authorizer lets operations begin, and remembers that they did.
type Authorizer interface {
	Audit(ctx context.Context, f nixspace.AuditFilter) ([]nixspace.AuditEntry, error)
	Record(ctx context.Context, op, target string, failure error)
}

// Meters are the use cases of what machines take of their host.
type Meters interface {
	MachineUsage(ctx context.Context, session nixspace.ID) (nixspace.MachineUsage, error)
}

// Garbage are the use cases of what nothing needs any more.
type Garbage interface {
	CollectGarbage(ctx context.Context, in collect.CollectGarbage) (*collect.Collection, error)
}

// Terminals are the use cases of terminals, other than to be at one.
type Terminals interface {
	CloseTerminal(ctx context.Context, session, name string) error
}

// Advice are the use cases about what could be better.
type Advice interface {
	Suggestions(ctx context.Context, ref string) ([]suggest.Suggestion, error)
}

// Projects are the use cases of projects.
type Projects interface {
	CreateProject(ctx context.Context, in environments.CreateProject) (*nixspace.Project, *nixspace.Environment, *nixspace.Build, error)
	Projects(ctx context.Context) ([]nixspace.Project, error)
	Project(ctx context.Context, ref string) (*nixspace.Project, error)
}

// Environments are the use cases of environments.
type Environments interface {
	EnvironmentsPage(ctx context.Context, project string, after nixspace.ID, limit int) ([]nixspace.Environment, int, error)
	SearchEnvironments(ctx context.Context, query string, limit int) ([]nixspace.Environment, error)
	Environment(ctx context.Context, ref string) (*nixspace.Environment, error)
	EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error)
	Branch(ctx context.Context, in environments.Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error)
	Change(ctx context.Context, in environments.Change) (*nixspace.Version, *nixspace.Build, error)
}

// Versions are the use cases of versions.
type Versions interface {
	Version(ctx context.Context, ref string) (*nixspace.Version, error)
	VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error)
	Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error)
	Realisation(ctx context.Context, versionRef string) (*nixspace.Realisation, error)
}

// History are the use cases of history: merges, going back, tags and what else
// goes from version to version.
type History interface {
	Log(ctx context.Context, project string, refs, from []string, limit int) ([]inspect.LogEntry, []string, error)
	Reflog(ctx context.Context, ref string, before int64, limit int) ([]nixspace.HeadMove, error)
	Blame(ctx context.Context, ref string) ([]inspect.BlameLine, error)
	MergeBases(ctx context.Context, a, b string) ([]inspect.LogEntry, error)
	Merge(ctx context.Context, in environments.Merge) (*environments.Merged, error)
	MergeByID(ctx context.Context, id nixspace.ID) (*nixspace.Merge, error)
	Rollback(ctx context.Context, in environments.Rollback) (*nixspace.Version, *nixspace.Build, error)
	Revert(ctx context.Context, in environments.Pick) (*environments.Picked, error)
	CherryPick(ctx context.Context, in environments.Pick) (*environments.Picked, error)
	CreateTag(ctx context.Context, in environments.CreateTag) (*nixspace.Tag, error)
	DeleteTag(ctx context.Context, ref string) (*nixspace.Tag, error)
	Tags(ctx context.Context, project string) ([]nixspace.Tag, error)
	ProtectEnvironment(ctx context.Context, ref string, protected bool) (*nixspace.Environment, error)
	RenameEnvironment(ctx context.Context, ref, name string) (*nixspace.Environment, error)
	DeleteEnvironment(ctx context.Context, ref string) (*nixspace.Environment, error)
	UndeleteEnvironment(ctx context.Context, ref, as string) (*nixspace.Environment, error)
}

// Builds are the use cases of builds.
type Builds interface {
	Build(ctx context.Context, versionRef string) (*nixspace.Build, error)
	BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error)
	Builds(ctx context.Context, versionRef string) ([]nixspace.Build, error)
	BuildLog(ctx context.Context, id nixspace.ID, after int64, limit int) ([]nixspace.BuildLogLine, error)
	CancelBuild(ctx context.Context, id nixspace.ID) (*nixspace.Build, error)
	WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error)
}

// Sessions are the use cases of sessions.
type Sessions interface {
	StartSession(ctx context.Context, in sessions.StartSession) (*nixspace.Session, error)
	Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error)
	Session(ctx context.Context, ref string) (*nixspace.Session, error)
	WatchSession(ctx context.Context, ref string) (<-chan nixspace.SessionUpdate, error)
	StopSession(ctx context.Context, ref string) (*nixspace.Session, error)
	RemoveSession(ctx context.Context, ref string) error
}

// Services are the use cases of single services of a session.
type Services interface {
	ControlService(ctx context.Context, ref, name string, action nixspace.ServiceAction) (*nixspace.ServiceStatus, error)
}

// Hibernation are the use cases of sessions that rest in their files.
type Hibernation interface {
	HibernateSession(ctx context.Context, ref string) (*nixspace.Session, error)
	ResumeSession(ctx context.Context, ref string) (*nixspace.Session, error)
	RecoverSession(ctx context.Context, ref string, force bool) (*nixspace.Session, error)
}

// Snapshots are the use cases of snapshots and forks.
type Snapshots interface {
	TakeSnapshot(ctx context.Context, in sessions.TakeSnapshot) (*nixspace.Snapshot, error)
	Snapshots(ctx context.Context, ref string, all bool) ([]nixspace.Snapshot, error)
	Snapshot(ctx context.Context, ref string) (*nixspace.Snapshot, error)
	RemoveSnapshot(ctx context.Context, ref string) (*nixspace.Snapshot, error)
	RestoreSnapshot(ctx context.Context, in sessions.RestoreSnapshot) (*nixspace.Session, error)
	Fork(ctx context.Context, in sessions.Fork) (*nixspace.Snapshot, []nixspace.Session, error)
	BranchWithData(ctx context.Context, in sessions.BranchWithData) (*sessions.DataBranch, error)
	MigrateData(ctx context.Context, in sessions.MigrateData) (*sessions.DataMigration, error)
}

// Catalog is the search for packages.
type Catalog interface {
	SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error)
}

// Events is the feed of what happens.
type Events interface {
	WatchEvents(ctx context.Context, after int64) (<-chan nixspace.Event, error)
}

// Differences are the questions about what is in versions.
type Differences interface {
	Diff(ctx context.Context, in inspect.DiffQuery) (*inspect.Difference, error)
	Why(ctx context.Context, in inspect.WhyQuery) (*inspect.Reasons, error)
}

// Git is what people told for git in sessions.
type Git interface {
	GitSettings(ctx context.Context) (*nixspace.GitSettings, error)
	SetGitIdentity(ctx context.Context, i nixspace.GitIdentity) (*nixspace.GitSettings, error)
	SetGitCredential(ctx context.Context, host, user, token string) (*nixspace.GitSettings, error)
	RemoveGitCredential(ctx context.Context, host string) (*nixspace.GitSettings, error)
}

// Sources are the use cases of where code comes from.
type Sources interface {
	Templates(ctx context.Context) ([]nixspace.Template, error)
	SaveTemplate(ctx context.Context, in fetches.SaveTemplate) (*nixspace.Template, error)
	DeleteTemplate(ctx context.Context, name string) (*nixspace.Template, error)
	FetchSource(ctx context.Context, in fetches.FetchSource) (*nixspace.SourceFetch, error)
	FetchByID(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error)
	CancelFetch(ctx context.Context, id nixspace.ID) (*nixspace.SourceFetch, error)
	WatchFetch(ctx context.Context, id nixspace.ID) (<-chan nixspace.SourceUpdate, error)
	Detect(ctx context.Context, workspace, name string) (*fetches.Detection, error)
	Readme(ctx context.Context, p *nixspace.Project) (*fetches.Readme, error)
	FlakeManifest(ctx context.Context, in fetches.FlakeQuery) (string, error)
}

var _ App = (*app.App)(nil)
