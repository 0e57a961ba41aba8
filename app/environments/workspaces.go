package environments

import (
	"context"
	"io"

	"github.com/nixspace/nixspace"
)

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
