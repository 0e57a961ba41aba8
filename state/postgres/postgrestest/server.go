package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace/state/postgres/cluster"
)

const superuser = "nixspace"

// prefix of the directories in which servers of test binaries live.
const prefix = "nixspace-pgtest-"

// keeper runs the server, and outlives the test binary for as long as it takes
// to end the server and to delete its directory. That the binary has ended, in
// whatever way, it sees by the end of its standard input. It tells on its
// standard output when the server is ready, or how it failed.
//
// Its descriptor 3 is the lock of the directory, which it holds to its end.
//
// A shell does this, and no goroutine, so that tests that look for leaked
// goroutines find none, and so that it also works when the binary is killed.
const keeper = `
dir=$1; shift
exec 4<&0
"$@" </dev/null >"$dir/log" 2>&1 3<&- 4<&- &
pid=$!
while kill -0 $pid 2>/dev/null; do
	case $(sed -n 8p "$dir/data/postmaster.pid" 2>/dev/null) in
	ready*) echo ready; break;;
	esac
	sleep 0.02
done
kill -0 $pid 2>/dev/null || { cat "$dir/log"; exec >&-; rm -rf "$dir"; exit 1; }
exec >&-
read -r _ <&4
kill -QUIT $pid
wait $pid
rm -rf "$dir"
`

// start starts the server of this test binary.
func start() (_ *server, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	sweep(os.TempDir())

	bin, err := cluster.FindBinaries(ctx, os.Getenv("NIXSPACE_PG_BIN"), 0)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	// Held open, and so locked, by us and by the keeper: sweep leaves it alone.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	data := filepath.Join(dir, "data")
	owner, err := cluster.FindOwner(data)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, int(owner.UID), int(owner.GID)); err != nil {
		return nil, err
	}
	// Small write-ahead log files make a small directory and a fast start.
	if err := cluster.Initdb(ctx, bin, owner, data, "--auth=trust", "--no-sync", "--wal-segsize=1"); err != nil {
		return nil, err
	}
	s := &server{socketDir: dir, templates: map[string]string{}}
	if err := s.keep(dir, lock, bin, owner); err != nil {
		return nil, err
	}
	return s, nil
}

// keep starts the keeper and returns when the server is ready.
func (s *server) keep(dir string, lock *os.File, bin cluster.Binaries, owner cluster.Owner) error {
	args := []string{"-c", keeper, "keeper", dir, bin.Postgres(), "-D", filepath.Join(dir, "data")}
	for _, setting := range []string{
		"listen_addresses=", "unix_socket_directories=" + dir, "fsync=off", "synchronous_commit=off", "full_page_writes=off",
		"timezone=Canada/Newfoundland", "max_connections=200", "shared_buffers=32MB", "autovacuum=off", "max_wal_size=64MB",
	} {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Dir = dir
	cmd.SysProcAttr = owner.SysProcAttr()
	cmd.ExtraFiles = []*os.File{lock}

	childIn, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = childIn.Close() }()
	stdout, childOut, err := os.Pipe()
	if err != nil {
		_ = stdin.Close()
		return err
	}
	defer func() { _ = stdout.Close() }()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = childIn, childOut, childOut
	err = cmd.Start()
	_ = childOut.Close()
	if err != nil {
		_ = stdin.Close()
		return fmt.Errorf("start the keeper: %w", err)
	}
	r := bufio.NewReader(stdout)
	line, _ := r.ReadString('\n')
	if strings.TrimSpace(line) == "ready" {
		s.stdin = stdin
		return nil
	}
	rest, _ := io.ReadAll(r)
	_ = stdin.Close()
	_ = cmd.Wait()
	return fmt.Errorf("PostgreSQL did not start: %s", strings.TrimSpace(line+string(rest)))
}

// sweep deletes what keepers left that were killed themselves: directories that
// nobody holds the lock of. It is best effort.
func sweep(tmp string) {
	dirs, _ := filepath.Glob(filepath.Join(tmp, prefix+"*"))
	for _, dir := range dirs {
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			// Either somebody else's, or in the making, or without a lock for a reason
			// that only its owner knows.
			continue
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			_ = cluster.Clear(context.Background(), filepath.Join(dir, "data"))
			_ = os.RemoveAll(dir)
		}
		_ = lock.Close()
	}
}
