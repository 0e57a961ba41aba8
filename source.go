package nixspace

import (
	"strconv"
	"strings"
	"time"
)

// SourceKind says what sort of thing a [CodeSource] is.
type SourceKind string

// The kinds of sources.
const (
	SourceGit      SourceKind = "git"      // a repository
	SourceFile     SourceKind = "file"     // an archive, or a flake.nix, by its address
	SourceTemplate SourceKind = "template" // one that NixSpace brings
)

// CodeSource says where a project's code comes from. It holds no credentials.
type CodeSource struct {
	Kind SourceKind
	// URL of a repository (https, http or ssh) or a file (https or http), without
	// user name, password, query and fragment; ssh's has its user name.
	URL string
	// Ref is a branch, a tag, a commit or a full reference (refs/…) of a
	// repository; empty for its default branch.
	Ref string
	// Path is what the address of a web page has after its repository, a reference
	// and then a folder, where only the repository's references tell where the one
	// ends; empty where Ref says it.
	Path string
	// Pull is the number of the pull or merge request that Ref is the head of; 0
	// where it is none.
	Pull int
	// Dir is the folder that is taken, slash-separated; empty for all of it.
	Dir string
	// Submodules says that the submodules of a repository are fetched, too.
	Submodules bool `json:",omitempty"`
	// Name is that of a template.
	Name string
}

// String returns the source as people read it: without what opens it.
func (s CodeSource) String() string {
	if s.Kind == SourceTemplate {
		return "template:" + s.Name
	}
	out, _, _ := strings.Cut(s.URL, "?") // a signature may be part of what follows
	switch {
	case s.Pull > 0:
		out += " (pull request " + strconv.Itoa(s.Pull) + ")"
	case s.Ref != "":
		out += " (" + s.Ref + ")"
	case s.Path != "":
		out += " (" + s.Path + ")"
	}
	if s.Dir != "" {
		out += ", folder " + s.Dir
	}
	return out
}

// SourceCredentials open a private source. They are kept in memory alone, are
// given to nobody but the server that the source names, and have no String
// method's worth of text: their fields must not be printed.
type SourceCredentials struct {
	// User goes with Token; empty for what the server is known to expect.
	User string
	// Token is a password, or a token in its place, for https.
	Token string
	// Key is a private key in PEM form, for ssh.
	Key []byte
}

// Empty reports whether there are none.
func (c SourceCredentials) Empty() bool { return c.Token == "" && len(c.Key) == 0 }

// String hides them from logs and errors.
func (SourceCredentials) String() string { return "(credentials)" }

// GoString hides them as well.
func (SourceCredentials) GoString() string { return "(credentials)" }

// FetchedCode is code that was fetched and stored.
type FetchedCode struct {
	Workspace Workspace
	// Ref is the full name of what was fetched, "refs/heads/main"; Commit its
	// commit. Both are empty for what is no repository.
	Ref, Commit string
	// Dir is the folder that was taken; see [CodeSource].
	Dir string
	// History reports whether the archive has a .git folder.
	History bool
	// Notes are what a person should know: what was left out, and why.
	Notes []string
}

// SourceFetch is one attempt to fetch the code of a source. Its states are those of
// a build. What opens a private source is kept in the memory of the server alone:
// where that ended meanwhile, the fetch fails.
type SourceFetch struct {
	ID        ID
	Source    CodeSource
	Private   bool // credentials were given
	Status    BuildStatus
	Error     string
	ErrorCode string
	Code      *FetchedCode // once it succeeded
	CreatedAt time.Time
	CreatedBy ID
	// Zero until it started and ended.
	StartedAt, FinishedAt time.Time
}

// SourceUpdate is one piece of news about a fetch. One field is set.
type SourceUpdate struct {
	Fetch    *SourceFetch
	Progress *Progress
}

// Template is a project to begin with: one that NixSpace brings, or one that
// somebody saved.
type Template struct {
	Name        string // as template:NAME names it
	Description string // one line
	// Workspace is the code of a saved one, with the manifest in it; From is the
	// environment and version that it was saved from.
	Workspace Workspace
	From      string
	CreatedAt time.Time
	CreatedBy ID
}

// Saved reports whether somebody saved the template.
func (t Template) Saved() bool { return t.Workspace.Digest != "" }
