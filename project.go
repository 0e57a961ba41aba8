package nixspace

import (
	"cmp"
	"time"
)

// Project is one code base.
type Project struct {
	ID   ID
	Slug string // unique; see [CheckName]
	// Source says where the code came from, in words for people: a folder's
	// base name, a URL, a template.
	Source string
	// Workspace is the content digest of the code that sessions find in
	// /workspace; empty for a project without code. See [Workspace].
	Workspace string
	CreatedAt time.Time
	CreatedBy ID
}

// Workspace is a stored archive of a project's code: a zstd-compressed tar
// whose name is the SHA-256 of its uncompressed bytes, in lower-case hex.
type Workspace struct {
	Digest string
	Size   int64 // bytes, uncompressed
	Files  int
}

// CodeLimits bound the code of a project, for who packs it and for who takes it.
// A field that is zero has its default.
type CodeLimits struct {
	Bytes int64 // of all files; 1 GiB
	Files int   // 200,000
}

// WithDefaults returns the limits with their defaults filled in.
func (l CodeLimits) WithDefaults() CodeLimits {
	return CodeLimits{Bytes: cmp.Or(l.Bytes, 1<<30), Files: cmp.Or(l.Files, 200_000)}
}

// Archive returns how many bytes a tar of such code may have: files that come to
// Bytes, and a header, padding and mostly no more for each.
func (l CodeLimits) Archive() int64 { return l.Bytes + int64(l.Files+1)*1024 }

// User is somebody who acts. A server that was started with `nixspace up` has
// one local owner.
type User struct {
	ID        ID
	Name      string
	CreatedAt time.Time
}
