// Package apitest has a small application in memory for tests of the API. What
// it answers is fixed: identities count up and a clock ticks once a call.
package apitest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/api/graph"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
)

// Owner is who acts in tests.
var Owner = nixspace.Actor{ID: "11111111-1111-4111-8111-111111111111", Name: "owner"}

// App answers as [app.App] does. It is safe for concurrent use.
type App struct {
	// The use cases of history are not played: their tests have the real ones.
	graph.History
	graph.People

	// MachineOf makes the machine of a session; nil means none.
	MachineOf func(nixspace.Session) nixspace.Machine
	// Fail, when it returns an error for the name of a method, makes that fail.
	Fail func(method string) error

	mu           sync.Mutex
	changed      *sync.Cond
	n            int
	projects     []nixspace.Project
	environments []nixspace.Environment
	versions     []nixspace.Version
	builds       []nixspace.Build
	sessions     []nixspace.Session
	events       []nixspace.Event
	fetches      []nixspace.SourceFetch
	git          nixspace.GitSettings
	calls        map[string]int
	watching     int
}

// New returns an application that knows the project shop with the branches shop
// and pg13, and a running session shop/1.
func New() *App {
	a := &App{calls: map[string]int{}}
	a.changed = sync.NewCond(&a.mu)
	ctx := nixspace.WithActor(context.Background(), Owner)
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	_, _, _, err := a.CreateProject(ctx, environments.CreateProject{Slug: "shop", Source: "shop", Workspace: strings.Repeat("ab", 32), Manifest: Manifest})
	must(err)
	_, _, _, err = a.Branch(ctx, environments.Branch{
		From: "shop", Name: "pg13", Message: "try the old one",
		Edits: []environments.Edit{{Op: nixspace.ChangeSet, Key: "postgresql", Value: "13"}},
	})
	must(err)
	_, err = a.StartSession(ctx, sessions.StartSession{Ref: "shop"})
	must(err)
	a.calls = map[string]int{}
	return a
}

// Manifest is what shop begins with.
const Manifest = "schema = 1\n\n[packages]\nnodejs = \"22\"\npostgresql = \"15\"\n"

// Calls returns how often a method was called.
func (a *App) Calls(method string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls[method]
}

// Watchers returns how many subscriptions are open.
func (a *App) Watchers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.watching
}

// AwaitWatchers returns once n subscriptions are open, or ctx ended.
func (a *App) AwaitWatchers(ctx context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer context.AfterFunc(ctx, a.wake)()
	for a.watching != n {
		if ctx.Err() != nil {
			return fmt.Errorf("%d subscriptions are open, want %d: %w", a.watching, n, ctx.Err())
		}
		a.changed.Wait()
	}
	return nil
}

// enter begins a call: it counts it, and checks that somebody acts.
func (a *App) enter(ctx context.Context, method string) (unlock func(), err error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.calls[method]++
	if a.Fail != nil {
		if err := a.Fail(method); err != nil {
			a.mu.Unlock()
			return nil, err
		}
	}
	return func() { a.changed.Broadcast(); a.mu.Unlock() }, nil
}

func (a *App) id() nixspace.ID {
	a.n++
	return nixspace.ID(fmt.Sprintf("00000000-0000-4000-8000-%012d", a.n))
}

func (a *App) now() time.Time {
	a.n++
	return time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC).Add(time.Duration(a.n) * time.Second)
}

func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func notFound(what, ref string) error {
	return nixspace.Errorf(nixspace.KindNotFound, what+"_not_found", "there is no %s %q", what, ref).WithHint("list them: nixspace list")
}

// version makes the next version of an environment.
func (a *App) version(env nixspace.ID, parent *nixspace.Version, packages map[string]string, changes []nixspace.Change, message string) *nixspace.Version {
	type pkg struct {
		Family  string `json:"family"`
		Version string `json:"version"`
		Path    string `json:"path"`
	}
	canonical := struct {
		Schema   int            `json:"schema"`
		System   string         `json:"system"`
		Packages map[string]pkg `json:"packages"`
	}{1, "x86_64-linux", map[string]pkg{}}
	manifest := "schema = 1\n\n[packages]\n"
	for _, name := range []string{"nodejs", "postgresql", "redis"} {
		major, ok := packages[name]
		if !ok {
			continue
		}
		manifest += fmt.Sprintf("%s = %q\n", name, major)
		attr := name + "_" + major
		canonical.Packages[attr] = pkg{name, major + ".4", nixspace.StoreDir + "/" + digest(attr)[:32] + "-" + name + "-" + major + ".4"}
	}
	b, _ := json.Marshal(canonical)
	v := nixspace.Version{
		ID: a.id(), EnvironmentID: env, Manifest: manifest, Canonical: b, ManifestHash: digest(string(b)),
		FlakeContent: "{ }\n", FlakeLock: "{\"version\":7}\n", Message: message, Changes: changes,
		Author: Owner.Name, CreatedBy: Owner.ID, CreatedAt: a.now(), Seq: 1,
	}
	if parent != nil {
		v.Parents = []string{parent.VersionHash}
		if parent.EnvironmentID == env {
			v.Seq = parent.Seq + 1
		}
	}
	v.VersionHash = v.ComputeHash()
	a.versions = append(a.versions, v)
	return &a.versions[len(a.versions)-1]
}

func (a *App) newBuild(v *nixspace.Version) *nixspace.Build {
	b := nixspace.Build{ID: a.id(), VersionID: v.ID, Status: nixspace.BuildQueued, CreatedAt: a.now()}
	a.builds = append(a.builds, b)
	return &b
}

// find returns a pointer to the first item for which ok holds.
func find[T any](items []T, ok func(*T) bool) *T {
	for i := range items {
		if ok(&items[i]) {
			return &items[i]
		}
	}
	return nil
}

func copied[T any](p *T) *T {
	c := *p
	return &c
}

// PutWorkspace counts what it is sent.
func (a *App) PutWorkspace(ctx context.Context, r io.Reader) (nixspace.Workspace, error) {
	unlock, err := a.enter(ctx, "PutWorkspace")
	if err != nil {
		return nixspace.Workspace{}, err
	}
	unlock()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return nixspace.Workspace{}, fmt.Errorf("read archive: %w", err)
	}
	return nixspace.Workspace{Digest: hex.EncodeToString(h.Sum(nil)), Size: n, Files: 1}, nil
}

// Machine returns what MachineOf makes.
func (a *App) Machine(ctx context.Context, ref string) (nixspace.Machine, error) {
	s, err := a.Session(ctx, ref)
	if err != nil {
		return nil, err
	}
	if s.Status != nixspace.SessionRunning || a.MachineOf == nil {
		return nil, nixspace.Errorf(nixspace.KindConflict, "session_not_running", "session %s is %s", s.Ref(), s.Status).
			WithHint("start it again: nixspace start %s", s.Ref())
	}
	return a.MachineOf(*s), nil
}

// CreateProject makes a project.
func (a *App) CreateProject(ctx context.Context, in environments.CreateProject) (*nixspace.Project, *nixspace.Environment, *nixspace.Build, error) {
	unlock, err := a.enter(ctx, "CreateProject")
	if err != nil {
		return nil, nil, nil, err
	}
	defer unlock()
	if err := nixspace.CheckName("a project", in.Slug); err != nil {
		return nil, nil, nil, err
	}
	if find(a.projects, func(p *nixspace.Project) bool { return p.Slug == in.Slug }) != nil {
		return nil, nil, nil, nixspace.Errorf(nixspace.KindExists, "project_exists", "there is a project %q already", in.Slug).WithHint("choose another name")
	}
	p := nixspace.Project{ID: a.id(), Slug: in.Slug, Source: in.Source, Workspace: in.Workspace, CreatedAt: a.now(), CreatedBy: Owner.ID}
	a.projects = append(a.projects, p)
	e := a.newEnvironment(&p, in.Slug, "")
	v := a.version(e.ID, nil, map[string]string{"nodejs": "22", "postgresql": "15"}, nil, in.Message)
	a.setHead(e, v)
	b := a.newBuild(v)
	return &p, copied(e), b, nil
}

func (a *App) newEnvironment(p *nixspace.Project, name string, parent nixspace.ID) *nixspace.Environment {
	at := a.now()
	a.environments = append(a.environments, nixspace.Environment{
		ID: a.id(), ProjectID: p.ID, Project: p.Slug, Name: name, ParentID: parent, CreatedAt: at, UpdatedAt: at, CreatedBy: Owner.ID,
	})
	return &a.environments[len(a.environments)-1]
}

func (a *App) setHead(e *nixspace.Environment, v *nixspace.Version) {
	e.Head, e.Hash, e.FlakeContent, e.UpdatedAt = v.ID, v.ManifestHash, v.FlakeContent, v.CreatedAt
}

// Projects lists all projects.
func (a *App) Projects(ctx context.Context) ([]nixspace.Project, error) {
	unlock, err := a.enter(ctx, "Projects")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return slices.Clone(a.projects), nil
}

// Project returns one.
func (a *App) Project(ctx context.Context, ref string) (*nixspace.Project, error) {
	unlock, err := a.enter(ctx, "Project")
	if err != nil {
		return nil, err
	}
	defer unlock()
	p := find(a.projects, func(p *nixspace.Project) bool { return p.Slug == ref || string(p.ID) == ref })
	if p == nil {
		return nil, notFound("project", ref)
	}
	return copied(p), nil
}

// EnvironmentsPage lists environments.
func (a *App) EnvironmentsPage(ctx context.Context, project string, after nixspace.ID, limit int) ([]nixspace.Environment, int, error) {
	unlock, err := a.enter(ctx, "EnvironmentsPage")
	if err != nil {
		return nil, 0, err
	}
	defer unlock()
	all, err := a.environmentsOf(project)
	if err != nil {
		return nil, 0, err
	}
	start := 0
	if after != "" {
		start = slices.IndexFunc(all, func(e nixspace.Environment) bool { return e.ID == after }) + 1
		if start == 0 {
			return nil, 0, nixspace.Errorf(nixspace.KindNotFound, "environment_unknown", "there is no environment %q", after)
		}
	}
	return all[start:min(start+limit, len(all))], len(all), nil
}

// Environments lists environments.
func (a *App) Environments(ctx context.Context, project string) ([]nixspace.Environment, error) {
	unlock, err := a.enter(ctx, "Environments")
	if err != nil {
		return nil, err
	}
	defer unlock()
	return a.environmentsOf(project)
}

func (a *App) environmentsOf(project string) ([]nixspace.Environment, error) {
	if project != "" && !slices.ContainsFunc(a.projects, func(p nixspace.Project) bool { return p.Slug == project || string(p.ID) == project }) {
		return nil, notFound("project", project)
	}
	var es []nixspace.Environment
	for _, e := range a.environments {
		if project == "" || e.Project == project || string(e.ProjectID) == project {
			es = append(es, e)
		}
	}
	return es, nil
}

func (a *App) environment(ref string) (*nixspace.Environment, error) {
	e := find(a.environments, func(e *nixspace.Environment) bool {
		return e.Name == ref || e.Ref() == ref || string(e.ID) == ref
	})
	if e == nil {
		return nil, notFound("environment", ref)
	}
	return e, nil
}

// Environment returns one.
func (a *App) Environment(ctx context.Context, ref string) (*nixspace.Environment, error) {
	unlock, err := a.enter(ctx, "Environment")
	if err != nil {
		return nil, err
	}
	defer unlock()
	e, err := a.environment(ref)
	if err != nil {
		return nil, err
	}
	return copied(e), nil
}

// EnvironmentsByID returns those that exist.
func (a *App) EnvironmentsByID(ctx context.Context, ids []nixspace.ID) ([]nixspace.Environment, error) {
	unlock, err := a.enter(ctx, "EnvironmentsByID")
	if err != nil {
		return nil, err
	}
	defer unlock()
	var es []nixspace.Environment
	for _, e := range a.environments {
		if slices.Contains(ids, e.ID) {
			es = append(es, e)
		}
	}
	return es, nil
}

func (a *App) versionByID(id nixspace.ID) *nixspace.Version {
	return find(a.versions, func(v *nixspace.Version) bool { return v.ID == id })
}

// describe is the message of a change that has none.
func describe(edits []environments.Edit) string {
	var words []string
	for _, e := range edits {
		words = append(words, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Op, e.Key, e.Value)))
	}
	return strings.Join(words, ", ")
}

// edit applies edits to the packages of a version.
func edit(v *nixspace.Version, edits []environments.Edit) (map[string]string, []nixspace.Change, error) {
	packages := map[string]string{}
	for line := range strings.Lines(v.Manifest) {
		if name, major, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && name != "schema" {
			packages[name] = strings.Trim(major, `"`)
		}
	}
	var changes []nixspace.Change
	for _, ed := range edits {
		if !slices.Contains([]string{"nodejs", "postgresql", "redis"}, ed.Key) {
			return nil, nil, nixspace.Errorf(nixspace.KindInvalid, "package_unknown", "there is no package %q", ed.Key).
				WithHint("did you mean postgresql?").WithDetail("nearest", []string{"postgresql"})
		}
		c := nixspace.Change{Op: ed.Op, Path: "packages." + ed.Key, From: packages[ed.Key], To: ed.Value}
		if ed.Op == nixspace.ChangeRemove {
			delete(packages, ed.Key)
		} else {
			packages[ed.Key] = strings.TrimPrefix(strings.ReplaceAll(ed.Value, "*", "7"), "=")
		}
		changes = append(changes, c)
	}
	return packages, changes, nil
}

// Branch makes an environment from another one.
func (a *App) Branch(ctx context.Context, in environments.Branch) (*nixspace.Environment, *nixspace.Version, *nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Branch")
	if err != nil {
		return nil, nil, nil, err
	}
	defer unlock()
	from, err := a.environment(in.From)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := nixspace.CheckName("an environment", in.Name); err != nil {
		return nil, nil, nil, err
	}
	if _, err := a.environment(from.Project + "/" + in.Name); err == nil {
		return nil, nil, nil, nixspace.Errorf(nixspace.KindExists, "environment_exists", "project %s has an environment %q already", from.Project, in.Name).WithHint("choose another name")
	}
	head := copied(a.versionByID(from.Head))
	packages, changes, err := edit(head, in.Edits)
	if err != nil {
		return nil, nil, nil, err
	}
	e := a.newEnvironment(&nixspace.Project{ID: from.ProjectID, Slug: from.Project}, in.Name, from.ID)
	v := head // a branch without edits shares its parent's version
	if len(in.Edits) > 0 {
		v = a.version(e.ID, head, packages, changes, cmp.Or(in.Message, describe(in.Edits)))
	}
	a.setHead(e, v)
	b := a.newBuild(v)
	a.events = append(a.events, nixspace.Event{
		Seq: int64(len(a.events) + 1), At: v.CreatedAt, Kind: "environment.branched", EnvironmentID: e.ID,
		ProjectID: e.ProjectID, Actor: Owner.Name, Message: fmt.Sprintf("branched %s", e.Ref()), Data: map[string]any{"from": in.From},
	})
	return copied(e), copied(v), b, nil
}

// Change makes a new version.
func (a *App) Change(ctx context.Context, in environments.Change) (*nixspace.Version, *nixspace.Build, error) {
	unlock, err := a.enter(ctx, "Change")
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	e, err := a.environment(in.Ref)
	if err != nil {
		return nil, nil, err
	}
	head := copied(a.versionByID(e.Head))
	if in.ExpectedHead != "" && in.ExpectedHead != head.VersionHash {
		return nil, nil, nixspace.Errorf(nixspace.KindConflict, "head_moved", "%s has changed meanwhile", e.Ref()).WithHint("look at it again: nixspace show %s", e.Ref())
	}
	packages, changes, err := edit(head, in.Edits)
	if err != nil {
		return nil, nil, err
	}
	v := a.version(e.ID, head, packages, changes, in.Message)
	a.setHead(e, v)
	return copied(v), a.newBuild(v), nil
}

// SearchPackages knows three packages.
func (a *App) SearchPackages(ctx context.Context, query string, limit int) ([]nixspace.Package, error) {
	unlock, err := a.enter(ctx, "SearchPackages")
	if err != nil {
		return nil, err
	}
	defer unlock()
	all := []nixspace.Package{
		{Attr: "nodejs_22", Family: "nodejs", Version: "22.4", Description: "JavaScript runtime", Default: true, Present: true},
		{Attr: "postgresql_13", Family: "postgresql", Version: "13.4", Description: "Object-relational database", Download: 12345678},
		{Attr: "postgresql_15", Family: "postgresql", Version: "15.4", Description: "Object-relational database", Default: true, Present: true},
	}
	found := []nixspace.Package{}
	for _, p := range all {
		if strings.Contains(p.Attr+" "+p.Description, query) && len(found) < limit {
			found = append(found, p)
		}
	}
	return found, nil
}

// Admit lets everybody do everything.
func (a *App) Admit(ctx context.Context, actor nixspace.Actor) (context.Context, func(), error) {
	return nixspace.WithActor(ctx, actor), func() {}, nil
}

// Audit has nothing to show.
func (a *App) Audit(context.Context, nixspace.AuditFilter) ([]nixspace.AuditEntry, error) {
	return nil, nil
}

// Record forgets what happened.
func (a *App) Record(context.Context, string, string, error) {}
