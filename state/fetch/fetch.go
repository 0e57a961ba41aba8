// Package fetch brings code from where people say it is into the store of
// archives: from repositories, archives, single files and templates.
//
// Both ends are hostile: whoever names an address may want the server to reach
// what only it can reach, and what a server sends may want to run, to grow, or to
// be written where it does not belong. So every connection goes through package
// internal/dial; git runs as a user without rights, with a configuration that is
// made here alone, and never has a work tree; and all that comes is a stream that
// package workspace checks before it is kept.
package fetch

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/internal/dial"
	"github.com/nixspace/nixspace/state/workspace"
)

// Config says how to fetch. Dir is required, and Store for all but [Fetcher.FetchTree].
type Config struct {
	// Dir holds what is being fetched, and the keys of ssh's servers. It is made if
	// needed.
	Dir    string
	Store  *workspace.Store
	Policy dial.Policy
	// Parse reads an address as people write it, for submodules; nil where none are
	// fetched.
	Parse func(address string) (nixspace.CodeSource, error)
	// Templates has one folder for each template.
	Templates fs.FS
	Limits    nixspace.CodeLimits
	Log       *slog.Logger
	// Time is how long one fetch may take; 15 minutes when 0.
	Time time.Duration
	// Depth is how many commits of a repository's history are fetched; 50 when 0.
	Depth int
	// History is how many bytes that history may have to be kept; 128 MiB when 0.
	History int64
	// CAFile names certificates that servers' are checked by, instead of the
	// system's; empty for those.
	CAFile string
}

// Fetcher fetches. It is safe for concurrent use.
type Fetcher struct {
	cfg   Config
	hosts sync.Mutex // guards the file of ssh's known hosts
}

// Open returns a fetcher. It deletes what an earlier process left.
func Open(cfg Config) (*Fetcher, error) {
	cfg.Limits = cfg.Limits.WithDefaults()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Time == 0 {
		cfg.Time = 15 * time.Minute
	}
	if cfg.Depth == 0 {
		cfg.Depth = 50
	}
	if cfg.History == 0 {
		cfg.History = 128 << 20
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory for fetching: %w", err)
	}
	f := &Fetcher{cfg: cfg}
	return f, f.clean()
}

// workPattern names the directories of fetches under way. Each is locked.
const workPattern = "fetch-*"

func (f *Fetcher) clean() error {
	dirs, err := filepath.Glob(filepath.Join(f.cfg.Dir, workPattern))
	if err != nil {
		return fmt.Errorf("list fetches: %w", err)
	}
	for _, dir := range dirs {
		d, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at a fetch: %w", err)
		}
		if unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = os.RemoveAll(dir)
		}
		_ = d.Close() // opened for reading
		if err != nil {
			return fmt.Errorf("delete what a fetch left: %w", err)
		}
	}
	return nil
}

// workDir makes a directory for one fetch, and returns how to remove it.
func (f *Fetcher) workDir() (string, func(), error) {
	dir, err := os.MkdirTemp(f.cfg.Dir, workPattern)
	if err != nil {
		return "", nil, diskError(fmt.Errorf("make a directory for a fetch: %w", err))
	}
	d, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("lock a directory for a fetch: %w", err), os.RemoveAll(dir))
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			f.cfg.Log.Warn("cannot remove what a fetch left", "dir", dir, "error", err)
		}
		_ = d.Close() // opened for reading
	}, nil
}

// Fetch brings the code of a source into the store. Credentials may be empty. It
// fails with kind forbidden where an address is not to be reached, unauthorized
// where the server wants other credentials, not_found where there is nothing,
// limit where it is too large, and unavailable where the server does not answer.
// Progress may be nil.
func (f *Fetcher) Fetch(ctx context.Context, s nixspace.CodeSource, cred nixspace.SourceCredentials, progress nixspace.ProgressFunc) (*nixspace.FetchedCode, error) {
	if progress == nil {
		progress = func(nixspace.Progress) {}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.cfg.Time, errTime)
	defer cancel()
	var out *nixspace.FetchedCode
	var err error
	switch s.Kind {
	case nixspace.SourceTemplate:
		out, err = f.template(ctx, s.Name)
	case nixspace.SourceFile:
		out, err = f.download(ctx, s, cred, progress)
	case nixspace.SourceGit:
		out, err = f.repository(ctx, s, cred, progress)
	default:
		err = nixspace.Errorf(nixspace.KindInvalid, "source_invalid", "there is no kind of source %.20q", s.Kind)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ended(ctx, f.cfg.Time)
	}
	return out, err
}

var errTime = errors.New("it took too long")

// ended says why a context has.
func ended(ctx context.Context, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errTime) {
		return nixspace.Errorf(nixspace.KindLimit, "source_timeout", "the code was not fetched after %v", limit)
	}
	return nixspace.Errorf(nixspace.KindCanceled, "canceled", "the fetch was broken off: %w", context.Cause(ctx))
}

// template stores one of the templates.
func (f *Fetcher) template(ctx context.Context, name string) (*nixspace.FetchedCode, error) {
	unknown := nixspace.Errorf(nixspace.KindNotFound, "template_unknown", "there is no template %.80q", name).
		WithHint("see those that there are with: nixspace templates")
	if f.cfg.Templates == nil || !fs.ValidPath(name) {
		return nil, unknown
	}
	files, err := fs.Sub(f.cfg.Templates, name)
	if err != nil {
		return nil, unknown
	}
	if info, err := fs.Stat(files, "."); err != nil || !info.IsDir() {
		return nil, unknown
	}
	return f.store(ctx, func(t *tree) error { return t.addFS(files) })
}

// store puts what write writes into the store.
func (f *Fetcher) store(ctx context.Context, write func(*tree) error) (*nixspace.FetchedCode, error) {
	r, w := io.Pipe()
	t := &tree{tw: tar.NewWriter(w), room: f.cfg.Limits.Bytes, full: f.tooLarge()}
	wrote := make(chan error, 1)
	go func() {
		err := write(t)
		if err == nil {
			err = t.tw.Close()
		}
		w.CloseWithError(err)
		wrote <- err
	}()
	ws, err := f.cfg.Store.Put(ctx, r)
	_ = r.CloseWithError(errStored) // what still writes learns that nobody reads
	if werr := <-wrote; werr != nil && !errors.Is(werr, errStored) {
		return nil, werr
	}
	if err != nil {
		return nil, err
	}
	return &nixspace.FetchedCode{Workspace: ws, Notes: t.notes()}, nil
}

var errStored = errors.New("the archive is stored, or refused")

func diskError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return nixspace.Errorf(nixspace.KindLimit, "disk_full", "the disk of the state directory is full: %w", err).
			WithHint("free some space, or use another state directory")
	}
	return err
}
