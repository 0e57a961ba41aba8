package app_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/app/sessions"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/state/workspace"
)

func TestMain(m *testing.M) {
	if os.Getenv(childURL) != "" {
		os.Exit(mergeInChild())
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

const shop = `schema = 1

[packages]
nodejs = "22"
postgresql = "15"

[services.postgresql]
databases = ["shop"]

[env]
NODE_ENV = "development"
`

// limit is generous: nothing here is about speed.
const limit = 2 * time.Minute

// host is a whole NixSpace with fake packages and machines, over a real
// database.
type host struct {
	*app.App
	ctx        context.Context
	db         *postgres.DB
	packages   *apptest.Packages
	machines   *apptest.Machines
	jobs       *apptest.Jobs
	workspaces *workspace.Store

	hibernateAfter time.Duration
	prewarms       sessions.Prewarms
	away           away   // the database, for the App
	stop           func() // ends App.Run and waits for it; call it to play a shutdown
}

var ada = nixspace.Actor{ID: "aaaaaaaa-0000-4000-8000-000000000001", Name: "ada"}

func newHost(t testing.TB) *host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	d, err := postgres.Open(ctx, postgrestest.URL(t, postgres.Migrate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return newHostOver(ctx, t, d)
}

func newHostOver(ctx context.Context, t testing.TB, d *postgres.DB) *host {
	t.Helper()
	w, err := workspace.Open(t.TempDir(), nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{
		ctx: nixspace.WithActor(ctx, ada), db: d, workspaces: w,
		packages: apptest.NewPackages(), machines: apptest.NewMachines(), jobs: &apptest.Jobs{},
	}
	h.start(t)
	return h
}

// away is a database that is away for some writes.
type away struct {
	nixspace.Database
	writes atomic.Int64  // that fail from now on
	kind   nixspace.Kind // they fail with
}

func (a *away) InTx(ctx context.Context, fn func(nixspace.Tx) error) error {
	if a.writes.Add(-1) >= 0 {
		return nixspace.Errorf(a.kind, "database_unavailable", "the database is away")
	}
	return a.Database.InTx(ctx, fn)
}

// Reachable implements nixspace.ReachableStore, where the database does.
func (a *away) Reachable(ctx context.Context) (*nixspace.Reachable, error) {
	return a.Database.(nixspace.ReachableStore).Reachable(ctx)
}

// start begins a new App over what h has, as a server does that starts.
func (h *host) start(t testing.TB) {
	t.Helper()
	h.away.Database = h.jobs.Over(h.db)
	h.App = app.New(app.Config{
		Store: &h.away, Packages: h.packages, Machines: h.machines, Workspaces: h.workspaces, Jobs: h.jobs, HibernateAfter: h.hibernateAfter, Prewarms: h.prewarms,
		Experiments: h.jobs.Experiments(),
		Log:         slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func(a *app.App) { done <- a.Run(ctx) }(h.App)
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(h.stop)
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// create makes the project shop.
func (h *host) create(t testing.TB) *nixspace.Environment {
	t.Helper()
	_, env, _, err := h.CreateProject(h.ctx, environments.CreateProject{Slug: "shop", Source: "examples/shop", Manifest: shop})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// work runs what is queued.
func (h *host) work(t testing.TB) {
	t.Helper()
	for _, id := range h.jobs.Take() {
		if err := h.RunBuild(h.ctx, id); err != nil {
			t.Errorf("run build %s: %v", id, err)
		}
	}
}

// keepWorking runs what is queued and what will be, until the test ends.
func (h *host) keepWorking(t testing.TB) {
	wake, ctx, done := h.jobs.Wake(), h.ctx, make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for {
			for _, id := range h.jobs.Take() {
				if err := h.RunBuild(h.ctx, id); err != nil && ctx.Err() == nil {
					t.Errorf("run build %s: %v", id, err)
				}
			}
			select {
			case <-wake:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// await waits until a session is as wanted.
func (h *host) await(t testing.TB, id nixspace.ID, status nixspace.SessionStatus) nixspace.Session {
	t.Helper()
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	updates, err := h.WatchSession(ctx, string(id))
	if err != nil {
		t.Fatal(err)
	}
	var last nixspace.Session
	for u := range updates {
		if last = u.Session; last.Status == status {
			return last
		}
	}
	t.Fatalf("session is %s (%s), not %s", last.Status, last.Reason, status)
	return last
}

func wantCode(t testing.TB, err error, kind nixspace.Kind, code string) {
	t.Helper()
	if nixspace.ErrorKind(err) != kind || nixspace.ErrorCode(err) != code {
		t.Errorf("got error %v (%s, %s), want %s, %s", err, nixspace.ErrorKind(err), nixspace.ErrorCode(err), kind, code)
	}
}

func set(key, value string) []environments.Edit {
	return []environments.Edit{{Op: nixspace.ChangeSet, Key: key, Value: value}}
}
