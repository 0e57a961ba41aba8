// Package app holds the use cases of NixSpace: what the API, the command line
// and the background jobs can ask for. It is the only place where the wings of
// the program (env, nix, vm, state) meet, and where a transaction spans them.
//
// Every method takes the acting user from its context (see [WithActor]) and
// refuses to work without one.
package app

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nixspace/nixspace"
)

// App is the set of use cases. It is safe for concurrent use. [App.Run] must run
// while it is used, and owns the goroutines that it starts.
type App struct {
	cfg      Config
	log      *slog.Logger
	tasks    *tasks
	progress *progressHub
	users    sync.Map // user name → nixspace.ID, of users that are stored
	building *runSet  // builds that this process works on
	starting *runSet  // sessions whose machine this process is starting
	machines *machineTable
	gates    *gates
	activity *activity
}

// Config is what App works with. All fields but HibernateAfter are required.
type Config struct {
	Store      Store
	Packages   Packages
	Machines   nixspace.Machines
	Workspaces Workspaces
	Jobs       Jobs
	Log        *slog.Logger
	// HibernateAfter is how long nobody must have worked in a session before it is
	// hibernated; never when 0.
	HibernateAfter time.Duration
}

// New returns the use cases over cfg.
func New(cfg Config) *App {
	return &App{
		cfg: cfg, log: cfg.Log, tasks: newTasks(), progress: newProgressHub(),
		building: newRunSet(), starting: newRunSet(), machines: newMachineTable(),
		gates: newGates(), activity: newActivity(),
	}
}

// now is the time in the precision that PostgreSQL keeps.
func (a *App) now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Packages is the package source and the Nix engine behind it.
type Packages interface {
	// Offers returns every package of the source, sorted by attribute: the base
	// system (manifest.BaseAttr) among them, without which no manifest can be
	// resolved. The result is shared: do not change it. It is quick when the
	// index is cached.
	Offers(ctx context.Context) ([]nixspace.Package, error)
	// Source returns what a flake must name as its nixpkgs input.
	Source(ctx context.Context) (nixspace.FlakeSource, error)
	// Instantiate writes the derivation of an environment of these packages and
	// returns where it will be. It builds nothing and starts no process.
	Instantiate(ctx context.Context, name string, attrs []string) (drvPath, outPath string, err error)
	// Realise makes a derivation's output valid: it fetches and builds the named
	// packages as needed, then the derivation, checks every output, and roots the
	// result under the name root.
	Realise(ctx context.Context, drvPath string, attrs []string, root string, progress nixspace.ProgressFunc) error
	// Closure returns the closure of paths, sorted by path.
	Closure(ctx context.Context, paths ...string) ([]nixspace.PathInfo, error)
	// Unroot lets the garbage collector have what was rooted under the name.
	Unroot(ctx context.Context, root string) error
}

// Workspaces stores archives of code.
type Workspaces interface {
	// Put stores a tar (plain, gzip or zstd) and returns its digest. It refuses
	// archives that are too large, that are no tar, or that reach out of their
	// own tree.
	Put(ctx context.Context, r io.Reader) (nixspace.Workspace, error)
	// ReadFile returns one small file of a stored archive.
	ReadFile(ctx context.Context, digest, name string) ([]byte, error)
	// Path returns the host path of a stored archive.
	Path(digest string) (string, error)
	// WriteTar writes a stored archive as the tar that its digest is of, and returns
	// its size in bytes.
	WriteTar(ctx context.Context, digest string, w io.Writer) (int64, error)
}

// Jobs queues durable work in the transaction that asks for it.
type Jobs interface {
	// EnqueueBuild queues a build that was created in tx.
	EnqueueBuild(ctx context.Context, tx Tx, build nixspace.ID) error
	// CancelBuild asks a queued or running build to stop.
	CancelBuild(ctx context.Context, build nixspace.ID) error
}

// Store is the database. Its interface is in the root package because state
// implements it, and state imports nothing that is above the domain.
type Store = nixspace.Database

// Tx is a transaction on the database.
type Tx = nixspace.Tx
