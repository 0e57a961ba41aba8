package postgrestest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

// A test binary that is asked to does what a test does, tells where its server
// lives, and waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("POSTGRESTEST_CHILD") != "" {
		s, err := start()
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Stdout.WriteString(s.socketDir + "\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, "create table t (x int); insert into t values (1)")
	return err
}

func TestPool(t *testing.T) {
	ctx := context.Background()
	for range 3 { // each gets a database of its own
		pool := Pool(t, migrate)
		var n int
		if err := pool.QueryRow(ctx, "insert into t values (2) returning (select count(*) from t)").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("a new database has %d rows, want 1", n)
		}
		var zone string
		if err := pool.QueryRow(ctx, "show timezone").Scan(&zone); err != nil {
			t.Fatal(err)
		}
		if zone != "Canada/Newfoundland" {
			t.Errorf("time zone is %s", zone)
		}
	}
}

func TestURLIsEmptyWithoutMigrations(t *testing.T) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, URL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var n int
	if err := conn.QueryRow(ctx, "select count(*) from pg_tables where schemaname = 'public'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("an empty database has %d tables", n)
	}
}

// A killed test binary leaves neither a server nor a directory.
func TestKilledBinaryLeavesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "POSTGRESTEST_CHILD=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(line)
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	deadline := time.Now().Add(limit)
	for {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func BenchmarkPool(b *testing.B) {
	for b.Loop() {
		Pool(b, migrate)
	}
}
