// Package cluster runs a private PostgreSQL server: the database of a NixSpace
// server that was given none.
//
// It listens on a unix socket only, asks for a password that lies in a file that
// only its owner reads, and runs as an unprivileged user also when NixSpace runs
// as root. It ends when the process that started it ends, however that one ends.
// What it holds is as durable as PostgreSQL makes it: no safety is traded for
// speed.
//
// The caller must make sure that only one process at a time uses a directory.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nixspace/nixspace"
)

const (
	superuser = "nixspace" // the only role; it owns everything in the cluster
	database  = "nixspace"
)

// maxSocketPath is the longest path of a unix socket on Linux, and what
// PostgreSQL appends to the directory that it is given.
const (
	maxSocketPath = 107
	socketName    = "/.s.PGSQL.5432.lock"
)

// Options says where and how a cluster runs.
type Options struct {
	// Dir holds everything that the cluster keeps: data/, log/ and password. It
	// is made when it does not exist; its parent must exist.
	Dir string
	// SocketDir is where the server's socket goes. Its path must be short; it is
	// made when it does not exist.
	SocketDir string
	// BinDir holds the server's programs; when empty they are looked for.
	BinDir string
	// Settings are further server settings, as in postgresql.conf.
	Settings map[string]string
	Log      *slog.Logger
}

// Cluster is a running private PostgreSQL server. Its methods are safe for
// concurrent use.
type Cluster struct {
	opts     Options
	bin      Binaries
	owner    Owner
	password string
	adopted  bool

	stop context.CancelFunc // ask supervise to end
	done chan struct{}      // supervise has ended

	mu  sync.Mutex
	pid int
	err error // why it ended; nil after Stop
}

// Start starts the cluster in opts.Dir, making it first when it does not exist,
// and returns when it accepts connections. A server that an earlier process left
// running there is taken over (see [Cluster.Adopted]).
//
// It fails with code "postgres_missing", "postgres_version", "postgres_user",
// "state_unreachable", "disk_full" or "postgres_start", each with what to do.
// When it fails or ctx ends first, no process is left.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if len(opts.SocketDir)+len(socketName) > maxSocketPath {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "path_too_long",
			"the path %s is too long for a socket", opts.SocketDir).WithHint("choose a shorter state directory with --state")
	}
	c := &Cluster{opts: opts, done: make(chan struct{})}
	var err error
	if c.owner, err = FindOwner(c.data()); err != nil {
		return nil, err
	}
	major, err := dataVersion(c.data())
	if err != nil {
		return nil, err
	}
	if c.bin, err = FindBinaries(ctx, opts.BinDir, major); err != nil {
		return nil, c.explainVersion(err, major)
	}
	if err := c.prepare(ctx, major == 0); err != nil {
		return nil, diskFull(err)
	}
	if c.adopted, err = clearOld(ctx, c.data()); err != nil {
		return nil, err
	}
	if err := removeSockets(opts.SocketDir); err != nil {
		return nil, err
	}
	p, err := c.launch(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.createDatabase(ctx); err != nil {
		p.stop(context.WithoutCancel(ctx))
		return nil, diskFull(err)
	}
	// The server lives until Stop, not until the context of its start ends.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = cancel
	c.pid = p.pid
	go c.supervise(run, p)
	return c, nil
}

func (c *Cluster) data() string         { return filepath.Join(c.opts.Dir, "data") }
func (c *Cluster) logDir() string       { return filepath.Join(c.opts.Dir, "log") }
func (c *Cluster) passwordFile() string { return filepath.Join(c.opts.Dir, "password") }

// Adopted reports whether Start found a server of an earlier process running,
// and took it over.
func (c *Cluster) Adopted() bool { return c.adopted }

// Version returns the server's version, "15.18".
func (c *Cluster) Version() string { return c.bin.Version }

// PID returns the process number of the server; it changes when the server had
// to be started again.
func (c *Cluster) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pid
}

// URL returns the connection string of the cluster's database. It holds the
// password: do not log it.
func (c *Cluster) URL() string { return c.url(database) }

func (c *Cluster) url(db string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(superuser, c.password), Path: "/" + db,
		RawQuery: url.Values{"host": {c.opts.SocketDir}, "port": {"5432"}}.Encode(),
	}
	return u.String()
}

// Done is closed when the server has ended: after Stop, or when it ended by
// itself and could not be started again; [Cluster.Err] then says why.
func (c *Cluster) Done() <-chan struct{} { return c.done }

// Err returns why the server ended, once Done is closed; nil after Stop.
func (c *Cluster) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Stop shuts the server down and returns when nothing of it is left. Open
// transactions are rolled back. When ctx ends it stops without a checkpoint,
// which makes the next start slower and loses nothing.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stop()
	select {
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
	}
	// supervise waits for a fast stop: hurry it.
	if pid := c.PID(); pid != 0 {
		hurry(pid)
	}
	<-c.done
	return c.Err()
}

// dataVersion returns the major version that made the data directory, and 0
// where there is none.
func dataVersion(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			return 0, nixspace.Errorf(nixspace.KindInvalid, "postgres_data", "%s is not empty and holds no PostgreSQL database", data).
				WithHint("move it away, or choose another state directory with --state")
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the database: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || major <= 0 {
		return 0, nixspace.Errorf(nixspace.KindInvalid, "postgres_data", "%s holds no PostgreSQL version", filepath.Join(data, "PG_VERSION")).
			WithHint("restore the state directory from a backup, or choose another one with --state")
	}
	return major, nil
}

// explainVersion says how to get from the data's version to an installed one.
func (c *Cluster) explainVersion(err error, major int) error {
	var e *nixspace.Error
	if !errors.As(err, &e) || e.Code != "postgres_version" || major == 0 {
		return err
	}
	found, ferr := FindBinaries(context.Background(), c.opts.BinDir, 0)
	if ferr != nil {
		return err
	}
	as := ""
	if c.owner.drop {
		as = fmt.Sprintf("setpriv --reuid=%d --regid=%d --clear-groups ", c.owner.UID, c.owner.GID)
	}
	commands := strings.NewReplacer(
		"DIR", c.opts.Dir, "AS ", as, "NEWBIN", found.Dir, "OLD", strconv.Itoa(major), "USER", superuser,
	).Replace("cd DIR && AS NEWBIN/initdb -D DIR/data.new -U USER --auth=trust --encoding=UTF8 --locale=C --data-checksums && " +
		"PGPASSWORD=$(cat DIR/password) AS NEWBIN/pg_upgrade -b /usr/lib/postgresql/OLD/bin -B NEWBIN -d DIR/data -D DIR/data.new -U USER -s DIR && " +
		"cp -p data/pg_hba.conf data.new/ && mv data data.old && mv data.new data")
	return e.WithHint("install PostgreSQL %d again (Debian: apt-get install postgresql-%d) and start as before; "+
		"or, with both installed, upgrade with: %s", major, major, commands)
}

// prepare makes the directories, and the data directory when fresh.
func (c *Cluster) prepare(ctx context.Context, fresh bool) error {
	if err := c.owner.own(c.opts.Dir); err != nil {
		return fmt.Errorf("make the database directory: %w", err)
	}
	if err := c.owner.own(c.logDir()); err != nil {
		return fmt.Errorf("make the database log directory: %w", err)
	}
	if err := c.owner.own(c.opts.SocketDir); err != nil {
		return fmt.Errorf("make the database socket directory: %w", err)
	}
	for _, path := range []string{c.data(), c.opts.SocketDir} {
		if err := c.owner.checkReach(path); err != nil {
			return err
		}
	}
	if err := c.loadPassword(fresh); err != nil {
		return err
	}
	if fresh {
		return c.initdb(ctx)
	}
	info, err := os.Stat(c.data())
	if err != nil {
		return err
	}
	if !c.owner.owns(info) {
		if !c.owner.drop {
			return nixspace.Errorf(nixspace.KindInvalid, "postgres_data", "%s belongs to another user", c.data()).
				WithHint("run nixspace as that user, or choose another state directory with --state")
		}
		if err := c.owner.chownAll(c.data()); err != nil {
			return fmt.Errorf("give the database to %s: %w", c.owner.Name, err)
		}
	}
	return os.Chmod(c.data(), 0o700)
}

// loadPassword reads the superuser's password, making one for a fresh cluster.
func (c *Cluster) loadPassword(fresh bool) error {
	if fresh {
		var b [24]byte
		_, _ = rand.Read(b[:]) // never fails
		c.password = hex.EncodeToString(b[:])
		return writeFile(c.passwordFile(), []byte(c.password+"\n"), c.owner)
	}
	b, err := os.ReadFile(c.passwordFile())
	if err != nil {
		return fmt.Errorf("read the database password: %w", err)
	}
	c.password = strings.TrimSpace(string(b))
	return nil
}

// createDatabase makes the database where it does not exist yet: in a fresh
// cluster, or in one whose first start was interrupted.
func (c *Cluster) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_database where datname = $1)", database).Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "create database "+pgx.Identifier{database}.Sanitize()); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// supervise keeps the server running until ctx ends. A server that dies (by the
// kernel's out-of-memory killer, say) is started again, because PostgreSQL
// recovers by itself; one that keeps dying is given up.
func (c *Cluster) supervise(ctx context.Context, p *process) {
	defer close(c.done)
	const tries, window = 5, 10 * time.Minute
	var deaths []time.Time
	for {
		c.setPID(p.pid)
		select {
		case <-ctx.Done():
			p.stop(context.WithoutCancel(ctx))
			c.setPID(0)
			_ = os.Remove(c.opts.SocketDir) // not when somebody put something there
			return
		case <-p.done:
		}
		c.setPID(0)
		now := time.Now()
		deaths = append(deaths, now)
		if len(deaths) >= tries && now.Sub(deaths[len(deaths)-tries]) < window {
			c.fail(fmt.Errorf("PostgreSQL keeps ending: %w", p.err))
			return
		}
		c.opts.Log.Error("PostgreSQL ended unexpectedly, starting it again", "error", p.err)
		_, err := clearOld(ctx, c.data())
		if err == nil {
			p, err = c.launch(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				c.fail(err)
			}
			return
		}
	}
}

func (c *Cluster) setPID(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pid = pid
}

func (c *Cluster) fail(err error) {
	c.opts.Log.Error("PostgreSQL is gone", "error", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}
