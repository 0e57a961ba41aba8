package nixspace

import (
	"context"
	"io"
	"time"
)

// FileInfo describes a file in a machine. A symbolic link is described itself, not
// what it points to.
type FileInfo struct {
	Path    string    `json:"path"`
	Type    string    `json:"type"` // "file", "dir", "symlink" or "other"
	Size    int64     `json:"size"`
	Mode    uint32    `json:"mode"` // permission bits
	ModTime time.Time `json:"mod_time"`
	Target  string    `json:"target,omitempty"` // of a symbolic link
}

// FilesWritten says what an archive brought.
type FilesWritten struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Files is a [Machine] whose files can be read and written, as the user dev.
type Files interface {
	// WriteFiles unpacks a tar archive, plain or zstd-compressed, in a directory,
	// which is made when it is missing. It returns once all of it is on the disk. An
	// archive that reaches out of the directory fails with code "archive_invalid".
	WriteFiles(ctx context.Context, dir string, archive io.Reader, zstd bool) (FilesWritten, error)
	// ReadFiles returns a tar archive of a file or of a directory with all that is in
	// it. Names in it begin with the last part of path. It ends with io.EOF only when
	// the archive is whole.
	ReadFiles(ctx context.Context, path string) (io.ReadCloser, error)
	// FileInfo describes a file. It fails with code "file_not_found" where there is
	// none.
	FileInfo(ctx context.Context, path string) (FileInfo, error)
	// ListFiles describes what is in a directory, by name: at most 10,000 files.
	ListFiles(ctx context.Context, dir string) ([]FileInfo, error)
}
