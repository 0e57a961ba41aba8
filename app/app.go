// Package app holds the use cases of NixSpace: what the API, the command line
// and the background jobs can ask for. It is the only place where the wings of
// the program (env, nix, vm, state) meet, and where a transaction spans them.
//
// The packages below it hold one group of use cases each; [App] is all of them.
// Every method takes the acting user from its context (see [nixspace.WithActor])
// and refuses to work without one.
package app

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/advice"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/collect"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/experiments"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/gitaccess"
	"github.com/nixspace/nixspace/app/inspect"
	"github.com/nixspace/nixspace/app/people"
	"github.com/nixspace/nixspace/app/prebuilds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/app/transfer"
	"github.com/nixspace/nixspace/app/work"
)

// The groups of use cases, under names that can stand side by side in App.
type (
	buildCases       = builds.UseCases
	environmentCases = environments.UseCases
	inspectCases     = inspect.UseCases
	transferCases    = transfer.UseCases
	sessionCases     = sessions.UseCases
	sourceCases      = fetches.UseCases
	adviceCases      = advice.UseCases
	collectCases     = collect.UseCases
	peopleCases      = people.UseCases
	prebuildCases    = prebuilds.UseCases
	experimentCases  = experiments.UseCases
	gitCases         = gitaccess.UseCases
)

// App is the set of use cases. It is safe for concurrent use. [App.Run] must run
// while it is used, and owns the goroutines that it starts.
type App struct {
	*buildCases
	*environmentCases
	*inspectCases
	*transferCases
	*sessionCases
	*sourceCases
	*adviceCases
	*collectCases
	*peopleCases
	*prebuildCases
	*experimentCases
	*gitCases
	records *records.Records
	tasks   *work.Tasks
}

// Config is what App works with. All fields but HibernateAfter, Prewarms, Sources,
// Prebuilds and Experiments are required.
type Config struct {
	Store      records.Store
	Packages   builds.Packages
	Machines   nixspace.Machines
	Workspaces environments.Workspaces
	Jobs       builds.Jobs
	Log        *slog.Logger
	Sources    fetches.Parts
	Prebuilds  prebuilds.Jobs // without it nothing is prepared
	// Quota bounds those who have an account.
	Quota records.Quota
	// Secrets are 32 secret bytes that seal what people entrust to the server; without
	// them nothing is kept.
	Secrets []byte
	// HibernateAfter is how long nobody must have worked in a session before it is
	// hibernated; never when 0.
	HibernateAfter time.Duration
	// Prewarms queues the making of templates; nil for none.
	Prewarms sessions.Prewarms
	// Experiments queues experiments; there are none when it is nil.
	Experiments experiments.Jobs
	// Collect is what [collect.UseCases.RunCollection] collects.
	Collect collect.CollectGarbage
}

// New returns the use cases over cfg.
func New(cfg Config) *App {
	r, tasks, progress := records.New(cfg.Store), work.NewTasks(), work.NewProgressHub()
	r.Quota = cfg.Quota
	b := builds.New(r, cfg.Packages, cfg.Jobs, tasks, progress, cfg.Log)
	e := environments.New(r, cfg.Packages, cfg.Workspaces, b, cfg.Log)
	t := transfer.New(r, cfg.Packages, cfg.Workspaces, b, e, cfg.Log)
	pre := prebuilds.New(prebuilds.Config{
		Records: r, Host: cfg.Machines, Workspaces: cfg.Workspaces, Trees: cfg.Sources.Trees, Jobs: cfg.Prebuilds, Progress: progress, Log: cfg.Log,
	})
	git := gitaccess.New(gitaccess.Config{Records: r, Key: cfg.Secrets, Tasks: tasks, Log: cfg.Log})
	run := sessions.New(sessions.Config{
		Lender:  git,
		Records: r, Packages: cfg.Packages, Machines: cfg.Machines, Workspaces: cfg.Workspaces,
		Builds: b, Environments: e, Prebuilds: pre, Tasks: tasks, Progress: progress,
		HibernateAfter: cfg.HibernateAfter, Prewarms: cfg.Prewarms, Log: cfg.Log,
	})
	pre.Over(run)
	b.Built = run.Built
	garbage := collect.Config{Records: r, Sessions: run, Prebuilds: pre, Scheduled: cfg.Collect, Log: cfg.Log}
	// What a part cannot collect is not collected.
	garbage.Files, _ = cfg.Machines.(nixspace.GarbageCollector)
	garbage.Workspaces, _ = cfg.Workspaces.(nixspace.WorkspaceCollector)
	garbage.Roots, _ = cfg.Packages.(collect.Roots)
	return &App{
		gitCases: git, records: r, tasks: tasks, buildCases: b, environmentCases: e, transferCases: t, sessionCases: run, prebuildCases: pre,
		peopleCases:  people.New(people.Config{Records: r, Log: cfg.Log, Key: cfg.Secrets}),
		inspectCases: inspect.New(r, cfg.Packages, b, cfg.Log), collectCases: collect.New(garbage),
		experimentCases: experiments.New(experiments.Config{
			Records: r, Packages: cfg.Packages, Builds: b, Environments: e, Sessions: run, Jobs: cfg.Experiments, Log: cfg.Log,
		}),
		adviceCases: advice.New(r, cfg.Packages, trees(cfg.Sources.Trees)),
		sourceCases: fetches.New(fetches.Config{Records: r, Packages: cfg.Packages, Progress: progress, Log: cfg.Log, Parts: cfg.Sources}),
	}
}

// trees opens stored code, where the server can.
func trees(t fetches.Trees) advice.Trees {
	if t == nil {
		return nil
	}
	return func(ctx context.Context, digest string) (advice.Tree, error) { return t.Tree(ctx, digest) }
}

// Owner returns the actor of a user's name, and makes the user when it is new.
// It is how a server finds its local owner, who administers it and needs no
// credential; it needs no actor.
func (a *App) Owner(ctx context.Context, name string) (nixspace.Actor, error) {
	owner, err := a.records.Owner(ctx, name)
	if err != nil {
		return owner, err
	}
	return owner, a.SetOwner(ctx, owner)
}

// Run keeps sessions' rows true to their machines until ctx ends, and then ends
// everything that the use cases started and waits for it. It fails when the
// machines can no longer be watched.
func (a *App) Run(ctx context.Context) error {
	defer a.tasks.Close()
	both, run := errgroup.WithContext(ctx)
	both.Go(func() error { return a.peopleCases.Run(run) })
	both.Go(func() error { return a.sessionCases.Run(run) })
	return both.Wait()
}

// Reconcile brings the database and the machines of this host together: it
// finds sessions that survived a restart of the server, fails those whose
// machine is gone, ends machines that no session owns, and queues again builds,
// fetches and prebuilds that a crash interrupted. It runs at start, before requests are served.
func (a *App) Reconcile(ctx context.Context) error {
	ctx = nixspace.AsSystem(ctx)
	if err := a.buildCases.Reconcile(ctx); err != nil {
		return err
	}
	if err := a.environmentCases.Reconcile(ctx); err != nil {
		return err
	}
	if err := a.sourceCases.Reconcile(ctx); err != nil {
		return err
	}
	if err := a.prebuildCases.Reconcile(ctx); err != nil {
		return err
	}
	return a.sessionCases.Reconcile(ctx)
}
