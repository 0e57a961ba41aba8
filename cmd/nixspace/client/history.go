package client

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

// LogEntry is one version of a log, and what points at it.
type LogEntry struct {
	ID           nixspace.ID `json:"id"`
	Hash         string      `json:"hash"`
	Parents      []string    `json:"parents"`
	Seq          int64       `json:"seq"`
	Message      string      `json:"message"`
	Author       string      `json:"author"`
	CreatedAt    time.Time   `json:"createdAt"`
	Changes      []Change    `json:"changes"`
	Environments []string    `json:"environments"`
	Tags         []string    `json:"tags"`
}

// HeadMove is one step of an environment's head.
type HeadMove struct {
	At      time.Time `json:"at"`
	Action  string    `json:"action"` // see [nixspace.MoveAction]
	Message string    `json:"message"`
	Actor   string    `json:"actor"`
	To      struct {
		Hash string `json:"hash"`
	} `json:"to"`
}

// BlameLine says which version brought one item of a manifest.
type BlameLine struct {
	Path    string   `json:"path"`
	Value   string   `json:"value"`
	Version LogEntry `json:"version"`
}

// Tag is a name for a version.
type Tag struct {
	Ref       string    `json:"ref"`
	Name      string    `json:"name"`
	Project   string    `json:"projectSlug"`
	Message   string    `json:"message"`
	Author    string    `json:"author"`
	CreatedAt time.Time `json:"createdAt"`
	Version   struct {
		Hash    string `json:"hash"`
		Message string `json:"message"`
	} `json:"version"`
}

// Conflict is something that both sides changed in different ways.
type Conflict struct {
	Kind   lower  `json:"kind"` // "value", "removed", "invalid", "text"
	Path   string `json:"path"`
	Base   string `json:"base"`
	Ours   string `json:"ours"`
	Theirs string `json:"theirs"`
	Reason string `json:"reason"`
	Merged string `json:"merged"` // of "text": with markers
}

// Resolution decides about one path.
type Resolution struct {
	Path  string `json:"path"`
	Take  string `json:"take"` // OURS, THEIRS or VALUE
	Value string `json:"value"`
}

// Resolutions are what is sent about conflicts.
type Resolutions struct {
	Prefer string // OURS, THEIRS or empty
	Takes  []Resolution
}

// MergeInput asks for a merge.
type MergeInput struct {
	From, Into, ExpectedHead, Message string
	NoFastForward, NoBuild            bool
	Resolutions
}

// Merged is what came of a merge.
type Merged struct {
	Outcome     lower      `json:"outcome"` // up_to_date, conflicts, fast_forward, merged, building, failed
	FastForward bool       `json:"fastForward"`
	Conflicts   []Conflict `json:"conflicts"`
	Changes     []Change   `json:"changes"`
	Bases       []string   `json:"bases"`
	Version     *Version   `json:"version"`
	Build       *Build     `json:"build"`
	Merge       *MergeJob  `json:"merge"`
}

// MergeJob is the record of a merge that had to be built first.
type MergeJob struct {
	ID        nixspace.ID `json:"id"`
	Status    lower       `json:"status"` // see [nixspace.MergeStatus]
	Error     string      `json:"error"`
	ErrorCode string      `json:"errorCode"`
}

// PickInput asks for a revert or a cherry-pick.
type PickInput struct {
	Version, Ref, ExpectedHead, Message string
	Mainline                            int
	Resolutions
}

// Picked is what came of it.
type Picked struct {
	Version   *Version   `json:"version"`
	Build     *Build     `json:"build"`
	Conflicts []Conflict `json:"conflicts"`
}

const (
	changeFields   = `op path from to`
	logFields      = `id hash parents seq message author createdAt changes{` + changeFields + `} environments tags`
	conflictFields = `kind path base ours theirs reason merged`
	mergeFields    = `id status error errorCode`
	mergedFields   = `outcome fastForward conflicts{` + conflictFields + `} changes{` + changeFields + `} bases version{` + headFields + ` environment{ref}} build{` + buildFields + `} merge{` + mergeFields + `}`
	tagFields      = `ref name projectSlug message author createdAt version{hash message}`
	movedFields    = `version{` + headFields + ` environment{ref}} build{` + buildFields + `}`
)

// maxLogPage is how many versions one request asks for.
const maxLogPage = 200

// Log calls f for versions and their ancestors, newest first: limit of them, all
// when it is 0. Without refs it begins at all heads of a project, or of all.
func (c *Client) Log(ctx context.Context, project string, refs []string, limit int, f func(LogEntry) error) error {
	var after *string
	for sent := 0; ; {
		n := maxLogPage
		if limit > 0 {
			n = min(n, limit-sent)
		}
		var out struct{ R connection[LogEntry] }
		err := c.query(ctx, `query($refs:[String!],$p:String,$n:Int,$after:String){r:log(refs:$refs,project:$p,first:$n,after:$after){nodes{`+logFields+`} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"refs": refs, "p": project, "n": n, "after": after}, &out)
		if err != nil {
			return err
		}
		for _, e := range out.R.Nodes {
			if err := f(e); err != nil {
				return err
			}
		}
		sent += len(out.R.Nodes)
		if after = out.R.PageInfo.EndCursor; !out.R.PageInfo.HasNextPage || after == nil || limit > 0 && sent >= limit {
			return nil
		}
	}
}

// Reflog returns the newest moves of an environment's head.
func (c *Client) Reflog(ctx context.Context, environment string, limit int) ([]HeadMove, error) {
	var out struct{ R connection[HeadMove] }
	err := c.query(ctx, `query($e:String!,$n:Int){r:reflog(environment:$e,first:$n){nodes{at action message actor to{hash}}}}`,
		map[string]any{"e": environment, "n": limit}, &out)
	return out.R.Nodes, err
}

// Blame says which version brought each thing of a manifest.
func (c *Client) Blame(ctx context.Context, ref string) ([]BlameLine, error) {
	var out struct{ R []BlameLine }
	err := c.query(ctx, `query($ref:String!){r:blame(ref:$ref){path value version{`+logFields+`}}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// MergeBases returns the best common ancestors of two versions.
func (c *Client) MergeBases(ctx context.Context, a, b string) ([]LogEntry, error) {
	var out struct{ R []LogEntry }
	err := c.query(ctx, `query($a:String!,$b:String!){r:mergeBases(a:$a,b:$b){`+logFields+`}}`, map[string]any{"a": a, "b": b}, &out)
	return out.R, err
}

func (r Resolutions) input(in map[string]any) map[string]any {
	in["resolutions"] = r.Takes
	if r.Takes == nil {
		in["resolutions"] = []Resolution{}
	}
	if r.Prefer != "" {
		in["prefer"] = r.Prefer
	}
	return in
}

func (in MergeInput) vars() map[string]any {
	return map[string]any{"in": in.input(map[string]any{
		"from": in.From, "into": in.Into, "expectedHead": in.ExpectedHead, "message": in.Message,
		"noFastForward": in.NoFastForward, "noBuild": in.NoBuild,
	})}
}

// Merge merges a version into an environment.
func (c *Client) Merge(ctx context.Context, in MergeInput) (*Merged, error) {
	var out struct{ R *Merged }
	err := c.query(ctx, `mutation($in:MergeInput!){r:merge(input:$in){`+mergedFields+`}}`, in.vars(), &out)
	return out.R, err
}

// MergePreview says what a merge would come to.
func (c *Client) MergePreview(ctx context.Context, in MergeInput) (*Merged, error) {
	var out struct{ R *Merged }
	err := c.query(ctx, `query($in:MergeInput!){r:mergePreview(input:$in){`+mergedFields+`}}`, in.vars(), &out)
	return out.R, err
}

// MergeJob returns the record of a merge.
func (c *Client) MergeJob(ctx context.Context, id nixspace.ID) (*MergeJob, error) {
	var out struct{ R *MergeJob }
	err := c.query(ctx, `query($id:ID!){r:merge(id:$id){`+mergeFields+`}}`, map[string]any{"id": id}, &out)
	return out.R, err
}

// Rollback makes a new version with the content of an earlier one.
func (c *Client) Rollback(ctx context.Context, ref, to, expectedHead, message string) (*Version, *Build, error) {
	var out struct {
		R struct {
			Version *Version
			Build   *Build
		}
	}
	err := c.query(ctx, `mutation($in:RollbackInput!){r:rollback(input:$in){`+movedFields+`}}`,
		map[string]any{"in": map[string]any{"ref": ref, "to": to, "expectedHead": expectedHead, "message": message}}, &out)
	return out.R.Version, out.R.Build, err
}

// Revert undoes the change of one version.
func (c *Client) Revert(ctx context.Context, in PickInput) (*Picked, error) {
	return c.pick(ctx, "revert", in)
}

// CherryPick makes the change of one version in another environment.
func (c *Client) CherryPick(ctx context.Context, in PickInput) (*Picked, error) {
	return c.pick(ctx, "cherryPick", in)
}

func (c *Client) pick(ctx context.Context, field string, in PickInput) (*Picked, error) {
	var out struct{ R *Picked }
	err := c.query(ctx, `mutation($in:PickInput!){r:`+field+`(input:$in){`+movedFields+` conflicts{`+conflictFields+`}}}`,
		map[string]any{"in": in.input(map[string]any{
			"version": in.Version, "ref": in.Ref, "expectedHead": in.ExpectedHead, "message": in.Message, "mainline": in.Mainline,
		})}, &out)
	return out.R, err
}

// CreateTag names a version.
func (c *Client) CreateTag(ctx context.Context, name, version, message string, force bool) (*Tag, error) {
	var out struct{ R *Tag }
	err := c.query(ctx, `mutation($in:CreateTagInput!){r:createTag(input:$in){`+tagFields+`}}`,
		map[string]any{"in": map[string]any{"name": name, "version": version, "message": message, "force": force}}, &out)
	return out.R, err
}

// DeleteTag takes a tag away.
func (c *Client) DeleteTag(ctx context.Context, ref string) (*Tag, error) {
	var out struct{ R *Tag }
	err := c.query(ctx, `mutation($ref:String!){r:deleteTag(ref:$ref){`+tagFields+`}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Tags lists the tags of a project, or of all when it is empty.
func (c *Client) Tags(ctx context.Context, project string) ([]Tag, error) {
	var out struct{ R []Tag }
	err := c.query(ctx, `query($p:String){r:tags(project:$p){`+tagFields+`}}`, map[string]any{"p": project}, &out)
	return out.R, err
}

// Protect makes an environment one that only merges change, or ends that.
func (c *Client) Protect(ctx context.Context, ref string, protected bool) (*Environment, error) {
	return c.manage(ctx, `protectEnvironment(ref:$ref,protected:$protected)`, `$ref:String!,$protected:Boolean!`,
		map[string]any{"ref": ref, "protected": protected})
}

// Rename gives an environment another name.
func (c *Client) Rename(ctx context.Context, ref, name string) (*Environment, error) {
	return c.manage(ctx, `renameEnvironment(ref:$ref,name:$name)`, `$ref:String!,$name:String!`, map[string]any{"ref": ref, "name": name})
}

// Delete takes an environment away.
func (c *Client) Delete(ctx context.Context, ref string) (*Environment, error) {
	return c.manage(ctx, `deleteEnvironment(ref:$ref)`, `$ref:String!`, map[string]any{"ref": ref})
}

// Undelete brings a deleted environment back, under another name when as is not
// empty.
func (c *Client) Undelete(ctx context.Context, ref, as string) (*Environment, error) {
	return c.manage(ctx, `undeleteEnvironment(ref:$ref,as:$as)`, `$ref:String!,$as:String!`, map[string]any{"ref": ref, "as": as})
}

func (c *Client) manage(ctx context.Context, call, params string, vars map[string]any) (*Environment, error) {
	var out struct{ R *Environment }
	err := c.query(ctx, `mutation(`+params+`){r:`+call+`{`+environmentFields+` head{`+headFields+`}}}`, vars, &out)
	return out.R, err
}
