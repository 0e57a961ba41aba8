package app_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/fetches"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
	"github.com/nixspace/nixspace/state/workspace"
)

// fetcher is a stand-in that does what a test wants.
type fetcher func(context.Context, nixspace.CodeSource, nixspace.SourceCredentials, nixspace.ProgressFunc) (*nixspace.FetchedCode, error)

func (f fetcher) Fetch(ctx context.Context, s nixspace.CodeSource, c nixspace.SourceCredentials, p nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
	return f(ctx, s, c, p)
}

func (fetcher) Unpack(context.Context, io.Reader) (*nixspace.FetchedCode, error) {
	return nil, fmt.Errorf("not in this test")
}

// fetchJobs remembers what was queued.
type fetchJobs struct {
	mu       sync.Mutex
	queued   []nixspace.ID
	canceled []nixspace.ID
}

func (j *fetchJobs) EnqueueFetch(_ context.Context, _ records.Tx, id nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queued = append(j.queued, id)
	return nil
}

func (j *fetchJobs) CancelFetch(_ context.Context, id nixspace.ID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.canceled = append(j.canceled, id)
	return nil
}

// fetching is a NixSpace whose fetches are played.
type fetching struct {
	*app.App
	ctx  context.Context
	db   *postgres.DB
	jobs *fetchJobs
}

func newFetching(t *testing.T, d *postgres.DB, f fetcher) *fetching {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	ws, err := workspace.Open(t.TempDir(), nixspace.CodeLimits{})
	if err != nil {
		t.Fatal(err)
	}
	h := &fetching{ctx: nixspace.WithActor(ctx, ada), db: d, jobs: &fetchJobs{}}
	h.App = app.New(app.Config{
		Store: d, Packages: apptest.NewPackages(), Machines: apptest.NewMachines(), Workspaces: ws, Jobs: &apptest.Jobs{},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Sources: fetches.Parts{Fetcher: f, Jobs: h.jobs},
	})
	return h
}

func openDB(t *testing.T) *postgres.DB {
	t.Helper()
	d, err := postgres.Open(t.Context(), postgrestest.URL(t, postgres.Migrate), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

const deepSecret = "tok-deep-secret"

func TestFetch(t *testing.T) {
	h := newFetching(t, openDB(t), func(_ context.Context, s nixspace.CodeSource, c nixspace.SourceCredentials, p nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
		if c.Token != deepSecret || s.URL != "https://example.org/a.git" || s.Ref != "v1" || s.Dir != "api" {
			return nil, fmt.Errorf("asked for %+v with %q", s, c.Token)
		}
		p(nixspace.Progress{Job: "source", Phase: "receive", Done: 1, Total: 2})
		return &nixspace.FetchedCode{Workspace: nixspace.Workspace{Digest: strings.Repeat("ab", 32), Size: 1, Files: 1}, Commit: "0123", Notes: []string{"a note"}}, nil
	})
	f, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: "https://example.org/a.git", Ref: "v1", Dir: "api", Token: deepSecret})
	if err != nil || f.Status != nixspace.BuildQueued || !f.Private || len(h.jobs.queued) != 1 {
		t.Fatalf("got %+v, %v", f, err)
	}
	updates, err := h.WatchFetch(h.ctx, f.ID)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- h.RunFetch(h.ctx, f.ID) }()
	var last *nixspace.SourceFetch
	for u := range updates {
		if u.Fetch != nil {
			last = u.Fetch
		}
	}
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if last == nil || last.Status != nixspace.BuildSucceeded || last.Code == nil || last.Code.Commit != "0123" || last.Code.Notes[0] != "a note" {
		t.Errorf("the last update is %+v", last)
	}
	// Nothing that is stored has the token.
	rows, err := h.db.Pool().Query(h.ctx, "select row_to_json(f)::text from source_fetches f union all select row_to_json(e)::text from events e")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		if n++; strings.Contains(text, deepSecret) {
			t.Errorf("stored: %s", text)
		}
	}
	if n < 2 {
		t.Errorf("%d rows were looked at", n)
	}
	if err := h.RunFetch(h.ctx, f.ID); err != nil { // once more, as after a crash
		t.Error(err)
	}
}

func TestFetchFails(t *testing.T) {
	h := newFetching(t, openDB(t), func(context.Context, nixspace.CodeSource, nixspace.SourceCredentials, nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
		return nil, nixspace.Errorf(nixspace.KindNotFound, "source_not_found", "there is no repository")
	})
	f, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: "github:acme/shop"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RunFetch(h.ctx, f.ID); err != nil {
		t.Fatal(err)
	}
	if f, err = h.FetchByID(h.ctx, f.ID); err != nil || f.Status != nixspace.BuildFailed || f.ErrorCode != "source_not_found" || f.Source.URL != "https://github.com/acme/shop.git" {
		t.Errorf("got %+v, %v", f, err)
	}
	for source, code := range map[string]string{"/etc": "source_invalid", "https://a:b@example.org/x": "source_credentials"} {
		if _, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: source}); nixspace.ErrorCode(err) != code {
			t.Errorf("%s: got %v", source, err)
		}
	}
	if _, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: "github:a/b", Token: "x", Key: "y"}); nixspace.ErrorCode(err) != "source_credentials" {
		t.Errorf("a token and a key: got %v", err)
	}
	if _, err := h.FetchSource(t.Context(), fetches.FetchSource{Source: "github:a/b"}); nixspace.ErrorKind(err) != nixspace.KindUnauthorized {
		t.Errorf("nobody: got %v", err)
	}
}

// blocking is a fetch that goes on until it is stopped, and says that it began.
func blocking(begun chan<- struct{}) fetcher {
	return func(ctx context.Context, _ nixspace.CodeSource, _ nixspace.SourceCredentials, _ nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
}

func TestFetchCanceled(t *testing.T) {
	begun := make(chan struct{}, 1)
	h := newFetching(t, openDB(t), blocking(begun))
	f, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: "github:acme/shop"})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- h.RunFetch(h.ctx, f.ID) }()
	<-begun
	if f, err = h.CancelFetch(h.ctx, f.ID); err != nil || f.Status != nixspace.BuildCanceled {
		t.Errorf("got %+v, %v", f, err)
	}
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if len(h.jobs.canceled) != 1 {
		t.Errorf("%d jobs were cancelled", len(h.jobs.canceled))
	}
	if f, err = h.CancelFetch(h.ctx, f.ID); err != nil || f.Status != nixspace.BuildCanceled {
		t.Errorf("twice: got %+v, %v", f, err)
	}
}

// TestFetchAfterRestart interrupts two fetches as a shutdown does. The next server
// does the one again, and says of the other that nobody knows its token any more.
func TestFetchAfterRestart(t *testing.T) {
	d := openDB(t)
	begun := make(chan struct{}, 1)
	h := newFetching(t, d, blocking(begun))
	var ids []nixspace.ID
	for _, token := range []string{"", deepSecret} {
		f, err := h.FetchSource(h.ctx, fetches.FetchSource{Source: "github:acme/shop", Token: token})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, f.ID)
		run, shutdown := context.WithCancel(h.ctx)
		ran := make(chan error, 1)
		go func() { ran <- h.RunFetch(run, f.ID) }()
		<-begun
		shutdown()
		if err := <-ran; err == nil {
			t.Error("an interrupted fetch is said to be done")
		}
	}
	next := newFetching(t, d, func(context.Context, nixspace.CodeSource, nixspace.SourceCredentials, nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
		return &nixspace.FetchedCode{}, nil
	})
	if err := next.Reconcile(next.ctx); err != nil || len(next.jobs.queued) != 2 {
		t.Fatalf("queued %v, %v", next.jobs.queued, err)
	}
	for i, want := range []string{"", "credentials_gone"} {
		if err := next.RunFetch(next.ctx, ids[i]); err != nil {
			t.Fatal(err)
		}
		if f, err := next.FetchByID(next.ctx, ids[i]); err != nil || f.ErrorCode != want || f.Status.Final() != true {
			t.Errorf("fetch %d: got %+v, %v", i, f, err)
		}
	}
}
