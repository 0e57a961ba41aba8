package client

import (
	"context"
	"time"

	"github.com/nixspace/nixspace"
)

const prebuildFields = `id key environmentRef workspace commit manifestHash status error errorCode snapshot{id ref implicit} createdAt startedAt finishedAt usedAt`

// Prebuild is one run of an environment's setup script over one state of its code.
type Prebuild struct {
	ID           nixspace.ID `json:"id"`
	Key          string      `json:"key"`
	Environment  string      `json:"environmentRef"`
	Workspace    string      `json:"workspace"`
	Commit       string      `json:"commit"`
	ManifestHash string      `json:"manifestHash"`
	Status       lower       `json:"status"`
	Error        string      `json:"error"`
	ErrorCode    string      `json:"errorCode"`
	Snapshot     *Began      `json:"snapshot"`
	CreatedAt    time.Time   `json:"createdAt"`
	StartedAt    *time.Time  `json:"startedAt"`
	FinishedAt   *time.Time  `json:"finishedAt"`
	UsedAt       time.Time   `json:"usedAt"`
}

// Is reports whether the prebuild has a status.
func (p *Prebuild) Is(s nixspace.BuildStatus) bool { return string(p.Status) == string(s) }

// Final reports whether its status can no longer change.
func (p *Prebuild) Final() bool { return nixspace.BuildStatus(p.Status).Final() }

// Preparation says how the setup of an environment stands.
type Preparation struct {
	Prebuild *Prebuild `json:"prebuild"`
	Commit   string    `json:"commit"`
	Source   string    `json:"source"`
}

// BeganPrebuilt is the prebuild that a session began from.
type BeganPrebuilt struct {
	Prebuild *Prebuild `json:"prebuild"`
	Earlier  bool      `json:"earlier"` // of earlier code, or of another manifest
}

// PrebuildUpdate is one piece of news about a prebuild. One field is set.
type PrebuildUpdate struct {
	Prebuild *Prebuild          `json:"prebuild"`
	Progress *nixspace.Progress `json:"progress"`
	Line     *LogLine           `json:"line"`
}

// RequestPrebuild asks for the setup of an environment to be prepared.
func (c *Client) RequestPrebuild(ctx context.Context, ref string, again bool) (*Prebuild, error) {
	var out struct{ R *Prebuild }
	err := c.query(ctx, `mutation($ref:String!,$again:Boolean!){r:requestPrebuild(ref:$ref,again:$again){`+prebuildFields+`}}`,
		map[string]any{"ref": ref, "again": again}, &out)
	return out.R, err
}

// Preparation says how the setup of an environment stands; nil where it has none.
func (c *Client) Preparation(ctx context.Context, ref string) (*Preparation, error) {
	var out struct{ R *Preparation }
	err := c.query(ctx, `query($ref:String!){r:preparation(ref:$ref){commit source prebuild{`+prebuildFields+`}}}`, map[string]any{"ref": ref}, &out)
	return out.R, err
}

// Prebuilds lists prebuilds, newest first: those of an environment, or all when of is
// empty.
func (c *Client) Prebuilds(ctx context.Context, of string) ([]Prebuild, error) {
	return all(func(after *string) (connection[Prebuild], error) {
		var out struct{ R connection[Prebuild] }
		err := c.query(ctx, `query($of:String,$n:Int,$after:String){r:prebuilds(of:$of,first:$n,after:$after){nodes{`+prebuildFields+`} pageInfo{hasNextPage endCursor}}}`,
			map[string]any{"of": of, "n": pageSize, "after": after}, &out)
		return out.R, err
	})
}

// CancelPrebuild stops a prebuild.
func (c *Client) CancelPrebuild(ctx context.Context, id nixspace.ID) (*Prebuild, error) {
	var out struct{ R *Prebuild }
	err := c.query(ctx, `mutation($id:ID!){r:cancelPrebuild(id:$id){`+prebuildFields+`}}`, map[string]any{"id": id}, &out)
	return out.R, err
}

// RemovePrebuild deletes a prebuild.
func (c *Client) RemovePrebuild(ctx context.Context, id nixspace.ID) (*Prebuild, error) {
	var out struct{ R *Prebuild }
	err := c.query(ctx, `mutation($id:ID!){r:removePrebuild(id:$id){`+prebuildFields+`}}`, map[string]any{"id": id}, &out)
	return out.R, err
}

// PrebuildLog returns all lines that a prebuild has printed.
func (c *Client) PrebuildLog(ctx context.Context, id nixspace.ID) ([]LogLine, error) {
	lines := []LogLine{}
	for {
		var out struct {
			R *struct{ Log []LogLine }
		}
		after := int64(0)
		if len(lines) > 0 {
			after = lines[len(lines)-1].Seq
		}
		err := c.query(ctx, `query($id:ID!,$after:Int64!){r:prebuild(id:$id){log(after:$after){seq at text}}}`, map[string]any{"id": id, "after": after}, &out)
		if err != nil {
			return nil, err
		}
		if out.R == nil {
			return nil, nixspace.Errorf(nixspace.KindNotFound, "prebuild_unknown", "there is no prebuild %s", id).WithHint("list them: nixspace prebuild list")
		}
		if len(out.R.Log) == 0 {
			return lines, nil
		}
		lines = append(lines, out.R.Log...)
	}
}

// WatchPrebuild calls f for all news of a prebuild until it is final.
func (c *Client) WatchPrebuild(ctx context.Context, id nixspace.ID, f func(PrebuildUpdate) error) error {
	return subscribe(ctx, c, `subscription($id:ID!){r:prebuildUpdates(id:$id){prebuild{`+prebuildFields+`} progress{`+progressFields+`} line{seq at text}}}`,
		map[string]any{"id": id}, f)
}
