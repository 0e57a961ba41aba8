package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

const limit = 3 * time.Minute

// childDir makes the test binary start a cluster there, say so, and wait to be
// killed.
const childDir = "CLUSTER_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		c, err := Start(context.Background(), options(dir))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(c.PID())
		select {}
	}
	var err error
	if template, err = os.MkdirTemp("", "nxc-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(template); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// template holds a cluster for tests that need one and not its making, once
// makeTemplate has made it.
var template string

var makeTemplate = sync.OnceValue(func() error {
	if err := os.Chmod(template, 0o711); err != nil {
		return err
	}
	c, err := Start(context.Background(), options(template))
	if err != nil {
		return err
	}
	return c.Stop(context.Background())
})

// madeDir is a directory with a cluster in it that does not run.
func madeDir(t *testing.T) string {
	t.Helper()
	if err := makeTemplate(); err != nil {
		t.Fatal(err)
	}
	dir := newDir(t)
	if out, err := exec.Command("cp", "-a", filepath.Join(template, "pg"), dir).CombinedOutput(); err != nil {
		t.Fatalf("copy a cluster: %v: %s", err, out)
	}
	return dir
}

func options(dir string) Options {
	return Options{Dir: filepath.Join(dir, "pg"), SocketDir: filepath.Join(dir, "run")}
}

// newDir is a short directory that PostgreSQL's user can reach, also under root.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nxc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, opts Options) *Cluster {
	t.Helper()
	c, err := Start(testContext(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if pids, err := processesIn(c.data()); err == nil && len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	if entries, _ := filepath.Glob(filepath.Join(c.opts.SocketDir, ".s.*")); len(entries) > 0 {
		t.Errorf("sockets are left: %v", entries)
	}
}

func exec1(t *testing.T, c *Cluster, sql string) (out string) {
	t.Helper()
	ctx := testContext(t)
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, sql).Scan(&out)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if got := nixspace.ErrorCode(err); err == nil || got != code {
		t.Fatalf("error code is %q, want %q: %v", got, code, err)
	}
	var e *nixspace.Error
	if errors.As(err, &e) && e.Hint == "" {
		t.Errorf("error %q does not say what to do", e.Message)
	}
	t.Log(err)
}

func TestStartStopStart(t *testing.T) {
	dir := newDir(t)
	c := start(t, options(dir))
	if c.Adopted() {
		t.Error("a fresh cluster says that it was adopted")
	}
	exec1(t, c, "create table kept (x text)")
	exec1(t, c, "insert into kept values ('here')")
	for setting, want := range map[string]string{"fsync": "on", "listen_addresses": "", "data_checksums": "on", "TimeZone": "UTC"} {
		if got := exec1(t, c, "show "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	for path, mode := range map[string]os.FileMode{"pg/password": 0o600, "pg/data": 0o700, "pg": 0o700, "run": 0o700} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != mode {
			t.Errorf("%s has mode %04o, want %04o", path, got, mode)
		}
	}
	if os.Getuid() == 0 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(status), "Uid:\t0\t") {
			t.Error("PostgreSQL runs as root")
		}
	}
	stop(t, c)
	if err := c.Err(); err != nil {
		t.Errorf("after Stop, Err is %v", err)
	}

	c = start(t, options(dir))
	if got := exec1(t, c, "select x from kept"); got != "here" {
		t.Errorf("after a restart the table holds %q", got)
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	c := start(t, options(madeDir(t)))
	conn, err := pgx.Connect(testContext(t), strings.Replace(c.URL(), c.password, "wrong", 1))
	if err == nil {
		_ = conn.Close(context.Background())
		t.Fatal("a wrong password was accepted")
	}
}

// When the owner is killed, the next start finds the data, whatever became of
// the server.
func TestOwnerKilled(t *testing.T) {
	dir := madeDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(bufio.NewReader(out), &pid); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	c := start(t, options(dir))
	exec1(t, c, "select 1::text")
	// The old server is gone: it was told to by its parent's death, or taken over.
	if ended, err := waitEnd(testContext(t), fd, limit); err != nil || !ended {
		t.Errorf("the old server still runs (%v)", err)
	}
}

// orphan starts a server that does not know of any owner, as one that outlived
// its own.
func orphan(t *testing.T, c *Cluster) *exec.Cmd {
	t.Helper()
	if err := c.owner.own(c.opts.SocketDir); err != nil { // Stop has removed it
		t.Fatal(err)
	}
	cmd := exec.Command(c.bin.Postgres(), c.arguments()...)
	cmd.Env = environment
	cmd.SysProcAttr = c.owner.SysProcAttr()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pid: cmd.Process.Pid, done: make(chan struct{})}
	if err := c.waitReady(testContext(t), p); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestRunningServerIsTakenOver(t *testing.T) {
	dir := madeDir(t)
	c := start(t, options(dir))
	exec1(t, c, "create table kept (x text)")
	stop(t, c)
	cmd := orphan(t, c)
	exec1(t, c, "insert into kept values ('by the orphan')")

	next := start(t, options(dir))
	if !next.Adopted() {
		t.Error("the running server was not seen")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the orphan did not end cleanly: %v", err)
	}
	if got := exec1(t, next, "select x from kept"); got != "by the orphan" {
		t.Errorf("the table holds %q", got)
	}
}

// The server was killed, and its backends go on for a moment.
func TestKilledServerIsStartedAgain(t *testing.T) {
	c := start(t, options(madeDir(t)))
	exec1(t, c, "create table kept (x text)")
	exec1(t, c, "insert into kept values ('here')")
	ctx := testContext(t)
	busy, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close(ctx) }()
	old := c.PID()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for c.PID() == old || c.PID() == 0 {
		select {
		case <-c.Done():
			t.Fatalf("it was given up: %v", c.Err())
		case <-ctx.Done():
			t.Fatal("it was not started again")
		case <-time.After(20 * time.Millisecond):
		}
	}
	if got := exec1(t, c, "select x from kept"); got != "here" {
		t.Errorf("after the kill the table holds %q", got)
	}
}

// A pid file that names a process that is no server of this directory.
func TestStalePIDFile(t *testing.T) {
	for name, pid := range map[string]int{"another program": os.Getpid(), "no process": 1 << 22} {
		t.Run(name, func(t *testing.T) {
			dir := madeDir(t)
			c := start(t, options(dir))
			stop(t, c)
			stale := fmt.Sprintf("%d\n%s\n1700000000\n5432\n%s\n\n   123    4\nready   \n", pid, c.data(), c.opts.SocketDir)
			if err := os.WriteFile(filepath.Join(c.data(), "postmaster.pid"), []byte(stale), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := c.owner.own(c.opts.SocketDir); err != nil { // Stop has removed it
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.opts.SocketDir, ".s.PGSQL.5432.lock"), []byte(stale), 0o600); err != nil {
				t.Fatal(err)
			}
			next := start(t, options(dir))
			if next.Adopted() {
				t.Error("a stale pid file counts as a running server")
			}
		})
	}
}

// An initdb that was interrupted leaves nothing that is taken for a database.
func TestInterruptedInitdb(t *testing.T) {
	dir := newDir(t)
	half := filepath.Join(dir, "pg", "data.tmp")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pg", "password"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, options(dir))
	if _, err := os.Stat(half); !os.IsNotExist(err) {
		t.Errorf("the unfinished directory is still there (%v)", err)
	}
}

func TestCanceledStartLeavesNothing(t *testing.T) {
	dir := newDir(t)
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	c, err := Start(ctx, options(dir))
	if err == nil {
		stop(t, c)
		t.Fatal("a canceled start succeeded")
	}
	if _, err := os.Stat(filepath.Join(dir, "pg", "data")); !os.IsNotExist(err) {
		t.Errorf("a canceled start left a data directory (%v)", err)
	}
}

func TestMissing(t *testing.T) {
	opts := options(newDir(t))
	opts.BinDir = t.TempDir()
	_, err := Start(testContext(t), opts)
	wantCode(t, err, "postgres_missing")
}

func TestOtherVersion(t *testing.T) {
	dir := madeDir(t)
	if err := os.WriteFile(filepath.Join(dir, "pg", "data", "PG_VERSION"), []byte("9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), options(dir))
	wantCode(t, err, "postgres_version")
	if !strings.Contains(err.Error(), "pg_upgrade") {
		t.Errorf("the error does not say how to upgrade: %v", err)
	}
}

func TestNoDatabaseInDataDirectory(t *testing.T) {
	dir := newDir(t)
	if err := os.MkdirAll(filepath.Join(dir, "pg", "data", "photos"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), options(dir))
	wantCode(t, err, "postgres_data")
}

func TestUnreachable(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only a server that root starts drops to a user who may not reach its directory; run the tests as root to cover that")
	}
	dir := newDir(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(testContext(t), options(dir))
	wantCode(t, err, "state_unreachable")
}

func TestLongSocketPath(t *testing.T) {
	opts := options(newDir(t))
	opts.SocketDir = filepath.Join(opts.SocketDir, strings.Repeat("x", 100))
	_, err := Start(testContext(t), opts)
	wantCode(t, err, "path_too_long")
}

func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a small file system can only be mounted by root; run the tests as root to cover a full disk")
	}
	dir := newDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0711"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := Start(testContext(t), options(dir))
	wantCode(t, err, "disk_full")
	if pids, err := processesIn(dir); err != nil || len(pids) > 0 {
		t.Errorf("processes are left: %v %v", pids, err)
	}
}
