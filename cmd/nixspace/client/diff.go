package client

import "context"

// Diff is the difference between two versions.
type Diff struct {
	FromRef string       `json:"fromRef"` // empty for nothing
	ToRef   string       `json:"toRef"`
	From    *DiffVersion `json:"from"`
	To      DiffVersion  `json:"to"`
	Changes []Change     `json:"changes"`
	Edits   []Edit       `json:"edits"`
	Texts   []TextDiff   `json:"texts"`
	Closure *ClosureDiff `json:"closure"`
	Unbuilt []string     `json:"unbuilt"`
}

// TextDiff is how a file of a user's flake differs.
type TextDiff struct {
	Path string `json:"path"`
	Diff string `json:"diff"`
}

// DiffVersion is one of the two versions.
type DiffVersion struct {
	Hash         string `json:"hash"`
	ManifestHash string `json:"manifestHash"`
}

// ClosureTotal is how large a closure is.
type ClosureTotal struct {
	Paths int   `json:"paths"`
	Size  int64 `json:"size"`
}

// ClosureDiff is what changed between two closures.
type ClosureDiff struct {
	From     ClosureTotal  `json:"from"`
	To       ClosureTotal  `json:"to"`
	Growth   int64         `json:"growth"`
	Packages []PackageDiff `json:"packages"`
	Paths    []PathDiff    `json:"paths"`
	Causes   []DiffCause   `json:"causes"`
}

// PackageDiff is what happened to a package.
type PackageDiff struct {
	Kind     lower    `json:"kind"` // "added", "removed", "upgraded", "downgraded", "rebuilt"
	Name     string   `json:"name"`
	From     []string `json:"from"`
	To       []string `json:"to"`
	FromSize int64    `json:"fromSize"`
	ToSize   int64    `json:"toSize"`
	Asked    bool     `json:"asked"`
}

// PathDiff is what happened to a store path.
type PathDiff struct {
	Kind        lower    `json:"kind"`
	Name        string   `json:"name"`
	From        string   `json:"from"`
	To          string   `json:"to"`
	FromVersion string   `json:"fromVersion"`
	ToVersion   string   `json:"toVersion"`
	FromSize    int64    `json:"fromSize"`
	ToSize      int64    `json:"toSize"`
	Growth      int64    `json:"growth"`
	Via         []string `json:"via"`
}

// DiffCause is a part of the growth.
type DiffCause struct {
	Roots   []string `json:"roots"`
	Added   int64    `json:"added"`
	Removed int64    `json:"removed"`
	Growth  int64    `json:"growth"`
	Paths   []int    `json:"paths"` // positions in ClosureDiff.Paths
}

const diffFields = `fromRef toRef from{hash manifestHash} to{hash manifestHash} changes{op path from to} edits{op key value} texts{path diff} unbuilt
	closure{from{paths size} to{paths size} growth packages{kind name from to fromSize toSize asked}
	paths{kind name from to fromVersion toVersion fromSize toSize growth via} causes{roots added removed growth paths}}`

// Diff compares two versions; see the field diff of the schema. With manifestOnly,
// closures are left out.
func (c *Client) Diff(ctx context.Context, from, to string, manifestOnly bool) (*Diff, error) {
	depth := "CLOSURE"
	if manifestOnly {
		depth = "MANIFEST"
	}
	var out struct{ R *Diff }
	err := c.query(ctx, `query($from:String!,$to:String!,$depth:DiffDepth!){r:diff(from:$from,to:$to,depth:$depth){`+diffFields+`}}`,
		map[string]any{"from": from, "to": to, "depth": depth}, &out)
	return out.R, err
}

// Reasons say why something is in an environment.
type Reasons struct {
	Ref     string   `json:"ref"`
	Reasons []Reason `json:"reasons"`
}

// Reason says why one store path is in an environment.
type Reason struct {
	Path        string       `json:"path"`
	Name        string       `json:"name"`
	Version     string       `json:"version"`
	Size        int64        `json:"size"`
	ClosureSize int64        `json:"closureSize"`
	Paths       int          `json:"paths"`
	Steps       []ReasonStep `json:"steps"`
	Truncated   bool         `json:"truncated"`
}

// ReasonStep is one line of the tree that leads to a path.
type ReasonStep struct {
	Depth    int    `json:"depth"`
	Path     string `json:"path"`
	Name     string `json:"name"`
	Version  string `json:"version"`
	Size     int64  `json:"size"`
	Target   bool   `json:"target"`
	Repeated bool   `json:"repeated"`
}

// Why says why something is in an environment; with all, in every way.
func (c *Client) Why(ctx context.Context, ref, what string, all bool) (*Reasons, error) {
	var out struct{ R *Reasons }
	err := c.query(ctx, `query($ref:String!,$what:String!,$all:Boolean!){r:why(ref:$ref,what:$what,all:$all){ref reasons{path name version size closureSize paths truncated
		steps{depth path name version size target repeated}}}}`,
		map[string]any{"ref": ref, "what": what, "all": all}, &out)
	return out.R, err
}
