package apitest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

// Subject is what [Conform] asks of an application.
type Subject interface {
	CreateProject(ctx context.Context, in environments.CreateProject) (*nixspace.Project, *nixspace.Environment, *nixspace.Build, error)
	Projects(ctx context.Context) ([]nixspace.Project, error)
	Project(ctx context.Context, ref string) (*nixspace.Project, error)
	Environments(ctx context.Context, project string) ([]nixspace.Environment, error)
	Environment(ctx context.Context, ref string) (*nixspace.Environment, error)
	EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error)
	Branch(ctx context.Context, in environments.Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error)
	Change(ctx context.Context, in environments.Change) (*nixspace.Version, *nixspace.Build, error)
	Version(ctx context.Context, ref string) (*nixspace.Version, error)
	VersionsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Version, error)
	Versions(ctx context.Context, ref string, before int64, limit int) ([]nixspace.Version, error)
	Build(ctx context.Context, versionRef string) (*nixspace.Build, error)
	BuildByID(ctx context.Context, id nixspace.ID) (*nixspace.Build, error)
	WatchBuild(ctx context.Context, id nixspace.ID) (<-chan nixspace.BuildUpdate, error)
	StartSession(ctx context.Context, in sessions.StartSession) (*nixspace.Session, error)
	Sessions(ctx context.Context, ref string, all bool) ([]nixspace.Session, error)
	Session(ctx context.Context, ref string) (*nixspace.Session, error)
	WatchSession(ctx context.Context, ref string) (<-chan nixspace.SessionUpdate, error)
	StopSession(ctx context.Context, ref string) (*nixspace.Session, error)
	RemoveSession(ctx context.Context, ref string) error
	SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error)
	WatchEvents(ctx context.Context, after int64) (<-chan nixspace.Event, error)
}

var _ Subject = (*app.App)(nil)

// Conform checks that an application does for the API what [app.App] does. It is
// given one that has no project conform yet, and a context in which somebody
// acts. Builds and sessions must come to their end by themselves.
func Conform(ctx context.Context, t *testing.T, a Subject) {
	c := conformance{Subject: a, ctx: ctx}
	_, _, _, err := a.CreateProject(ctx, environments.CreateProject{Slug: "conform", Source: "conform", Manifest: Manifest})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("nobody", c.nobody)
	t.Run("projects", c.projects)
	t.Run("environments", c.environments)
	t.Run("versions", c.versions)
	t.Run("builds", c.builds)
	t.Run("sessions", c.sessions)
	t.Run("packages", c.packages)
	t.Run("events", c.events)
}

type conformance struct {
	Subject
	ctx context.Context
}

func wantKind(t *testing.T, what string, err error, kind nixspace.Kind) {
	t.Helper()
	if err == nil || nixspace.ErrorKind(err) != kind {
		t.Errorf("%s: got error %v (%s), want kind %s", what, err, nixspace.ErrorKind(err), kind)
	}
}

func (c conformance) nobody(t *testing.T) {
	ctx := t.Context()
	_, err := c.Projects(ctx)
	wantKind(t, "projects", err, nixspace.KindUnauthorized)
	_, _, _, err = c.Branch(ctx, environments.Branch{From: "conform/conform", Name: "mine"})
	wantKind(t, "branch", err, nixspace.KindUnauthorized)
	_, err = c.StartSession(ctx, sessions.StartSession{Ref: "conform/conform"})
	wantKind(t, "start", err, nixspace.KindUnauthorized)
	_, err = c.WatchEvents(ctx, 0)
	wantKind(t, "events", err, nixspace.KindUnauthorized)
}

func (c conformance) projects(t *testing.T) {
	_, _, _, err := c.CreateProject(c.ctx, environments.CreateProject{Slug: "conform", Manifest: Manifest})
	wantKind(t, "a project that exists", err, nixspace.KindExists)
	_, err = c.Project(c.ctx, "no-such-project")
	wantKind(t, "an unknown project", err, nixspace.KindNotFound)
	p, err := c.Project(c.ctx, "conform")
	if err != nil || p.Slug != "conform" || !p.ID.Valid() {
		t.Fatalf("by its slug: %+v, %v", p, err)
	}
	same, err := c.Project(c.ctx, string(p.ID))
	if err != nil || same.ID != p.ID {
		t.Errorf("by its id: %+v, %v", same, err)
	}
	all, err := c.Projects(c.ctx)
	if err != nil || !slices.ContainsFunc(all, func(q nixspace.Project) bool { return q.ID == p.ID }) {
		t.Errorf("the list lacks it: %+v, %v", all, err)
	}
}

func (c conformance) environments(t *testing.T) {
	parent, err := c.Environment(c.ctx, "conform/conform")
	if err != nil {
		t.Fatal(err)
	}
	same, v, _, err := c.Branch(c.ctx, environments.Branch{From: "conform/conform", Name: "same"})
	if err != nil {
		t.Fatal(err)
	}
	if same.ParentID != parent.ID || same.Head != parent.Head || same.Hash != parent.Hash || v.ID != parent.Head {
		t.Errorf("a branch without edits is %+v of %+v", same, parent)
	}
	head, err := c.Version(c.ctx, "conform/conform")
	if err != nil {
		t.Fatal(err)
	}
	pg13, v, _, err := c.Branch(c.ctx, environments.Branch{
		From: "conform/conform", Name: "older", Edits: []environments.Edit{{Op: nixspace.ChangeSet, Key: "postgresql", Value: "13"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if pg13.Hash == parent.Hash || pg13.Head != v.ID || v.EnvironmentID != pg13.ID || !slices.Equal(v.Parents, []string{head.VersionHash}) || v.Message == "" {
		t.Errorf("a branch with an edit is %+v at %+v", pg13, v)
	}
	_, _, _, err = c.Branch(c.ctx, environments.Branch{From: "conform/conform", Name: "older"})
	wantKind(t, "a branch that exists", err, nixspace.KindExists)
	_, _, _, err = c.Branch(c.ctx, environments.Branch{From: "conform/nothing", Name: "x"})
	wantKind(t, "a branch of nothing", err, nixspace.KindNotFound)
	_, err = c.Environment(c.ctx, "conform/nothing")
	wantKind(t, "an unknown environment", err, nixspace.KindNotFound)
	all, err := c.Environments(c.ctx, "conform")
	if err != nil || len(all) != 3 {
		t.Errorf("the list: %+v, %v", all, err)
	}
	_, err = c.Environments(c.ctx, "no-such-project")
	wantKind(t, "environments of no project", err, nixspace.KindNotFound)
	byID, err := c.EnvironmentsByID(c.ctx, []nixspace.ID{pg13.ID, same.ID})
	if err != nil || len(byID) != 2 {
		t.Errorf("by their ids: %+v, %v", byID, err)
	}
}

func (c conformance) versions(t *testing.T) {
	before, err := c.Environment(c.ctx, "conform/older")
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Version(c.ctx, "conform/older")
	if err != nil || first.ID != before.Head {
		t.Fatalf("the head: %+v, %v", first, err)
	}
	edits := []environments.Edit{{Op: nixspace.ChangeSet, Key: "postgresql", Value: "14"}}
	_, _, err = c.Change(c.ctx, environments.Change{Ref: "conform/older", ExpectedHead: strings.Repeat("0", 64), Edits: edits})
	wantKind(t, "a head that moved", err, nixspace.KindConflict)
	second, _, err := c.Change(c.ctx, environments.Change{Ref: "conform/older", ExpectedHead: first.VersionHash, Edits: edits, Message: "newer"})
	if err != nil {
		t.Fatal(err)
	}
	if second.Message != "newer" || !slices.Equal(second.Parents, []string{first.VersionHash}) || second.VersionHash == first.VersionHash || second.Seq <= first.Seq {
		t.Errorf("%+v after %+v", second, first)
	}
	list, err := c.Versions(c.ctx, "conform/older", 0, 1)
	if err != nil || len(list) != 1 || list[0].ID != second.ID {
		t.Errorf("the newest: %+v, %v", list, err)
	}
	list, err = c.Versions(c.ctx, "conform/older", second.Seq, 10)
	if err != nil || len(list) == 0 || list[0].ID != first.ID {
		t.Errorf("before the newest: %+v, %v", list, err)
	}
	again, err := c.Version(c.ctx, first.VersionHash)
	if err != nil || again.ID != first.ID || again.Manifest != first.Manifest {
		t.Errorf("by its hash: %+v, %v", again, err)
	}
	byID, err := c.VersionsByID(c.ctx, []nixspace.ID{second.ID, first.ID})
	if err != nil || len(byID) != 2 {
		t.Errorf("by their ids: %+v, %v", byID, err)
	}
	_, err = c.Version(c.ctx, strings.Repeat("0", 64))
	wantKind(t, "an unknown version", err, nixspace.KindNotFound)
}

func (c conformance) builds(t *testing.T) {
	b, err := c.Build(c.ctx, "conform/older")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	updates, err := c.WatchBuild(ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	var last *nixspace.Build
	for u := range updates { // it ends by itself
		if u.Build != nil {
			last = u.Build
		}
	}
	if last == nil || last.ID != b.ID || !last.Status.Final() {
		t.Errorf("the last news of a build: %+v", last)
	}
	now, err := c.BuildByID(c.ctx, b.ID)
	if err != nil || !now.Status.Final() || now.FinishedAt.IsZero() {
		t.Errorf("afterwards it is %+v, %v", now, err)
	}
	_, err = c.BuildByID(c.ctx, nixspace.NewID())
	wantKind(t, "an unknown build", err, nixspace.KindNotFound)
	_, err = c.WatchBuild(c.ctx, nixspace.NewID())
	wantKind(t, "news of an unknown build", err, nixspace.KindNotFound)
}

// follow watches a session until it is in a state.
func (c conformance) follow(t *testing.T, ref string, status nixspace.SessionStatus) {
	t.Helper()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	updates, err := c.WatchSession(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	var last nixspace.Session
	for u := range updates {
		if last = u.Session; last.Status == status {
			return
		}
	}
	t.Fatalf("the session is %s (%s), not %s", last.Status, last.Reason, status)
}

func (c conformance) sessions(t *testing.T) {
	_, err := c.StartSession(c.ctx, sessions.StartSession{Ref: "conform/nothing"})
	wantKind(t, "a session of nothing", err, nixspace.KindNotFound)
	s, err := c.StartSession(c.ctx, sessions.StartSession{Ref: "conform/same"})
	if err != nil {
		t.Fatal(err)
	}
	ref := "conform/same/1"
	if s.Number != 1 || !s.ID.Valid() || s.Generation != 1 {
		t.Errorf("the first session is %+v", s)
	}
	c.follow(t, ref, nixspace.SessionRunning)
	list, err := c.Sessions(c.ctx, "conform/same", false)
	if err != nil || len(list) != 1 || list[0].ID != s.ID {
		t.Errorf("the list: %+v, %v", list, err)
	}
	if _, err := c.StopSession(c.ctx, ref); err != nil {
		t.Fatal(err)
	}
	c.follow(t, ref, nixspace.SessionStopped)
	now, err := c.Session(c.ctx, string(s.ID))
	if err != nil || now.Status != nixspace.SessionStopped || now.Reason == "" {
		t.Errorf("it stopped as %+v, %v", now, err)
	}
	if err := c.RemoveSession(c.ctx, ref); err != nil {
		t.Fatal(err)
	}
	_, err = c.Session(c.ctx, ref)
	wantKind(t, "a removed session", err, nixspace.KindNotFound)
	_, err = c.StopSession(c.ctx, ref)
	wantKind(t, "stopping a removed session", err, nixspace.KindNotFound)
}

func (c conformance) packages(t *testing.T) {
	found, err := c.SearchPackages(c.ctx, "postgresql", 2)
	if err != nil || len(found) != 2 || found[0].Family != "postgresql" {
		t.Errorf("found %+v, %v", found, err)
	}
	found, err = c.SearchPackages(c.ctx, "no such thing", 10)
	if err != nil || len(found) != 0 {
		t.Errorf("found %+v, %v", found, err)
	}
}

func (c conformance) events(t *testing.T) {
	next := func(after int64, act func()) nixspace.Event {
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		feed, err := c.WatchEvents(ctx, after)
		if err != nil {
			t.Fatal(err)
		}
		act()
		e, open := <-feed
		if !open || e.Seq <= after || e.Kind == "" || e.At.IsZero() || e.Actor == "" {
			t.Fatalf("after %d comes %+v (%v)", after, e, open)
		}
		return e
	}
	var env *nixspace.Environment
	// From now on: nothing of the past.
	seen := next(0, func() {
		var err error
		if env, _, _, err = c.Branch(c.ctx, environments.Branch{From: "conform/conform", Name: "told"}); err != nil {
			t.Fatal(err)
		}
	})
	if seen.EnvironmentID != env.ID {
		t.Errorf("a branch is told as %+v", seen)
	}
	if again := next(seen.Seq-1, func() {}); again.Seq != seen.Seq || again.Kind != seen.Kind {
		t.Errorf("it is told again as %+v, before as %+v", again, seen)
	}
}
