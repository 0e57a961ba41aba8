package app_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app"
	"github.com/nixspace/nixspace/app/apptest"
	"github.com/nixspace/nixspace/app/environments"
	"github.com/nixspace/nixspace/state/postgres"
	"github.com/nixspace/nixspace/state/postgres/cluster"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

var killAll = flag.Bool("kill.all", false, "kill before every statement of a merge, not before a few")

// killer does something before the nth statement that the database is sent.
type killer struct {
	left atomic.Int64 // statements until then; none is counted while it is not positive
	kill func()
}

func (k *killer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if k.left.Load() > 0 && k.left.Add(-1) == 0 {
		k.kill()
	}
	return ctx
}

func (*killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func openTraced(ctx context.Context, url string, k *killer) (*postgres.DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.ConnConfig.Tracer = k
	return postgres.OpenConfig(ctx, cfg, slog.New(slog.DiscardHandler))
}

// What the child process is told.
const (
	childURL   = "APP_TEST_CHILD_URL"
	childMerge = "APP_TEST_CHILD_MERGE" // "from into"
	childKill  = "APP_TEST_CHILD_KILL"  // the statement before which it kills itself
)

const acknowledged = "the merge was acknowledged"

// mergeInChild is a server that merges, and is killed while it does.
func mergeInChild() int {
	ctx := nixspace.WithActor(context.Background(), ada)
	k := &killer{kill: func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}}
	d, err := openTraced(ctx, os.Getenv(childURL), k)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	jobs := &apptest.Jobs{}
	a := app.New(app.Config{
		Store: jobs.Over(d), Packages: apptest.NewPackages(), Machines: apptest.NewMachines(), Jobs: jobs, Log: slog.New(slog.DiscardHandler),
	})
	run, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = a.Run(run) }()
	// What every first request does, such as finding the user, is no part of it.
	if _, err := a.Owner(ctx, ada.Name); err != nil {
		fmt.Println(err)
		return 1
	}
	from, into, _ := strings.Cut(os.Getenv(childMerge), " ")
	n, _ := strconv.ParseInt(os.Getenv(childKill), 10, 64)
	k.left.Store(n)
	out, err := a.Merge(ctx, environments.Merge{From: from, Into: into})
	if err != nil || out.Outcome != environments.MergeMerged {
		fmt.Println(out, err)
		return 1
	}
	fmt.Println(acknowledged)
	return 0
}

// statements returns the numbers of the statements to kill before: all, or a few
// of them, the last one among those. A merge takes fewer than most.
func statements(t *testing.T, few int) []int {
	const most = 60
	var all []int
	for n := 1; n <= most; n++ {
		all = append(all, n)
	}
	if *killAll {
		return all
	}
	some := rand.Perm(34)[:few]
	for i := range some {
		some[i]++
	}
	slices.Sort(some)
	t.Logf("killing before statements %v", some)
	return some
}

// diverge makes two branches that must be merged, and returns the head of the
// one that is merged into.
func (h *host) diverge(t *testing.T, n int) (from, into string, head nixspace.ID) {
	t.Helper()
	from, into = fmt.Sprintf("from%d", n), fmt.Sprintf("into%d", n)
	h.branch(t, "shop", from, set("env.THEIRS", "1")...)
	h.branch(t, "shop", into, set("env.OURS", "1")...)
	return from, into, h.version(t, into).ID
}

// afterKill checks what a killed merge left, and brings it to its end as a server
// does that starts.
func (h *host) afterKill(t *testing.T, n int, from, into string, old nixspace.ID, acked bool) {
	t.Helper()
	whole := func(when string) *nixspace.Version {
		t.Helper()
		head := h.version(t, into)
		switch {
		case head.ID == old && acked:
			t.Errorf("statement %d, %s: the merge was acknowledged and is lost", n, when)
		case head.ID == old:
		case len(head.Parents) != 2 || !strings.Contains(head.Manifest, "OURS") || !strings.Contains(head.Manifest, "THEIRS") ||
			head.VersionHash != head.ComputeHash() || h.version(t, into+"~1").ID != old:
			t.Errorf("statement %d, %s: the head is neither the old one nor the merge: %+v", n, when, head)
		}
		moves, err := h.Reflog(h.ctx, into, 0, 1)
		if err != nil || moves[0].To != head.ID {
			t.Errorf("statement %d, %s: the reflog ends with %v, %v", n, when, moves, err)
		}
		return head
	}
	before := whole("at once")
	h.stop()
	h.jobs.Take()
	h.start(t)
	if err := h.Reconcile(h.ctx); err != nil {
		t.Fatal(err)
	}
	h.work(t)
	if head := whole("after the restart"); before.ID != old && head.ID != before.ID {
		t.Errorf("statement %d: the restart moved a head that had moved", n)
	}
	if open, err := h.db.Read().Merges().Building(h.ctx, ""); err != nil || len(open) > 0 {
		t.Errorf("statement %d: merges that never end: %v, %v", n, open, err)
	}
	if open, err := h.db.Read().Builds().List(h.ctx, ""); err != nil || len(open) > 0 {
		t.Errorf("statement %d: builds that never end: %v, %v", n, open, err)
	}
	if out, err := h.Merge(h.ctx, environments.Merge{From: from, Into: into}); err != nil || out.Outcome != environments.MergeMerged && out.Outcome != environments.MergeUpToDate {
		t.Errorf("statement %d: merging again: %+v, %v", n, out, err)
	}
	whole("at the end")
}

// TestMergeSurvivesTheServer kills a server between two statements of a merge.
func TestMergeSurvivesTheServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	url := postgrestest.URL(t, postgres.Migrate)
	d, err := postgres.Open(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	h := newHostOver(ctx, t, d)
	h.create(t)
	killed := 0
	for _, n := range statements(t, 4) {
		from, into, old := h.diverge(t, n)
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childURL+"="+url, childMerge+"="+from+" "+into, childKill+"="+strconv.Itoa(n))
		out, err := cmd.CombinedOutput()
		acked := bytes.Contains(out, []byte(acknowledged))
		if err != nil && !cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("statement %d: %v\n%s", n, err, out)
		}
		h.afterKill(t, n, from, into, old, acked)
		if err == nil {
			break // a merge has no more statements
		}
		killed++
	}
	t.Logf("killed %d times", killed)
}

// TestMergeSurvivesPostgreSQL kills PostgreSQL, all of its processes, between two
// statements of a merge.
func TestMergeSurvivesPostgreSQL(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "nxk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL's user goes through it
		t.Fatal(err)
	}
	options := cluster.Options{Dir: filepath.Join(dir, "pg"), SocketDir: filepath.Join(dir, "run")}
	c, err := cluster.Start(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	k := &killer{kill: func() { killTree(c.PID()) }}
	d, err := openTraced(ctx, c.URL(), k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := postgres.Migrate(ctx, d.Pool()); err != nil {
		t.Fatal(err)
	}
	h := newHostOver(ctx, t, d)
	h.create(t)
	killed := 0
	for _, n := range statements(t, 3) {
		from, into, old := h.diverge(t, n)
		pid := c.PID()
		k.left.Store(int64(n))
		out, mergeErr := h.Merge(h.ctx, environments.Merge{From: from, Into: into})
		h.stop() // and with it what goes on behind the request
		survived := k.left.Swap(0) > 0
		await(ctx, t, d)
		h.start(t)
		h.afterKill(t, n, from, into, old, mergeErr == nil && out.Outcome == environments.MergeMerged)
		if survived {
			break // a merge has no more statements
		}
		if killed++; c.PID() == pid {
			t.Errorf("statement %d: PostgreSQL was not killed", n)
		}
		if killed%4 == 0 { // a cluster that ends too often is given up, and rightly
			if err := c.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if c, err = cluster.Start(ctx, options); err != nil {
				t.Fatal(err)
			}
			await(ctx, t, d)
		}
	}
	t.Logf("killed %d times", killed)
}

// await waits until the database is there again.
func await(ctx context.Context, t *testing.T, d *postgres.DB) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.Ping(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the database did not come back")
		}
	}
}

// killTree kills a process and its children, which are this test's own.
func killTree(pid int) {
	entries, _ := os.ReadDir("/proc")
	pids := []int{pid}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// pid (name) state ppid …; the name may have anything in it.
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if parent, err := strconv.Atoi(string(f[1])); err == nil && parent == pid {
			pids = append(pids, child)
		}
	}
	for _, p := range pids {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
}
