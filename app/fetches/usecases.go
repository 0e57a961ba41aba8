// Package fetches brings code into NixSpace: it fetches what an address names,
// stores what people send, and says what environment the code needs.
package fetches

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"sync"

	"github.com/nixspace/nixspace"
	"github.com/nixspace/nixspace/app/builds"
	"github.com/nixspace/nixspace/app/records"
	"github.com/nixspace/nixspace/app/work"
)

// Fetcher brings code into the store of archives.
type Fetcher interface {
	// Fetch fetches a source. It is safe from whoever names the source and from
	// what is found there. Progress may be nil.
	Fetch(ctx context.Context, s nixspace.CodeSource, cred nixspace.SourceCredentials, progress nixspace.ProgressFunc) (*nixspace.FetchedCode, error)
	// Unpack stores an archive (tar, tar.gz, tar.zst, zip) or a single flake.nix.
	Unpack(ctx context.Context, r io.Reader) (*nixspace.FetchedCode, error)
}

// Trees are the stored archives, as what is in them.
type Trees interface {
	// Tree fails with kind not_found where there is no such archive. The caller
	// closes it.
	Tree(ctx context.Context, digest string) (Tree, error)
	// WithFile stores an archive that is equal to another one, or to none where the
	// digest is empty, but for one file.
	WithFile(ctx context.Context, digest, name string, content []byte) (nixspace.Workspace, error)
}

// Tree is a stored archive as a file system.
type Tree interface {
	fs.FS
	io.Closer
}

// Jobs queues durable work in the transaction that asks for it.
type Jobs interface {
	// EnqueueFetch queues a fetch that was created in tx.
	EnqueueFetch(ctx context.Context, tx records.Tx, fetch nixspace.ID) error
	// CancelFetch asks a queued or running fetch to stop.
	CancelFetch(ctx context.Context, fetch nixspace.ID) error
}

// Config is what the use cases work with.
type Config struct {
	Records  *records.Records
	Packages builds.Packages
	Progress *work.ProgressHub
	Log      *slog.Logger
	Parts
}

// Parts are what a server may do without: the use cases then say so.
type Parts struct {
	Fetcher   Fetcher
	Trees     Trees
	Jobs      Jobs
	Templates []nixspace.Template
}

// UseCases are the use cases about sources. They are safe for concurrent use.
type UseCases struct {
	cfg      Config
	fetching *work.RunSet // fetches that this process works on

	mu   sync.Mutex
	keys map[nixspace.ID]nixspace.SourceCredentials // of fetches that are not final
}

// New returns the use cases about sources.
func New(cfg Config) *UseCases {
	return &UseCases{cfg: cfg, fetching: work.NewRunSet(), keys: map[nixspace.ID]nixspace.SourceCredentials{}}
}

// Unpack stores what a person sends: an archive of code, or a single flake.nix.
func (u *UseCases) Unpack(ctx context.Context, r io.Reader) (*nixspace.FetchedCode, error) {
	if _, err := nixspace.ActorFrom(ctx); err != nil {
		return nil, err
	}
	if u.cfg.Fetcher == nil {
		return nil, missing()
	}
	return u.cfg.Fetcher.Unpack(ctx, r)
}

func missing() error {
	return nixspace.Errorf(nixspace.KindUnavailable, "sources_unavailable", "this server fetches no code")
}

// take returns the credentials of a fetch, if there are any.
func (u *UseCases) take(id nixspace.ID) (nixspace.SourceCredentials, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c, ok := u.keys[id]
	return c, ok
}

func (u *UseCases) keep(id nixspace.ID, c nixspace.SourceCredentials) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.keys[id] = c
}

func (u *UseCases) forget(id nixspace.ID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.keys, id)
}
