package nixspace

import "time"

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

// User is somebody who acts. A server that was started with `nixspace up` has
// one local owner.
type User struct {
	ID        ID
	Name      string
	CreatedAt time.Time
}
