package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/nixspace/nixspace"
)

const (
	fetchFields     = `id source suggestedName private status error errorCode createdAt startedAt finishedAt code{workspace size files ref commit dir history notes}`
	detectionFields = `manifest own choices{path value attr version reason file line} conflicts lacks notes defined{tool file}`
)

// Template is a project to begin with.
type Template struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Saved       bool   `json:"saved"`
	From        string `json:"from"`
}

// FetchInput says what to fetch.
type FetchInput struct {
	Source     string `json:"source"`
	Ref        string `json:"ref"`
	Dir        string `json:"dir"`
	Submodules bool   `json:"submodules"`
	User       string `json:"user"`
	Token      string `json:"token"`
	Key        string `json:"key"`
}

// SourceFetch is one attempt to fetch code.
type SourceFetch struct {
	ID            nixspace.ID  `json:"id"`
	Source        string       `json:"source"`
	SuggestedName string       `json:"suggestedName"`
	Private       bool         `json:"private"`
	Status        lower        `json:"status"`
	Error         string       `json:"error"`
	ErrorCode     string       `json:"errorCode"`
	CreatedAt     time.Time    `json:"createdAt"`
	StartedAt     *time.Time   `json:"startedAt"`
	FinishedAt    *time.Time   `json:"finishedAt"`
	Code          *FetchedCode `json:"code"`
}

// Is reports whether the fetch has a status.
func (f *SourceFetch) Is(s nixspace.BuildStatus) bool { return string(f.Status) == string(s) }

// FetchedCode is code that was fetched and stored.
type FetchedCode struct {
	Workspace string   `json:"workspace"`
	Size      int64    `json:"size"`
	Files     int      `json:"files"`
	Ref       string   `json:"ref"`
	Commit    string   `json:"commit"`
	Dir       string   `json:"dir"`
	History   bool     `json:"history"`
	Notes     []string `json:"notes"`
}

// SourceUpdate is one piece of news about a fetch.
type SourceUpdate struct {
	Fetch    *SourceFetch       `json:"fetch"`
	Progress *nixspace.Progress `json:"progress"`
}

// Detection says what environment code needs.
type Detection struct {
	Manifest  string           `json:"manifest"`
	Own       bool             `json:"own"`
	Choices   []DetectedChoice `json:"choices"`
	Conflicts []string         `json:"conflicts"`
	Lacks     []string         `json:"lacks"`
	Notes     []string         `json:"notes"`
	Defined   []struct {
		Tool string `json:"tool"`
		File string `json:"file"`
	} `json:"defined"`
}

// DetectedChoice is one thing that a manifest says, and why.
type DetectedChoice struct {
	Path    string `json:"path"`
	Value   string `json:"value"`
	Attr    string `json:"attr"`
	Version string `json:"version"`
	Reason  string `json:"reason"`
	File    string `json:"file"`
	Line    int    `json:"line"`
}

// Templates lists the templates.
func (c *Client) Templates(ctx context.Context) ([]Template, error) {
	var out struct{ R []Template }
	err := c.query(ctx, `query{r:templates{name description saved from}}`, nil, &out)
	return out.R, err
}

// SaveTemplate makes a template of an environment or version.
func (c *Client) SaveTemplate(ctx context.Context, name, ref, description string) (*Template, error) {
	var out struct{ R *Template }
	err := c.query(ctx, `mutation($in:SaveTemplateInput!){r:saveTemplate(input:$in){name description saved from}}`,
		map[string]any{"in": map[string]any{"name": name, "ref": ref, "description": description}}, &out)
	return out.R, err
}

// DeleteTemplate deletes a template that somebody saved.
func (c *Client) DeleteTemplate(ctx context.Context, name string) (*Template, error) {
	var out struct{ R *Template }
	err := c.query(ctx, `mutation($n:String!){r:deleteTemplate(name:$n){name description saved from}}`, map[string]any{"n": name}, &out)
	return out.R, err
}

// FetchSource queues a fetch.
func (c *Client) FetchSource(ctx context.Context, in FetchInput) (*SourceFetch, error) {
	var out struct{ R *SourceFetch }
	err := c.query(ctx, `mutation($in:FetchSourceInput!){r:fetchSource(input:$in){`+fetchFields+`}}`, map[string]any{"in": in}, &out)
	return out.R, err
}

// CancelFetch stops a fetch.
func (c *Client) CancelFetch(ctx context.Context, id nixspace.ID) (*SourceFetch, error) {
	var out struct{ R *SourceFetch }
	err := c.query(ctx, `mutation($id:ID!){r:cancelFetch(id:$id){`+fetchFields+`}}`, map[string]any{"id": id}, &out)
	return out.R, err
}

// WatchFetch calls f for all news of a fetch until it is final.
func (c *Client) WatchFetch(ctx context.Context, id nixspace.ID, f func(SourceUpdate) error) error {
	return subscribe(ctx, c, `subscription($id:ID!){r:fetchUpdates(id:$id){fetch{`+fetchFields+`} progress{`+progressFields+`}}}`,
		map[string]any{"id": id}, f)
}

// Detect asks what environment stored code needs.
func (c *Client) Detect(ctx context.Context, workspace, name string) (*Detection, error) {
	var out struct{ R *Detection }
	err := c.query(ctx, `query($w:String!,$n:String!){r:detect(workspace:$w,name:$n){`+detectionFields+`}}`, map[string]any{"w": workspace, "n": name}, &out)
	return out.R, err
}

// PutArchive uploads an archive of code, or a flake.nix, as people have them, and
// returns what a person should know of it.
func (c *Client) PutArchive(ctx context.Context, archive io.Reader) (ws Workspace, notes []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.endpoint("/api/v1/archives"), archive)
	if err != nil {
		return ws, nil, fmt.Errorf("make a request: %w", err)
	}
	req.Header = c.header()
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Expect", "100-continue") // a server that will not take it says so before it is sent
	res, err := c.http.Do(req)
	if err != nil {
		return ws, nil, c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		return ws, nil, c.readProblem(res)
	}
	var out struct {
		Workspace
		Notes []string `json:"notes"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&out); err != nil {
		return ws, nil, fmt.Errorf("read the server's answer: %w", err)
	}
	return out.Workspace, out.Notes, nil
}
