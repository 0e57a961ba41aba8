package jobs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/state/postgres/postgrestest"
)

const limit = 2 * time.Minute

// childURL makes the test binary work jobs from that database, say which it
// began, and never finish one.
const childURL = "JOBS_TEST_URL"

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		ctx := context.Background()
		pool, err := pgxpool.New(ctx, url)
		if err == nil {
			var q *Queue
			if q, err = New(pool, Config{Server: "server"}); err == nil {
				err = q.Start(ctx, builderFunc(func(ctx context.Context, id nixspace.ID) error {
					fmt.Println(id)
					select {}
				}))
			}
		}
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		select {}
	}
	goleak.VerifyTestMain(m)
}

type builderFunc func(context.Context, nixspace.ID) error

func (f builderFunc) RunBuild(ctx context.Context, id nixspace.ID) error      { return f(ctx, id) }
func (f builderFunc) RunFetch(ctx context.Context, id nixspace.ID) error      { return f(ctx, id) }
func (f builderFunc) RunExperiment(ctx context.Context, id nixspace.ID) error { return f(ctx, id) }

// RunPrebuild implements Worker.
func (f builderFunc) RunPrebuild(ctx context.Context, id nixspace.ID) error { return f(ctx, id) }

// fakeTx is the part of a store's transaction that the queue uses.
type fakeTx struct {
	nixspace.Tx
	tx pgx.Tx
}

func (t fakeTx) PgxTx() pgx.Tx { return t.tx }

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func newQueue(t *testing.T, pool *pgxpool.Pool, server string) *Queue {
	t.Helper()
	q, err := New(pool, Config{Server: server})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func startQueue(t *testing.T, q *Queue, b Worker) {
	t.Helper()
	if err := q.Start(testContext(t), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopQueue(t, q) })
}

func stopQueue(t *testing.T, q *Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := q.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func enqueue(t *testing.T, q *Queue, id nixspace.ID) {
	t.Helper()
	ctx := testContext(t)
	err := pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error { return q.EnqueueBuild(ctx, fakeTx{tx: tx}, id) })
	if err != nil {
		t.Fatal(err)
	}
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(limit):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// waitState returns once the build's newest job is in the state.
func waitState(t *testing.T, pool *pgxpool.Pool, id nixspace.ID, want string) (attempt int) {
	t.Helper()
	ctx := testContext(t)
	var state string
	for {
		err := pool.QueryRow(ctx, "select state, attempt from river_job where args->>'build_id' = $1 order by id desc limit 1", string(id)).Scan(&state, &attempt)
		if err != nil {
			t.Fatalf("job of %s is %q, want %q: %v", id, state, want, err)
		}
		if state == want {
			return attempt
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEnqueueIsPartOfTheTransaction(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q := newQueue(t, pool, "server")
	ctx := testContext(t)
	undone, kept := nixspace.NewID(), nixspace.NewID()
	ran := make(chan nixspace.ID, 10)
	startQueue(t, q, builderFunc(func(_ context.Context, id nixspace.ID) error { ran <- id; return nil }))
	errUndo := errors.New("undo")
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := q.EnqueueBuild(ctx, fakeTx{tx: tx}, undone); err != nil {
			return err
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		t.Fatal(err)
	}
	enqueue(t, q, kept)
	if got := receive(t, ran); got != kept {
		t.Errorf("built %s, want %s", got, kept)
	}
	waitState(t, pool, kept, "completed")
	var n int
	if err := pool.QueryRow(ctx, "select count(*) from river_job").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d jobs are there, want 1 (%v)", n, err)
	}
}

func TestUniqueByBuild(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q := newQueue(t, pool, "server")
	id := nixspace.NewID()
	count := func() (n int) {
		if err := pool.QueryRow(testContext(t), "select count(*) from river_job").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	enqueue(t, q, id)
	enqueue(t, q, id)
	enqueue(t, q, nixspace.NewID())
	if n := count(); n != 2 {
		t.Errorf("%d jobs are queued, want 2", n)
	}
	startQueue(t, q, builderFunc(func(context.Context, nixspace.ID) error { return nil }))
	waitState(t, pool, id, "completed")
	// A build that a crash left unfinished must be possible to queue again.
	enqueue(t, q, id)
	if n := count(); n != 3 {
		t.Errorf("after it completed, %d jobs are there, want 3", n)
	}
}

func TestRetryAndGiveUp(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q := newQueue(t, pool, "server")
	flaky, hopeless := nixspace.NewID(), nixspace.NewID()
	tries := map[nixspace.ID]chan struct{}{flaky: make(chan struct{}, 9), hopeless: make(chan struct{}, 9)}
	startQueue(t, q, builderFunc(func(_ context.Context, id nixspace.ID) error {
		tries[id] <- struct{}{}
		if id == hopeless {
			return nixspace.Errorf(nixspace.KindNotFound, "build_unknown", "there is no such build")
		}
		if len(tries[id]) < 2 {
			return errors.New("the database went away")
		}
		return nil
	}))
	enqueue(t, q, flaky)
	enqueue(t, q, hopeless)
	waitState(t, pool, flaky, "completed")
	waitState(t, pool, hopeless, "cancelled")
	if n := len(tries[flaky]); n != 2 {
		t.Errorf("a passing failure was tried %d times, want 2", n)
	}
	if n := len(tries[hopeless]); n != 1 {
		t.Errorf("a final failure was tried %d times, want 1", n)
	}
}

func TestCancel(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q := newQueue(t, pool, "server")
	queued, running := nixspace.NewID(), nixspace.NewID()
	enqueue(t, q, queued)
	if err := q.CancelBuild(testContext(t), queued); err != nil {
		t.Fatal(err)
	}
	waitState(t, pool, queued, "cancelled")

	began, ended := make(chan nixspace.ID, 2), make(chan error, 2)
	startQueue(t, q, builderFunc(func(ctx context.Context, id nixspace.ID) error {
		began <- id
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}))
	enqueue(t, q, running)
	if got := receive(t, began); got != running {
		t.Fatalf("a canceled build began")
	}
	if err := q.CancelBuild(testContext(t), running); err != nil {
		t.Fatal(err)
	}
	receive(t, ended)
	waitState(t, pool, running, "cancelled")
	if err := q.CancelBuild(testContext(t), nixspace.NewID()); err != nil {
		t.Errorf("canceling what is not there: %v", err)
	}
}

// A shutdown interrupts a build, costs it no attempt, and the next start goes on.
func TestStopAndStart(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	first := newQueue(t, pool, "server")
	began := make(chan nixspace.ID, 1)
	startQueue(t, first, builderFunc(func(ctx context.Context, id nixspace.ID) error {
		began <- id
		<-ctx.Done()
		return ctx.Err()
	}))
	id := nixspace.NewID()
	enqueue(t, first, id)
	receive(t, began)
	stopQueue(t, first)

	startQueue(t, newQueue(t, pool, "server"), builderFunc(func(context.Context, nixspace.ID) error { return nil }))
	if attempt := waitState(t, pool, id, "completed"); attempt != 1 {
		t.Errorf("it took %d attempts, want 1", attempt)
	}
}

// A build whose server was killed is built by the next one at once, and the
// builds of other servers are left alone.
func TestRescueAfterKill(t *testing.T) {
	url := postgrestest.URL(t, Migrate)
	pool, err := pgxpool.New(testContext(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	q := newQueue(t, pool, "server")
	id, theirs := nixspace.NewID(), nixspace.NewID()
	enqueue(t, q, id)
	enqueue(t, q, theirs)

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for range 2 {
		line, err := r.ReadString('\n')
		if got := nixspace.ID(strings.TrimSpace(line)); err != nil || (got != id && got != theirs) {
			t.Fatalf("the child began %q: %v", line, err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	ctx := testContext(t)
	if _, err := pool.Exec(ctx, "update river_job set attempted_by = '{server2/x}' where args->>'build_id' = $1", string(theirs)); err != nil {
		t.Fatal(err)
	}

	n, err := q.Rescue(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n != 1 {
		t.Errorf("rescued %d jobs, want 1", n)
	}
	ran := make(chan nixspace.ID, 2)
	startQueue(t, q, builderFunc(func(_ context.Context, id nixspace.ID) error { ran <- id; return nil }))
	if got := receive(t, ran); got != id {
		t.Errorf("built %s, want %s", got, id)
	}
	waitState(t, pool, id, "completed")
	waitState(t, pool, theirs, "running")
}

func TestMigrateTwiceAtOnce(t *testing.T) {
	pool := postgrestest.Pool(t)
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() { errs <- Migrate(testContext(t), pool) }()
	}
	for range cap(errs) {
		if err := receive(t, errs); err != nil {
			t.Error(err)
		}
	}
}

// TestFetches queues fetches as it does builds, and cancels one.
func TestFetches(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	q := newQueue(t, pool, "server")
	ctx := testContext(t)
	add := func() nixspace.ID {
		id := nixspace.NewID()
		if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return q.EnqueueFetch(ctx, fakeTx{tx: tx}, id) }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	begun, ended := make(chan nixspace.ID), make(chan nixspace.ID)
	startQueue(t, q, builderFunc(func(ctx context.Context, id nixspace.ID) error {
		begun <- id
		<-ctx.Done()
		ended <- id
		return nil
	}))
	id := add()
	if got := receive(t, begun); got != id {
		t.Fatalf("worked %s, want %s", got, id)
	}
	if err := q.CancelFetch(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, ended); got != id {
		t.Fatalf("ended %s, want %s", got, id)
	}
	if err := q.CancelFetch(ctx, nixspace.NewID()); err != nil {
		t.Errorf("a fetch without a job: %v", err)
	}
}

type collector struct {
	builderFunc
	ran chan struct{}
}

func (c collector) RunCollection(context.Context) error {
	c.ran <- struct{}{}
	return nil
}

// TestCollect starts a server that collects garbage, and then asks for that in the
// same period once more, as a second start does.
func TestCollect(t *testing.T) {
	pool := postgrestest.Pool(t, Migrate)
	c := collector{func(context.Context, nixspace.ID) error { return nil }, make(chan struct{}, 10)}
	q, err := New(pool, Config{Server: "server", CollectEvery: 100 * 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	startQueue(t, q, c)
	receive(t, c.ran)
	args, opts := q.collection()
	r, err := q.client.Insert(testContext(t), args, opts)
	if err != nil || !r.UniqueSkippedAsDuplicate {
		t.Errorf("a second one in the period: %+v, %v", r, err)
	}
	stopQueue(t, q)
	if q := newQueue(t, pool, "server"); len(q.periodic()) != 0 {
		t.Error("a server that is not to collect does")
	}
}
