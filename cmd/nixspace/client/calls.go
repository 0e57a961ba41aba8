package client

import (
	"context"

	"github.com/nixspace/nixspace"
)

// What is asked of each type. The names match the fields in types.go.
const (
	projectFields     = `id slug source workspace createdAt`
	versionFields     = `id hash parents seq manifestHash message author createdAt changes{op path from to} packages{name constraint attr version storePath} realisation{drvPath outPath closureDigest closureSize paths realisedAt}`
	headFields        = `id hash parents seq manifestHash message author createdAt changes{op path from to} packages{name constraint attr version storePath}`
	environmentFields = `id ref name projectSlug parent{ref} hash protected createdAt updatedAt deletedAt`
	buildFields       = `id status error errorCode createdAt startedAt finishedAt`
	sessionFields     = `id ref number environmentRef status reason reasonCode driver isolation ephemeral throwaway resuming startedAt lastActivity endedAt`
	machineFields     = `status phase isolation start fallback layers{name digest size} services{` + serviceFields + `} egress{policy open connections refused failed sent received more{connections refused failed sent received} hosts{host connections refused failed sent received lastError last}}`
	serviceFields     = `name state restarts message exitCode ports since`
	progressFields    = `job phase done total unit log final`
)

// pageSize is how many items are asked for at once when a whole list is wanted.
const pageSize = 200

type connection[T any] struct {
	Nodes    []T `json:"nodes"`
	PageInfo struct {
		HasNextPage bool    `json:"hasNextPage"`
		EndCursor   *string `json:"endCursor"`
	} `json:"pageInfo"`
}

// all reads a list page by page.
func all[T any](next func(after *string) (connection[T], error)) ([]T, error) {
	items := []T{}
	var after *string
	for {
		page, err := next(after)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Nodes...)
		if !page.PageInfo.HasNextPage || page.PageInfo.EndCursor == nil {
			return items, nil
		}
		after = page.PageInfo.EndCursor
	}
}

// CreateProject makes a project and its first environment from an uploaded
// workspace (its digest; may be empty) and a manifest (may be empty: then the
// workspace holds one).
func (c *Client) CreateProject(ctx context.Context, slug, source, workspace, manifest, message string) (*Project, *Environment, *Build, error) {
	var out struct {
		R struct {
			Project     *Project
			Environment *Environment
			Build       *Build
		}
	}
	err := c.query(ctx, `mutation($in:CreateProjectInput!){r:createProject(input:$in){project{`+projectFields+`} environment{`+environmentFields+` head{`+headFields+`}} build{`+buildFields+`}}}`,
		map[string]any{"in": map[string]any{"slug": slug, "source": source, "workspace": workspace, "manifest": manifest, "message": message}}, &out)
	return out.R.Project, out.R.Environment, out.R.Build, err
}

// Projects lists all projects.
func (c *Client) Projects(ctx context.Context) ([]Project, error) {
	return all(func(after *string) (connection[Project], error) {
		var out struct{ R connection[Project] }
		err := c.query(ctx, `query($n:Int,$after:String){r:projects(first:$n,after:$after){nodes{`+projectFields+`} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"n": pageSize, "after": after}, &out)
		return out.R, err
	})
}

// Environments lists the environments of a project, or of all when it is empty.
func (c *Client) Environments(ctx context.Context, project string) ([]Environment, error) {
	return all(func(after *string) (connection[Environment], error) {
		var out struct{ R connection[Environment] }
		err := c.query(ctx, `query($p:String,$n:Int,$after:String){r:environments(project:$p,first:$n,after:$after){nodes{`+environmentFields+` head{`+headFields+`}} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"p": project, "n": pageSize, "after": after}, &out)
		return out.R, err
	})
}

// SearchEnvironments returns environments whose reference holds every word.
func (c *Client) SearchEnvironments(ctx context.Context, words string) ([]Environment, error) {
	var out struct{ R []Environment }
	err := c.query(ctx, `query($q:String!,$n:Int){r:searchEnvironments(query:$q,first:$n){`+environmentFields+` head{`+headFields+`}}}`,
		map[string]any{"q": words, "n": 500}, &out)
	return out.R, err
}

// Environment returns one environment by reference, with its manifest and what
// was built for it.
func (c *Client) Environment(ctx context.Context, ref string) (*Environment, error) {
	var out struct{ R *Environment }
	err := c.query(ctx, `query($ref:String!){r:environment(ref:$ref){`+environmentFields+` head{`+versionFields+` manifest flake flakeLock}}}`,
		map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Version returns one version by reference.
func (c *Client) Version(ctx context.Context, ref string) (*Version, error) {
	var out struct{ R *Version }
	err := c.query(ctx, `query($ref:String!){r:version(ref:$ref){`+versionFields+` manifest flake flakeLock environment{ref}}}`,
		map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Branch makes an environment from another one's version.
func (c *Client) Branch(ctx context.Context, from, name string, edits []Edit, message string) (*Environment, *Build, error) {
	var out struct {
		R struct {
			Environment *Environment
			Build       *Build
		}
	}
	err := c.query(ctx, `mutation($in:BranchInput!){r:branch(input:$in){environment{`+environmentFields+` head{`+headFields+`}} build{`+buildFields+`}}}`,
		map[string]any{"in": map[string]any{"from": from, "name": name, "edits": orEmpty(edits), "message": message}}, &out)
	return out.R.Environment, out.R.Build, err
}

// Change makes a new version of an environment. expectedHead, when not empty,
// is the hash that its head must still have, or, with rebase, that the change was
// made against.
func (c *Client) Change(ctx context.Context, ref string, edits []Edit, expectedHead string, rebase bool, message string) (*Version, *Build, error) {
	var out struct {
		R struct {
			Version *Version
			Build   *Build
		}
	}
	err := c.query(ctx, `mutation($in:ChangeInput!){r:change(input:$in){version{`+headFields+` environment{ref}} build{`+buildFields+`}}}`,
		map[string]any{"in": map[string]any{"ref": ref, "edits": orEmpty(edits), "expectedHead": expectedHead, "rebase": rebase, "message": message}}, &out)
	return out.R.Version, out.R.Build, err
}

func orEmpty(edits []Edit) []Edit {
	if edits == nil {
		return []Edit{}
	}
	return edits
}

// Build queues a build of a version, or returns the one that is under way.
func (c *Client) Build(ctx context.Context, version string) (*Build, error) {
	var out struct{ R *Build }
	err := c.query(ctx, `mutation($ref:String!){r:build(version:$ref){`+buildFields+`}}`, map[string]any{"ref": version}, &out)
	return out.R, err
}

// CancelBuild stops a build.
func (c *Client) CancelBuild(ctx context.Context, id nixspace.ID) (*Build, error) {
	var out struct{ R *Build }
	err := c.query(ctx, `mutation($id:ID!){r:cancelBuild(id:$id){`+buildFields+`}}`, map[string]any{"id": id}, &out)
	return out.R, err
}

// StartSession starts a machine and returns at once.
func (c *Client) StartSession(ctx context.Context, ref string, ephemeral bool) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($in:StartSessionInput!){r:startSession(input:$in){`+sessionFields+`}}`,
		map[string]any{"in": map[string]any{"ref": ref, "ephemeral": ephemeral}}, &out)
	return out.R, err
}

// StopSession stops a session's machine and returns when it is stopped.
func (c *Client) StopSession(ctx context.Context, ref string) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($ref:String!){r:stopSession(ref:$ref){`+sessionFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// RemoveSession deletes a session with its disk.
func (c *Client) RemoveSession(ctx context.Context, ref string) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `mutation($ref:String!){r:removeSession(ref:$ref){`+sessionFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Sessions lists sessions, newest first: those of an environment, or of all when
// it is empty; only live ones unless every is true.
func (c *Client) Sessions(ctx context.Context, environment string, every bool) ([]Session, error) {
	return all(func(after *string) (connection[Session], error) {
		var out struct{ R connection[Session] }
		err := c.query(ctx, `query($e:String,$all:Boolean,$n:Int,$after:String){r:sessions(environment:$e,all:$all,first:$n,after:$after){nodes{`+sessionFields+`} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"e": environment, "all": every, "n": pageSize, "after": after}, &out)
		return out.R, err
	})
}

// Session returns one session by reference, with its machine.
func (c *Client) Session(ctx context.Context, ref string) (*Session, error) {
	var out struct{ R *Session }
	err := c.query(ctx, `query($ref:String!){r:session(ref:$ref){`+sessionFields+` forkOf{id ref} snapshot{id ref implicit} activity{kind open last} hibernateAfter prebuilt{earlier prebuild{`+prebuildFields+`}} machine{`+machineFields+` usage{cpuSeconds memory}} version{`+headFields+`}}}`,
		map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Packages finds packages of the source.
func (c *Client) Packages(ctx context.Context, query string, limit int) ([]Package, error) {
	var out struct{ R []Package }
	err := c.query(ctx, `query($q:String!,$n:Int){r:packages(query:$q,first:$n){attr family version description default download present}}`,
		map[string]any{"q": query, "n": limit}, &out)
	return out.R, err
}

// WatchBuild calls f for all news of a build, from its beginning, until it is
// final.
func (c *Client) WatchBuild(ctx context.Context, id nixspace.ID, f func(BuildUpdate) error) error {
	return subscribe(ctx, c, `subscription($id:ID!){r:buildUpdates(id:$id){build{`+buildFields+`} progress{`+progressFields+`} line{seq at text}}}`,
		map[string]any{"id": id}, f)
}

// WatchSession calls f with a session as it stands, and again whenever it or its
// machine changes, until f returns an error.
func (c *Client) WatchSession(ctx context.Context, ref string, f func(SessionUpdate) error) error {
	return subscribe(ctx, c, `subscription($ref:String!){r:sessionUpdates(ref:$ref){session{`+sessionFields+`} machine{`+machineFields+`} progress{`+progressFields+`}}}`,
		map[string]any{"ref": ref}, f)
}
