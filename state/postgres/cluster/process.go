package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
)

// environment of PostgreSQL's programs: nothing of ours, so that no PGDATA or
// locale of the user changes what they do, and messages that we can read.
var environment = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}

// initdb makes the data directory: under another name first, so that one that
// was interrupted is never taken for a whole one.
func (c *Cluster) initdb(ctx context.Context) error {
	next := c.data() + ".tmp"
	if err := os.RemoveAll(next); err != nil {
		return fmt.Errorf("remove an unfinished database: %w", err)
	}
	// An empty data directory is as good as none.
	if err := os.Remove(c.data()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the empty database directory: %w", err)
	}
	c.opts.Log.Info("making the database", "dir", c.data(), "postgresql", c.bin.Version, "user", c.owner.Name)
	err := Initdb(ctx, c.bin, c.owner, next, "--auth=scram-sha-256", "--pwfile="+c.passwordFile(), "--data-checksums")
	if err != nil {
		_ = os.RemoveAll(next) // what is left matters less than why
		return err
	}
	if err := os.Rename(next, c.data()); err != nil {
		return fmt.Errorf("put the new database in place: %w", err)
	}
	return syncDir(c.opts.Dir)
}

// Initdb makes a data directory in data, which must not exist, for the superuser
// "nixspace", with args as further arguments of initdb. The directory that is to
// hold it must belong to the owner.
func Initdb(ctx context.Context, bin Binaries, owner Owner, data string, args ...string) error {
	// --no-instructions would say less, but PostgreSQL 13 does not know it.
	args = append([]string{"-D", data, "-U", superuser, "--encoding=UTF8", "--locale=C"}, args...)
	cmd := exec.CommandContext(ctx, bin.Initdb(), args...)
	cmd.Env = environment
	cmd.Dir = filepath.Dir(data)
	cmd.SysProcAttr = owner.SysProcAttr()
	// initdb runs servers of its own: end them with it.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("make the database: %w", ctx.Err())
	}
	return diskFull(nixspace.Errorf(nixspace.KindUnavailable, "postgres_start", "the database could not be made: %s", lastLines(string(out), 3)).
		WithHint("run nixspace doctor"))
}

// process is one run of the server program.
type process struct {
	pid    int
	done   chan struct{} // closed once it was waited for
	err    error         // how it ended; valid after done
	output *tail
}

// arguments of the server program. They are given anew at each start, so that a
// newer NixSpace changes them and no edited file gets in between.
func (c *Cluster) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "",
		"port":                    "5432",
		"unix_socket_directories": c.opts.SocketDir,
		"unix_socket_permissions": "0700",
		"password_encryption":     "scram-sha-256",
		"cluster_name":            "nixspace",
		"timezone":                "UTC",
		"max_connections":         "100",
		"shared_buffers":          "64MB",
		"max_wal_size":            "256MB",
		"min_wal_size":            "32MB",
		// One file per weekday, each emptied when its day comes again, so the logs
		// never hold more than a week.
		"logging_collector":        "on",
		"log_directory":            c.logDir(),
		"log_filename":             "postgresql-%a.log",
		"log_truncate_on_rotation": "on",
		"log_rotation_age":         "1d",
		"log_rotation_size":        "0",
		"log_file_mode":            "0600",
		"log_timezone":             "UTC",
		"log_line_prefix":          "%m [%p] %q%a ",
		"log_checkpoints":          "off",
		"log_lock_waits":           "on",
	}
	for k, v := range c.opts.Settings {
		settings[k] = v
	}
	args := []string{"-D", c.data()}
	for _, k := range sortedKeys(settings) {
		args = append(args, "-c", k+"="+settings[k])
	}
	return args
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// launch starts the server and returns once it accepts connections.
func (c *Cluster) launch(ctx context.Context) (*process, error) {
	cmd := exec.Command(c.bin.Postgres(), c.arguments()...)
	cmd.Env = environment
	cmd.Dir = c.opts.Dir
	cmd.SysProcAttr = c.owner.SysProcAttr()
	// A killed owner must not leave a server behind: the kernel then asks it for
	// a fast shutdown.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGINT
	p := &process{done: make(chan struct{}), output: &tail{limit: 16 << 10}}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	// The collector of the log inherits the pipe and ends last; do not wait for
	// its end of the pipe longer than it deserves.
	cmd.WaitDelay = 5 * time.Second

	started := make(chan error, 1)
	go func() {
		// Pdeathsig comes when the thread ends that started the process, not when
		// the process does, so this thread must stay for as long as the server.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		if p.err == nil {
			p.err = errors.New("it stopped by itself")
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, nixspace.Errorf(nixspace.KindUnavailable, "postgres_start", "PostgreSQL could not be started: %w", err).
			WithHint("check that the user %s may run %s", c.owner.Name, c.bin.Postgres())
	}
	p.pid = cmd.Process.Pid
	if err := c.waitReady(ctx, p); err != nil {
		p.stop(context.WithoutCancel(ctx))
		return nil, err
	}
	return p, nil
}

// startLimit is how long a server may take to accept connections. It is long
// because recovery after a crash reads the whole write-ahead log.
const startLimit = 5 * time.Minute

// waitReady returns when the server accepts connections, or when it ended.
func (c *Cluster) waitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return c.explainStart(p)
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL: %w", ctx.Err())
		case <-tick.C:
		}
		// The server says in its pid file when it is ready, so that nobody has to
		// knock before.
		if pf, err := readPIDFile(c.data()); err != nil || pf.PID != p.pid || pf.Status != "ready" {
			continue
		}
		conn, err := pgx.Connect(ctx, c.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if pgerr := (*pgconn.PgError)(nil); errors.As(err, &pgerr) && pgerr.Code == "28P01" {
			return nixspace.Errorf(nixspace.KindUnavailable, "postgres_password", "the database does not accept the password in %s", c.passwordFile()).
				WithHint("restore that file from a backup of the state directory")
		}
	}
}

// explainStart says why the server ended while it started.
func (c *Cluster) explainStart(p *process) error {
	text := strings.TrimSpace(p.output.String())
	if text == "" || strings.Contains(text, "redirecting log output") {
		if log := c.newestLog(); log != "" {
			text = log
		}
	}
	return diskFull(nixspace.Errorf(nixspace.KindUnavailable, "postgres_start", "PostgreSQL did not start: %s", lastLines(text, 3)).
		WithHint("its log is in %s", c.logDir()))
}

// newestLog returns the end of the newest log file.
func (c *Cluster) newestLog() string {
	entries, err := os.ReadDir(c.logDir())
	if err != nil {
		return ""
	}
	var newest string
	var at time.Time
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(at) {
			newest, at = filepath.Join(c.logDir(), e.Name()), info.ModTime()
		}
	}
	b, err := os.ReadFile(newest)
	if err != nil {
		return ""
	}
	return string(b[max(0, len(b)-4096):])
}

// stop ends the server and waits for it.
func (p *process) stop(ctx context.Context) {
	select {
	case <-p.done:
		return
	default:
	}
	// It fails only when the process is gone, or cannot be ended by anything.
	_ = endProcess(ctx, p.pid)
	<-p.done
}

// hurry ends a server without a checkpoint.
func hurry(pid int) { _ = unix.Kill(pid, unix.SIGQUIT) }

// tail keeps the last bytes that were written to it.
type tail struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	limit int
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - t.limit; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// lastLines returns the last n lines of text that are not empty, joined by "; ".
func lastLines(text string, n int) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}
